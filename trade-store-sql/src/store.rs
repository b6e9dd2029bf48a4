//! A network in a database: the traits of the core, over any engine.

use crate::api_keys;
use crate::commit::{self, keys::StationKeys};
use crate::engine::Engine;
use crate::parts::{Lanes, Parts};
use crate::read::{cargo, inventory, ledger, load, log, receipts, trades};
use async_trait::async_trait;
use std::sync::Arc;
use trade_core::access::{ApiKey, KeyId, KeyStore};
use trade_core::command::RequestId;
use trade_core::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade};
use trade_core::store::{
    Access, CargoQuery, CargoRepository, Commit, EventLog, Head, Held, InventoryPage, InventoryQuery,
    InventoryRepository, Keys, LedgerPosition, LedgerQuery, Loaded, LogRecord, Page, Receipt, StationQuery,
    Store, StoreError, StoreErrorKind, TradeQuery, TradeRepository,
};
use trade_core::values::{ShipmentId, StationId, Timestamp, TransactionId};

/// Keeps a network in a database; which kind of database is its engine.
#[derive(Debug)]
pub struct SqlStore<E: Engine> {
    pub(crate) parts: Parts<E, E::State>,
    access: Access,
}

impl<E: Engine> SqlStore<E> {
    pub(crate) fn new(lanes: Lanes<E>, state: E::State, access: Access) -> Self {
        Self { parts: Parts { lanes, stations: StationKeys::default(), state }, access }
    }

    /// Refuses to write where the store was opened to be read.
    fn refuse_unwritable(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.access.may_write() {
            return Ok(());
        }
        let detail = "the store was opened to be read alone";
        Err(StoreError::new(StoreErrorKind::Unsupported, E::NAME, operation, detail))
    }

    /// Closes every connection. Operations that run end in order, those that come after are refused as `Unavailable`.
    pub async fn close(&self) {
        let Lanes { writer, loader, watcher, readers, replica } = &self.parts.lanes;
        if let Some(replica) = replica {
            replica.close().await;
        }
        for lane in [&**watcher, loader, readers] {
            lane.close().await;
        }
        writer.close().await;
        E::stop(&self.parts.state).await;
    }
}

#[async_trait]
impl<E: Engine> TradeRepository for SqlStore<E> {
    async fn trade(&self, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
        trades::one(&self.parts.lanes.readers, id).await
    }

    async fn trades(&self, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
        self.parts.lanes.list(|lane| trades::list(lane, query)).await
    }

    async fn expired_trades(&self, now: Timestamp, limit: usize) -> Result<Vec<TransactionId>, StoreError> {
        trades::expired(&self.parts.lanes.readers, now, limit).await
    }
}

#[async_trait]
impl<E: Engine> CargoRepository for SqlStore<E> {
    async fn cargo(&self, id: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError> {
        cargo::one(&self.parts.lanes.readers, id).await
    }

    async fn cargo_list(&self, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
        self.parts.lanes.list(|lane| cargo::list(lane, query)).await
    }

    async fn cargo_history(
        &self,
        id: &ShipmentId,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Sequence>, StoreError> {
        cargo::history(&self.parts.lanes.readers, id, after, limit).await
    }
}

#[async_trait]
impl<E: Engine> InventoryRepository for SqlStore<E> {
    async fn inventory(
        &self,
        id: &StationId,
        query: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError> {
        inventory::one(&self.parts.lanes.readers, id, query).await
    }

    async fn inventory_list(&self, query: &StationQuery) -> Result<Page<Inventory, Sequence>, StoreError> {
        self.parts.lanes.list(|lane| inventory::list(lane, query)).await
    }

    async fn ledger(
        &self,
        station: &StationId,
        query: &LedgerQuery,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        self.parts.lanes.list(|lane| ledger::of_station(lane, station, query)).await
    }

    async fn ledger_after(
        &self,
        after: LedgerPosition,
        limit: usize,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        ledger::after(&self.parts.lanes.readers, after, limit).await
    }
}

#[async_trait]
impl<E: Engine> EventLog for SqlStore<E> {
    async fn head(&self) -> Result<Head, StoreError> {
        const OPERATION: &str = "head";
        let head = log::head(&self.parts.lanes.watcher, OPERATION).await;
        E::check(&self.parts.state).await?;
        // Whoever asks whether the store is there means its readers as well.
        self.parts.lanes.readers.prove(OPERATION).await?;
        head
    }

    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError> {
        log::read(&self.parts.lanes.readers, after, records_max, bytes_max).await
    }

    async fn changed(&self, after: Sequence) -> Result<(), StoreError> {
        E::changed(&self.parts, after).await
    }
}

#[async_trait]
impl<E: Engine> Store for SqlStore<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        let loaded = load::load(&self.parts.lanes.loader, &self.parts.stations, keys).await;
        // A receipt that nobody finds again settles nothing.
        E::check(&self.parts.state).await?;
        loaded
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        self.refuse_unwritable(commit::OPERATION)?;
        E::commit(&self.parts, commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        self.refuse_unwritable(commit::OPERATION)?;
        E::hold(&self.parts).await
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        match E::CLOCK {
            Some(sql) => log::clock(&self.parts.lanes.watcher, sql).await.map(Some),
            None => Ok(None),
        }
    }

    async fn receipts(&self, after: Option<RequestId>, limit: usize) -> Result<Vec<Receipt>, StoreError> {
        receipts::list(&self.parts.lanes.readers, after, limit).await
    }

    async fn prune_receipts(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.refuse_unwritable("prune receipts")?;
        E::check(&self.parts.state).await?;
        log::prune_receipts(&self.parts.lanes.writer, before, limit).await
    }
}

#[async_trait]
impl<E: Engine> KeyStore for SqlStore<E> {
    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let found = api_keys::key(&self.parts.lanes.readers, id).await;
        // Whoever is shut out by what another process wrote stays so.
        E::check(&self.parts.state).await?;
        found
    }

    async fn keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
        let found = api_keys::keys(&self.parts.lanes.readers, after, limit).await;
        E::check(&self.parts.state).await?;
        found
    }

    async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.refuse_unwritable(api_keys::CHANGE)?;
        E::check(&self.parts.state).await?;
        api_keys::put(&self.parts.lanes.writer, key).await?;
        E::check(&self.parts.state).await.map_err(api_keys::maybe_written)
    }

    async fn note_use(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        self.refuse_unwritable(api_keys::USE)?;
        E::check(&self.parts.state).await?;
        api_keys::note_use(&self.parts.lanes.writer, used).await
    }
}
