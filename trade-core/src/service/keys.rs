//! Which rows a command can touch.

use crate::command::{Command, InitiateTrade};
use crate::resource::Lines;
use crate::values::{ShipmentId, StationId, TransactionId};
use crate::view::{Missing, View};

/// Notes in the view everything that a command depends on. What the view does not know goes into `missing`; once that
/// was added, more may turn out to: a shipment names its stations and goods.
pub(super) fn touch(view: &mut View, command: &Command, missing: &mut Missing) {
    match command {
        Command::CreateStation(command) => view.touch_station(&command.station_id, [].iter(), missing),
        Command::InitiateTrade(trade) => touch_initiation(view, trade, missing),
        Command::InitiateTrades(batch) => {
            for trade in &batch.trades {
                touch_initiation(view, trade, missing);
            }
        }
        Command::UpdateTrade(command) => touch_trade(view, &command.transaction_id, missing),
        Command::ExpireTrade(id) => touch_trade(view, id, missing),
        Command::CreateTransfer(command) => {
            view.touch_cargo(&command.shipment_id, missing);
            touch_lines(view, [&command.origin, &command.destination], &command.items, missing);
        }
        Command::UpdateCargo(command) => touch_shipment(view, &command.shipment_id, missing),
        Command::AdjustInventory(command) => {
            let items = command.adjustments.iter().map(|adjustment| &adjustment.item_id);
            view.touch_station(&command.station_id, items, missing);
        }
    }
}

/// Whether a command makes something new between stations, and depends on nothing else.
pub(super) fn initiates(command: &Command) -> bool {
    matches!(command, Command::InitiateTrade(_) | Command::InitiateTrades(_) | Command::CreateTransfer(_))
}

/// As [`touch`], of a command that [`initiates`] something, leaving the ids of that out. Answers whether all of it is
/// known; `false` for any other command.
pub(super) fn touch_all_but_ids(view: &mut View, command: &Command) -> bool {
    let mut missing = Missing::default();
    let mut touch = |trade: &InitiateTrade| {
        touch_lines(view, [&trade.seller, &trade.buyer], &trade.items, &mut missing);
    };
    match command {
        Command::InitiateTrade(trade) => touch(trade),
        Command::InitiateTrades(batch) => batch.trades.iter().for_each(touch),
        Command::CreateTransfer(transfer) => {
            touch_lines(view, [&transfer.origin, &transfer.destination], &transfer.items, &mut missing);
        }
        _ => return false,
    }
    missing.no_station()
}

/// Whether a command depends on more than it names: on what the shipment it names touches.
pub(super) fn names_a_shipment(command: &Command) -> bool {
    matches!(command, Command::UpdateTrade(_) | Command::ExpireTrade(_) | Command::UpdateCargo(_))
}

/// The station whose whole inventory a command answers.
pub(super) fn whole_station(command: &Command) -> Option<&StationId> {
    match command {
        Command::AdjustInventory(command) => Some(&command.station_id),
        _ => None,
    }
}

fn touch_initiation(view: &mut View, trade: &InitiateTrade, missing: &mut Missing) {
    view.touch_trade(&trade.transaction_id, missing);
    view.touch_cargo(&ShipmentId::of_trade(&trade.transaction_id), missing);
    touch_lines(view, [&trade.seller, &trade.buyer], &trade.items, missing);
}

fn touch_trade(view: &mut View, id: &TransactionId, missing: &mut Missing) {
    view.touch_trade(id, missing);
    touch_shipment(view, &ShipmentId::of_trade(id), missing);
}

/// A shipment, and what it can touch when it moves on.
fn touch_shipment(view: &mut View, id: &ShipmentId, missing: &mut Missing) {
    view.touch_cargo(id, missing);
    if let Some(id) = id.trade() {
        view.touch_trade(&id, missing);
    }
    if let Some(cargo) = view.cargo(id).cloned() {
        if let Some(id) = &cargo.transaction_id {
            view.touch_trade(id, missing);
        }
        touch_lines(view, [&cargo.origin, &cargo.destination], &cargo.items, missing);
    }
}

fn touch_lines(view: &mut View, ends: [&StationId; 2], lines: &Lines, missing: &mut Missing) {
    for station in ends {
        view.touch_station(station, lines.iter().map(|line| &line.item_id), missing);
    }
}
