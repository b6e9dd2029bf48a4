//! What very many stored trades cost those that come.

use super::Setup;
use crate::engine::{Engine, Place};
use crate::report::{Bound, Failure, Figure, Row};
use std::time::Instant;
use tests::server::Server;

const CALLERS: u64 = 256;
const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
const VERY_MANY: u64 = 10_000_000;
const START_SECONDS_MAX: f64 = 1.0;

/// A store with very many trades that nobody has open.
#[derive(Debug)]
pub(crate) struct Stored {
    place: Place,
    trades: u64,
}

impl Stored {
    async fn make(engine: Engine, trades: u64) -> Result<Self, Failure> {
        let begin = Instant::now();
        let opened = engine.network().await?;
        opened.network.settle(trades).await;
        let place = opened.close().await;
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("{trades} trades stored in {seconds:.0} s, {} MiB", place.bytes().await? >> 20);
        Ok(Self { place, trades })
    }
}

fn many(setup: &Setup) -> u64 {
    if setup.arguments.large { VERY_MANY } else { MANY }
}

/// The store that all rows here share.
async fn take(setup: &Setup) -> Result<Stored, Failure> {
    match setup.stored.lock().await.take() {
        Some(stored) => Ok(stored),
        None => Stored::make(setup.arguments.engine, many(setup)).await,
    }
}

/// The time of a trade, with many stored to with few.
pub(super) async fn cost(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let (engine, duration) = (setup.arguments.engine, setup.arguments.duration);
    let Stored { place, trades } = take(setup).await?;
    let opened = place.reopen(trades).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    let cost = |rate: f64| 1e6 / rate;
    for _ in 0..setup.arguments.rounds {
        // New each round: it would not keep to few trades otherwise.
        let few = engine.network().await?;
        few.network.settle(FEW).await;
        ours.push(cost(opened.network.trades_per_second(CALLERS, duration).await));
        reference.push(cost(few.network.trades_per_second(CALLERS, duration).await));
        few.close().await;
    }
    let trades = opened.network.trades();
    let place = opened.close().await;
    setup.stored.lock().await.replace(Stored { place, trades });
    Ok(vec![Row {
        name: "stored-cost".to_owned(),
        work: format!(
            "one trade after the other by each of {CALLERS} callers, with {} trades stored",
            many(setup)
        ),
        ours: Figure::new("time of a trade", "µs", ours)?,
        reference: Some(Figure::new(format!("with {FEW} stored"), "µs", reference)?),
        bound: Some(Bound::RatioAtMost(1.5)),
    }])
}

/// The start of a server, to the line that tells that it is ready.
pub(super) async fn start(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let stored = take(setup).await?;
    // Built before the clock runs.
    tests::server::binary();
    let mut seconds = Vec::new();
    for _ in 0..setup.arguments.rounds {
        let begin = Instant::now();
        let server = Server::start(&stored.place.url).await;
        seconds.push(begin.elapsed().as_secs_f64());
        let status = server.stop("TERM").await;
        if !status.success() {
            return Err(format!("the server ends with {status}").into());
        }
    }
    let trades = stored.trades;
    setup.stored.lock().await.replace(stored);
    Ok(vec![Row {
        name: "stored-start".to_owned(),
        work: format!("start of the server, to its ready line, with {trades} trades stored"),
        ours: Figure::new("start", "s", seconds)?,
        reference: None,
        bound: Some(Bound::AtMost(START_SECONDS_MAX)),
    }])
}
