//! The life of a shipment, and of the trade that ends with it.

use super::Context;
use super::settlement::{DEFAULT_LEAD_TIME, Moment};
use super::stock::StockChange;
use crate::event::EventType;
use crate::rejection::Rejection;
use crate::resource::{Cargo, CargoStatus, Inventory, Lines, Settlement, Trade, TradeStatus};
use crate::step::{Movement, Step};
use crate::values::{Metadata, ShipmentId, StationId, Timestamp, TransactionId, UNITS_MAX};
use crate::view::View;
use std::sync::Arc;

/// A shipment to be made, of a trade or of its own.
pub(super) struct NewShipment<'a> {
    pub(super) shipment_id: ShipmentId,
    pub(super) transaction_id: Option<TransactionId>,
    pub(super) origin: &'a StationId,
    pub(super) destination: &'a StationId,
    pub(super) items: &'a Lines,
    pub(super) eta: Option<Timestamp>,
    pub(super) settlement: Settlement,
    pub(super) metadata: Option<Metadata>,
}

/// The step that makes a shipment, and its trade where it has one.
pub(super) fn create(
    view: &View,
    new: NewShipment<'_>,
    trade: Option<Arc<Trade>>,
    context: &Context,
) -> Result<(Arc<Cargo>, Step), Rejection> {
    let NewShipment { origin, destination, items, settlement, .. } = new;
    let change = StockChange::of_shipment(Moment::Initiated, settlement, origin, destination, items)?;
    let stations = change.apply(view, context.time)?;
    let cargo = Arc::new(Cargo {
        shipment_id: new.shipment_id,
        transaction_id: new.transaction_id,
        origin: origin.clone(),
        destination: destination.clone(),
        items: items.clone(),
        status: CargoStatus::Pending,
        eta: new.eta.unwrap_or_else(|| context.time.plus(DEFAULT_LEAD_TIME)),
        location: None,
        requested_eta: new.eta,
        requested_metadata: None,
        metadata: new.metadata,
        created_at: context.time,
        updated_at: context.time,
        version: 1,
    });
    let trade = trade.map(|trade| (EventType::TradeInitiated, trade));
    let step = step(context, trade, (EventType::CargoCreated, cargo.clone()), stations, change.movements);
    Ok((cargo, step))
}

/// A step about a shipment.
fn step(
    context: &Context,
    trade: Option<(EventType, Arc<Trade>)>,
    cargo: (EventType, Arc<Cargo>),
    stations: Vec<Inventory>,
    movements: Vec<Movement>,
) -> Step {
    let kinds = trade.iter().map(|(kind, _)| *kind).chain([cargo.0]);
    let kinds = kinds.chain(stations.iter().map(|_| EventType::InventoryUpdated)).collect();
    Step {
        time: context.time,
        actor: context.actor.clone(),
        cause: context.cause.clone(),
        kinds,
        trade: trade.map(|(_, trade)| trade),
        cargo: Some(cargo.1),
        stations,
        movements,
    }
}

/// The states a shipment may go to by request. One whose trade has expired can only be cancelled.
pub(super) fn next_states(cargo: &Cargo, trade: Option<&Trade>, now: Timestamp) -> &'static [CargoStatus] {
    match cargo.status {
        CargoStatus::Pending if is_expired(trade, now) => &[CargoStatus::Cancelled],
        CargoStatus::Pending => &[CargoStatus::InTransit, CargoStatus::Cancelled],
        CargoStatus::InTransit => &[CargoStatus::Delivered, CargoStatus::Returned, CargoStatus::Lost],
        CargoStatus::Delivered | CargoStatus::Cancelled | CargoStatus::Returned | CargoStatus::Lost => &[],
    }
}

/// Whether a trade's time has passed.
pub(super) fn is_expired(trade: Option<&Trade>, now: Timestamp) -> bool {
    trade.and_then(|trade| trade.expires_at).is_some_and(|expires_at| expires_at <= now)
}

/// The step that takes a shipment to `to`, which must be one of its [`next_states`]. `changed` is the shipment with
/// what else the request changes in it.
pub(super) fn advance(
    view: &View,
    changed: &Cargo,
    trade: Option<&Arc<Trade>>,
    to: CargoStatus,
    context: &Context,
) -> Result<Step, Rejection> {
    let moment = match to {
        CargoStatus::Pending => Moment::Initiated,
        CargoStatus::InTransit => Moment::Departed,
        CargoStatus::Delivered => Moment::Delivered,
        CargoStatus::Cancelled => Moment::Cancelled,
        CargoStatus::Returned => Moment::Returned,
        CargoStatus::Lost => Moment::Lost,
    };
    let settlement = trade.map_or(Settlement::OnDelivery, |trade| trade.settlement);
    let Cargo { origin, destination, items, .. } = changed;
    let change = StockChange::of_shipment(moment, settlement, origin, destination, items)?;
    let trade = trade.zip(to.ends_trade_as()).map(|(trade, status)| {
        let version = trade.version + 1;
        let kind = match status {
            TradeStatus::Initiated => EventType::TradeInitiated,
            TradeStatus::Completed => EventType::TradeCompleted,
            TradeStatus::Cancelled => EventType::TradeCancelled,
            TradeStatus::Failed => EventType::TradeFailed,
        };
        (kind, Arc::new(Trade { status, updated_at: context.time, version, ..Trade::clone(trade) }))
    });
    let cargo = next_version(Cargo { status: to, ..changed.clone() }, context.time);
    let stations = change.apply(view, context.time)?;
    Ok(step(context, trade, (EventType::CargoUpdated, Arc::new(cargo)), stations, change.movements))
}

/// The step of a shipment that is merely somewhere else, or later, or told otherwise.
pub(super) fn tracked(changed: Cargo, context: &Context) -> Step {
    let cargo = Arc::new(next_version(changed, context.time));
    step(context, None, (EventType::CargoUpdated, cargo), Vec::new(), Vec::new())
}

/// The shipment as its next version.
fn next_version(cargo: Cargo, now: Timestamp) -> Cargo {
    Cargo { updated_at: now, version: cargo.version + 1, ..cargo }
}

/// Refuses lines of one item that add up to more than any level can be, over all prices.
pub(super) fn check_lines(lines: &Lines) -> Result<(), Rejection> {
    let all: u128 = lines.iter().map(|line| u128::from(line.quantity.units())).sum();
    if all <= u128::from(UNITS_MAX) {
        return Ok(());
    }
    match lines.units_by_item().into_iter().find(|(_, units)| *units > u128::from(UNITS_MAX)) {
        None => Ok(()),
        Some((item, _)) => Err(Rejection::QuantityOutOfRange { station: None, item: item.clone() }),
    }
}

/// Refuses a station that does not exist.
pub(super) fn check_station(view: &View, field: &str, station: &StationId) -> Result<(), Rejection> {
    match view.station(station) {
        Some(_) => Ok(()),
        None => Err(Rejection::UnknownStation { field: field.into(), station: station.clone() }),
    }
}
