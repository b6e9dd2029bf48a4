//! Two servers at the ends of one cluster, with writers and a reader each, while something happens to the cluster: what
//! was acknowledged is there once, and everybody sees one order.

use crate::api::Api;
use crate::server::{Server, assert_verified};
use crate::sse::Frame;
use crate::told::{RECOVERY_MAX, Told, follow, open_stations, recovered, write};
use futures::future::join_all;
use serde_json::Value;
use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::JoinHandle;

/// Answers between one strike and the next.
const BETWEEN: usize = 100;

/// How often a member is struck: `TRADE_TEST_FAILOVERS`, or as often as is usual, so that it takes little time.
pub fn strikes(usual: u64) -> u64 {
    let given = std::env::var("TRADE_TEST_FAILOVERS");
    given.map_or(usual, |count| count.parse().expect("TRADE_TEST_FAILOVERS is a number"))
}

/// Waits until no other test of the program has a cluster: two at once would be slower than what they are tested for.
pub async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Says something past the test harness, which keeps what tests that pass print.
pub fn note(text: &str) {
    let _ = std::io::stderr().write_all(format!("note: {text}\n").as_bytes());
}

/// Two servers over one cluster, with writers and a reader each.
#[derive(Debug)]
pub struct Scene {
    servers: [Server; 2],
    told: Told,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
    /// The newest sequence, once nothing is written any more.
    last: watch::Sender<u64>,
    readers: Vec<JoinHandle<Vec<Frame>>>,
    longest_pause: Duration,
    /// Since when steps are counted.
    counted_from: Instant,
}

impl Scene {
    /// Starts a server at each of two URLs of one database, and so many writers at each.
    pub async fn begin(urls: [&str; 2], writers: u64) -> Self {
        let servers = [Server::start_silent(urls[0]).await, Server::start_silent(urls[1]).await];
        open_stations(&Api::new(servers[0].url())).await;
        let mut this = Self {
            servers,
            told: Told::default(),
            stop: Arc::default(),
            writers: Vec::new(),
            last: watch::Sender::new(u64::MAX),
            readers: Vec::new(),
            longest_pause: Duration::ZERO,
            counted_from: Instant::now(),
        };
        for (number, server) in this.servers.iter().enumerate() {
            let (url, last) = (server.url().to_owned(), this.last.subscribe());
            this.readers.push(tokio::spawn(async move { follow(&url, last).await }));
            this.writers.extend((0..writers).map(|writer| {
                let api = Api::new(server.url());
                tokio::spawn(write(api, this.told.clone(), this.stop.clone(), number as u64, writer))
            }));
        }
        this.told.more(BETWEEN).await;
        this.told.take_longest_pause();
        this.told.take_counts();
        this.counted_from = Instant::now();
        this
    }

    /// What the writers were told.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Waits until both servers take trades again, after a strike.
    pub async fn recovered(&mut self, strike: u64) {
        let at_work = self.writers.iter().filter(|writer| !writer.is_finished()).count();
        assert_eq!(at_work, self.writers.len(), "writers were told what is not so, or nothing");
        for (number, server) in self.servers.iter().enumerate() {
            recovered(&Api::new(server.url()), &format!("R-{strike}-{number}")).await;
        }
        self.told.more(BETWEEN).await;
        self.longest_pause = self.longest_pause.max(self.told.take_longest_pause());
    }

    /// Says what happened, for how long at the most nothing was acknowledged, and what each server did by the second.
    pub fn tell(&mut self, what: &str) {
        let seconds = self.counted_from.elapsed().as_secs_f64();
        let rates = self.told.take_counts().map(|counts| {
            let rates = counts.iter().map(|count| format!("{:.0}", *count as f64 / seconds));
            rates.collect::<Vec<_>>().join(" and ")
        });
        let [taken, refused] = rates;
        note(&format!(
            "{what}: longest pause of writes {:.1?}; steps a second {taken}, refusals {refused}",
            self.longest_pause
        ));
        (self.longest_pause, self.counted_from) = (Duration::ZERO, Instant::now());
    }

    /// Ends the writers, and compares what they were told with what the readers saw and what is stored at each of some
    /// URLs.
    pub async fn end(self, urls: &[String]) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = tokio::time::timeout(RECOVERY_MAX, join_all(self.writers)).await;
        let ended = ended.expect("the writers stop").into_iter();
        ended.for_each(|writer| writer.expect("they were told the truth"));
        let api = Api::new(self.servers[1].url());
        self.last.send_replace(api.newest().await);
        let seen = join_all(self.readers).await.into_iter();
        let seen: Vec<_> = seen.map(|reader| reader.expect("nothing is missing or twice")).collect();
        assert!(seen[0] == seen[1], "the readers of both servers see one order");
        let anew = follow(self.servers[0].url(), self.last.subscribe()).await;
        assert!(anew == seen[0], "what was streamed is what is stored");
        assert_initiated_once(&self.told.ids(), &seen[0]);
        self.told.assert_kept(&api).await;
        drop(self.servers);
        for url in urls {
            assert_verified(url).await;
        }
    }
}

/// Asserts that every trade that was acknowledged was initiated, and none twice.
fn assert_initiated_once(told: &[String], seen: &[Frame]) {
    let mut initiated = HashSet::new();
    for frame in seen.iter().filter(|frame| frame.event.as_deref() == Some("tradeInitiated")) {
        let event: Value = serde_json::from_str(&frame.data).expect("JSON");
        let subject = event["subject"].as_str().expect("a subject").trim_start_matches("trades/").to_owned();
        assert!(initiated.insert(subject), "initiated twice: {}", frame.data);
    }
    let missing: Vec<_> = told.iter().filter(|id| !initiated.contains(*id)).collect();
    assert!(missing.is_empty(), "acknowledged, and not there: {missing:?}");
}
