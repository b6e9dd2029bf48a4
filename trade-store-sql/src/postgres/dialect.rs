//! How PostgreSQL, and what speaks its language, words statements: see [`crate::dialect`].

use crate::dialect::{Dialect, parts};
use std::fmt::Write;

pub(super) static DIALECT: Dialect = Dialect {
    place: 1,
    parameter,
    word,
    first_place: 1,
    begin_snapshot: "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
};

fn parameter(number: usize, text: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(text, "${number}");
}

fn word(name: &str, of: &str) -> Option<String> {
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
        // One plan for all of them: a union would take as long to plan as to run.
        ("each", of) => {
            let (keys, walk) = of.split_once('|')?;
            let keys = format!("unnest(CAST(ARRAY[{keys}] AS bigint[])) k (value)");
            format!("SELECT walk.sequence FROM {keys} CROSS JOIN LATERAL ({walk}) walk")
        }
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
        _ => return None,
    })
}
