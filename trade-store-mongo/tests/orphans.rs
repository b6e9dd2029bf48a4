//! Processes that die, or are dropped, in the middle of a commit.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use trade_core::store::{EventLog, Store, TradeRepository};
use trade_core::testing::fixtures::trade_id;
use trade_store_mongo::MongoStore;

/// The address of the database in which a process of the test holds the head.
const HOLDER_URL: &str = "TRADE_TEST_HOLDER_URL";

/// No test by itself: what [`a_killed_process_keeps_the_head_for_seconds_only`] starts, and kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_HOLDER_URL, which another test sets for a process of its own"]
async fn holds_the_head_until_it_is_killed() {
    let Ok(url) = std::env::var(HOLDER_URL) else { return };
    let store = MongoStore::connect(&url).await.unwrap();
    let _held = store.hold().await.unwrap();
    println!("\nholding");
    tokio::time::sleep(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_killed_process_keeps_the_head_for_seconds_only() {
    let database = Database::new();
    let store = database.open().await;
    open_stations(&store, 2).await;
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "holds_the_head_until_it_is_killed", "--nocapture"])
        .env(HOLDER_URL, database.url())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let begun = Instant::now();
    let commit = decided(&store, &sales("A", 1, 2)).await;
    store.commit(&commit).await.unwrap();
    // The server itself would end the transaction after a minute.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    println!("the next commit landed {:?} after the holder was killed", begun.elapsed());
    store.close().await;
}

/// A head that is held for long, by who is alive, is given away, and the holder is told.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn who_holds_the_head_for_too_long_loses_it_and_lands_nothing() {
    let database = Database::new();
    let (slow, quick) = (database.open().await, database.open().await);
    open_stations(&slow, 4).await;
    let held = slow.hold().await.unwrap();
    let stalled = decided(&slow, &sales("S", 1, 2)).await;
    let prompt = decided(&quick, &sales("Q", 1, 2)).await;
    quick.commit(&prompt).await.unwrap();
    let error = held.commit(&stalled).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(slow.trade(&trade_id("S-00000")).await.unwrap().is_none());
    assert!(slow.trade(&trade_id("Q-00000")).await.unwrap().is_some());
    slow.close().await;
    quick.close().await;
}

/// Only a network's own transactions are ended.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn the_transactions_of_other_networks_and_applications_are_left_alone() {
    let (database, other) = (Database::new(), Database::new());
    let (store, neighbour) = (database.open().await, other.open().await);
    open_stations(&store, 2).await;
    open_stations(&neighbour, 2).await;
    let theirs = neighbour.hold().await.unwrap();
    let commit = decided(&neighbour, &sales("N", 1, 2)).await;
    // Somebody is in the way for so long that the store looks for whom to end.
    let driver = database.driver().await;
    let mut session = driver.client().start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let touch = mongodb::bson::doc! {
        "update": "head",
        "updates": [{ "q": { "_id": 1 }, "u": { "$inc": { "commits": 1_i64 } } }],
    };
    driver.run_command(touch).session(&mut session).await.unwrap();
    let error = store.hold().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    session.commit_transaction().await.expect("it is another application's");
    theirs.commit(&commit).await.expect("it is another network's");
    store.close().await;
    neighbour.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_commit_that_is_dropped_at_any_moment_lands_whole_or_not_at_all() {
    let database = Database::new();
    let store = database.open().await;
    open_stations(&store, 4).await;
    let mut dropped = 0;
    for n in 0..60_u64 {
        let commit = decided(&store, &sales("D", usize::try_from(1 + n).unwrap(), 2)).await;
        let before = store.head().await.unwrap().sequence;
        // From before the head is asked for to after the end.
        let finished = tokio::time::timeout(Duration::from_micros(n * n * 8), store.commit(&commit)).await;
        dropped += u32::from(finished.is_err());
        // Waits for what is still on its way.
        drop(store.hold().await.unwrap());
        let after = store.head().await.unwrap().sequence;
        let whole = before + commit.event_count();
        assert!(after == whole || (after == before && finished.is_err()), "{before} {after} {finished:?}");
        assert_eq!(store.trade(&trade_id("D-00000")).await.unwrap().is_some(), after == whole);
        if after == whole {
            break;
        }
    }
    assert!(dropped > 0);
    let ledger = store.ledger_after_all().await;
    let records = store.read(0, 10_000, usize::MAX).await.unwrap();
    let movements: usize = records.iter().map(|record| record.step.movements.len()).sum();
    assert_eq!(ledger, movements);
    store.close().await;
}

/// How many entries the whole ledger has.
trait CountLedger {
    async fn ledger_after_all(&self) -> usize;
}

impl CountLedger for MongoStore {
    async fn ledger_after_all(&self) -> usize {
        use trade_core::store::InventoryRepository;
        self.ledger_after(Default::default(), 100_000).await.unwrap().rows.len()
    }
}
