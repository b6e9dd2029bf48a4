//! A network in a MongoDB database: the traits of the core.

use crate::connect;
use crate::options::MongoOptions;
use crate::read::seen::Seen;
use crate::read::{cargo, inventory, ledger, load, log, trades};
use crate::wake::Wake;
use crate::{classify, commit};
use async_trait::async_trait;
use mongodb::{ClientSession, Database};
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;
use trade_core::command::RequestId;
use trade_core::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade};
use trade_core::store::{
    CargoQuery, CargoRepository, Commit, EventLog, Head, Held, InventoryPage, InventoryQuery,
    InventoryRepository, Keys, LedgerPosition, LedgerQuery, Loaded, LogRecord, Page, Receipt, Store,
    StoreError, StoreErrorKind, TradeQuery, TradeRepository,
};
use trade_core::values::{ShipmentId, StationId, Timestamp, TransactionId};

/// Keeps a network in a database of a MongoDB replica set or sharded cluster.
pub struct MongoStore {
    /// By the connections of those who write, load what commands touch, or look where the log ends.
    pub(crate) database: Database,
    /// By those of everybody else: however many read, the others have theirs.
    pub(crate) reading: Database,
    /// What this store's connections are known by at the server.
    pub(crate) app_name: String,
    /// Whether the servers are `mongos`, each of which knows the transactions that go through it.
    pub(crate) is_sharded: bool,
    pub(crate) options: MongoOptions,
    pub(crate) seen: Seen,
    /// Held by whoever of this process writes: they would only meet at the head of the log.
    pub(crate) turn: Mutex<()>,
    pub(crate) wake: Wake,
}

/// Without the driver's options, among which are credentials.
impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStore")
            .field("database", &self.database.name())
            .field("app_name", &self.app_name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl MongoStore {
    /// Connects to `mongodb://…`, and makes the collections where they are missing. The database is that of the address,
    /// `trade_network` where it names none.
    ///
    /// # Errors
    /// [`Unsupported`](trade_core::store::StoreErrorKind::Unsupported) if the address cannot be read, or the server stands
    /// alone, is older than MongoDB 6.0, lets the user not in or do too little, or holds another application's
    /// documents in this database; [`Unavailable`](trade_core::store::StoreErrorKind::Unavailable) if it cannot be
    /// reached. None repeats a password.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, &MongoOptions::default()).await
    }

    /// As [`Self::connect`], with options.
    ///
    /// # Errors
    /// As [`Self::connect`]; `Unsupported` as well where there is no network, or an older one, and must not be changed.
    pub async fn connect_with(url: &str, options: &MongoOptions) -> Result<Self, StoreError> {
        connect::open(url, options).await
    }

    /// Closes every connection. Operations that run end in order, those that come after are refused as `Unavailable`.
    pub async fn close(&self) {
        self.wake.stop();
        // Whoever writes ends first; a head that is held for longer is let go of by the server.
        let patience = self.options.lock_timeout;
        let _turn = tokio::time::timeout(patience, self.turn.lock()).await;
        for client in [self.reading.client(), self.database.client()] {
            if tokio::time::timeout(patience, client.clone().shutdown()).await.is_err() {
                client.clone().shutdown().immediate(true).await;
            }
        }
    }

    /// Refuses to write where the store was opened to be read.
    fn refuse_unwritable(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.options.access.may_write() {
            return Ok(());
        }
        let detail = "the store was opened to be read alone";
        Err(StoreError::new(StoreErrorKind::Unsupported, classify::NAME, operation, detail))
    }

    /// A session for commands that belong together.
    pub(crate) async fn session(&self, operation: &'static str) -> Result<ClientSession, StoreError> {
        // What a read must have seen is said in the command itself.
        let session = self.database.client().start_session().causal_consistency(false).await;
        session.map_err(classify::classify(operation))
    }
}

#[async_trait]
impl TradeRepository for MongoStore {
    async fn trade(&self, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
        trades::one(self, id).await
    }

    async fn trades(&self, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
        trades::list(self, query).await
    }

    async fn expired_trades(&self, now: Timestamp, limit: usize) -> Result<Vec<TransactionId>, StoreError> {
        trades::expired(self, now, limit).await
    }
}

#[async_trait]
impl CargoRepository for MongoStore {
    async fn cargo(&self, id: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError> {
        cargo::one(self, id).await
    }

    async fn cargo_list(&self, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
        cargo::list(self, query).await
    }

    async fn cargo_history(
        &self,
        id: &ShipmentId,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Sequence>, StoreError> {
        cargo::history(self, id, after, limit).await
    }
}

#[async_trait]
impl InventoryRepository for MongoStore {
    async fn inventory(
        &self,
        id: &StationId,
        query: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError> {
        inventory::one(self, id, query).await
    }

    async fn inventory_list(
        &self,
        before: Option<Sequence>,
        limit: usize,
        items_max: usize,
    ) -> Result<Page<Inventory, Sequence>, StoreError> {
        inventory::list(self, before, limit, items_max).await
    }

    async fn ledger(
        &self,
        station: &StationId,
        query: &LedgerQuery,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        ledger::of_station(self, station, query).await
    }

    async fn ledger_after(
        &self,
        after: LedgerPosition,
        limit: usize,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        ledger::after(self, after, limit).await
    }
}

#[async_trait]
impl EventLog for MongoStore {
    async fn head(&self) -> Result<Head, StoreError> {
        log::head(self).await
    }

    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError> {
        log::read(self, after, records_max, bytes_max).await
    }

    async fn changed(&self, after: Sequence) -> Result<(), StoreError> {
        self.wake.changed(self, after).await
    }
}

#[async_trait]
impl Store for MongoStore {
    fn name(&self) -> &'static str {
        classify::NAME
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        load::load(self, keys).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        self.refuse_unwritable(commit::OPERATION)?;
        commit::commit(self, commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        self.refuse_unwritable(commit::OPERATION)?;
        Ok(Box::new(commit::hold(self).await?))
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        log::clock(self).await.map(Some)
    }

    async fn receipts(&self, after: Option<RequestId>, limit: usize) -> Result<Vec<Receipt>, StoreError> {
        log::receipts(self, after, limit).await
    }

    async fn prune_receipts(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.refuse_unwritable("prune receipts")?;
        commit::receipts::prune(self, before, limit).await
    }
}
