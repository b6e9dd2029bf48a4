//! A network in a database: the traits of the core, over any engine.

use crate::commit::{self, keys::StationKeys};
use crate::engine::Engine;
use crate::lane::Lane;
use crate::read::{cargo, inventory, ledger, load, log, receipts, trades};
use crate::replica::Replica;
use async_trait::async_trait;
use std::sync::Arc;
use trade_core::command::RequestId;
use trade_core::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade};
use trade_core::store::{
    Access, CargoQuery, CargoRepository, Commit, EventLog, Head, Held, InventoryPage, InventoryQuery,
    InventoryRepository, Keys, LedgerPosition, LedgerQuery, Loaded, LogRecord, Page, Receipt, Store,
    StoreError, StoreErrorKind, TradeQuery, TradeRepository,
};
use trade_core::values::{ShipmentId, StationId, Timestamp, TransactionId};

/// Keeps a network in a database; which kind of database is its engine.
#[derive(Debug)]
pub struct SqlStore<E: Engine> {
    pub(crate) lanes: Lanes<E>,
    pub(crate) stations: StationKeys,
    pub(crate) state: E::State,
    access: Access,
}

/// Connections, by what they are for.
#[derive(Debug)]
pub(crate) struct Lanes<E: Engine> {
    pub(crate) writer: Lane<E>,
    /// Loads what commands can touch: it waits for nobody who merely reads.
    pub(crate) loader: Lane<E>,
    /// Looks where the log ends.
    pub(crate) watcher: Arc<Lane<E>>,
    /// Single reads, lists, and the log.
    pub(crate) readers: Lane<E>,
    /// Lists, where these are read at a replica.
    pub(crate) replica: Option<Replica<E>>,
}

impl<E: Engine> Lanes<E> {
    /// Reads a list: at the replica where there is one that serves, else where single reads are.
    async fn list<'l, T, P, F>(&'l self, read: impl Fn(&'l Lane<E>) -> F) -> Result<Page<T, P>, StoreError>
    where
        F: Future<Output = Result<Page<T, P>, StoreError>>,
    {
        if let Some(replica) = &self.replica
            && let Some(page) = replica.list(&read).await
        {
            return Ok(page);
        }
        read(&self.readers).await
    }
}

impl<E: Engine> SqlStore<E> {
    pub(crate) fn new(lanes: Lanes<E>, state: E::State, access: Access) -> Self {
        Self { lanes, stations: StationKeys::default(), state, access }
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
        let Lanes { writer, loader, watcher, readers, replica } = &self.lanes;
        if let Some(replica) = replica {
            replica.close().await;
        }
        for lane in [&**watcher, loader, readers] {
            lane.close().await;
        }
        writer.close().await;
        E::stop(&self.state).await;
    }
}

#[async_trait]
impl<E: Engine> TradeRepository for SqlStore<E> {
    async fn trade(&self, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
        trades::one(&self.lanes.readers, id).await
    }

    async fn trades(&self, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
        self.lanes.list(|lane| trades::list(lane, query)).await
    }

    async fn expired_trades(&self, now: Timestamp, limit: usize) -> Result<Vec<TransactionId>, StoreError> {
        trades::expired(&self.lanes.readers, now, limit).await
    }
}

#[async_trait]
impl<E: Engine> CargoRepository for SqlStore<E> {
    async fn cargo(&self, id: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError> {
        cargo::one(&self.lanes.readers, id).await
    }

    async fn cargo_list(&self, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
        self.lanes.list(|lane| cargo::list(lane, query)).await
    }

    async fn cargo_history(
        &self,
        id: &ShipmentId,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Sequence>, StoreError> {
        cargo::history(&self.lanes.readers, id, after, limit).await
    }
}

#[async_trait]
impl<E: Engine> InventoryRepository for SqlStore<E> {
    async fn inventory(
        &self,
        id: &StationId,
        query: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError> {
        inventory::one(&self.lanes.readers, id, query).await
    }

    async fn inventory_list(
        &self,
        before: Option<Sequence>,
        limit: usize,
        items_max: usize,
    ) -> Result<Page<Inventory, Sequence>, StoreError> {
        self.lanes.list(|lane| inventory::list(lane, before, limit, items_max)).await
    }

    async fn ledger(
        &self,
        station: &StationId,
        query: &LedgerQuery,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        self.lanes.list(|lane| ledger::of_station(lane, station, query)).await
    }

    async fn ledger_after(
        &self,
        after: LedgerPosition,
        limit: usize,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        ledger::after(&self.lanes.readers, after, limit).await
    }
}

#[async_trait]
impl<E: Engine> EventLog for SqlStore<E> {
    async fn head(&self) -> Result<Head, StoreError> {
        const OPERATION: &str = "head";
        let head = log::head(&self.lanes.watcher, OPERATION).await;
        E::check(&self.state).await?;
        // Whoever asks whether the store is there means its readers as well.
        self.lanes.readers.prove(OPERATION).await?;
        head
    }

    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError> {
        log::read(&self.lanes.readers, after, records_max, bytes_max).await
    }

    async fn changed(&self, after: Sequence) -> Result<(), StoreError> {
        E::changed(self, after).await
    }
}

#[async_trait]
impl<E: Engine> Store for SqlStore<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        let loaded = load::load(&self.lanes.loader, &self.stations, keys).await;
        // A receipt that nobody finds again settles nothing.
        E::check(&self.state).await?;
        loaded
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        self.refuse_unwritable(commit::OPERATION)?;
        E::commit(self, commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        self.refuse_unwritable(commit::OPERATION)?;
        E::hold(self).await
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        match E::CLOCK {
            Some(sql) => log::clock(&self.lanes.watcher, sql).await.map(Some),
            None => Ok(None),
        }
    }

    async fn receipts(&self, after: Option<RequestId>, limit: usize) -> Result<Vec<Receipt>, StoreError> {
        receipts::list(&self.lanes.readers, after, limit).await
    }

    async fn prune_receipts(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.refuse_unwritable("prune receipts")?;
        E::check(&self.state).await?;
        log::prune_receipts(&self.lanes.writer, before, limit).await
    }
}
