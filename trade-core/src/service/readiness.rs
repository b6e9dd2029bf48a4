//! Whether commands are stored, as far as that shows without one.

use crate::outage::Outage;
use crate::store::{Store, StoreError, StoreErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// For so long after a commit that failed, the next one is expected to fail too: what keeps it from landing, such as a
/// disk that is full, may not show before the end of a commit.
const DOUBT: Duration = Duration::from_secs(5);

/// What became of the newest commands.
#[derive(Debug)]
pub(super) struct Readiness {
    /// The newest failure, where nothing was stored since.
    failure: Mutex<Option<Failure>>,
    outage: Outage,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { failure: Mutex::default(), outage: Outage::new("commit") }
    }
}

#[derive(Debug, Clone)]
struct Failure {
    at: Instant,
    error: Arc<StoreError>,
}

impl Readiness {
    /// Something was stored.
    pub(super) fn stored(&self) {
        *self.failure() = None;
        self.outage.worked();
    }

    /// Commands were not stored.
    pub(super) fn failed(&self, error: &Arc<StoreError>) {
        use StoreErrorKind::{
            Conflict, Corrupt, Internal, OutcomeUnknown, TooLarge, Unavailable, Unsupported,
        };
        match error.kind {
            // Others may be.
            Conflict | TooLarge | Internal => tracing::error!(
                %error, source = error.source.as_deref(), "commands were not committed"
            ),
            OutcomeUnknown | Unavailable | Corrupt | Unsupported => {
                self.outage.failed(error);
                *self.failure() = Some(Failure { at: Instant::now(), error: error.clone() });
            }
        }
    }

    /// Asks the store, after a failure by the way that commits take: so it is noticed that the store is back, also where
    /// nobody writes.
    pub(super) async fn check(&self, store: &dyn Store) -> Result<(), Arc<StoreError>> {
        store.head().await.map_err(Arc::new)?;
        let newest = self.failure().clone();
        let Some(Failure { at, error }) = newest else { return Ok(()) };
        if at.elapsed() < DOUBT {
            return Err(error);
        }
        drop(store.hold().await.map_err(Arc::new)?);
        // Nothing failed meanwhile.
        if self.failure().take_if(|newest| newest.at == at).is_some() {
            self.outage.worked();
        }
        Ok(())
    }

    fn failure(&self) -> MutexGuard<'_, Option<Failure>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
