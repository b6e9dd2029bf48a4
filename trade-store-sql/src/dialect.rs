//! How each engine words what the statements of this crate share.
//!
//! A statement is written once, as a template. Parameters are `?1`, `?2` …; what engines word differently stands in
//! braces and is replaced, as the table in [`Dialect::word`] shows. Values are bound, never written into a statement; but
//! for keys of stations, numbers that the store itself gave out, in the lists of a scope.

use crate::layouts;
use std::fmt::Write;
use std::sync::{Arc, OnceLock};

/// An engine's way of wording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// PostgreSQL, and what speaks its language.
    #[cfg(feature = "postgres")]
    Postgres,
    /// MySQL and MariaDB.
    #[cfg(feature = "mysql")]
    MySql,
}

/// A statement as an engine takes it.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Its text.
    pub(crate) text: Arc<str>,
    /// Where parameters go by their order alone: the number, from 1, of each.
    pub(crate) order: Vec<usize>,
    /// Whether it will be run again: then it stays prepared.
    pub(crate) is_kept: bool,
}

/// A statement of which each engine has its own wording, made when it is first asked for.
#[derive(Debug)]
pub(crate) struct Template {
    text: &'static str,
    rendered: [OnceLock<Rendered>; 3],
}

impl Template {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self { text, rendered: [const { OnceLock::new() }; 3] }
    }

    /// As it is written.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &'static str {
        self.text
    }

    pub(crate) fn of(&self, dialect: Dialect) -> &Rendered {
        self.rendered[dialect as usize].get_or_init(|| Rendered::new(dialect, self.text))
    }
}

impl Rendered {
    /// Words a template.
    pub(crate) fn new(dialect: Dialect, template: &str) -> Self {
        let mut text = String::with_capacity(template.len());
        let mut order = Vec::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '?']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(inner) = rest.strip_prefix('{') {
                let end = end_of_word(inner);
                let (word, after) = (&inner[..end], inner.get(end + 1..).unwrap_or_default());
                let worded = Self::new(dialect, &dialect.word(word));
                text.push_str(&worded.text);
                order.extend(worded.order);
                rest = after;
            } else {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                let number = rest[1..=digits].parse().unwrap_or(0);
                dialect.parameter(number, &mut text);
                order.push(number);
                rest = &rest[1 + digits..];
            }
        }
        text.push_str(rest);
        Self { text: text.into(), order, is_kept: true }
    }

    /// The same, of a statement that will not be run again.
    pub(crate) fn once(self) -> Self {
        Self { is_kept: false, ..self }
    }
}

impl Dialect {
    // MySQL knows them by their order alone.
    #[cfg_attr(not(any(feature = "sqlite", feature = "postgres")), allow(unused_variables))]
    fn parameter(self, number: usize, text: &mut String) {
        // Writing to a string cannot fail.
        let _ = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => write!(text, "?{number}"),
            #[cfg(feature = "postgres")]
            Self::Postgres => write!(text, "${number}"),
            #[cfg(feature = "mysql")]
            Self::MySql => write!(text, "?"),
        };
    }

    /// What stands for a word in braces:
    ///
    /// - `index:NAME`: the index that a walk takes, where an engine lets itself be told;
    /// - `span:COLUMN|VALUE|AFTER|BEFORE`: the rows of a value whose sequences lie between two others; of several values,
    ///   each of its column, where there are commas;
    /// - `before:COLUMN|VALUE|SEQUENCE|PLACE`: the ledger rows of a value that stand before a position;
    /// - `newest:COLUMN|SEQUENCE`: those rows, the last one first;
    /// - `then:TABLE|NAME|CONDITION`: a join whose rows are looked up for each row before it, in this order;
    /// - `heads:TABLE|INDEX|COLUMNS|FIXED|PLACE|KEYS`: the newest sequence between parameters 1 and 2 that each of some
    ///   stations has in an index. Its columns before the sequence, that of the station first; what stands in the others,
    ///   with a comma before it; what to call this walk; and the keys of the stations, which are parameter 3 as well;
    /// - `each:KEYS|WALK`: a walk for each of some keys, which it calls `k.value`, as a union;
    /// - `part`, `end:NAME`: around a part of a union that has an order and a limit of its own;
    /// - `texts:N`, `pairs:N`, `integers:N`: a list that is one parameter, as a table `k` of `key` (the place in the
    ///   list, counted from [`Dialect::first_place`]) and `value`, or `a` and `b`;
    /// - `bytes:EXPRESSION`: the bytes of a text in hexadecimal;
    /// - `oldest`: which receipts are removed: older than parameter 1, up to parameter 2 of them;
    /// - `row:NAME`: the columns of a layout, the same for all;
    /// - `int`, `text`, `bytes`: a value that is absent, of that kind.
    fn word(self, word: &str) -> String {
        let (name, of) = word.split_once(':').unwrap_or((word, ""));
        let worded = match self {
            _ if name == "row" => layouts::selected(of),
            #[cfg(feature = "sqlite")]
            Self::Sqlite => sqlite_word(name, of),
            #[cfg(feature = "postgres")]
            Self::Postgres => postgres_word(name, of),
            #[cfg(feature = "mysql")]
            Self::MySql => mysql_word(name, of),
        };
        // A word that is misspelt is a statement that no engine takes: every statement is run by the tests.
        worded.unwrap_or_else(|| format!("<{word}>"))
    }

    /// The place of a list's first element.
    pub(crate) fn first_place(self) -> i64 {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => 0,
            #[cfg(feature = "postgres")]
            Self::Postgres => 1,
            #[cfg(feature = "mysql")]
            Self::MySql => 1,
        }
    }

    /// Begins a transaction that reads several times as of one moment.
    pub(crate) fn begin_snapshot(self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => "BEGIN",
            #[cfg(feature = "postgres")]
            Self::Postgres => "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
            #[cfg(feature = "mysql")]
            Self::MySql => "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION READ ONLY",
        }
    }
}

#[cfg(feature = "sqlite")]
fn sqlite_word(name: &str, of: &str) -> Option<String> {
    Some(match (name, of) {
        ("index", of) => format!(" INDEXED BY {of}"),
        ("span", of) => span(of),
        ("before", of) => before(of),
        ("newest", of) => newest(of),
        ("then", of) => join("CROSS JOIN", of),
        ("heads", of) => heads(of),
        ("each", of) => each(of),
        ("part", _) => PART.into(),
        ("end", of) => format!(") {of}"),
        ("texts" | "integers", of) => format!("json_each(?{of}) k"),
        ("pairs", of) => {
            format!("(SELECT key, value ->> 0 AS a, value ->> 1 AS b FROM json_each(?{of})) k")
        }
        ("bytes", "") | ("int" | "text", _) => "NULL".into(),
        ("bytes", of) => format!("unhex({of})"),
        ("oldest", _) => OLDEST_RECEIPTS.into(),
        _ => return None,
    })
}

#[cfg(feature = "postgres")]
fn postgres_word(name: &str, of: &str) -> Option<String> {
    Some(match (name, of) {
        ("index", _) => String::new(),
        // It cannot be told which index to walk. But where it need not know that all rows have one value in
        // the column, no other index has them in this order.
        ("span", of) => {
            let [column, value, after, before] = parts(of);
            let first = column.split(',').next().unwrap_or_default();
            format!(
                "{first} IS NOT NULL AND ({column}, sequence) > ({value}, {after}) \
                 AND ({column}, sequence) < ({value}, {before})"
            )
        }
        ("before", of) => {
            let [column, value, sequence, place] = parts(of);
            format!(
                "({column}, sequence, place) > ({value}, 0, 0) \
                 AND ({column}, sequence, place) < ({value}, {sequence}, {place})"
            )
        }
        ("newest", of) => {
            let [columns, sequence] = parts(of);
            format!("{} DESC, {sequence} DESC", columns.replace(',', " DESC,"))
        }
        // An offset keeps a subquery apart: so it is run for each row before it, and never the other way round.
        ("then", of) => {
            let [table, name, condition] = parts(of);
            format!("CROSS JOIN LATERAL (SELECT * FROM {table} {name} WHERE {condition} OFFSET 0) {name}")
        }
        ("heads", of) => heads(of),
        // One plan for all of them: a union would take as long to plan as to run.
        ("each", of) => {
            let (keys, walk) = of.split_once('|')?;
            let keys = format!("unnest(CAST(ARRAY[{keys}] AS bigint[])) k (value)");
            format!("SELECT walk.sequence FROM {keys} CROSS JOIN LATERAL ({walk}) walk")
        }
        ("part", _) => PART.into(),
        ("end", of) => format!(") {of}"),
        ("texts", of) => format!("unnest(CAST(?{of} AS text[])) WITH ORDINALITY k (value, key)"),
        ("integers", of) => format!("unnest(CAST(?{of} AS bigint[])) WITH ORDINALITY k (value, key)"),
        ("pairs", of) => format!(
            "(SELECT u.key, split_part(u.value, ' ', 1) AS a, split_part(u.value, ' ', 2) AS b \
             FROM unnest(CAST(?{of} AS text[])) WITH ORDINALITY u (value, key)) k"
        ),
        ("bytes", "") => "CAST(NULL AS bytea)".into(),
        ("int", _) => "CAST(NULL AS bigint)".into(),
        ("text", _) => "CAST(NULL AS text)".into(),
        ("bytes", of) => format!("decode({of}, 'hex')"),
        ("oldest", _) => OLDEST_RECEIPTS.into(),
        _ => return None,
    })
}

#[cfg(feature = "mysql")]
fn mysql_word(name: &str, of: &str) -> Option<String> {
    Some(match (name, of) {
        ("index", of) => format!(" FORCE INDEX ({of})"),
        ("span", of) => span(of),
        ("before", of) => before(of),
        ("newest", of) => newest(of),
        ("then", of) => join("STRAIGHT_JOIN", of),
        // A subquery for each station would not begin within its walk. A group for each does, where the keys are known when
        // the statement is planned; of a thousand MariaDB makes a table (`in_predicate_conversion_threshold`).
        ("heads", of) => {
            let [table, index, columns, fixed, place, keys] = parts(of);
            let (column, others) = columns.split_once(", ").unwrap_or((columns, ""));
            let fixed = fixed.strip_prefix(", ").map(|value| format!(" AND {others} = {value}"));
            let fixed = fixed.unwrap_or_default();
            let keys: Vec<_> = keys.split(',').collect();
            let heads = keys.chunks(500).map(|keys| {
                let keys = keys.join(",");
                format!(
                    "SELECT {place} AS place, {column} AS station, max(sequence) AS head FROM {table} \
                     FORCE INDEX ({index}) WHERE {column} IN ({keys}){fixed} AND sequence > ?1 AND sequence < ?2 \
                     GROUP BY {columns}"
                )
            });
            heads.collect::<Vec<_>>().join(" UNION ALL ")
        }
        ("each", of) => each(of),
        // A subquery would be written to a table of its own first.
        ("part", _) => "(".into(),
        ("end", _) => ")".into(),
        ("texts", of) => format!(
            "JSON_TABLE(?{of}, '$[*]' COLUMNS (`key` FOR ORDINALITY, \
             value VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin PATH '$')) k"
        ),
        ("integers", of) => {
            format!("JSON_TABLE(?{of}, '$[*]' COLUMNS (`key` FOR ORDINALITY, value BIGINT PATH '$')) k")
        }
        ("pairs", of) => format!(
            "JSON_TABLE(?{of}, '$[*]' COLUMNS (`key` FOR ORDINALITY, \
             a VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin PATH '$[0]', \
             b VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin PATH '$[1]')) k"
        ),
        ("bytes", "") | ("int" | "text", _) => "NULL".into(),
        ("bytes", of) => format!("unhex({of})"),
        // What it deletes from, it cannot read as well.
        ("oldest", _) => "time < ?1 ORDER BY time LIMIT ?2".into(),
        _ => return None,
    })
}

/// Where the brace is that closes a word, in which other words may stand.
fn end_of_word(text: &str) -> usize {
    let mut open = 0;
    let closes = |c: char| {
        open += i32::from(c == '{') - i32::from(c == '}');
        open < 0
    };
    text.find(closes).unwrap_or(text.len())
}

/// What stands between `|`.
fn parts<const N: usize>(of: &str) -> [&str; N] {
    let mut parts = of.split('|');
    [(); N].map(|()| parts.next().unwrap_or_default())
}

#[cfg(any(feature = "sqlite", feature = "mysql"))]
fn join(join: &str, of: &str) -> String {
    let [table, name, condition] = parts(of);
    format!("{join} {table} {name} ON {condition}")
}

#[cfg(any(feature = "sqlite", feature = "mysql"))]
fn span(of: &str) -> String {
    let [columns, values, after, before] = parts(of);
    let equal = columns.split(',').zip(values.split(','));
    let equal: String =
        equal.map(|(column, value)| format!("{} = {} AND ", column.trim(), value.trim())).collect();
    format!("{equal}sequence > {after} AND sequence < {before}")
}

/// Not each of them sees that a comparison of pairs is a span of an index: the sequence alone is one to all.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
fn before(of: &str) -> String {
    let [column, value, sequence, place] = parts(of);
    format!("{column} = {value} AND sequence <= {sequence} AND (sequence < {sequence} OR place < {place})")
}

#[cfg(any(feature = "sqlite", feature = "mysql"))]
fn newest(of: &str) -> String {
    let [_, sequence] = parts(of);
    format!("{sequence} DESC")
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn heads(of: &str) -> String {
    let [table, index, columns, fixed, place] = parts(of);
    format!(
        "SELECT {place} AS place, k.value AS station, (SELECT sequence FROM {table}{{index:{index}}} \
         WHERE {{span:{columns}|k.value{fixed}|?1|?2}} ORDER BY {{newest:{columns}|sequence}} LIMIT 1) AS head \
         FROM {{integers:3}}"
    )
}

#[cfg(any(feature = "sqlite", feature = "mysql"))]
fn each(of: &str) -> String {
    let (keys, walk) = of.split_once('|').unwrap_or_default();
    keys.split(',').map(|key| walk.replace("k.value", key)).collect::<Vec<_>>().join(" UNION ")
}

/// SQLite takes an order and a limit only in a subquery.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const PART: &str = "SELECT * FROM (";

#[cfg(any(feature = "sqlite", feature = "postgres"))]
const OLDEST_RECEIPTS: &str =
    "request IN (SELECT request FROM tn_receipt WHERE time < ?1 ORDER BY time LIMIT ?2)";
