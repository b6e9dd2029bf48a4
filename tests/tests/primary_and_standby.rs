//! A primary of PostgreSQL and a standby that takes over, behind HAProxy, under two servers. Where the standby has
//! everything that was acknowledged, nothing is lost; where it has not, what is lost is told.
//! `./tests/run --test primary_and_standby` runs these alone.

use reqwest::{Method, StatusCode};
use std::io::Read;
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

/// Lists of trades of a server that reads them at a standby.
struct Lists {
    server: Server,
    api: Api,
    log: tempfile::NamedTempFile,
    /// The trades, by the newest sequence that was written when they were acknowledged.
    taken: Vec<(String, u64)>,
}

impl Lists {
    /// How far the standby may be behind.
    const LAG_MAX: Duration = Duration::from_secs(2);

    async fn start(pair: &PrimaryAndStandby) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let (url, lag) = (pair.standby_url(), Self::LAG_MAX.as_secs().to_string());
        let to = log.reopen().expect("it can be opened").into();
        let more = ["--store-read", &url, "--store-read-lag", &lag];
        let server = Server::start_logging(&pair.primary_url(), &more, to).await;
        let api = Api::new(server.url());
        Self { server, api, log, taken: Vec::new() }
    }

    async fn trade(&mut self) {
        let id = format!("T-{}", self.taken.len());
        let reply = self.api.post("/api/trades", &one_unit(&id, "a", "b", "fuel")).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        self.taken.push((id, self.api.newest().await));
    }

    /// Reads the list once, sees that it is answered soon and has all that it says, and answers as of what it is, where it
    /// is the standby's.
    async fn read(&self) -> Option<u64> {
        let begin = Instant::now();
        let reply = self.api.get("/api/trades").await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        assert!(begin.elapsed() < Duration::from_secs(10), "a list took {:?}", begin.elapsed());
        let as_of = reply.headers.get("x-as-of-sequence");
        let as_of =
            as_of.map(|text| text.to_str().ok().and_then(|text| text.parse().ok()).expect("a sequence"));
        let listed = reply.body["trades"].as_array().expect("a list");
        for (id, sequence) in &self.taken {
            let has = listed.iter().any(|trade| trade["transactionId"] == **id);
            // One that is read a moment later may have more.
            assert!(has || as_of.is_some_and(|as_of| as_of < *sequence), "{id} is not there as of {as_of:?}");
        }
        as_of
    }

    /// Reads it until it is that of the primary.
    async fn left(&self) {
        let begin = Instant::now();
        while self.read().await.is_some() {
            assert!(begin.elapsed() < RECOVERY_MAX, "the standby is asked still");
        }
    }

    /// Reads it until it is that of the standby, and everything is in it.
    async fn taken_again(&self) {
        let (begin, newest) = (Instant::now(), self.api.newest().await);
        while self.read().await != Some(newest) {
            assert!(begin.elapsed() < RECOVERY_MAX, "the standby is not asked, or never has everything");
        }
    }

    /// How often the log says that the standby was left, and taken again.
    fn told(&self) -> (usize, usize) {
        let mut text = String::new();
        self.log.reopen().expect("it can be opened").read_to_string(&mut text).expect("it can be read");
        (text.matches("lists are read at the primary").count(), text.matches("at the replica again").count())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL and haproxy"]
async fn lists_go_on_at_the_primary_where_the_standby_is_behind_silent_or_gone_and_say_as_of_what_they_are() {
    let _alone = alone().await;
    let mut pair = PrimaryAndStandby::start(Replication::Asynchronous).await;
    // The schema is there before the standby is asked for it.
    assert!(Server::start(&pair.primary_url()).await.stop("TERM").await.success());
    pair.caught_up().await;
    let mut lists = Lists::start(&pair).await;
    lists.api.station("a", "fuel", 1_000).await;
    lists.api.station("b", "fuel", 0).await;
    lists.trade().await;
    lists.taken_again().await;
    let before = lists.told();

    // However long nothing is written, a standby that has everything is not behind.
    pair.pause_replay().await;
    tokio::time::sleep(Lists::LAG_MAX * 2).await;
    assert_eq!(lists.read().await, Some(lists.api.newest().await));
    let stands_at = lists.api.newest().await;
    let begin = Instant::now();
    lists.trade().await;
    let as_of = lists.read().await;
    assert!(as_of == Some(stands_at) || begin.elapsed() > Lists::LAG_MAX, "{as_of:?}: it is hardly behind");
    lists.left().await;
    assert!(begin.elapsed() >= Lists::LAG_MAX, "left after {:?}", begin.elapsed());
    pair.resume_replay().await;
    lists.taken_again().await;
    assert_eq!(lists.told(), (before.0 + 1, before.1 + 1));

    pair.standby().pause();
    lists.left().await;
    lists.trade().await;
    pair.standby().resume();
    lists.taken_again().await;
    assert_eq!(lists.told(), (before.0 + 2, before.1 + 2));

    pair.standby_mut().kill();
    lists.trade().await;
    let begin = Instant::now();
    while begin.elapsed() < Lists::LAG_MAX {
        assert_eq!(lists.read().await, None);
    }
    assert_eq!(lists.told(), (before.0 + 3, before.1 + 2), "it is told once, however many lists there are");
    pair.standby_mut().restart();
    lists.taken_again().await;
    assert_eq!(lists.told(), (before.0 + 3, before.1 + 3));
    assert!(lists.server.stop("TERM").await.success());

    // A server starts without it.
    pair.standby_mut().kill();
    let lists = Lists::start(&pair).await;
    assert_eq!((lists.read().await, lists.told()), (None, (1, 0)));
    pair.standby_mut().restart();
    lists.taken_again().await;
    assert_eq!(lists.told(), (1, 1));
}
