//! Races: many callers, several services, one order.

use super::harness::{Harness, of_trade, prepare, taken};
use crate::command::{Outcome, Request};
use crate::rejection::Rejection;
use crate::resource::Sequence;
use crate::service::{ServiceError, TradeService};
use crate::store::{InventoryQuery, StoreErrorKind};
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

async fn two_services(h: &Harness) -> [TradeService; 2] {
    [h.service().await, h.service_on(h.reopened().await).await]
}

/// Of two commits over the same rows at the same moment one lands, and the other is told that it did not.
pub async fn one_of_two_commits_over_the_same_rows_lands(h: Harness) {
    h.write(&[open_station("a", &[])]).await;
    let other = h.reopened().await;
    for round in 0..20_u64 {
        let here = h.prepare(&[adjust("a", &[("tea", 1)])]).await;
        let there = prepare(&*other, &[adjust("a", &[("tea", 1)])], start_time()).await;
        let store = h.shared();
        let here = tokio::spawn(async move { store.commit(&here).await });
        let store = other.clone();
        let there = tokio::spawn(async move { store.commit(&there).await });
        let results = [here.await.unwrap(), there.await.unwrap()];
        let landed = results.iter().filter(|result| result.is_ok()).count();
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}");
        }
        assert_eq!(landed, 1, "round {round}");
        h.assert_levels(&[("a", "tea", round + 1, 0, 0)]).await;
    }
    audit(h.store()).await;
}

/// Sixteen committers over two handles, each in a loop of its own and without a service between.
pub async fn sequences_have_no_gap_under_many_committers(h: Harness) {
    const COMMITTERS: usize = 16;
    const COMMITS: usize = 8;
    let other = h.reopened().await;
    let mut committers = JoinSet::new();
    for committer in 0..COMMITTERS {
        let store = if committer % 2 == 0 { h.shared() } else { other.clone() };
        committers.spawn(async move {
            let mut heads = Vec::new();
            let station = format!("s-{committer}");
            for n in 0..COMMITS {
                let command =
                    if n == 0 { open_station(&station, &[]) } else { adjust(&station, &[("tea", 1)]) };
                // Nobody else touches this station: only the head moves, and that is no conflict for long.
                let head = loop {
                    let commit = prepare(&*store, std::slice::from_ref(&command), start_time()).await;
                    match store.commit(&commit).await {
                        Ok(head) => break head,
                        Err(error) if error.kind == StoreErrorKind::Conflict => {
                            tokio::task::yield_now().await
                        }
                        Err(error) => panic!("{error}"),
                    }
                };
                heads.push(head.sequence);
            }
            heads
        });
    }
    let mut heads: Vec<Sequence> = committers.join_all().await.into_iter().flatten().collect();
    heads.sort_unstable();
    assert_eq!(
        heads,
        (1..=(COMMITTERS * COMMITS) as u64).collect::<Vec<_>>(),
        "each commit got its own sequence"
    );
    audit(h.store()).await;
}

/// Once a reader has seen N, nothing up to N appears later, whoever writes.
pub async fn a_tailing_reader_sees_every_event_once_in_order(h: Harness) {
    const WRITERS: usize = 4;
    const TRADES: usize = 25;
    let services = two_services(&h).await;
    taken(&services[0], open_station("a", &[("tea", 1_000)])).await;
    taken(&services[1], open_station("b", &[])).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = [h.shared(), h.reopened().await]
        .into_iter()
        .map(|store| {
            let done = done.clone();
            tokio::spawn(async move {
                let mut seen: Vec<Sequence> = Vec::new();
                loop {
                    let finished = done.load(Ordering::SeqCst);
                    let position = seen.last().copied().unwrap_or(0);
                    let head = store.head().await.unwrap().sequence;
                    let records = store.read(position, 3, 1 << 20).await.unwrap();
                    assert!(!records.is_empty() || head <= position, "what the head tells of can be read");
                    for record in &records {
                        seen.extend((record.first()..=record.last).filter(|sequence| *sequence > position));
                    }
                    if records.is_empty() {
                        if finished {
                            return seen;
                        }
                        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    }
                }
            })
        })
        .collect();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let service = services[writer % 2].clone();
        writers.spawn(async move {
            for n in 0..TRADES {
                taken(&service, initiate(sale(&format!("T-{writer}-{n}"), "a", "b", &[("tea", 1)]))).await;
            }
        });
    }
    writers.join_all().await;
    done.store(true, Ordering::SeqCst);
    let newest = 2 + (WRITERS * TRADES * 4) as u64;
    for reader in readers {
        assert_eq!(reader.await.unwrap(), (1..=newest).collect::<Vec<_>>(), "every event once, in order");
    }
    audit(h.store()).await;
    h.assert_levels(&[("a", "tea", 900, 0, 0), ("b", "tea", 100, 0, 0)]).await;
}

/// Stock for ten is sold to exactly ten, by two services, and the others are told what is short.
pub async fn ten_units_go_to_ten_of_sixty_four_callers(h: Harness) {
    let services = two_services(&h).await;
    taken(&services[0], open_station("a", &[("tea", 10)])).await;
    taken(&services[0], open_station("b", &[])).await;
    let mut callers = JoinSet::new();
    for caller in 0..64 {
        let service = services[caller % 2].clone();
        let trade = order(&format!("T-{caller}"), "a", "b", &[("tea", 1)]);
        callers.spawn(async move { service.submit(Request::new(initiate(trade))).await });
    }
    let mut sold = 0;
    for result in callers.join_all().await {
        match result {
            Ok(_) => sold += 1,
            Err(ServiceError::Rejected(Rejection::InsufficientStock(lines))) => {
                let lines = lines.listed();
                assert_eq!((lines.len(), lines[0].requested, lines[0].available), (1, 1, Some(0)));
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(sold, 10);
    h.assert_levels(&[("a", "tea", 10, 10, 0), ("b", "tea", 0, 0, 10)]).await;
    assert_eq!(audit(h.store()).await.trades.len(), 10);
}

/// One id, asked for by many at once: one makes it, the others are shown it.
pub async fn one_id_is_initiated_once_by_many_callers(h: Harness) {
    let services = two_services(&h).await;
    taken(&services[0], open_station("a", &[("tea", 10)])).await;
    taken(&services[0], open_station("b", &[])).await;
    let mut callers = JoinSet::new();
    for caller in 0..16 {
        let service = services[caller % 2].clone();
        callers.spawn(async move {
            of_trade(taken(&service, initiate(sale("T-1", "a", "b", &[("tea", 4)]))).await)
        });
    }
    let answers = callers.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.created).count(), 1);
    assert!(answers.iter().all(|answer| answer.trade == answers[0].trade));
    h.assert_levels(&[("a", "tea", 6, 0, 0), ("b", "tea", 4, 0, 0)]).await;
}

/// One key at two servers at once is applied once.
pub async fn one_key_is_applied_once_by_two_services(h: Harness) {
    let services = two_services(&h).await;
    taken(&services[0], open_station("a", &[])).await;
    for round in 1..=10 {
        let request = Request::new(adjust("a", &[("tea", 1)])).once(key(round, 1));
        let [here, there] = services.clone();
        let (first, second) = (request.clone(), request);
        let here = tokio::spawn(async move { here.submit(first).await });
        let there = tokio::spawn(async move { there.submit(second).await });
        let answers = [here.await.unwrap().unwrap(), there.await.unwrap().unwrap()];
        assert_eq!(answers.iter().filter(|answer| answer.replayed).count(), 1, "one of them is a repetition");
        assert_eq!(answers[0].outcome, answers[1].outcome);
        h.assert_levels(&[("a", "tea", u64::from(round), 0, 0)]).await;
    }
}

/// Trades from a to b and from b to a at once: no deadlock, no loss.
pub async fn opposite_trades_do_not_deadlock(h: Harness) {
    let services = two_services(&h).await;
    taken(&services[0], open_station("a", &[("tea", 100), ("rice", 100)])).await;
    taken(&services[0], open_station("b", &[("tea", 100), ("rice", 100)])).await;
    let mut callers = JoinSet::new();
    for caller in 0..32 {
        let service = services[caller % 2].clone();
        let (seller, buyer) = if caller % 2 == 0 { ("a", "b") } else { ("b", "a") };
        let goods = if caller % 4 < 2 { [("tea", 1), ("rice", 1)] } else { [("rice", 1), ("tea", 1)] };
        let trade = sale(&format!("T-{caller}"), seller, buyer, &goods);
        callers.spawn(async move { taken(&service, initiate(trade)).await });
    }
    callers.join_all().await;
    h.assert_levels(&[("a", "tea", 100, 0, 0), ("b", "rice", 100, 0, 0)]).await;
    audit(h.store()).await;
}

/// A station and its items are read as of one moment, and a trade with its shipment lands at once.
pub async fn readers_never_see_a_step_half_done(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("rice", 500), ("tea", 500)])).await;
    taken(&service, open_station("b", &[])).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (h.reopened().await, done.clone());
        tokio::spawn(async move {
            let all = InventoryQuery { items: vec![], after: None, limit: 10 };
            let mut version = 0;
            while !done.load(Ordering::SeqCst) {
                let page = store.inventory(&station("a"), &all).await.unwrap().unwrap().inventory;
                let levels: Vec<_> = page.items.iter().map(|item| item.level).collect();
                assert_eq!(levels[0], levels[1], "both items move in one step");
                assert_eq!(page.quantity, levels[0].on_hand * 2, "the total is of the same moment");
                assert!(page.version >= version, "what was seen stays seen");
                version = page.version;
                let sold = 500 - levels[0].on_hand;
                if sold > 0 {
                    let id = trade_id(&format!("T-{}", sold - 1));
                    assert!(store.trade(&id).await.unwrap().is_some(), "the trade is there with its stock");
                    assert!(store.cargo(&shipment_of(id.as_str())).await.unwrap().is_some());
                    assert!(store.head().await.unwrap().sequence >= 2 + sold * 4, "and its events");
                }
                tokio::task::yield_now().await;
            }
        })
    };
    for n in 0..60 {
        let outcome =
            taken(&service, initiate(sale(&format!("T-{n}"), "a", "b", &[("tea", 1), ("rice", 1)]))).await;
        assert!(matches!(outcome, Outcome::Trade(outcome) if outcome.created));
    }
    done.store(true, Ordering::SeqCst);
    reader.await.unwrap();
}
