//! Everything a store holds, read through its repositories, to be compared.

use crate::event::Event;
use crate::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade};
use crate::store::{
    CargoFilter, CargoQuery, InventoryQuery, LedgerPosition, LogRecord, Page, StationQuery, Store,
    StoreError, TradeFilter, TradeQuery,
};
use crate::values::{ShipmentId, StationId, TransactionId};
use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE_ROWS: usize = 500;
const READ_BYTES: usize = 1 << 20;

/// The content of a store but its receipts, which can only be looked up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The newest sequence.
    pub head: Sequence,
    /// Every trade, newest first.
    pub trades: Vec<Arc<Trade>>,
    /// Every shipment, newest first.
    pub cargo: Vec<Arc<Cargo>>,
    /// The sequences of each shipment's events.
    pub history: BTreeMap<ShipmentId, Vec<Sequence>>,
    /// Every station with every item, newest first.
    pub inventories: Vec<Inventory>,
    /// The whole ledger, oldest first.
    pub ledger: Vec<LedgerEntry>,
    /// The whole log.
    pub log: Vec<LogRecord>,
}

impl Snapshot {
    /// Reads all of a store that nobody writes to meanwhile.
    ///
    /// # Panics
    /// If the store fails, or lists something that it does not find by its id.
    pub async fn of(store: &dyn Store) -> Self {
        let head = store.head().await.expect("the head is read").sequence;
        let trades = all_trades(store, &TradeFilter::default(), PAGE_ROWS).await;
        let cargo = all_cargo(store, &CargoFilter::default(), PAGE_ROWS).await;
        let mut history = BTreeMap::new();
        for cargo in &cargo {
            let id = &cargo.shipment_id;
            history.insert(
                id.clone(),
                store.cargo_history(id, 0, usize::MAX >> 1).await.expect("the history is read"),
            );
        }
        let mut inventories = Vec::new();
        for station in all_stations(store, PAGE_ROWS, 0).await {
            inventories.push(inventory(store, &station.station_id).await.expect("a listed station is found"));
        }
        Self {
            head,
            trades,
            cargo,
            history,
            inventories,
            ledger: all_ledger(store).await,
            log: log(store).await,
        }
    }

    /// Every event of the log.
    pub fn events(&self) -> Vec<Event> {
        self.log.iter().flat_map(|record| record.step.events(record.first())).collect()
    }

    /// A trade.
    pub fn trade(&self, id: &TransactionId) -> Option<&Trade> {
        self.trades.iter().find(|trade| trade.transaction_id == *id).map(|trade| &**trade)
    }

    /// A shipment.
    pub fn cargo(&self, id: &ShipmentId) -> Option<&Cargo> {
        self.cargo.iter().find(|cargo| cargo.shipment_id == *id).map(|cargo| &**cargo)
    }

    /// A station with all its items.
    pub fn inventory(&self, id: &StationId) -> Option<&Inventory> {
        self.inventories.iter().find(|inventory| inventory.station_id == *id)
    }
}

/// Every record of the log.
///
/// # Panics
/// If the log cannot be read, or has a gap.
pub async fn log(store: &dyn Store) -> Vec<LogRecord> {
    let mut records: Vec<LogRecord> = Vec::new();
    let mut position = 0;
    loop {
        let found = store.read(position, PAGE_ROWS, READ_BYTES).await.expect("the log is read");
        if found.is_empty() {
            return records;
        }
        for record in found {
            assert_eq!(record.first(), position + 1, "the log has no gap and no overlap");
            position = record.last;
            records.push(record);
        }
    }
}

/// Every event of the log.
///
/// # Panics
/// As [`log`] does.
pub async fn events(store: &dyn Store) -> Vec<Event> {
    log(store).await.iter().flat_map(|record| record.step.events(record.first())).collect()
}

/// A station with all its items; its pages must be of one version.
///
/// # Panics
/// If the store fails, or the station changes meanwhile.
pub async fn inventory(store: &dyn Store, id: &StationId) -> Option<Inventory> {
    let mut query = InventoryQuery { items: Vec::new(), after: None, limit: PAGE_ROWS };
    let page = store.inventory(id, &query).await.expect("the inventory is read")?;
    let (mut all, mut next) = (page.inventory, page.next);
    while next.is_some() {
        query.after = next;
        let page =
            store.inventory(id, &query).await.expect("the inventory is read").expect("the station remains");
        assert_eq!(page.inventory.version, all.version, "nobody writes meanwhile");
        assert!(!page.inventory.items.is_empty(), "a next page holds items");
        all.items.extend(page.inventory.items);
        next = page.next;
    }
    Some(all)
}

/// Every trade that passes a filter, walked in pages of `limit`.
///
/// # Panics
/// If the store fails, or its pages do not end.
pub async fn all_trades(store: &dyn Store, filter: &TradeFilter, limit: usize) -> Vec<Arc<Trade>> {
    let mut walk = Walk::new(limit);
    while walk.take(store.trades(&TradeQuery { filter: filter.clone(), before: walk.before, limit }).await) {}
    walk.rows
}

/// Every shipment that passes a filter, walked in pages of `limit`.
///
/// # Panics
/// If the store fails, or its pages do not end.
pub async fn all_cargo(store: &dyn Store, filter: &CargoFilter, limit: usize) -> Vec<Arc<Cargo>> {
    let mut walk = Walk::new(limit);
    while walk
        .take(store.cargo_list(&CargoQuery { filter: filter.clone(), before: walk.before, limit }).await)
    {
    }
    walk.rows
}

/// Every station with its first `items_max` items, walked in pages of `limit`.
///
/// # Panics
/// If the store fails, or its pages do not end.
pub async fn all_stations(store: &dyn Store, limit: usize, items_max: usize) -> Vec<Inventory> {
    let mut walk = Walk::new(limit);
    while walk.take(store.inventory_list(&StationQuery::all(walk.before, limit, items_max)).await) {}
    walk.rows
}

async fn all_ledger(store: &dyn Store) -> Vec<LedgerEntry> {
    let mut rows = Vec::new();
    let mut after = LedgerPosition::default();
    loop {
        let page = store.ledger_after(after, PAGE_ROWS).await.expect("the ledger is read");
        rows.extend(page.rows);
        match page.next {
            None => return rows,
            Some(next) => {
                assert!(next > after, "the pages of the ledger go on");
                after = next;
            }
        }
    }
}

/// Collects pages that go from newer to older.
#[derive(Debug)]
pub(crate) struct Walk<T> {
    pub(crate) before: Option<Sequence>,
    pub(crate) rows: Vec<T>,
    limit: usize,
}

impl<T> Walk<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { before: None, rows: Vec::new(), limit }
    }

    /// Takes a page, and answers whether another follows.
    pub(crate) fn take(&mut self, page: Result<Page<T, Sequence>, StoreError>) -> bool {
        let Page { rows, next, as_of: _ } = page.expect("the list is read");
        assert!(rows.len() <= self.limit, "a page holds at most {} rows, not {}", self.limit, rows.len());
        self.rows.extend(rows);
        let goes_on = next.is_none_or(|next| self.before.is_none_or(|before| next < before));
        assert!(goes_on, "the pages of a list go on");
        self.before = next;
        next.is_some()
    }
}
