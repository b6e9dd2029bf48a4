//! Trades over HTTP.

use super::Setup;
use super::server::{PROCESSOR, Served};
use crate::client::load::Load;
use crate::engine::{Engine, STATIONS};
use crate::reference::express::Express;
use crate::report::{Bound, Failure, Figure, Row};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::load::Shape;

const CONNECTIONS: usize = 64;
const BATCH_CONNECTIONS: usize = 4;
const BATCH_TRADES: u64 = 1_000;
const TRADES: &str = "trades/s";
const ONE: &str = "one trade a request, 64 connections, the server on one core";

/// Beside a store that costs next to nothing it is HTTP itself that is measured, and no bound is set.
fn bound(engine: Engine, least: f64) -> Option<Bound> {
    engine.is_durable().then_some(Bound::RatioAtLeast(least))
}

/// One trade a request, against the library in this process.
pub(super) async fn one_to_library(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let (engine, duration) = (setup.arguments.engine, setup.arguments.duration);
    let opened = engine.network().await?;
    let served = Served::start(engine, true).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(served.trades(CONNECTIONS, duration, None).await?);
        reference.push(opened.network.trades_per_second(CONNECTIONS as u64, duration).await);
    }
    opened.close().await;
    Ok(vec![Row {
        name: "http-one".to_owned(),
        work: ONE.to_owned(),
        ours: Figure::new("HTTP", TRADES, ours)?,
        reference: Some(Figure::new("library, 64 callers", TRADES, reference)?),
        bound: bound(engine, 0.6),
    }])
}

/// One trade a request, against Express.
pub(super) async fn one_to_express(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let (engine, duration) = (setup.arguments.engine, setup.arguments.duration);
    let express = Express::start(PROCESSOR)?;
    let served = Served::start(engine, true).await?;
    let (shape, next) = (Shape::spread(STATIONS), Arc::new(AtomicU64::new(0)));
    let load = Load {
        address: express.address,
        connections: CONNECTIONS,
        duration,
        pace: None,
        status: 201,
        holds: None,
    };
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(served.trades(CONNECTIONS, duration, None).await?);
        let next = next.clone();
        let answered = load.run(move |_| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            crate::client::request("POST", "/api/trades", &shape.trade_body(number))
        });
        reference.push(answered.await?.rate());
    }
    Ok(vec![Row {
        name: "http-express".to_owned(),
        work: ONE.to_owned(),
        ours: Figure::new("HTTP", TRADES, ours)?,
        reference: Some(Figure::new("Express and better-sqlite3, on one core", TRADES, reference)?),
        bound: Some(Bound::RatioAtLeast(4.0)),
    }])
}

/// Batches, against single trades of many callers of the library.
pub(super) async fn batches(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let (engine, duration) = (setup.arguments.engine, setup.arguments.duration);
    let opened = engine.network().await?;
    let served = Served::start(engine, false).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(served.batches(BATCH_CONNECTIONS, duration, BATCH_TRADES).await?);
        reference.push(opened.network.trades_per_second(1_024, duration).await);
    }
    opened.close().await;
    Ok(vec![Row {
        name: "http-batches".to_owned(),
        work: format!("batches of 1 000 trades, {BATCH_CONNECTIONS} connections, the server on all cores"),
        ours: Figure::new("HTTP", TRADES, ours)?,
        reference: Some(Figure::new("library, single trades of 1 024 callers", TRADES, reference)?),
        bound: bound(engine, 0.7),
    }])
}
