//! Requests that are sent again.

use super::harness::{Harness, of_cargo, of_trade, prepare, receipt, refused, taken};
use crate::command::{Command, Outcome, Request, RequestId};
use crate::rejection::Rejection;
use crate::resource::{CargoStatus, Line, Lines};
use crate::service::{Answer, ServiceError, TradeService};
use crate::store::Keys;
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use crate::testing::snapshot::Snapshot;
use std::time::Duration;

async fn start(h: &Harness) -> TradeService {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 10)])).await;
    taken(&service, open_station("b", &[])).await;
    service
}

async fn submit(service: &TradeService, command: Command, request: u8) -> Answer {
    service.submit(Request::new(command).once(key(request, 1))).await.unwrap()
}

/// As its caller is shown it.
fn shown(outcome: &Outcome) -> String {
    serde_json::to_string(outcome).unwrap()
}

/// The same key and content: the first answer, word for word, though the state went on.
pub async fn a_repeated_request_gets_its_first_answer(h: Harness) {
    let service = start(&h).await;
    let commands = [
        initiate(order("T-1", "a", "b", &[("tea", 2)])),
        move_cargo(shipment_of("T-1"), CargoStatus::InTransit),
        adjust("b", &[("tea", 5)]),
        Command::CreateTransfer(transfer("X-1", "b", "a", &[("tea", 1)])),
        open_station("c", &[("rice", 3)]),
    ];
    let mut first = Vec::new();
    for (command, n) in commands.iter().zip(1..) {
        h.clock.advance(Duration::from_secs(1));
        let answer = submit(&service, command.clone(), n).await;
        assert!(!answer.replayed);
        first.push(answer);
    }
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::Delivered)).await;
    let before = Snapshot::of(h.store()).await;
    for ((command, answer), n) in commands.iter().zip(&first).zip(1..) {
        let again = submit(&service, command.clone(), n).await;
        assert!(again.replayed);
        assert_eq!(shown(&again.outcome), shown(&answer.outcome));
    }
    assert_eq!(Snapshot::of(h.store()).await, before, "nothing was applied again");
}

/// Also after a restart, and from another server of the same store.
pub async fn a_repeated_request_gets_its_first_answer_after_reopening(h: Harness) {
    let service = start(&h).await;
    let first = submit(&service, adjust("a", &[("tea", 5)]), 1).await;
    service.shutdown().await;
    let again = h.reopened().await;
    let other = h.service_on(again).await;
    let answer = submit(&other, adjust("a", &[("tea", 5)]), 1).await;
    assert!(answer.replayed);
    assert_eq!(shown(&answer.outcome), shown(&first.outcome));
    h.assert_levels(&[("a", "tea", 15, 0, 0)]).await;
}

/// Also where an answer lists so many items that a receipt keeps only what differs from another one's.
pub async fn a_large_stations_answers_are_given_again(h: Harness) {
    let service = start(&h).await;
    let names: Vec<_> = (0..90).map(|n| format!("item-{n:02}")).collect();
    let items: Vec<_> = names.iter().map(|name| (name.as_str(), 10)).collect();
    taken(&service, open_station("large", &items)).await;
    let adjusted: Vec<_> = items[20..60].iter().map(|(name, _)| (*name, -3)).collect();
    let commands = [
        adjust("large", &[("item-03", 5)]),
        adjust("large", &[("a-first-one", 1), ("item-04", -10)]),
        adjust("large", &adjusted),
        adjust("large", &[("item-20", 1)]),
    ];
    let mut first = Vec::new();
    for (command, n) in commands.iter().zip(1..) {
        h.clock.advance(Duration::from_secs(1));
        first.push(submit(&service, command.clone(), n).await.outcome);
    }
    service.shutdown().await;
    let other = h.service().await;
    for ((command, outcome), n) in commands.iter().zip(&first).zip(1..) {
        let again = submit(&other, command.clone(), n).await;
        assert!(again.replayed);
        assert_eq!(again.outcome, *outcome);
    }
    audit(h.store()).await;
}

/// Whoever has an answer may send the key again at once: it is no longer running.
pub async fn a_key_is_free_as_soon_as_it_is_answered(h: Harness) {
    let service = start(&h).await;
    for n in 0..200 {
        let answer = service.submit(Request::new(adjust("a", &[("tea", 1)])).once(key(1, 1))).await;
        assert!(answer.as_ref().is_ok_and(|answer| answer.replayed == (n > 0)), "try {n}: {answer:?}");
    }
}

/// The same key for something else is refused, and does nothing.
pub async fn a_key_with_other_content_is_refused(h: Harness) {
    let service = start(&h).await;
    submit(&service, adjust("a", &[("tea", 5)]), 1).await;
    let other = Request::new(adjust("a", &[("tea", 6)])).once(key(1, 2));
    let answer = service.submit(other).await;
    assert!(matches!(answer, Err(ServiceError::Rejected(Rejection::RequestReused))), "{answer:?}");
    h.assert_levels(&[("a", "tea", 15, 0, 0)]).await;
    assert!(submit(&service, adjust("a", &[("tea", 5)]), 1).await.replayed, "the first answer is still kept");
}

/// What found everything as asked for, and a batch of which each trade was refused, are decided anew: there is nothing
/// that could be applied twice, and an answer may be large.
pub async fn an_answer_in_which_nothing_was_applied_is_not_kept(h: Harness) {
    let service = start(&h).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 2)]))).await;
    let pending = move_cargo(shipment_of("T-1"), CargoStatus::Pending);
    for _ in 0..2 {
        assert!(!submit(&service, pending.clone(), 1).await.replayed);
    }
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit)).await;
    assert_eq!(refused(&service, pending).await.code(), "illegal-transition");
    let dear =
        batch(false, vec![sale("T-2", "a", "b", &[("tea", 99)]), sale("T-3", "a", "z", &[("tea", 1)])]);
    let before = Snapshot::of(h.store()).await;
    for _ in 0..2 {
        assert!(!submit(&service, dear.clone(), 2).await.replayed);
    }
    assert_eq!(Snapshot::of(h.store()).await, before, "not even a receipt");
    taken(&service, adjust("a", &[("tea", 99)])).await;
    let later = submit(&service, dear.clone(), 2).await;
    assert!(matches!(&later.outcome, Outcome::Trades(trades) if trades[0].is_ok() && trades[1].is_err()));
    assert!(!later.replayed && submit(&service, dear, 2).await.replayed, "once something was, it is");
    audit(h.store()).await;
}

/// A refusal is not kept: the same key is tried afresh.
pub async fn a_refused_request_may_succeed_later(h: Harness) {
    let service = start(&h).await;
    let sell = || Request::new(initiate(sale("T-1", "a", "b", &[("tea", 11)]))).once(key(1, 1));
    for _ in 0..2 {
        let answer = service.submit(sell()).await;
        assert!(matches!(answer, Err(ServiceError::Rejected(Rejection::InsufficientStock(_)))), "{answer:?}");
    }
    taken(&service, adjust("a", &[("tea", 1)])).await;
    assert!(!service.submit(sell()).await.unwrap().replayed);
    assert!(service.submit(sell()).await.unwrap().replayed);
    h.assert_levels(&[("a", "tea", 0, 0, 0), ("b", "tea", 11, 0, 0)]).await;
}

/// A trade's own id makes it repeatable, in any order of its lines; other content is another trade.
pub async fn the_same_trade_again_is_what_is_stored(h: Harness) {
    let service = start(&h).await;
    taken(&service, adjust("a", &[("rice", 10)])).await;
    let mut trade = order("T-1", "a", "b", &[("tea", 2), ("rice", 3)]);
    trade.eta = Some(time("2026-12-24T12:00:00Z"));
    taken(&service, initiate(trade.clone())).await;
    let moved =
        crate::command::UpdateCargo { eta: Some(time("2027-01-01T00:00:00Z")), ..track(shipment_of("T-1")) };
    taken(&service, Command::UpdateCargo(moved)).await;
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit)).await;
    let before = Snapshot::of(h.store()).await;
    trade.items = Lines::new(vec![line("rice", 1), line("tea", 2), line("rice", 2)]).unwrap();
    let again = of_trade(taken(&service, initiate(trade.clone())).await);
    assert!(!again.created);
    assert_eq!((again.cargo.status, again.cargo.version), (CargoStatus::InTransit, 3), "as it is now");
    for other in [
        crate::command::InitiateTrade { items: lines(&[("tea", 2), ("rice", 4)]), ..trade.clone() },
        crate::command::InitiateTrade { eta: None, ..trade.clone() },
        crate::command::InitiateTrade { settlement: crate::resource::Settlement::Immediate, ..trade.clone() },
        crate::command::InitiateTrade { expires_at: Some(start_time()), ..trade.clone() },
        crate::command::InitiateTrade { buyer: station("a"), seller: station("b"), ..trade.clone() },
    ] {
        assert_eq!(refused(&service, initiate(other)).await, Rejection::TradeExists(trade_id("T-1")));
    }
    assert_eq!(Snapshot::of(h.store()).await, before);
}

/// So does a transfer's.
pub async fn the_same_transfer_again_is_what_is_stored(h: Harness) {
    let service = start(&h).await;
    let moved = transfer("X-1", "a", "b", &[("tea", 2)]);
    assert!(of_cargo(taken(&service, Command::CreateTransfer(moved.clone())).await).created);
    assert!(!of_cargo(taken(&service, Command::CreateTransfer(moved.clone())).await).created);
    let other = crate::command::CreateTransfer { items: lines(&[("tea", 3)]), ..moved };
    assert_eq!(
        refused(&service, Command::CreateTransfer(other)).await,
        Rejection::CargoExists(shipment_id("X-1"))
    );
    h.assert_levels(&[("a", "tea", 10, 2, 0)]).await;
}

/// Receipts older than the limit are forgotten, oldest first or not, so many at a time; others are kept.
pub async fn only_old_receipts_are_pruned(h: Harness) {
    for n in 0..10 {
        let at = start_time().plus(Duration::from_secs(u64::from(n)));
        let mut commit = prepare(h.store(), &[], at).await;
        commit.receipts = vec![receipt(n, at)];
        h.store().commit(&commit).await.unwrap();
    }
    let kept = async || {
        let keys = Keys { requests: (0..10).map(|n| RequestId([n; 16])).collect(), ..Keys::default() };
        let mut found: Vec<_> =
            h.store().load(&keys).await.unwrap().receipts.iter().map(|r| r.request.0[0]).collect();
        found.sort_unstable();
        found
    };
    assert_eq!(h.store().prune_receipts(start_time(), 100).await.unwrap(), 0);
    assert_eq!(kept().await.len(), 10);
    let limit = start_time().plus(Duration::from_secs(4));
    assert_eq!(h.store().prune_receipts(limit, 3).await.unwrap(), 3);
    assert_eq!(kept().await.len(), 7);
    assert_eq!(h.store().prune_receipts(limit, 100).await.unwrap(), 1, "the one at the limit is not older");
    assert_eq!(kept().await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(h.store().prune_receipts(limit, 100).await.unwrap(), 0);
}

/// A total may have more digits than a price.
pub async fn a_total_past_the_range_of_a_price_is_answered_again(h: Harness) {
    let service = start(&h).await;
    let mut trade = order("T-1", "a", "b", &[("tea", 10)]);
    let price = money("999999999999.99", "GBP");
    let line = Line { item_id: item("tea"), quantity: quantity(10), unit_price: Some(price) };
    trade.items = Lines::new(vec![line]).unwrap();
    let first = submit(&service, initiate(trade.clone()), 1).await;
    let again = submit(&service, initiate(trade), 1).await;
    assert!(again.replayed);
    assert_eq!(shown(&again.outcome), shown(&first.outcome));
    assert_eq!(of_trade(again.outcome).trade.totals[0].amount.to_string(), "9999999999999.90");
    audit(h.store()).await;
}
