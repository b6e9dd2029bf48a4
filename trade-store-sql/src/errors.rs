//! What an engine is called, and what its errors say: all that whoever tells of one has to know of it.

use std::fmt::Debug;
use trade_core::store::{StoreError, StoreErrorKind};

/// An engine, as far as its errors go.
pub trait Errors: Debug + Send + Sync + Sized + 'static {
    /// What it is called.
    const NAME: &'static str;

    /// What an error asks of the caller, and what it is.
    fn meaning(error: &sqlx::Error) -> (StoreErrorKind, &'static str);

    /// Whether an error says that the server has no room for another connection.
    fn is_full(_error: &sqlx::Error) -> bool {
        false
    }
}

/// Turns a driver's error of an operation into the store's.
pub(crate) fn classify<E: Errors>(operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError + Copy {
    move |error| {
        let (kind, detail) = E::meaning(&error);
        StoreError::new(kind, E::NAME, operation, detail).caused_by(error)
    }
}
