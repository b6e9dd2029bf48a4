//! How SQLite words statements: see [`crate::dialect`].

use crate::dialect::Dialect;
use std::fmt::Write;

pub(super) static DIALECT: Dialect =
    Dialect { place: 0, parameter, word, first_place: 0, begin_snapshot: "BEGIN" };

fn parameter(number: usize, text: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(text, "?{number}");
}

fn word(name: &str, of: &str) -> Option<String> {
    Some(match (name, of) {
        ("index", of) => format!(" INDEXED BY {of}"),
        ("texts" | "integers", of) => format!("json_each(?{of}) k"),
        ("pairs", of) => {
            format!("(SELECT key, value ->> 0 AS a, value ->> 1 AS b FROM json_each(?{of})) k")
        }
        ("bytes", of) if !of.is_empty() => format!("unhex({of})"),
        _ => return None,
    })
}
