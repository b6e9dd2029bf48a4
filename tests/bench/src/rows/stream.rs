//! The live stream against nchan: the same client, the same number of subscribers, payloads of the same size.
//!
//! Both are measured from the moment before the request that causes an event is sent to the moment its last line was
//! read, so ours carries the durable commit that nchan has none of.

use super::Setup;
use super::server::Served;
use crate::certificate::Certificate;
use crate::client::fleet::{Expect, Fleet, Sent};
use crate::client::publisher::Publisher;
use crate::client::{Peer, request};
use crate::reference::nchan::Nchan;
use crate::report::{Bound, Failure, Figure, Row, quantile};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const CONNECT_MAX: Duration = Duration::from_secs(60);
pub(super) const DELIVER_MAX: Duration = Duration::from_secs(30);
/// Between the last connection and the first event, and after the last event, to see one too many.
const REST: Duration = Duration::from_millis(300);
pub(super) const STREAM: &str = "/api/updates/real-time";
pub(super) const STATION: &str = "/api/inventory/station-0";
pub(super) const ADJUSTMENT: &str = r#"{"adjustments":[{"itemId":"item-0","delta":1,"reason":"received"}]}"#;
/// What rates are counted in.
pub(super) const RATE: &str = "deliveries/s";
const EVENTS_PER_SECOND: f64 = 20.0;

/// A source of events, one for each call.
pub(super) struct Source {
    peer: Peer,
    stream: String,
    /// The sequence of the newest event.
    pub(super) newest: u64,
    publisher: Publisher,
    publish: Box<dyn Fn(u64) -> Vec<u8> + Send>,
}

impl Source {
    /// Our server, with its newest event.
    pub(super) fn ours(peer: &Peer) -> Result<(Self, String), Failure> {
        let mut publisher = Publisher::connect(peer.clone())?;
        publisher.send("PATCH", STATION, ADJUSTMENT)?;
        let (newest, event) = newest_event(&mut publisher)?;
        let adjust = request("PATCH", STATION, ADJUSTMENT);
        let source = Self {
            peer: peer.clone(),
            stream: STREAM.to_owned(),
            newest,
            publisher,
            publish: Box::new(move |_| adjust.clone()),
        };
        Ok((source, event))
    }

    /// nchan, whose payload is one of our events with the place for its id.
    fn nchan(peer: &Peer, newest: u64, event: &str) -> Result<Self, Failure> {
        let id = format!(r#""id":"{newest}""#);
        let (before, behind) = event.split_once(&id).ok_or("the event has no id")?;
        let (before, behind) = (before.to_owned(), behind.to_owned());
        Ok(Self {
            peer: peer.clone(),
            stream: "/sub/events".to_owned(),
            newest,
            publisher: Publisher::connect(peer.clone())?,
            publish: Box::new(move |sequence| {
                let payload = format!(r#"{before}"id":"{sequence}"{behind}"#);
                let length = payload.len();
                // The kind and the length of the id line that ours has as well.
                format!(
                    "POST /pub/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-EventSource-Event: inventoryUpdated\r\nContent-Length: {length}\r\n\r\n{payload}"
                )
                .into_bytes()
            }),
        })
    }

    fn publish(&mut self) -> Result<(), Failure> {
        let request = (self.publish)(self.newest + 1);
        self.publisher.send_raw(&request)?;
        self.newest += 1;
        Ok(())
    }

    pub(super) fn fleet(&self, subscribers: u64, sent: Option<Arc<Sent>>) -> Result<Fleet, Failure> {
        let request = subscribe(&self.stream, None);
        let after = self.newest;
        let expect = sent.map_or(Expect::All { after }, |sent| Expect::Timed { after, sent });
        let requests = std::iter::repeat_n(request, usize::try_from(subscribers)?).collect();
        let fleet = Fleet::start(self.peer.clone(), requests, expect)?;
        open(fleet, subscribers)
    }
}

/// A fleet whose subscribers are all there.
pub(super) fn open(fleet: Fleet, subscribers: u64) -> Result<Fleet, Failure> {
    fleet.opened(usize::try_from(subscribers)?, CONNECT_MAX)?;
    std::thread::sleep(REST);
    Ok(fleet)
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

/// Ours and nchan, ready to publish.
fn sources(ours: &Peer, nchan: &Peer) -> Result<[Source; 2], Failure> {
    let (ours, event) = Source::ours(ours)?;
    let nchan = Source::nchan(nchan, ours.newest, &event)?;
    Ok([ours, nchan])
}

pub(super) async fn rate_to_1000(setup: &Setup) -> Result<Vec<Row>, Failure> {
    rate(setup, 1_000).await
}

pub(super) async fn rate_to_5000(setup: &Setup) -> Result<Vec<Row>, Failure> {
    rate(setup, 5_000).await
}

/// Deliveries per second, the next event being caused when the last one is with every subscriber.
async fn rate(setup: &Setup, subscribers: u64) -> Result<Vec<Row>, Failure> {
    let served = Served::start(setup.arguments.engine, false).await?;
    let nchan = Nchan::start(subscribers, None)?;
    let [ours, reference] = beside_nchan(setup, subscribers, served.address.into(), &nchan).await?;
    Ok(vec![Row {
        name: format!("stream-rate-{subscribers}"),
        work: format!("{subscribers} subscribers, the next event when the last is everywhere"),
        ours: Figure::new("server", RATE, ours)?,
        reference: Some(Figure::new("nchan, one worker", RATE, reference)?),
        bound: Some(Bound::RatioAtLeast(1.2)),
    }])
}

/// The same over TLS, each subscriber with a connection of its own.
pub(super) async fn rate_over_tls(setup: &Setup) -> Result<Vec<Row>, Failure> {
    const SUBSCRIBERS: u64 = 1_000;
    let certificate = Certificate::new()?;
    let (_served, peer) = Served::start_with_tls(setup.arguments.engine, &certificate).await?;
    let nchan = Nchan::start(SUBSCRIBERS, Some(&certificate))?;
    let [ours, reference] = beside_nchan(setup, SUBSCRIBERS, peer, &nchan).await?;
    Ok(vec![Row {
        name: format!("stream-tls-{SUBSCRIBERS}"),
        work: format!("{SUBSCRIBERS} subscribers over TLS 1.3, the next event when the last is everywhere"),
        ours: Figure::new("server", RATE, ours)?,
        reference: Some(Figure::new("nchan, one worker", RATE, reference)?),
        bound: Some(Bound::RatioAtLeast(0.9)),
    }])
}

async fn beside_nchan(
    setup: &Setup,
    subscribers: u64,
    ours: Peer,
    nchan: &Nchan,
) -> Result<[Vec<f64>; 2], Failure> {
    let nchan = nchan.peer.clone();
    rates(setup, subscribers, move || {
        let [ours, nchan] = sources(&ours, &nchan)?;
        let fleets = [ours.fleet(subscribers, None)?, nchan.fleet(subscribers, None)?];
        Ok(([ours, nchan], fleets))
    })
    .await
}

/// What two sources deliver to their subscribers, in turn.
pub(super) async fn rates(
    setup: &Setup,
    subscribers: u64,
    begin: impl FnOnce() -> Result<([Source; 2], [Fleet; 2]), Failure> + Send + 'static,
) -> Result<[Vec<f64>; 2], Failure> {
    let (rounds, duration) = (setup.arguments.rounds, setup.arguments.duration);
    let measured = tokio::task::spawn_blocking(move || {
        let mut rates = [Vec::new(), Vec::new()];
        let (mut sources, fleets) = begin()?;
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
        Ok(rates)
    });
    measured.await?
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
    let nchan = Nchan::start(SUBSCRIBERS, None)?;
    let peers = (served.address.into(), nchan.peer.clone());
    let measured = tokio::task::spawn_blocking(move || {
        let mut figures = [Vec::new(), Vec::new()];
        let mut sources = sources(&peers.0, &peers.1)?;
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
