//! The place of a request in a trace: events tell it, and what is kept of the request lasts with the step.
#![allow(clippy::unwrap_used)]

mod common;

use axum::Extension;
use axum::extract::ConnectInfo;
use common::{Network, trade};
use serde_json::{Value, json};
use std::net::SocketAddr;
use trade_core::event::Actor;
use trade_core::policy::Principal;

const TRACED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn events_tell_the_place_in_a_trace_of_the_request_that_caused_them() {
    let network = Network::stocked().await;
    let before = network.head().await;
    for (id, headers, told) in [
        ("T-1", vec![TRACED], Some(TRACED)),
        ("T-2", vec![], None),
        ("T-3", vec!["00-0-0-0"], None),
        ("T-4", vec![TRACED, TRACED], None),
    ] {
        let headers: Vec<_> = headers.into_iter().map(|value| ("traceparent", value)).collect();
        network.ask("POST", "/api/trades", &headers, Some(trade(id))).await.expect(201);
        // A repetition of another trace changes nothing.
        network.ask("POST", "/api/trades", &[("traceparent", TRACED)], Some(trade(id))).await.expect(200);
        let updates = network.get(&format!("/api/updates?after={before}&limit=500")).await.expect(200);
        let events = updates["events"].as_array().unwrap();
        let of_trade: Vec<&Value> = events.iter().rev().take(4).collect();
        assert_eq!(of_trade[3]["data"]["trade"]["transactionId"], id);
        for event in of_trade {
            assert_eq!(event.get("traceparent"), told.map(Value::from).as_ref(), "{event}");
        }
    }
}

#[tokio::test]
async fn of_whoever_is_known_the_step_keeps_address_and_request_id() {
    let network = Network::new().await;
    let peer: SocketAddr = "192.0.2.7:50000".parse().unwrap();
    let open = |id: &str| Some(json!({"stationId": id}));
    let ada = Principal::new(Actor::User("ada".into()));
    for (id, principal) in [("ceres", ada), ("vesta", Principal::new(Actor::Anonymous))] {
        let router = network.router.clone().layer(Extension(principal)).layer(Extension(ConnectInfo(peer)));
        let network = Network { router, ..Network::of(network.service.clone(), Default::default()) };
        network.ask("POST", "/api/inventory", &[("x-request-id", "r-7")], open(id)).await.expect(201);
    }
    let records = network.service.store().read(0, 9, usize::MAX).await.unwrap();
    let cause = records[0].step.cause.as_deref().unwrap();
    assert_eq!((cause.request_id.as_deref(), cause.address), (Some("r-7"), Some(peer.ip())));
    assert_eq!(records[1].step.cause, None, "nothing is kept of nobody");
}
