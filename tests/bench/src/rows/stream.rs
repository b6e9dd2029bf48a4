//! The live stream against nchan: the same client, the same number of subscribers, payloads of the same size.
//!
//! Both are measured from the moment before the request that causes an event is sent to the moment its last line was
//! read, so ours carries the durable commit that nchan has none of.

use super::Setup;
use super::server::Served;
use crate::client::fleet::{Expect, Fleet, Sent};
use crate::client::publisher::Publisher;
use crate::client::request;
use crate::reference::nchan::Nchan;
use crate::report::{Bound, Failure, Figure, Row, quantile};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const CONNECT_MAX: Duration = Duration::from_secs(60);
pub(super) const DELIVER_MAX: Duration = Duration::from_secs(30);
/// Between the last connection and the first event, and after the last event, to see one too many.
const REST: Duration = Duration::from_millis(300);
pub(super) const STREAM: &str = "/api/updates/real-time";
pub(super) const STATION: &str = "/api/inventory/station-0";
pub(super) const ADJUSTMENT: &str = r#"{"adjustments":[{"itemId":"item-0","delta":1,"reason":"received"}]}"#;
const EVENTS_PER_SECOND: f64 = 20.0;

/// A source of events, one for each call.
struct Source {
    address: SocketAddr,
    stream: String,
    /// The sequence of the newest event.
    newest: u64,
    publisher: Publisher,
    publish: Box<dyn Fn(u64) -> Vec<u8> + Send>,
}

impl Source {
    fn publish(&mut self) -> Result<(), Failure> {
        let request = (self.publish)(self.newest + 1);
        self.publisher.send_raw(&request)?;
        self.newest += 1;
        Ok(())
    }

    fn fleet(&self, subscribers: u64, sent: Option<Arc<Sent>>) -> Result<Fleet, Failure> {
        let request = subscribe(&self.stream, None);
        let after = self.newest;
        let expect = sent.map_or(Expect::All { after }, |sent| Expect::Timed { after, sent });
        let requests = std::iter::repeat_n(request, usize::try_from(subscribers)?).collect();
        let fleet = Fleet::start(self.address, requests, expect)?;
        fleet.opened(usize::try_from(subscribers)?, CONNECT_MAX)?;
        std::thread::sleep(REST);
        Ok(fleet)
    }
}

/// The request of a subscriber.
pub(super) fn subscribe(path: &str, last_event_id: Option<u64>) -> String {
    let resume = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{resume}\r\n")
}

/// The newest event of a server, as it is streamed.
pub(super) fn newest_event(publisher: &mut Publisher) -> Result<(u64, String), Failure> {
    let (mut after, mut event) = (0, None);
    loop {
        let path = format!("/api/updates?limit=500&after={after}");
        let body: Value = serde_json::from_slice(publisher.send("GET", &path, "")?)?;
        let next = body["nextAfter"].as_u64().ok_or("nextAfter is missing")?;
        event = body["events"].as_array().and_then(|events| events.last().cloned()).or(event);
        if next == after {
            return Ok((after, event.ok_or("there is no event")?.to_string()));
        }
        after = next;
    }
}

/// Ours and nchan, ready to publish. nchan's payload is one of our events with the place for its id.
fn sources(ours: SocketAddr, nchan: SocketAddr) -> Result<[Source; 2], Failure> {
    let mut publisher = Publisher::connect(ours)?;
    publisher.send("PATCH", STATION, ADJUSTMENT)?;
    let (newest, event) = newest_event(&mut publisher)?;
    let id = format!(r#""id":"{newest}""#);
    let (before, behind) = event.split_once(&id).ok_or("the event has no id")?;
    let (before, behind) = (before.to_owned(), behind.to_owned());
    let adjust = request("PATCH", STATION, ADJUSTMENT);
    Ok([
        Source {
            address: ours,
            stream: STREAM.to_owned(),
            newest,
            publisher,
            publish: Box::new(move |_| adjust.clone()),
        },
        Source {
            address: nchan,
            stream: "/sub/events".to_owned(),
            newest,
            publisher: Publisher::connect(nchan)?,
            publish: Box::new(move |sequence| {
                let payload = format!(r#"{before}"id":"{sequence}"{behind}"#);
                let length = payload.len();
                // The kind and the length of the id line that ours has as well.
                format!(
                    "POST /pub/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-EventSource-Event: inventoryUpdated\r\nContent-Length: {length}\r\n\r\n{payload}"
                )
                .into_bytes()
            }),
        },
    ])
}

pub(super) async fn rate_to_1000(setup: &Setup) -> Result<Vec<Row>, Failure> {
    rate(setup, 1_000).await
}

pub(super) async fn rate_to_5000(setup: &Setup) -> Result<Vec<Row>, Failure> {
    rate(setup, 5_000).await
}

/// Deliveries per second, the next event being caused when the last one is with every subscriber.
async fn rate(setup: &Setup, subscribers: u64) -> Result<Vec<Row>, Failure> {
    let (rounds, duration) = (setup.arguments.rounds, setup.arguments.duration);
    let served = Served::start(setup.arguments.engine, false).await?;
    let nchan = Nchan::start(subscribers)?;
    let addresses = (served.address, nchan.address);
    let measured = tokio::task::spawn_blocking(move || {
        let mut rates = [Vec::new(), Vec::new()];
        let mut sources = sources(addresses.0, addresses.1)?;
        let fleets = [sources[0].fleet(subscribers, None)?, sources[1].fleet(subscribers, None)?];
        let mut delivered = [0; 2];
        for _ in 0..rounds {
            for side in 0..2 {
                let (fleet, source) = (&fleets[side], &mut sources[side]);
                rates[side].push(round(source, fleet, subscribers, &mut delivered[side], duration)?);
            }
        }
        std::thread::sleep(REST);
        for fleet in fleets {
            fleet.finish()?;
        }
        Ok::<_, Failure>(rates)
    });
    let [ours, reference] = measured.await??;
    drop(nchan);
    Ok(vec![Row {
        name: format!("stream-rate-{subscribers}"),
        work: format!("{subscribers} subscribers, the next event when the last is everywhere"),
        ours: Figure::new("server", "deliveries/s", ours)?,
        reference: Some(Figure::new("nchan, one worker", "deliveries/s", reference)?),
        bound: Some(Bound::RatioAtLeast(1.2)),
    }])
}

fn round(
    source: &mut Source,
    fleet: &Fleet,
    subscribers: u64,
    delivered: &mut u64,
    duration: Duration,
) -> Result<f64, Failure> {
    let (begin, before) = (Instant::now(), *delivered);
    while begin.elapsed() < duration {
        source.publish()?;
        *delivered += subscribers;
        let counted = fleet.delivered(*delivered, DELIVER_MAX)?;
        if counted != *delivered {
            return Err(format!("{counted} deliveries, not {delivered}").into());
        }
    }
    Ok((*delivered - before) as f64 / begin.elapsed().as_secs_f64())
}

/// From sending to receipt at a steady, low rate.
pub(super) async fn latency(setup: &Setup) -> Result<Vec<Row>, Failure> {
    const SUBSCRIBERS: u64 = 1_000;
    let (rounds, duration) = (setup.arguments.rounds, setup.arguments.duration);
    let served = Served::start(setup.arguments.engine, false).await?;
    let nchan = Nchan::start(SUBSCRIBERS)?;
    let addresses = (served.address, nchan.address);
    let measured = tokio::task::spawn_blocking(move || {
        let mut figures = [Vec::new(), Vec::new()];
        let mut sources = sources(addresses.0, addresses.1)?;
        for _ in 0..rounds {
            for (source, figures) in sources.iter_mut().zip(&mut figures) {
                figures.push(paced(source, SUBSCRIBERS, duration)?);
            }
        }
        Ok::<_, Failure>(figures)
    });
    let [ours, reference] = measured.await??;
    drop(nchan);
    let row = |name: &str, share: fn(&Latency) -> f64, bound| {
        Ok::<_, Failure>(Row {
            name: format!("stream-latency/{name}"),
            work: format!("{SUBSCRIBERS} subscribers, {EVENTS_PER_SECOND} events/s, from sending to receipt"),
            ours: Figure::new(format!("server, {name}"), "ms", ours.iter().map(share).collect())?,
            reference: Some(Figure::new("nchan, one worker", "ms", reference.iter().map(share).collect())?),
            bound,
        })
    };
    Ok(vec![
        row("p99", |latency| latency.p99_ms, Some(Bound::RatioAtMost(0.7)))?,
        row("p50", |latency| latency.p50_ms, None)?,
    ])
}

pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Latency {
    /// Of all that was measured, in microseconds.
    pub(super) fn of(mut latencies_us: Vec<u32>) -> Result<Self, Failure> {
        latencies_us.sort_unstable();
        let at = |share| quantile(&latencies_us, share).map(|us| f64::from(us) / 1e3).ok_or("nothing came");
        Ok(Self { p50_ms: at(0.5)?, p99_ms: at(0.99)? })
    }
}

fn paced(source: &mut Source, subscribers: u64, duration: Duration) -> Result<Latency, Failure> {
    let gap = Duration::from_secs_f64(1.0 / EVENTS_PER_SECOND);
    let events = u32::try_from(duration.as_micros() / gap.as_micros())?.max(1);
    let sent = Sent::new(source.newest + 1, usize::try_from(events)?);
    let fleet = source.fleet(subscribers, Some(sent.clone()))?;
    let begin = Instant::now();
    for event in 0..events {
        std::thread::sleep((gap * event).saturating_sub(begin.elapsed()));
        sent.mark(source.newest + 1)?;
        source.publish()?;
    }
    fleet.delivered(subscribers * u64::from(events), DELIVER_MAX)?;
    std::thread::sleep(REST);
    let received = fleet.finish()?;
    let latencies: Vec<u32> = received.into_iter().flat_map(|received| received.latencies_us).collect();
    if latencies.len() as u64 != subscribers * u64::from(events) {
        return Err(format!("{} deliveries of {events} events", latencies.len()).into());
    }
    Latency::of(latencies)
}
