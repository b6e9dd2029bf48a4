//! Who asks: what an application's login says of them, and what the policy of the service makes of it, on every route.
#![allow(clippy::unwrap_used)]

mod common;

use axum::Extension;
use common::Network;
use common::sse::{Stream, serve, serve_directly};
use serde_json::json;
use std::sync::Arc;
use trade_core::event::Actor;
use trade_core::memory::MemoryStore;
use trade_core::policy::{Action, Denial, Policy, Principal, State};
use trade_core::service::{ServiceOptions, TradeService};
use trade_core::values::Scope;
use trade_http::HttpOptions;

/// Whoever has the role `trader` trades, but not in ore; all see their own stations.
#[derive(Debug)]
struct House;

impl Policy for House {
    fn check(&self, principal: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
        if !principal.has_role("trader") {
            return Err(Denial::Forbidden);
        }
        match action {
            Action::InitiateTrade(trade) if trade.items.iter().any(|line| line.item_id.as_str() == "ore") => {
                Err(Denial::Because("ore is not for sale".into()))
            }
            _ => Ok(()),
        }
    }

    fn scope(&self, principal: &Principal) -> Scope {
        principal.stations().clone()
    }
}

/// The network as `ada` sees it, with a role and stations, and as its owner does.
async fn networks(roles: &[&str], stations: &[&str]) -> (Network, Network) {
    let options = ServiceOptions { policy: Arc::new(House), ..ServiceOptions::default() };
    let service = TradeService::start_with_options(Arc::new(MemoryStore::new()), options).await.unwrap();
    let of = |roles: &[&str], stations: Scope| {
        let network = Network::of(service.clone(), HttpOptions::default());
        let principal = Principal::new(Actor::User("ada".into()));
        let principal = principal.with_roles(roles.iter().copied()).with_stations(stations);
        Network { router: network.router.layer(Extension(principal)), ..network }
    };
    let owner = of(&["trader"], Scope::All);
    owner.stock().await;
    let luna = json!({"stationId": "luna", "items": [{"itemId": "fuel", "quantity": 5}]});
    owner.ask("POST", "/api/inventory", &[], Some(luna)).await.expect(201);
    let stations = Scope::of(stations.iter().map(|id| (*id).try_into().unwrap())).unwrap();
    (of(roles, stations), owner)
}

fn trade(id: &str, seller: &str, buyer: &str, item: &str) -> Option<serde_json::Value> {
    Some(json!({"transactionId": id, "seller": seller, "buyer": buyer, "items": [item]}))
}

#[tokio::test]
async fn what_is_out_of_scope_is_not_found_on_any_route() {
    let (ada, owner) = networks(&["trader"], &["luna"]).await;
    owner.ask("POST", "/api/trades", &[], trade("T-1", "ceres", "vesta", "fuel")).await.expect(201);
    owner.ask("POST", "/api/trades", &[], trade("T-2", "ceres", "luna", "fuel")).await.expect(201);
    let newest = owner.head().await;

    ada.get("/api/trades/T-1").await.problem(404, "trade-not-found");
    ada.get("/api/cargo/shipment-T-1").await.problem(404, "cargo-not-found");
    ada.get("/api/cargo/shipment-T-1/history").await.problem(404, "cargo-not-found");
    ada.get("/api/inventory/ceres").await.problem(404, "station-not-found");
    ada.get("/api/inventory/ceres/ledger").await.problem(404, "station-not-found");
    let cancel = || Some(json!({"status": "cancelled"}));
    let wrong = [("if-match", "\"77\"")];
    ada.ask("PATCH", "/api/trades/T-1", &wrong, cancel()).await.problem(404, "trade-not-found");
    ada.ask("PATCH", "/api/cargo/shipment-T-1", &wrong, cancel()).await.problem(404, "cargo-not-found");
    let take = json!({"adjustments": [{"itemId": "fuel", "delta": -1, "reason": "lost"}]});
    ada.ask("PATCH", "/api/inventory/ceres", &wrong, Some(take)).await.problem(404, "station-not-found");

    for (path, name, id, expected) in [
        ("/api/trades", "trades", "transactionId", json!(["T-2"])),
        ("/api/trades?seller=ceres", "trades", "transactionId", json!(["T-2"])),
        ("/api/trades?station=vesta", "trades", "transactionId", json!([])),
        ("/api/cargo", "cargo", "shipmentId", json!(["shipment-T-2"])),
        ("/api/cargo?origin=ceres", "cargo", "shipmentId", json!(["shipment-T-2"])),
        ("/api/inventory", "inventory", "stationId", json!(["luna"])),
    ] {
        let page = ada.get(path).await.expect(200);
        let ids = page[name].as_array().unwrap().iter().map(|row| row[id].clone());
        assert_eq!(ids.collect::<serde_json::Value>(), expected, "{path}");
    }
    ada.get("/api/trades/T-2").await.expect(200);
    ada.get("/api/cargo/shipment-T-2/history").await.expect(200);
    ada.get("/api/inventory/luna/ledger").await.expect(200);

    let polled = ada.get("/api/updates").await.expect(200);
    let subjects: Vec<_> =
        polled["events"].as_array().unwrap().iter().map(|event| &event["subject"]).collect();
    assert_eq!(subjects, ["inventory/luna", "trades/T-2", "cargo/shipment-T-2", "inventory/luna"]);
    assert_eq!(polled["nextAfter"], newest);
    for address in [serve(ada.router.clone()).await, serve_directly(ada.router.clone()).await] {
        let (mut stream, _) = Stream::greeted(address, "/api/updates/real-time", Some("0")).await;
        for subject in &subjects {
            assert_eq!(stream.next().await.unwrap().json()["subject"], **subject);
        }
        // What comes now, as well.
        let id = format!("T-{}", address.port());
        let of_others = trade(&format!("{id}-x"), "ceres", "vesta", "fuel");
        owner.ask("POST", "/api/trades", &[], of_others).await.expect(201);
        owner.ask("POST", "/api/trades", &[], trade(&id, "luna", "vesta", "fuel")).await.expect(201);
        let mut subject = serde_json::Value::Null;
        while subject != format!("trades/{id}") {
            let event = stream.next().await.unwrap().json();
            assert!(event["data"].to_string().contains("\"luna\""), "{event}");
            subject = event["subject"].clone();
        }
    }
}

#[tokio::test]
async fn a_policy_refuses_by_403_or_with_its_reason() {
    let (viewer, _) = networks(&[], &["ceres"]).await;
    viewer
        .ask("POST", "/api/trades", &[], trade("T-1", "ceres", "vesta", "fuel"))
        .await
        .problem(403, "forbidden");
    let (ada, _) = networks(&["trader"], &["ceres"]).await;
    let told = ada.ask("POST", "/api/trades", &[], trade("T-1", "ceres", "vesta", "ore")).await;
    assert_eq!(told.problem(409, "refused-by-policy")["reason"], "ore is not for sale");
    let both = [trade("T-1", "ceres", "vesta", "ore"), trade("T-2", "ceres", "vesta", "fuel")];
    let answer = ada.ask("POST", "/api/trades/batch", &[], Some(json!({"trades": both}))).await.expect(200);
    assert_eq!(answer["results"][0]["problem"]["code"], "refused-by-policy");
    assert_eq!(answer["results"][1]["status"], 201);
    // Of others' stock is told that it is short, and not what there is.
    let order = json!({"transactionId": "T-3", "seller": "vesta", "buyer": "ceres",
        "items": [{"itemId": "fuel", "quantity": 1_000}]});
    let told = ada.ask("POST", "/api/trades", &[], Some(order)).await.problem(409, "insufficient-stock");
    let short = json!([{"stationId": "vesta", "itemId": "fuel", "requested": 1_000}]);
    assert_eq!(told["shortages"], short);
}
