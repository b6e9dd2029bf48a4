//! What is committed at one server reaches the subscribers of another, soon where notifications come through, and in any
//! case.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tests::address::Address;
use tests::api::{Api, one_unit};
use tests::engine::{Engine, Site};
use tests::proxy::{After, Direction, Fault, Meant, Proxy, Strike};
use tests::server::{Server, assert_verified};
use tests::sse::Stream;
use tokio::sync::mpsc;

const SAMPLES: usize = 40;
const WRITERS: u64 = 4;
/// The log alone carries an event there within this, on any machine.
const ARRIVAL_MAX: Duration = Duration::from_secs(10);

/// Writes trades until it is told to stop.
async fn write(api: Api, name: String, stop: Arc<AtomicBool>) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let body = one_unit(&format!("{name}-{number}"), "a", "b", "fuel");
        let reply = api.post("/api/trades", &body).await;
        assert!(reply.status == 201 || reply.code() == "overloaded", "{:?}", reply.body);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Tells when the first event about each trade arrives.
async fn listen(mut stream: Stream, heard: mpsc::UnboundedSender<(String, Instant)>) {
    while let Some(frame) = stream.next().await {
        if frame.event.as_deref() == Some("tradeInitiated") {
            let data: serde_json::Value = serde_json::from_str(&frame.data).expect("JSON");
            let subject = data["subject"].as_str().expect("a subject").trim_start_matches("trades/");
            if heard.send((subject.to_owned(), Instant::now())).is_err() {
                return;
            }
        }
    }
}

/// How long after their answers at one server the trades were heard of at another, while both write: sorted.
async fn delays(near: &Server, far: &Server) -> Vec<Duration> {
    let api = Api::new(near.url());
    api.station("a", "fuel", 1_000_000).await;
    api.station("b", "fuel", 0).await;
    let mut stream = Stream::open(far.url(), "/api/updates/real-time?topics=trade", None).await;
    stream.next().await.expect("a greeting");
    let (sender, mut heard) = mpsc::unbounded_channel();
    let listening = tokio::spawn(listen(stream, sender));
    let stop = Arc::<AtomicBool>::default();
    let writers: Vec<_> = (0..2 * WRITERS)
        .map(|writer| {
            let server = if writer % 2 == 0 { near } else { far };
            tokio::spawn(write(Api::new(server.url()), format!("W-{writer}"), stop.clone()))
        })
        .collect();
    let mut delays = Vec::new();
    let mut arrived = HashMap::new();
    for sample in 0..SAMPLES {
        let id = format!("S-{sample}");
        assert_eq!(api.post("/api/trades", &one_unit(&id, "a", "b", "fuel")).await.status, 201);
        let answered = Instant::now();
        while !arrived.contains_key(&id) {
            let next = tokio::time::timeout(ARRIVAL_MAX, heard.recv()).await;
            let (subject, at) = next.expect("it arrives").expect("the stream goes on");
            assert!(answered.elapsed() < ARRIVAL_MAX, "{id} does not arrive among the others");
            arrived.insert(subject, at);
        }
        delays.push(arrived[&id].saturating_duration_since(answered));
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer stops");
    }
    listening.abort();
    delays.sort();
    delays
}

fn tell(engine: Engine, what: &str, delays: &[Duration]) {
    let (median, longest) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    let line = format!("note: {engine:?}, {what}: median {median:.1?}, longest {longest:.1?}\n");
    // Written past the test harness, which keeps what tests that pass print.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

async fn an_event_of_one_server_reaches_a_subscriber_of_another(site: Site) {
    let servers = [Server::start(site.url()).await, Server::start(site.url()).await];
    let delays = delays(&servers[0], &servers[1]).await;
    tell(site.engine(), "from one server's answer to another's subscriber", &delays);
    assert_verified(site.url()).await;
}

tests::on_every_engine!(an_event_of_one_server_reaches_a_subscriber_of_another);

/// A server whose connection that is told of changes is struck right after it has asked for them, by this word.
async fn events_arrive_though_notifications_do_not(engine: Engine, word: &'static str, fault: Fault) {
    let site = engine.site().await;
    let address = Address::parse(site.url());
    let proxy = Proxy::start(address.host()).await;
    // The answer to the word comes through; what would follow it is the first notification.
    let (direction, after) = (Direction::ToClient, After::Packets(1));
    proxy.arm(Strike { meant: Meant::Sends(word), direction, after, fault });
    let near = Server::start(site.url()).await;
    let far = Server::start_silent(&address.by_way_of(proxy.port()).to_string()).await;
    let delays = delays(&near, &far).await;
    assert_eq!(proxy.strikes(), 1, "there was a listening connection, and it was struck");
    tell(site.engine(), &format!("the same with {fault:?} for the listening connection"), &delays);
    assert_verified(site.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn events_arrive_though_the_listening_connection_has_fallen_silent() {
    events_arrive_though_notifications_do_not(Engine::Postgres, "LISTEN", Fault::Silence).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn events_arrive_though_the_listening_connection_was_cut() {
    events_arrive_though_notifications_do_not(Engine::Postgres, "LISTEN", Fault::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn events_arrive_though_the_connection_of_the_change_stream_has_fallen_silent() {
    events_arrive_though_notifications_do_not(Engine::Mongo, "$changeStream", Fault::Silence).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn events_arrive_though_the_connection_of_the_change_stream_was_cut() {
    events_arrive_though_notifications_do_not(Engine::Mongo, "$changeStream", Fault::Reset).await;
}
