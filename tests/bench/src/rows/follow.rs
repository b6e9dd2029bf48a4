//! How soon the events of one server are with the subscribers of another over the same database, when nothing else goes
//! on: from the answer to whoever caused an event to its receipt. One that comes before the answer took no time.

use super::Setup;
use super::server::{Served, address};
use super::stream::{
    ADJUSTMENT, CONNECT_MAX, DELIVER_MAX, Latency, STATION, STREAM, newest_event, subscribe,
};
use crate::client::fleet::{Expect, Fleet};
use crate::client::publisher::Publisher;
use crate::engine::Engine;
use crate::report::{Bound, Failure, Figure, Row};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tests::server::Server;

/// The events of a round.
const EVENTS: u64 = 200;
/// Between two events, until both servers are idle again.
const PAUSE: Duration = Duration::from_millis(50);
/// Spread over this beside it: one length would meet a store that polls at the same place each time.
const SPREAD_MS: u64 = 100;
/// Has no common divisor with the spread.
const STEP_MS: u64 = 37;

/// By notifications of PostgreSQL.
pub(super) async fn postgres(setup: &Setup) -> Result<Vec<Row>, Failure> {
    follow(setup, Engine::Postgres, "postgres", "PostgreSQL", 20.0).await
}

/// By polling MariaDB.
pub(super) async fn mysql(setup: &Setup) -> Result<Vec<Row>, Failure> {
    follow(setup, Engine::MySql, "mysql", "MariaDB", 60.0).await
}

/// By a change stream of MongoDB.
pub(super) async fn mongo(setup: &Setup) -> Result<Vec<Row>, Failure> {
    follow(setup, Engine::Mongo, "mongo", "MongoDB", 20.0).await
}

async fn follow(
    setup: &Setup,
    engine: Engine,
    name: &str,
    on: &str,
    p50_ms_max: f64,
) -> Result<Vec<Row>, Failure> {
    let served = Served::start(engine, false).await?;
    let other = Server::start(&served.place.url).await;
    let (writer, follower) = (served.address, address(&other)?);
    let mut delays = Vec::new();
    for _ in 0..setup.arguments.rounds {
        delays.push(tokio::task::spawn_blocking(move || round(writer, follower)).await??);
    }
    let row = |share_name, share: fn(&Latency) -> f64, bound| {
        Ok::<_, Failure>(Row {
            name: format!("{name}-follow/{share_name}"),
            work: format!("{on}, two idle servers, from the answer of one to the event at the other"),
            ours: Figure::new(share_name, "ms", delays.iter().map(share).collect())?,
            reference: None,
            bound,
        })
    };
    Ok(vec![
        row("p50", |delay| delay.p50_ms, Some(Bound::AtMost(p50_ms_max)))?,
        row("p99", |delay| delay.p99_ms, None)?,
    ])
}

fn round(writer: SocketAddr, follower: SocketAddr) -> Result<Latency, Failure> {
    let mut publisher = Publisher::connect(writer)?;
    let (newest, _) = newest_event(&mut publisher)?;
    let subscriber = vec![subscribe(STREAM, Some(newest))];
    let fleet = Fleet::start(follower, subscriber, Expect::All { after: newest })?;
    fleet.opened(1, CONNECT_MAX)?;
    let mut delays_us = Vec::new();
    for event in 1..=EVENTS {
        std::thread::sleep(PAUSE + Duration::from_millis(event * STEP_MS % SPREAD_MS));
        publisher.send("PATCH", STATION, ADJUSTMENT)?;
        let answered = Instant::now();
        fleet.delivered(event, DELIVER_MAX)?;
        delays_us.push(u32::try_from(answered.elapsed().as_micros())?);
    }
    fleet.finish()?;
    Latency::of(delays_us)
}
