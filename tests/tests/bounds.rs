//! Servers that have little of what a network asks for.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::api::{Api, one_unit};
use tests::database_server::DatabaseServer;
use tests::server::{Server, assert_verified};

const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// So many trades of so many lines, from `a` to `b`.
fn trades(count: usize, lines: usize) -> Vec<Value> {
    let item = |number: usize| json!({"itemId": format!("item-{number:0>100}"), "quantity": 1});
    let items: Vec<_> = (0..lines).map(item).collect();
    let trade =
        |number| json!({"transactionId": format!("T-{number}"), "seller": "a", "buyer": "b", "items": items});
    (0..count).map(trade).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn what_a_store_takes_only_in_parts_is_refused_whole_and_then_taken_in_parts() {
    const LINES: usize = 5_000;
    const TRADES: usize = 10;
    let database = DatabaseServer::start_with_cache("0.25");
    let server = Server::start_silent(&database.url()).await;
    let api = Api::new(server.url());
    let stock = &trades(1, LINES)[0]["items"];
    let stock: Vec<_> = stock
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| json!({"itemId": line["itemId"], "quantity": 100}))
        .collect();
    let opened = api.post("/api/inventory", &json!({"stationId": "a", "items": stock})).await;
    assert_eq!(opened.status, StatusCode::CREATED);
    api.station("b", "fuel", 0).await;
    let before = api.newest().await;
    let all = trades(TRADES, LINES);
    for body in [json!({"trades": all}), json!({"trades": all, "atomic": true})] {
        let refused = api.post("/api/trades/batch", &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", refused.body);
        assert_eq!(refused.code(), "too-large-for-store");
    }
    assert_eq!(api.newest().await, before, "nothing of it was applied");
    for part in all.chunks(2) {
        let taken = api.post("/api/trades/batch", &json!({"trades": part})).await;
        assert_eq!(taken.status, StatusCode::OK, "{:?}", taken.body);
        let results = taken.body["results"].as_array().expect("results");
        assert!(results.iter().all(|result| result["status"] == 201), "{results:?}");
    }
    assert_verified(&database.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn who_writes_has_a_connection_where_a_server_takes_few() {
    let mut database = DatabaseServer::start_with_connections("10");
    let server = Server::start_silent(&database.url()).await;
    let api = Api::new(server.url());
    api.station("a", "fuel", 1_000).await;
    api.station("b", "fuel", 0).await;
    for round in 0..2 {
        let reading: Vec<_> = (0..40)
            .map(|_| {
                let api = api.clone();
                // Whether it is answered is not what this is about.
                tokio::spawn(async move {
                    while api.send(Method::GET, "/api/trades?limit=500", None).await.is_ok() {}
                })
            })
            .collect();
        database.kill();
        database.restart_unawaited();
        let back = Instant::now();
        let mut number = 0;
        while api
            .post("/api/trades", &one_unit(&format!("B-{round}-{number}"), "a", "b", "fuel"))
            .await
            .status
            != StatusCode::CREATED
        {
            assert!(back.elapsed() < RECOVERY_MAX, "nothing can be written");
            number += 1;
        }
        for number in 0..20 {
            let id = format!("T-{round}-{number}");
            let reply = api.post("/api/trades", &one_unit(&id, "a", "b", "fuel")).await;
            assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
        }
        assert_eq!(api.get("/health/ready").await.status, StatusCode::OK);
        reading.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
