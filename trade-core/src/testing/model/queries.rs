//! What a model says of its state.

use super::{Level, Model};
use crate::resource::{CargoStatus, StockLevel, TradeStatus};
use crate::values::{ItemId, ShipmentId, StationId, TransactionId};

impl Model {
    /// The stations, ascending.
    pub fn stations(&self) -> impl Iterator<Item = &StationId> {
        self.stations.keys()
    }

    /// Every level, by station and item.
    pub fn levels(&self) -> impl Iterator<Item = (&StationId, &ItemId, StockLevel)> {
        self.stations.iter().flat_map(|(id, station)| {
            station.items.iter().map(move |(item, level)| (id, item, narrow(*level)))
        })
    }

    /// What a station holds of an item; none where it never held it.
    pub fn level(&self, station: &StationId, item: &ItemId) -> Option<StockLevel> {
        self.stations.get(station)?.items.get(item).copied().map(narrow)
    }

    /// The trades, ascending by id.
    pub fn trades(&self) -> impl Iterator<Item = (&TransactionId, TradeStatus)> {
        self.trades.iter().map(|(id, trade)| (id, trade.status))
    }

    /// The status of a trade, where there is one.
    pub fn trade(&self, id: &TransactionId) -> Option<TradeStatus> {
        self.trades.get(id).map(|trade| trade.status)
    }

    /// The shipments, ascending by id.
    pub fn shipments(&self) -> impl Iterator<Item = (&ShipmentId, CargoStatus)> {
        self.cargo.iter().map(|(id, cargo)| (id, cargo.status))
    }

    /// The status of a shipment, where there is one.
    pub fn cargo(&self, id: &ShipmentId) -> Option<CargoStatus> {
        self.cargo.get(id).map(|cargo| cargo.status)
    }
}

fn narrow(level: Level) -> StockLevel {
    let units = |units: i128| u64::try_from(units).expect("never below zero, nor past the range");
    let Level { on_hand, reserved, incoming } = level;
    StockLevel { on_hand: units(on_hand), reserved: units(reserved), incoming: units(incoming) }
}
