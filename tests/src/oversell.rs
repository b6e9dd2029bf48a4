//! Many clients want the same few units.

use crate::api::{Api, one_unit};
use reqwest::StatusCode;
use serde_json::json;

/// Has 64 clients, at these servers of one store in turn, ask at once for one of 10 units each: ten get one, and the
/// others are told that there is none.
pub async fn ten_of_sixty_four(apis: &[Api]) {
    apis[0].station("seller", "fuel", 10).await;
    apis[0].station("buyer", "fuel", 0).await;
    let requests = apis.iter().cycle().take(64).enumerate().map(async |(client, api)| {
        api.post("/api/trades", &one_unit(&format!("T-{client}"), "seller", "buyer", "fuel")).await
    });
    let replies = futures::future::join_all(requests).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.status == StatusCode::CREATED);
    for reply in &refused {
        assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.body);
        assert_eq!(reply.code(), "insufficient-stock");
    }
    assert_eq!((taken.len(), refused.len()), (10, 54));
    let seller = json!({"itemId": "fuel", "onHand": 0, "reserved": 0, "available": 0, "incoming": 0});
    let buyer = json!({"itemId": "fuel", "onHand": 10, "reserved": 0, "available": 10, "incoming": 0});
    for api in apis {
        assert_eq!(api.level("seller", "fuel").await, seller);
        assert_eq!(api.level("buyer", "fuel").await, buyer);
    }
}
