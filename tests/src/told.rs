//! Clients that write trades through whatever happens, and keep what they were told.

use crate::api::{Api, Reply, one_unit};
use crate::sse::{Frame, Stream};
use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The stations that trade.
pub const STATIONS: u64 = 6;
const READS_AT_ONCE: usize = 16;
/// How long a server may take to take trades, also after its database was away.
pub const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// What the clients were told, by trade.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<Answers>>);

#[derive(Debug, Default)]
struct Answers {
    trades: HashMap<String, Value>,
    /// How many answers each server gave, and how many of them were refusals.
    taken: BTreeMap<u64, u64>,
    refused: BTreeMap<u64, u64>,
    newest: Option<Instant>,
    longest_pause: Duration,
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, server: u64, id: String, trade: Value) {
        let mut answers = self.lock();
        *answers.taken.entry(server).or_default() += 1;
        let now = Instant::now();
        let pause = answers.newest.map_or(Duration::ZERO, |newest| now.saturating_duration_since(newest));
        answers.longest_pause = answers.longest_pause.max(pause);
        answers.newest = Some(now);
        answers.trades.insert(id, trade);
    }

    fn note_refusal(&self, server: u64) {
        *self.lock().refused.entry(server).or_default() += 1;
    }

    /// How many steps each server acknowledged and refused since the last call.
    pub fn take_counts(&self) -> [Vec<u64>; 2] {
        let mut answers = self.lock();
        let servers: Vec<u64> = answers.taken.keys().copied().collect();
        let (taken, refused) = (std::mem::take(&mut answers.taken), std::mem::take(&mut answers.refused));
        let of = |counts: &BTreeMap<u64, u64>| -> Vec<u64> {
            servers.iter().map(|server| counts.get(server).copied().unwrap_or(0)).collect()
        };
        [of(&taken), of(&refused)]
    }

    /// How many trades were acknowledged.
    pub fn count(&self) -> usize {
        self.lock().trades.len()
    }

    /// Their ids.
    pub fn ids(&self) -> Vec<String> {
        self.lock().trades.keys().cloned().collect()
    }

    /// The longest time between two answers since the last call.
    pub fn take_longest_pause(&self) -> Duration {
        std::mem::take(&mut self.lock().longest_pause)
    }

    /// Waits until so many more trades were acknowledged: a strike at idle servers shows nothing.
    pub async fn more(&self, count: usize) {
        let (begin, enough) = (Instant::now(), self.count() + count);
        while self.count() < enough {
            assert!(begin.elapsed() < RECOVERY_MAX, "trades are not acknowledged");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Asserts that everything is stored as it was told, or as a later step left it.
    pub async fn assert_kept(&self, api: &Api) {
        let told = std::mem::take(&mut self.lock().trades);
        let kept = futures::stream::iter(told).for_each_concurrent(READS_AT_ONCE, async |(id, trade)| {
            let stored = api.get(&format!("/api/trades/{id}")).await.body["trade"].clone();
            // A cancellation that was not answered may still have landed.
            let version = |trade: &Value| trade["version"].as_u64().unwrap_or(0);
            assert!(stored == trade || version(&stored) > version(&trade), "told {trade}, stored {stored}");
        });
        kept.await;
    }
}

/// Makes the stations, with stock for every trade.
pub async fn open_stations(api: &Api) {
    for station in 0..STATIONS {
        api.station(&format!("s{station}"), "fuel", 1_000_000).await;
    }
}

/// Sends a request; none when the server is gone. While its store is away, that is all that it may say: there is stock
/// for every trade, so that a refusal would be one of something that landed.
async fn send(api: &Api, method: Method, path: &str, body: &Value) -> Option<Reply> {
    let reply = api.send(method, path, Some(body)).await.ok()?;
    match reply.status {
        StatusCode::CREATED | StatusCode::OK => {}
        StatusCode::SERVICE_UNAVAILABLE => tokio::time::sleep(Duration::from_millis(5)).await,
        status => panic!("{status}: {}", reply.body),
    }
    Some(reply)
}

/// Writes trades, and moves some of their shipments on, until the server is gone or it is told to stop.
pub async fn write(api: Api, told: Told, stop: Arc<AtomicBool>, round: u64, writer: u64) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("T-{round}-{writer}-{number}");
        let (seller, buyer) = (number % STATIONS, (number + 1 + writer % (STATIONS - 1)) % STATIONS);
        let mut body = one_unit(&id, &format!("s{seller}"), &format!("s{buyer}"), "fuel");
        if number % 2 == 0 {
            body["settlement"] = json!("on_delivery");
        }
        let Some(reply) = send(&api, Method::POST, "/api/trades", &body).await else { return };
        if reply.status != StatusCode::CREATED {
            told.note_refusal(round);
            continue;
        }
        told.note(round, id.clone(), reply.body["trade"].clone());
        if number % 3 == 0 {
            let cancel = json!({"status": "cancelled"});
            let Some(reply) = send(&api, Method::PATCH, &format!("/api/trades/{id}"), &cancel).await else {
                return;
            };
            match reply.status {
                StatusCode::OK => told.note(round, id, reply.body["trade"].clone()),
                _ => told.note_refusal(round),
            }
        }
    }
}

/// Waits until the server takes trades again, and says that it is ready.
pub async fn recovered(api: &Api, id: &str) {
    let begin = Instant::now();
    let body = one_unit(id, "s0", "s1", "fuel");
    loop {
        let reply = send(api, Method::POST, "/api/trades", &body).await;
        if reply.as_ref().is_some_and(|reply| reply.status.is_success()) {
            break;
        }
        assert!(
            begin.elapsed() < RECOVERY_MAX,
            "{id}: the server does not notice that its store is back: {reply:?}"
        );
    }
    loop {
        let ready = api.get("/health/ready").await;
        if ready.status.is_success() {
            return;
        }
        assert!(begin.elapsed() < RECOVERY_MAX, "{id}: it takes trades, and is not ready: {}", ready.body);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads the stream from the first event to one that may be yet to come, every sequence once and in order. A server whose
/// log is away may end a stream, or refuse one: then again, from where it was. Once it is known which event is the last,
/// that one has to come in time.
pub async fn follow(url: &str, to: watch::Receiver<u64>) -> Vec<Frame> {
    let read = AtomicU64::new(0);
    let (mut known, mut ending) = (to.clone(), to.clone());
    let late = async {
        let last = *known.wait_for(|to| *to < u64::MAX).await.expect("somebody says where it ends");
        tokio::time::sleep(RECOVERY_MAX).await;
        last
    };
    let reading = async {
        let mut frames = Vec::new();
        while (frames.len() as u64) < *to.borrow() {
            follow_once(url, &mut ending, &mut frames, &read).await;
        }
        frames
    };
    tokio::select! {
        frames = reading => frames,
        last = late => {
            let ready = Api::new(url).get("/health/ready").await;
            panic!("{} of {last} events arrive; ready: {} {}", read.into_inner(), ready.status, ready.body);
        }
    }
}

/// Reads one stream to its end, or to the last event.
async fn follow_once(url: &str, to: &mut watch::Receiver<u64>, frames: &mut Vec<Frame>, read: &AtomicU64) {
    let mut position = frames.len() as u64;
    let Ok(mut stream) = Stream::try_open(url, "/api/updates/real-time", Some(position)).await else {
        return tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(stream.next().await.expect("a greeting").id, Some(position));
    loop {
        let frame = tokio::select! {
            frame = stream.next() => frame,
            _ = to.wait_for(|to| *to <= position) => return,
        };
        match frame {
            Some(frame) if frame.event.as_deref() != Some("bye") => {
                position += 1;
                assert_eq!(frame.id, Some(position));
                frames.push(frame);
                read.store(position, Ordering::Relaxed);
            }
            _ => return,
        }
    }
}
