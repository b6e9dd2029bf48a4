//! The state that commands are decided on, and the one way it changes: by events.

mod commit;
mod follow;
mod slot;

use crate::command::RequestId;
use crate::event::{Event, EventData};
use crate::hash::HashMap;
use crate::resource::{Cargo, Inventory, Sequence, Station, StockItem, StockLevel, Trade};
use crate::step::{Part, Step};
use crate::store::{Head, Keys, Loaded, Receipt, StockRow};
use crate::values::{ItemId, ShipmentId, StationId, TransactionId, ascending};
use slot::Slot;
use std::collections::BTreeSet;
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
    /// Stations that have another name or other metadata than the store holds.
    described: BTreeSet<StationId>,
    /// Levels known here, listed or not.
    stock_known: usize,
    /// What [`View::undo`] puts back, latest last; none where nothing is to be undone.
    journal: Option<Vec<Before>>,
}

/// Keys, each once, in the order they were touched.
#[derive(Debug, Clone, Default)]
struct Touched {
    trades: Vec<TransactionId>,
    cargo: Vec<ShipmentId>,
    stations: Vec<StationId>,
}

/// Keys that a view does not know, in the order they were asked for, some of them more than once.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    trades: Vec<TransactionId>,
    cargo: Vec<ShipmentId>,
    stations: Vec<StationId>,
    stock: Vec<(StationId, ItemId)>,
}

impl Missing {
    /// Whether every station that was asked for is known, with its levels.
    pub(crate) fn no_station(&self) -> bool {
        self.stations.is_empty() && self.stock.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.trades.is_empty() && self.cargo.is_empty() && self.stations.is_empty() && self.stock.is_empty()
    }

    /// The same as what a store is asked for.
    pub(crate) fn into_keys(self) -> Keys {
        Keys {
            trades: ascending(self.trades, TransactionId::as_str).into_iter().collect(),
            cargo: ascending(self.cargo, ShipmentId::as_str).into_iter().collect(),
            stations: self.stations.into_iter().collect(),
            stock: self.stock.into_iter().collect(),
            ..Keys::default()
        }
    }
}

#[derive(Debug, Clone, Default)]
struct StationSlot {
    row: Slot<Station>,
    stock: HashMap<ItemId, StockSlot>,
    /// Whether all the items are known that an answer lists of the station.
    whole: bool,
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
    /// None where the view did not know it.
    Trade(TransactionId, Option<Slot<Trade>>),
    Cargo(ShipmentId, Option<Slot<Cargo>>),
    Station(StationId, Slot<Station>),
    Stock(StationId, ItemId, StockSlot),
}

/// What a view knows of one station.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels<'v>(Option<&'v StationSlot>);

impl<'v> Levels<'v> {
    pub(crate) fn station(self) -> Option<&'v Station> {
        self.0?.row.value.as_deref()
    }

    /// As [`View::stock`].
    pub(crate) fn level(self, item: &ItemId) -> (StockLevel, bool) {
        let slot = self.0.and_then(|station| station.stock.get(item));
        slot.map_or_else(Default::default, |slot| (slot.level, slot.listed))
    }
}

impl View {
    /// The state before the first event.
    pub fn empty() -> Self {
        Self {
            head: Head::EMPTY,
            trades: HashMap::default(),
            cargo: HashMap::default(),
            stations: HashMap::default(),
            receipts: HashMap::default(),
            touched: Touched::default(),
            stock_changed: Vec::new(),
            described: BTreeSet::new(),
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
        for id in &keys.inventories {
            self.stations.entry(id.clone()).or_default().whole = true;
        }
        for id in keys.stations.iter().chain(&keys.inventories) {
            self.stations.entry(id.clone()).or_default().row.touch(id, &mut self.touched.stations);
        }
    }

    /// Notes that the next commit depends on a trade; asks for it in `missing` where it is not known.
    pub(crate) fn touch_trade(&mut self, id: &TransactionId, missing: &mut Missing) {
        match self.trades.get_mut(id) {
            Some(slot) => slot.touch(id, &mut self.touched.trades),
            None => missing.trades.push(id.clone()),
        }
    }

    /// As [`View::touch_trade`], of a shipment.
    pub(crate) fn touch_cargo(&mut self, id: &ShipmentId, missing: &mut Missing) {
        match self.cargo.get_mut(id) {
            Some(slot) => slot.touch(id, &mut self.touched.cargo),
            None => missing.cargo.push(id.clone()),
        }
    }

    /// As [`View::touch_trade`], of a station and some of its items.
    pub(crate) fn touch_station<'i>(
        &mut self,
        id: &StationId,
        items: impl Iterator<Item = &'i ItemId>,
        missing: &mut Missing,
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
            None => missing.stations.push(id.clone()),
        }
    }

    /// Forgets what the next commit does not depend on: trades and shipments, and where stations and levels are too
    /// many, those as well. Only where nothing is on its way into the store but what is changed here.
    pub(crate) fn forget(&mut self, kept_max: usize) {
        self.trades.retain(|_, slot| slot.touched);
        self.cargo.retain(|_, slot| slot.touched);
        if self.stock_known + self.stations.len() > kept_max {
            self.stations.retain(|_, slot| slot.row.touched);
            for slot in self.stations.values_mut() {
                slot.stock.retain(|_, stock| stock.changed);
                slot.whole = false;
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
        self.trades.clear();
        self.cargo.clear();
        self.forget(kept_max);
    }

    /// Whether all the items are known that an answer lists of a station.
    pub(crate) fn knows_whole(&self, id: &StationId) -> bool {
        self.stations.get(id).is_some_and(|slot| slot.whole)
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
        self.levels(station).level(item)
    }

    /// A station with its levels, looked up once.
    pub(crate) fn levels(&self, station: &StationId) -> Levels<'_> {
        Levels(self.stations.get(station))
    }

    /// A station with the items known here, at most [`Inventory::ITEMS_MAX`], ascending.
    pub fn inventory(&self, id: &StationId) -> Option<Inventory> {
        let station = self.station(id)?;
        let items = self.items(id).map(|(item_id, level)| StockItem { item_id: item_id.clone(), level });
        Some(Inventory::new(station, items.take(Inventory::ITEMS_MAX).collect()))
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
        let stock = self.stations.get(station).into_iter().flat_map(|slot| &slot.stock);
        let listed = stock.filter(|(_, slot)| slot.listed).map(|(item, slot)| (item, slot.level));
        let mut items: Vec<_> = listed.collect();
        items.sort_unstable_by_key(|(item, _)| *item);
        items.into_iter()
    }

    /// Applies what an event tells. Events must come in the order of their sequences.
    pub fn evolve(&mut self, event: &Event) {
        match &event.data {
            EventData::Trade(trade) => self.evolve_trade(trade, event.sequence),
            EventData::Cargo(cargo) => self.evolve_cargo(cargo, event.sequence),
            EventData::Inventory(update) => self.evolve_station(&update.inventory, event.sequence),
        }
    }

    /// Applies what the events of a step tell, from `first` on.
    pub fn evolve_step(&mut self, step: &Step, first: Sequence) {
        for (sequence, _, part) in step.parts(first) {
            match part {
                Part::Trade(trade) => self.evolve_trade(trade, sequence),
                Part::Cargo(cargo) => self.evolve_cargo(cargo, sequence),
                Part::Station(inventory) => self.evolve_station(inventory, sequence),
            }
        }
    }

    fn evolve_trade(&mut self, trade: &Arc<Trade>, sequence: Sequence) {
        let id = &trade.transaction_id;
        if let Some(journal) = &mut self.journal {
            journal.push(Before::Trade(id.clone(), self.trades.get(id).cloned()));
        }
        let slot = self.trades.entry(id.clone()).or_default();
        slot.touch(id, &mut self.touched.trades);
        slot.set(trade.clone(), sequence);
    }

    fn evolve_cargo(&mut self, cargo: &Arc<Cargo>, sequence: Sequence) {
        let id = &cargo.shipment_id;
        if let Some(journal) = &mut self.journal {
            journal.push(Before::Cargo(id.clone(), self.cargo.get(id).cloned()));
        }
        let slot = self.cargo.entry(id.clone()).or_default();
        slot.touch(id, &mut self.touched.cargo);
        slot.set(cargo.clone(), sequence);
    }

    fn evolve_station(&mut self, inventory: &Inventory, sequence: Sequence) {
        let Inventory { station_id, name, metadata, items, version, updated_at, .. } = inventory;
        let slot = self.stations.entry(station_id.clone()).or_default();
        if let Some(journal) = &mut self.journal {
            journal.push(Before::Station(station_id.clone(), slot.row.clone()));
        }
        let (mut gained, mut listed) = (0, 0);
        for StockItem { item_id, level } in items {
            let known = slot.stock.len();
            let stock = slot.stock.entry(item_id.clone()).or_default();
            if let Some(journal) = &mut self.journal {
                journal.push(Before::Stock(station_id.clone(), item_id.clone(), *stock));
            }
            gained += i128::from(level.on_hand) - i128::from(stock.level.on_hand);
            listed += u64::from(!stock.listed);
            if !stock.changed {
                self.stock_changed.push((station_id.clone(), item_id.clone()));
            }
            *stock = StockSlot { level: *level, listed: true, changed: true, ..*stock };
            self.stock_known += slot.stock.len() - known;
        }
        slot.row.touch(station_id, &mut self.touched.stations);
        let unknown = || Station {
            station_id: station_id.clone(),
            name: name.clone(),
            metadata: metadata.clone(),
            on_hand_total: 0,
            item_count: 0,
            version: *version,
            updated_at: *updated_at,
        };
        // Changed where it is, unless the store or the journal holds it as well.
        let station = Arc::make_mut(slot.row.change(sequence, unknown));
        if (&station.name, &station.metadata) != (name, metadata) {
            station.name.clone_from(name);
            station.metadata.clone_from(metadata);
            self.described.insert(station_id.clone());
        }
        station.on_hand_total = station.on_hand_total.saturating_add_signed(gained);
        station.item_count += listed;
        station.version = *version;
        station.updated_at = *updated_at;
    }

    /// Begins to remember what events change, so that it can be undone.
    pub(crate) fn remember(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// Keeps what was changed since [`View::remember`].
    pub(crate) fn keep(&mut self) {
        self.journal = None;
    }

    /// Puts back what was changed since [`View::remember`]. What was known and touched stays touched; what was not
    /// known is not known to be absent either.
    pub(crate) fn undo(&mut self) {
        for before in self.journal.take().into_iter().flatten().rev() {
            match before {
                Before::Trade(id, slot) => put_back(&mut self.trades, id, slot, &mut self.touched.trades),
                Before::Cargo(id, slot) => put_back(&mut self.cargo, id, slot, &mut self.touched.cargo),
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
}

/// Puts a row back as it was known. One that was not is no longer touched; only rows that are known can have been touched
/// after it.
fn put_back<K: Hash + Eq, T>(
    slots: &mut HashMap<K, Slot<T>>,
    id: K,
    slot: Option<Slot<T>>,
    touched: &mut Vec<K>,
) {
    match slot {
        Some(slot) => {
            slots.insert(id, Slot { touched: true, ..slot });
        }
        None => {
            slots.remove(&id);
            if let Some(place) = touched.iter().rposition(|key| *key == id) {
                touched.remove(place);
            }
        }
    }
}
