//! What one client can make the router hold is bounded: bodies on their way, and pages.

#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use common::{Got, Network, trade};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MIB: usize = 1 << 20;

fn post(path: &str, body: Body) -> Request<Body> {
    let json = ("content-type", "application/json");
    Request::post(path).header(json.0, json.1).body(body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_very_many_values_is_refused_however_few_bytes_they_take() {
    let network = Network::stocked().await;
    for (path, bytes) in [("/api/trades", MIB), ("/api/trades/batch", 16 * MIB)] {
        for values in ["[0],", "0,", "{\"\":[]},", &format!("{}{},", "[".repeat(120), "]".repeat(120))] {
            let values = values.repeat((bytes - 20) / values.len());
            let body = format!("{{\"items\":[{}]}}", values.trim_end_matches(','));
            let got = network.send(post(path, body.into())).await;
            got.problem(413, "body-too-large");
            assert!(got.text.contains("JSON values"), "{}", got.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_lawful_bodies_are_read() {
    let network = Network::stocked().await;
    let price = json!({"amount": "1.5", "currency": "EUR"});
    let line = |n: usize| json!({"itemId": format!("i-{n}"), "quantity": 1, "unitPrice": price});
    let one = json!({"buyer": "vesta", "seller": "ceres", "items": (0..5_000).map(line).collect::<Vec<_>>()});
    let got = network.post("/api/trades", one).await;
    got.problem(409, "insufficient-stock");
    let few = json!({"buyer": "vesta", "seller": "ceres", "items": (0..50).map(line).collect::<Vec<_>>(),
        "settlement": "on-delivery", "expiresAt": "2999-01-01T00:00:00Z", "ETA": "2999-01-01T00:00:00Z"});
    let got = network.post("/api/trades/batch", json!({"trades": vec![few; 1_000]})).await;
    assert_eq!(got.expect(200)["results"].as_array().unwrap().len(), 1_000);
}

/// Posts a body of so many bytes, which then neither goes on nor ends, until it is refused or the test ends.
async fn unended(
    network: &Network,
    bytes: usize,
) -> (futures::channel::mpsc::Sender<Bytes>, tokio::task::JoinHandle<Got>) {
    let (mut sender, receiver) = futures::channel::mpsc::channel::<Bytes>(0);
    let body = Body::from_stream(receiver.map(Ok::<_, std::io::Error>));
    let router = network.router.clone();
    let answer = tokio::spawn(async move {
        Got::of(tower::ServiceExt::oneshot(router, post("/api/trades/batch", body)).await.unwrap()).await
    });
    for _ in 0..bytes / (64 * 1024) {
        if sender.send(Bytes::from(vec![b' '; 64 * 1024])).await.is_err() {
            break;
        }
    }
    (sender, answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_do_not_end_leave_room_for_small_ones_and_are_refused_beyond_that() {
    let network = Network::stocked().await;
    let mut greedy = Vec::new();
    for _ in 0..8 {
        greedy.push(unended(&network, 16 * MIB).await);
    }
    network.post("/api/trades", trade("T-1")).await.expect(201);
    let (mut refused, mut waiting) = (0, Vec::new());
    for (sender, answer) in greedy {
        if answer.is_finished() || sender.is_closed() {
            answer.await.unwrap().problem(503, "overloaded");
            refused += 1;
        } else {
            waiting.push((sender, answer));
        }
    }
    assert!((4..8).contains(&refused), "{refused}");
    // Whoever goes away gives back what it had.
    for (sender, answer) in waiting {
        drop(sender);
        answer.await.unwrap().problem(400, "malformed-json");
    }
    let (sender, answer) = unended(&network, 16 * MIB).await;
    drop(sender);
    answer.await.unwrap().problem(400, "malformed-json");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_bodies_that_do_not_end_make_room_for_those_that_do() {
    let network = Network::stocked().await;
    let mut greedy = Vec::new();
    for _ in 0..300 {
        greedy.push(unended(&network, 64 * 1024).await);
    }
    for n in 0..20 {
        network.post("/api/trades", trade(&format!("T-{n}"))).await.expect(201);
    }
    // Those that have waited for longest were given up.
    let (_, oldest) = greedy.swap_remove(0);
    oldest.await.unwrap().problem(503, "overloaded");
}

/// Twelve trades of 5 000 lines, a shipment each.
async fn with_large_trades() -> Network {
    let network = Network::new().await;
    let items: Vec<String> = (0..5_000).map(|n| format!("{n:060}")).collect();
    let stock: Vec<Value> = items.iter().map(|id| json!({"itemId": id, "quantity": 100})).collect();
    network.post("/api/inventory", json!({"stationId": "ceres", "items": stock})).await.expect(201);
    network.post("/api/inventory", json!({"stationId": "vesta"})).await.expect(201);
    for n in 0..12 {
        let body =
            json!({"transactionId": format!("T-{n}"), "buyer": "vesta", "seller": "ceres", "items": items});
        network.post("/api/trades", body).await.expect(201);
    }
    network
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_ends_at_4_mib_and_the_next_one_goes_on_there() {
    let network = with_large_trades().await;
    for (path, name, id) in [
        ("/api/trades?limit=500", "trades", "transactionId"),
        ("/api/cargo?destination=vesta", "cargo", "shipmentId"),
    ] {
        let (mut seen, mut pages, mut next) = (BTreeSet::new(), 0, path.to_owned());
        loop {
            let got = network.get(&next).await;
            assert!(got.text.len() <= 4 * MIB + 100, "{} bytes", got.text.len());
            let page = got.expect(200);
            let rows = page[name].as_array().unwrap();
            assert!(!rows.is_empty());
            assert!(rows.iter().all(|row| seen.insert(row[id].as_str().unwrap().to_owned())));
            pages += 1;
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            next = format!("{path}&cursor={cursor}");
        }
        assert_eq!((seen.len(), pages), (12, 2), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_ends_at_4_mib_and_the_next_one_goes_on_there() {
    let network = with_large_trades().await;
    let (mut after, mut sequences) = (0, Vec::new());
    let head = network.head().await;
    while after < head {
        let got = network.get(&format!("/api/updates?after={after}&limit=500")).await;
        assert!(got.text.len() <= 4 * MIB + 100, "{} bytes", got.text.len());
        let page = got.expect(200);
        sequences.extend(
            page["events"].as_array().unwrap().iter().map(|event| event["sequence"].as_u64().unwrap()),
        );
        assert!(page["nextAfter"].as_u64().unwrap() > after);
        after = page["nextAfter"].as_u64().unwrap();
    }
    assert_eq!(sequences, (1..=head).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_nobody_takes_leave_room_for_small_ones_and_are_given_back() {
    let network = with_large_trades().await;
    let mut untaken = Vec::new();
    for path in ["/api/trades?limit=500", "/api/trades/T-0"] {
        loop {
            let answer = network.send_unread(Request::get(path).body(Body::empty()).unwrap()).await;
            if answer.status() != 200 {
                Got::of(answer).await.problem(503, "overloaded");
                break;
            }
            untaken.push(answer);
            assert!(untaken.len() < 100, "all are held");
        }
    }
    assert!(untaken.len() >= 15, "{}", untaken.len());
    network.get("/api/inventory").await.expect(200);
    // What is applied is answered all the same, and that again only once there is room.
    let items: Vec<String> = (0..5_000).map(|n| format!("{n:060}")).collect();
    let body = json!({"transactionId": "T-late", "buyer": "vesta", "seller": "ceres", "items": items});
    let key = [("idempotency-key", "late")];
    network.ask("POST", "/api/trades", &key, Some(body.clone())).await.expect(201);
    network.ask("POST", "/api/trades", &key, Some(body.clone())).await.problem(503, "overloaded");
    network.get("/api/trades/T-late").await.problem(503, "overloaded");
    untaken.remove(0);
    network.get("/api/trades?limit=500").await.expect(200);
    let again = network.ask("POST", "/api/trades", &key, Some(body)).await;
    again.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_page_takes_as_much_room_as_it_has_bytes() {
    let network = with_large_trades().await;
    let get = || Request::get("/api/trades?limit=500").header("accept-encoding", "gzip");
    let mut untaken = Vec::new();
    // Uncompressed, there is room for sixteen.
    for _ in 0..20 {
        let answer = network.send_unread(get().body(Body::empty()).unwrap()).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-encoding"].as_bytes()),
            (200, &&b"gzip"[..])
        );
        untaken.push(answer);
    }
}
