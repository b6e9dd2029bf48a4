//! A store in memory: the whole contract but durability. For tests, examples, and programs that need no more.

mod state;
mod table;

use crate::access::{ApiKey, KeyId, KeyStore};
use crate::command::RequestId;
use crate::resource::{Cargo, Inventory, LedgerEntry, Sequence, StockItem, Trade};
use crate::store::{
    CargoQuery, CargoRepository, Commit, EventLog, Head, Held, InventoryPage, InventoryQuery,
    InventoryRepository, Keys, LedgerPosition, LedgerQuery, Loaded, LogRecord, Page, Receipt, StationQuery,
    Store, StoreError, StoreErrorKind, TradeQuery, TradeRepository,
};
use crate::values::{ShipmentId, StationId, Timestamp, TransactionId};
use async_trait::async_trait;
use state::State;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{self, Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{Mutex, MutexGuard};

/// A network that lives as long as its process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
    /// Taken by whoever commits, or is about to.
    head: Mutex<()>,
    keys: sync::Mutex<BTreeMap<KeyId, ApiKey>>,
}

impl MemoryStore {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    // A commit checks everything before it changes anything, so that even after a panic the state is whole.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> sync::MutexGuard<'_, BTreeMap<KeyId, ApiKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct HeldHead<'s> {
    store: &'s MemoryStore,
    _head: MutexGuard<'s, ()>,
}

#[async_trait]
impl Held for HeldHead<'_> {
    fn head(&self) -> Option<Head> {
        Some(self.store.state().head)
    }

    async fn commit(self: Box<Self>, commit: &Commit) -> Result<Head, StoreError> {
        let mut state = self.store.state_mut();
        state.check(commit)?;
        Ok(state.apply(commit))
    }
}

#[async_trait]
impl TradeRepository for MemoryStore {
    async fn trade(&self, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
        Ok(self.state().trade(id).cloned())
    }

    async fn trades(&self, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
        Ok(self.state().trades(query))
    }

    async fn expired_trades(&self, now: Timestamp, limit: usize) -> Result<Vec<TransactionId>, StoreError> {
        Ok(self.state().expired(now, limit))
    }
}

#[async_trait]
impl CargoRepository for MemoryStore {
    async fn cargo(&self, id: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError> {
        Ok(self.state().cargo(id).cloned())
    }

    async fn cargo_list(&self, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
        Ok(self.state().cargo_list(query))
    }

    async fn cargo_history(
        &self,
        id: &ShipmentId,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Sequence>, StoreError> {
        Ok(self.state().cargo_history(id, after, limit))
    }
}

#[async_trait]
impl InventoryRepository for MemoryStore {
    async fn inventory(
        &self,
        id: &StationId,
        query: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError> {
        let state = self.state();
        let Some(station) = state.station(id) else { return Ok(None) };
        let listed = station.stock.iter().filter(|(item, _)| {
            let wanted = query.items.is_empty() || query.items.contains(item);
            wanted && query.after.as_ref().is_none_or(|after| *item > after)
        });
        let mut items: Vec<_> = listed
            .take(query.limit + 1)
            .map(|(item_id, level)| StockItem { item_id: item_id.clone(), level: *level })
            .collect();
        let more = items.len() > query.limit;
        items.truncate(query.limit);
        let next = items.last().filter(|_| more).map(|item| item.item_id.clone());
        Ok(Some(InventoryPage { inventory: Inventory::new(&station.row, items), next }))
    }

    async fn inventory_list(&self, query: &StationQuery) -> Result<Page<Inventory, Sequence>, StoreError> {
        Ok(self.state().inventory_list(query))
    }

    async fn ledger(
        &self,
        station: &StationId,
        query: &LedgerQuery,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        Ok(self.state().ledger(station, query))
    }

    async fn ledger_after(
        &self,
        after: LedgerPosition,
        limit: usize,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        Ok(self.state().ledger_after(after, limit))
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.state().head)
    }

    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError> {
        Ok(self.state().read(after, records_max, bytes_max))
    }

    async fn changed(&self, _after: Sequence) -> Result<(), StoreError> {
        // Two services may share one store within a process.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        Ok(self.state().load(keys))
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        self.hold().await?.commit(commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        Ok(Box::new(HeldHead { store: self, _head: self.head.lock().await }))
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn receipts(&self, after: Option<RequestId>, limit: usize) -> Result<Vec<Receipt>, StoreError> {
        Ok(self.state().receipts(after, limit))
    }

    async fn prune_receipts(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        Ok(self.state_mut().prune_receipts(before, limit))
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.keys().get(id).cloned())
    }

    async fn keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.keys().range((after, Bound::Unbounded)).take(limit).map(|(_, key)| key.clone()).collect())
    }

    async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        let mut keys = self.keys();
        let stored = keys.get(&key.id);
        if stored.map_or(0, |stored| stored.version) + 1 != key.version {
            let detail = "the key has another version";
            return Err(StoreError::new(StoreErrorKind::Conflict, "memory", "store a key", detail));
        }
        let last_used_at = stored.and_then(|stored| stored.last_used_at);
        keys.insert(key.id.clone(), ApiKey { last_used_at, ..key.clone() });
        Ok(())
    }

    async fn note_use(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let mut keys = self.keys();
        for (id, time) in used {
            if let Some(key) = keys.get_mut(id) {
                key.last_used_at = key.last_used_at.max(Some(*time));
            }
        }
        Ok(())
    }
}
