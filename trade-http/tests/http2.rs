//! HTTP/2, and clients that misuse it: they get little, and others are served.

#![allow(clippy::unwrap_used)]

mod common;

use common::frames::{
    CONTINUATION, Connection, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, frame, get,
};
use common::sse::serve_connections;
use common::{Network, trade};
use std::time::{Duration, Instant};
use trade_http::Connections;

const PATH: &str = "/api/updates/real-time";
/// Codes of RFC 9113 §7.
const CANCEL: u32 = 0x8;
const INTERNAL_ERROR: u32 = 0x2;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Headers that a client of its own is answered with. The first byte of them is the status.
async fn is_served(address: std::net::SocketAddr) {
    let mut connection = Connection::open(address, None).await;
    connection.ask(1, "/health/live").await;
    let headers = connection.next_of(HEADERS).await.unwrap();
    // `:status: 200` of HPACK's static table.
    assert_eq!(headers.payload[0], 0x88);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_taken_is_reset_and_others_of_its_connection_are_not() {
    let network = Network::stocked().await;
    let connections = Connections::new(network.router.clone()).stall_timeout(Duration::from_millis(300));
    let address = serve_connections(connections).await;
    // No room at all, and room for a single byte: what is left of it waits elsewhere.
    for window in [0, 1] {
        let mut connection = Connection::open(address, Some(window)).await;
        for (stream, path) in [(1, PATH), (3, "/api/trades"), (5, "/metrics")] {
            connection.ask(stream, path).await;
        }
        let mut reset = Vec::new();
        while reset.len() < 3 {
            let received = connection.next_of(RST_STREAM).await.unwrap();
            assert_eq!(received.code(), CANCEL);
            reset.push(received.stream);
        }
        reset.sort_unstable();
        assert_eq!(reset, [1, 3, 5]);
        // An answer without a body needs no room.
        connection.send(&frame(HEADERS, END_HEADERS | END_STREAM, 7, &head("/health/live"))).await.unwrap();
        assert_eq!(connection.next_of(HEADERS).await.unwrap().stream, 7);
    }
    let metrics = network.get("/metrics").await.text;
    assert!(metrics.contains("trade_http_open_streams 0"), "{metrics}");
}

/// As [`get`], with the method HEAD.
fn head(path: &str) -> Vec<u8> {
    [&[0x02, 4], &b"HEAD"[..], &get(path)[1..]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_taken_back_at_once_end_their_connection() {
    let network = Network::stocked().await;
    let address = serve_connections(Connections::new(network.router.clone())).await;
    let mut connection = Connection::open(address, None).await;
    let mut flood = Vec::new();
    for n in 0..20_000 {
        let stream = 1 + 2 * n;
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/api/trades")));
        flood.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }
    // It may be closed while it sends.
    let _ = connection.send(&flood).await;
    while let Some(received) = connection.next().await {
        if received.kind == GOAWAY {
            assert_eq!(received.code(), ENHANCE_YOUR_CALM);
        }
    }
    is_served(address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_does_not_end_ends_its_connection() {
    const FRAMES: usize = 10_000;
    let network = Network::stocked().await;
    let address = serve_connections(Connections::new(network.router.clone())).await;
    // Empty ones, and ones that add a header each.
    for payload in [&b""[..], b"\x00\x01x\x01y"] {
        let mut connection = Connection::open(address, None).await;
        connection.send(&frame(HEADERS, END_STREAM, 1, &get("/api/trades"))).await.unwrap();
        for _ in 0..FRAMES / 100 {
            let _ = connection.send(&frame(CONTINUATION, 0, 1, payload).repeat(100)).await;
        }
        while connection.next().await.is_some() {}
    }
    is_served(address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_too_large_is_refused() {
    let network = Network::stocked().await;
    let address = serve_connections(Connections::new(network.router.clone())).await;
    let mut connection = Connection::open(address, None).await;
    let large = [&[0x00, 1, b'x', 100], &[b'y'; 100][..]].concat().repeat(150);
    connection.send(&frame(HEADERS, END_STREAM, 1, &get("/api/trades"))).await.unwrap();
    connection.send(&frame(CONTINUATION, 0, 1, &large)).await.unwrap();
    connection.send(&frame(CONTINUATION, END_HEADERS, 1, &large)).await.unwrap();
    let refused = connection.next_of(HEADERS).await.unwrap();
    // `:status` with a value of its own, which is 431 in Huffman's code.
    assert_eq!(refused.payload[..5], [0x48, 0x83, 0x69, 0x90, 0xff]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sends_much_into_a_stream() {
    let network = Network::stocked().await;
    let address = serve_connections(Connections::new(network.router.clone())).await;
    let mut connection = Connection::open(address, None).await;
    connection.send(&frame(HEADERS, END_HEADERS, 1, &get(PATH))).await.unwrap();
    connection.next_of(DATA).await.unwrap();
    // As much as that is passed over.
    let part = frame(DATA, 0, 1, &[b'x'; 16 * 1024]);
    connection.send(&part.repeat(4)).await.unwrap();
    network.post("/api/trades", trade("T-1")).await.expect(201);
    let mut taken = Vec::new();
    while !taken.ends_with(b"\n\n") || !String::from_utf8_lossy(&taken).contains("tradeInitiated") {
        taken.extend(connection.next_of(DATA).await.unwrap().payload);
    }
    connection.send(&part).await.unwrap();
    let reset = connection.next_of(RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.code()), (1, INTERNAL_ERROR));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_behind_answers_that_are_not_taken_wait_only_so_long() {
    // Of which 100 are answered at a time.
    const REQUESTS: u32 = 900;
    const STALL: Duration = Duration::from_secs(1);
    let network = Network::stocked().await;
    let address = serve_connections(Connections::new(network.router.clone()).stall_timeout(STALL)).await;
    let mut connection = Connection::open(address, Some(0)).await;
    let begin = Instant::now();
    for n in 0..REQUESTS {
        connection.ask(1 + 2 * n, "/api/trades").await;
    }
    let mut ended = std::collections::BTreeSet::new();
    while ended.len() < REQUESTS as usize {
        let frame = connection.next().await.unwrap();
        // An answer that ends with its head is a refusal.
        if frame.kind == RST_STREAM || (frame.kind == HEADERS && frame.flags & END_STREAM != 0) {
            ended.insert(frame.stream);
        }
    }
    assert!(begin.elapsed() < STALL * 6, "{:?}", begin.elapsed());
    is_served(address).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_requests_is_told_that_it_ends() {
    let network = Network::stocked().await;
    let connections = Connections::new(network.router.clone());
    let short = Duration::from_millis(300);
    let address = serve_connections(connections.idle_timeout(short).head_timeout(short)).await;
    let mut connection = Connection::open(address, None).await;
    connection.ask(1, PATH).await;
    connection.ask(3, "/health/live").await;
    // As long as it has a stream it is not idle.
    tokio::time::sleep(short * 3).await;
    connection.ask(5, "/health/live").await;
    while connection.next_of(HEADERS).await.unwrap().stream != 5 {}
    connection.send(&frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())).await.unwrap();
    assert_eq!(connection.next_of(GOAWAY).await.unwrap().code(), 0);
    while connection.next().await.is_some() {}
    // Nor is one kept whose client does not say a word.
    let begin = Instant::now();
    let mut silent = Connection::open(address, None).await;
    while silent.next().await.is_some() {}
    assert!(begin.elapsed() >= short, "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_streams_and_requests_share_a_connection() {
    const STREAMS: u32 = 500;
    let network = Network::stocked().await;
    let address = serve_connections(Connections::new(network.router.clone())).await;
    let mut connection = Connection::open(address, Some(1 << 20)).await;
    for n in 0..STREAMS {
        connection.ask(1 + 2 * n, PATH).await;
    }
    let mut greeted = 0;
    while greeted < STREAMS {
        let received = connection.next_of(DATA).await.unwrap();
        greeted += u32::from(received.payload.starts_with(b"retry"));
    }
    let request = 1 + 2 * STREAMS;
    connection.ask(request, "/api/trades").await;
    while connection.next_of(HEADERS).await.unwrap().stream != request {}
    network.shutdown.begin();
    let mut byes = 0;
    while byes < STREAMS {
        let received = connection.next_of(DATA).await.unwrap();
        byes += u32::from(received.payload.ends_with(b"event: bye\ndata: {\"reason\":\"shutdown\"}\n\n"));
    }
}
