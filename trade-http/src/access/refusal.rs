use crate::problem::Problem;
use std::fmt;
use trade_core::access::KeyRefusal;

/// Why a caller is not let in. It never repeats what they sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginError {
    /// They have sent no credential.
    Missing,
    /// They have sent more than one.
    Ambiguous,
    /// What they have sent lets nobody in, for this reason.
    Invalid(&'static str),
    /// It cannot be found out at present, for this reason.
    Unavailable(&'static str),
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a credential is needed: send Authorization: Bearer and an API key or a token",
            Self::Ambiguous => "a request must have one credential, in one place",
            Self::Invalid(reason) | Self::Unavailable(reason) => reason,
        })
    }
}

impl From<KeyRefusal> for LoginError {
    fn from(refusal: KeyRefusal) -> Self {
        Self::Invalid(match refusal {
            KeyRefusal::Unknown => "the API key is not known",
            KeyRefusal::Expired => "the API key has expired",
            KeyRefusal::Revoked => "the API key was revoked",
        })
    }
}

impl std::error::Error for LoginError {}

/// The answer's `WWW-Authenticate` (RFC 6750 §3).
const ASKED: (&str, &str) = ("www-authenticate", "Bearer realm=\"trade-network\"");
const AMBIGUOUS: (&str, &str) =
    ("www-authenticate", "Bearer realm=\"trade-network\", error=\"invalid_request\"");
const INVALID: (&str, &str) = ("www-authenticate", "Bearer realm=\"trade-network\", error=\"invalid_token\"");

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let detail = error.to_string();
        match error {
            LoginError::Missing => Self::new("unauthenticated", detail).telling(&ASKED),
            LoginError::Ambiguous => Self::new("unauthenticated", detail).telling(&AMBIGUOUS),
            LoginError::Invalid(_) => Self::new("unauthenticated", detail).telling(&INVALID),
            LoginError::Unavailable(_) => Self::new("store-unavailable", detail),
        }
    }
}
