//! What grouping commits is worth: trades per second on SQLite, one caller after the other and 256 at once.
//!
//! `cargo bench -p tests --bench committer`

#![allow(clippy::expect_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;
use tests::load::Network;
use tests::world::World;
use trade_store_sql::SqliteStore;

const ROUNDS: usize = 3;
const DURATION: Duration = Duration::from_secs(3);
const STATIONS: u64 = 1_000;
const CALLERS: u64 = 256;
const BOUND: f64 = 5.0;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    let world = World::new();
    let store = SqliteStore::open(&world.sqlite()).await.expect("a new store");
    let network = Network::open(Arc::new(store), STATIONS).await;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let first = 1_000_000_000 * (round + 1);
        alone.push(network.trades_per_second(1, first, DURATION).await);
        together.push(network.trades_per_second(CALLERS, first + 500_000_000, DURATION).await);
    }
    let ratios: Vec<_> = together.iter().zip(&alone).map(|(together, alone)| together / alone).collect();
    let ratio = median(ratios.clone());
    println!("| callers | trades/s (median of {ROUNDS}) |");
    println!("|---|---|");
    println!("| 1 | {:.0} |", median(alone));
    println!("| {CALLERS} | {:.0} |", median(together));
    let verdict = if ratio >= BOUND { "" } else { " — BELOW ITS BOUND" };
    println!("\nratio {ratio:.1} (rounds: {ratios:.1?}), at least {BOUND:.1}{verdict}");
    network.service.shutdown().await;
}
