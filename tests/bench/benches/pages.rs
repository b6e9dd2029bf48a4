//! What a page of a list costs on SQLite, with 1 000 trades stored and with 1 000 000.
//!
//! `cargo bench --bench pages [-- TRADES]`, in the folder `tests/bench`

#![allow(clippy::expect_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::load::Network;
use tests::world::World;
use trade_core::resource::{CargoStatus, TradeStatus};
use trade_core::store::{CargoFilter, CargoQuery, LedgerQuery, TimeRange, TradeFilter, TradeQuery};
use trade_core::values::ItemId;
use trade_store_sql::SqliteStore;

const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
/// Few enough for each to fill a page of the first thousand trades.
const STATIONS: u64 = 10;
const REPEATS: usize = 200;
const LIMIT: usize = 50;

/// The median time of a page of each list, by name.
async fn pages(network: &Network) -> Vec<(String, Duration)> {
    let service = &network.service;
    let station = network.station(5);
    let item: ItemId = "item-5".try_into().expect("an id");
    let middle = TimeRange { since: None, until: Some(service.now()) };
    let trades = [
        ("trades", TradeFilter::default()),
        ("trades?station", TradeFilter { station: Some(station.clone()), ..TradeFilter::default() }),
        ("trades?buyer", TradeFilter { buyer: Some(station.clone()), ..TradeFilter::default() }),
        ("trades?seller", TradeFilter { seller: Some(station.clone()), ..TradeFilter::default() }),
        ("trades?status", TradeFilter { status: Some(TradeStatus::Initiated), ..TradeFilter::default() }),
        ("trades?itemId", TradeFilter { item: Some(item), ..TradeFilter::default() }),
        ("trades?until", TradeFilter { created: middle, ..TradeFilter::default() }),
        (
            "trades?seller&until",
            TradeFilter { seller: Some(station.clone()), created: middle, ..TradeFilter::default() },
        ),
    ];
    let cargo = [
        ("cargo", CargoFilter::default()),
        ("cargo?origin", CargoFilter { origin: Some(station.clone()), ..CargoFilter::default() }),
        ("cargo?status", CargoFilter { status: Some(CargoStatus::Pending), ..CargoFilter::default() }),
        ("cargo?late", CargoFilter { late_at: Some(service.now()), ..CargoFilter::default() }),
    ];
    let store = service.store();
    let mut costs = Vec::new();
    for (name, filter) in trades {
        let query = TradeQuery { filter, before: None, limit: LIMIT };
        costs.push((
            name.to_owned(),
            median(async || drop(store.trades(&query).await.expect("a page"))).await,
        ));
    }
    for (name, filter) in cargo {
        let query = CargoQuery { filter, before: None, limit: LIMIT };
        costs.push((
            name.to_owned(),
            median(async || drop(store.cargo_list(&query).await.expect("a page"))).await,
        ));
    }
    let query = LedgerQuery { item: None, before: None, limit: LIMIT };
    let ledger = median(async || drop(store.ledger(&station, &query).await.expect("a page"))).await;
    costs.push(("inventory/…/ledger".to_owned(), ledger));
    costs
}

async fn median(page: impl AsyncFn()) -> Duration {
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let begin = Instant::now();
        page().await;
        times.push(begin.elapsed());
    }
    times.sort();
    times[REPEATS / 2]
}

#[tokio::main]
async fn main() {
    let many = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(MANY);
    let world = World::new();
    let store = SqliteStore::open(&world.sqlite()).await.expect("a new store");
    let network = Network::open(Arc::new(store), STATIONS).await;
    network.settle(FEW).await;
    let few_costs = pages(&network).await;
    network.settle(many - FEW).await;
    let many_costs = pages(&network).await;
    println!("| page of {LIMIT} | {FEW} trades | {many} trades | ratio |");
    println!("|---|---|---|---|");
    for ((name, few), (_, many)) in few_costs.iter().zip(&many_costs) {
        println!("| {name} | {few:.1?} | {many:.1?} | {:.2} |", many.as_secs_f64() / few.as_secs_f64());
    }
    network.service.shutdown().await;
}
