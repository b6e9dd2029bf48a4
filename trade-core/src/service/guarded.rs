//! The store as the service calls it: every call returns.
//!
//! A store is other people's code, with a driver and a network beneath it. A call that panics, or that never returns, must
//! not end a task of the service, nor keep everyone waiting behind it. So each call has a bound in time, and a panic in it
//! becomes an error. After either, what became of a commit is unknown, and is found out as after any other such failure.

use crate::store::{Commit, Head, Held, Store, StoreError, StoreErrorKind, StoreWrapper};
use crate::telemetry;
use async_trait::async_trait;
use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

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
        store.pass_on("commit", async { held.commit(commit).await }).await
    }
}

impl StoreWrapper for Guarded {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn pass_on<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let outcome = match operation {
            // Nobody knows what it did, where it ends too early.
            "commit" => {
                let call = self.caught(operation, StoreErrorKind::OutcomeUnknown, call);
                self.bounded(operation, StoreErrorKind::OutcomeUnknown, call).await
            }
            // It may wait for ever.
            "changed" => self.caught(operation, StoreErrorKind::Internal, call).await,
            _ => {
                let call = self.caught(operation, StoreErrorKind::Internal, call);
                self.bounded(operation, StoreErrorKind::Unavailable, call).await
            }
        };
        let took = (operation != "changed").then(|| begun.elapsed());
        telemetry::store_called(operation, took, outcome.as_ref().err().map(|error| error.kind));
        outcome
    }

    fn name(&self) -> &'static str {
        self.name
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        let held = self.pass_on("hold", async { self.inner.hold().await }).await?;
        Ok(Box::new(GuardedHead { store: self, held }))
    }
}
