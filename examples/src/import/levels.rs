//! The stock of every station through the whole history: what it must have opened with for every trade to have been
//! possible, and for it to hold now what the source says it holds. Pure.
//!
//! The source tells what a station holds now, and what was traded, and the two need not agree: an item that came
//! in twice is listed once. So a station opens with what it holds now less what the trades brought it, or with what its
//! worst shortage needs where that is more; what it then has too much of in the end is taken out by one correction.

use super::deal::Deal;
use super::finding::{Refusal, Refused};
use super::station::Holding;
use std::collections::BTreeMap;
use trade_core::resource::CargoStatus;
use trade_core::values::{ItemId, Label, StationId, UNITS_MAX};

/// Every station that is held or traded at.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    stations: BTreeMap<StationId, StationLevels>,
    known: usize,
}

#[derive(Debug, Default)]
struct StationLevels {
    /// Its place in the order of the source's inventories; those without one come behind.
    place: Option<usize>,
    name: Option<Label>,
    items: BTreeMap<ItemId, Level>,
}

/// One item at one station; units, counted from what it opens with.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// What the source says is there now.
    held: u64,
    /// What the deals so far brought, less what they took or have reserved.
    available: i128,
    /// The least that ever was.
    lowest: i128,
    /// What shipments not yet sent have reserved.
    reserved: i128,
    /// Of all deals: an upper bound of every change.
    volume: u128,
}

impl Level {
    fn change(&mut self, units: i128) {
        self.available += units;
        self.lowest = self.lowest.min(self.available);
    }

    /// What it opens with, and by how much that makes it too much in the end.
    fn opening_and_excess(&self) -> (u64, i128) {
        let moved = self.available + self.reserved;
        let opening = (i128::from(self.held) - moved).max(-self.lowest);
        (u64::try_from(opening).unwrap_or(0), opening + moved - i128::from(self.held))
    }
}

/// What is to be done at a station before and after its trades.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StationPlan {
    pub(crate) station: StationId,
    pub(crate) name: Option<Label>,
    /// Whether the source has an inventory of it.
    pub(crate) is_held: bool,
    /// Units by item, ascending.
    pub(crate) opening: Vec<(ItemId, u64)>,
    /// Units to be taken out in the end, ascending by item.
    pub(crate) excess: Vec<(ItemId, u64)>,
}

impl Levels {
    /// Adds a station with what it holds now.
    pub(crate) fn hold(&mut self, holding: Holding) {
        let station = self.stations.entry(holding.station).or_default();
        station.place = Some(self.known);
        station.name = holding.name;
        self.known += 1;
        for (item, quantity) in holding.stock {
            station.items.entry(item).or_default().held = quantity.units();
        }
    }

    fn level(&mut self, station: &StationId, item: &ItemId) -> &mut Level {
        self.stations.entry(station.clone()).or_default().items.entry(item.clone()).or_default()
    }

    fn peek(&self, station: &StationId, item: &ItemId) -> Level {
        self.stations.get(station).and_then(|levels| levels.items.get(item)).copied().unwrap_or_default()
    }

    /// The moment a deal is made.
    ///
    /// # Errors
    /// [`Refusal`] if what the stations hold now does not allow it; nothing changed then.
    pub(crate) fn start(&mut self, deal: &Deal) -> Result<(), Refusal> {
        let units = units(deal);
        let waits = !deal.is_trade() && deal.fate == CargoStatus::Pending;
        for (item, count) in &units {
            for station in [&deal.origin, &deal.destination] {
                let level = self.peek(station, item);
                // Whatever the order: no level is ever further from what it opens with than all that was moved.
                let bound = u128::from(level.held) + 4 * (level.volume + count.unsigned_abs());
                if bound > u128::from(UNITS_MAX) {
                    return Err(Refusal::new(Refused::TooMuch, format!("of {item} at {station}")));
                }
            }
            let level = self.peek(&deal.origin, item);
            if waits && level.reserved + count > i128::from(level.held) {
                let held = i128::from(level.held) - level.reserved;
                let detail = format!("{count} of {item} from {}, which has {held} to send", deal.origin);
                return Err(Refusal::new(Refused::NotHeld, detail));
            }
        }
        for (item, count) in &units {
            for station in [&deal.origin, &deal.destination] {
                self.level(station, item).volume += count.unsigned_abs();
            }
            let origin = self.level(&deal.origin, item);
            origin.change(-count);
            if waits {
                origin.reserved += count;
            }
            if deal.is_trade() {
                self.level(&deal.destination, item).change(*count);
            }
        }
        Ok(())
    }

    /// The moment it comes to what it is now.
    pub(crate) fn finish(&mut self, deal: &Deal) {
        for (item, count) in &units(deal) {
            let (origin, destination) = match (deal.fate, deal.is_trade()) {
                (CargoStatus::Pending | CargoStatus::InTransit, _) => (0, 0),
                (CargoStatus::Delivered, true) | (CargoStatus::Lost, false) => (0, 0),
                (CargoStatus::Delivered, false) => (0, *count),
                (CargoStatus::Cancelled | CargoStatus::Returned, true) => (*count, -count),
                (CargoStatus::Cancelled | CargoStatus::Returned, false) => (*count, 0),
                (CargoStatus::Lost, true) => (0, -count),
            };
            // The same order as in the rules matters not: no item is at both ends.
            self.level(&deal.origin, item).change(origin);
            self.level(&deal.destination, item).change(destination);
        }
    }

    /// What is to be done at every station: those of the source's inventories in their order, then the others by id.
    pub(crate) fn plan(self) -> Vec<StationPlan> {
        let mut stations: Vec<_> = self.stations.into_iter().collect();
        stations.sort_by_key(|(_, levels)| levels.place.unwrap_or(usize::MAX));
        stations.into_iter().map(|(station, levels)| station_plan(station, levels)).collect()
    }
}

fn station_plan(station: StationId, levels: StationLevels) -> StationPlan {
    let (mut opening, mut excess) = (Vec::new(), Vec::new());
    for (item, level) in levels.items {
        let (opens_with, too_much) = level.opening_and_excess();
        if let Ok(too_much @ 1..) = u64::try_from(too_much) {
            excess.push((item.clone(), too_much));
        }
        if opens_with > 0 {
            opening.push((item, opens_with));
        }
    }
    StationPlan { station, name: levels.name, is_held: levels.place.is_some(), opening, excess }
}

fn units(deal: &Deal) -> Vec<(ItemId, i128)> {
    let by_item = deal.items.units_by_item().into_iter();
    by_item.map(|(item, units)| (item.clone(), i128::try_from(units).unwrap_or(i128::MAX))).collect()
}
