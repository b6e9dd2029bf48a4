//! The live stream of a running server: nothing missing, nothing twice, whatever happens to the connection.

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tests::api::{Api, one_unit};
use tests::engine::Site;
use tests::server::Server;
use tests::sse::{Frame, Stream};
use tests::world::World;

const PATH: &str = "/api/updates/real-time";

async fn two_stations(server: &Server) -> Api {
    let api = Api::new(server.url());
    api.station("a", "fuel", 1_000_000).await;
    api.station("b", "fuel", 1_000_000).await;
    api
}

fn sequence(frame: &Frame) -> u64 {
    let data: Value = serde_json::from_str(&frame.data).expect("the data is JSON");
    assert_eq!(data["id"], json!(frame.id.expect("an event has an id").to_string()));
    data["sequence"].as_u64().expect("an event has a sequence")
}

async fn a_client_that_resumes_a_thousand_times_sees_every_event_once_and_in_order(site: Site) {
    const RESUMES: u64 = 1_000;
    let server = Server::start(site.url()).await;
    let api = two_stations(&server).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (api, stop) = (api.clone(), stop.clone());
        tokio::spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let reply =
                    api.post("/api/trades", &one_unit(&format!("T-{number}"), "a", "b", "fuel")).await;
                assert_eq!(reply.status, 201);
                number += 1;
            }
            number
        })
    };
    let mut position = 0;
    for resume in 0..RESUMES {
        let mut stream = Stream::open(server.url(), PATH, Some(position)).await;
        let greeting = stream.next().await.expect("a greeting");
        assert_eq!((greeting.id, greeting.data.as_str()), (Some(position), "Connection established"));
        for _ in 0..=resume % 5 {
            let frame = stream.next().await.expect("the stream goes on while trades are written");
            assert_eq!(sequence(&frame), position + 1);
            position += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let trades: u64 = writer.await.expect("the writer ends");
    let newest = api.newest().await;
    assert_eq!(newest, 2 + 4 * trades);
    let mut stream = Stream::open(server.url(), PATH, Some(position)).await;
    stream.next().await.expect("a greeting");
    while position < newest {
        assert_eq!(sequence(&stream.next().await.expect("what is stored is sent")), position + 1);
        position += 1;
    }
}

tests::on_every_engine!(a_client_that_resumes_a_thousand_times_sees_every_event_once_and_in_order);

#[tokio::test(flavor = "multi_thread")]
async fn after_three_idle_seconds_the_next_event_comes_at_once() {
    let server = Server::start("memory:").await;
    let api = two_stations(&server).await;
    let mut stream = Stream::open(server.url(), PATH, None).await;
    let greeting = stream.next().await.expect("a greeting");
    for number in 0..3 {
        // The idle time is what is tested: no event, no comment, no other request.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let sent = Instant::now();
        let reply = api.post("/api/trades", &one_unit(&format!("T-{number}"), "a", "b", "fuel")).await;
        assert_eq!(reply.status, 201);
        let first = stream.next().await.expect("an event");
        assert!(sent.elapsed() < Duration::from_secs(1), "it took {:?}", sent.elapsed());
        assert_eq!(first.id, greeting.id.map(|id| id + 4 * number + 1));
        for _ in 0..3 {
            stream.next().await.expect("the other events of the trade");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_gets_everything_afterwards_and_the_server_stays_small() {
    const EVENTS: u64 = 100_000;
    const BATCH: u64 = 1_000;
    const MEMORY_GROWTH_MAX: u64 = 128 << 20;
    let world = World::new();
    let server = Server::start(&world.sqlite()).await;
    let api = two_stations(&server).await;
    let mut stalled = Stream::open(server.url(), PATH, None).await;
    let start = stalled.next().await.expect("a greeting").id.expect("its id");
    let write = async |batches: std::ops::Range<u64>| {
        for batch in batches {
            let trades: Vec<_> =
                (0..BATCH).map(|number| one_unit(&format!("T-{batch}-{number}"), "a", "b", "fuel")).collect();
            let reply = api.post("/api/trades/batch", &json!({"trades": trades})).await;
            assert_eq!(reply.status, 200);
        }
    };
    // What a busy server holds anyway (caches, the ring of recent events) is there after the first batches.
    write(0..5).await;
    let before = server.resident_bytes();
    write(5..EVENTS / 4 / BATCH).await;
    let after = server.resident_bytes();
    assert!(after < before + MEMORY_GROWTH_MAX, "from {before} to {after} bytes");
    for expected in start + 1..=start + EVENTS {
        assert_eq!(sequence(&stalled.next().await.expect("nothing is lost")), expected);
    }
}
