//! A store that does nothing but fail, in one way or another.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use trade_core::memory::MemoryStore;
use trade_core::resource::{Inventory, Sequence};
use trade_core::store::{Head, Page, StationQuery, Store, StoreError, StoreErrorKind, StoreWrapper};
use trade_core::values::Timestamp;

#[derive(Debug, Clone, Copy)]
pub enum Broken {
    /// Fails with an error of this kind.
    Failing(StoreErrorKind),
    /// Never answers.
    Hanging,
    /// Panics.
    Panicking,
    /// Answers nothing but pages of stations, read as of these sequences in turn.
    Copied(&'static [Option<Sequence>]),
    /// Answers nothing but where its log ends; [`AWAY`]: not even that.
    Ending(&'static AtomicU64),
}

/// No end of a log.
pub const AWAY: u64 = u64::MAX;

/// Words that no client may see.
pub const SECRET: &str = "postgres://user:secret@db/var/lib";

impl Broken {
    async fn fail<T>(&self) -> Result<T, StoreError> {
        match self {
            Self::Ending(_) | Self::Copied(_) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "broken", "read", SECRET))
            }
            Self::Failing(kind) => Err(StoreError::new(*kind, "broken", "read", SECRET).caused_by(SECRET)),
            Self::Hanging => std::future::pending().await,
            Self::Panicking => panic!("{SECRET}"),
        }
    }
}

fn station() -> Inventory {
    Inventory {
        station_id: "ceres".try_into().unwrap(),
        name: None,
        metadata: None,
        quantity: 0,
        item_count: 0,
        items: Vec::new(),
        version: 1,
        updated_at: Timestamp::EPOCH,
    }
}

impl StoreWrapper for Broken {
    fn inner(&self) -> &dyn Store {
        static EMPTY: LazyLock<MemoryStore> = LazyLock::new(MemoryStore::new);
        &*EMPTY
    }

    async fn pass_on<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match operation {
            // What the service asks by itself.
            "expired_trades" | "prune_receipts" | "clock" => call.await,
            "changed" => std::future::pending().await,
            _ => self.fail().await,
        }
    }

    fn name(&self) -> &'static str {
        "broken"
    }

    async fn inventory_list(&self, query: &StationQuery) -> Result<Page<Inventory, Sequence>, StoreError> {
        let StationQuery { before, limit, .. } = *query;
        let Self::Copied(pages) = self else { return self.fail().await };
        let end = pages.len() as Sequence + 1;
        let left = before.unwrap_or(end) - 1;
        let as_of = pages[pages.len() - usize::try_from(left).unwrap()];
        Ok(Page { rows: vec![station(); limit], next: (left > 1).then_some(left), as_of })
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let sequence = match self {
            Self::Ending(end) => end.load(Ordering::Relaxed),
            // Ten events were written before it broke.
            _ => 10,
        };
        if sequence == AWAY { self.fail().await } else { Ok(Head { sequence, time: Timestamp::EPOCH }) }
    }
}
