//! The MongoDB store of the trade network.
//!
//! This version holds its connection type only: [`MongoStore::connect`] refuses, so that a program that names a
//! `mongodb://` store learns at its start that it is not there yet, and not at its first trade.

#![warn(missing_docs)]

use std::convert::Infallible;
use trade_core::store::{StoreError, StoreErrorKind};

/// A trade network in a MongoDB replica set or sharded cluster. In this version none can be made.
#[derive(Debug)]
pub struct MongoStore {
    #[expect(dead_code, reason = "no value can be made")]
    never: Infallible,
}

impl MongoStore {
    /// Connects to `mongodb://…`.
    ///
    /// # Errors
    /// Always [`StoreErrorKind::Unsupported`] in this version. The address is not repeated in the error, since it may
    /// hold a password.
    pub async fn connect(_url: &str) -> Result<Self, StoreError> {
        Err(StoreError::new(
            StoreErrorKind::Unsupported,
            "mongodb",
            "connect",
            "this version has no MongoDB store yet; use sqlite:// or memory:",
        ))
    }
}
