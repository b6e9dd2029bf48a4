//! Adding up what a step does to stock, and refusing it where a level would leave its range.

use super::settlement::{Effect, End, Moment, effects};
use crate::rejection::{Rejection, Shortage, Shortages};
use crate::resource::{Inventory, Lines, Place, Settlement, Station, StockItem, StockLevel};
use crate::step::Movement;
use crate::values::{ItemId, Quantity, StationId, Timestamp, UNITS_MAX};
use crate::view::View;

/// What a step does to stock: at one station or two, in the order they are touched, and movements.
#[derive(Debug)]
pub(super) struct StockChange<'a> {
    stations: [Option<(&'a StationId, Effect)>; 2],
    /// What the effect at each station is per unit of, ascending by item; signed, in 128 bits: 5 000 lines of 2^53
    /// units pass 64.
    units: Vec<(&'a ItemId, i128)>,
    pub(super) movements: Vec<Movement>,
}

/// Signed changes of one level.
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
        let signed = |units| i128::try_from(units).unwrap_or(i128::MAX);
        let units: Vec<_> =
            lines.units_by_item().into_iter().map(|(item, units)| (item, signed(units))).collect();
        let moved = |station, effect| (effect != Effect::default()).then_some((station, effect));
        let stations = [moved(origin, effects.origin), moved(destination, effects.destination)];
        let mut movements = Vec::new();
        if let Some((from, to, reason)) = effects.movement {
            let place = |end| match end {
                End::Origin => Place::Station(origin.clone()),
                End::Destination => Place::Station(destination.clone()),
                End::Transit => Place::Transit,
                End::World => Place::World,
            };
            movements.reserve_exact(units.len());
            for &(item, units) in &units {
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
        Ok(Self { stations, units, movements })
    }

    /// What comes to a station, or leaves it, for a reason of its own: signed units of each item.
    pub(super) fn at_station(
        station: &'a StationId,
        deltas: impl Iterator<Item = (&'a ItemId, i128)>,
        movements: Vec<Movement>,
    ) -> Self {
        let mut units: Vec<_> = deltas.collect();
        units.sort_by_key(|(item, _)| *item);
        units.dedup_by(|next, sum| {
            let same = next.0 == sum.0;
            if same {
                sum.1 += next.1;
            }
            same
        });
        let effect = Effect { on_hand: 1, ..Effect::default() };
        Self { stations: [Some((station, effect)), None], units, movements }
    }

    /// The stations after the change, each with the items that changed.
    ///
    /// Every short line is counted; only where none is, the first that passes the range.
    pub(super) fn apply(&self, view: &View, now: Timestamp) -> Result<Vec<Inventory>, Rejection> {
        let mut shortages = Shortages::default();
        let mut refused = None;
        let mut after = Vec::with_capacity(2);
        for &(station_id, effect) in self.stations.iter().flatten() {
            let known = view.levels(station_id);
            let mut items = Vec::with_capacity(self.units.len());
            let (mut gained, mut listed) = (0, 0);
            for &(item_id, units) in &self.units {
                let (level, is_listed) = known.level(item_id);
                match LevelChange::of_units(effect, units).apply(level) {
                    Ok(new) => {
                        gained += i128::from(new.on_hand) - i128::from(level.on_hand);
                        listed += u64::from(!is_listed);
                        items.push(StockItem { item_id: item_id.clone(), level: new });
                    }
                    Err(Unfit::Short { requested, available }) => shortages.add(|| Shortage {
                        station_id: station_id.clone(),
                        item_id: item_id.clone(),
                        requested,
                        available: Some(available),
                    }),
                    Err(Unfit::OutOfRange) => {
                        refused.get_or_insert_with(|| Rejection::QuantityOutOfRange {
                            station: Some(station_id.clone()),
                            item: item_id.clone(),
                        });
                    }
                }
            }
            match known.station() {
                Some(before) => after.push(station_after(before, (gained, listed), items, now)),
                None if refused.is_none() => {
                    refused = Some(Rejection::StationNotFound(station_id.clone()));
                }
                None => {}
            }
        }
        if shortages.total() > 0 {
            return Err(Rejection::InsufficientStock(shortages));
        }
        refused.map_or(Ok(after), Err)
    }
}

/// A station that has so many units more, or fewer, and lists so many items more.
fn station_after(before: &Station, gained: (i128, u64), items: Vec<StockItem>, now: Timestamp) -> Inventory {
    let on_hand_total = before.on_hand_total.saturating_add_signed(gained.0);
    Inventory {
        version: before.version + 1,
        updated_at: now,
        quantity: Inventory::capped(on_hand_total),
        item_count: Inventory::capped(u128::from(before.item_count + gained.1)),
        ..Inventory::new(before, items)
    }
}

enum Unfit {
    Short { requested: u64, available: u64 },
    OutOfRange,
}

impl LevelChange {
    fn of_units(effect: Effect, units: i128) -> Self {
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
