//! A step: what one command changed, as one record of the log.
//!
//! The events of a step share most of their content — a trade's shipment lists the same goods, its stations the same
//! items — so the log keeps the step, and its events are made when it is read.

use crate::event::{Actor, Event, EventData, EventType, InventoryUpdate};
use crate::resource::{Cargo, Inventory, LedgerEntry, MovementReason, Place, Sequence, Trade, TradeStatus};
use crate::values::{ItemId, Quantity, Timestamp};
use std::sync::Arc;

/// What one command changed, all of it or nothing: at least one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub time: Timestamp,
    /// Through whom.
    pub actor: Actor,
    /// The trade, where it was made or changed.
    pub trade: Option<Arc<Trade>>,
    /// The shipment, where it was made or changed.
    pub cargo: Option<Arc<Cargo>>,
    /// The stations whose stock changed, with the items that changed; the origin first.
    pub stations: Vec<Inventory>,
    /// What moved physically. Only where a station changed.
    pub movements: Vec<Movement>,
}

/// One movement of a step; with the step's place and time it is a ledger entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// The item.
    pub item_id: ItemId,
    /// How many units.
    pub quantity: Quantity,
    /// Where they left.
    pub from: Place,
    /// Where they went.
    pub to: Place,
    /// Why.
    pub reason: MovementReason,
}

impl Step {
    /// How many events, and so sequences, the step takes.
    pub fn event_count(&self) -> u64 {
        u64::from(self.trade.is_some()) + u64::from(self.cargo.is_some()) + self.stations.len() as u64
    }

    /// The lines of all its events.
    pub(crate) fn lines(&self) -> usize {
        let trade = self.trade.as_ref().map_or(0, |trade| trade.items.len());
        let cargo = self.cargo.as_ref().map_or(0, |cargo| cargo.items.len());
        let stations = self.stations.iter().map(|station| station.items.len());
        trade + cargo + stations.sum::<usize>() + self.movements.len()
    }

    /// The events of the step, from `first` on: trade, cargo, stations.
    pub fn events(&self, first: Sequence) -> Vec<Event> {
        let trade = self.trade.iter().map(|trade| {
            let event_type = match (trade.version, trade.status) {
                (1, _) | (_, TradeStatus::Initiated) => EventType::TradeInitiated,
                (_, TradeStatus::Completed) => EventType::TradeCompleted,
                (_, TradeStatus::Cancelled) => EventType::TradeCancelled,
                (_, TradeStatus::Failed) => EventType::TradeFailed,
            };
            (event_type, EventData::Trade(trade.clone()))
        });
        let cargo = self.cargo.iter().map(|cargo| {
            let event_type =
                if cargo.version == 1 { EventType::CargoCreated } else { EventType::CargoUpdated };
            (event_type, EventData::Cargo(cargo.clone()))
        });
        let stations = self.stations.iter().enumerate().map(|(index, inventory)| {
            let movements = if index == 0 { self.ledger(first).collect() } else { Vec::new() };
            let update = InventoryUpdate { inventory: inventory.clone(), movements };
            (EventType::InventoryUpdated, EventData::Inventory(Arc::new(update)))
        });
        (first..)
            .zip(trade.chain(cargo).chain(stations))
            .map(|(sequence, (event_type, data))| Event {
                sequence,
                time: self.time,
                actor: self.actor.clone(),
                event_type,
                data,
            })
            .collect()
    }

    /// The ledger entries of the step whose events begin at `first`.
    pub(crate) fn ledger(&self, first: Sequence) -> impl Iterator<Item = LedgerEntry> {
        // That of the first station's event, which carries them.
        let sequence = first + self.event_count() - self.stations.len() as u64;
        self.movements.iter().map(move |movement| LedgerEntry {
            sequence,
            time: self.time,
            item_id: movement.item_id.clone(),
            quantity: movement.quantity,
            from: movement.from.clone(),
            to: movement.to.clone(),
            reason: movement.reason,
            transaction_id: self.cargo.as_ref().and_then(|cargo| cargo.transaction_id.clone()),
            shipment_id: self.cargo.as_ref().map(|cargo| cargo.shipment_id.clone()),
        })
    }
}
