//! A server whose clock is wrong does no harm that lasts.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::api::{Api, Reply, one_unit};
use tests::engine::Site;
use tests::server::{Server, assert_verified, run};
use tests::world::World;

const PATIENCE: Duration = Duration::from_secs(30);
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// An offer that ends a day from now.
async fn offer(api: &Api, id: &str) -> Reply {
    let tomorrow = std::time::SystemTime::now() + Duration::from_secs(DAY_SECONDS);
    let mut body = one_unit(id, "a", "b", "fuel");
    body["settlement"] = json!("on_delivery");
    body["expiresAt"] = json!(
        trade_core::values::Timestamp::EPOCH
            .plus(tomorrow.duration_since(std::time::UNIX_EPOCH).expect("after 1970"))
            .to_string()
    );
    api.post("/api/trades", &body).await
}

/// An adjustment under a key.
async fn receive(api: &Api) -> Reply {
    let body = json!({"adjustments": [{"itemId": "fuel", "delta": 5, "reason": "received"}]});
    let headers = [("Idempotency-Key", "delivery-1")];
    api.send_with(Method::PATCH, "/api/inventory/a", &headers, Some(&body)).await.expect("it answers")
}

async fn status(api: &Api, id: &str) -> Value {
    api.get(&format!("/api/trades/{id}")).await.body["trade"]["status"].clone()
}

async fn until_ready_is(api: &Api, status: StatusCode) {
    let begun = Instant::now();
    while api.get("/health/ready").await.status != status {
        assert!(begun.elapsed() < PATIENCE, "/health/ready is not {status}");
    }
}

/// Nothing is written, expired or forgotten here.
async fn is_idle(api: &Api) {
    until_ready_is(api, StatusCode::SERVICE_UNAVAILABLE).await;
    let refused = api.post("/api/trades", &one_unit("T-late", "a", "b", "fuel")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (503, "store-unavailable"), "{}", refused.body);
    assert!(refused.body["detail"].as_str().expect("a detail").contains("clock"), "{}", refused.body);
    // Expired trades are looked for each half second.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

async fn a_server_whose_clock_is_not_its_stores_changes_nothing(site: Site) {
    let world = World::new();
    let clock = world.path("clock");
    let right = Server::start(site.url()).await;
    let api = Api::new(right.url());
    api.station("a", "fuel", 100).await;
    api.station("b", "fuel", 0).await;
    assert_eq!(offer(&api, "T-1").await.status, 201);
    assert_eq!(receive(&api).await.status, 200);
    let newest = api.newest().await;
    for ahead in ["+10y", "-3d", "+10y"] {
        std::fs::write(&clock, ahead).expect("the clock can be set");
        let wrong = Server::start_with_clock(clock.as_ref(), site.url()).await;
        is_idle(&Api::new(wrong.url())).await;
        assert_eq!((status(&api, "T-1").await, api.newest().await), (json!("initiated"), newest), "{ahead}");
        // Put right, it goes on by itself.
        std::fs::write(&clock, "+0").expect("the clock can be set");
        until_ready_is(&Api::new(wrong.url()), StatusCode::OK).await;
        assert!(wrong.stop("TERM").await.success());
    }
    let again = receive(&api).await;
    assert_eq!(again.headers.get("idempotency-replayed").map(|value| value.as_bytes()), Some(&b"true"[..]));
    assert_eq!(api.level("a", "fuel").await["onHand"], 105);
    assert_eq!(offer(&api, "T-2").await.status, 201);
    drop(right);
    assert_verified(site.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs faketime"]
async fn a_clock_that_jumps_stops_a_server_until_it_is_back() {
    let world = World::new();
    let clock = world.path("clock");
    std::fs::write(&clock, "+0").expect("the clock can be set");
    let server = Server::start_with_clock(clock.as_ref(), &world.sqlite()).await;
    let api = Api::new(server.url());
    api.station("a", "fuel", 100).await;
    api.station("b", "fuel", 0).await;
    assert_eq!(offer(&api, "T-1").await.status, 201);
    assert_eq!(receive(&api).await.status, 200);
    for ahead in ["+10y", "-1h"] {
        std::fs::write(&clock, ahead).expect("the clock can be set");
        is_idle(&api).await;
        std::fs::write(&clock, "+0").expect("the clock can be set");
        until_ready_is(&api, StatusCode::OK).await;
        assert_eq!(status(&api, "T-1").await, "initiated", "{ahead}");
    }
    assert!(receive(&api).await.headers.contains_key("idempotency-replayed"));
    let made = api.post("/api/trades", &one_unit("T-2", "a", "b", "fuel")).await;
    let this_year = trade_core::values::Timestamp::EPOCH
        .plus(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970"))
        .to_string();
    assert_eq!(made.body["trade"]["createdAt"].as_str().map(|time| &time[..4]), Some(&this_year[..4]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs faketime"]
async fn a_network_that_is_dated_ahead_is_copied_into_one_that_is_not() {
    let world = World::new();
    let (clock, ahead, right) = (world.path("clock"), world.sqlite(), format!("{}-right", world.sqlite()));
    std::fs::write(&clock, "+10y").expect("the clock can be set");
    let server = Server::start_with_clock(clock.as_ref(), &ahead).await;
    let api = Api::new(server.url());
    api.station("a", "fuel", 100).await;
    api.station("b", "fuel", 0).await;
    assert_eq!(api.post("/api/trades", &one_unit("T-1", "a", "b", "fuel")).await.status, 201);
    assert!(server.stop("TERM").await.success());
    let clock =
        async |arguments: &[&str]| run(&[&["clock", "--store"], arguments].concat()).await.status.code();
    assert_eq!(clock(&[&ahead]).await, Some(1));
    assert_eq!(clock(&[&ahead, "--into", &right]).await, Some(0));
    assert_eq!(clock(&[&right]).await, Some(0));
    // It is written to only where it is empty.
    assert_eq!(clock(&[&ahead, "--into", &right]).await, Some(1));
    let server = Server::start(&right).await;
    assert_eq!(status(&Api::new(server.url()), "T-1").await, "initiated");
    assert_eq!(Api::new(server.url()).newest().await, 6);
    drop(server);
    assert_verified(&right).await;
}

tests::on_every_server!(a_server_whose_clock_is_not_its_stores_changes_nothing);
