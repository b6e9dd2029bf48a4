//! Many clients want the same few units.

use reqwest::StatusCode;
use serde_json::json;
use tests::api::{Api, one_unit};
use tests::engine::Site;
use tests::server::{Server, assert_verified};

async fn ten_of_sixty_four(store: &str) {
    let server = Server::start(store).await;
    let api = Api::new(server.url());
    api.station("seller", "fuel", 10).await;
    api.station("buyer", "fuel", 0).await;
    let requests =
        (0..64).map(|client| {
            let api = api.clone();
            async move {
                api.post("/api/trades", &one_unit(&format!("T-{client}"), "seller", "buyer", "fuel")).await
            }
        });
    let replies = futures::future::join_all(requests).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.status == StatusCode::CREATED);
    assert_eq!(taken.len(), 10);
    assert_eq!(refused.len(), 54);
    for reply in refused {
        assert_eq!(reply.status, StatusCode::CONFLICT);
        assert_eq!(reply.code(), "insufficient-stock");
    }
    let seller = json!({"itemId": "fuel", "onHand": 0, "reserved": 0, "available": 0, "incoming": 0});
    assert_eq!(api.level("seller", "fuel").await, seller);
    let buyer = json!({"itemId": "fuel", "onHand": 10, "reserved": 0, "available": 10, "incoming": 0});
    assert_eq!(api.level("buyer", "fuel").await, buyer);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_of_sixty_four_clients_get_the_ten_units_in_memory() {
    ten_of_sixty_four("memory:").await;
}

async fn ten_of_sixty_four_clients_get_the_ten_units(site: Site) {
    ten_of_sixty_four(site.url()).await;
    assert_verified(site.url()).await;
}

tests::on_every_engine!(ten_of_sixty_four_clients_get_the_ten_units);
