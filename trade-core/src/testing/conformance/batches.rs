//! Trades that are initiated together.

use super::harness::{Harness, refused, taken};
use crate::command::{Outcome, Request, TradeOutcome};
use crate::rejection::Rejection;
use crate::service::TradeService;
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use crate::testing::snapshot::Snapshot;

async fn start(h: &Harness) -> TradeService {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 10)])).await;
    taken(&service, open_station("b", &[])).await;
    service
}

fn answers(outcome: Outcome) -> Vec<Result<TradeOutcome, Rejection>> {
    match outcome {
        Outcome::Trades(answers) => answers,
        other => panic!("a batch, not {other:?}"),
    }
}

/// All of it, in order.
pub async fn an_atomic_batch_lands_whole(h: Harness) {
    let service = start(&h).await;
    let trades = (0..5).map(|n| sale(&format!("T-{n}"), "a", "b", &[("tea", 2)])).collect();
    let made = answers(taken(&service, batch(true, trades)).await);
    assert!(made.iter().all(|answer| answer.as_ref().is_ok_and(|made| made.created)));
    h.assert_levels(&[("a", "tea", 0, 0, 0), ("b", "tea", 10, 0, 0)]).await;
    let stored = audit(h.store()).await;
    assert_eq!(
        stored.trades.iter().map(|t| t.transaction_id.as_str()).collect::<Vec<_>>(),
        ["T-4", "T-3", "T-2", "T-1", "T-0"]
    );
}

/// The first that is refused refuses all, and is named by its place.
pub async fn an_atomic_batch_with_one_refusal_lands_nothing(h: Harness) {
    let service = start(&h).await;
    let before = Snapshot::of(h.store()).await;
    let trades = vec![
        sale("T-0", "a", "b", &[("tea", 6)]),
        sale("T-1", "a", "b", &[("tea", 6)]),
        sale("T-2", "a", "z", &[("tea", 1)]),
    ];
    let refusal = refused(&service, batch(true, trades)).await;
    let Rejection::InBatch { index: 1, rejection } = refusal else { panic!("{refusal:?}") };
    let Rejection::InsufficientStock(short) = *rejection else { panic!("{rejection:?}") };
    let short = &short.listed()[0];
    assert_eq!((short.requested, short.available), (6, Some(4)), "it saw the one before it");
    assert_eq!(Snapshot::of(h.store()).await, before);
}

/// Each on its own: what is refused does not keep the others.
pub async fn the_trades_of_a_batch_stand_alone(h: Harness) {
    let service = start(&h).await;
    let trades = vec![
        sale("T-0", "a", "b", &[("tea", 6)]),
        sale("T-1", "a", "b", &[("tea", 6)]),
        sale("T-2", "a", "a", &[("tea", 1)]),
        sale("T-3", "a", "z", &[("tea", 1)]),
        sale("T-4", "a", "b", &[("tea", 4)]),
        sale("T-0", "a", "b", &[("tea", 6)]),
    ];
    let made = answers(taken(&service, batch(false, trades)).await);
    let codes: Vec<_> = made
        .iter()
        .map(|answer| {
            answer.as_ref().map_or_else(Rejection::code, |made| if made.created { "made" } else { "known" })
        })
        .collect();
    assert_eq!(codes, ["made", "insufficient-stock", "invalid-request", "unknown-station", "made", "known"]);
    h.assert_levels(&[("a", "tea", 0, 0, 0), ("b", "tea", 10, 0, 0)]).await;
    assert_eq!(audit(h.store()).await.trades.len(), 2);
}

/// A batch under a key is one commit with its answer: a retry applies nothing, and is told the same of each trade.
pub async fn a_keyed_batch_is_answered_again(h: Harness) {
    let service = start(&h).await;
    let trades = vec![sale("T-0", "a", "b", &[("tea", 6)]), sale("T-1", "a", "b", &[("tea", 6)])];
    let request = Request::new(batch(false, trades)).once(key(1, 1));
    let first = service.submit(request.clone()).await.unwrap();
    taken(&service, adjust("a", &[("tea", 100)])).await;
    let before = Snapshot::of(h.store()).await;
    let again = service.submit(request).await.unwrap();
    assert!(again.replayed);
    assert_eq!(
        serde_json::to_string(&again.outcome).unwrap(),
        serde_json::to_string(&first.outcome).unwrap()
    );
    assert_eq!(Snapshot::of(h.store()).await, before);
}

/// Goods that one trade brings can be sold on by the next.
pub async fn later_trades_of_a_batch_see_earlier_ones(h: Harness) {
    let service = start(&h).await;
    taken(&service, open_station("c", &[])).await;
    let trades = vec![sale("T-0", "a", "b", &[("tea", 10)]), sale("T-1", "b", "c", &[("tea", 10)])];
    let made = answers(taken(&service, batch(true, trades)).await);
    assert_eq!(made.len(), 2);
    h.assert_levels(&[("a", "tea", 0, 0, 0), ("b", "tea", 0, 0, 0), ("c", "tea", 10, 0, 0)]).await;
    let stored = audit(h.store()).await;
    assert_eq!(stored.inventory(&station("b")).unwrap().version, 3, "one version a step");
}
