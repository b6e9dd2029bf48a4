//! The rules once more, written from the contract's table alone: plain maps, signed numbers, no thought for speed.
//!
//! It shares no code with [`rules`](crate::rules), so that a mistake must be made twice to go unnoticed.

mod queries;
mod verdict;

pub use verdict::Verdict;

use super::snapshot::Snapshot;
use crate::command::{
    AdjustInventory, Command, CreateStation, CreateTransfer, InitiateTrade, Precondition, UpdateCargo,
    UpdateTrade,
};
use crate::resource::{Cargo, CargoStatus, Lines, Settlement, StockLevel, Trade, TradeStatus};
use crate::values::{
    ItemId, Label, Metadata, Money, ShipmentId, StationId, Timestamp, TransactionId, UNITS_MAX,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// On hand, reserved and incoming units of one item at one station.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    on_hand: i128,
    reserved: i128,
    incoming: i128,
}

#[derive(Debug, Clone, Default)]
struct ModelStation {
    name: Option<Label>,
    metadata: Option<Metadata>,
    version: u64,
    items: BTreeMap<ItemId, Level>,
}

#[derive(Debug, Clone)]
struct ModelTrade {
    asked: InitiateTrade,
    status: TradeStatus,
    version: u64,
}

#[derive(Debug, Clone)]
struct ModelCargo {
    trade: Option<TransactionId>,
    origin: StationId,
    destination: StationId,
    items: Lines,
    settlement: Settlement,
    asked_eta: Option<Timestamp>,
    eta: Option<Timestamp>,
    location: Option<String>,
    asked_metadata: Option<Metadata>,
    metadata: Option<Metadata>,
    status: CargoStatus,
    version: u64,
}

/// The state of a network, as the contract's section 3 would have it.
#[derive(Debug, Clone, Default)]
pub struct Model {
    stations: BTreeMap<StationId, ModelStation>,
    trades: BTreeMap<TransactionId, ModelTrade>,
    cargo: BTreeMap<ShipmentId, ModelCargo>,
    in_transit: BTreeMap<ItemId, i128>,
    from_world: BTreeMap<ItemId, i128>,
    rows: usize,
}

/// The cells of the contract's table: what happens per unit. Origin on hand, origin reserved; destination on hand,
/// destination incoming; in transit; from the world.
type Cells = ([i128; 2], [i128; 2], i128, i128);

fn cells(settlement: Settlement, to: CargoStatus) -> Cells {
    match (settlement, to) {
        (Settlement::Immediate, CargoStatus::Pending) => ([-1, 0], [1, 0], 0, 0),
        (Settlement::Immediate, CargoStatus::InTransit | CargoStatus::Delivered) => ([0, 0], [0, 0], 0, 0),
        (Settlement::Immediate, CargoStatus::Cancelled | CargoStatus::Returned) => ([1, 0], [-1, 0], 0, 0),
        (Settlement::Immediate, CargoStatus::Lost) => ([0, 0], [-1, 0], 0, -1),
        (Settlement::OnDelivery, CargoStatus::Pending) => ([0, 1], [0, 1], 0, 0),
        (Settlement::OnDelivery, CargoStatus::InTransit) => ([-1, -1], [0, 0], 1, 0),
        (Settlement::OnDelivery, CargoStatus::Delivered) => ([0, 0], [1, -1], -1, 0),
        (Settlement::OnDelivery, CargoStatus::Cancelled) => ([0, -1], [0, -1], 0, 0),
        (Settlement::OnDelivery, CargoStatus::Returned) => ([1, 0], [0, -1], -1, 0),
        (Settlement::OnDelivery, CargoStatus::Lost) => ([0, 0], [0, -1], -1, -1),
    }
}

impl Model {
    /// Applies a command, or refuses it and changes nothing.
    pub fn apply(&mut self, command: &Command, now: Timestamp) -> Verdict {
        let mut after = self.clone();
        let verdict = match command {
            Command::CreateStation(command) => after.create_station(command),
            Command::InitiateTrade(command) => after.initiate(command, now),
            Command::InitiateTrades(command) if command.trades.is_empty() || command.trades.len() > 1_000 => {
                Err(Verdict::Refused("invalid-request"))
            }
            Command::InitiateTrades(command) => {
                let mut each = Vec::new();
                for (index, trade) in command.trades.iter().enumerate() {
                    match self.apply_to(&mut after, trade, now) {
                        Err(verdict) if command.atomic => return Verdict::InBatch(index, Box::new(verdict)),
                        Err(verdict) => each.push(verdict),
                        Ok(()) => each.push(Verdict::Taken),
                    }
                }
                *self = after;
                return Verdict::Each(each);
            }
            Command::UpdateTrade(command) => after.update_trade(command, now),
            Command::ExpireTrade(id) => after.expire(id, now),
            Command::CreateTransfer(command) => after.transfer(command),
            Command::UpdateCargo(command) => after.update_cargo(command, now),
            Command::AdjustInventory(command) => after.adjust(command),
        };
        match verdict {
            Ok(()) => {
                *self = after;
                Verdict::Taken
            }
            Err(verdict) => verdict,
        }
    }

    fn apply_to(&self, after: &mut Self, trade: &InitiateTrade, now: Timestamp) -> Result<(), Verdict> {
        let before = after.clone();
        after.initiate(trade, now).inspect_err(|_| *after = before)
    }

    fn create_station(&mut self, command: &CreateStation) -> Result<(), Verdict> {
        let mut items: BTreeMap<ItemId, Level> = BTreeMap::new();
        for (item, quantity) in &command.items {
            items.entry(item.clone()).or_default().on_hand += i128::from(quantity.units());
        }
        if items.values().any(|level| level.on_hand > i128::from(UNITS_MAX)) {
            return Err(Verdict::Refused("quantity-out-of-range"));
        }
        if self.stations.contains_key(&command.station_id) {
            return Err(Verdict::Refused("station-exists"));
        }
        self.rows += items.len();
        for (item, level) in &items {
            *self.from_world.entry(item.clone()).or_default() += level.on_hand;
        }
        let CreateStation { station_id, name, metadata, .. } = command.clone();
        self.stations.insert(station_id, ModelStation { name, metadata, version: 1, items });
        Ok(())
    }

    fn initiate(&mut self, command: &InitiateTrade, now: Timestamp) -> Result<(), Verdict> {
        let misplaced_expiry = command.expires_at.is_some() && command.settlement == Settlement::Immediate;
        if command.buyer == command.seller || misplaced_expiry {
            return Err(Verdict::Refused("invalid-request"));
        }
        if let Some(known) = self.trades.get(&command.transaction_id) {
            return if same_trade(&known.asked, command) {
                Ok(())
            } else {
                Err(Verdict::Refused("trade-exists"))
            };
        }
        if command.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Verdict::Refused("invalid-request"));
        }
        self.must_exist(&[&command.buyer, &command.seller])?;
        let id = command.transaction_id.clone();
        let cargo = ModelCargo {
            trade: Some(id.clone()),
            origin: command.seller.clone(),
            destination: command.buyer.clone(),
            items: command.items.clone(),
            settlement: command.settlement,
            asked_eta: command.eta,
            eta: command.eta,
            location: None,
            asked_metadata: None,
            metadata: None,
            status: CargoStatus::Pending,
            version: 1,
        };
        self.settle(&cargo, CargoStatus::Pending)?;
        self.cargo.insert(ShipmentId::of_trade(&id), cargo);
        self.trades
            .insert(id, ModelTrade { asked: command.clone(), status: TradeStatus::Initiated, version: 1 });
        Ok(())
    }

    fn transfer(&mut self, command: &CreateTransfer) -> Result<(), Verdict> {
        if command.shipment_id.as_str().starts_with("shipment-") || command.origin == command.destination {
            return Err(Verdict::Refused("invalid-request"));
        }
        if let Some(known) = self.cargo.get(&command.shipment_id) {
            let same = known.origin == command.origin
                && known.destination == command.destination
                && known.asked_eta == command.eta
                && known.asked_metadata == command.metadata
                && same_lines(&known.items, &command.items);
            return if same { Ok(()) } else { Err(Verdict::Refused("cargo-exists")) };
        }
        self.must_exist(&[&command.origin, &command.destination])?;
        let cargo = ModelCargo {
            trade: None,
            origin: command.origin.clone(),
            destination: command.destination.clone(),
            items: command.items.clone(),
            settlement: Settlement::OnDelivery,
            asked_eta: command.eta,
            eta: command.eta,
            location: None,
            asked_metadata: command.metadata.clone(),
            metadata: command.metadata.clone(),
            status: CargoStatus::Pending,
            version: 1,
        };
        self.settle(&cargo, CargoStatus::Pending)?;
        self.cargo.insert(command.shipment_id.clone(), cargo);
        Ok(())
    }

    fn update_trade(&mut self, command: &UpdateTrade, _now: Timestamp) -> Result<(), Verdict> {
        let trade = self.trades.get(&command.transaction_id).ok_or(Verdict::Refused("trade-not-found"))?;
        version_must_fit(&command.precondition, trade.version)?;
        let shipment = ShipmentId::of_trade(&command.transaction_id);
        let cargo = self.cargo[&shipment].status;
        if trade.status == command.status {
            return Ok(());
        }
        let allowed = match cargo {
            CargoStatus::Pending => vec!["cancelled"],
            CargoStatus::InTransit => vec!["completed"],
            _ => vec![],
        };
        if !allowed.contains(&command.status.as_str()) {
            return Err(Verdict::Illegal(trade.status.as_str(), command.status.as_str(), allowed));
        }
        let to = if cargo == CargoStatus::Pending { CargoStatus::Cancelled } else { CargoStatus::Delivered };
        self.advance(&shipment, to)
    }

    fn expire(&mut self, id: &TransactionId, now: Timestamp) -> Result<(), Verdict> {
        if !self.trades.contains_key(id) {
            return Err(Verdict::Refused("trade-not-found"));
        }
        let shipment = ShipmentId::of_trade(id);
        let due = self.has_expired(&shipment, now) && self.cargo[&shipment].status == CargoStatus::Pending;
        if due { self.advance(&shipment, CargoStatus::Cancelled) } else { Ok(()) }
    }

    fn update_cargo(&mut self, command: &UpdateCargo, now: Timestamp) -> Result<(), Verdict> {
        let UpdateCargo { status, eta, location, metadata, .. } = command;
        if status.is_none() && eta.is_none() && location.is_none() && metadata.is_none() {
            return Err(Verdict::Refused("invalid-request"));
        }
        let id = &command.shipment_id;
        let cargo = self.cargo.get(id).ok_or(Verdict::Refused("cargo-not-found"))?.clone();
        version_must_fit(&command.precondition, cargo.version)?;
        let allowed = match cargo.status {
            CargoStatus::Pending if self.has_expired(id, now) => vec!["cancelled"],
            CargoStatus::Pending => vec!["in_transit", "cancelled"],
            CargoStatus::InTransit => vec!["delivered", "returned", "lost"],
            _ => vec![],
        };
        let to = command.status.unwrap_or(cargo.status);
        let location =
            command.location.as_ref().map(|location| location.as_str().to_owned()).or(cargo.location.clone());
        let eta = command.eta.or(cargo.eta);
        let metadata = command.metadata.clone().or(cargo.metadata.clone());
        let retold = location != cargo.location || eta != cargo.eta || metadata != cargo.metadata;
        if to != cargo.status {
            if !allowed.contains(&to.as_str()) {
                return Err(Verdict::Illegal(cargo.status.as_str(), to.as_str(), allowed));
            }
            self.advance(id, to)?;
        } else if !retold {
            return Ok(());
        } else if cargo.status.is_final() {
            return Err(Verdict::Illegal(cargo.status.as_str(), to.as_str(), allowed));
        } else {
            self.cargo.get_mut(id).expect("known").version += 1;
        }
        let known = self.cargo.get_mut(id).expect("known");
        (known.location, known.eta, known.metadata) = (location, eta, metadata);
        Ok(())
    }

    fn adjust(&mut self, command: &AdjustInventory) -> Result<(), Verdict> {
        let nothing = command.adjustments.is_empty() && command.name.is_none() && command.metadata.is_none();
        if nothing || command.adjustments.len() > 5_000 {
            return Err(Verdict::Refused("invalid-request"));
        }
        let id = &command.station_id;
        let station = self.stations.get_mut(id).ok_or(Verdict::Refused("station-not-found"))?;
        version_must_fit(&command.precondition, station.version)?;
        let before = (station.name.clone(), station.metadata.clone());
        station.name = command.name.clone().or(before.0.clone());
        station.metadata = command.metadata.clone().or(before.1.clone());
        if command.adjustments.is_empty() && (&station.name, &station.metadata) == (&before.0, &before.1) {
            return Ok(());
        }
        let mut sums: BTreeMap<ItemId, Level> = BTreeMap::new();
        for line in &command.adjustments {
            sums.entry(line.item_id.clone()).or_default().on_hand += i128::from(line.delta.units());
            *self.from_world.entry(line.item_id.clone()).or_default() += i128::from(line.delta.units());
        }
        self.rows += command.adjustments.len();
        self.change(vec![(id.clone(), sums)])
    }

    /// Takes a shipment to a status, and its trade with it where that is final.
    fn advance(&mut self, id: &ShipmentId, to: CargoStatus) -> Result<(), Verdict> {
        let cargo = self.cargo[id].clone();
        self.settle(&cargo, to)?;
        let known = self.cargo.get_mut(id).expect("known");
        known.status = to;
        known.version += 1;
        let ends = match to {
            CargoStatus::Delivered => TradeStatus::Completed,
            CargoStatus::Cancelled | CargoStatus::Returned => TradeStatus::Cancelled,
            CargoStatus::Lost => TradeStatus::Failed,
            CargoStatus::Pending | CargoStatus::InTransit => return Ok(()),
        };
        if let Some(trade) = cargo.trade {
            let trade = self.trades.get_mut(&trade).expect("a shipment's trade");
            trade.status = ends;
            trade.version += 1;
        }
        Ok(())
    }

    fn settle(&mut self, cargo: &ModelCargo, to: CargoStatus) -> Result<(), Verdict> {
        let (at_origin, at_destination, in_transit, from_world) = cells(cargo.settlement, to);
        let mut origin: BTreeMap<ItemId, Level> = BTreeMap::new();
        let mut destination: BTreeMap<ItemId, Level> = BTreeMap::new();
        for line in cargo.items.iter() {
            let units = i128::from(line.quantity.units());
            let here = origin.entry(line.item_id.clone()).or_default();
            here.on_hand += at_origin[0] * units;
            here.reserved += at_origin[1] * units;
            let there = destination.entry(line.item_id.clone()).or_default();
            there.on_hand += at_destination[0] * units;
            there.incoming += at_destination[1] * units;
            *self.in_transit.entry(line.item_id.clone()).or_default() += in_transit * units;
            *self.from_world.entry(line.item_id.clone()).or_default() += from_world * units;
        }
        let moves = at_origin[0] != 0 || at_destination[0] != 0;
        self.rows += if moves || in_transit != 0 { origin.len() } else { 0 };
        let mut changes = Vec::new();
        if at_origin != [0, 0] {
            changes.push((cargo.origin.clone(), origin));
        }
        if at_destination != [0, 0] {
            changes.push((cargo.destination.clone(), destination));
        }
        self.change(changes)
    }

    /// Applies changes to levels, or refuses all of them.
    fn change(&mut self, changes: Vec<(StationId, BTreeMap<ItemId, Level>)>) -> Result<(), Verdict> {
        let mut short = BTreeSet::new();
        let mut beyond = false;
        for (station, items) in changes {
            let known = self.stations.get_mut(&station).expect("known");
            known.version += 1;
            for (item, change) in items {
                let level = known.items.entry(item.clone()).or_default();
                let available = level.on_hand - level.reserved;
                level.on_hand += change.on_hand;
                level.reserved += change.reserved;
                level.incoming += change.incoming;
                if level.on_hand - level.reserved < 0 {
                    let requested =
                        u64::try_from(change.reserved - change.on_hand).expect("a short line takes");
                    let available = u64::try_from(available).expect("never below zero");
                    short.insert((station.clone(), item, requested, Some(available)));
                }
                let lifted = change.on_hand + change.incoming > 0;
                beyond |= lifted && level.on_hand + level.incoming > i128::from(UNITS_MAX);
            }
        }
        match (short.is_empty(), beyond) {
            (false, _) => Err(Verdict::Short(short)),
            (true, true) => Err(Verdict::Refused("quantity-out-of-range")),
            (true, false) => Ok(()),
        }
    }

    fn must_exist(&self, stations: &[&StationId]) -> Result<(), Verdict> {
        let known = stations.iter().all(|station| self.stations.contains_key(*station));
        if known { Ok(()) } else { Err(Verdict::Refused("unknown-station")) }
    }

    fn has_expired(&self, shipment: &ShipmentId, now: Timestamp) -> bool {
        let trade = self.cargo.get(shipment).and_then(|cargo| cargo.trade.as_ref());
        trade.and_then(|id| self.trades[id].asked.expires_at).is_some_and(|expires_at| now >= expires_at)
    }

    /// Asserts that a store holds what the model does, and that no unit of any item was made or lost.
    ///
    /// # Panics
    /// With what differs.
    pub fn assert_same(&self, stored: &Snapshot) {
        assert_eq!(stored.inventories.len(), self.stations.len(), "the number of stations");
        for inventory in &stored.inventories {
            let model = &self.stations[&inventory.station_id];
            let items: BTreeMap<_, _> =
                inventory.items.iter().map(|item| (item.item_id.clone(), widen(item.level))).collect();
            assert_eq!(items, model.items, "the levels of station {}", inventory.station_id);
            assert_eq!(inventory.version, model.version, "the version of station {}", inventory.station_id);
            let told = (&inventory.name, &inventory.metadata);
            assert_eq!(told, (&model.name, &model.metadata), "what is told of {}", inventory.station_id);
            let total: i128 = model.items.values().map(|level| level.on_hand).sum();
            assert_eq!(i128::from(inventory.quantity), total.min(i128::from(UNITS_MAX)), "its quantity");
            assert_eq!(inventory.item_count, model.items.len() as u64, "its item count");
        }
        let trade = |t: &Arc<Trade>| (t.transaction_id.clone(), (t.status, t.version, t.metadata.clone()));
        let trades: BTreeMap<_, _> = stored.trades.iter().map(trade).collect();
        let trade = |(id, t): (&TransactionId, &ModelTrade)| {
            (id.clone(), (t.status, t.version, t.asked.metadata.clone()))
        };
        let model: BTreeMap<_, _> = self.trades.iter().map(trade).collect();
        assert_eq!(trades, model, "the trades");
        let shipment = |c: &Arc<Cargo>| (c.shipment_id.clone(), (c.status, c.version, c.metadata.clone()));
        let cargo: BTreeMap<_, _> = stored.cargo.iter().map(shipment).collect();
        let shipment =
            |(id, c): (&ShipmentId, &ModelCargo)| (id.clone(), (c.status, c.version, c.metadata.clone()));
        let model: BTreeMap<_, _> = self.cargo.iter().map(shipment).collect();
        assert_eq!(cargo, model, "the shipments");
        assert_eq!(stored.ledger.len(), self.rows, "the rows of the ledger");
        self.assert_conserved();
    }

    fn assert_conserved(&self) {
        for (item, from_world) in &self.from_world {
            let at_stations: i128 =
                self.stations.values().filter_map(|s| s.items.get(item)).map(|level| level.on_hand).sum();
            let in_transit = self.in_transit.get(item).copied().unwrap_or_default();
            assert_eq!(at_stations + in_transit, *from_world, "the units of {item}");
        }
    }
}

fn widen(level: StockLevel) -> Level {
    let StockLevel { on_hand, reserved, incoming } = level;
    Level { on_hand: on_hand.into(), reserved: reserved.into(), incoming: incoming.into() }
}

fn version_must_fit(precondition: &Precondition, version: u64) -> Result<(), Verdict> {
    match precondition {
        Precondition::OneOf(versions) if !versions.contains(&version) => {
            Err(Verdict::Refused("version-mismatch"))
        }
        Precondition::NoneOf(versions) if versions.contains(&version) => {
            Err(Verdict::Refused("version-mismatch"))
        }
        _ => Ok(()),
    }
}

fn same_trade(a: &InitiateTrade, b: &InitiateTrade) -> bool {
    a.buyer == b.buyer
        && a.seller == b.seller
        && a.settlement == b.settlement
        && a.expires_at == b.expires_at
        && a.eta == b.eta
        && a.metadata == b.metadata
        && same_lines(&a.items, &b.items)
}

fn same_lines(a: &Lines, b: &Lines) -> bool {
    let units = |lines: &Lines| {
        let mut units: BTreeMap<_, u128> = BTreeMap::new();
        for line in lines.iter() {
            *units.entry((line.item_id.clone(), line.unit_price.map(worth))).or_default() +=
                u128::from(line.quantity.units());
        }
        units
    };
    units(a) == units(b)
}

/// Millionths of a unit of its currency.
fn worth(price: Money) -> (i128, String) {
    let millionths = price.amount.mantissa() * 10_i128.pow(6 - price.amount.scale());
    (millionths, price.currency.to_string())
}
