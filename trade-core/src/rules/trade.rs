use super::shipment::{self, NewShipment};
use super::{Context, Decision};
use crate::command::{InitiateTrade, TradeOutcome, UpdateTrade};
use crate::policy::Action;
use crate::rejection::Rejection;
use crate::resource::{Cargo, CargoStatus, Settlement, Trade, TradeStatus};
use crate::step::Step;
use crate::values::{Money, ShipmentId, TransactionId};
use crate::view::View;
use std::sync::Arc;

/// What can be told from a trade alone; its totals where nothing is wrong.
pub(super) fn check(command: &InitiateTrade) -> Result<Vec<Money>, Rejection> {
    if command.buyer == command.seller {
        return Err(Rejection::invalid("buyer", "must not be the seller"));
    }
    if command.expires_at.is_some() && command.settlement != Settlement::OnDelivery {
        return Err(Rejection::invalid("expiresAt", "is only for settlement on_delivery"));
    }
    shipment::check_lines(&command.items)?;
    totals(command)
}

pub(super) fn totals(command: &InitiateTrade) -> Result<Vec<Money>, Rejection> {
    command.items.totals().map_err(|error| Rejection::AmountOutOfRange { currency: error.0 })
}

pub(super) fn initiate(
    view: &View,
    command: &InitiateTrade,
    totals: Vec<Money>,
    context: &Context,
) -> Result<Decision<TradeOutcome>, Rejection> {
    let InitiateTrade { transaction_id, buyer, seller, items, settlement, expires_at, eta, metadata } =
        command;
    if let Some(trade) = view.trade(transaction_id) {
        let cargo = cargo_of(view, trade)?;
        let known = ([&trade.seller, &trade.buyer], trade.version);
        let is_known = context.knows(known, view, &Action::InitiateTrade(command))?;
        if !is_known || !is_same(command, trade, cargo) {
            return Err(Rejection::TradeExists(transaction_id.clone()));
        }
        return Ok(unchanged(trade, cargo));
    }
    context.permit(view, &Action::InitiateTrade(command))?;
    context.provided(0)?;
    if expires_at.is_some_and(|expires_at| expires_at <= context.now) {
        return Err(Rejection::invalid("expiresAt", "must be later than now"));
    }
    shipment::check_station(view, "buyer", buyer)?;
    shipment::check_station(view, "seller", seller)?;
    let trade = Arc::new(Trade {
        transaction_id: transaction_id.clone(),
        buyer: buyer.clone(),
        seller: seller.clone(),
        items: items.clone(),
        totals,
        settlement: *settlement,
        status: TradeStatus::Initiated,
        shipment_id: ShipmentId::of_trade(transaction_id),
        expires_at: *expires_at,
        metadata: metadata.clone(),
        created_at: context.time,
        updated_at: context.time,
        version: 1,
    });
    let new = NewShipment {
        shipment_id: trade.shipment_id.clone(),
        transaction_id: Some(transaction_id.clone()),
        origin: seller,
        destination: buyer,
        items,
        eta: *eta,
        settlement: *settlement,
        metadata: None,
    };
    let (cargo, step) = shipment::create(view, new, Some(trade.clone()), context)?;
    Ok(Decision { step: Some(step), outcome: TradeOutcome { created: true, trade, cargo } })
}

pub(super) fn update(
    view: &View,
    command: &UpdateTrade,
    context: &Context,
) -> Result<Decision<TradeOutcome>, Rejection> {
    let UpdateTrade { transaction_id, status, precondition } = command;
    let trade = find(view, transaction_id, context)?;
    let cargo = cargo_of(view, trade)?;
    context.permit(view, &Action::UpdateTrade { command, trade, cargo })?;
    if !precondition.allows(trade.version) {
        return Err(Rejection::VersionMismatch { actual: trade.version });
    }
    if trade.status == *status {
        return Ok(unchanged(trade, cargo));
    }
    let to = match (status, cargo.status) {
        (TradeStatus::Completed, CargoStatus::InTransit) => CargoStatus::Delivered,
        (TradeStatus::Cancelled, CargoStatus::Pending) => CargoStatus::Cancelled,
        _ => return Err(illegal(trade, cargo, *status)),
    };
    end(view, trade, cargo, to, context)
}

pub(super) fn expire(
    view: &View,
    id: &TransactionId,
    context: &Context,
) -> Result<Decision<TradeOutcome>, Rejection> {
    if context.asker.is_some() {
        // It is the network's own to do.
        return Err(Rejection::Forbidden);
    }
    let trade = find(view, id, context)?;
    let cargo = cargo_of(view, trade)?;
    if cargo.status != CargoStatus::Pending || !shipment::is_expired(Some(trade), context.now) {
        return Ok(unchanged(trade, cargo));
    }
    end(view, trade, cargo, CargoStatus::Cancelled, context)
}

fn end(
    view: &View,
    trade: &Arc<Trade>,
    cargo: &Cargo,
    to: CargoStatus,
    context: &Context,
) -> Result<Decision<TradeOutcome>, Rejection> {
    let step: Step = shipment::advance(view, cargo, Some(trade), to, context)?;
    match (&step.trade, &step.cargo) {
        (Some(trade), Some(cargo)) => {
            let outcome = TradeOutcome { created: false, trade: trade.clone(), cargo: cargo.clone() };
            Ok(Decision { step: Some(step), outcome })
        }
        _ => Err(illegal(trade, cargo, trade.status)),
    }
}

/// A trade that who asks may know of.
fn find<'a>(view: &'a View, id: &TransactionId, context: &Context) -> Result<&'a Arc<Trade>, Rejection> {
    let shown = |trade: &&Arc<Trade>| context.shows([&trade.seller, &trade.buyer]);
    view.trade(id).filter(shown).ok_or_else(|| Rejection::TradeNotFound(id.clone()))
}

fn cargo_of<'a>(view: &'a View, trade: &Trade) -> Result<&'a Arc<Cargo>, Rejection> {
    view.cargo(&trade.shipment_id).ok_or_else(|| Rejection::CargoNotFound(trade.shipment_id.clone()))
}

fn unchanged(trade: &Arc<Trade>, cargo: &Arc<Cargo>) -> Decision<TradeOutcome> {
    let outcome = TradeOutcome { created: false, trade: trade.clone(), cargo: cargo.clone() };
    Decision { step: None, outcome }
}

/// Whether a request for a known id asks for what was made. An ETA counts as it was asked for, since the shipment's own
/// may have changed.
fn is_same(command: &InitiateTrade, trade: &Trade, cargo: &Cargo) -> bool {
    let InitiateTrade { transaction_id: _, buyer, seller, items, settlement, expires_at, eta, metadata } =
        command;
    *buyer == trade.buyer
        && *seller == trade.seller
        && *settlement == trade.settlement
        && *expires_at == trade.expires_at
        && *eta == cargo.requested_eta
        && *metadata == trade.metadata
        && items.same_content(&trade.items)
}

fn illegal(trade: &Trade, cargo: &Cargo, to: TradeStatus) -> Rejection {
    let allowed = match cargo.status {
        CargoStatus::Pending => vec![TradeStatus::Cancelled],
        CargoStatus::InTransit => vec![TradeStatus::Completed],
        _ => Vec::new(),
    };
    Rejection::IllegalTradeTransition {
        transaction_id: trade.transaction_id.clone(),
        from: trade.status,
        to,
        allowed,
        cargo: cargo.status,
    }
}
