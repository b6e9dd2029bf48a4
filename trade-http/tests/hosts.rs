//! Whom a request is for: the host it names must be one of the router's.

#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::{Request, Version};
use common::{Got, Network, trade};
use trade_http::{AllowedHosts, HttpOptions};

const PATHS: [&str; 8] = [
    "/api/trades",
    "/api/updates/real-time",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/nowhere",
    "/api/trades//",
    "/",
];

async fn network(allowed_hosts: AllowedHosts) -> Network {
    Network::with(HttpOptions { allowed_hosts, ..HttpOptions::default() }).await
}

async fn ask(network: &Network, version: Version, uri: &str, hosts: &[&str]) -> Got {
    let mut request = Request::get(uri).version(version);
    for host in hosts {
        request = request.header("host", *host);
    }
    let response = network.send_unread(request.body(Body::empty()).unwrap()).await;
    // A stream has no end.
    if response.headers()["content-type"] == "text/event-stream" {
        return Got { status: response.status(), headers: response.headers().clone(), text: String::new() };
    }
    Got::of(response).await
}

#[tokio::test]
async fn a_page_of_another_name_gets_nothing_on_any_path() {
    let network = network(AllowedHosts::loopback()).await;
    for path in PATHS {
        for host in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.1",
        ] {
            let problem =
                ask(&network, Version::HTTP_11, path, &[host]).await.problem(421, "misdirected-request");
            assert!(problem["detail"].as_str().unwrap().contains("--allowed-host"), "{problem}");
        }
        for host in
            ["localhost", "LOCALHOST:1", "app.localhost:3000", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"]
        {
            let status = ask(&network, Version::HTTP_11, path, &[host]).await.status.as_u16();
            assert!([200, 404].contains(&status), "{path} {host}: {status}");
        }
    }
    let head = network.head().await;
    let headers = [("host", "evil.example")];
    let got = network.ask("POST", "/api/trades", &headers, Some(trade("T-1"))).await;
    got.problem(421, "misdirected-request");
    assert_eq!(network.head().await, head);
}

#[tokio::test]
async fn a_request_without_one_valid_host_is_malformed() {
    let network = network(AllowedHosts::loopback()).await;
    for path in PATHS {
        for hosts in [
            &[][..],
            &["localhost", "localhost"],
            &["localhost", "evil.example"],
            &[""],
            &["localhost:80:80"],
        ] {
            ask(&network, Version::HTTP_11, path, hosts).await.problem(400, "malformed-request");
        }
    }
    // HTTP/1.0 had no hosts; but what it names counts.
    ask(&network, Version::HTTP_10, "/health/live", &[]).await.expect(200);
    ask(&network, Version::HTTP_10, "/health/live", &["evil.example"])
        .await
        .problem(421, "misdirected-request");
    ask(&network, Version::HTTP_10, "/health/live", &["localhost", "localhost"])
        .await
        .problem(400, "malformed-request");
}

#[tokio::test]
async fn the_host_of_the_request_target_counts() {
    let network = network(AllowedHosts::loopback()).await;
    for (uri, hosts, status) in [
        ("http://localhost:1/health/live", &["evil.example"][..], 200),
        ("http://evil.example/health/live", &["localhost"], 421),
        ("http://localhost/health/live", &[], 400),
        ("http://localhost/health/live", &["local host"], 400),
        ("http://localhost/health/live", &["localhost:x"], 400),
        ("http://localhost/health/live", &["localhost", "localhost"], 400),
        ("http://evil@localhost/health/live", &["localhost"], 400),
    ] {
        ask(&network, Version::HTTP_11, uri, hosts).await.expect(status);
    }
    ask(&network, Version::HTTP_2, "http://localhost/health/live", &[]).await.expect(200);
    ask(&network, Version::HTTP_2, "http://evil.example/health/live", &[]).await.expect(421);
}

#[tokio::test]
async fn more_hosts_can_be_allowed_and_all_are_by_default() {
    let hosts = AllowedHosts::loopback().and("Trade.example.").unwrap().and("[2001:db8::1]").unwrap();
    let named = network(hosts).await;
    for host in ["trade.example", "TRADE.EXAMPLE:443", "trade.example.", "[2001:db8:0:0::1]:80", "localhost"]
    {
        ask(&named, Version::HTTP_11, "/health/live", &[host]).await.expect(200);
    }
    for host in ["sub.trade.example", "trade.example.evil", "[2001:db8::2]"] {
        ask(&named, Version::HTTP_11, "/health/live", &[host]).await.problem(421, "misdirected-request");
    }
    let any = Network::new().await;
    for hosts in [&["evil.example"][..], &[]] {
        ask(&any, Version::HTTP_11, "/health/live", hosts).await.expect(200);
    }
    assert!(AllowedHosts::any().and("trade.example").is_ok());
}

#[tokio::test]
async fn a_nested_router_asks_for_its_own_paths() {
    let mut network = network(AllowedHosts::loopback()).await;
    network.router = axum::Router::new()
        .nest("/network", network.router.clone())
        .route("/other", axum::routing::get(|| async { "{}" }));
    for path in ["/network/health/live", "/network/nowhere", "http://evil.example/network/health/live"] {
        ask(&network, Version::HTTP_11, path, &["evil.example"]).await.problem(421, "misdirected-request");
    }
    ask(&network, Version::HTTP_11, "/other", &["evil.example"]).await.expect(200);
}
