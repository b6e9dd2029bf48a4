//! Pages of other origins: what a browser is told that they may do.

#![allow(clippy::unwrap_used)]

mod common;

use common::broken::Broken;
use common::sse::{serve, serve_directly};
use common::{Got, Network, trade};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use trade_core::clock::{SystemClock, UuidV7};
use trade_core::service::{ServiceOptions, TradeService};
use trade_http::{AllowedHosts, CorsOrigins, HttpOptions};

const PAGE: &str = "https://app.example";
const STRANGER: &str = "https://evil.example";
const STREAM: &str = "/api/updates/real-time";
const PATHS: [&str; 8] = [
    "/api/trades",
    "/api/trades/T-1",
    "/api/updates/real-time",
    "/health/ready",
    "/metrics",
    "/nowhere",
    "/api/trades//",
    "/",
];
/// What pages may read of an answer, beside what all pages may.
const EXPOSED: &str =
    "etag,location,retry-after,ratelimit,ratelimit-policy,x-request-id,idempotency-replayed,link";

fn named() -> HttpOptions {
    let cors = CorsOrigins::of([PAGE, "http://localhost:3000"]).unwrap();
    HttpOptions { cors, ..HttpOptions::default() }
}

async fn preflight(network: &Network, path: &str, origin: &str, method: &str) -> Got {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", "authorization,content-type,last-event-id"),
    ];
    network.ask("OPTIONS", path, &asked, None).await
}

fn cors_headers(got: &Got) -> Vec<&str> {
    let names = got.headers.keys().map(|name| name.as_str());
    names.filter(|name| name.starts_with("access-control-")).collect()
}

#[track_caller]
fn is_for(got: &Got, origin: &str) {
    assert_eq!(got.header("access-control-allow-origin"), origin, "{}", got.text);
    assert_eq!(got.header("access-control-expose-headers"), EXPOSED);
    assert_eq!(got.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn a_preflight_is_answered_on_every_path() {
    let network = Network::with(named()).await;
    let _recorded = network.record();
    for path in PATHS {
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            let got = preflight(&network, path, PAGE, method).await;
            assert!(got.status.is_success() && got.text.is_empty(), "{path}: {}", got.status);
            assert_eq!(got.header("access-control-allow-origin"), PAGE, "{path}");
            assert_eq!(got.header("access-control-allow-methods"), "GET,HEAD,POST,PUT,PATCH");
            let allowed: Vec<_> = got.header("access-control-allow-headers").split(',').collect();
            for name in [
                "authorization",
                "content-type",
                "idempotency-key",
                "if-match",
                "if-none-match",
                "last-event-id",
                "x-request-id",
            ] {
                assert!(allowed.contains(&name), "{name}: {allowed:?}");
            }
            assert!(got.header("access-control-max-age").parse::<u32>().unwrap() > 0);
            assert_eq!(got.header("access-control-allow-credentials"), "");
            assert_eq!(got.header("vary"), "origin");
            assert_eq!(got.header("x-request-id").len(), 36);
        }
        let got = preflight(&network, path, STRANGER, "POST").await;
        assert_eq!(got.header("access-control-allow-origin"), "", "{path}");
        assert_eq!(got.header("vary"), "origin");
    }
    let text = network.get("/metrics").await.text;
    assert!(text.contains(r#"method="OPTIONS",route="/api/trades/{transactionId}""#), "{text}");
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_can_read_answers_and_no_other_can() {
    let network = Network::with(named()).await;
    network.stock().await;
    for origin in [PAGE, "http://localhost:3000"] {
        let got = network.ask("GET", "/api/inventory/ceres", &[("origin", origin)], None).await;
        got.expect(200);
        is_for(&got, origin);
        assert_eq!(got.headers.get_all("vary").iter().filter(|line| *line == "origin").count(), 1);
    }
    let got = network.ask("POST", "/api/trades", &[("origin", PAGE)], Some(trade("T-1"))).await;
    got.expect(201);
    is_for(&got, PAGE);
    for origin in [STRANGER, "https://app.example:444", "http://app.example", "https://a.app.example", "null"]
    {
        let got = network.ask("GET", "/api/inventory/ceres", &[("origin", origin)], None).await;
        assert_eq!(got.header("access-control-allow-origin"), "", "{origin}");
        assert_eq!(got.header("vary"), "origin", "{origin}");
    }
    // What a cache keeps of it is of no use to a page.
    assert_eq!(network.get("/api/inventory/ceres").await.header("vary"), "origin");
}

#[tokio::test]
async fn a_page_can_read_what_went_wrong() {
    let options = HttpOptions { allowed_hosts: AllowedHosts::loopback(), ..named() };
    let network = Network::with(options).await;
    let ours = [("origin", PAGE), ("host", "localhost")];
    let text = [("origin", PAGE), ("host", "localhost"), ("content-type", "text/plain")];
    let other = [("origin", PAGE), ("host", "other.example")];
    let large = json!({"stationId": "x".repeat(2 << 20)});
    for (method, path, headers, body, status, code) in [
        ("GET", "/nowhere", &ours[..], None, 404, "not-found"),
        ("GET", "/api/trades//", &ours, None, 404, "not-found"),
        ("GET", "/api/trades/none", &ours, None, 404, "trade-not-found"),
        ("DELETE", "/api/trades", &ours, None, 405, "method-not-allowed"),
        ("POST", "/api/inventory", &ours, Some(large), 413, "body-too-large"),
        ("POST", "/api/trades", &text, None, 415, "unsupported-media-type"),
        ("POST", "/api/trades", &ours, Some(json!({})), 422, "invalid-request"),
        ("GET", "/api/updates/real-time?lastEventId=x", &ours, None, 422, "invalid-last-event-id"),
        ("GET", "/api/trades", &other, None, 421, "misdirected-request"),
    ] {
        let got = network.ask(method, path, headers, body).await;
        got.problem(status, code);
        is_for(&got, PAGE);
    }
    let failing = TradeService::start_with(
        Arc::new(Broken::Panicking),
        Arc::new(SystemClock::new()),
        Arc::new(UuidV7),
        ServiceOptions::default(),
    );
    let network = Network::of(failing.await.unwrap(), named());
    let got = network.ask("GET", "/api/trades", &[("origin", PAGE)], None).await;
    got.problem(500, "internal");
    is_for(&got, PAGE);
}

#[tokio::test]
async fn any_origin_can_be_allowed() {
    let network = Network::with(HttpOptions { cors: CorsOrigins::any(), ..HttpOptions::default() }).await;
    for origin in [PAGE, STRANGER, "null"] {
        let got = network.ask("GET", "/api/trades", &[("origin", origin)], None).await;
        got.expect(200);
        is_for(&got, "*");
        // The answer is the same for all.
        assert_eq!(got.header("vary"), "");
        assert_eq!(preflight(&network, "/api/trades", origin, "POST").await.header("vary"), "");
    }
}

#[tokio::test]
async fn a_page_reaches_a_private_network_only_where_it_is_named() {
    let asked = [
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        ("access-control-request-private-network", "true"),
    ];
    let network = Network::with(named()).await;
    let got = network.ask("OPTIONS", "/api/trades", &asked, None).await;
    assert_eq!(got.header("access-control-allow-private-network"), "true");
    assert_eq!(
        preflight(&network, "/api/trades", PAGE, "POST").await.header("access-control-allow-private-network"),
        ""
    );
    let network = Network::with(HttpOptions { cors: CorsOrigins::any(), ..HttpOptions::default() }).await;
    let got = network.ask("OPTIONS", "/api/trades", &asked, None).await;
    assert_eq!(got.header("access-control-allow-private-network"), "");
}

#[tokio::test]
async fn without_the_option_a_page_of_another_origin_can_do_nothing() {
    let network = Network::stocked().await;
    for path in PATHS {
        let got = preflight(&network, path, PAGE, "POST").await;
        assert_eq!(cors_headers(&got), [""; 0], "{path}");
    }
    let got = network.ask("GET", "/api/trades", &[("origin", PAGE)], None).await;
    got.expect(200);
    assert_eq!((cors_headers(&got), got.header("vary")), (vec![], ""));
    // What a page may send without asking first: no such body is taken.
    let head = network.head().await;
    for content_type in [
        "",
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        for path in ["/api/trades", "/api/trades/batch", "/api/cargo", "/api/inventory"] {
            let mut request = axum::http::Request::post(path).header("origin", PAGE);
            if !content_type.is_empty() {
                request = request.header("content-type", content_type);
            }
            let body: Value = json!({"stationId": "x"});
            let got = network.send(request.body(body.to_string().into()).unwrap()).await;
            got.problem(415, "unsupported-media-type");
        }
    }
    assert_eq!(network.head().await, head);
}

#[tokio::test]
async fn options_that_are_no_preflight_tell_the_methods() {
    let network = Network::with(named()).await;
    for asked in [&[][..], &[("origin", PAGE)], &[("access-control-request-method", "POST")]] {
        let got = network.ask("OPTIONS", "/api/trades", asked, None).await;
        assert_eq!((got.status.as_u16(), cors_headers(&got)), (204, vec![]), "{asked:?}");
        let mut allowed: Vec<_> = got.header("allow").split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed, ["GET", "HEAD", "OPTIONS", "POST"]);
    }
}

/// What stands before the body of an answer.
async fn head(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).await.unwrap(), 0, "{head}");
    }
    head.to_lowercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_its_page_the_same_however_it_is_written() {
    let network = Network::with(named()).await;
    let request = format!(
        "GET {STREAM} HTTP/1.1\r\nHost: localhost\r\nOrigin: {PAGE}\r\nAccept-Encoding: gzip\r\n\r\n"
    );
    for address in [serve(network.router.clone()).await, serve_directly(network.router.clone()).await] {
        let head = head(address, &request).await;
        let has = |line: String| assert!(head.lines().any(|other| other == line), "{line}: {head}");
        has(format!("access-control-allow-origin: {PAGE}"));
        has(format!("access-control-expose-headers: {EXPOSED}"));
        has("vary: origin".into());
        has("content-type: text/event-stream".into());
        assert!(!head.contains("content-encoding"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_too_many_tells_a_page_why() {
    let network = Network::with(named()).await;
    let connections = trade_http::Connections::new(network.router.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, peer) = listener.accept().await.unwrap();
        connections.turn_away(socket, peer, std::future::pending()).await.unwrap();
    });
    let request = format!("GET /api/trades HTTP/1.1\r\nHost: localhost\r\nOrigin: {PAGE}\r\n\r\n");
    let head = head(address, &request).await;
    assert!(head.starts_with("http/1.1 503") && head.contains(&format!("allow-origin: {PAGE}")), "{head}");
}
