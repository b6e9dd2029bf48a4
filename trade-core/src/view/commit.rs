//! What changed in a view, as a commit.

use super::View;
use super::slot::Slot;
use crate::hash::HashMap;
use crate::resource::{Place, Sequence, Version};
use crate::step::Part;
use crate::store::{Commit, Head, LedgerWrite, LogRecord, Receipt, StockRow, StockWrite, Write};
use crate::values::{ItemId, ShipmentId, StationId, Timestamp, ascending};
use std::hash::Hash;

impl View {
    /// The commit that stores everything that changed here since it was loaded, or since the commit before this one,
    /// with `log` as the record of it. From then on it counts as stored.
    pub fn commit(&mut self, time: Timestamp, log: Vec<LogRecord>, receipts: Vec<Receipt>) -> Commit {
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
            described: std::mem::take(&mut self.described),
            stock,
            ledger: ledger(&log),
            history: history(&log),
            log,
            receipts,
        }
    }

    /// Back to where the store was at `head`, before `commit` was made here, which did not come to be. Of what it was to
    /// touch, and of what was touched since, nothing is known any more.
    pub(crate) fn take_back(&mut self, commit: &Commit, head: Head) {
        let touched = std::mem::take(&mut self.touched);
        self.head = head;
        self.receipts.clear();
        self.stock_changed.clear();
        self.described.clear();
        for id in commit.trades.iter().map(|write| &write.key).chain(&touched.trades) {
            self.trades.remove(id);
        }
        for id in commit.cargo.iter().map(|write| &write.key).chain(&touched.cargo) {
            self.cargo.remove(id);
        }
        for id in commit.stations.iter().map(|write| &write.key).chain(&touched.stations) {
            self.stock_known -= self.stations.remove(id).map_or(0, |station| station.stock.len());
        }
    }

    fn write_stock(&mut self) -> Vec<StockWrite> {
        let changed = std::mem::take(&mut self.stock_changed);
        let changed = ascending(changed, |(station, _)| station.as_str());
        let write = |(station_id, item_id): (StationId, ItemId)| {
            let stock = self.stations.get_mut(&station_id)?.stock.get_mut(&item_id)?;
            let listed = std::mem::replace(&mut stock.stored, true);
            stock.changed = false;
            Some(StockWrite { row: StockRow { station_id, item_id, level: stock.level }, listed })
        };
        changed.into_iter().filter_map(write).collect()
    }
}

fn writes<K: AsRef<str> + Ord + Hash, S, T>(
    keys: Vec<K>,
    slots: &mut HashMap<K, S>,
    slot: impl Fn(&mut S) -> &mut Slot<T>,
    version: impl Fn(&T) -> Version + Copy,
) -> Vec<Write<K, T>> {
    let write = |key: K| slots.get_mut(&key).map(|found| slot(found).write(key, version));
    ascending(keys, K::as_ref).into_iter().filter_map(write).collect()
}

fn ledger(log: &[LogRecord]) -> Vec<LedgerWrite> {
    let mut writes = Vec::with_capacity(log.len());
    for record in log {
        let step = &record.step;
        for entry in step.ledger(record.first()) {
            let at_a_station = [&entry.from, &entry.to].iter().any(|end| matches!(end, Place::Station(_)));
            let carrier = step.stations.first().filter(|_| !at_a_station);
            let listed_at = carrier.map(|station| station.station_id.clone());
            writes.push(LedgerWrite { entry, listed_at });
        }
    }
    writes
}

fn history(log: &[LogRecord]) -> Vec<(ShipmentId, Sequence)> {
    let parts = log.iter().flat_map(|record| record.step.parts(record.first()));
    let later = parts.filter_map(|(sequence, _, part)| match part {
        Part::Cargo(cargo) if cargo.version > 1 => Some((cargo.shipment_id.clone(), sequence)),
        _ => None,
    });
    later.collect()
}
