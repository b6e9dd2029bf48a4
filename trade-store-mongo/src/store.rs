//! A network in a MongoDB database: the traits of the core.

use crate::api_keys;
use crate::classify::NAME;
use crate::commit;
use crate::connect;
use crate::link::Link;
use crate::options::MongoOptions;
use crate::read::{cargo, inventory, ledger, load, log, trades};
use crate::wake::Wake;
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use trade_core::access::{ApiKey, KeyId, KeyStore};
use trade_core::command::RequestId;
use trade_core::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade};
use trade_core::store::{
    CargoQuery, CargoRepository, Commit, EventLog, Head, Held, InventoryPage, InventoryQuery,
    InventoryRepository, Keys, LedgerPosition, LedgerQuery, Loaded, LogRecord, Page, Receipt, StationQuery,
    Store, StoreError, StoreErrorKind, TradeQuery, TradeRepository,
};
use trade_core::values::{ShipmentId, StationId, Timestamp, TransactionId};

/// Keeps a network in a database of a MongoDB replica set or sharded cluster.
pub struct MongoStore {
    pub(crate) link: Link,
    pub(crate) wake: Wake,
}

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStore").field("link", &self.link).finish_non_exhaustive()
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
        connect::open(url, options).await.map(Self::new)
    }

    /// Listens from now on.
    pub(crate) fn new(link: Link) -> Self {
        let wake = Wake::start(link.database.clone(), link.options.poll_interval);
        Self { link, wake }
    }

    /// Closes every connection. Operations that run end in order, those that come after are refused as `Unavailable`.
    pub async fn close(&self) {
        self.wake.stop();
        // Whoever writes ends first; a head that is held for longer is let go of by the server.
        let patience = self.link.options.lock_timeout;
        let _turn = tokio::time::timeout(patience, self.link.turn.lock()).await;
        for client in [self.link.reading.client(), self.link.database.client()] {
            if tokio::time::timeout(patience, client.clone().shutdown()).await.is_err() {
                client.clone().shutdown().immediate(true).await;
            }
        }
    }

    /// Refuses to write where the store was opened to be read.
    fn refuse_unwritable(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.link.options.access.may_write() {
            return Ok(());
        }
        let detail = "the store was opened to be read alone";
        Err(StoreError::new(StoreErrorKind::Unsupported, NAME, operation, detail))
    }
}

#[async_trait]
impl TradeRepository for MongoStore {
    async fn trade(&self, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
        trades::one(&self.link, id).await
    }

    async fn trades(&self, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
        trades::list(&self.link, query).await
    }

    async fn expired_trades(&self, now: Timestamp, limit: usize) -> Result<Vec<TransactionId>, StoreError> {
        trades::expired(&self.link, now, limit).await
    }
}

#[async_trait]
impl CargoRepository for MongoStore {
    async fn cargo(&self, id: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError> {
        cargo::one(&self.link, id).await
    }

    async fn cargo_list(&self, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
        cargo::list(&self.link, query).await
    }

    async fn cargo_history(
        &self,
        id: &ShipmentId,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Sequence>, StoreError> {
        cargo::history(&self.link, id, after, limit).await
    }
}

#[async_trait]
impl InventoryRepository for MongoStore {
    async fn inventory(
        &self,
        id: &StationId,
        query: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError> {
        inventory::one(&self.link, id, query).await
    }

    async fn inventory_list(&self, query: &StationQuery) -> Result<Page<Inventory, Sequence>, StoreError> {
        inventory::list(&self.link, query).await
    }

    async fn ledger(
        &self,
        station: &StationId,
        query: &LedgerQuery,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        ledger::of_station(&self.link, station, query).await
    }

    async fn ledger_after(
        &self,
        after: LedgerPosition,
        limit: usize,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        ledger::after(&self.link, after, limit).await
    }
}

#[async_trait]
impl EventLog for MongoStore {
    async fn head(&self) -> Result<Head, StoreError> {
        log::head(&self.link).await
    }

    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError> {
        log::read(&self.link, after, records_max, bytes_max).await
    }

    async fn changed(&self, after: Sequence) -> Result<(), StoreError> {
        self.wake.changed(&self.link, after).await
    }
}

#[async_trait]
impl Store for MongoStore {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        load::load(&self.link, keys).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        self.refuse_unwritable(commit::OPERATION)?;
        commit::commit(&self.link, commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        self.refuse_unwritable(commit::OPERATION)?;
        Ok(Box::new(commit::hold(&self.link).await?))
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        log::clock(&self.link).await.map(Some)
    }

    async fn receipts(&self, after: Option<RequestId>, limit: usize) -> Result<Vec<Receipt>, StoreError> {
        log::receipts(&self.link, after, limit).await
    }

    async fn prune_receipts(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.refuse_unwritable("prune receipts")?;
        commit::receipts::prune(&self.link, before, limit).await
    }
}

#[async_trait]
impl KeyStore for MongoStore {
    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        api_keys::key(&self.link, id).await
    }

    async fn keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
        api_keys::keys(&self.link, after, limit).await
    }

    async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.refuse_unwritable(api_keys::CHANGE)?;
        api_keys::put(&self.link, key).await
    }

    async fn note_use(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        self.refuse_unwritable(api_keys::USE)?;
        api_keys::note_use(&self.link, used).await
    }
}
