//! JSON as it is sent: on one line, wherever its reader cuts lines.
//!
//! JSON allows U+0085, U+2028 and U+2029 in a string as they are, and many a reader takes them for the end of a line
//! (Unicode Standard Annex 14 calls all three mandatory breaks). So they are written escaped, which is the same value.

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io;

/// Writes a value.
///
/// # Errors
/// Those of its `Serialize`, and of the writer.
pub(crate) fn write(to: impl io::Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(to, OneLine))
}

/// A value as bytes.
///
/// # Errors
/// Those of its `Serialize`.
pub(crate) fn to_vec(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(128);
    write(&mut bytes, value)?;
    Ok(bytes)
}

/// Without white space, and without a character that somebody may take for the end of a line.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        // The first bytes of the three in UTF-8; most strings have neither.
        while let Some(at) = memchr::memchr2(0xc2, 0xe2, rest.as_bytes()) {
            let (before, found) = rest.split_at(at);
            let mut characters = found.chars();
            let escaped = match characters.next() {
                Some('\u{85}') => Some("\\u0085"),
                Some('\u{2028}') => Some("\\u2028"),
                Some('\u{2029}') => Some("\\u2029"),
                _ => None,
            };
            let after = characters.as_str();
            match escaped {
                Some(escaped) => {
                    to.write_all(before.as_bytes())?;
                    to.write_all(escaped.as_bytes())?;
                }
                None => to.write_all(&rest.as_bytes()[..rest.len() - after.len()])?,
            }
            rest = after;
        }
        to.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_string_is_cut_into_lines() {
        let text = "\u{2028}a\u{2029}\u{2028}é\u{85}€ â\u{2027}\u{202a}\n\"\\\u{85}";
        let sent = String::from_utf8(to_vec(&[text]).unwrap()).unwrap();
        assert_eq!(sent, "[\"\\u2028a\\u2029\\u2028é\\u0085€ â\u{2027}\u{202a}\\n\\\"\\\\\\u0085\"]");
        assert_eq!(serde_json::from_str::<[String; 1]>(&sent).unwrap(), [text]);
    }

    #[test]
    fn other_values_are_written_as_ever() {
        let value = serde_json::json!({"a": [1, -2.5, null, true], "é": {"b": "c"}});
        assert_eq!(to_vec(&value).unwrap(), serde_json::to_vec(&value).unwrap());
    }
}
