//! Trades through the library on database servers, whatever engine the other rows are about.

use super::{Setup, library};
use crate::engine::{Engine, STATIONS};
use crate::reference::pgbench::Pgbench;
use crate::report::{Bound, Failure, Figure, Row};
use crate::worker::{Part, Worker};
use futures::future::try_join_all;

const TRADES: &str = "trades/s";
const CALLERS: u64 = 1_024;
/// Between the first trades of two workers: more than one of them makes.
const APART: u64 = 1 << 32;

/// Many callers on PostgreSQL against many trades in each commit.
pub(super) async fn postgres(setup: &Setup) -> Result<Vec<Row>, Failure> {
    Ok(vec![library::to_by_hand(setup, Engine::Postgres, "postgres-callers-1024").await?])
}

/// Many callers on MariaDB against many trades in each commit.
pub(super) async fn mysql(setup: &Setup) -> Result<Vec<Row>, Failure> {
    Ok(vec![library::to_by_hand(setup, Engine::MySql, "mysql-callers-1024").await?])
}

/// Many callers on PostgreSQL against the clients of pgbench, each with a commit for every trade.
pub(super) async fn pgbench(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let duration = setup.arguments.duration;
    let opened = Engine::Postgres.network().await?;
    let pgbench = Pgbench::open(STATIONS).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(opened.network.trades_per_second(CALLERS, duration).await);
        reference.push(pgbench.trades_per_second(duration).await?);
    }
    opened.close().await;
    Ok(vec![Row {
        name: "postgres-pgbench".to_owned(),
        work: "PostgreSQL, one trade after the other by each of 1 024 callers".to_owned(),
        ours: Figure::new("library", TRADES, ours)?,
        reference: Some(Figure::new("pgbench, 32 clients, far less kept", TRADES, reference)?),
        bound: Some(Bound::RatioAtLeast(1.5)),
    }])
}

/// Two processes over one database against one with as many callers.
pub(super) async fn two_servers(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let engine = Engine::Postgres;
    let place = engine.network().await?.close().await;
    let seconds = setup.arguments.duration.as_secs_f64();
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    let mut first = 0;
    for _ in 0..setup.arguments.rounds {
        ours.push(together(engine, &place.url, 2, seconds, &mut first).await?);
        reference.push(together(engine, &place.url, 1, seconds, &mut first).await?);
    }
    Ok(vec![Row {
        name: "postgres-two-servers".to_owned(),
        work: "PostgreSQL, one trade after the other by each of 1 024 callers".to_owned(),
        ours: Figure::new("two processes, 512 callers each", TRADES, ours)?,
        reference: Some(Figure::new("one process", TRADES, reference)?),
        bound: Some(Bound::RatioAtLeast(0.9)),
    }])
}

/// Trades per second of so many processes that share the callers and begin at once.
async fn together(
    engine: Engine,
    url: &str,
    processes: u64,
    seconds: f64,
    first: &mut u64,
) -> Result<f64, Failure> {
    let mut workers = Vec::new();
    for _ in 0..processes {
        let part = Part { url: url.to_owned(), callers: CALLERS / processes, first: *first };
        *first += APART;
        workers.push(Worker::start(engine, &part, seconds).await?);
    }
    let rates = try_join_all(workers.into_iter().map(Worker::work)).await?;
    Ok(rates.iter().sum())
}
