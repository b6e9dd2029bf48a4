//! What a commit keeps, refuses, and leaves behind.
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use trade_core::command::{Fingerprint, RequestId};
use trade_core::resource::Sequence;
use trade_core::store::{
    Commit, EventLog, InventoryQuery, InventoryRepository, Keys, Receipt, Store, StoreErrorKind, TradeFilter,
    TradeQuery, TradeRepository,
};

on_every_engine!(
    a_commit_that_others_overtook_lands_behind_them_where_nothing_it_read_changed,
    a_commit_whose_stations_changed_is_a_conflict,
    a_station_of_another_version_is_a_conflict_wherever_the_head_stands,
    what_was_only_read_guards_a_commit_too,
    a_request_is_applied_once,
    an_answer_of_any_length_is_kept_whole,
    a_receipt_that_lost_a_piece_of_its_answer_is_gone,
    time_never_runs_backwards,
    a_level_the_schema_does_not_allow_is_a_defect_and_undone,
    a_commit_dropped_at_any_moment_lands_whole_or_not_at_all,
    everything_is_there_again_after_reopening,
    a_reader_that_tails_several_writers_misses_nothing,
);

async fn network<S: Site>() -> (S, S::Store) {
    let site = S::make().await;
    let store = site.open().await;
    let commit = opened(&store, at(0), &["ceres", "luna", "mars", "vesta"], &["tea", "rice"]).await;
    assert_eq!(store.commit(&commit).await.unwrap().sequence, 4);
    (site, store)
}

fn receipt(request: u8, time: i64) -> Receipt {
    Receipt {
        request: RequestId([request; 16]),
        fingerprint: Fingerprint([1; 16]),
        time: at(time),
        steps: None,
        answer: (request == 1).then(|| b"answer".to_vec()),
    }
}

/// Answers of lengths about that of a row, and of more than a server takes at once.
async fn an_answer_of_any_length_is_kept_whole<S: Site>() {
    const ROW: usize = 1024 * 1024;
    let (_site, store) = network::<S>().await;
    let lengths = [0, 1, ROW - 1, ROW, ROW + 1, 2 * ROW, 19 * ROW + 7];
    let answer = |length: usize| (0..=250_u8).cycle().take(length).collect::<Vec<u8>>();
    let mut commit = decided(&store, at(1), &[tea("T-1", "ceres", "luna")]).await;
    for (length, request) in lengths.into_iter().zip(1..) {
        commit.receipts.push(Receipt { answer: Some(answer(length)), ..receipt(request, 1) });
    }
    store.commit(&commit).await.unwrap();
    let requests = commit.receipts.iter().map(|receipt| receipt.request).collect();
    let found = store.load(&Keys { requests, ..Keys::default() }).await.unwrap().receipts;
    assert_eq!(found.len(), lengths.len());
    for receipt in &commit.receipts {
        assert!(found.contains(receipt), "{} bytes", receipt.answer.as_ref().unwrap().len());
    }
    // Its rows are of one time, and go together.
    assert!(store.prune_receipts(at(2), 1_000).await.unwrap() > lengths.len() as u64);
    assert_eq!(store.prune_receipts(at(2), 1_000).await.unwrap(), 0);
    S::close(&store).await;
}

async fn a_receipt_that_lost_a_piece_of_its_answer_is_gone<S: Site>() {
    let (site, store) = network::<S>().await;
    let mut commit = decided(&store, at(1), &[tea("T-1", "ceres", "luna")]).await;
    commit.receipts =
        vec![Receipt { answer: Some(vec![7; 3 * 1024 * 1024]), ..receipt(1, 1) }, receipt(2, 1)];
    store.commit(&commit).await.unwrap();
    site.run("DELETE FROM tn_receipt WHERE length(answer) = 0").await.unwrap();
    let requests = commit.receipts.iter().map(|receipt| receipt.request).collect();
    let found = store.load(&Keys { requests, ..Keys::default() }).await.unwrap().receipts;
    assert_eq!(found, [receipt(2, 1)]);
    S::close(&store).await;
}

fn tea(id: &str, seller: &str, buyer: &str) -> trade_core::command::InitiateTrade {
    sale(id, seller, buyer, &[("tea", 1)])
}

async fn a_commit_that_others_overtook_lands_behind_them_where_nothing_it_read_changed<S: Site>() {
    let (_site, store) = network::<S>().await;
    let first = decided(&store, at(1), &[tea("T-1", "ceres", "luna")]).await;
    let second = decided(&store, at(1), &[tea("T-2", "mars", "vesta")]).await;
    assert_eq!(store.commit(&first).await.unwrap().sequence, 8);
    assert_eq!(store.commit(&second).await.unwrap().sequence, 12);
    let records = store.read(4, 10, usize::MAX).await.unwrap();
    assert_eq!(
        records.iter().map(|record| (record.first(), record.last)).collect::<Vec<_>>(),
        [(5, 8), (9, 12)]
    );
    let ledger = store.ledger_after(Default::default(), 100).await.unwrap().rows;
    assert_eq!(ledger.iter().rev().take(2).map(|row| row.sequence).collect::<Vec<_>>(), [11, 7]);
    let query = TradeQuery { filter: TradeFilter::default(), before: Some(9), limit: 10 };
    assert_eq!(store.trades(&query).await.unwrap().rows[0].transaction_id, trade_id("T-1"));
    let query = TradeQuery { before: Some(10), ..query };
    assert_eq!(store.trades(&query).await.unwrap().rows[0].transaction_id, trade_id("T-2"));
}

async fn assert_refused(store: &dyn Store, commit: &Commit, kind: StoreErrorKind) {
    let before = store.read(0, usize::MAX, usize::MAX).await.unwrap();
    let error = store.commit(commit).await.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert_eq!(store.read(0, usize::MAX, usize::MAX).await.unwrap(), before);
}

async fn a_commit_whose_stations_changed_is_a_conflict<S: Site>() {
    let (_site, store) = network::<S>().await;
    let first = decided(&store, at(1), &[tea("T-1", "ceres", "luna")]).await;
    let second = decided(&store, at(1), &[tea("T-2", "luna", "vesta")]).await;
    store.commit(&first).await.unwrap();
    assert_refused(&store, &second, StoreErrorKind::Conflict).await;
    assert_refused(&store, &first, StoreErrorKind::Conflict).await;
    // A connection that refused goes on.
    store.commit(&decided(&store, at(2), &[tea("T-2", "luna", "vesta")]).await).await.unwrap();
}

async fn a_station_of_another_version_is_a_conflict_wherever_the_head_stands<S: Site>() {
    let (_site, store) = network::<S>().await;
    for sales in [1, 40] {
        let sales: Vec<_> = (0..sales).map(|n| tea(&format!("T-{n}"), "ceres", "luna")).collect();
        let mut commit = decided(&store, at(1), &sales).await;
        commit.stations[0].expected = Some(7);
        assert_refused(&store, &commit, StoreErrorKind::Conflict).await;
        let held = store.hold().await.unwrap();
        assert_eq!(held.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Conflict);
    }
}

async fn what_was_only_read_guards_a_commit_too<S: Site>() {
    let (_site, store) = network::<S>().await;
    let mut commit = decided(&store, at(1), &[tea("T-1", "ceres", "luna")]).await;
    let read = trade_core::store::Write { key: station("mars"), expected: Some(1), value: None, created: 0 };
    commit.stations.insert(2, read);
    let absent = trade_core::store::Write { key: trade_id("T-2"), expected: None, value: None, created: 0 };
    commit.trades.push(absent);
    store.commit(&decided(&store, at(1), &[tea("T-3", "vesta", "mars")]).await).await.unwrap();
    assert_refused(&store, &commit, StoreErrorKind::Conflict).await;
    commit.stations[2].expected = Some(2);
    store.commit(&decided(&store, at(1), &[tea("T-4", "vesta", "mars")]).await).await.unwrap();
    commit.stations[2].expected = Some(3);
    store.commit(&commit).await.unwrap();
    let late = decided(&store, at(1), &[tea("T-2", "vesta", "mars")]).await;
    store.commit(&late).await.unwrap();
}

async fn a_request_is_applied_once<S: Site>() {
    let (_site, store) = network::<S>().await;
    let mut commit = decided(&store, at(1), &[tea("T-1", "ceres", "luna")]).await;
    commit.receipts = vec![receipt(1, 1), receipt(2, 1)];
    store.commit(&commit).await.unwrap();
    let mut again = decided(&store, at(1), &[tea("T-2", "ceres", "luna")]).await;
    again.receipts = vec![receipt(2, 1)];
    assert_refused(&store, &again, StoreErrorKind::Conflict).await;
    let mut keys = Keys::default();
    keys.requests.extend([RequestId([1; 16]), RequestId([2; 16]), RequestId([3; 16])]);
    let mut found = store.load(&keys).await.unwrap().receipts;
    found.sort_by_key(|receipt| receipt.request);
    assert_eq!(found, [receipt(1, 1), receipt(2, 1)]);
    again.receipts = vec![receipt(3, 1)];
    store.commit(&again).await.unwrap();
    assert_eq!(store.prune_receipts(at(1), 10).await.unwrap(), 0);
    assert_eq!(store.prune_receipts(at(2), 2).await.unwrap(), 2);
    assert_eq!(store.prune_receipts(at(2), 2).await.unwrap(), 1);
}

async fn time_never_runs_backwards<S: Site>() {
    let (_site, store) = network::<S>().await;
    store.commit(&decided(&store, at(5), &[tea("T-1", "ceres", "luna")]).await).await.unwrap();
    assert_refused(
        &store,
        &decided(&store, at(4), &[tea("T-2", "ceres", "luna")]).await,
        StoreErrorKind::Conflict,
    )
    .await;
    let head = store.commit(&decided(&store, at(5), &[tea("T-2", "ceres", "luna")]).await).await.unwrap();
    assert_eq!(head, store.head().await.unwrap());
    assert_eq!(head.time, at(5));
}

async fn a_level_the_schema_does_not_allow_is_a_defect_and_undone<S: Site>() {
    let (_site, store) = network::<S>().await;
    let mut commit = decided(&store, at(1), &[tea("T-1", "ceres", "luna")]).await;
    commit.stock[0].row.level.reserved = commit.stock[0].row.level.on_hand + 1;
    assert_refused(&store, &commit, StoreErrorKind::Internal).await;
    commit.stock[0].row.level.reserved = 0;
    commit.stock[0].row.level.incoming = u64::MAX;
    assert_refused(&store, &commit, StoreErrorKind::Internal).await;
    let page = InventoryQuery { items: vec![], after: None, limit: 10 };
    let found = store.inventory(&station("ceres"), &page).await.unwrap().unwrap();
    assert_eq!(found.inventory.version, 1);
}

/// Runs a future until it has to wait once more than so many times, and then drops it.
async fn until_it_waits<T>(more_than: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut waits = 0;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if waits == more_than => Poll::Ready(None),
        Poll::Pending => {
            waits += 1;
            Poll::Pending
        }
    })
    .await
}

async fn a_commit_dropped_at_any_moment_lands_whole_or_not_at_all<S: Site>() {
    let (_site, store) = network::<S>().await;
    let sales: Vec<_> = (0..200).map(|n| tea(&format!("D-{n}"), "ceres", "luna")).collect();
    let mut dropped = 0;
    for n in 0..60_u64 {
        let commit = decided(&store, at(10), &sales[..usize::try_from(1 + n).unwrap()]).await;
        let before = store.head().await.unwrap().sequence;
        // From before the lock is taken to after the end.
        let finished = until_it_waits(n, store.commit(&commit)).await;
        dropped += u32::from(finished.is_none());
        // Waits for what still runs, on the writer's own lock.
        let after = decided_after(&store, &format!("N-{n}")).await;
        let whole = before + commit.event_count() + 4;
        assert!(
            after == whole || (after == before + 4 && finished.is_none()),
            "{before} {after} {finished:?}"
        );
        assert_eq!(store.trade(&trade_id("D-0")).await.unwrap().is_some(), after == whole);
        if after == whole {
            break;
        }
    }
    assert!(dropped > 0);
    let ledger = store.ledger_after(Default::default(), 10_000).await.unwrap().rows;
    let records = store.read(0, 10_000, usize::MAX).await.unwrap();
    let movements: usize = records.iter().map(|record| record.step.movements.len()).sum();
    assert_eq!(ledger.len(), movements);
}

/// Commits a sale that conflicts with nothing, and answers the head after it.
async fn decided_after(store: &dyn Store, id: &str) -> Sequence {
    loop {
        let commit = decided(store, at(10), &[tea(id, "mars", "vesta")]).await;
        match store.commit(&commit).await {
            Ok(head) => return head.sequence,
            Err(error) => assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}"),
        }
    }
}

async fn everything_is_there_again_after_reopening<S: Site>() {
    let (site, store) = network::<S>().await;
    let mut commit = decided(&store, at(1), &[tea("T-1", "ceres", "luna")]).await;
    commit.receipts = vec![receipt(1, 1)];
    let head = store.commit(&commit).await.unwrap();
    let before = store.load(&keys_of(&[tea("T-1", "ceres", "luna")])).await.unwrap();
    S::close(&store).await;
    assert_eq!(store.head().await.unwrap_err().kind, StoreErrorKind::Unavailable);
    let store = site.open().await;
    assert_eq!(store.head().await.unwrap(), head);
    let after = store.load(&keys_of(&[tea("T-1", "ceres", "luna")])).await.unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
}

async fn a_reader_that_tails_several_writers_misses_nothing<S: Site>() {
    let (site, store) = network::<S>().await;
    let stores = [Arc::new(store), Arc::new(site.open().await), Arc::new(site.open().await)];
    let ends = [("ceres", "luna"), ("mars", "vesta"), ("luna", "mars")];
    let mut writers = Vec::new();
    for (w, store) in stores.iter().enumerate() {
        let store = store.clone();
        writers.push(tokio::spawn(async move {
            for n in 0..40 {
                let trade = tea(&format!("W-{w}-{n}"), ends[w].0, ends[w].1);
                loop {
                    let commit = decided(&*store, at(20), std::slice::from_ref(&trade)).await;
                    match store.commit(&commit).await {
                        Ok(_) => break,
                        Err(error) => assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}"),
                    }
                }
            }
        }));
    }
    let reader = site.open().await;
    let (mut seen, last) = (4, 4 + 3 * 40 * 4);
    while seen < last {
        reader.changed(seen).await.unwrap();
        for record in reader.read(seen, 7, usize::MAX).await.unwrap() {
            assert_eq!(record.first(), seen + 1);
            seen = record.last;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(reader.head().await.unwrap().sequence, last);
}
