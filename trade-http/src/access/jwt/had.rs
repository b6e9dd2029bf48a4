//! What may be had of a place where keys are.

use std::fmt;

/// The largest set.
pub(super) const BYTES_MAX: usize = 1024 * 1024;

/// Why the keys of an issuer cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksError(pub(super) String);

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JwksError {}
