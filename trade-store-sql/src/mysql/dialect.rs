//! How MySQL and MariaDB word statements: see [`crate::dialect`].

use crate::dialect::{Dialect, join, parts};

pub(super) static DIALECT: Dialect = Dialect {
    place: 2,
    parameter,
    word,
    first_place: 1,
    begin_snapshot: "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION READ ONLY",
};

/// They are known by their order alone.
fn parameter(_: usize, text: &mut String) {
    text.push('?');
}

fn word(name: &str, of: &str) -> Option<String> {
    Some(match (name, of) {
        ("index", of) => format!(" FORCE INDEX ({of})"),
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
        ("bytes", of) if !of.is_empty() => format!("unhex({of})"),
        // What it deletes from, it cannot read as well.
        ("oldest", _) => "time < ?1 ORDER BY time LIMIT ?2".into(),
        _ => return None,
    })
}
