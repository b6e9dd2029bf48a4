//! What a body is declared to be: JSON, which is UTF-8 (RFC 8259 §8.1), as it is.

use crate::problem::Problem;
use axum::http::{HeaderMap, HeaderName, header};

const CODE: &str = "unsupported-media-type";

/// Refuses a body by its headers.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    if !is_json(parts.next().unwrap_or_default()) {
        let problem = Problem::new(CODE, "the Content-Type must be application/json");
        return Err(problem.telling(&("accept", "application/json")));
    }
    if !parts.all(allows_utf_8) {
        let problem = Problem::new(CODE, "the charset must be utf-8, which is that of JSON");
        return Err(problem.telling(&("accept", "application/json")));
    }
    if is_coded(headers, &header::CONTENT_ENCODING) {
        let problem =
            Problem::new(CODE, "the body must not be compressed: it is taken without a Content-Encoding");
        return Err(problem.telling(&("accept-encoding", "identity")));
    }
    Ok(())
}

/// `application/json` or `application/<anything>+json`.
fn is_json(essence: &str) -> bool {
    let essence = essence.to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else { return false };
    subtype == "json" || subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty())
}

/// Whether a parameter of the type names no charset, or one whose text is UTF-8.
fn allows_utf_8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return true };
    let value = value.trim().trim_matches('"');
    let same = ["utf-8", "utf8", "us-ascii"];
    !name.trim().eq_ignore_ascii_case("charset") || same.iter().any(|same| value.eq_ignore_ascii_case(same))
}

/// Whether a header names a coding, of which `identity` is none.
fn is_coded(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut codings =
        headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

/// What a body that is no JSON looks like, for clients whose libraries make it without a word.
pub(crate) fn other_form(body: &[u8]) -> Option<&'static str> {
    match body {
        [0xef, 0xbb, 0xbf, ..] => Some("the body begins with a byte order mark, which JSON must not have"),
        [0x1f, 0x8b, ..] => Some("the body is compressed (gzip)"),
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [_, 0, 0, 0, ..] | [0, 0, 0, _, ..] => {
            Some("the body looks like UTF-32; JSON is UTF-8")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, ..] | [0, _, ..] => {
            Some("the body looks like UTF-16; JSON is UTF-8")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(headers: &[(HeaderName, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        check(&headers.collect()).is_ok()
    }

    #[test]
    fn json_is_told_from_what_is_not() {
        let is = |value: &str| is_taken(&[(header::CONTENT_TYPE, value)]);
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; charset=utf8",
            "application/json; Charset = us-ascii; v=1",
            "application/ld+json; profile=\"x\"",
            "application/json;",
        ] {
            assert!(is(json), "{json}");
        }
        for other in [
            "text/json",
            "application/jsonx",
            "application/+json",
            "text/plain",
            "text/plain; application/json",
            "application/json; charset=utf-16",
            "application/json; v=1; charset=ISO-8859-1",
            "application/json; charset=",
        ] {
            assert!(!is(other), "{other}");
        }
        assert!(!is_taken(&[]));
    }

    #[test]
    fn only_a_body_without_a_coding_is_taken() {
        let is = |codings: &[&str]| {
            let codings = codings.iter().map(|coding| (header::CONTENT_ENCODING, *coding));
            is_taken(
                &[(header::CONTENT_TYPE, "application/json")].into_iter().chain(codings).collect::<Vec<_>>(),
            )
        };
        assert!(is(&["identity"]) && is(&["Identity, identity"]) && is(&[""]));
        assert!(!is(&["gzip"]) && !is(&["br"]) && !is(&["identity, zstd"]) && !is(&["identity", "deflate"]));
    }

    #[test]
    fn what_a_body_is_instead_of_json_is_told() {
        let utf_16 =
            |order: fn(u16) -> [u8; 2]| "{\"a\":1}".encode_utf16().flat_map(order).collect::<Vec<_>>();
        for (body, expected) in [
            (&b"\xef\xbb\xbf{}"[..], "byte order mark"),
            (b"\x1f\x8b\x08\x00", "gzip"),
            (&utf_16(u16::to_le_bytes), "UTF-16"),
            (&utf_16(u16::to_be_bytes), "UTF-16"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
            (b"\xfe\xff\0{\0}", "UTF-16"),
            (b"{\0\0\0}\0\0\0", "UTF-32"),
            (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
            (b"\0\0\xfe\xff\0\0\0{", "UTF-32"),
            (b"\0\0\0{\0\0\0}", "UTF-32"),
        ] {
            assert!(other_form(body).is_some_and(|form| form.contains(expected)), "{body:?}");
        }
        assert_eq!((other_form(b""), other_form(b"{"), other_form(b"{'a")), (None, None, None));
    }
}
