use super::stock::StockChange;
use super::{Context, Decision};
use crate::command::{AdjustInventory, Adjustment, CreateStation};
use crate::event::EventType;
use crate::policy::Action;
use crate::rejection::Rejection;
use crate::resource::{Inventory, MovementReason, Place, Station, StockItem, StockLevel};
use crate::step::{Movement, Step};
use crate::values::{ItemId, Quantity, StationId};
use crate::view::View;
use std::collections::BTreeMap;
use std::sync::Arc;

const LINES_MAX: usize = 5_000;

pub(super) fn check_create(command: &CreateStation) -> Result<(), Rejection> {
    if command.items.len() > LINES_MAX {
        return Err(Rejection::invalid("items", "must hold at most 5000 lines"));
    }
    opening_stock(command).map(drop)
}

pub(super) fn check_adjust(command: &AdjustInventory) -> Result<(), Rejection> {
    let AdjustInventory { adjustments, name, metadata, .. } = command;
    if adjustments.len() > LINES_MAX {
        return Err(Rejection::invalid("adjustments", "must hold at most 5000 lines"));
    }
    if adjustments.is_empty() && name.is_none() && metadata.is_none() {
        return Err(Rejection::invalid("adjustments", "must be given, unless name or metadata is"));
    }
    Ok(())
}

fn opening_stock(command: &CreateStation) -> Result<BTreeMap<&ItemId, Quantity>, Rejection> {
    let mut sums: BTreeMap<&ItemId, Quantity> = BTreeMap::new();
    for (item, quantity) in &command.items {
        let sum = sums.get(item).map_or(Some(*quantity), |sum| sum.checked_add(*quantity));
        let sum = sum.ok_or_else(|| Rejection::QuantityOutOfRange { station: None, item: item.clone() })?;
        sums.insert(item, sum);
    }
    Ok(sums)
}

pub(super) fn create(
    view: &View,
    command: &CreateStation,
    context: &Context,
) -> Result<Decision<Arc<Inventory>>, Rejection> {
    let CreateStation { station_id, name, metadata, items: _ } = command;
    context.permit(view, &Action::CreateStation(command))?;
    if let Some(station) = view.station(station_id) {
        if context.shows([station_id]) {
            context.provided(station.version)?;
        }
        return Err(Rejection::StationExists(station_id.clone()));
    }
    context.provided(0)?;
    let opening = opening_stock(command)?;
    let item = |(item_id, quantity): (&&ItemId, &Quantity)| {
        let level = StockLevel { on_hand: quantity.units(), ..StockLevel::default() };
        StockItem { item_id: ItemId::clone(item_id), level }
    };
    let movement = |(item_id, quantity): (&&ItemId, &Quantity)| Movement {
        item_id: ItemId::clone(item_id),
        quantity: *quantity,
        from: Place::World,
        to: Place::Station(station_id.clone()),
        reason: MovementReason::Opening,
    };
    let station = Station {
        station_id: station_id.clone(),
        name: name.clone(),
        metadata: metadata.clone(),
        on_hand_total: opening.values().map(|quantity| u128::from(quantity.units())).sum(),
        item_count: opening.len() as u64,
        version: 1,
        updated_at: context.time,
    };
    let inventory = Inventory::new(&station, opening.iter().map(item).collect());
    let step = step(context, inventory.clone(), opening.iter().map(movement).collect());
    Ok(Decision { step: Some(step), outcome: Arc::new(inventory) })
}

pub(super) fn adjust(
    view: &View,
    command: &AdjustInventory,
    context: &Context,
) -> Result<Decision<Arc<Inventory>>, Rejection> {
    let AdjustInventory { station_id, name, metadata, adjustments, precondition } = command;
    let station = view.station(station_id).filter(|_| context.shows([station_id]));
    let station = station.ok_or_else(|| Rejection::StationNotFound(station_id.clone()))?;
    context.permit(view, &Action::AdjustInventory { command, station })?;
    if !precondition.allows(station.version) {
        return Err(Rejection::VersionMismatch { actual: station.version });
    }
    let movement = |adjustment: &Adjustment| {
        let here = Place::Station(station_id.clone());
        let delta = adjustment.delta.units();
        let (from, to) = if delta > 0 { (Place::World, here) } else { (here, Place::World) };
        Movement {
            item_id: adjustment.item_id.clone(),
            quantity: adjustment.delta.magnitude(),
            from,
            to,
            reason: adjustment.reason.movement(),
        }
    };
    let deltas =
        adjustments.iter().map(|adjustment| (&adjustment.item_id, i128::from(adjustment.delta.units())));
    let told = |before: &Inventory| Inventory {
        name: name.clone().or_else(|| before.name.clone()),
        metadata: metadata.clone().or_else(|| before.metadata.clone()),
        ..before.clone()
    };
    let before = Inventory::new(station, Vec::new());
    if adjustments.is_empty() && told(&before) == before {
        return Ok(Decision { step: None, outcome: Arc::new(with_all_items(view, station_id, &before)) });
    }
    let change = StockChange::at_station(station_id, deltas, adjustments.iter().map(movement).collect());
    let mut stations = change.apply(view, context.time)?;
    let changed = told(&stations.swap_remove(0));
    let outcome = Arc::new(with_all_items(view, station_id, &changed));
    Ok(Decision { step: Some(step(context, changed, change.movements)), outcome })
}

/// The station as it is after a step that changed some of its items.
fn with_all_items(view: &View, station_id: &StationId, changed: &Inventory) -> Inventory {
    let mut items: BTreeMap<ItemId, StockLevel> =
        view.items(station_id).map(|(item, level)| (item.clone(), level)).collect();
    items.extend(changed.items.iter().map(|item| (item.item_id.clone(), item.level)));
    let items = items.into_iter().take(Inventory::ITEMS_MAX);
    Inventory {
        items: items.map(|(item_id, level)| StockItem { item_id, level }).collect(),
        ..changed.clone()
    }
}

fn step(context: &Context, inventory: Inventory, movements: Vec<Movement>) -> Step {
    Step {
        time: context.time,
        actor: context.actor.clone(),
        cause: context.cause.clone(),
        kinds: vec![EventType::InventoryUpdated],
        trade: None,
        cargo: None,
        stations: vec![inventory],
        movements,
    }
}
