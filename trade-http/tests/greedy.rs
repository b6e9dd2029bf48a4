//! Clients of streams that take all they can get, or nothing.

#![allow(clippy::unwrap_used)]

mod common;

use common::sse::{Stream, serve_connections};
use common::{Network, trade};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trade_http::{Connections, HttpOptions};

const PATH: &str = "/api/updates/real-time";
const REQUEST: &[u8] = b"GET /api/updates/real-time HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn open_streams(network: &Network) -> String {
    let metrics = network.get("/metrics").await.text;
    let line = metrics.lines().find(|line| line.starts_with("trade_http_open_streams")).unwrap().to_owned();
    line.rsplit(' ').next().unwrap().to_owned()
}

async fn until_streams_are(network: &Network, count: &str) {
    let begin = Instant::now();
    while open_streams(network).await != count {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{count} streams, not {}",
            open_streams(network).await
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_what_waits_is_cut_off_and_who_reads_is_not() {
    let network = Network::stocked().await;
    let connections = Connections::new(network.router.clone()).stall_timeout(Duration::from_millis(300));
    let address = serve_connections(connections).await;
    let mut stalled = TcpStream::connect(address).await.unwrap();
    stalled.write_all(REQUEST).await.unwrap();
    let (mut lively, _) = Stream::greeted(address, PATH, None).await;
    until_streams_are(&network, "2").await;
    // More than both ends of a connection hold by themselves.
    let items: Vec<_> = (0..700).map(|n| format!("{n:060}")).collect();
    for n in 0..200 {
        let body = json!({"stationId": format!("s-{n}"), "items": &items});
        network.post("/api/inventory", body).await.expect(201);
        assert_eq!(lively.next().await.unwrap().sequence(), 3 + n);
    }
    until_streams_are(&network, "1").await;
    network.post("/api/trades", trade("T-1")).await.expect(201);
    assert_eq!(lively.next().await.unwrap().kind(), "tradeInitiated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_into_a_stream_is_cut_off() {
    let network = Network::stocked().await;
    let address = serve_connections(Connections::new(network.router.clone())).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    is_cut_off(&network, client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_is_who_does_it_behind_a_request() {
    let options = HttpOptions { heartbeat: Duration::from_millis(50), ..HttpOptions::default() };
    let network = Network::with(options).await;
    network.stock().await;
    let address = serve_connections(Connections::new(network.router.clone())).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    // The stream is a body then.
    client.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with('}') {
        answer.push(char::from(client.read_u8().await.unwrap()));
    }
    client.write_all(REQUEST).await.unwrap();
    until_streams_are(&network, "1").await;
    // hyper reads some of it as well.
    let mut sent = 0;
    while open_streams(&network).await == "1" {
        sent += 1;
        assert!(sent < 500, "{sent} kB");
        let _ = client.write_all(&[b'x'; 1024]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Asserts that what a client sends is passed over, and that too much of it ends its stream.
async fn is_cut_off(network: &Network, mut client: TcpStream) {
    until_streams_are(network, "1").await;
    // As much as that is passed over.
    client.write_all(&[b'x'; 64 * 1024]).await.unwrap();
    network.post("/api/trades", trade("T-1")).await.expect(201);
    let mut taken = String::new();
    while !taken.contains("tradeInitiated") {
        let mut some = [0; 4096];
        let count = client.read(&mut some).await.unwrap();
        assert!(count > 0, "{taken}");
        taken += &String::from_utf8_lossy(&some[..count]);
    }
    // It may be reset while it sends.
    let _ = client.write_all(&[b'x'; 1024]).await;
    until_streams_are(network, "0").await;
}
