//! The state that commands are decided on, and the one way it changes: by events.

mod slot;

use crate::command::RequestId;
use crate::event::{Event, EventData, InventoryUpdate};
use crate::resource::{
    Cargo, Inventory, LedgerEntry, Place, Sequence, Station, StockItem, StockLevel, Trade, Version,
};
use crate::store::{
    Commit, Head, Keys, LedgerWrite, Loaded, LogRecord, Receipt, StockRow, StockWrite, Write,
};
use crate::values::{ItemId, ShipmentId, StationId, Timestamp, TransactionId};
use slot::Slot;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

/// The part of a store's state that some commands can touch, or all of it as the fold of all events.
///
/// [`View::evolve`] is the only way it changes, so what is stored cannot differ from what the events tell.
///
/// A view may outlive a commit: what [`View::commit`] hands out counts as stored from then on, and rows that are known
/// already need not be loaded again, as long as nobody else writes.
#[derive(Debug, Clone)]
pub struct View {
    head: Head,
    trades: HashMap<TransactionId, Slot<Trade>>,
    cargo: HashMap<ShipmentId, Slot<Cargo>>,
    stations: HashMap<StationId, StationSlot>,
    receipts: HashMap<RequestId, Receipt>,
    /// What the next commit depends on.
    touched: Touched,
    /// Levels that the next commit writes.
    stock_changed: Vec<(StationId, ItemId)>,
    /// Levels known here, listed or not.
    stock_known: usize,
    /// What [`View::undo`] puts back, latest last; none where nothing is to be undone.
    journal: Option<Vec<Before>>,
}

/// Keys, each once, in the order they were touched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    trades: Vec<TransactionId>,
    cargo: Vec<ShipmentId>,
    stations: Vec<StationId>,
}

#[derive(Debug, Clone, Default)]
struct StationSlot {
    row: Slot<Station>,
    stock: BTreeMap<ItemId, StockSlot>,
}

#[derive(Debug, Clone, Copy, Default)]
struct StockSlot {
    level: StockLevel,
    /// Whether the station lists the item.
    listed: bool,
    /// Whether the store does.
    stored: bool,
    changed: bool,
}

/// A row before an event changed it.
#[derive(Debug, Clone)]
enum Before {
    Trade(TransactionId, Slot<Trade>),
    Cargo(ShipmentId, Slot<Cargo>),
    Station(StationId, Slot<Station>),
    Stock(StationId, ItemId, StockSlot),
}

impl View {
    /// The state before the first event.
    pub fn empty() -> Self {
        Self {
            head: Head::EMPTY,
            trades: HashMap::new(),
            cargo: HashMap::new(),
            stations: HashMap::new(),
            receipts: HashMap::new(),
            touched: Touched::default(),
            stock_changed: Vec::new(),
            stock_known: 0,
            journal: None,
        }
    }

    /// What a store holds under `keys`. What was asked for and not found is known to be absent.
    pub fn new(keys: &Keys, loaded: Loaded) -> Self {
        let mut view = Self { head: loaded.head, ..Self::empty() };
        view.add(keys, loaded);
        view
    }

    /// Says where the log ends, of a view that knows nothing yet.
    pub(crate) fn start_at(&mut self, head: Head) {
        self.head = head;
    }

    /// Adds what a store holds under `keys`, none of which were known before; what is known stays as it is.
    pub(crate) fn add(&mut self, keys: &Keys, loaded: Loaded) {
        for trade in loaded.trades {
            let version = trade.version;
            let key = trade.transaction_id.clone();
            self.trades.entry(key).or_insert_with(|| Slot::stored(trade, version));
        }
        for cargo in loaded.cargo {
            let version = cargo.version;
            self.cargo.entry(cargo.shipment_id.clone()).or_insert_with(|| Slot::stored(cargo, version));
        }
        for station in loaded.stations {
            let version = station.version;
            let slot = self.stations.entry(station.station_id.clone()).or_default();
            if slot.row.value.is_none() {
                slot.row = Slot { touched: slot.row.touched, ..Slot::stored(Arc::new(station), version) };
            }
        }
        for StockRow { station_id, item_id, level } in loaded.stock {
            let stock = &mut self.stations.entry(station_id).or_default().stock;
            let stored = StockSlot { level, listed: true, stored: true, changed: false };
            self.stock_known += usize::from(!stock.contains_key(&item_id));
            stock.entry(item_id).or_insert(stored);
        }
        for (station, item) in &keys.stock {
            let stock = &mut self.stations.entry(station.clone()).or_default().stock;
            self.stock_known += usize::from(!stock.contains_key(item));
            stock.entry(item.clone()).or_default();
        }
        self.receipts.extend(loaded.receipts.into_iter().map(|receipt| (receipt.request, receipt)));
        for id in &keys.trades {
            self.trades.entry(id.clone()).or_default().touch(id, &mut self.touched.trades);
        }
        for id in &keys.cargo {
            self.cargo.entry(id.clone()).or_default().touch(id, &mut self.touched.cargo);
        }
        for id in keys.stations.iter().chain(&keys.inventories) {
            self.stations.entry(id.clone()).or_default().row.touch(id, &mut self.touched.stations);
        }
    }

    /// Notes that the next commit depends on a trade; asks for it in `missing` where it is not known.
    pub(crate) fn touch_trade(&mut self, id: &TransactionId, missing: &mut Keys) {
        match self.trades.get_mut(id) {
            Some(slot) => slot.touch(id, &mut self.touched.trades),
            None => drop(missing.trades.insert(id.clone())),
        }
    }

    /// As [`View::touch_trade`], of a shipment.
    pub(crate) fn touch_cargo(&mut self, id: &ShipmentId, missing: &mut Keys) {
        match self.cargo.get_mut(id) {
            Some(slot) => slot.touch(id, &mut self.touched.cargo),
            None => drop(missing.cargo.insert(id.clone())),
        }
    }

    /// As [`View::touch_trade`], of a station and some of its items.
    pub(crate) fn touch_station<'i>(
        &mut self,
        id: &StationId,
        items: impl Iterator<Item = &'i ItemId>,
        missing: &mut Keys,
    ) {
        let known = self.stations.get_mut(id);
        match &known {
            Some(slot) => {
                let unknown = items.filter(|item| !slot.stock.contains_key(*item));
                missing.stock.extend(unknown.map(|item| (id.clone(), item.clone())));
            }
            None => missing.stock.extend(items.map(|item| (id.clone(), item.clone()))),
        }
        match known {
            Some(slot) => slot.row.touch(id, &mut self.touched.stations),
            None => drop(missing.stations.insert(id.clone())),
        }
    }

    /// Forgets what an earlier commit depended on and the next one does not: trades and shipments, and where stations
    /// and levels are too many, those as well. Only where nothing is on its way into the store but what is changed here.
    pub(crate) fn forget(&mut self, earlier: &Touched, kept_max: usize) {
        for id in &earlier.trades {
            if self.trades.get(id).is_some_and(|slot| !slot.touched) {
                self.trades.remove(id);
            }
        }
        for id in &earlier.cargo {
            if self.cargo.get(id).is_some_and(|slot| !slot.touched) {
                self.cargo.remove(id);
            }
        }
        if self.stock_known + self.stations.len() > kept_max {
            self.stations.retain(|_, slot| slot.row.touched);
            for slot in self.stations.values_mut() {
                slot.stock.retain(|_, stock| stock.changed);
            }
            self.stock_known = self.stations.values().map(|slot| slot.stock.len()).sum();
        }
    }

    /// Forgets what was touched, where nothing was changed.
    pub(crate) fn let_go(&mut self, kept_max: usize) {
        let touched = std::mem::take(&mut self.touched);
        self.receipts.clear();
        for id in &touched.stations {
            if let Some(slot) = self.stations.get_mut(id) {
                slot.row.touched = false;
            }
        }
        for id in &touched.trades {
            self.trades.remove(id);
        }
        for id in &touched.cargo {
            self.cargo.remove(id);
        }
        self.forget(&Touched::default(), kept_max);
    }

    /// Where the log ends, the steps of [`View::commit`] included.
    pub fn head(&self) -> Head {
        self.head
    }

    /// A trade.
    pub fn trade(&self, id: &TransactionId) -> Option<&Arc<Trade>> {
        self.trades.get(id)?.value.as_ref()
    }

    /// A shipment.
    pub fn cargo(&self, id: &ShipmentId) -> Option<&Arc<Cargo>> {
        self.cargo.get(id)?.value.as_ref()
    }

    /// A station.
    pub fn station(&self, id: &StationId) -> Option<&Arc<Station>> {
        self.stations.get(id)?.row.value.as_ref()
    }

    /// The level of an item at a station, and whether the station lists it; all zero where it does not.
    pub fn stock(&self, station: &StationId, item: &ItemId) -> (StockLevel, bool) {
        let slot = self.stations.get(station).and_then(|station| station.stock.get(item));
        slot.map_or_else(Default::default, |slot| (slot.level, slot.listed))
    }

    /// A station with the items known here, at most [`Inventory::ITEMS_MAX`], ascending.
    pub fn inventory(&self, id: &StationId) -> Option<Inventory> {
        let slot = self.stations.get(id)?;
        let listed = slot.stock.iter().filter(|(_, stock)| stock.listed);
        let items = listed.map(|(item_id, stock)| StockItem { item_id: item_id.clone(), level: stock.level });
        Some(Inventory::new(slot.row.value.as_ref()?, items.take(Inventory::ITEMS_MAX).collect()))
    }

    /// The receipt of a request.
    pub fn receipt(&self, request: &RequestId) -> Option<&Receipt> {
        self.receipts.get(request)
    }

    /// Every trade, in no particular order.
    pub fn trades(&self) -> impl Iterator<Item = &Arc<Trade>> {
        self.trades.values().filter_map(|slot| slot.value.as_ref())
    }

    /// Every shipment, in no particular order.
    pub fn all_cargo(&self) -> impl Iterator<Item = &Arc<Cargo>> {
        self.cargo.values().filter_map(|slot| slot.value.as_ref())
    }

    /// Every station, in no particular order.
    pub fn stations(&self) -> impl Iterator<Item = &Arc<Station>> {
        self.stations.values().filter_map(|slot| slot.row.value.as_ref())
    }

    /// Every item a station lists, ascending.
    pub fn items<'a>(
        &'a self,
        station: &StationId,
    ) -> impl Iterator<Item = (&'a ItemId, StockLevel)> + use<'a> {
        let stock = self.stations.get(station).map(|slot| slot.stock.iter());
        stock.into_iter().flatten().filter(|(_, slot)| slot.listed).map(|(item, slot)| (item, slot.level))
    }

    /// Applies what an event tells. Events must come in the order of their sequences.
    pub fn evolve(&mut self, event: &Event) {
        match &event.data {
            EventData::Trade(trade) => {
                let id = &trade.transaction_id;
                let slot = self.trades.entry(id.clone()).or_default();
                if let Some(journal) = &mut self.journal {
                    journal.push(Before::Trade(id.clone(), slot.clone()));
                }
                slot.touch(id, &mut self.touched.trades);
                slot.set(trade.clone(), event.sequence);
            }
            EventData::Cargo(cargo) => {
                let id = &cargo.shipment_id;
                let slot = self.cargo.entry(id.clone()).or_default();
                if let Some(journal) = &mut self.journal {
                    journal.push(Before::Cargo(id.clone(), slot.clone()));
                }
                slot.touch(id, &mut self.touched.cargo);
                slot.set(cargo.clone(), event.sequence);
            }
            EventData::Inventory(update) => self.evolve_station(update, event.sequence),
        }
    }

    fn evolve_station(&mut self, update: &InventoryUpdate, sequence: Sequence) {
        let Inventory { station_id, name, items, version, updated_at, .. } = &update.inventory;
        let slot = self.stations.entry(station_id.clone()).or_default();
        if let Some(journal) = &mut self.journal {
            journal.push(Before::Station(station_id.clone(), slot.row.clone()));
        }
        let before = slot.row.value.as_deref();
        let mut on_hand_total = before.map_or(0, |station| station.on_hand_total);
        let mut item_count = before.map_or(0, |station| station.item_count);
        for StockItem { item_id, level } in items {
            let known = slot.stock.len();
            let stock = slot.stock.entry(item_id.clone()).or_default();
            if let Some(journal) = &mut self.journal {
                journal.push(Before::Stock(station_id.clone(), item_id.clone(), *stock));
            }
            on_hand_total = on_hand_total + u128::from(level.on_hand) - u128::from(stock.level.on_hand);
            item_count += u64::from(!stock.listed);
            if !stock.changed {
                self.stock_changed.push((station_id.clone(), item_id.clone()));
            }
            *stock = StockSlot { level: *level, listed: true, changed: true, ..*stock };
            self.stock_known += slot.stock.len() - known;
        }
        let station = Station {
            station_id: station_id.clone(),
            name: name.clone(),
            on_hand_total,
            item_count,
            version: *version,
            updated_at: *updated_at,
        };
        slot.row.touch(station_id, &mut self.touched.stations);
        slot.row.set(Arc::new(station), sequence);
    }

    /// Begins to remember what events change, so that it can be undone.
    pub(crate) fn remember(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// Keeps what was changed since [`View::remember`].
    pub(crate) fn keep(&mut self) {
        self.journal = None;
    }

    /// Puts back what was changed since [`View::remember`]. What was touched stays touched.
    pub(crate) fn undo(&mut self) {
        for before in self.journal.take().into_iter().flatten().rev() {
            match before {
                Before::Trade(id, slot) => {
                    self.trades.insert(id, Slot { touched: true, ..slot });
                }
                Before::Cargo(id, slot) => {
                    self.cargo.insert(id, Slot { touched: true, ..slot });
                }
                Before::Station(id, row) => {
                    self.stations.entry(id).or_default().row = Slot { touched: true, ..row };
                }
                Before::Stock(station, item, before) => {
                    if !before.changed {
                        self.stock_changed.pop();
                    }
                    self.stations.entry(station).or_default().stock.insert(item, before);
                }
            }
        }
    }

    /// The commit that stores everything that changed here since it was loaded, or since the commit before this one,
    /// with `log` as the record of it. From then on it counts as stored.
    pub fn commit(
        &mut self,
        time: Timestamp,
        log: Vec<LogRecord>,
        events: &[Event],
        receipts: Vec<Receipt>,
    ) -> Commit {
        let base = self.head;
        if let Some(record) = log.last() {
            self.head = Head { sequence: record.last, time };
        }
        self.receipts.clear();
        let touched = std::mem::take(&mut self.touched);
        let stock = self.write_stock();
        Commit {
            base,
            time,
            trades: writes(touched.trades, &mut self.trades, |slot| slot, |trade| trade.version),
            cargo: writes(touched.cargo, &mut self.cargo, |slot| slot, |cargo| cargo.version),
            stations: writes(touched.stations, &mut self.stations, |slot| &mut slot.row, |row| row.version),
            stock,
            ledger: ledger(events),
            history: history(events),
            log,
            receipts,
        }
    }

    fn write_stock(&mut self) -> Vec<StockWrite> {
        let mut changed = std::mem::take(&mut self.stock_changed);
        changed.sort_unstable();
        let write = |(station_id, item_id): (StationId, ItemId)| {
            let stock = self.stations.get_mut(&station_id)?.stock.get_mut(&item_id)?;
            let listed = std::mem::replace(&mut stock.stored, true);
            stock.changed = false;
            Some(StockWrite { row: StockRow { station_id, item_id, level: stock.level }, listed })
        };
        changed.into_iter().filter_map(write).collect()
    }
}

impl Touched {
    /// The trades and shipments that a commit depends on.
    pub(crate) fn by(commit: &Commit) -> Self {
        Self {
            trades: commit.trades.iter().map(|write| write.key.clone()).collect(),
            cargo: commit.cargo.iter().map(|write| write.key.clone()).collect(),
            stations: Vec::new(),
        }
    }
}

fn writes<K: Clone + Ord + Hash, S, T>(
    mut keys: Vec<K>,
    slots: &mut HashMap<K, S>,
    slot: impl Fn(&mut S) -> &mut Slot<T>,
    version: impl Fn(&T) -> Version + Copy,
) -> Vec<Write<K, T>> {
    keys.sort_unstable();
    let write = |key: K| slots.get_mut(&key).map(|found| slot(found).write(key, version));
    keys.into_iter().filter_map(write).collect()
}

fn ledger(events: &[Event]) -> Vec<LedgerWrite> {
    let updates = events.iter().filter_map(|event| match &event.data {
        EventData::Inventory(update) => Some(update),
        _ => None,
    });
    let write = |(update, entry): (&InventoryUpdate, &LedgerEntry)| {
        let at_a_station = [&entry.from, &entry.to].iter().any(|place| matches!(place, Place::Station(_)));
        let listed_at = (!at_a_station).then(|| update.inventory.station_id.clone());
        LedgerWrite { entry: entry.clone(), listed_at }
    };
    updates.flat_map(|update| update.movements.iter().map(move |entry| write((update, entry)))).collect()
}

fn history(events: &[Event]) -> Vec<(ShipmentId, Sequence)> {
    let later = events.iter().filter_map(|event| match &event.data {
        EventData::Cargo(cargo) if cargo.version > 1 => Some((cargo.shipment_id.clone(), event.sequence)),
        _ => None,
    });
    later.collect()
}
