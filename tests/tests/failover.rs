//! A replica set that loses its primary, again and again, under two servers that are not restarted: nothing that was
//! acknowledged is lost, nothing is there twice, and every reader sees one order without a gap.

use futures::future::join_all;
use serde_json::Value;
use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::api::Api;
use tests::replica_set::{ReplicaSet, STEP_DOWN};
use tests::server::{Server, assert_verified};
use tests::sse::Frame;
use tests::told::{RECOVERY_MAX, Told, follow, open_stations, recovered, write};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const MEMBERS: usize = 3;
const WRITERS: u64 = 8;
/// How often a primary is killed: `TRADE_TEST_FAILOVERS`, or so many times.
const FAILOVERS: u64 = 3;
/// Answers between one strike and the next.
const BETWEEN: usize = 100;

fn failovers() -> u64 {
    let given = std::env::var("TRADE_TEST_FAILOVERS");
    given.map_or(FAILOVERS, |count| count.parse().expect("TRADE_TEST_FAILOVERS is a number"))
}

/// Two servers over one replica set, with writers and a reader each.
struct Scene {
    servers: [Server; 2],
    told: Told,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
    /// The newest sequence, once nothing is written any more.
    last: watch::Sender<u64>,
    readers: Vec<JoinHandle<Vec<Frame>>>,
}

impl Scene {
    async fn begin(url: &str) -> Self {
        let servers = [Server::start_silent(url).await, Server::start_silent(url).await];
        open_stations(&Api::new(servers[0].url())).await;
        let (told, stop) = (Told::default(), Arc::<AtomicBool>::default());
        let (mut writers, mut readers) = (Vec::new(), Vec::new());
        let last = watch::Sender::new(u64::MAX);
        for (number, server) in servers.iter().enumerate() {
            let (url, last) = (server.url().to_owned(), last.subscribe());
            readers.push(tokio::spawn(async move { follow(&url, last).await }));
            writers.extend((0..WRITERS).map(|writer| {
                let api = Api::new(server.url());
                tokio::spawn(write(api, told.clone(), stop.clone(), number as u64, writer))
            }));
        }
        told.more(BETWEEN).await;
        told.take_longest_pause();
        Self { servers, told, stop, writers, last, readers }
    }

    /// Waits until both servers take trades again: the longest time between two answers meanwhile.
    async fn pause(&self, round: u64) -> Duration {
        for (number, server) in self.servers.iter().enumerate() {
            recovered(&Api::new(server.url()), &format!("R-{round}-{number}")).await;
        }
        self.told.more(BETWEEN).await;
        self.told.take_longest_pause()
    }

    /// Ends the writers, and compares what they were told with what the readers saw and what is stored.
    async fn end(self, url: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = tokio::time::timeout(RECOVERY_MAX, join_all(self.writers)).await;
        ended
            .expect("the writers stop")
            .into_iter()
            .for_each(|writer| writer.expect("they were told the truth"));
        let api = Api::new(self.servers[1].url());
        self.last.send_replace(api.newest().await);
        let seen = tokio::time::timeout(RECOVERY_MAX, join_all(self.readers)).await;
        let seen = seen.expect("the readers hear of everything").into_iter();
        let seen: Vec<_> = seen.map(|reader| reader.expect("nothing is missing or twice")).collect();
        assert!(seen[0] == seen[1], "the readers of both servers see one order");
        let anew =
            tokio::time::timeout(RECOVERY_MAX, follow(self.servers[0].url(), self.last.subscribe())).await;
        assert!(anew.expect("all is told once more") == seen[0], "what was streamed is what is stored");
        assert_initiated_once(&self.told.ids(), &seen[0]);
        self.told.assert_kept(&api).await;
        drop(self.servers);
        assert_verified(url).await;
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

fn tell(what: &str, count: u64, longest: Duration) {
    let line = format!(
        "note: MongoDB, {MEMBERS} members, {what} {count} times: longest pause of writes {longest:.1?}\n"
    );
    // Written past the test harness, which keeps what tests that pass print.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn nothing_is_lost_or_twice_or_out_of_order_when_primaries_are_killed() {
    let mut set = ReplicaSet::start(MEMBERS);
    let scene = Scene::begin(set.url()).await;
    let mut longest = Duration::ZERO;
    for round in 0..failovers() {
        let primary = set.primary().await;
        // With what only it has, or most likely with what another has as well.
        let alone = Duration::from_millis(300) * u32::from(round % 2 == 0);
        set.kill_alone(primary, alone).await;
        longest = longest.max(scene.pause(round).await);
        // A set that has lost two of three takes no writes.
        set.restart(primary);
    }
    tell("the primary killed", failovers(), longest);
    scene.end(set.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn nothing_is_lost_or_twice_or_out_of_order_when_primaries_step_down() {
    let set = ReplicaSet::start(MEMBERS);
    let scene = Scene::begin(set.url()).await;
    let mut longest = Duration::ZERO;
    for round in 0..failovers() {
        // Who made place before may be elected again by then; until it is, the others are too few.
        tokio::time::sleep(STEP_DOWN).await;
        let primary = set.primary().await;
        scene.told.take_longest_pause();
        set.step_down(primary).await;
        longest = longest.max(scene.pause(round).await);
        assert_ne!(set.primary().await, primary, "another member took over");
    }
    tell("stepped down", failovers(), longest);
    scene.end(set.url()).await;
}
