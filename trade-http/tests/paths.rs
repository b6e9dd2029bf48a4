//! Paths, methods, ids and parameters that are not as they must be.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Network, trade};
use serde_json::json;

async fn network() -> (Network, u64) {
    let network = Network::stocked().await;
    network.post("/api/trades", trade("T-0")).await.expect(201);
    let head = network.head().await;
    (network, head)
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let (network, _) = network().await;
    for (path, code) in [
        ("/api/trades/none", "trade-not-found"),
        ("/api/cargo/none", "cargo-not-found"),
        ("/api/cargo/none/history", "cargo-not-found"),
        ("/api/inventory/none", "station-not-found"),
        ("/api/inventory/none/ledger/", "station-not-found"),
        ("/api", "not-found"),
        ("/api/", "not-found"),
        ("/api/nothing", "not-found"),
        ("/api/trades/a/b/c", "not-found"),
        ("/", "not-found"),
        ("/docs/elsewhere", "not-found"),
        ("/openapi", "not-found"),
        ("/elsewhere", "not-found"),
    ] {
        let problem = network.get(path).await.problem(404, code);
        assert_eq!(problem["instance"], path);
    }
    network.patch("/api/trades/none", json!({"status": "cancelled"})).await.problem(404, "trade-not-found");
    network.patch("/api/cargo/none", json!({"status": "lost"})).await.problem(404, "cargo-not-found");
    let change = json!({"adjustments": [{"itemId": "fuel", "delta": 1, "reason": "other"}]});
    network.patch("/api/inventory/none", change).await.problem(404, "station-not-found");
}

#[tokio::test]
async fn a_path_with_an_empty_segment_is_no_other_path() {
    let (network, _) = network().await;
    let _recorded = network.record();
    // What the paths would mean, were a slash overlooked.
    for id in ["trades", "update"] {
        network.post("/api/trades", trade(id)).await.expect(201);
        network.post("/api/inventory", json!({"stationId": id})).await.expect(201);
    }
    let transfer =
        json!({"shipmentId": "cargo", "origin": "ceres", "destination": "vesta", "items": ["fuel"]});
    network.post("/api/cargo", transfer).await.expect(201);
    let head = network.head().await;
    let cancel = json!({"status": "cancelled"});
    let adjust = json!({"adjustments": [{"itemId": "fuel", "delta": 1, "reason": "other"}]});
    for (method, path, body) in [
        ("PATCH", "/api/trades//", Some(cancel.clone())),
        ("GET", "/api/trades//", None),
        ("HEAD", "/api/trades//", None),
        ("POST", "/api/trades//", Some(trade("T-1"))),
        ("PUT", "/api/trades/update//", Some(cancel.clone())),
        ("PATCH", "/api/trades/update//", Some(cancel.clone())),
        ("PATCH", "/api/trades/trades//", Some(cancel.clone())),
        ("GET", "/api/cargo//history", None),
        ("PATCH", "/api/cargo//", Some(cancel)),
        ("GET", "/api/inventory//ledger", None),
        ("PATCH", "/api/inventory//", Some(adjust.clone())),
        ("PUT", "/api/inventory/update//", Some(adjust)),
        ("GET", "//api/trades", None),
        ("POST", "//api/trades", Some(trade("T-1"))),
        ("GET", "/api//trades", None),
        ("GET", "//", None),
        ("GET", "/health/live//", None),
        ("GET", "/api/updates/real-time//", None),
    ] {
        let got = network.ask(method, path, &[], body).await;
        assert_eq!(got.status.as_u16(), 404, "{method} {path}");
        if method != "HEAD" {
            assert_eq!(got.problem(404, "not-found")["instance"], path, "{method} {path}");
        }
    }
    assert_eq!(network.head().await, head);
    // In the query it is no segment.
    network.get("/api/trades?station=//").await.problem(422, "invalid-request");
    let text = network.get("/metrics").await.text;
    assert!(text.contains(r#"method="PATCH",route="unmatched",status="404"} 5"#), "{text}");
}

#[tokio::test]
async fn another_method_is_told_which_are_allowed() {
    let (network, _) = network().await;
    for (method, path, allow) in [
        ("DELETE", "/api/trades", "GET,HEAD,OPTIONS,POST"),
        ("POST", "/api/trades/T-0", "GET,HEAD,OPTIONS,PATCH"),
        ("GET", "/api/trades/update/T-0/", "OPTIONS,PUT"),
        ("PUT", "/api/cargo", "GET,HEAD,OPTIONS,POST"),
        ("POST", "/api/cargo/x/history", "GET,HEAD,OPTIONS"),
        ("DELETE", "/api/inventory/ceres", "GET,HEAD,OPTIONS,PATCH"),
        ("POST", "/api/updates", "GET,HEAD,OPTIONS"),
        ("POST", "/api/updates/real-time/", "GET,HEAD,OPTIONS"),
        ("POST", "/health/live", "GET,HEAD,OPTIONS"),
        ("PURGE", "/metrics", "GET,HEAD,OPTIONS"),
    ] {
        let got = network.ask(method, path, &[], None).await;
        got.problem(405, "method-not-allowed");
        let mut allowed: Vec<_> = got.header("allow").split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), allow, "{method} {path}");
        let asked = network.ask("OPTIONS", path, &[], None).await;
        assert_eq!((asked.status.as_u16(), asked.text.as_str()), (204, ""), "{path}");
        assert_eq!(asked.header("allow"), got.header("allow"), "{path}");
    }
}

#[tokio::test]
async fn ids_in_paths_are_checked() {
    let (network, _) = network().await;
    let long = "x".repeat(129);
    for bad in ["%20", "a%2Fb", "%ff", "%C3%28", "a%00", "%zz", "a+b", "%", long.as_str(), "%C3%A9"] {
        for (path, field) in [
            (format!("/api/trades/{bad}"), "transactionId"),
            (format!("/api/cargo/{bad}"), "shipmentId"),
            (format!("/api/cargo/{bad}/history"), "shipmentId"),
            (format!("/api/inventory/{bad}/"), "stationId"),
            (format!("/api/inventory/{bad}/ledger/"), "stationId"),
        ] {
            assert_eq!(network.get(&path).await.faults(), [field], "{path}");
        }
    }
    let change = json!({"status": "cancelled"});
    assert_eq!(network.put("/api/trades/update/%ff", change).await.faults(), ["transactionId"]);
}

#[tokio::test]
async fn parameters_are_checked_and_named() {
    let (network, _) = network().await;
    let lists = [
        "/api/trades",
        "/api/cargo",
        "/api/inventory",
        "/api/cargo/shipment-T-0/history",
        "/api/inventory/ceres/ledger",
        "/api/inventory/ceres",
    ];
    let mut cases: Vec<(String, &str)> = Vec::new();
    for list in lists {
        for limit in ["0", "-1", "5001", "", "x", "1.0", "+1", "99999999999999999999"] {
            cases.push((format!("{list}?limit={limit}"), "limit"));
        }
        for cursor in ["", "x", "q1", "t", "%ff", "tzz"] {
            cases.push((format!("{list}?cursor={cursor}"), "cursor"));
        }
        cases.push((format!("{list}?colour=red"), "colour"));
        cases.push((format!("{list}?LIMIT=1"), "LIMIT"));
        cases.push((format!("{list}?limit=1&limit=1"), "limit"));
    }
    for (list, parameter, values) in [
        ("/api/trades", "status", ["pending", ""]),
        ("/api/trades", "station", ["a%20b", ""]),
        ("/api/trades", "buyer", ["a,b", "%2F"]),
        ("/api/trades", "seller", ["%ff", ""]),
        ("/api/trades", "itemId", ["a,b", ""]),
        ("/api/trades", "since", ["2026-01-01", "now"]),
        ("/api/trades", "until", ["", "1"]),
        ("/api/trades", "limit", ["501", "5000"]),
        ("/api/cargo", "late", ["yes", ""]),
        ("/api/cargo", "origin", ["%00", ""]),
        ("/api/cargo", "destination", ["%00", ""]),
        ("/api/cargo", "status", ["initiated", "Pending"]),
        ("/api/inventory/ceres", "itemId", ["a,", ",a"]),
        ("/api/inventory/ceres/ledger", "itemId", ["a,b", ""]),
        ("/api/updates", "after", ["-1", "x"]),
        ("/api/updates", "after", ["", "1e3"]),
        ("/api/updates", "limit", ["0", "501"]),
        ("/api/updates", "topics", ["trades", ""]),
        ("/api/updates", "type", ["tradeinitiated", "trade,"]),
        ("/api/updates", "station", ["a,,b", "é"]),
        ("/api/updates/real-time", "topics", ["trade,x", ""]),
        ("/api/updates/real-time", "type", ["x", ""]),
        ("/api/updates/real-time", "station", ["a%20", ""]),
        ("/api/updates/real-time", "limit", ["1", "1"]),
    ] {
        cases.extend(
            values.map(|value| (format!("{list}?{parameter}={}", value.replace('é', "%C3%A9")), parameter)),
        );
    }
    for one in ["/api/trades/T-0", "/api/cargo/shipment-T-0", "/api/updates"] {
        cases.push((format!("{one}?x"), "x"));
    }
    for (path, parameter) in cases {
        assert_eq!(network.get(&path).await.faults(), [parameter], "{path}");
    }
    network
        .get("/api/trades?since=2026-01-01T00:00:00+02:00&until=2026-01-01T00:00:00%2B02:00&")
        .await
        .expect(200);
}
