//! A server that is told to stop finishes what is running, and is gone within ten seconds.

use std::time::{Duration, Instant};
use tests::api::{Api, one_unit};
use tests::server::{STOP_MAX, Server, assert_verified};
use tests::sse::Stream;
use tests::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATH: &str = "/api/updates/real-time";
const STREAMS: usize = 500;
const WRITERS: usize = 16;
const CONTINUE: &[u8; 25] = b"HTTP/1.1 100 Continue\r\n\r\n";

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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_the_signal_is_answered() {
    const REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let server = Server::start("memory:").await;
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut clients = Vec::new();
    for _ in 0..60 {
        clients.push(TcpStream::connect(&address).await.expect("it listens"));
    }
    for client in &mut clients {
        client.write_all(REQUEST).await.expect("it can be sent");
    }
    assert!(server.stop("TERM").await.success());
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("it ends in order");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let world = World::new();
    let server = Server::start(&world.sqlite()).await;
    let api = Api::new(server.url());
    api.station("a", "fuel", 1).await;
    // A request that never arrives whole keeps it waiting. That its body is asked for shows that its head has arrived.
    let mut request =
        TcpStream::connect(server.url().trim_start_matches("http://")).await.expect("it listens");
    const HEAD: &[u8] = b"POST /api/trades HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                          Content-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    request.write_all(HEAD).await.expect("it can be sent");
    let mut wanted = [0; CONTINUE.len()];
    request.read_exact(&mut wanted).await.expect("it is answered");
    assert_eq!(wanted, *CONTINUE);
    server.signal("INT");
    let begin = Instant::now();
    // A connection that is used again may be closed just then.
    let ready = || api.send(reqwest::Method::GET, "/health/ready", None);
    while !ready().await.is_ok_and(|reply| reply.status == 503) {
        assert!(begin.elapsed() < STOP_MAX, "the first signal is heard");
    }
    let begin = Instant::now();
    let status = server.stop("INT").await;
    assert_eq!(status.code(), Some(1), "it says that something may have been cut off");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    // It may have been about to close its file: whoever writes to it next puts that in order.
    let again = Server::start(&world.sqlite()).await;
    assert!(again.stop("TERM").await.success());
    assert_verified(&world.sqlite()).await;
}
