//! Trades through the library.

use super::Setup;
use crate::engine::{Engine, STATIONS};
use crate::reference::rule;
use crate::report::{Bound, Failure, Figure, Row};
use futures::{StreamExt, stream};
use std::time::{Duration, Instant};
use tests::load::all_made;
use trade_core::command::InitiateTrades;

const TRADES: &str = "trades/s";
/// Trades of one round of batches, and of the bare rule, which is over in a moment otherwise.
const BATCHED: u64 = 100_000;
const BARE: u32 = 1_000_000;
const BATCHES_IN_FLIGHT: usize = 4;

/// Many callers against many trades in each commit.
pub(super) async fn grouped(setup: &Setup) -> Result<Vec<Row>, Failure> {
    Ok(vec![to_by_hand(setup, setup.arguments.engine, "library-callers-1024").await?])
}

/// The same on an engine.
pub(super) async fn to_by_hand(setup: &Setup, engine: Engine, name: &str) -> Result<Row, Failure> {
    let (ours, reference) = by_hand(setup, engine, 1_024, 1_000).await?;
    let (on, least) = match engine {
        Engine::Postgres => ("PostgreSQL, ", 0.8),
        Engine::MySql => ("MariaDB, ", 0.7),
        Engine::Mongo => ("MongoDB, ", 0.7),
        Engine::Sqlite | Engine::Memory => ("", 0.9),
    };
    Ok(Row {
        name: name.to_owned(),
        work: format!("{on}one trade after the other by each of 1 024 callers"),
        ours: Figure::new("library", TRADES, ours)?,
        reference: Some(Figure::new("by hand, 1 000 a commit", TRADES, reference)?),
        bound: Some(Bound::RatioAtLeast(least)),
    })
}

/// One caller against one trade in each commit.
pub(super) async fn alone(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let (ours, reference) = by_hand(setup, setup.arguments.engine, 1, 1).await?;
    Ok(vec![Row {
        name: "library-caller-1".to_owned(),
        work: "one trade after the other by one caller".to_owned(),
        ours: Figure::new("library", TRADES, ours)?,
        reference: Some(Figure::new("by hand, one a commit", TRADES, reference)?),
        // Elsewhere the messages to a server are the most of it on both sides.
        bound: (setup.arguments.engine == Engine::Sqlite).then_some(Bound::RatioAtLeast(0.7)),
    }])
}

async fn by_hand(
    setup: &Setup,
    engine: Engine,
    callers: u64,
    per_commit: u64,
) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let duration = setup.arguments.duration;
    let opened = engine.network().await?;
    let mut reference = engine.by_hand().await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(opened.network.trades_per_second(callers, duration).await);
        let turn = tokio::task::spawn_blocking(move || {
            let rate = reference.trades_per_second(per_commit, duration);
            (reference, rate)
        });
        let (back, rate) = turn.await?;
        reference = back;
        theirs.push(rate?);
    }
    opened.close().await;
    Ok((ours, theirs))
}

/// What grouping commits is worth.
pub(super) async fn together(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let opened = setup.arguments.engine.network().await?;
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        together.push(opened.network.trades_per_second(256, setup.arguments.duration).await);
        alone.push(opened.network.trades_per_second(1, setup.arguments.duration).await);
    }
    opened.close().await;
    Ok(vec![Row {
        name: "library-callers-256".to_owned(),
        work: "one trade after the other by each of 256 callers".to_owned(),
        ours: Figure::new("256 callers", TRADES, together)?,
        reference: Some(Figure::new("one caller", TRADES, alone)?),
        bound: Some(Bound::RatioAtLeast(5.0)),
    }])
}

/// Batches on the memory store, whatever the engine, against the bare rule.
pub(super) async fn batches(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(batches_per_second().await?);
        reference.push(tokio::task::spawn_blocking(|| rule::trades_per_second(STATIONS, BARE)).await??);
    }
    Ok(vec![Row {
        name: "library-batches".to_owned(),
        work: format!("batches of 1 000 trades, {BATCHES_IN_FLIGHT} in flight, memory store"),
        ours: Figure::new("library", TRADES, ours)?,
        reference: Some(Figure::new("bare rule on hash maps", TRADES, reference)?),
        bound: Some(Bound::RatioAtLeast(0.3)),
    }])
}

async fn batches_per_second() -> Result<f64, Failure> {
    let opened = Engine::Memory.network().await?;
    let network = &opened.network;
    let batch = InitiateTrades::COUNT_MAX as u64;
    // Made before the clock runs, as those of the bare rule are next to free.
    let requests: Vec<_> = (0..BATCHED / batch).map(|_| network.next_batch(batch)).collect();
    let begin = Instant::now();
    let submitted = requests.into_iter().map(|request| {
        let service = network.service.clone();
        // On tasks of their own, as the callers of a server are.
        async move { tokio::spawn(async move { service.submit(request).await }).await }
    });
    let mut answers = stream::iter(submitted).buffered(BATCHES_IN_FLIGHT);
    while let Some(answer) = answers.next().await {
        if !all_made(&answer??) {
            return Err("a trade of a batch was refused".into());
        }
    }
    let rate = BATCHED as f64 / begin.elapsed().as_secs_f64();
    drop(answers);
    opened.close().await;
    Ok(rate)
}

/// Every trade between the same two stations against trades spread over all of them.
pub(super) async fn hot_pair(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let duration: Duration = setup.arguments.duration;
    let opened = setup.arguments.engine.network().await?;
    let hot = opened.network.hot();
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(hot.trades_per_second(1_024, duration).await);
        reference.push(opened.network.trades_per_second(1_024, duration).await);
    }
    opened.close().await;
    Ok(vec![Row {
        name: "library-hot-pair".to_owned(),
        work: "1 024 callers, every trade between the same two stations".to_owned(),
        ours: Figure::new("hot pair", TRADES, ours)?,
        reference: Some(Figure::new("spread over 1 000 stations", TRADES, reference)?),
        bound: Some(Bound::RatioAtLeast(0.8)),
    }])
}
