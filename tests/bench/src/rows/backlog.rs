//! Subscribers that come back from far behind, all at once, while trades are written.

use super::Setup;
use super::server::Served;
use super::stream::subscribe;
use crate::client::fleet::{Expect, Fleet, Received};
use crate::client::publisher::Publisher;
use crate::engine::STATIONS;
use crate::report::{Bound, Failure, Figure, Row};
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How far behind the subscribers are.
const BEHIND_EVENTS: u64 = 10_000;
const EVENTS_PER_TRADE: u64 = 4;
const PACE: f64 = 1_000.0;
const CONNECTIONS: usize = 64;
const CATCH_UP_MAX: Duration = Duration::from_secs(120);
/// After the last event, to see one too many.
const REST: Duration = Duration::from_millis(300);

/// Each subscriber follows a station of its own. Writers are told from those that have the server to themselves.
pub(super) async fn resume(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let served = Served::start(setup.arguments.engine, false).await?;
    let served = &served;
    let mut paced = Sides::default();
    let mut unpaced = Sides::default();
    for _ in 0..setup.arguments.rounds {
        paced.round(served, setup.arguments.duration, Some(PACE)).await?;
        unpaced.round(served, setup.arguments.duration, None).await?;
    }
    let caught_up = Figure::new("all caught up after", "s", paced.caught_up_seconds.clone())?;
    let work = format!(
        "{STATIONS} subscribers, each of one station, resume {BEHIND_EVENTS} events back while trades are written"
    );
    Ok(vec![
        paced.row("stream-backlog/paced", format!("{work} at {PACE}/s"), Some(Bound::RatioAtLeast(0.8)))?,
        unpaced.row(
            "stream-backlog/unpaced",
            format!("{work} by {CONNECTIONS} writers without pause"),
            None,
        )?,
        Row {
            name: "stream-backlog/caught-up".to_owned(),
            work: format!("{work} at {PACE}/s"),
            ours: caught_up,
            reference: None,
            bound: None,
        },
    ])
}

#[derive(Debug, Default)]
struct Sides {
    ours: Vec<f64>,
    alone: Vec<f64>,
    caught_up_seconds: Vec<f64>,
}

impl Sides {
    fn row(self, name: &str, work: String, bound: Option<Bound>) -> Result<Row, Failure> {
        Ok(Row {
            name: name.to_owned(),
            work,
            ours: Figure::new("writers beside them", "trades/s", self.ours)?,
            reference: Some(Figure::new("writers alone", "trades/s", self.alone)?),
            bound,
        })
    }

    async fn round(&mut self, served: &Served, duration: Duration, pace: Option<f64>) -> Result<(), Failure> {
        served.settle(BEHIND_EVENTS / EVENTS_PER_TRADE)?;
        self.alone.push(served.trades(CONNECTIONS, duration, pace).await?);
        let after = newest(served.address)?.saturating_sub(BEHIND_EVENTS);
        let begin = Instant::now();
        let requests = (0..STATIONS).map(|station| {
            let name = served.shape.station_name(station);
            subscribe(&format!("/api/updates/real-time?station={name}"), Some(after))
        });
        let fleet = Fleet::start(served.address, requests.collect(), Expect::Some { after })?;
        self.ours.push(served.trades(CONNECTIONS, duration, pace).await?);
        let address = served.address;
        let checked = tokio::task::spawn_blocking(move || check(address, fleet, after, begin));
        self.caught_up_seconds.push(checked.await??);
        Ok(())
    }
}

/// Waits until every subscriber has what it is to have, and that is exactly what the log holds of its station. Answers
/// how many seconds after `begin` that was.
fn check(address: SocketAddr, fleet: Fleet, after: u64, begin: Instant) -> Result<f64, Failure> {
    let expected = expected(address, after)?;
    let count = expected.values().map(|sequences| sequences.len() as u64).sum();
    fleet.delivered(count, CATCH_UP_MAX)?;
    let seconds = begin.elapsed().as_secs_f64();
    std::thread::sleep(REST);
    let received = fleet.finish()?;
    for (station, Received { sequences, .. }) in received.iter().enumerate() {
        let expected = expected.get(&format!("station-{station}"));
        if expected.map_or(0, Vec::len) != sequences.len()
            || expected.is_some_and(|expected| expected != sequences)
        {
            return Err(format!("a subscriber of station-{station} got other events than its own").into());
        }
    }
    Ok(seconds)
}

/// The sequences of the events of each station, as the log tells them.
fn expected(address: SocketAddr, after: u64) -> Result<HashMap<String, Vec<u64>>, Failure> {
    let mut expected: HashMap<String, Vec<u64>> = HashMap::new();
    each_event(address, after, |sequence, event| {
        let data = &event["data"];
        let ends = [
            &data["trade"]["seller"],
            &data["trade"]["buyer"],
            &data["cargo"]["origin"],
            &data["cargo"]["destination"],
            &data["inventory"]["stationId"],
        ];
        for station in ends.into_iter().filter_map(Value::as_str) {
            expected.entry(station.to_owned()).or_default().push(sequence);
        }
    })?;
    Ok(expected)
}

fn newest(address: SocketAddr) -> Result<u64, Failure> {
    each_event(address, 0, |_, _| {})
}

/// Polls the log to its end, and answers where that is.
fn each_event(address: SocketAddr, after: u64, mut each: impl FnMut(u64, &Value)) -> Result<u64, Failure> {
    let mut publisher = Publisher::connect(address)?;
    let mut after = after;
    loop {
        let path = format!("/api/updates?limit=500&after={after}");
        let page: Value = serde_json::from_slice(publisher.send("GET", &path, "")?)?;
        for event in page["events"].as_array().ok_or("a page has no events")? {
            each(event["sequence"].as_u64().ok_or("an event has no sequence")?, event);
        }
        match page["nextAfter"].as_u64() {
            Some(next) if next > after => after = next,
            Some(_) => return Ok(after),
            None => return Err("nextAfter is missing".into()),
        }
    }
}
