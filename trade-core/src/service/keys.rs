//! Which rows a command can touch.

use crate::command::{Command, InitiateTrade};
use crate::resource::{Cargo, Lines};
use crate::store::{Keys, Loaded};
use crate::values::{ItemId, ShipmentId, StationId, TransactionId};

/// The trades and shipments whose ends and goods must be known before the rest of a group's keys are.
pub(super) fn first<'a>(commands: impl Iterator<Item = &'a Command>) -> Option<Keys> {
    let mut keys = Keys::default();
    for command in commands {
        match command {
            Command::UpdateTrade(command) => add_trade(&mut keys, &command.transaction_id),
            Command::ExpireTrade(id) => add_trade(&mut keys, id),
            Command::UpdateCargo(command) => add_shipment(&mut keys, &command.shipment_id),
            _ => {}
        }
    }
    (keys != Keys::default()).then_some(keys)
}

/// Everything that the shipments in `loaded` can touch when they move on.
pub(super) fn of_loaded(keys: &mut Keys, loaded: &Loaded) {
    for cargo in &loaded.cargo {
        let Cargo { transaction_id, origin, destination, items, .. } = &**cargo;
        keys.trades.extend(transaction_id.clone());
        add_lines(keys, [origin, destination], items);
    }
}

/// Everything a command names.
pub(super) fn add(keys: &mut Keys, command: &Command) {
    match command {
        Command::CreateStation(command) => {
            keys.stations.insert(command.station_id.clone());
        }
        Command::InitiateTrade(trade) => add_initiation(keys, trade),
        Command::InitiateTrades(batch) => {
            for trade in &batch.trades {
                add_initiation(keys, trade);
            }
        }
        Command::UpdateTrade(command) => add_trade(keys, &command.transaction_id),
        Command::ExpireTrade(id) => add_trade(keys, id),
        Command::CreateTransfer(command) => {
            keys.cargo.insert(command.shipment_id.clone());
            add_lines(keys, [&command.origin, &command.destination], &command.items);
        }
        Command::UpdateCargo(command) => add_shipment(keys, &command.shipment_id),
        Command::AdjustInventory(command) => {
            keys.inventories.insert(command.station_id.clone());
            keys.stations.insert(command.station_id.clone());
            for adjustment in &command.adjustments {
                add_stock(keys, &command.station_id, &adjustment.item_id);
            }
        }
    }
}

fn add_initiation(keys: &mut Keys, trade: &InitiateTrade) {
    add_trade(keys, &trade.transaction_id);
    add_lines(keys, [&trade.seller, &trade.buyer], &trade.items);
}

fn add_lines(keys: &mut Keys, ends: [&StationId; 2], lines: &Lines) {
    for station in ends {
        for line in lines.iter() {
            add_stock(keys, station, &line.item_id);
        }
    }
}

fn add_trade(keys: &mut Keys, id: &TransactionId) {
    keys.cargo.insert(ShipmentId::of_trade(id));
    keys.trades.insert(id.clone());
}

fn add_shipment(keys: &mut Keys, id: &ShipmentId) {
    keys.trades.extend(id.trade());
    keys.cargo.insert(id.clone());
}

fn add_stock(keys: &mut Keys, station: &StationId, item: &ItemId) {
    if !keys.stations.contains(station) {
        keys.stations.insert(station.clone());
    }
    keys.stock.insert((station.clone(), item.clone()));
}
