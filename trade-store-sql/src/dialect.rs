//! How each engine words what the statements of this crate share.
//!
//! A statement is written once, as a template. Parameters are `?1`, `?2` …; what engines word differently stands in
//! braces and is replaced, as the table in [`Dialect::worded`] shows. Values are bound, never written into a statement; but
//! for keys of stations, numbers that the store itself gave out, in the lists of a scope.

use crate::layouts;
use std::sync::{Arc, OnceLock};

/// An engine's way of wording. It stands in the folder of the engine.
#[derive(Debug)]
pub struct Dialect {
    /// Where a template keeps its wording: another place for each engine, of [`PLACES`].
    pub(crate) place: usize,
    /// Writes the parameter of a number.
    pub(crate) parameter: fn(usize, &mut String),
    /// What stands for a word in braces, by its name and what follows it, where that is another text than
    /// [`usual`] has.
    pub(crate) word: fn(&str, &str) -> Option<String>,
    /// The place of a list's first element.
    pub(crate) first_place: i64,
    /// Begins a transaction that reads several times as of one moment.
    pub(crate) begin_snapshot: &'static str,
}

/// More than there are engines.
pub(crate) const PLACES: usize = 8;

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
    rendered: [OnceLock<Rendered>; PLACES],
}

impl Template {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self { text, rendered: [const { OnceLock::new() }; PLACES] }
    }

    /// As it is written.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &'static str {
        self.text
    }

    pub(crate) fn of(&self, dialect: &Dialect) -> &Rendered {
        self.rendered[dialect.place].get_or_init(|| Rendered::new(dialect, self.text))
    }
}

impl Rendered {
    /// Words a template.
    pub(crate) fn new(dialect: &Dialect, template: &str) -> Self {
        let mut text = String::with_capacity(template.len());
        let mut order = Vec::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '?']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(inner) = rest.strip_prefix('{') {
                let end = end_of_word(inner);
                let (word, after) = (&inner[..end], inner.get(end + 1..).unwrap_or_default());
                let worded = Self::new(dialect, &dialect.worded(word));
                text.push_str(&worded.text);
                order.extend(worded.order);
                rest = after;
            } else {
                let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
                let number = rest[1..=digits].parse().unwrap_or(0);
                (dialect.parameter)(number, &mut text);
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
    ///   list, counted from `first_place`) and `value`, or `a` and `b`;
    /// - `bytes:EXPRESSION`: the bytes of a text in hexadecimal;
    /// - `oldest`: which receipts are removed: older than parameter 1, up to parameter 2 of them;
    /// - `row:NAME`: the columns of a layout, the same for all;
    /// - `int`, `text`, `bytes`: a value that is absent, of that kind.
    fn worded(&self, word: &str) -> String {
        let (name, of) = word.split_once(':').unwrap_or((word, ""));
        let worded = match name {
            "row" => layouts::selected(of),
            _ => (self.word)(name, of).or_else(|| usual(name, of)),
        };
        // A word that is misspelt is a statement that no engine takes: every statement is run by the tests.
        worded.unwrap_or_else(|| format!("<{word}>"))
    }
}

/// The words that engines have in common.
fn usual(name: &str, of: &str) -> Option<String> {
    Some(match (name, of) {
        ("span", of) => span(of),
        ("before", of) => before(of),
        ("newest", of) => newest(of),
        ("then", of) => join("CROSS JOIN", of),
        ("heads", of) => heads(of),
        ("each", of) => each(of),
        // SQLite takes an order and a limit only in a subquery.
        ("part", _) => "SELECT * FROM (".into(),
        ("end", of) => format!(") {of}"),
        ("bytes", "") | ("int" | "text", _) => "NULL".into(),
        ("oldest", _) => {
            "request IN (SELECT request FROM tn_receipt WHERE time < ?1 ORDER BY time LIMIT ?2)".into()
        }
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
pub(crate) fn parts<const N: usize>(of: &str) -> [&str; N] {
    let mut parts = of.split('|');
    [(); N].map(|()| parts.next().unwrap_or_default())
}

pub(crate) fn join(join: &str, of: &str) -> String {
    let [table, name, condition] = parts(of);
    format!("{join} {table} {name} ON {condition}")
}

fn span(of: &str) -> String {
    let [columns, values, after, before] = parts(of);
    let equal = columns.split(',').zip(values.split(','));
    let equal: String =
        equal.map(|(column, value)| format!("{} = {} AND ", column.trim(), value.trim())).collect();
    format!("{equal}sequence > {after} AND sequence < {before}")
}

/// Not each of them sees that a comparison of pairs is a span of an index: the sequence alone is one to all.
fn before(of: &str) -> String {
    let [column, value, sequence, place] = parts(of);
    format!("{column} = {value} AND sequence <= {sequence} AND (sequence < {sequence} OR place < {place})")
}

fn newest(of: &str) -> String {
    let [_, sequence] = parts(of);
    format!("{sequence} DESC")
}

fn heads(of: &str) -> String {
    let [table, index, columns, fixed, place] = parts(of);
    format!(
        "SELECT {place} AS place, k.value AS station, (SELECT sequence FROM {table}{{index:{index}}} \
         WHERE {{span:{columns}|k.value{fixed}|?1|?2}} ORDER BY {{newest:{columns}|sequence}} LIMIT 1) AS head \
         FROM {{integers:3}}"
    )
}

fn each(of: &str) -> String {
    let (keys, walk) = of.split_once('|').unwrap_or_default();
    keys.split(',').map(|key| walk.replace("k.value", key)).collect::<Vec<_>>().join(" UNION ")
}
