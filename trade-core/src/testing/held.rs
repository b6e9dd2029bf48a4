//! Holding the head of a store that wraps another.

use crate::store::{Commit, Head, Held, StoreError};
use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

/// A wrapping store that does something to commits, one at a time.
#[async_trait]
pub(super) trait Lands: Send + Sync + std::fmt::Debug {
    /// Commits; the head is held.
    async fn land(&self, commit: &Commit) -> Result<Head, StoreError>;
}

/// The head of a wrapping store. It is a lock of the wrapper's own, since its commits go their own ways to the store
/// within.
#[derive(Debug)]
pub(super) struct HeldBy<'s> {
    pub(super) store: &'s dyn Lands,
    pub(super) _head: OwnedMutexGuard<()>,
}

#[async_trait]
impl Held for HeldBy<'_> {
    fn head(&self) -> Option<Head> {
        None
    }

    async fn commit(self: Box<Self>, commit: &Commit) -> Result<Head, StoreError> {
        self.store.land(commit).await
    }
}
