//! The sums that hold at every moment: for every item, what is on hand and in transit is what came in less what left.

use super::{VerifyError, difference};
use crate::resource::{Cargo, CargoStatus, LedgerEntry, Place, Settlement, StockLevel, TradeStatus};
use crate::values::{ItemId, StationId};
use crate::view::View;
use std::collections::HashMap;

/// Units per place and item, as the ledger has them.
#[derive(Debug, Default)]
pub(super) struct Balances {
    stations: HashMap<(StationId, ItemId), i128>,
    transit: HashMap<ItemId, i128>,
    /// What the world gave, less what it took.
    world: HashMap<ItemId, i128>,
}

impl Balances {
    pub(super) fn add(&mut self, entry: &LedgerEntry) {
        let units = i128::from(entry.quantity.units());
        self.book(&entry.from, &entry.item_id, -units);
        self.book(&entry.to, &entry.item_id, units);
    }

    fn book(&mut self, place: &Place, item: &ItemId, units: i128) {
        let balance = match place {
            Place::Station(id) => self.stations.entry((id.clone(), item.clone())).or_default(),
            Place::Transit => self.transit.entry(item.clone()).or_default(),
            Place::World => self.world.entry(item.clone()).or_default(),
        };
        *balance += units;
    }

    pub(super) fn check(&self, view: &View) -> Result<(), VerifyError> {
        let shipped = Shipped::of(view)?;
        let mut on_hand: HashMap<&ItemId, i128> = HashMap::new();
        for station in view.stations() {
            let id = &station.station_id;
            for (item, level) in view.items(id) {
                let key = (id.clone(), item.clone());
                let booked = self.stations.get(&key).copied().unwrap_or(0);
                *on_hand.entry(item).or_default() += i128::from(level.on_hand);
                if booked != i128::from(level.on_hand) {
                    return difference(format!(
                        "{item} at {id}: on hand {}, by the ledger {booked}",
                        level.on_hand
                    ));
                }
                shipped.check(&key, level)?;
            }
        }
        let booked = self.stations.iter().filter(|(_, units)| **units != 0).map(|(key, _)| key);
        for (station, item) in booked.chain(shipped.reserved.keys()).chain(shipped.incoming.keys()) {
            if !view.stock(station, item).1 {
                return difference(format!("{item} at {station}: moved or promised, but not listed"));
            }
        }
        for (item, world) in &self.world {
            let (on_hand, transit) =
                (on_hand.get(item).copied().unwrap_or(0), self.transit.get(item).copied().unwrap_or(0));
            if on_hand + transit != -world {
                return difference(format!(
                    "{item}: {on_hand} on hand and {transit} in transit, but {} came into the network",
                    -world
                ));
            }
        }
        for item in self.transit.keys().chain(shipped.transit.keys()) {
            let booked = self.transit.get(item).copied().unwrap_or(0);
            let sent = shipped.transit.get(item).copied().unwrap_or(0);
            if booked != sent {
                return difference(format!(
                    "{item}: {booked} in transit by the ledger, {sent} by the shipments"
                ));
            }
        }
        Ok(())
    }
}

/// What the open shipments that settle on delivery have reserved, sent, and promised.
#[derive(Debug, Default)]
struct Shipped {
    reserved: HashMap<(StationId, ItemId), u128>,
    incoming: HashMap<(StationId, ItemId), u128>,
    transit: HashMap<ItemId, i128>,
}

impl Shipped {
    fn of(view: &View) -> Result<Self, VerifyError> {
        let mut shipped = Self::default();
        for trade in view.trades() {
            let Some(cargo) = view.cargo(&trade.shipment_id) else {
                return difference(format!("trade {} has no cargo", trade.transaction_id));
            };
            let together = match trade.status {
                TradeStatus::Initiated => !cargo.status.is_final(),
                TradeStatus::Completed => cargo.status == CargoStatus::Delivered,
                TradeStatus::Cancelled => {
                    matches!(cargo.status, CargoStatus::Cancelled | CargoStatus::Returned)
                }
                TradeStatus::Failed => cargo.status == CargoStatus::Lost,
            };
            if !together {
                return difference(format!(
                    "trade {} is {}, its cargo {}",
                    trade.transaction_id, trade.status, cargo.status
                ));
            }
        }
        for cargo in view.all_cargo() {
            let trade = cargo.transaction_id.as_ref().map(|id| (id, view.trade(id)));
            match trade {
                Some((id, None)) => {
                    return difference(format!("cargo {} has no trade {id}", cargo.shipment_id));
                }
                Some((_, Some(trade))) if trade.settlement == Settlement::Immediate => {}
                _ => shipped.add(cargo),
            }
        }
        Ok(shipped)
    }

    fn add(&mut self, cargo: &Cargo) {
        if cargo.status.is_final() {
            return;
        }
        for line in cargo.items.iter() {
            let units = line.quantity.units();
            let key = |station: &StationId| (station.clone(), line.item_id.clone());
            *self.incoming.entry(key(&cargo.destination)).or_default() += u128::from(units);
            if cargo.status == CargoStatus::Pending {
                *self.reserved.entry(key(&cargo.origin)).or_default() += u128::from(units);
            } else {
                *self.transit.entry(line.item_id.clone()).or_default() += i128::from(units);
            }
        }
    }

    fn check(&self, key: &(StationId, ItemId), level: StockLevel) -> Result<(), VerifyError> {
        let (station, item) = key;
        let reserved = self.reserved.get(key).copied().unwrap_or(0);
        let incoming = self.incoming.get(key).copied().unwrap_or(0);
        if (reserved, incoming) == (u128::from(level.reserved), u128::from(level.incoming)) {
            return Ok(());
        }
        difference(format!(
            "{item} at {station}: {} reserved and {} incoming, but open shipments hold {reserved} and {incoming}",
            level.reserved, level.incoming
        ))
    }
}
