//! The state that commands are decided on, and the one way it changes: by events.

use crate::command::RequestId;
use crate::event::{Event, EventData, InventoryUpdate};
use crate::resource::{
    Cargo, Inventory, LedgerEntry, Place, Sequence, Station, StockItem, StockLevel, Trade, Version,
};
use crate::store::{
    Commit, Head, Keys, LedgerWrite, Loaded, LogRecord, Receipt, StockRow, StockWrite, Write,
};
use crate::values::{ItemId, ShipmentId, StationId, Timestamp, TransactionId};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

/// The part of a store's state that some commands can touch, or all of it as the fold of all events.
///
/// [`View::evolve`] is the only way it changes, so what is stored cannot differ from what the events tell.
#[derive(Debug, Clone)]
pub struct View {
    head: Head,
    trades: HashMap<TransactionId, Slot<Trade>>,
    cargo: HashMap<ShipmentId, Slot<Cargo>>,
    stations: HashMap<StationId, StationSlot>,
    receipts: HashMap<RequestId, Receipt>,
}

#[derive(Debug, Clone)]
struct Slot<T> {
    /// The version in the store; none where it holds no such row.
    stored: Option<Version>,
    value: Option<Arc<T>>,
    changed: bool,
    /// The event that made it, where that is not stored yet.
    created: Sequence,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { stored: None, value: None, changed: false, created: 0 }
    }
}

impl<T> Slot<T> {
    fn stored(value: Arc<T>, version: Version) -> Self {
        Self { stored: Some(version), value: Some(value), changed: false, created: 0 }
    }

    fn set(&mut self, value: Arc<T>, sequence: Sequence) {
        if self.value.is_none() {
            self.created = sequence;
        }
        self.value = Some(value);
        self.changed = true;
    }

    fn write<K>(&self, key: K) -> Write<K, T> {
        let value = if self.changed { self.value.clone() } else { None };
        Write { key, expected: self.stored, value, created: self.created }
    }
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

impl View {
    /// The state before the first event.
    pub fn empty() -> Self {
        Self {
            head: Head::EMPTY,
            trades: HashMap::new(),
            cargo: HashMap::new(),
            stations: HashMap::new(),
            receipts: HashMap::new(),
        }
    }

    /// What a store holds under `keys`. What was asked for and not found is known to be absent.
    pub fn new(keys: &Keys, loaded: Loaded) -> Self {
        let mut view = Self { head: loaded.head, ..Self::empty() };
        let Keys { trades, cargo, stations, .. } = keys;
        view.trades.extend(trades.iter().map(|id| (id.clone(), Slot::default())));
        view.cargo.extend(cargo.iter().map(|id| (id.clone(), Slot::default())));
        view.stations.extend(stations.iter().map(|id| (id.clone(), StationSlot::default())));
        for trade in loaded.trades {
            let version = trade.version;
            view.trades.insert(trade.transaction_id.clone(), Slot::stored(trade, version));
        }
        for cargo in loaded.cargo {
            let version = cargo.version;
            view.cargo.insert(cargo.shipment_id.clone(), Slot::stored(cargo, version));
        }
        for station in loaded.stations {
            let version = station.version;
            let slot = view.stations.entry(station.station_id.clone()).or_default();
            slot.row = Slot::stored(Arc::new(station), version);
        }
        for StockRow { station_id, item_id, level } in loaded.stock {
            let slot = view.stations.entry(station_id).or_default();
            slot.stock.insert(item_id, StockSlot { level, listed: true, stored: true, changed: false });
        }
        view.receipts.extend(loaded.receipts.into_iter().map(|receipt| (receipt.request, receipt)));
        view
    }

    /// Where the log ended when the view was loaded.
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
                let slot = self.trades.entry(trade.transaction_id.clone()).or_default();
                slot.set(trade.clone(), event.sequence);
            }
            EventData::Cargo(cargo) => {
                self.cargo.entry(cargo.shipment_id.clone()).or_default().set(cargo.clone(), event.sequence);
            }
            EventData::Inventory(update) => self.evolve_station(update, event.sequence),
        }
    }

    fn evolve_station(&mut self, update: &InventoryUpdate, sequence: Sequence) {
        let Inventory { station_id, name, items, version, updated_at, .. } = &update.inventory;
        let slot = self.stations.entry(station_id.clone()).or_default();
        let before = slot.row.value.as_deref();
        let mut on_hand_total = before.map_or(0, |station| station.on_hand_total);
        let mut item_count = before.map_or(0, |station| station.item_count);
        for StockItem { item_id, level } in items {
            let stock = slot.stock.entry(item_id.clone()).or_default();
            on_hand_total = on_hand_total + u128::from(level.on_hand) - u128::from(stock.level.on_hand);
            item_count += u64::from(!stock.listed);
            *stock = StockSlot { level: *level, listed: true, changed: true, ..*stock };
        }
        let station = Station {
            station_id: station_id.clone(),
            name: name.clone(),
            on_hand_total,
            item_count,
            version: *version,
            updated_at: *updated_at,
        };
        slot.row.set(Arc::new(station), sequence);
    }

    /// The commit that stores everything that changed here since it was loaded, with `log` as the record of it.
    pub fn commit(
        &self,
        time: Timestamp,
        log: Vec<LogRecord>,
        events: &[Event],
        receipts: Vec<Receipt>,
    ) -> Commit {
        let stock = self.stations.iter().flat_map(|(station_id, slot)| {
            let changed = slot.stock.iter().filter(|(_, stock)| stock.changed);
            changed.map(|(item_id, stock)| StockWrite {
                row: StockRow {
                    station_id: station_id.clone(),
                    item_id: item_id.clone(),
                    level: stock.level,
                },
                listed: stock.stored,
            })
        });
        let mut stock: Vec<_> = stock.collect();
        stock.sort_by(|a, b| (&a.row.station_id, &a.row.item_id).cmp(&(&b.row.station_id, &b.row.item_id)));
        Commit {
            base: self.head,
            time,
            trades: writes(self.trades.iter()),
            cargo: writes(self.cargo.iter()),
            stations: writes(self.stations.iter().map(|(id, slot)| (id, &slot.row))),
            stock,
            ledger: ledger(events),
            history: history(events),
            log,
            receipts,
        }
    }
}

fn writes<'a, K, T>(slots: impl Iterator<Item = (&'a K, &'a Slot<T>)>) -> Vec<Write<K, T>>
where
    K: Clone + Ord + Hash + 'a,
    T: 'a,
{
    let mut writes: Vec<_> = slots.map(|(key, slot)| slot.write(key.clone())).collect();
    writes.sort_by(|a, b| a.key.cmp(&b.key));
    writes
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
