//! Trades through the library on database servers, whatever engine the other rows are about.

use super::{Setup, library};
use crate::engine::{Engine, STATIONS};
use crate::reference::pgbench::Pgbench;
use crate::reference::seed::Seed;
use crate::report::{Bound, Failure, Figure, Row};
use crate::worker::{Part, Worker};
use futures::future::try_join_all;
use tests::load::Shape;

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

/// Many callers on MongoDB against many trades in each transaction.
pub(super) async fn mongo(setup: &Setup) -> Result<Vec<Row>, Failure> {
    Ok(vec![library::to_by_hand(setup, Engine::Mongo, "mongo-callers-1024").await?])
}

/// Many callers on MongoDB against the application that the network replaces.
pub(super) async fn seed(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let duration = setup.arguments.duration;
    let opened = Engine::Mongo.network().await?;
    let seed = Seed::start(Shape::spread(STATIONS)).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(opened.network.trades_per_second(CALLERS, duration).await);
        reference.push(seed.trades_per_second(duration).await?);
    }
    opened.close().await;
    Ok(vec![Row {
        name: "mongo-seed".to_owned(),
        work: "MongoDB, one trade after the other by each of 1 024 callers".to_owned(),
        ours: Figure::new("library", TRADES, ours)?,
        reference: Some(Figure::new(
            "Express and Mongoose, 32 connections, far less kept",
            TRADES,
            reference,
        )?),
        bound: Some(Bound::RatioAtLeast(10.0)),
    }])
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

/// Two processes over one database of PostgreSQL against one with as many callers.
pub(super) async fn two_servers(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let name = "postgres-two-servers".to_owned();
    Ok(vec![to_one(setup, Engine::Postgres, 2, name, Some(Bound::RatioAtLeast(0.75))).await?])
}

/// Two and four processes over one database of MongoDB against one with as many callers.
pub(super) async fn processes(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for processes in [2, 4] {
        let name = format!("mongo-processes/{processes}");
        rows.push(to_one(setup, Engine::Mongo, processes, name, None).await?);
    }
    Ok(rows)
}

/// So many processes over one database against one with as many callers.
async fn to_one(
    setup: &Setup,
    engine: Engine,
    processes: u64,
    name: String,
    bound: Option<Bound>,
) -> Result<Row, Failure> {
    let place = engine.network().await?.close().await;
    let seconds = setup.arguments.duration.as_secs_f64();
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    let mut first = 0;
    for _ in 0..setup.arguments.rounds {
        ours.push(together(engine, &place.url, processes, seconds, &mut first).await?);
        reference.push(together(engine, &place.url, 1, seconds, &mut first).await?);
    }
    let on = if engine == Engine::Mongo { "MongoDB" } else { "PostgreSQL" };
    let (many, each) = (if processes == 2 { "two" } else { "four" }, CALLERS / processes);
    Ok(Row {
        name,
        work: format!("{on}, one trade after the other by each of 1 024 callers"),
        ours: Figure::new(format!("{many} processes, {each} callers each"), TRADES, ours)?,
        reference: Some(Figure::new("one process", TRADES, reference)?),
        bound,
    })
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
