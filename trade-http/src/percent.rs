//! Percent-encoding (RFC 3986 §2.1) in paths and queries.

use std::borrow::Cow;

/// Undoes percent-encoding; none where the result is not UTF-8. A plus sign stands for itself: no parameter holds spaces, but times hold offsets.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex =
            after.get(..2).filter(|_| byte == b'%').and_then(|hex| Some((nibble(hex[0])?, nibble(hex[1])?)));
        match hex {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_and_bad_utf_8_told() {
        assert_eq!(decode("a%2Fb%c3%A9+%zz%").as_deref(), Some("a/bé+%zz%"));
        assert_eq!(decode("%ff"), None);
    }
}
