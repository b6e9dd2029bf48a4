//! Passing on what a wrapping store does not change.

/// Implements the reading traits for a type by passing every call to `self.inner`, after
/// `self.before_read(operation).await?`, what it reads of the log by way of `self.as_damaged(records)`.
macro_rules! delegate_reads {
    ($name:ty) => {
        #[async_trait::async_trait]
        impl $crate::store::TradeRepository for $name {
            async fn trade(
                &self,
                id: &$crate::values::TransactionId,
            ) -> Result<Option<std::sync::Arc<$crate::resource::Trade>>, $crate::store::StoreError> {
                self.before_read("trade").await?;
                self.inner.trade(id).await
            }

            async fn trades(
                &self,
                query: &$crate::store::TradeQuery,
            ) -> Result<
                $crate::store::Page<std::sync::Arc<$crate::resource::Trade>, $crate::resource::Sequence>,
                $crate::store::StoreError,
            > {
                self.before_read("trades").await?;
                self.inner.trades(query).await
            }

            async fn expired_trades(
                &self,
                now: $crate::values::Timestamp,
                limit: usize,
            ) -> Result<Vec<$crate::values::TransactionId>, $crate::store::StoreError> {
                self.before_read("expired_trades").await?;
                self.inner.expired_trades(now, limit).await
            }
        }

        #[async_trait::async_trait]
        impl $crate::store::CargoRepository for $name {
            async fn cargo(
                &self,
                id: &$crate::values::ShipmentId,
            ) -> Result<Option<std::sync::Arc<$crate::resource::Cargo>>, $crate::store::StoreError> {
                self.before_read("cargo").await?;
                self.inner.cargo(id).await
            }

            async fn cargo_list(
                &self,
                query: &$crate::store::CargoQuery,
            ) -> Result<
                $crate::store::Page<std::sync::Arc<$crate::resource::Cargo>, $crate::resource::Sequence>,
                $crate::store::StoreError,
            > {
                self.before_read("cargo_list").await?;
                self.inner.cargo_list(query).await
            }

            async fn cargo_history(
                &self,
                id: &$crate::values::ShipmentId,
                after: $crate::resource::Sequence,
                limit: usize,
            ) -> Result<Vec<$crate::resource::Sequence>, $crate::store::StoreError> {
                self.before_read("cargo_history").await?;
                self.inner.cargo_history(id, after, limit).await
            }
        }

        #[async_trait::async_trait]
        impl $crate::store::InventoryRepository for $name {
            async fn inventory(
                &self,
                id: &$crate::values::StationId,
                query: &$crate::store::InventoryQuery,
            ) -> Result<Option<$crate::store::InventoryPage>, $crate::store::StoreError> {
                self.before_read("inventory").await?;
                self.inner.inventory(id, query).await
            }

            async fn inventory_list(
                &self,
                before: Option<$crate::resource::Sequence>,
                limit: usize,
                items_max: usize,
            ) -> Result<
                $crate::store::Page<$crate::resource::Inventory, $crate::resource::Sequence>,
                $crate::store::StoreError,
            > {
                self.before_read("inventory_list").await?;
                self.inner.inventory_list(before, limit, items_max).await
            }

            async fn ledger(
                &self,
                station: &$crate::values::StationId,
                query: &$crate::store::LedgerQuery,
            ) -> Result<
                $crate::store::Page<$crate::resource::LedgerEntry, $crate::store::LedgerPosition>,
                $crate::store::StoreError,
            > {
                self.before_read("ledger").await?;
                self.inner.ledger(station, query).await
            }

            async fn ledger_after(
                &self,
                after: $crate::store::LedgerPosition,
                limit: usize,
            ) -> Result<
                $crate::store::Page<$crate::resource::LedgerEntry, $crate::store::LedgerPosition>,
                $crate::store::StoreError,
            > {
                self.before_read("ledger_after").await?;
                self.inner.ledger_after(after, limit).await
            }
        }

        #[async_trait::async_trait]
        impl $crate::store::EventLog for $name {
            async fn head(&self) -> Result<$crate::store::Head, $crate::store::StoreError> {
                self.before_read("head").await?;
                self.inner.head().await
            }

            async fn read(
                &self,
                after: $crate::resource::Sequence,
                records_max: usize,
                bytes_max: usize,
            ) -> Result<Vec<$crate::store::LogRecord>, $crate::store::StoreError> {
                self.before_read("read").await?;
                self.as_damaged(self.inner.read(after, records_max, bytes_max).await?)
            }

            async fn changed(
                &self,
                after: $crate::resource::Sequence,
            ) -> Result<(), $crate::store::StoreError> {
                self.before_read("changed").await?;
                self.inner.changed(after).await
            }
        }
    };
}
pub(super) use delegate_reads;

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
