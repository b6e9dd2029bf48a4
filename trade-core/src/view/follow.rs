//! How a view follows what others wrote.

use super::slot::Slot;
use super::{StationSlot, StockSlot, View};
use crate::hash::HashMap;
use crate::resource::{Inventory, Station, StockItem};
use crate::store::{Head, LogRecord};
use crate::values::UNITS_MAX;
use std::hash::Hash;
use std::sync::Arc;

impl View {
    /// Brings the view, in which nothing is changed, from its head to where the log stood when it ended at `head`, by
    /// the records between. What is known stays known, and is what the store held at that moment, as are the trades and
    /// shipments that the records tell of. Of receipts they tell nothing. Answers `false`, and leaves the view of no use,
    /// where the records do not lead there or do not tell all.
    #[must_use]
    pub(crate) fn follow(&mut self, records: &[LogRecord], head: Head) -> bool {
        for record in records {
            if record.first() != self.head.sequence + 1 {
                return false;
            }
            self.head = record.head();
            if !self.learn(record) {
                return false;
            }
        }
        self.head == head
    }

    fn learn(&mut self, record: &LogRecord) -> bool {
        let step = &record.step;
        if let Some(trade) = &step.trade {
            learn(&mut self.trades, &trade.transaction_id, trade, trade.version);
        }
        if let Some(cargo) = &step.cargo {
            learn(&mut self.cargo, &cargo.shipment_id, cargo, cargo.version);
        }
        for inventory in &step.stations {
            let Some(slot) = self.stations.get_mut(&inventory.station_id) else { continue };
            // A sum that is capped does not tell the station's total.
            if inventory.quantity >= UNITS_MAX {
                return false;
            }
            slot.learn(inventory);
        }
        true
    }
}

/// A row becomes another, or known.
fn learn<K: Clone + Eq + Hash, T>(slots: &mut HashMap<K, Slot<T>>, key: &K, value: &Arc<T>, version: u64) {
    let slot = slots.entry(key.clone()).or_default();
    *slot = Slot { touched: slot.touched, ..Slot::stored(value.clone(), version) };
}

impl StationSlot {
    fn learn(&mut self, inventory: &Inventory) {
        let Inventory { station_id, name, metadata, quantity, item_count, items, version, updated_at } =
            inventory;
        let station = Station {
            station_id: station_id.clone(),
            name: name.clone(),
            metadata: metadata.clone(),
            on_hand_total: u128::from(*quantity),
            item_count: *item_count,
            version: *version,
            updated_at: *updated_at,
        };
        self.row = Slot { touched: self.row.touched, ..Slot::stored(Arc::new(station), *version) };
        for StockItem { item_id, level } in items {
            match self.stock.get_mut(item_id) {
                Some(stock) => {
                    *stock = StockSlot { level: *level, listed: true, stored: true, changed: false }
                }
                None => self.whole = false,
            }
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::store::{Keys, Loaded, StockRow};
    use crate::testing::fixtures::*;
    use crate::testing::strategies;
    use crate::values::{ItemId, StationId};
    use proptest::prelude::*;

    fn head(log: &[LogRecord]) -> Head {
        log.last().map_or(Head::EMPTY, LogRecord::head)
    }

    /// What a store holds under some keys at the end of a log.
    fn loaded(log: &[LogRecord], keys: &Keys) -> Loaded {
        let mut all = View::empty();
        for record in log {
            all.evolve_step(&record.step, record.first());
        }
        let level = |(station_id, item_id): &(_, _)| {
            let (level, listed) = all.stock(station_id, item_id);
            let (station_id, item_id) = (station_id.clone(), item_id.clone());
            listed.then_some(StockRow { station_id, item_id, level })
        };
        let row = |station_id: &StationId, item: (&ItemId, _)| {
            let (item_id, level) = (item.0.clone(), item.1);
            StockRow { station_id: station_id.clone(), item_id, level }
        };
        let of_whole = keys.inventories.iter().flat_map(|id| all.items(id).map(move |item| row(id, item)));
        Loaded {
            head: head(log),
            trades: keys.trades.iter().filter_map(|id| all.trade(id).cloned()).collect(),
            cargo: keys.cargo.iter().filter_map(|id| all.cargo(id).cloned()).collect(),
            stations: keys
                .stations
                .iter()
                .filter_map(|id| all.station(id).map(|row| (**row).clone()))
                .collect(),
            stock: keys.stock.iter().filter_map(level).chain(of_whole).collect(),
            receipts: Vec::new(),
        }
    }

    /// Some of everything that a log names, and of what it does not.
    fn some_keys(log: &[LogRecord], mut choice: u64) -> Keys {
        let mut chosen = || {
            choice = choice.rotate_left(7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            choice & 1 == 1
        };
        let mut keys = Keys::default();
        keys.trades.insert(trade_id("T-none"));
        for step in log.iter().map(|record| &record.step) {
            keys.trades.extend(step.trade.iter().map(|row| row.transaction_id.clone()).filter(|_| chosen()));
            keys.cargo.extend(step.cargo.iter().map(|row| row.shipment_id.clone()).filter(|_| chosen()));
            for inventory in &step.stations {
                if !chosen() {
                    continue;
                }
                let id = &inventory.station_id;
                keys.stations.insert(id.clone());
                keys.inventories.extend(Some(id.clone()).filter(|_| chosen()));
                for name in ["item-0", "item-1", "item-2", "item-9"] {
                    keys.stock.extend(Some((id.clone(), item(name))).filter(|_| chosen()));
                }
            }
        }
        keys
    }

    fn rows<T: Clone>(slot: &Slot<T>) -> (Option<u64>, Option<Arc<T>>, bool) {
        (slot.stored, slot.value.clone(), slot.changed)
    }

    fn assert_same(keys: &Keys, followed: &View, expected: &View) {
        assert_eq!(followed.head, expected.head);
        for id in &keys.trades {
            assert_eq!(rows(&followed.trades[id]), rows(&expected.trades[id]));
        }
        for id in &keys.cargo {
            assert_eq!(rows(&followed.cargo[id]), rows(&expected.cargo[id]));
        }
        for id in &keys.stations {
            let (followed, expected) = (&followed.stations[id], &expected.stations[id]);
            assert_eq!(rows(&followed.row), rows(&expected.row));
            let level = |stock: &StockSlot| (stock.level, stock.listed, stock.stored, stock.changed);
            if followed.whole || !keys.inventories.contains(id) {
                assert_eq!(followed.stock.len(), expected.stock.len());
            }
            for (item, stock) in &followed.stock {
                assert_eq!(level(stock), level(&expected.stock[item]));
            }
        }
        assert_eq!(followed.trades.len(), expected.trades.len());
        assert_eq!(followed.cargo.len(), expected.cargo.len());
        assert_eq!(followed.stations.len(), expected.stations.len());
        let known = |view: &View| view.stations.values().map(|slot| slot.stock.len()).sum::<usize>();
        assert_eq!((followed.stock_known, expected.stock_known), (known(followed), known(expected)));
    }

    proptest! {
        #[test]
        fn a_view_that_follows_the_log_is_what_would_be_loaded(
            commands in strategies::commands(0..60),
            seen in any::<prop::sample::Index>(),
            choice in any::<u64>(),
        ) {
            let log = log_of(&commands, start_time());
            let (before, after) = log.split_at(seen.index(log.len() + 1));
            let keys = some_keys(&log, choice);
            let mut view = View::new(&keys, loaded(before, &keys));
            prop_assert!(view.follow(after, head(&log)));
            let mut known = keys;
            for step in after.iter().map(|record| &record.step) {
                known.trades.extend(step.trade.iter().map(|trade| trade.transaction_id.clone()));
                known.cargo.extend(step.cargo.iter().map(|cargo| cargo.shipment_id.clone()));
            }
            assert_same(&known, &view, &View::new(&known, loaded(&log, &known)));
        }
    }

    #[test]
    fn a_view_does_not_follow_where_a_record_is_missing_or_does_not_tell_all() {
        let commands = [
            open_station("a", &[("tea", 10)]),
            open_station("b", &[]),
            adjust("a", &[("tea", 1)]),
            adjust("b", &[("rice", 9_007_199_254_740_991)]),
        ];
        let log = log_of(&commands, start_time());
        let keys = Keys { stations: [station("a"), station("b")].into(), ..Keys::default() };
        let view = || View::new(&keys, loaded(&log[..1], &keys));
        assert!(view().follow(&log[1..3], head(&log[..3])));
        assert!(!view().follow(&log[2..3], head(&log[..3])), "one is missing between");
        assert!(!view().follow(&log[1..2], head(&log[..3])), "one is missing at the end");
        assert!(!view().follow(&log[1..], head(&log)), "a capped sum does not tell the total");
    }
}
