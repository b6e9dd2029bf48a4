//! The store as the service calls it: every call returns.
//!
//! A store is other people's code, with a driver and a network beneath it. A call that panics, or that never returns, must
//! not end a task of the service, nor keep everyone waiting behind it. So each call has a bound in time, and a panic in it
//! becomes an error. After either, what became of a commit is unknown, and is found out as after any other such failure.

use crate::command::RequestId;
use crate::resource::Sequence;
use crate::store::{
    Commit, EventLog, Head, Held, Keys, Loaded, LogRecord, Receipt, Store, StoreError, StoreErrorKind,
    delegate_repositories,
};
use crate::values::Timestamp;
use async_trait::async_trait;
use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A store whose calls end.
#[derive(Debug)]
pub(super) struct Guarded {
    inner: Arc<dyn Store>,
    name: &'static str,
    call_max: Duration,
}

impl Guarded {
    /// A store, no call of which takes longer than `call_max`.
    pub(super) fn new(inner: Arc<dyn Store>, call_max: Duration) -> Self {
        Self { name: inner.name(), inner, call_max }
    }

    /// A call after which the store is as before, where it ends too early.
    async fn pass_on<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let call = self.caught(operation, StoreErrorKind::Internal, call);
        self.bounded(operation, StoreErrorKind::Unavailable, call).await
    }

    /// A call of which nobody knows what it did, where it ends too early.
    async fn pass_commit_on(
        &self,
        call: impl Future<Output = Result<Head, StoreError>>,
    ) -> Result<Head, StoreError> {
        let call = self.caught("commit", StoreErrorKind::OutcomeUnknown, call);
        self.bounded("commit", StoreErrorKind::OutcomeUnknown, call).await
    }

    async fn bounded<T>(
        &self,
        operation: &'static str,
        kind: StoreErrorKind,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(self.call_max, call).await.unwrap_or_else(|_| {
            let detail = format!("it did not return within {:?}", self.call_max);
            Err(StoreError::new(kind, self.name, operation, detail))
        })
    }

    async fn caught<T>(
        &self,
        operation: &'static str,
        kind: StoreErrorKind,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut call = pin!(call);
        // After a panic the call is dropped, and never polled again.
        let outcome = poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
            match polled {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Err(panic).into(),
            }
        });
        outcome.await.unwrap_or_else(|panic| Err(self.panicked(operation, kind, &*panic)))
    }

    fn panicked(
        &self,
        operation: &'static str,
        kind: StoreErrorKind,
        panic: &(dyn Any + Send),
    ) -> StoreError {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let error = StoreError::new(
            kind,
            self.name,
            operation,
            format!("the store panicked: {}", text.unwrap_or("without a word")),
        );
        tracing::error!(%error, "the store has a defect");
        error
    }
}

/// The head of a store's log.
#[derive(Debug)]
struct GuardedHead<'s> {
    store: &'s Guarded,
    held: Box<dyn Held + 's>,
}

#[async_trait]
impl Held for GuardedHead<'_> {
    fn head(&self) -> Option<Head> {
        let head = catch_unwind(AssertUnwindSafe(|| self.held.head()));
        // Who does not know the head asks for it.
        head.unwrap_or_else(|panic| {
            self.store.panicked("head", StoreErrorKind::Internal, &*panic);
            None
        })
    }

    async fn commit(self: Box<Self>, commit: &Commit) -> Result<Head, StoreError> {
        let Self { store, held } = *self;
        store.pass_commit_on(async { held.commit(commit).await }).await
    }
}

delegate_repositories!(Guarded);

#[async_trait]
impl EventLog for Guarded {
    async fn head(&self) -> Result<Head, StoreError> {
        self.pass_on("head", async { self.inner.head().await }).await
    }

    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError> {
        self.pass_on("read", async { self.inner.read(after, records_max, bytes_max).await }).await
    }

    async fn changed(&self, after: Sequence) -> Result<(), StoreError> {
        // It may wait for ever.
        self.caught("changed", StoreErrorKind::Internal, async { self.inner.changed(after).await }).await
    }
}

#[async_trait]
impl Store for Guarded {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        self.pass_on("load", async { self.inner.load(keys).await }).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        self.pass_commit_on(async { self.inner.commit(commit).await }).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        let held = self.pass_on("hold", async { self.inner.hold().await }).await?;
        Ok(Box::new(GuardedHead { store: self, held }))
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        self.pass_on("clock", async { self.inner.clock().await }).await
    }

    async fn receipts(&self, after: Option<RequestId>, limit: usize) -> Result<Vec<Receipt>, StoreError> {
        self.pass_on("receipts", async { self.inner.receipts(after, limit).await }).await
    }

    async fn prune_receipts(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.pass_on("prune_receipts", async { self.inner.prune_receipts(before, limit).await }).await
    }
}
