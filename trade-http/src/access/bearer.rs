//! The credential of a request: `Authorization: Bearer` (RFC 6750 §2.1), and nothing else.

use super::refusal::LoginError;
use axum::http::{HeaderMap, header};

/// The longest token that is looked at.
pub(super) const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The token of a request.
///
/// # Errors
/// [`LoginError`] if there is none, more than one, or what no token looks like.
pub(super) fn token(headers: &HeaderMap) -> Result<&str, LoginError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(LoginError::Missing)?;
    if values.next().is_some() {
        return Err(LoginError::Ambiguous);
    }
    let malformed = LoginError::Invalid("the header Authorization must be Bearer and a token");
    let Ok(value) = value.to_str() else { return Err(malformed) };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        // A credential of another kind tells nothing here.
        return Err(LoginError::Missing);
    }
    let token = rest.trim_start_matches(' ');
    if token.len() > TOKEN_BYTES_MAX {
        return Err(LoginError::Invalid("the token is too long"));
    }
    if is_token(token) { Ok(token) } else { Err(malformed) }
}

/// The characters of `b64token`.
fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(is_of_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read(values: &[&str]) -> Result<String, LoginError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        token(&headers).map(str::to_owned)
    }

    #[test]
    fn the_scheme_is_written_in_any_case_and_the_token_in_its_own() {
        for value in ["Bearer aB.-_~+/=", "bearer aB.-_~+/=", "BEARER   aB.-_~+/="] {
            assert_eq!(read(&[value]).unwrap(), "aB.-_~+/=");
        }
    }

    #[test]
    fn what_is_no_single_token_is_refused() {
        assert!(matches!(read(&[]), Err(LoginError::Missing)));
        assert!(matches!(read(&["Basic YTpi"]), Err(LoginError::Missing)));
        assert!(matches!(read(&["Bearer a", "Bearer a"]), Err(LoginError::Ambiguous)));
        let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1));
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer =",
            "Bearer a b",
            "Bearer a ",
            "Bearer\ta",
            "Bearer a,b",
            "Bearer é",
            &long,
        ] {
            let refused = read(&[value]);
            assert!(
                matches!(refused, Err(LoginError::Invalid(_))) || (value == "Bearer\ta" && refused.is_err()),
                "{value}: {refused:?}"
            );
        }
    }
}
