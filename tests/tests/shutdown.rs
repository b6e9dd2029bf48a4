//! A server that is told to stop finishes what is running, and is gone within ten seconds.

use std::time::Instant;
use tests::api::{Api, one_unit};
use tests::server::{STOP_MAX, Server, assert_verified};
use tests::sse::Stream;
use tests::world::World;

const PATH: &str = "/api/updates/real-time";
const STREAMS: usize = 500;
const WRITERS: usize = 16;

async fn stops(signal: &str) {
    let world = World::new();
    let server = Server::start(&world.sqlite()).await;
    let api = Api::new(server.url());
    api.station("a", "fuel", 1_000_000).await;
    api.station("b", "fuel", 0).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(Stream::open(server.url(), PATH, None).await);
    }
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let api = api.clone();
            tokio::spawn(async move {
                let mut told = Vec::new();
                for number in 0.. {
                    let id = format!("T-{writer}-{number}");
                    let body = one_unit(&id, "a", "b", "fuel");
                    match api.send(reqwest::Method::POST, "/api/trades", Some(&body)).await {
                        Ok(reply) if reply.status == 201 => told.push(id),
                        _ => break,
                    }
                }
                told
            })
        })
        .collect();
    let mut first = streams.swap_remove(0);
    while first.next().await.expect("the stream is open").event.is_none() {}
    let begin = Instant::now();
    let status = server.stop(signal).await;
    assert!(status.success(), "{status}");
    assert!(begin.elapsed() < STOP_MAX);
    let last = loop {
        let frame = first.next().await.expect("a stream does not end without a word");
        if frame.event.as_deref() == Some("bye") {
            break frame;
        }
    };
    assert_eq!(last.data, r#"{"reason":"shutdown"}"#);
    assert_eq!(first.next().await, None);
    let mut told = Vec::new();
    for writer in writers {
        told.extend(writer.await.expect("a writer ends with its server"));
    }
    assert_verified(&world.sqlite()).await;
    let again = Server::start(&world.sqlite()).await;
    let api = Api::new(again.url());
    for id in told {
        assert_eq!(api.get(&format!("/api/trades/{id}")).await.status, 200, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_during_writes_and_streams_ends_it_with_success() {
    stops("INT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_during_writes_and_streams_ends_it_with_success() {
    stops("TERM").await;
}
