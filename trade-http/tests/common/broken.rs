//! A store that does nothing but fail, in one way or another.

use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trade_core::command::RequestId;
use trade_core::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade};
use trade_core::store::*;
use trade_core::values::{ShipmentId, StationId, Timestamp, TransactionId};

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

#[async_trait]
impl TradeRepository for Broken {
    async fn trade(&self, _: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
        self.fail().await
    }
    async fn trades(&self, _: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
        self.fail().await
    }
    async fn expired_trades(&self, _: Timestamp, _: usize) -> Result<Vec<TransactionId>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl CargoRepository for Broken {
    async fn cargo(&self, _: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError> {
        self.fail().await
    }
    async fn cargo_list(&self, _: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
        self.fail().await
    }
    async fn cargo_history(
        &self,
        _: &ShipmentId,
        _: Sequence,
        _: usize,
    ) -> Result<Vec<Sequence>, StoreError> {
        self.fail().await
    }
}

#[async_trait]
impl InventoryRepository for Broken {
    async fn inventory(
        &self,
        _: &StationId,
        _: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError> {
        self.fail().await
    }
    async fn inventory_list(
        &self,
        before: Option<Sequence>,
        limit: usize,
        _: usize,
    ) -> Result<Page<Inventory, Sequence>, StoreError> {
        let Self::Copied(pages) = self else { return self.fail().await };
        let end = pages.len() as Sequence + 1;
        let left = before.unwrap_or(end) - 1;
        let as_of = pages[pages.len() - usize::try_from(left).unwrap()];
        Ok(Page { rows: vec![station(); limit], next: (left > 1).then_some(left), as_of })
    }
    async fn ledger(
        &self,
        _: &StationId,
        _: &LedgerQuery,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        self.fail().await
    }
    async fn ledger_after(
        &self,
        _: LedgerPosition,
        _: usize,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        self.fail().await
    }
}

#[async_trait]
impl EventLog for Broken {
    async fn head(&self) -> Result<Head, StoreError> {
        let sequence = match self {
            Self::Ending(end) => end.load(Ordering::Relaxed),
            // Ten events were written before it broke.
            _ => 10,
        };
        if sequence == AWAY { self.fail().await } else { Ok(Head { sequence, time: Timestamp::EPOCH }) }
    }
    async fn read(&self, _: Sequence, _: usize, _: usize) -> Result<Vec<LogRecord>, StoreError> {
        self.fail().await
    }
    async fn changed(&self, _: Sequence) -> Result<(), StoreError> {
        std::future::pending().await
    }
}

#[async_trait]
impl Store for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }
    async fn load(&self, _: &Keys) -> Result<Loaded, StoreError> {
        self.fail().await
    }
    async fn commit(&self, _: &Commit) -> Result<Head, StoreError> {
        self.fail().await
    }
    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        self.fail().await
    }
    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn receipts(&self, _: Option<RequestId>, _: usize) -> Result<Vec<Receipt>, StoreError> {
        self.fail().await
    }

    async fn prune_receipts(&self, _: Timestamp, _: usize) -> Result<u64, StoreError> {
        Ok(0)
    }
}
