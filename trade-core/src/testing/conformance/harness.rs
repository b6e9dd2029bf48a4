use super::StoreFactory;
use crate::clock::{ManualClock, UuidV7};
use crate::command::{CargoOutcome, InitiateTrade};
use crate::command::{Command, Fingerprint, Outcome, Request, RequestId, TradeOutcome};
use crate::event::Actor;
use crate::rejection::Rejection;
use crate::resource::{Lines, StockLevel};
use crate::rules::{Context, Draft};
use crate::service::{ServiceError, ServiceOptions, TradeService};
use crate::store::{Commit, InventoryQuery, Keys, Receipt, Store};
use crate::testing::fixtures::{item, start_time, station};
use crate::values::{ShipmentId, StationId, Timestamp};
use crate::view::View;
use std::sync::Arc;
use std::time::Duration;

/// What a case works with: a fresh store, and a clock that stands still.
#[derive(Debug, Clone)]
pub struct Harness {
    factory: Arc<dyn StoreFactory>,
    store: Arc<dyn Store>,
    /// The clock of every service of this case.
    pub clock: Arc<ManualClock>,
}

impl Harness {
    /// Opens a fresh store.
    pub async fn open(factory: Arc<dyn StoreFactory>) -> Self {
        let store = factory.open().await;
        Self { factory, store, clock: Arc::new(ManualClock::new(start_time())) }
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The store, to be shared.
    pub fn shared(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Another handle on the same data, as [`StoreFactory::reopen`] has it.
    pub async fn reopened(&self) -> Arc<dyn Store> {
        self.factory.reopen().await
    }

    /// A service on the store.
    pub async fn service(&self) -> TradeService {
        self.service_on(self.shared()).await
    }

    /// A service on any store, with this case's clock. It looks for expired trades only when it is told to.
    pub async fn service_on(&self, store: Arc<dyn Store>) -> TradeService {
        let options =
            ServiceOptions { expiry_interval: Duration::from_secs(3_600), ..ServiceOptions::default() };
        let service = TradeService::start_with(store, self.clock.clone(), Arc::new(UuidV7), options).await;
        service.expect("a service starts on a store that can be read")
    }

    /// Decides commands on what is stored, without a service and without storing them.
    pub async fn prepare(&self, commands: &[Command]) -> Commit {
        prepare(self.store(), commands, start_time()).await
    }

    /// Decides commands on what is stored, and stores them in one commit, without a service.
    pub async fn write(&self, commands: &[Command]) {
        let commit = self.prepare(commands).await;
        self.store.commit(&commit).await.expect("what was just decided lands");
    }

    /// The level of an item at a station; zero where it is not listed.
    pub async fn level(&self, station_id: &str, item_id: &str) -> StockLevel {
        level(self.store(), station_id, item_id).await
    }

    /// Asserts the levels of stations: `(station, item, on hand, reserved, incoming)`.
    pub async fn assert_levels(&self, expected: &[(&str, &str, u64, u64, u64)]) {
        for (station_id, item_id, on_hand, reserved, incoming) in expected {
            let expected = StockLevel { on_hand: *on_hand, reserved: *reserved, incoming: *incoming };
            assert_eq!(
                self.level(station_id, item_id).await,
                expected,
                "the level of {item_id} at {station_id}"
            );
        }
    }
}

/// Submits a command that must be taken.
///
/// # Panics
/// If it is not.
pub async fn taken(service: &TradeService, command: Command) -> Outcome {
    match service.submit(Request::new(command.clone())).await {
        Ok(answer) => answer.outcome,
        Err(error) => panic!("{command:?} is taken, not answered: {error}"),
    }
}

/// Submits a command that must be refused.
///
/// # Panics
/// If it is not.
pub async fn refused(service: &TradeService, command: Command) -> Rejection {
    match service.submit(Request::new(command.clone())).await {
        Err(ServiceError::Rejected(rejection)) => rejection,
        other => panic!("{command:?} is refused, not answered {other:?}"),
    }
}

/// The trade and shipment of an outcome.
pub(super) fn of_trade(outcome: Outcome) -> TradeOutcome {
    match outcome {
        Outcome::Trade(outcome) => outcome,
        other => panic!("a trade, not {other:?}"),
    }
}

/// The shipment of an outcome.
pub(super) fn of_cargo(outcome: Outcome) -> CargoOutcome {
    match outcome {
        Outcome::Cargo(outcome) => outcome,
        other => panic!("cargo, not {other:?}"),
    }
}

pub(super) async fn level(store: &dyn Store, station_id: &str, item_id: &str) -> StockLevel {
    let query = InventoryQuery { items: vec![item(item_id)], after: None, limit: 1 };
    let page = store.inventory(&station(station_id), &query).await.expect("the inventory is read");
    let items = page.unwrap_or_else(|| panic!("there is a station {station_id}")).inventory.items;
    items.first().map(|item| item.level).unwrap_or_default()
}

pub(super) fn receipt(request: u8, time: Timestamp) -> Receipt {
    Receipt {
        request: RequestId([request; 16]),
        fingerprint: Fingerprint([request; 16]),
        time,
        steps: None,
        answer: Some(vec![request; 3]),
    }
}

/// Decides commands at a time on what a store holds.
pub(super) async fn prepare(store: &dyn Store, commands: &[Command], time: Timestamp) -> Commit {
    let commands: Vec<_> = commands.iter().map(|command| (command.clone(), time)).collect();
    prepare_in_turn(store, &commands).await
}

/// Decides commands, each at its time, on what a store holds.
pub(super) async fn prepare_in_turn(store: &dyn Store, commands: &[(Command, Timestamp)]) -> Commit {
    let mut keys = Keys::default();
    commands.iter().for_each(|(command, _)| name(&mut keys, command));
    let loaded = store.load(&keys).await.expect("the keys are loaded");
    for cargo in &loaded.cargo {
        keys.trades.extend(cargo.transaction_id.clone());
        name_lines(&mut keys, [&cargo.origin, &cargo.destination], &cargo.items);
    }
    let loaded = store.load(&keys).await.expect("the keys are loaded");
    decide_in_turn(View::new(&keys, loaded), commands)
}

/// Decides commands on what a store holds, as if it held none of the trades and shipments that they name.
pub(super) async fn prepare_unseen(store: &dyn Store, commands: &[Command]) -> Commit {
    let mut keys = Keys::default();
    commands.iter().for_each(|command| name(&mut keys, command));
    let mut loaded = store.load(&keys).await.expect("the keys are loaded");
    loaded.trades.clear();
    loaded.cargo.clear();
    let commands: Vec<_> = commands.iter().map(|command| (command.clone(), start_time())).collect();
    decide_in_turn(View::new(&keys, loaded), &commands)
}

fn decide_in_turn(view: View, commands: &[(Command, Timestamp)]) -> Commit {
    let newest = view.head().time;
    let mut draft = Draft::new(view);
    for (command, time) in commands {
        let context = Context { time: newest.max(*time), ..Context::new(*time, Actor::Anonymous) };
        draft.decide(command, &context).unwrap_or_else(|rejection| panic!("{command:?}: {rejection}"));
    }
    draft.close(Vec::new()).0
}

fn name(keys: &mut Keys, command: &Command) {
    match command {
        Command::CreateStation(command) => {
            keys.stations.insert(command.station_id.clone());
        }
        Command::InitiateTrade(trade) => name_trade(keys, trade),
        Command::InitiateTrades(batch) => batch.trades.iter().for_each(|trade| name_trade(keys, trade)),
        Command::UpdateTrade(command) => {
            keys.trades.insert(command.transaction_id.clone());
            keys.cargo.insert(ShipmentId::of_trade(&command.transaction_id));
        }
        Command::ExpireTrade(id) => {
            keys.trades.insert(id.clone());
            keys.cargo.insert(ShipmentId::of_trade(id));
        }
        Command::CreateTransfer(command) => {
            keys.cargo.insert(command.shipment_id.clone());
            name_lines(keys, [&command.origin, &command.destination], &command.items);
        }
        Command::UpdateCargo(command) => {
            keys.cargo.insert(command.shipment_id.clone());
        }
        Command::AdjustInventory(command) => {
            keys.stations.insert(command.station_id.clone());
            let items = command.adjustments.iter().map(|line| line.item_id.clone());
            keys.stock.extend(items.map(|item| (command.station_id.clone(), item)));
        }
    }
}

fn name_trade(keys: &mut Keys, trade: &InitiateTrade) {
    keys.trades.insert(trade.transaction_id.clone());
    keys.cargo.insert(ShipmentId::of_trade(&trade.transaction_id));
    name_lines(keys, [&trade.seller, &trade.buyer], &trade.items);
}

fn name_lines(keys: &mut Keys, ends: [&StationId; 2], lines: &Lines) {
    for station in ends {
        keys.stations.insert(station.clone());
        keys.stock.extend(lines.iter().map(|line| (station.clone(), line.item_id.clone())));
    }
}
