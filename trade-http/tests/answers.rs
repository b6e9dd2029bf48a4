//! What answers carry besides their content: where the new resource is, how long they hold, in which order they tell.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Network, trade};
use serde_json::json;

#[tokio::test]
async fn a_location_holds_under_any_prefix_and_for_any_id() {
    let network = Network::stocked().await;
    let ids = ["T-1", "a:b", "http:x", "-", "...", "a.b_c-d:e"];
    for (index, slash) in ["", "/"].iter().enumerate() {
        for id in ids {
            let id = format!("{id}{index}");
            let transfer =
                json!({"shipmentId": id, "origin": "ceres", "destination": "vesta", "items": ["ore"]});
            for (path, body) in [
                ("/api/trades", trade(&id)),
                ("/api/cargo", transfer),
                ("/api/inventory", json!({"stationId": id})),
            ] {
                let got = network.post(&format!("{path}{slash}"), body).await;
                got.expect(201);
                // A proxy may have taken a prefix away.
                for prefix in ["", "/networks/belt"] {
                    let location = got.location(&format!("{prefix}{path}{slash}"));
                    assert_eq!(location, format!("{prefix}{path}/{id}"));
                }
                network.get(&got.location(&format!("{path}{slash}"))).await.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn a_cache_asks_before_it_answers_with_what_it_kept() {
    let network = Network::stocked().await;
    network.post("/api/trades", trade("T-1")).await.expect(201);
    for path in [
        "/api/trades",
        "/api/trades/T-1",
        "/api/trades/none",
        "/api/trades?limit=x",
        "/api/cargo",
        "/api/cargo/shipment-T-1",
        "/api/cargo/shipment-T-1/history",
        "/api/inventory",
        "/api/inventory/ceres",
        "/api/inventory/ceres/ledger",
        "/api/updates",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/nowhere",
    ] {
        for method in ["GET", "HEAD"] {
            let got = network.ask(method, path, &[], None).await;
            assert_eq!(got.header("cache-control"), "no-cache", "{method} {path}");
        }
    }
    let known = network.ask("GET", "/api/trades/T-1", &[("if-none-match", "\"1\"")], None).await;
    assert_eq!((known.status.as_u16(), known.header("cache-control")), (304, "no-cache"));
}

#[tokio::test]
async fn a_problem_tells_its_members_in_the_order_of_the_rfc() {
    let network = Network::stocked().await;
    network.post("/api/trades", trade("T-1")).await.expect(201);
    let too_much =
        json!({"buyer": "vesta", "seller": "ceres", "items": [{"itemId": "fuel", "quantity": 999}]});
    let common = ["type", "title", "status", "detail", "instance", "code", "message", "requestId"];
    for (got, more) in [
        (network.get("/nowhere").await, &[][..]),
        (network.post("/api/trades", json!({})).await, &["errors", "field"]),
        (
            network.post("/api/trades", too_much.clone()).await,
            &["shortages", "stationId", "itemId", "requested", "available"],
        ),
        (network.patch("/api/trades/T-1", json!({"status": "completed"})).await, &["from", "to", "allowed"]),
        (
            network.post("/api/trades/batch", json!({"trades": [too_much.clone()]})).await,
            &["shortages", "stationId", "itemId", "requested", "available"],
        ),
        (
            network
                .post("/api/trades/batch", json!({"trades": [trade("T-2"), too_much], "atomic": true}))
                .await,
            &["shortages", "stationId", "itemId", "requested", "available", "index"],
        ),
    ] {
        let problem = got.text.split_once("\"problem\":").map_or(got.text.as_str(), |(_, problem)| problem);
        let mut rest = problem.strip_prefix('{').unwrap();
        for member in common.iter().chain(more) {
            rest =
                rest.split_once(&format!("\"{member}\":")).unwrap_or_else(|| panic!("{member}: {problem}")).1;
        }
    }
}
