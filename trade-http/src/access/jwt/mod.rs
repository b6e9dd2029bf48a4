//! Tokens (JWT, RFC 7519) of an issuer that has logged its users in, checked by its keys.
//!
//! What a token says of itself is not believed: its keys come from the issuer alone (`jku`, `x5u` and `jwk` are passed by),
//! a key is used for what it is said to be for, and the algorithms are those of public keys.

mod claims;
#[cfg(feature = "jwks-url")]
mod fetch;
mod had;
mod keyset;
mod rules;
mod source;
mod tokens;

pub use had::JwksError;
pub use rules::TokenRules;
pub use tokens::Tokens;
