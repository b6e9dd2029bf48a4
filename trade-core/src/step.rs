//! A step: what one command changed, as one record of the log.
//!
//! The events of a step share most of their content — a trade's shipment lists the same goods, its stations the same
//! items — so the log keeps the step, and its events are made when it is read.

use crate::cause::Cause;
use crate::event::{Actor, Event, EventData, EventType, InventoryUpdate, Topic};
use crate::resource::{Cargo, Inventory, LedgerEntry, MovementReason, Place, Sequence, Trade};
use crate::values::{ItemId, Quantity, Timestamp};
use std::sync::Arc;

/// What one command changed, all of it or nothing: at least one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub time: Timestamp,
    /// Through whom.
    pub actor: Actor,
    /// What caused it, as far as that is known.
    pub cause: Option<Arc<Cause>>,
    /// The kinds of its events, in order: one about the trade, one about the shipment, one about each station.
    pub kinds: Vec<EventType>,
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

/// What one event of a step is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'s> {
    Trade(&'s Arc<Trade>),
    Cargo(&'s Arc<Cargo>),
    Station(&'s Inventory),
}

impl Step {
    /// How many events, and so sequences, the step takes.
    pub fn event_count(&self) -> u64 {
        self.kinds.len() as u64
    }

    /// What its events are about, each with its sequence and its kind, where they begin at `first`.
    pub(crate) fn parts(&self, first: Sequence) -> impl Iterator<Item = (Sequence, EventType, Part<'_>)> {
        let mut stations = self.stations.iter();
        (first..).zip(&self.kinds).filter_map(move |(sequence, kind)| {
            let part = match kind.topic() {
                Topic::Trade => Part::Trade(self.trade.as_ref()?),
                Topic::Cargo => Part::Cargo(self.cargo.as_ref()?),
                Topic::Inventory => Part::Station(stations.next()?),
            };
            Some((sequence, *kind, part))
        })
    }

    /// The lines of all its events.
    pub(crate) fn lines(&self) -> usize {
        let trade = self.trade.as_ref().map_or(0, |trade| trade.lines());
        let cargo = self.cargo.as_ref().map_or(0, |cargo| cargo.lines());
        let stations = self.stations.iter().map(Inventory::lines);
        trade + cargo + stations.sum::<usize>() + self.movements.len()
    }

    /// The events of the step, from `first` on.
    pub fn events(&self, first: Sequence) -> Vec<Event> {
        // Those of the first station carry what moved.
        let mut movements: Option<Vec<LedgerEntry>> = Some(self.ledger(first).collect());
        let event = |(sequence, event_type, part)| {
            let data = match part {
                Part::Trade(trade) => EventData::Trade(Arc::clone(trade)),
                Part::Cargo(cargo) => EventData::Cargo(Arc::clone(cargo)),
                Part::Station(inventory) => EventData::Inventory(Arc::new(InventoryUpdate {
                    inventory: Inventory::clone(inventory),
                    movements: movements.take().unwrap_or_default(),
                })),
            };
            let trace_parent = self.cause.as_ref().and_then(|cause| cause.trace_parent);
            Event { sequence, time: self.time, actor: self.actor.clone(), trace_parent, event_type, data }
        };
        self.parts(first).map(event).collect()
    }

    /// The ledger entries of the step whose events begin at `first`.
    pub(crate) fn ledger(&self, first: Sequence) -> impl Iterator<Item = LedgerEntry> {
        // That of the first station's event, which carries them.
        let of_station = self.kinds.iter().zip(first..).find(|(kind, _)| kind.topic() == Topic::Inventory);
        let sequence = of_station.map_or(first, |(_, sequence)| sequence);
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
