//! Who gets in: callers are known by `Authorization: Bearer`, and an API key of [`trade_core::access`] or a token (JWT, with the
//! feature `jwt`).
//!
//! [`Authenticator`] finds out who sends a request. The router asks it where [`HttpOptions::access`] names one: then every
//! path under `/api`, unknown ones too, answers 401 `unauthenticated` to whoever sends no credential or a bad one, and
//! `/metrics` is for the roles `auditor` and `admin`. [`AccessLayer`] does the same around routes of an application's own.
//! What a caller may do and see is said by the policy of the service
//! ([`ServiceOptions::policy`](trade_core::service::ServiceOptions::policy)).
//!
//! A login holds for a time, its [`Lease`]: a stream ends with it. An application that knows its users in its own way may put
//! a [`Principal`](trade_core::policy::Principal) and a [`Lease`] into the extensions of a request by itself.
//!
//! No error, log line or `Debug` output here holds a credential.
//!
//! [`HttpOptions::access`]: crate::HttpOptions::access

mod authenticator;
mod bearer;
pub(crate) mod gate;
#[cfg(feature = "jwt")]
mod jwt;
mod keys;
mod layer;
mod lease;
pub(crate) mod leases;
mod refusal;
pub(crate) mod tickets;

pub use authenticator::{Authenticator, Login};
#[cfg(feature = "jwt")]
pub use jwt::{JwksError, TokenRules, Tokens};
pub use layer::{AccessLayer, AccessService};
pub use lease::{Assurance, Lease, LeaseEnd};
pub use refusal::LoginError;
