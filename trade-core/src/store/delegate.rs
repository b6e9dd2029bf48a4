//! Passing on what a wrapping store does not change.

/// Implements the repositories for a type by passing every call to `self.inner`, by way of
/// `self.pass_on(operation, call).await`, which decides what becomes of it.
macro_rules! delegate_repositories {
    ($name:ty) => {
        #[async_trait::async_trait]
        impl $crate::store::TradeRepository for $name {
            async fn trade(
                &self,
                id: &$crate::values::TransactionId,
            ) -> Result<Option<std::sync::Arc<$crate::resource::Trade>>, $crate::store::StoreError> {
                self.pass_on("trade", async { self.inner.trade(id).await }).await
            }

            async fn trades(
                &self,
                query: &$crate::store::TradeQuery,
            ) -> Result<
                $crate::store::Page<std::sync::Arc<$crate::resource::Trade>, $crate::resource::Sequence>,
                $crate::store::StoreError,
            > {
                self.pass_on("trades", async { self.inner.trades(query).await }).await
            }

            async fn expired_trades(
                &self,
                now: $crate::values::Timestamp,
                limit: usize,
            ) -> Result<Vec<$crate::values::TransactionId>, $crate::store::StoreError> {
                self.pass_on("expired_trades", async { self.inner.expired_trades(now, limit).await }).await
            }
        }

        #[async_trait::async_trait]
        impl $crate::store::CargoRepository for $name {
            async fn cargo(
                &self,
                id: &$crate::values::ShipmentId,
            ) -> Result<Option<std::sync::Arc<$crate::resource::Cargo>>, $crate::store::StoreError> {
                self.pass_on("cargo", async { self.inner.cargo(id).await }).await
            }

            async fn cargo_list(
                &self,
                query: &$crate::store::CargoQuery,
            ) -> Result<
                $crate::store::Page<std::sync::Arc<$crate::resource::Cargo>, $crate::resource::Sequence>,
                $crate::store::StoreError,
            > {
                self.pass_on("cargo_list", async { self.inner.cargo_list(query).await }).await
            }

            async fn cargo_history(
                &self,
                id: &$crate::values::ShipmentId,
                after: $crate::resource::Sequence,
                limit: usize,
            ) -> Result<Vec<$crate::resource::Sequence>, $crate::store::StoreError> {
                self.pass_on("cargo_history", async { self.inner.cargo_history(id, after, limit).await })
                    .await
            }
        }

        #[async_trait::async_trait]
        impl $crate::store::InventoryRepository for $name {
            async fn inventory(
                &self,
                id: &$crate::values::StationId,
                query: &$crate::store::InventoryQuery,
            ) -> Result<Option<$crate::store::InventoryPage>, $crate::store::StoreError> {
                self.pass_on("inventory", async { self.inner.inventory(id, query).await }).await
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
                self.pass_on("inventory_list", async {
                    self.inner.inventory_list(before, limit, items_max).await
                })
                .await
            }

            async fn ledger(
                &self,
                station: &$crate::values::StationId,
                query: &$crate::store::LedgerQuery,
            ) -> Result<
                $crate::store::Page<$crate::resource::LedgerEntry, $crate::store::LedgerPosition>,
                $crate::store::StoreError,
            > {
                self.pass_on("ledger", async { self.inner.ledger(station, query).await }).await
            }

            async fn ledger_after(
                &self,
                after: $crate::store::LedgerPosition,
                limit: usize,
            ) -> Result<
                $crate::store::Page<$crate::resource::LedgerEntry, $crate::store::LedgerPosition>,
                $crate::store::StoreError,
            > {
                self.pass_on("ledger_after", async { self.inner.ledger_after(after, limit).await }).await
            }
        }
    };
}
pub(crate) use delegate_repositories;
