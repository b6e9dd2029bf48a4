use super::shipment::{self, NewShipment, next_states};
use super::{Context, Decision};
use crate::command::{CargoOutcome, CreateTransfer, UpdateCargo};
use crate::policy::Action;
use crate::rejection::Rejection;
use crate::resource::{Cargo, Settlement};
use crate::step::Step;
use crate::values::Metadata;
use crate::view::View;
use std::sync::Arc;

pub(super) fn check_transfer(command: &CreateTransfer) -> Result<(), Rejection> {
    if command.shipment_id.is_reserved_for_trades() {
        return Err(Rejection::invalid("shipmentId", "must not begin with shipment-"));
    }
    if command.origin == command.destination {
        return Err(Rejection::invalid("destination", "must not be the origin"));
    }
    shipment::check_lines(&command.items)
}

pub(super) fn check_update(command: &UpdateCargo) -> Result<(), Rejection> {
    let UpdateCargo { shipment_id: _, status, eta, location, metadata, precondition: _ } = command;
    if status.is_none() && eta.is_none() && location.is_none() && metadata.is_none() {
        return Err(Rejection::invalid("status", "must be given, unless ETA, location or metadata is"));
    }
    Ok(())
}

pub(super) fn transfer(
    view: &View,
    command: &CreateTransfer,
    context: &Context,
) -> Result<Decision<CargoOutcome>, Rejection> {
    let CreateTransfer { shipment_id, origin, destination, items, eta, metadata } = command;
    if let Some(cargo) = view.cargo(shipment_id) {
        let known = ([&cargo.origin, &cargo.destination], cargo.version);
        let same = context.knows(known, view, &Action::CreateTransfer(command))?
            && *origin == cargo.origin
            && *destination == cargo.destination
            && *eta == cargo.requested_eta
            && *metadata == *cargo.requested_metadata.as_ref().unwrap_or(&cargo.metadata)
            && items.same_content(&cargo.items);
        return if same { Ok(unchanged(cargo)) } else { Err(Rejection::CargoExists(shipment_id.clone())) };
    }
    context.permit(view, &Action::CreateTransfer(command))?;
    context.provided(0)?;
    shipment::check_station(view, "origin", origin)?;
    shipment::check_station(view, "destination", destination)?;
    let new = NewShipment {
        shipment_id: shipment_id.clone(),
        transaction_id: None,
        origin,
        destination,
        items,
        eta: *eta,
        settlement: Settlement::OnDelivery,
        metadata: metadata.clone(),
    };
    let (cargo, step) = shipment::create(view, new, None, context)?;
    Ok(Decision { step: Some(step), outcome: CargoOutcome { created: true, cargo, trade: None } })
}

pub(super) fn update(
    view: &View,
    command: &UpdateCargo,
    context: &Context,
) -> Result<Decision<CargoOutcome>, Rejection> {
    let UpdateCargo { shipment_id, status, eta, location, metadata, precondition } = command;
    let shown = |cargo: &&Arc<Cargo>| context.shows([&cargo.origin, &cargo.destination]);
    let cargo = view.cargo(shipment_id).filter(shown);
    let cargo = cargo.ok_or_else(|| Rejection::CargoNotFound(shipment_id.clone()))?;
    let trade = cargo.transaction_id.as_ref().and_then(|id| view.trade(id));
    let action = Action::UpdateCargo { command, cargo, trade: trade.map(|trade| &**trade) };
    context.permit(view, &action)?;
    if !precondition.allows(cargo.version) {
        return Err(Rejection::VersionMismatch { actual: cargo.version });
    }
    let to = status.unwrap_or(cargo.status);
    let changed = Cargo {
        eta: eta.unwrap_or(cargo.eta),
        location: location.clone().or_else(|| cargo.location.clone()),
        metadata: metadata.clone().or_else(|| cargo.metadata.clone()),
        requested_metadata: requested_metadata(cargo, metadata.as_ref()),
        ..Cargo::clone(cargo)
    };
    let allowed = next_states(cargo, trade.map(|trade| &**trade), context.now);
    let illegal = || Rejection::IllegalCargoTransition {
        shipment_id: shipment_id.clone(),
        from: cargo.status,
        to,
        allowed: allowed.to_vec(),
    };
    if to != cargo.status {
        if !allowed.contains(&to) {
            return Err(illegal());
        }
        return Ok(stepped(shipment::advance(view, &changed, trade, to, context)?, cargo));
    }
    if changed == **cargo {
        return Ok(unchanged(cargo));
    }
    if cargo.status.is_final() {
        return Err(illegal());
    }
    Ok(stepped(shipment::tracked(changed, context), cargo))
}

/// What was asked for when a shipment was made, where its metadata is to be something else.
fn requested_metadata(cargo: &Cargo, to: Option<&Metadata>) -> Option<Option<Metadata>> {
    if cargo.transaction_id.is_some() {
        // The trade is what is asked for again.
        return None;
    }
    let requested = cargo.requested_metadata.as_ref().unwrap_or(&cargo.metadata);
    let after = to.or(cargo.metadata.as_ref());
    (after != requested.as_ref()).then(|| requested.clone())
}

fn stepped(step: Step, before: &Arc<Cargo>) -> Decision<CargoOutcome> {
    let cargo = step.cargo.clone().unwrap_or_else(|| before.clone());
    let outcome = CargoOutcome { created: false, cargo, trade: step.trade.clone() };
    Decision { step: Some(step), outcome }
}

fn unchanged(cargo: &Arc<Cargo>) -> Decision<CargoOutcome> {
    Decision { step: None, outcome: CargoOutcome { created: false, cargo: cargo.clone(), trade: None } }
}
