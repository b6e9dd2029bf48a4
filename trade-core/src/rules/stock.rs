//! Adding up what a step does to stock, and refusing it where a level would leave its range.

use super::settlement::{Effect, End, Moment, effects};
use crate::rejection::{Rejection, Shortage};
use crate::resource::{Inventory, Lines, Place, Settlement, Station, StockItem, StockLevel};
use crate::step::Movement;
use crate::values::{ItemId, Quantity, StationId, Timestamp, UNITS_MAX};
use crate::view::View;
use std::collections::BTreeMap;

/// What a step does to stock: stations in the order they were first touched, and movements.
#[derive(Debug, Default)]
pub(super) struct StockChange {
    stations: Vec<(StationId, BTreeMap<ItemId, LevelChange>)>,
    pub(super) movements: Vec<Movement>,
}

/// Signed changes of one level, in 128 bits: 5 000 lines of 2^53 units pass 64.
#[derive(Debug, Clone, Copy, Default)]
struct LevelChange {
    on_hand: i128,
    reserved: i128,
    incoming: i128,
}

impl StockChange {
    /// What a shipment's goods do at a moment of its life.
    pub(super) fn of_shipment(
        moment: Moment,
        settlement: Settlement,
        origin: &StationId,
        destination: &StationId,
        lines: &Lines,
    ) -> Result<Self, Rejection> {
        let effects = effects(moment, settlement);
        let mut change = Self::default();
        let units = lines.units_by_item();
        for (station, effect) in [(origin, effects.origin), (destination, effects.destination)] {
            if effect == Effect::default() {
                continue;
            }
            for (item, units) in &units {
                let units = i128::try_from(*units).unwrap_or(i128::MAX);
                change.add(
                    station,
                    item,
                    LevelChange {
                        on_hand: i128::from(effect.on_hand) * units,
                        reserved: i128::from(effect.reserved) * units,
                        incoming: i128::from(effect.incoming) * units,
                    },
                );
            }
        }
        if let Some((from, to, reason)) = effects.movement {
            let place = |end| match end {
                End::Origin => Place::Station(origin.clone()),
                End::Destination => Place::Station(destination.clone()),
                End::Transit => Place::Transit,
                End::World => Place::World,
            };
            for (item, units) in units {
                let out_of_range = || Rejection::QuantityOutOfRange { station: None, item: item.clone() };
                let quantity = u64::try_from(units).ok().and_then(|units| Quantity::new(units).ok());
                change.movements.push(Movement {
                    item_id: item.clone(),
                    quantity: quantity.ok_or_else(out_of_range)?,
                    from: place(from),
                    to: place(to),
                    reason,
                });
            }
        }
        Ok(change)
    }

    /// Adds units that come to a station, or leave it, for a reason of their own.
    pub(super) fn adjust(&mut self, station: &StationId, delta: i128, movement: Movement) {
        self.add(station, &movement.item_id, LevelChange { on_hand: delta, ..LevelChange::default() });
        self.movements.push(movement);
    }

    fn add(&mut self, station: &StationId, item: &ItemId, change: LevelChange) {
        let place = self.stations.iter().position(|(id, _)| id == station).unwrap_or_else(|| {
            self.stations.push((station.clone(), BTreeMap::new()));
            self.stations.len() - 1
        });
        let sum = self.stations[place].1.entry(item.clone()).or_default();
        sum.on_hand += change.on_hand;
        sum.reserved += change.reserved;
        sum.incoming += change.incoming;
    }

    /// The stations after the change, each with the items that changed.
    ///
    /// Every short line is named; only where none is, the first that passes the range.
    pub(super) fn apply(&self, view: &View, now: Timestamp) -> Result<Vec<Inventory>, Rejection> {
        let mut shortages = Vec::new();
        let mut out_of_range = None;
        let mut after = Vec::with_capacity(self.stations.len());
        for (station_id, changes) in &self.stations {
            let mut items = Vec::with_capacity(changes.len());
            for (item_id, change) in changes {
                let (level, _) = view.stock(station_id, item_id);
                match change.apply(level) {
                    Ok(level) => items.push(StockItem { item_id: item_id.clone(), level }),
                    Err(Unfit::Short { requested, available }) => shortages.push(Shortage {
                        station_id: station_id.clone(),
                        item_id: item_id.clone(),
                        requested,
                        available,
                    }),
                    Err(Unfit::OutOfRange) => {
                        out_of_range.get_or_insert_with(|| (station_id.clone(), item_id.clone()));
                    }
                }
            }
            after.push((station_id, items));
        }
        if !shortages.is_empty() {
            return Err(Rejection::InsufficientStock(shortages));
        }
        if let Some((station, item)) = out_of_range {
            return Err(Rejection::QuantityOutOfRange { station: Some(station), item });
        }
        let station = |(id, items): (&StationId, Vec<StockItem>)| -> Result<Inventory, Rejection> {
            let before = view.station(id).ok_or_else(|| Rejection::StationNotFound(id.clone()))?;
            Ok(station_after(view, before, items, now))
        };
        after.into_iter().map(station).collect()
    }
}

fn station_after(view: &View, before: &Station, items: Vec<StockItem>, now: Timestamp) -> Inventory {
    let mut after = Station { version: before.version + 1, updated_at: now, ..before.clone() };
    for StockItem { item_id, level } in &items {
        let (old, listed) = view.stock(&before.station_id, item_id);
        after.on_hand_total = after.on_hand_total + u128::from(level.on_hand) - u128::from(old.on_hand);
        after.item_count += u64::from(!listed);
    }
    Inventory::new(&after, items)
}

enum Unfit {
    Short { requested: u64, available: u64 },
    OutOfRange,
}

impl LevelChange {
    fn apply(&self, level: StockLevel) -> Result<StockLevel, Unfit> {
        let on_hand = i128::from(level.on_hand) + self.on_hand;
        let reserved = i128::from(level.reserved) + self.reserved;
        let incoming = i128::from(level.incoming) + self.incoming;
        if on_hand < reserved {
            let requested = u64::try_from(self.reserved - self.on_hand).unwrap_or(u64::MAX);
            return Err(Unfit::Short { requested, available: level.available() });
        }
        let lifted = self.on_hand + self.incoming > 0;
        if lifted && on_hand + incoming > i128::from(UNITS_MAX) {
            return Err(Unfit::OutOfRange);
        }
        // A level below zero is unreachable by these rules, and would be a damaged store: no range holds it.
        let units = |value: i128| u64::try_from(value).map_err(|_| Unfit::OutOfRange);
        Ok(StockLevel { on_hand: units(on_hand)?, reserved: units(reserved)?, incoming: units(incoming)? })
    }
}
