//! A primary of PostgreSQL and a standby that takes over, behind HAProxy, under two servers. Where the standby has
//! everything that was acknowledged, nothing is lost; where it has not, what is lost is told.
//! `./tests/run --test primary_and_standby` runs these alone.

use reqwest::{Method, StatusCode};
use std::time::{Duration, Instant};
use tests::api::{Api, Reply, one_unit};
use tests::primary_and_standby::{PrimaryAndStandby, Replication};
use tests::scene::{Scene, alone, strikes};
use tests::server::{Server, assert_verified};
use tests::sse::{Frame, Stream};
use tests::told::RECOVERY_MAX;

const WRITERS: u64 = 8;
const STRIKES: u64 = 3;
const PATH: &str = "/api/updates/real-time";
/// How long a primary goes on whose standby learns nothing any more.
const UNHEARD: Duration = Duration::from_millis(300);

async fn begin(pair: &PrimaryAndStandby) -> Scene {
    Scene::begin([&pair.url(), &pair.url()], WRITERS).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL and haproxy"]
async fn nothing_is_lost_or_twice_or_out_of_order_when_primaries_are_killed() {
    let _alone = alone().await;
    let mut pair = PrimaryAndStandby::start(Replication::Synchronous).await;
    let mut scene = begin(&pair).await;
    for strike in 0..strikes(STRIKES) {
        if strike % 2 == 0 {
            // What only the primary has is acknowledged to nobody.
            pair.hold_standby();
            tokio::time::sleep(UNHEARD).await;
        }
        pair.kill_primary();
        pair.promote().await;
        scene.recovered(strike).await;
        pair.rebuild().await;
        scene.told().more(100).await;
    }
    scene.tell(&format!("PostgreSQL, synchronous standby, the primary killed {} times", strikes(STRIKES)));
    scene.end(&[pair.primary_url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL and haproxy"]
async fn nothing_is_lost_or_twice_or_out_of_order_when_a_primary_stands_still_and_is_fenced_late() {
    let _alone = alone().await;
    let mut pair = PrimaryAndStandby::start(Replication::Synchronous).await;
    let mut scene = begin(&pair).await;
    pair.pause_primary();
    pair.promote().await;
    scene.recovered(0).await;
    pair.fence();
    scene.recovered(1).await;
    pair.rebuild().await;
    scene.recovered(2).await;
    scene.tell("PostgreSQL, synchronous standby, the primary stopped, and killed after the other took over");
    scene.end(&[pair.primary_url()]).await;
}

/// A server, and what one of its subscribers heard.
struct Heard {
    server: Server,
    api: Api,
    stream: Stream,
    frames: Vec<Frame>,
}

impl Heard {
    async fn start(url: &str) -> Self {
        let server = Server::start_silent(url).await;
        let api = Api::new(server.url());
        let mut stream = Stream::open(server.url(), PATH, Some(0)).await;
        stream.next().await.expect("a greeting");
        Self { server, api, stream, frames: Vec::new() }
    }

    async fn trade(&self, id: &str) -> Reply {
        let body = one_unit(id, "a", "b", "fuel");
        self.api.send(Method::POST, "/api/trades", Some(&body)).await.expect("it answers")
    }

    async fn next(&mut self) -> Option<Frame> {
        tokio::time::timeout(RECOVERY_MAX, self.stream.next()).await.expect("the stream goes on, or ends")
    }

    /// Reads up to a sequence.
    async fn hear(&mut self, to: u64) {
        while (self.frames.len() as u64) < to {
            let frame = self.next().await.expect("every event arrives");
            assert_eq!(frame.id, Some(self.frames.len() as u64 + 1));
            self.frames.push(frame);
        }
    }

    /// Asserts that the subscriber is told that the log is not the one that it was, and that the server is not ready.
    async fn assert_lost(&mut self) {
        let last = self.next().await.expect("the stream says why it ends");
        assert_eq!(last.event.as_deref(), Some("bye"), "{last:?}");
        assert_eq!(self.next().await, None, "and ends");
        let begin = Instant::now();
        while self.api.get("/health/ready").await.status != StatusCode::SERVICE_UNAVAILABLE {
            assert!(begin.elapsed() < RECOVERY_MAX, "it is ready on a log that has lost steps");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asserts that trades are not taken, nor any answered as if it were still there.
    async fn assert_takes_nothing(&self, ids: &[String]) {
        for id in ids {
            let reply = self.trade(id).await;
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{id}: {}", reply.body);
        }
        assert_eq!(self.api.get("/health/ready").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

fn ids(name: &str) -> Vec<String> {
    (0..20).map(|number| format!("{name}-{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL and haproxy"]
async fn what_a_standby_that_was_behind_has_not_is_told_and_nothing_is_acknowledged_until_a_restart() {
    let _alone = alone().await;
    let mut pair = PrimaryAndStandby::start(Replication::Asynchronous).await;
    let url = pair.url();
    let (mut one, mut two) = (Heard::start(&url).await, Heard::start(&url).await);
    one.api.station("a", "fuel", 1_000).await;
    one.api.station("b", "fuel", 0).await;
    let (kept, lost) = (ids("kept"), ids("lost"));
    for id in &kept {
        assert_eq!(one.trade(id).await.status, StatusCode::CREATED);
    }
    pair.caught_up().await;
    let end_kept = two.api.newest().await;
    pair.hold_standby();
    for id in &lost {
        assert_eq!(one.trade(id).await.status, StatusCode::CREATED);
    }
    let end_lost = one.api.newest().await;
    one.hear(end_lost).await;
    two.hear(end_lost).await;
    pair.kill_primary();
    pair.promote().await;
    // Whether or not it has been noticed yet.
    two.assert_takes_nothing(&[&lost[..], &ids("new")].concat()).await;
    one.assert_takes_nothing(&[&lost[..], &ids("new")].concat()).await;
    one.assert_lost().await;
    two.assert_lost().await;
    two.assert_takes_nothing(&ids("later")).await;

    // Told to by a restart, a server takes the log as it is.
    assert!(two.server.stop("TERM").await.success());
    let restarted = Heard::start(&url).await;
    assert_eq!(restarted.api.get("/health/ready").await.status, StatusCode::OK);
    assert_eq!(restarted.api.newest().await, end_kept, "what was not acknowledged is not there");
    let mut resumed = Stream::open(restarted.server.url(), PATH, Some(end_lost)).await;
    assert_eq!(resumed.next().await.expect("a greeting").id, Some(end_kept));
    let resync = resumed.next().await.expect("it is told at once");
    assert_eq!((resync.event.as_deref(), resync.id), (Some("resync"), Some(end_kept)));
    assert_eq!(resync.data, format!("{{\"oldest\":1,\"newest\":{end_kept}}}"));
    for id in [&ids("new")[..], &ids("later")].concat() {
        assert_eq!(restarted.trade(&id).await.status, StatusCode::CREATED);
    }
    assert!(restarted.api.newest().await > end_lost);
    assert_eq!(resumed.next().await.expect("it goes on").id, Some(end_kept + 1));

    // That it is longer than the one that was lost does not make it that one.
    one.assert_takes_nothing(&lost).await;
    assert!(one.server.stop("TERM").await.success());
    let again = Heard::start(&url).await;
    assert_eq!(again.trade(&lost[0]).await.status, StatusCode::CREATED, "it is known to nobody");
    drop((again, restarted));
    assert_verified(&pair.primary_url()).await;
}
