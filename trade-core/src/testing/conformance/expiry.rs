//! Trades whose time has passed.

use super::harness::{Harness, refused, taken};
use crate::event::Actor;
use crate::rejection::Rejection;
use crate::resource::{CargoStatus, TradeStatus};
use crate::service::TradeService;
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use crate::values::Timestamp;
use std::time::Duration;

fn after(seconds: u64) -> Timestamp {
    start_time().plus(Duration::from_secs(seconds))
}

async fn start(h: &Harness) -> TradeService {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 1_000)])).await;
    taken(&service, open_station("b", &[])).await;
    service
}

async fn offer(service: &TradeService, id: &str, expires_at: Option<Timestamp>) {
    let mut trade = order(id, "a", "b", &[("tea", 2)]);
    trade.expires_at = expires_at;
    taken(service, initiate(trade)).await;
}

async fn due(h: &Harness, at: Timestamp) -> Vec<String> {
    let mut found: Vec<_> =
        h.store().expired_trades(at, 100).await.unwrap().iter().map(ToString::to_string).collect();
    found.sort();
    found
}

/// Found from the very moment on, cancelled by the network, and never found again.
pub async fn an_expired_trade_is_found_and_cancelled_once(h: Harness) {
    let service = start(&h).await;
    offer(&service, "T-1", Some(after(10))).await;
    offer(&service, "T-2", Some(after(20))).await;
    offer(&service, "T-3", None).await;
    assert!(due(&h, after(10).minus(Duration::from_millis(1))).await.is_empty());
    assert_eq!(due(&h, after(10)).await, ["T-1"]);
    assert_eq!(due(&h, after(20)).await, ["T-1", "T-2"]);
    assert_eq!(service.expire_due().await.unwrap(), 0, "by the service's clock nothing is due");
    h.clock.set(after(10));
    assert_eq!(service.expire_due().await.unwrap(), 1);
    assert_eq!(service.expire_due().await.unwrap(), 0);
    h.assert_levels(&[("a", "tea", 1_000, 4, 0), ("b", "tea", 0, 0, 4)]).await;
    let stored = audit(h.store()).await;
    let last = stored.events().into_iter().rfind(|event| event.subject() == "trades/T-1").unwrap();
    assert_eq!(
        (last.actor, last.event_type.as_str(), last.time),
        (Actor::Network, "tradeCancelled", after(10))
    );
    assert_eq!(stored.trade(&trade_id("T-1")).unwrap().status, TradeStatus::Cancelled);
    assert_eq!(due(&h, after(100)).await, ["T-2"]);
}

/// Once the cargo has left, or the trade has ended, its time no longer matters.
pub async fn a_trade_under_way_does_not_expire(h: Harness) {
    let service = start(&h).await;
    for id in ["T-1", "T-2", "T-3"] {
        offer(&service, id, Some(after(10))).await;
    }
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit)).await;
    taken(&service, end_trade("T-2", TradeStatus::Cancelled)).await;
    assert_eq!(due(&h, after(60)).await, ["T-3"]);
    h.clock.set(after(60));
    assert_eq!(service.expire_due().await.unwrap(), 1);
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::Delivered)).await;
    h.assert_levels(&[("a", "tea", 998, 0, 0), ("b", "tea", 2, 0, 0)]).await;
    audit(h.store()).await;
}

/// At most `limit`, and those that remain are found by the next look.
pub async fn expired_trades_are_limited(h: Harness) {
    let service = start(&h).await;
    for n in 1..=7 {
        offer(&service, &format!("T-{n}"), Some(after(n))).await;
    }
    assert_eq!(h.store().expired_trades(after(60), 3).await.unwrap().len(), 3);
    assert_eq!(due(&h, after(60)).await.len(), 7);
    h.clock.set(after(60));
    assert_eq!(service.expire_due().await.unwrap(), 7);
    assert!(due(&h, after(60)).await.is_empty());
}

/// Whichever of several servers notices: once.
pub async fn two_services_cancel_an_expired_trade_once(h: Harness) {
    let here = start(&h).await;
    let there = h.service_on(h.reopened().await).await;
    for n in 0..10 {
        offer(&here, &format!("T-{n}"), Some(after(5))).await;
    }
    h.clock.set(after(5));
    let (one, other) = (here.clone(), there.clone());
    let one = tokio::spawn(async move { one.expire_due().await });
    let other = tokio::spawn(async move { other.expire_due().await });
    one.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    h.assert_levels(&[("a", "tea", 1_000, 0, 0), ("b", "tea", 0, 0, 0)]).await;
    let stored = audit(h.store()).await;
    assert!(stored.trades.iter().all(|trade| (trade.status, trade.version) == (TradeStatus::Cancelled, 2)));
    assert_eq!(
        stored.events().iter().filter(|event| event.event_type.as_str() == "tradeCancelled").count(),
        10
    );
}

/// Between its time and the network's noticing, only cancelling is allowed.
pub async fn an_expired_trade_can_only_be_cancelled(h: Harness) {
    let service = start(&h).await;
    offer(&service, "T-1", Some(after(10))).await;
    h.clock.set(after(10));
    let refusal = refused(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit)).await;
    assert!(
        matches!(&refusal, Rejection::IllegalCargoTransition { allowed, .. } if *allowed == [CargoStatus::Cancelled]),
        "{refusal:?}"
    );
    taken(&service, end_trade("T-1", TradeStatus::Cancelled)).await;
    h.assert_levels(&[("a", "tea", 1_000, 0, 0)]).await;
}
