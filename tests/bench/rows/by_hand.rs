//! What a database gives that is written to by hand, without the library.

use super::Setup;
use crate::engine::STATIONS;
use crate::reference::ByHand;
use crate::reference::mysql::MySqlByHand;
use crate::reference::pgbench::Pgbench;
use crate::reference::postgres::PostgresByHand;
use crate::report::{Failure, Figure, Row};
use std::time::Duration;
use tests::load::Shape;

const TRADES: &str = "trades/s";

/// Many trades in each commit against one by each of many clients, which keeps far less.
pub(super) async fn postgres(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let duration = setup.arguments.duration;
    let mut by_hand: Box<dyn ByHand> = Box::new(PostgresByHand::open(Shape::spread(STATIONS)).await?);
    let pgbench = Pgbench::open(STATIONS).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(turn(&mut by_hand, 1_000, duration).await?);
        reference.push(pgbench.trades_per_second(duration).await?);
    }
    Ok(vec![Row {
        name: "postgres-by-hand".to_owned(),
        work: "the contract's rows written to PostgreSQL by hand".to_owned(),
        ours: Figure::new("by hand, 1 000 a commit", TRADES, ours)?,
        reference: Some(Figure::new("pgbench, 32 clients, far less kept", TRADES, reference)?),
        bound: None,
    }])
}

/// Many trades in each commit against one.
pub(super) async fn mysql(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let duration = setup.arguments.duration;
    let mut by_hand: Box<dyn ByHand> = Box::new(MySqlByHand::open(Shape::spread(STATIONS)).await?);
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for _ in 0..setup.arguments.rounds {
        ours.push(turn(&mut by_hand, 1_000, duration).await?);
        reference.push(turn(&mut by_hand, 1, duration).await?);
    }
    Ok(vec![Row {
        name: "mysql-by-hand".to_owned(),
        work: "the contract's rows written to MariaDB by hand".to_owned(),
        ours: Figure::new("by hand, 1 000 a commit", TRADES, ours)?,
        reference: Some(Figure::new("by hand, one a commit", TRADES, reference)?),
        bound: None,
    }])
}

/// One side's turn, off the threads that others work on.
pub(super) async fn turn(
    by_hand: &mut Box<dyn ByHand>,
    per_commit: u64,
    duration: Duration,
) -> Result<f64, Failure> {
    tokio::task::block_in_place(|| by_hand.trades_per_second(per_commit, duration))
}
