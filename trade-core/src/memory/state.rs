use super::table::{Table, merged, newest, page};
use crate::command::RequestId;
use crate::hash::HashMap;
use crate::resource::{
    Cargo, CargoStatus, Inventory, LedgerEntry, Place, Sequence, Station, StockItem, StockLevel, Trade,
    TradeStatus, Version,
};
use crate::store::{
    CargoQuery, Commit, Head, Keys, LedgerPosition, LedgerQuery, LedgerWrite, Loaded, LogRecord, Page,
    Receipt, StationQuery, StockRow, StoreError, StoreErrorKind, TimeRange, TradeQuery, Write,
};
use crate::values::{ItemId, ShipmentId, StationId, Timestamp, TransactionId, UNITS_MAX};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::Hash;
use std::ops::{Bound, Range};
use std::sync::Arc;

/// Ledger rows examined for one page at most.
const LEDGER_EXAMINED_MAX: usize = 5_000;

#[derive(Debug)]
pub(super) struct State {
    pub(super) head: Head,
    log: Vec<LogRecord>,
    trades: Table<TransactionId, Trade>,
    trades_by_status: HashMap<TradeStatus, BTreeSet<usize>>,
    trades_by_item: HashMap<ItemId, Vec<usize>>,
    expiring: BTreeSet<(Timestamp, TransactionId)>,
    cargo: Table<ShipmentId, Cargo>,
    cargo_by_status: HashMap<CargoStatus, BTreeSet<usize>>,
    history: HashMap<ShipmentId, Vec<Sequence>>,
    stations: HashMap<StationId, StationState>,
    station_order: BTreeMap<Sequence, StationId>,
    /// In the order of their positions.
    ledger: Vec<(LedgerPosition, LedgerEntry)>,
    receipts: BTreeMap<RequestId, Receipt>,
    receipt_times: BTreeSet<(Timestamp, RequestId)>,
}

/// A station, and where what concerns it stands, ascending.
#[derive(Debug)]
pub(super) struct StationState {
    pub(super) row: Arc<Station>,
    created: Sequence,
    pub(super) stock: BTreeMap<ItemId, StockLevel>,
    sold: Vec<usize>,
    bought: Vec<usize>,
    sent: Vec<usize>,
    received: Vec<usize>,
    ledger: Vec<usize>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            head: Head::EMPTY,
            log: Vec::new(),
            trades: Table::default(),
            trades_by_status: HashMap::default(),
            trades_by_item: HashMap::default(),
            expiring: BTreeSet::new(),
            cargo: Table::default(),
            cargo_by_status: HashMap::default(),
            history: HashMap::default(),
            stations: HashMap::default(),
            station_order: BTreeMap::new(),
            ledger: Vec::new(),
            receipts: BTreeMap::new(),
            receipt_times: BTreeSet::new(),
        }
    }
}

impl StationState {
    fn new(row: Arc<Station>, created: Sequence) -> Self {
        Self {
            row,
            created,
            stock: BTreeMap::new(),
            sold: Vec::new(),
            bought: Vec::new(),
            sent: Vec::new(),
            received: Vec::new(),
            ledger: Vec::new(),
        }
    }
}

/// Reading.
impl State {
    pub(super) fn trade(&self, id: &TransactionId) -> Option<&Arc<Trade>> {
        self.trades.get(id)
    }

    pub(super) fn cargo(&self, id: &ShipmentId) -> Option<&Arc<Cargo>> {
        self.cargo.get(id)
    }

    pub(super) fn station(&self, id: &StationId) -> Option<&StationState> {
        self.stations.get(id)
    }

    pub(super) fn trades(&self, query: &TradeQuery) -> Page<Arc<Trade>, Sequence> {
        let places = self.trades.places(&self.span(query.filter.created, query.before));
        let filter = &query.filter;
        let of = |station: &StationId, list: fn(&StationState) -> &[usize]| {
            newest(self.stations.get(station).map_or(&[], list), &places)
        };
        let sides = |id| [of(id, |station| &station.sold), of(id, |station| &station.bought)];
        let named = (&filter.seller, &filter.buyer, &filter.station, &filter.item, filter.status);
        let walk: Box<dyn Iterator<Item = usize> + '_> = match filter.scope.set() {
            Some(scope) => Box::new(merged(scope.as_slice().iter().flat_map(sides))),
            None => match named {
                (Some(seller), ..) => Box::new(of(seller, |station| &station.sold)),
                (_, Some(buyer), ..) => Box::new(of(buyer, |station| &station.bought)),
                (_, _, Some(id), ..) => Box::new(merged(sides(id))),
                (_, _, _, Some(item), _) => {
                    Box::new(newest(self.trades_by_item.get(item).map_or(&[], Vec::as_slice), &places))
                }
                (_, _, _, _, Some(status)) => {
                    Box::new(newest_of(self.trades_by_status.get(&status), places.clone()))
                }
                _ => Box::new(places.clone().rev()),
            },
        };
        self.trades.page(walk, query.limit, |trade| filter.matches(trade))
    }

    pub(super) fn cargo_list(&self, query: &CargoQuery) -> Page<Arc<Cargo>, Sequence> {
        let places = self.cargo.places(&self.span(query.filter.created, query.before));
        let filter = &query.filter;
        let of = |station: &StationId, list: fn(&StationState) -> &[usize]| {
            newest(self.stations.get(station).map_or(&[], list), &places)
        };
        let with = |status| newest_of(self.cargo_by_status.get(&status), places.clone());
        let sides = |id| [of(id, |station| &station.sent), of(id, |station| &station.received)];
        let named = (&filter.origin, &filter.destination, filter.status, filter.late_at);
        let walk: Box<dyn Iterator<Item = usize> + '_> = match filter.scope.set() {
            Some(scope) => Box::new(merged(scope.as_slice().iter().flat_map(sides))),
            None => match named {
                (Some(origin), ..) => Box::new(of(origin, |station| &station.sent)),
                (_, Some(destination), ..) => Box::new(of(destination, |station| &station.received)),
                (_, _, Some(status), _) => Box::new(with(status)),
                // Late is what is not final.
                (_, _, _, Some(_)) => {
                    Box::new(merged([CargoStatus::Pending, CargoStatus::InTransit].map(with)))
                }
                _ => Box::new(places.clone().rev()),
            },
        };
        self.cargo.page(walk, query.limit, |cargo| filter.matches(cargo))
    }

    /// The sequences of a span of time: time never runs backwards along the log.
    fn span(&self, created: TimeRange, before: Option<Sequence>) -> Range<Sequence> {
        let first_at = |time: Timestamp| {
            let place = self.log.partition_point(|record| record.step.time < time);
            self.log.get(place).map_or(self.head.sequence + 1, LogRecord::first)
        };
        let end = before.unwrap_or(Sequence::MAX).min(created.until.map_or(Sequence::MAX, first_at));
        // A range may not end before it starts.
        created.since.map_or(0, first_at).min(end)..end
    }

    pub(super) fn cargo_history(&self, id: &ShipmentId, after: Sequence, limit: usize) -> Vec<Sequence> {
        let made = self.cargo.created(id).into_iter();
        let later = self.history.get(id).into_iter().flatten().copied();
        made.chain(later).filter(|sequence| *sequence > after).take(limit).collect()
    }

    pub(super) fn expired(&self, now: Timestamp, limit: usize) -> Vec<TransactionId> {
        let due = self.expiring.iter().take_while(|(expires_at, _)| *expires_at <= now);
        due.take(limit).map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn inventory_list(&self, query: &StationQuery) -> Page<Inventory, Sequence> {
        let before = query.before.unwrap_or(Sequence::MAX);
        let walk: Box<dyn Iterator<Item = Sequence> + '_> = match query.scope.set() {
            Some(scope) => {
                let known = scope.as_slice().iter().filter_map(|id| Some(self.stations.get(id)?.created));
                let mut created: Vec<_> = known.filter(|created| *created < before).collect();
                created.sort_unstable();
                Box::new(created.into_iter().rev())
            }
            None => Box::new(self.station_order.range(..before).rev().map(|(created, _)| *created)),
        };
        page(walk.map(|created| (created, created)), query.limit, |created| {
            let station = self.stations.get(self.station_order.get(&created)?)?;
            let items = station.stock.iter().take(query.items_max);
            let item = |(item_id, level): (&ItemId, &StockLevel)| StockItem {
                item_id: item_id.clone(),
                level: *level,
            };
            Some(Inventory::new(&station.row, items.map(item).collect()))
        })
    }

    pub(super) fn ledger(
        &self,
        station: &StationId,
        query: &LedgerQuery,
    ) -> Page<LedgerEntry, LedgerPosition> {
        let places = self.stations.get(station).map_or(&[][..], |station| &station.ledger);
        let earlier = |before| places.partition_point(|place| self.ledger[*place].0 < before);
        let end = query.before.map_or(places.len(), earlier);
        let mut rows = Vec::new();
        for (examined, place) in places[..end].iter().rev().enumerate() {
            let (position, entry) = &self.ledger[*place];
            if query.item.as_ref().is_none_or(|item| entry.item_id == *item) {
                rows.push(entry.clone());
            }
            let full = rows.len() == query.limit || examined + 1 == LEDGER_EXAMINED_MAX;
            if full {
                let more = examined + 1 < end;
                return Page { rows, next: more.then_some(*position), as_of: None };
            }
        }
        Page { rows, next: None, as_of: None }
    }

    pub(super) fn ledger_after(
        &self,
        after: LedgerPosition,
        limit: usize,
    ) -> Page<LedgerEntry, LedgerPosition> {
        let from = self.ledger.partition_point(|(position, _)| *position <= after);
        let mut walk = self.ledger[from..].iter();
        let mut rows = Vec::new();
        let mut last = None;
        for (position, entry) in walk.by_ref().take(limit) {
            rows.push(entry.clone());
            last = Some(*position);
        }
        let more = walk.next().is_some();
        Page { rows, next: last.filter(|_| more), as_of: None }
    }

    pub(super) fn read(&self, after: Sequence, records_max: usize, bytes_max: usize) -> Vec<LogRecord> {
        let from = self.log.partition_point(|record| record.last <= after);
        let mut bytes = 0;
        let wanted = self.log[from..].iter().take(records_max.max(1)).take_while(|record| {
            let room = bytes == 0 || bytes < bytes_max;
            bytes += size(record);
            room
        });
        wanted.cloned().collect()
    }

    pub(super) fn load(&self, keys: &Keys) -> Loaded {
        let stock_row = |(station_id, item_id): &(StationId, ItemId)| {
            let level = *self.stations.get(station_id)?.stock.get(item_id)?;
            Some(StockRow { station_id: station_id.clone(), item_id: item_id.clone(), level })
        };
        let mut stock: Vec<_> = keys.stock.iter().filter_map(stock_row).collect();
        for id in &keys.inventories {
            let items = self.stations.get(id).into_iter().flat_map(|station| &station.stock);
            stock.extend(items.take(Inventory::ITEMS_MAX).map(|(item_id, level)| StockRow {
                station_id: id.clone(),
                item_id: item_id.clone(),
                level: *level,
            }));
        }
        let stations = keys.stations.iter().chain(&keys.inventories).filter_map(|id| self.stations.get(id));
        Loaded {
            head: self.head,
            trades: keys.trades.iter().filter_map(|id| self.trade(id).cloned()).collect(),
            cargo: keys.cargo.iter().filter_map(|id| self.cargo(id).cloned()).collect(),
            stations: stations.map(|station| Station::clone(&station.row)).collect(),
            stock,
            receipts: keys.requests.iter().filter_map(|id| self.receipts.get(id).cloned()).collect(),
        }
    }
}

/// What a commit writes, oldest rows first.
fn written<K, T>(writes: &[Write<K, T>]) -> Vec<&Write<K, T>> {
    let mut written: Vec<_> = writes.iter().filter(|write| write.value.is_some()).collect();
    written.sort_unstable_by_key(|write| write.created);
    written
}

/// Those of some places that are in a range, newest first.
fn newest_of(places: Option<&BTreeSet<usize>>, range: Range<usize>) -> impl Iterator<Item = usize> {
    places.into_iter().flat_map(move |places| places.range(range.clone()).rev().copied())
}

/// A row is no longer of a status.
fn leave<S: Eq + Hash>(by_status: &mut HashMap<S, BTreeSet<usize>>, status: S, place: usize) {
    if let Some(places) = by_status.get_mut(&status) {
        places.remove(&place);
    }
}

/// Some measure of a record's size: what it would be, roughly, were it encoded.
fn size(record: &LogRecord) -> usize {
    const BYTES_PER_LINE: usize = 40;
    let cargo_lines = record.step.cargo.as_ref().map_or(0, |cargo| cargo.lines());
    let stock_lines: usize = record.step.stations.iter().map(Inventory::lines).sum();
    BYTES_PER_LINE * (1 + cargo_lines + stock_lines)
}

/// Writing.
impl State {
    /// Checks that a commit finds everything as it expects.
    pub(super) fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        let trades = self.as_expected(&commit.trades, |id| self.trade(id).map(|trade| trade.version));
        let cargo = self.as_expected(&commit.cargo, |id| self.cargo(id).map(|cargo| cargo.version));
        let stations =
            self.as_expected(&commit.stations, |id| self.station(id).map(|station| station.row.version));
        let mut requests = HashSet::new();
        let mut receipts = commit.receipts.iter().map(|receipt| receipt.request);
        let fresh = receipts.all(|request| requests.insert(request) && !self.receipts.contains_key(&request));
        let follows = commit.shift_to(self.head).is_ok();
        if !(trades && cargo && stations && fresh && follows) {
            return Err(StoreError::new(
                StoreErrorKind::Conflict,
                "memory",
                "commit",
                "something changed since it was loaded",
            ));
        }
        let sound = |level: &StockLevel| {
            level.reserved <= level.on_hand && level.on_hand.saturating_add(level.incoming) <= UNITS_MAX
        };
        if !commit.stock.iter().all(|write| sound(&write.row.level)) {
            return Err(StoreError::new(
                StoreErrorKind::Internal,
                "memory",
                "commit",
                "a stock level is out of its range",
            ));
        }
        Ok(())
    }

    fn as_expected<K, T>(&self, writes: &[Write<K, T>], version: impl Fn(&K) -> Option<Version>) -> bool {
        writes.iter().all(|write| version(&write.key) == write.expected)
    }

    /// Stores a commit that was checked.
    pub(super) fn apply(&mut self, commit: &Commit) -> Head {
        let moved = self.head.sequence - commit.base.sequence;
        for write in written(&commit.stations) {
            if let Some(station) = &write.value {
                self.put_station(station, write.created + moved);
            }
        }
        for write in written(&commit.trades) {
            if let Some(trade) = &write.value {
                self.put_trade(trade, write.created + moved);
            }
        }
        for write in written(&commit.cargo) {
            if let Some(cargo) = &write.value {
                self.put_cargo(cargo, write.created + moved);
            }
        }
        for write in &commit.stock {
            let StockRow { station_id, item_id, level } = &write.row;
            if let Some(station) = self.stations.get_mut(station_id) {
                match station.stock.get_mut(item_id) {
                    Some(known) => *known = *level,
                    None => drop(station.stock.insert(item_id.clone(), *level)),
                }
            }
        }
        self.put_ledger(&commit.ledger, moved);
        for (id, sequence) in &commit.history {
            self.history.entry(id.clone()).or_default().push(sequence + moved);
        }
        for receipt in &commit.receipts {
            let steps = receipt.steps.map(|steps| steps.shifted(moved));
            self.receipt_times.insert((receipt.time, receipt.request));
            self.receipts.insert(receipt.request, Receipt { steps, ..receipt.clone() });
        }
        let log = commit.log.iter();
        self.log.extend(log.map(|record| LogRecord { last: record.last + moved, step: record.step.clone() }));
        self.head = commit.head_after(self.head);
        self.head
    }

    fn put_trade(&mut self, trade: &Arc<Trade>, created: Sequence) {
        let id = &trade.transaction_id;
        let (place, before) = self.trades.put(id, trade.clone(), created);
        match before {
            Some(before) => leave(&mut self.trades_by_status, before.status, place),
            None => {
                if let Some(seller) = self.stations.get_mut(&trade.seller) {
                    seller.sold.push(place);
                }
                if let Some(buyer) = self.stations.get_mut(&trade.buyer) {
                    buyer.bought.push(place);
                }
                for line in trade.items.iter() {
                    let places = match self.trades_by_item.get_mut(&line.item_id) {
                        Some(places) => places,
                        None => self.trades_by_item.entry(line.item_id.clone()).or_default(),
                    };
                    // Two lines of one item differ in price.
                    if places.last() != Some(&place) {
                        places.push(place);
                    }
                }
            }
        }
        self.trades_by_status.entry(trade.status).or_default().insert(place);
        if let Some(expires_at) = trade.expires_at {
            let entry = (expires_at, id.clone());
            if trade.status == TradeStatus::Initiated {
                self.expiring.insert(entry);
            } else {
                self.expiring.remove(&entry);
            }
        }
    }

    fn put_cargo(&mut self, cargo: &Arc<Cargo>, created: Sequence) {
        let (place, before) = self.cargo.put(&cargo.shipment_id, cargo.clone(), created);
        match before {
            Some(before) => leave(&mut self.cargo_by_status, before.status, place),
            None => {
                if let Some(origin) = self.stations.get_mut(&cargo.origin) {
                    origin.sent.push(place);
                }
                if let Some(destination) = self.stations.get_mut(&cargo.destination) {
                    destination.received.push(place);
                }
            }
        }
        self.cargo_by_status.entry(cargo.status).or_default().insert(place);
        if cargo.status != CargoStatus::Pending
            && let Some(id) = &cargo.transaction_id
            && let Some(expires_at) = self.trade(id).and_then(|trade| trade.expires_at)
        {
            self.expiring.remove(&(expires_at, id.clone()));
        }
    }

    fn put_station(&mut self, station: &Arc<Station>, created: Sequence) {
        let id = &station.station_id;
        if let Some(known) = self.stations.get_mut(id) {
            known.row = station.clone();
            return;
        }
        self.stations.insert(id.clone(), StationState::new(station.clone(), created));
        self.station_order.insert(created, id.clone());
    }

    fn put_ledger(&mut self, writes: &[LedgerWrite], moved: Sequence) {
        let mut last = LedgerPosition::default();
        for LedgerWrite { entry, listed_at } in writes {
            let sequence = entry.sequence + moved;
            let index = if sequence == last.sequence { last.index + 1 } else { 0 };
            last = LedgerPosition { sequence, index };
            let ends = [&entry.from, &entry.to].into_iter().filter_map(|place| match place {
                Place::Station(id) => Some(id),
                Place::Transit | Place::World => None,
            });
            for id in ends.chain(listed_at) {
                if let Some(station) = self.stations.get_mut(id) {
                    station.ledger.push(self.ledger.len());
                }
            }
            self.ledger.push((last, LedgerEntry { sequence, ..entry.clone() }));
        }
    }

    pub(super) fn receipts(&self, after: Option<RequestId>, limit: usize) -> Vec<Receipt> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let named = self.receipts.range((from, Bound::Unbounded)).map(|(_, receipt)| receipt);
        let named = named.filter(|receipt| receipt.steps.is_some()).take(limit);
        named.map(|receipt| Receipt { answer: None, ..receipt.clone() }).collect()
    }

    pub(super) fn prune_receipts(&mut self, before: Timestamp, limit: usize) -> u64 {
        let old = self.receipt_times.iter().take_while(|(time, _)| *time < before);
        let old: Vec<_> = old.take(limit).copied().collect();
        for entry in &old {
            self.receipt_times.remove(entry);
            self.receipts.remove(&entry.1);
        }
        old.len() as u64
    }
}
