use super::index::{Index, page};
use crate::command::RequestId;
use crate::resource::{
    Cargo, CargoStatus, Inventory, LedgerEntry, Place, Sequence, Station, StockItem, StockLevel, Trade,
    TradeStatus, Version,
};
use crate::store::{
    CargoQuery, Commit, Head, Keys, LedgerPosition, LedgerQuery, LedgerWrite, Loaded, LogRecord, Page,
    Receipt, StockRow, StoreError, StoreErrorKind, TimeRange, TradeQuery, Write,
};
use crate::values::{ItemId, ShipmentId, StationId, Timestamp, TransactionId, UNITS_MAX};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Bound, Range};
use std::sync::Arc;

/// Ledger rows examined for one page at most.
const LEDGER_EXAMINED_MAX: usize = 5_000;

#[derive(Debug)]
pub(super) struct State {
    pub(super) head: Head,
    log: Vec<LogRecord>,
    trades: BTreeMap<Sequence, Arc<Trade>>,
    trade_ids: HashMap<TransactionId, Sequence>,
    trades_by_station: Index<StationId>,
    trades_by_seller: Index<StationId>,
    trades_by_buyer: Index<StationId>,
    trades_by_status: Index<TradeStatus>,
    trades_by_item: Index<ItemId>,
    expiring: BTreeSet<(Timestamp, TransactionId)>,
    cargo: BTreeMap<Sequence, Arc<Cargo>>,
    cargo_ids: HashMap<ShipmentId, Sequence>,
    cargo_by_origin: Index<StationId>,
    cargo_by_destination: Index<StationId>,
    cargo_by_status: Index<CargoStatus>,
    cargo_open: BTreeSet<Sequence>,
    history: HashMap<ShipmentId, Vec<Sequence>>,
    stations: HashMap<StationId, StationState>,
    station_order: BTreeMap<Sequence, StationId>,
    ledger: BTreeMap<LedgerPosition, LedgerEntry>,
    receipts: HashMap<RequestId, Receipt>,
    receipt_times: BTreeSet<(Timestamp, RequestId)>,
}

#[derive(Debug)]
pub(super) struct StationState {
    pub(super) row: Arc<Station>,
    pub(super) stock: BTreeMap<ItemId, StockLevel>,
    ledger: Vec<LedgerPosition>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            head: Head::EMPTY,
            log: Vec::new(),
            trades: BTreeMap::new(),
            trade_ids: HashMap::new(),
            trades_by_station: Index::default(),
            trades_by_seller: Index::default(),
            trades_by_buyer: Index::default(),
            trades_by_status: Index::default(),
            trades_by_item: Index::default(),
            expiring: BTreeSet::new(),
            cargo: BTreeMap::new(),
            cargo_ids: HashMap::new(),
            cargo_by_origin: Index::default(),
            cargo_by_destination: Index::default(),
            cargo_by_status: Index::default(),
            cargo_open: BTreeSet::new(),
            history: HashMap::new(),
            stations: HashMap::new(),
            station_order: BTreeMap::new(),
            ledger: BTreeMap::new(),
            receipts: HashMap::new(),
            receipt_times: BTreeSet::new(),
        }
    }
}

/// Reading.
impl State {
    pub(super) fn trade(&self, id: &TransactionId) -> Option<&Arc<Trade>> {
        self.trades.get(self.trade_ids.get(id)?)
    }

    pub(super) fn cargo(&self, id: &ShipmentId) -> Option<&Arc<Cargo>> {
        self.cargo.get(self.cargo_ids.get(id)?)
    }

    pub(super) fn station(&self, id: &StationId) -> Option<&StationState> {
        self.stations.get(id)
    }

    pub(super) fn trades(&self, query: &TradeQuery) -> Page<Arc<Trade>, Sequence> {
        let range = self.span(query.filter.created, query.before);
        let filter = &query.filter;
        let walk: Box<dyn Iterator<Item = Sequence> + '_> =
            match (&filter.seller, &filter.buyer, &filter.station, &filter.item, filter.status) {
                (Some(seller), ..) => self.trades_by_seller.newest(seller, range),
                (_, Some(buyer), ..) => self.trades_by_buyer.newest(buyer, range),
                (_, _, Some(station), ..) => self.trades_by_station.newest(station, range),
                (_, _, _, Some(item), _) => self.trades_by_item.newest(item, range),
                (_, _, _, _, Some(status)) => self.trades_by_status.newest(&status, range),
                _ => Box::new(self.trades.range(range).rev().map(|(sequence, _)| *sequence)),
            };
        page(walk, query.limit, |sequence| {
            self.trades.get(&sequence).filter(|trade| filter.matches(trade)).cloned()
        })
    }

    pub(super) fn cargo_list(&self, query: &CargoQuery) -> Page<Arc<Cargo>, Sequence> {
        let range = self.span(query.filter.created, query.before);
        let filter = &query.filter;
        let walk: Box<dyn Iterator<Item = Sequence> + '_> =
            match (&filter.origin, &filter.destination, filter.status, filter.late_at) {
                (Some(origin), ..) => self.cargo_by_origin.newest(origin, range),
                (_, Some(destination), ..) => self.cargo_by_destination.newest(destination, range),
                (_, _, Some(status), _) => self.cargo_by_status.newest(&status, range),
                (_, _, _, Some(_)) => Box::new(self.cargo_open.range(range).rev().copied()),
                _ => Box::new(self.cargo.range(range).rev().map(|(sequence, _)| *sequence)),
            };
        page(walk, query.limit, |sequence| {
            self.cargo.get(&sequence).filter(|cargo| filter.matches(cargo)).cloned()
        })
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
        let made = self.cargo_ids.get(id).into_iter();
        let later = self.history.get(id).into_iter().flatten();
        made.chain(later).copied().filter(|sequence| *sequence > after).take(limit).collect()
    }

    pub(super) fn expired(&self, now: Timestamp, limit: usize) -> Vec<TransactionId> {
        let due = self.expiring.iter().take_while(|(expires_at, _)| *expires_at <= now);
        due.take(limit).map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn inventory_list(
        &self,
        before: Option<Sequence>,
        limit: usize,
        items_max: usize,
    ) -> Page<Inventory, Sequence> {
        let walk =
            self.station_order.range(..before.unwrap_or(Sequence::MAX)).rev().map(|(sequence, _)| *sequence);
        page(walk, limit, |sequence| {
            let station = self.stations.get(self.station_order.get(&sequence)?)?;
            let items = station.stock.iter().take(items_max);
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
        let positions = self.stations.get(station).map_or(&[][..], |station| &station.ledger);
        let end = query.before.map_or(positions.len(), |before| positions.partition_point(|at| *at < before));
        let mut rows = Vec::new();
        for (examined, position) in positions[..end].iter().rev().enumerate() {
            let entry = self.ledger.get(position);
            rows.extend(
                entry.filter(|entry| query.item.as_ref().is_none_or(|item| entry.item_id == *item)).cloned(),
            );
            let full = rows.len() == query.limit || examined + 1 == LEDGER_EXAMINED_MAX;
            if full {
                let more = examined + 1 < end;
                return Page { rows, next: more.then_some(*position) };
            }
        }
        Page { rows, next: None }
    }

    pub(super) fn ledger_after(
        &self,
        after: LedgerPosition,
        limit: usize,
    ) -> Page<LedgerEntry, LedgerPosition> {
        let mut walk = self.ledger.range((Bound::Excluded(after), Bound::Unbounded));
        let mut rows = Vec::new();
        let mut last = None;
        for (position, entry) in walk.by_ref().take(limit) {
            rows.push(entry.clone());
            last = Some(*position);
        }
        let more = walk.next().is_some();
        Page { rows, next: last.filter(|_| more) }
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

/// Some measure of a record's size: what it would be, roughly, were it encoded.
fn size(record: &LogRecord) -> usize {
    const BYTES_PER_LINE: usize = 40;
    let cargo_lines = record.step.cargo.as_ref().map_or(0, |cargo| cargo.items.len());
    let stock_lines: usize = record.step.stations.iter().map(|station| station.items.len()).sum();
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
        let fresh = commit.receipts.iter().all(|receipt| !self.receipts.contains_key(&receipt.request));
        let follows = commit.base.sequence <= self.head.sequence && commit.time_first() >= self.head.time;
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
        for write in &commit.trades {
            if let Some(trade) = &write.value {
                self.put_trade(trade, write.created + moved);
            }
        }
        for write in &commit.cargo {
            if let Some(cargo) = &write.value {
                self.put_cargo(cargo, write.created + moved);
            }
        }
        for write in &commit.stations {
            if let Some(station) = &write.value {
                self.put_station(station, write.created + moved);
            }
        }
        for write in &commit.stock {
            let StockRow { station_id, item_id, level } = &write.row;
            if let Some(station) = self.stations.get_mut(station_id) {
                station.stock.insert(item_id.clone(), *level);
            }
        }
        self.put_ledger(&commit.ledger, moved);
        for (id, sequence) in &commit.history {
            self.history.entry(id.clone()).or_default().push(sequence + moved);
        }
        for receipt in &commit.receipts {
            self.receipt_times.insert((receipt.time, receipt.request));
            self.receipts.insert(receipt.request, receipt.clone());
        }
        let log = commit.log.iter();
        self.log.extend(log.map(|record| LogRecord { last: record.last + moved, step: record.step.clone() }));
        self.head.sequence += commit.event_count();
        if commit.event_count() > 0 {
            self.head.time = commit.time;
        }
        self.head
    }

    fn put_trade(&mut self, trade: &Arc<Trade>, created: Sequence) {
        let id = &trade.transaction_id;
        let sequence = *self.trade_ids.entry(id.clone()).or_insert(created);
        match self.trades.insert(sequence, trade.clone()) {
            Some(before) => self.trades_by_status.remove(&before.status, sequence),
            None => {
                for station in [&trade.seller, &trade.buyer] {
                    self.trades_by_station.insert(station, sequence);
                }
                self.trades_by_seller.insert(&trade.seller, sequence);
                self.trades_by_buyer.insert(&trade.buyer, sequence);
                for line in trade.items.iter() {
                    self.trades_by_item.insert(&line.item_id, sequence);
                }
            }
        }
        self.trades_by_status.insert(&trade.status, sequence);
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
        let sequence = *self.cargo_ids.entry(cargo.shipment_id.clone()).or_insert(created);
        match self.cargo.insert(sequence, cargo.clone()) {
            Some(before) => self.cargo_by_status.remove(&before.status, sequence),
            None => {
                self.cargo_by_origin.insert(&cargo.origin, sequence);
                self.cargo_by_destination.insert(&cargo.destination, sequence);
            }
        }
        self.cargo_by_status.insert(&cargo.status, sequence);
        if cargo.status.is_final() {
            self.cargo_open.remove(&sequence);
        } else {
            self.cargo_open.insert(sequence);
        }
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
        let state = StationState { row: station.clone(), stock: BTreeMap::new(), ledger: Vec::new() };
        self.stations.insert(id.clone(), state);
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
                    station.ledger.push(last);
                }
            }
            self.ledger.insert(last, LedgerEntry { sequence, ..entry.clone() });
        }
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
