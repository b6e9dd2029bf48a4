//! Adding up what a step does to stock, and refusing it where a level would leave its range.

use super::settlement::{Effect, End, Moment, effects};
use crate::rejection::{Rejection, Shortage};
use crate::resource::{Inventory, Lines, Place, Settlement, Station, StockItem, StockLevel};
use crate::step::Movement;
use crate::values::{ItemId, Quantity, StationId, Timestamp, UNITS_MAX};
use crate::view::View;

/// What a step does to stock: stations in the order they were first touched, each with what changes there, ascending
/// by item, and movements.
#[derive(Debug)]
pub(super) struct StockChange<'a> {
    stations: Vec<(&'a StationId, Vec<(&'a ItemId, LevelChange)>)>,
    pub(super) movements: Vec<Movement>,
}

/// Signed changes of one level, in 128 bits: 5 000 lines of 2^53 units pass 64.
#[derive(Debug, Clone, Copy, Default)]
struct LevelChange {
    on_hand: i128,
    reserved: i128,
    incoming: i128,
}

impl<'a> StockChange<'a> {
    /// What a shipment's goods do at a moment of its life.
    pub(super) fn of_shipment(
        moment: Moment,
        settlement: Settlement,
        origin: &'a StationId,
        destination: &'a StationId,
        lines: &'a Lines,
    ) -> Result<Self, Rejection> {
        let effects = effects(moment, settlement);
        let units = lines.units_by_item();
        let moved = [(origin, effects.origin), (destination, effects.destination)];
        let moved = moved.into_iter().filter(|(_, effect)| *effect != Effect::default());
        let stations = moved
            .map(|(station, effect)| {
                let changes =
                    units.iter().map(|(item, units)| (*item, LevelChange::of_units(effect, *units)));
                (station, changes.collect())
            })
            .collect();
        let mut movements = Vec::new();
        if let Some((from, to, reason)) = effects.movement {
            let place = |end| match end {
                End::Origin => Place::Station(origin.clone()),
                End::Destination => Place::Station(destination.clone()),
                End::Transit => Place::Transit,
                End::World => Place::World,
            };
            movements.reserve_exact(units.len());
            for (item, units) in units {
                let out_of_range = || Rejection::QuantityOutOfRange { station: None, item: item.clone() };
                let quantity = u64::try_from(units).ok().and_then(|units| Quantity::new(units).ok());
                movements.push(Movement {
                    item_id: item.clone(),
                    quantity: quantity.ok_or_else(out_of_range)?,
                    from: place(from),
                    to: place(to),
                    reason,
                });
            }
        }
        Ok(Self { stations, movements })
    }

    /// What comes to a station, or leaves it, for a reason of its own: signed units of each item.
    pub(super) fn at_station(
        station: &'a StationId,
        deltas: impl Iterator<Item = (&'a ItemId, i128)>,
        movements: Vec<Movement>,
    ) -> Self {
        let change = |(item, delta)| (item, LevelChange { on_hand: delta, ..LevelChange::default() });
        let mut changes: Vec<(&ItemId, LevelChange)> = deltas.map(change).collect();
        changes.sort_by_key(|(item, _)| *item);
        changes.dedup_by(|next, sum| {
            let same = next.0 == sum.0;
            if same {
                sum.1.on_hand += next.1.on_hand;
            }
            same
        });
        Self { stations: vec![(station, changes)], movements }
    }

    /// The stations after the change, each with the items that changed.
    ///
    /// Every short line is named; only where none is, the first that passes the range.
    pub(super) fn apply(&self, view: &View, now: Timestamp) -> Result<Vec<Inventory>, Rejection> {
        let mut shortages = Vec::new();
        let mut refused = None;
        let mut after = Vec::with_capacity(self.stations.len());
        for (station_id, changes) in &self.stations {
            let known = view.levels(station_id);
            let mut items = Vec::with_capacity(changes.len());
            let (mut gained, mut listed) = (0, 0);
            for (item_id, change) in changes {
                let (level, is_listed) = known.level(item_id);
                match change.apply(level) {
                    Ok(new) => {
                        gained += i128::from(new.on_hand) - i128::from(level.on_hand);
                        listed += u64::from(!is_listed);
                        items.push(StockItem { item_id: ItemId::clone(item_id), level: new });
                    }
                    Err(Unfit::Short { requested, available }) => shortages.push(Shortage {
                        station_id: StationId::clone(station_id),
                        item_id: ItemId::clone(item_id),
                        requested,
                        available,
                    }),
                    Err(Unfit::OutOfRange) => {
                        refused.get_or_insert_with(|| Rejection::QuantityOutOfRange {
                            station: Some(StationId::clone(station_id)),
                            item: ItemId::clone(item_id),
                        });
                    }
                }
            }
            match known.station() {
                Some(before) => after.push(station_after(before, (gained, listed), items, now)),
                None if refused.is_none() => {
                    refused = Some(Rejection::StationNotFound(StationId::clone(station_id)));
                }
                None => {}
            }
        }
        if !shortages.is_empty() {
            return Err(Rejection::InsufficientStock(shortages));
        }
        refused.map_or(Ok(after), Err)
    }
}

/// A station that has so many units more, or fewer, and lists so many items more.
fn station_after(before: &Station, gained: (i128, u64), items: Vec<StockItem>, now: Timestamp) -> Inventory {
    let after = Station {
        version: before.version + 1,
        updated_at: now,
        on_hand_total: before.on_hand_total.saturating_add_signed(gained.0),
        item_count: before.item_count + gained.1,
        ..before.clone()
    };
    Inventory::new(&after, items)
}

enum Unfit {
    Short { requested: u64, available: u64 },
    OutOfRange,
}

impl LevelChange {
    fn of_units(effect: Effect, units: u128) -> Self {
        let units = i128::try_from(units).unwrap_or(i128::MAX);
        Self {
            on_hand: i128::from(effect.on_hand) * units,
            reserved: i128::from(effect.reserved) * units,
            incoming: i128::from(effect.incoming) * units,
        }
    }

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
