//! Whether commands are stored, as far as that shows without one.

use crate::outage::Outage;
use crate::store::{Store, StoreError, StoreErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// For so long after a commit that failed, the next one is expected to fail too: what keeps it from landing, such as a
/// disk that is full, may not show before the end of a commit. The time doubles with each failure after it was over, up
/// to the maximum.
const DOUBT: Duration = Duration::from_secs(5);
const DOUBT_MAX: Duration = Duration::from_secs(80);
/// So many failures without a known cause, and nothing stored between them, are no matter of single commands any more.
const UNEXPLAINED_MAX: u32 = 5;

/// What became of the newest commands.
#[derive(Debug)]
pub(super) struct Readiness {
    failures: Mutex<Failures>,
    outage: Outage,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { failures: Mutex::default(), outage: Outage::new("commit") }
    }
}

/// What failed since something was stored.
#[derive(Debug, Default)]
struct Failures {
    newest: Option<Failure>,
    unexplained: u32,
}

#[derive(Debug, Clone)]
struct Failure {
    at: Instant,
    error: Arc<StoreError>,
    doubt: Duration,
    /// Whether the doubt is over, and the store showed that it could take a commit.
    may_work: bool,
}

impl Readiness {
    /// Something was stored.
    pub(super) fn stored(&self) {
        *self.failures() = Failures::default();
        self.outage.worked();
    }

    /// Commands were not stored.
    pub(super) fn failed(&self, error: &Arc<StoreError>) {
        use StoreErrorKind::{
            Conflict, Corrupt, Internal, NewerVersion, OutcomeUnknown, TooLarge, Unavailable, Unsupported,
        };
        let mut failures = self.failures();
        let of_the_store = match error.kind {
            OutcomeUnknown | Unavailable | Corrupt | Unsupported | NewerVersion => true,
            // Others may be stored.
            Conflict | TooLarge => false,
            Internal => {
                failures.unexplained = failures.unexplained.saturating_add(1);
                failures.unexplained >= UNEXPLAINED_MAX
            }
        };
        if !of_the_store {
            tracing::error!(%error, source = error.source.as_deref(), "commands were not committed");
            return;
        }
        self.outage.failed(error);
        let doubt = match &failures.newest {
            None => DOUBT,
            Some(Failure { doubt, may_work: true, .. }) => (*doubt * 2).min(DOUBT_MAX),
            Some(Failure { doubt, .. }) => *doubt,
        };
        failures.newest = Some(Failure { at: Instant::now(), error: error.clone(), doubt, may_work: false });
    }

    /// Asks the store, after a failure by the way that commits take: so it is noticed that the store may work again, also
    /// where nobody writes. That it does, only a commit can tell.
    pub(super) async fn check(&self, store: &dyn Store) -> Result<(), Arc<StoreError>> {
        let head = store.head().await.map_err(Arc::new)?;
        let newest = self.failures().newest.clone();
        let Some(Failure { at, error, doubt, may_work: false }) = newest else { return Ok(()) };
        if error.kind == StoreErrorKind::Corrupt {
            // What is damaged may concern one command alone, but for the log.
            store.read(head.sequence.saturating_sub(1), 1, 1).await.map_err(Arc::new)?;
        } else if at.elapsed() < doubt {
            return Err(error);
        }
        drop(store.hold().await.map_err(Arc::new)?);
        if let Some(newest) = &mut self.failures().newest
            && newest.at == at
        {
            newest.may_work = true;
        }
        Ok(())
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
