//! What surrounds the routes: health, metrics, request ids, time limits, failing stores, prefixes.

#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Request;
use common::broken::{Broken, SECRET};
use common::sse::serve;
use common::{Network, trade};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trade_core::clock::{SystemClock, UuidV7};
use trade_core::service::{ServiceOptions, TradeService};
use trade_core::store::StoreErrorKind;
use trade_http::HttpOptions;

async fn broken(how: Broken, options: HttpOptions) -> Network {
    let service = ServiceOptions { attempts_max: 1, ..ServiceOptions::default() };
    let service =
        TradeService::start_with(Arc::new(how), Arc::new(SystemClock::new()), Arc::new(UuidV7), service);
    Network::of(service.await.unwrap(), options)
}

const READS: [&str; 8] = [
    "/api/trades",
    "/api/trades/x",
    "/api/cargo",
    "/api/cargo/x",
    "/api/cargo/x/history",
    "/api/inventory/x",
    "/api/inventory/x/ledger",
    "/api/updates",
];

#[tokio::test]
async fn a_list_that_was_read_from_a_copy_says_as_of_which_sequence_and_no_other_does() {
    // A page of a hundred rows is read in two pieces.
    for (pieces, told) in [
        (&[Some(7), Some(9)][..], "7"),
        (&[Some(9), Some(7)], "7"),
        (&[None, Some(9)], "9"),
        (&[Some(0), None], "0"),
        (&[None, None], ""),
    ] {
        let network = broken(Broken::Copied(pieces), HttpOptions::default()).await;
        let got = network.get("/api/inventory?limit=100").await;
        assert_eq!(got.expect(200)["inventory"].as_array().unwrap().len(), 100);
        assert_eq!(got.header("x-as-of-sequence"), told, "{pieces:?}");
    }
    let network = Network::stocked().await;
    for path in ["/api/trades", "/api/cargo", "/api/inventory", "/api/inventory/ceres/ledger"] {
        let got = network.get(path).await;
        got.expect(200);
        assert!(!got.headers.contains_key("x-as-of-sequence"), "{path}");
    }
}

#[tokio::test]
async fn a_failing_store_is_told_by_a_code_without_its_words() {
    for (kind, status, code) in [
        (StoreErrorKind::Unavailable, 503, "store-unavailable"),
        (StoreErrorKind::Conflict, 503, "overloaded"),
        (StoreErrorKind::TooLarge, 422, "too-large-for-store"),
        (StoreErrorKind::Corrupt, 500, "internal"),
        (StoreErrorKind::Internal, 500, "internal"),
    ] {
        let network = broken(Broken::Failing(kind), HttpOptions::default()).await;
        let mut answers = Vec::new();
        for path in READS {
            answers.push(network.get(path).await);
        }
        answers.push(network.post("/api/trades", trade("T-1")).await);
        for got in answers {
            got.problem(status, code);
            assert_eq!(got.header("retry-after"), if status == 503 { "1" } else { "" });
            assert!(!got.text.contains(SECRET) && !got.text.contains("secret"), "{}", got.text);
        }
    }
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing() {
    let network = broken(Broken::Panicking, HttpOptions::default()).await;
    for path in READS {
        let got = network.get(path).await;
        got.problem(500, "internal");
        assert!(!got.text.contains("secret"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_a_503() {
    let network = broken(Broken::Hanging, HttpOptions::default()).await;
    network.get("/api/trades").await.problem(503, "store-unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_a_408() {
    let network = Network::new().await;
    let slow = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let started = tokio::time::Instant::now();
    let request = Request::post("/api/trades").header("content-type", "application/json").body(slow).unwrap();
    network.send(request).await.problem(408, "request-timeout");
    assert!((30..32).contains(&started.elapsed().as_secs()));
}

#[tokio::test]
async fn health_follows_the_store_and_the_shutdown() {
    let network = Network::new().await;
    network.get("/health/live").await.expect(200);
    network.get("/health/ready/").await.expect(200);
    network.shutdown.begin();
    let got = network.get("/health/ready").await;
    got.problem(503, "shutdown");
    assert_eq!(got.header("retry-after"), "1");
    network.get("/health/live").await.expect(200);
    network.post("/api/inventory", json!({"stationId": "x"})).await.expect(201);
    network.service.shutdown().await;
    network.post("/api/inventory", json!({"stationId": "y"})).await.problem(503, "shutdown");
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_store_was_exchanged_is_not_ready() {
    static END: AtomicU64 = AtomicU64::new(10);
    let network = broken(Broken::Ending(&END), HttpOptions::default()).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    network.get("/health/ready").await.expect(200);
    END.store(9, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let problem = network.get("/health/ready").await.problem(503, "store-unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("started again"), "{problem}");
}

#[tokio::test]
async fn a_server_that_stores_nothing_is_not_ready_though_it_can_be_read() {
    static END: AtomicU64 = AtomicU64::new(10);
    let network = broken(Broken::Ending(&END), HttpOptions::default()).await;
    network.get("/health/ready").await.expect(200);
    network.post("/api/inventory", json!({"stationId": "x"})).await.problem(503, "store-unavailable");
    let got = network.get("/health/ready").await;
    got.problem(503, "store-unavailable");
    assert!(!got.text.contains("secret"), "{}", got.text);
}

#[tokio::test]
async fn a_server_that_commits_nothing_any_more_is_not_ready() {
    let network = Network::new().await;
    network.get("/health/ready").await.expect(200);
    network.service.shutdown().await;
    let got = network.get("/health/ready").await;
    let problem = got.problem(503, "store-unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("no longer commits"), "{problem}");
    assert_eq!(got.header("retry-after"), "1");
    network.get("/health/live").await.expect(200);
    network.shutdown.begin();
    network.get("/health/ready").await.problem(503, "shutdown");
}

#[tokio::test]
async fn a_request_id_is_taken_over_or_made() {
    let network = Network::new().await;
    for path in ["/api/trades", "/api/trades/none", "/nowhere", "/health/live", "/metrics"] {
        let got = network.ask("GET", path, &[("x-request-id", "abc-123_~!")], None).await;
        assert_eq!(got.header("x-request-id"), "abc-123_~!", "{path}");
        let long = "x".repeat(129);
        for bad in ["", "a b", long.as_str(), "é"] {
            let got = network.ask("GET", path, &[("x-request-id", bad)], None).await;
            assert_eq!(got.header("x-request-id").len(), 36, "{path} {bad}");
        }
    }
    let got = network.ask("DELETE", "/api/trades", &[("x-request-id", "r")], None).await;
    assert_eq!(got.problem(405, "method-not-allowed")["requestId"], "r");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let network = Network::stocked().await;
    for (path, status) in [("/api/inventory/ceres", 200), ("/api/inventory/none", 404), ("/nowhere", 404)] {
        let got = network.ask("HEAD", path, &[], None).await;
        assert_eq!((got.status.as_u16(), got.text.as_str()), (status, ""), "{path}");
        assert!(!got.header("x-request-id").is_empty());
        let full = network.get(path).await;
        // The two bodies differ in their request ids, which have one length.
        assert_eq!(got.header("content-length"), full.text.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn metrics_count_by_route_and_not_by_path() {
    let network = Network::new().await;
    let _recorded = network.record();
    network.stock().await;
    for id in 0..5 {
        network.get(&format!("/api/trades/T-{id}")).await.problem(404, "trade-not-found");
        network.get(&format!("/api/trades/T-{id}/")).await.problem(404, "trade-not-found");
        network.get(&format!("/nowhere/{id}")).await.problem(404, "not-found");
        network
            .ask(&format!("METHOD{id}"), "/api/trades", &[], None)
            .await
            .problem(405, "method-not-allowed");
    }
    let got = network.get("/metrics").await;
    assert!(got.header("content-type").starts_with("text/plain"));
    let has = |line: &str| assert!(got.text.lines().any(|other| other == line), "{line}\n{}", got.text);
    has(r#"trade_http_requests_total{method="GET",route="/api/trades/{transactionId}",status="404"} 10"#);
    has(r#"trade_http_requests_total{method="GET",route="unmatched",status="404"} 5"#);
    has(r#"trade_http_requests_total{method="other",route="/api/trades",status="405"} 5"#);
    has(r#"trade_http_request_duration_seconds_count{method="POST",route="/api/inventory",status="201"} 2"#);
    has("trade_http_open_streams 0");
    assert!(!got.text.contains("nowhere") && !got.text.contains("METHOD"));
}

#[tokio::test]
async fn the_router_can_be_nested_under_a_prefix() {
    for as_service in [false, true] {
        let mut network = Network::stocked().await;
        let _recorded = network.record();
        let router = network.router.clone();
        network.router = match as_service {
            true => axum::Router::new().nest_service("/very/deep", router),
            false => axum::Router::new().nest("/very/deep", router),
        };
        let got = network.post("/very/deep/api/trades/", trade("T-1")).await;
        got.expect(201);
        let location = got.location("/very/deep/api/trades/");
        assert_eq!(location, "/very/deep/api/trades/T-1");
        network.get(&location).await.expect(200);
        network.patch("/very/deep/api/trades/T-1", json!({"status": "cancelled"})).await.expect(200);
        network.get("/very/deep/api/cargo/shipment-T-1/history").await.expect(200);
        let problem = network.get("/very/deep/api/trades/none").await.problem(404, "trade-not-found");
        assert_eq!(problem["instance"], "/very/deep/api/trades/none");
        network.get("/very/deep/nowhere").await.problem(404, "not-found");
        network.get("/very/deep/api/trades//").await.problem(404, "not-found");
        network.ask("DELETE", "/very/deep/api/trades", &[], None).await.problem(405, "method-not-allowed");
        let text = network.get("/very/deep/metrics").await.text;
        assert!(text.contains(r#"/api/trades/{transactionId}",status="404"} 1"#), "{text}");
        assert!(text.contains(r#"route="unmatched",status="404"} 2"#), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_still_writes_too_much_gets_to_read_why() {
    let network = Network::new().await;
    let address = serve(network.router.clone()).await;
    for head in ["Content-Length: 8000000", "Transfer-Encoding: chunked"] {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/trades HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..80 {
            let size = if head.contains("chunked") { "186a0\r\n" } else { "" };
            let end = if head.contains("chunked") { "\r\n" } else { "" };
            client.write_all(size.as_bytes()).await.unwrap();
            client.write_all(&[b' '; 100_000]).await.unwrap();
            client.write_all(end.as_bytes()).await.unwrap();
        }
        let mut answer = vec![0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 413");
    }
}

#[tokio::test]
async fn a_slow_body_that_arrives_in_time_is_taken() {
    let options = HttpOptions { request_timeout: Duration::from_secs(5), ..HttpOptions::default() };
    let network = Network::with(options).await;
    let chunks = [r#"{"stati"#, r#"onId":"#, r#""ceres"}"#].map(Ok::<_, std::io::Error>);
    let body = Body::from_stream(futures::stream::iter(chunks));
    let request =
        Request::post("/api/inventory").header("content-type", "application/json").body(body).unwrap();
    network.send(request).await.expect(201);
}
