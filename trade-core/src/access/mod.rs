//! Who gets in: API keys, what they allow, and who keeps them.
//!
//! A key is shown once, when it is made or rotated. Only a hash of its secret is stored, and nobody can work a key out from
//! that.
//!
//! ```
//! use std::sync::Arc;
//! use trade_core::access::{ApiKeys, NewKey, Role};
//! use trade_core::memory::MemoryStore;
//! use trade_core::values::{Scope, Timestamp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = ApiKeys::new(Arc::new(MemoryStore::new()));
//! let now: Timestamp = "2026-11-22T10:00:00.000Z".try_into()?;
//! let viewer = NewKey::new([Role::Viewer], Scope::of(["ceres".try_into()?])?);
//! let (key, token) = keys.create(viewer, now).await?;
//!
//! let known = keys.check(&token, now).await?;
//! assert_eq!(known.principal().actor().to_string(), format!("key:{}", key.id));
//! keys.revoke(&key.id, now).await?;
//! assert!(keys.check(&token, now).await.is_err());
//! # Ok(())
//! # }
//! ```

mod id;
mod key;
mod keys;
mod permissions;
mod record;
mod role;
mod station_roles;
mod token;

pub use id::KeyId;
pub use key::{ApiKey, KeyRefusal, KeyStore, NewKey};
pub use keys::{ApiKeys, KeyError};
pub use permissions::{BUYERS_MAY_INITIATE, PERMISSIONS, Permission, Reach, Right};
pub use record::InvalidKey;
pub use role::Role;
pub use station_roles::StationRoles;
pub use token::{Digest, Token};
