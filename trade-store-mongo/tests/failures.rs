//! Commands that fail at every moment of a commit: what is told of it, and what has landed.
//!
//! The server is made to fail by `failCommand`, which only a server with `enableTestCommands=1` knows:
//! <https://github.com/mongodb/mongo/wiki/The-failCommand-fail-point>. There is one for the whole server, so these
//! tests take turns; it meets only the connections of one store, by their name.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mongodb::bson::{Document, doc};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};
use trade_core::store::{Commit, EventLog, Head, Store, StoreError, StoreErrorKind, TradeRepository};
use trade_core::testing::fixtures::trade_id;
use trade_store_mongo::{MongoOptions, MongoStore};

static TURN: Mutex<()> = Mutex::const_new(());

/// A network, and a server that fails its store on demand.
struct Place {
    database: Database,
    store: MongoStore,
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    async fn make() -> Self {
        let mut options = MongoOptions::default();
        options.operation_timeout = Duration::from_secs(3);
        Self::make_with(options).await
    }

    async fn make_with(options: MongoOptions) -> Self {
        let turn = TURN.lock().await;
        let database = Database::new();
        let store = database.open_with(&options).await;
        open_stations(&store, 4).await;
        // The change stream is none of the commands that are to fail.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Self { database, store, _turn: turn }
    }

    /// Makes the next so many of a command fail.
    async fn fail(&self, command: &str, times: i32, how: Document) {
        let mut data = doc! { "failCommands": [command], "appName": self.database.app_name() };
        data.extend(how);
        let mode = doc! { "times": times };
        self.database.admin(doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data }).await;
    }

    async fn heal(&self) {
        self.database.admin(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await;
    }

    async fn commit(&self, id: &str) -> (Commit, Result<Head, StoreError>) {
        let commit = decided(&self.store, &sales(id, 1, 2)).await;
        let outcome = self.store.commit(&commit).await;
        (commit, outcome)
    }

    /// Whether a trade has landed, as another process sees it who holds the head first.
    async fn has_landed(&self, id: &str) -> bool {
        self.heal().await;
        let other = self.database.open().await;
        let held = other.hold().await.unwrap();
        let found = other.trade(&trade_id(&format!("{id}-00000"))).await.unwrap();
        drop(held);
        other.close().await;
        found.is_some()
    }
}

fn error(code: i32, labels: &[&str]) -> Document {
    doc! { "errorCode": code, "errorLabels": labels }
}

const TRANSIENT: &[&str] = &["TransientTransactionError"];
const UNKNOWN: &[&str] = &["UnknownTransactionCommitResult"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_write_conflict_at_any_command_is_a_conflict_and_lands_nothing() {
    let place = Place::make().await;
    for (command, code) in [("insert", 112), ("update", 112), ("insert", 251), ("update", 11602)] {
        place.fail(command, 1, error(code, TRANSIENT)).await;
        let (commit, outcome) = place.commit("A").await;
        assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::Conflict, "{command} {code}");
        assert_eq!(place.store.head().await.unwrap(), commit.base);
    }
    assert!(!place.has_landed("A").await);
    place.commit("A").await.1.unwrap();
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn what_the_server_takes_only_in_parts_is_told_as_such_and_lands_nothing() {
    let place = Place::make().await;
    for (command, code) in [("insert", 388), ("update", 388), ("insert", 257), ("insert", 10334)] {
        place.fail(command, 1, error(code, &[])).await;
        let (commit, outcome) = place.commit("A").await;
        assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::TooLarge, "{command} {code}");
        assert_eq!(place.store.head().await.unwrap(), commit.base);
    }
    assert!(!place.has_landed("A").await);
    // At the end it is not certain.
    place.fail("commitTransaction", 100, error(257, &[])).await;
    assert_eq!(place.commit("A").await.1.unwrap_err().kind, StoreErrorKind::OutcomeUnknown);
    assert!(!place.has_landed("A").await);
    place.commit("A").await.1.unwrap();
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn however_long_somebody_reads_who_writes_has_a_connection() {
    let mut options = MongoOptions::default();
    options.connections_max = 1;
    let place = Place::make_with(options).await;
    let commit = decided(&place.store, &sales("A", 1, 2)).await;
    place.fail("find", 1, doc! { "blockConnection": true, "blockTimeMS": 3_000 }).await;
    let id = trade_id("A-00000");
    let mut reading = std::pin::pin!(place.store.trade(&id));
    let writing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        place.store.commit(&commit).await.unwrap();
        decided(&place.store, &sales("B", 1, 2)).await;
        place.store.head().await.unwrap()
    };
    tokio::select! {
        biased;
        read = &mut reading => panic!("it is not answered so soon: {read:?}"),
        head = writing => assert_eq!(head.sequence, commit.base.sequence + commit.event_count()),
    }
    reading.await.unwrap();
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_write_conflict_at_the_head_is_waited_out() {
    let place = Place::make().await;
    place.fail("findAndModify", 5, error(112, TRANSIENT)).await;
    place.commit("A").await.1.unwrap();
    place.fail("findAndModify", 1, doc! { "closeConnection": true }).await;
    place.commit("B").await.1.expect("nothing was written yet: it is asked for again");
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_connection_that_breaks_before_the_end_lands_nothing() {
    let place = Place::make().await;
    for command in ["insert", "update"] {
        place.fail(command, 1, doc! { "closeConnection": true }).await;
        let (commit, outcome) = place.commit("A").await;
        assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::Unavailable, "{command}");
        place.heal().await;
        // The transaction that is left is ended soon, and keeps nobody.
        let begun = Instant::now();
        place.commit(command).await.1.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        let _ = commit;
    }
    assert!(!place.has_landed("A").await);
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn an_end_that_is_not_answered_is_asked_for_again() {
    let place = Place::make().await;
    for (id, times, how) in [
        ("A", 1, doc! { "closeConnection": true }),
        ("B", 3, doc! { "closeConnection": true }),
        ("C", 1, error(91, UNKNOWN)),
        ("D", 2, error(64, UNKNOWN)),
        ("E", 1, error(50, UNKNOWN)),
        // Of these the transaction may still be open, and an end that was asked for before on its way to it.
        ("F", 1, error(24, TRANSIENT)),
        ("G", 1, error(112, TRANSIENT)),
    ] {
        place.fail("commitTransaction", times, how).await;
        let (commit, outcome) = place.commit(id).await;
        let head = outcome.unwrap_or_else(|error| panic!("{id}: {error:?}"));
        assert_eq!(head.sequence, commit.base.sequence + commit.event_count(), "{id}");
        assert!(place.has_landed(id).await);
    }
    place.store.close().await;
}

/// The commit is done, and its confirmation fails.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_commit_that_no_majority_confirms_is_asked_for_again_and_lands_once() {
    let place = Place::make().await;
    let unconfirmed =
        doc! { "writeConcernError": { "code": 64, "codeName": "WriteConcernFailed", "errmsg": "test" } };
    place.fail("commitTransaction", 1, unconfirmed.clone()).await;
    place.commit("A").await.1.unwrap();
    place.fail("commitTransaction", 100, unconfirmed).await;
    assert_eq!(place.commit("B").await.1.unwrap_err().kind, StoreErrorKind::OutcomeUnknown);
    assert!(place.has_landed("B").await, "nobody knew, but it had");
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn an_end_that_is_never_answered_is_unknown_and_over_once_the_head_is_held() {
    let place = Place::make().await;
    place.fail("commitTransaction", 100, doc! { "closeConnection": true }).await;
    let (commit, outcome) = place.commit("A").await;
    assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::OutcomeUnknown);
    // It did not land before the head was held, and so never will.
    assert!(!place.has_landed("A").await);
    assert_eq!(place.store.head().await.unwrap().sequence, commit.base.sequence);
    place.commit("A").await.1.unwrap();
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn an_end_that_the_server_undid_is_a_conflict() {
    let place = Place::make().await;
    place.fail("commitTransaction", 1, error(251, TRANSIENT)).await;
    let (_, outcome) = place.commit("A").await;
    assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::Conflict);
    assert!(!place.has_landed("A").await);
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_server_that_is_silent_is_told_of_in_time() {
    let mut options = MongoOptions::default();
    options.operation_timeout = Duration::from_millis(300);
    let place = Place::make_with(options).await;
    let silent = doc! { "blockConnection": true, "blockTimeMS": 4_000 };
    place.fail("insert", 1, silent.clone()).await;
    let begun = Instant::now();
    let (_, outcome) = place.commit("A").await;
    assert_eq!(outcome.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_millis(3_500), "{:?}", begun.elapsed());
    place.fail("find", 1, silent).await;
    let begun = Instant::now();
    assert_eq!(place.store.head().await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert!(begun.elapsed() < Duration::from_millis(3_500), "{:?}", begun.elapsed());
    place.heal().await;
    place.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_read_is_tried_again_where_the_way_breaks() {
    let place = Place::make().await;
    place.fail("find", 1, doc! { "closeConnection": true }).await;
    place.store.head().await.unwrap();
    place.fail("find", 1, error(11602, &[])).await;
    place.store.head().await.unwrap();
    place.fail("aggregate", 1, doc! { "closeConnection": true }).await;
    decided(&place.store, &sales("A", 1, 2)).await;
    place.fail("find", 9, error(13, &[])).await;
    let refused = place.store.head().await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Unsupported, "{refused}");
    place.heal().await;
    place.store.close().await;
}

/// Those who wait hear of what is new though the stream is cut again and again, and cannot go on from where it was.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_change_stream_that_is_cut_loses_nothing() {
    let place = Place::make().await;
    let other = place.database.open().await;
    for (n, how) in [
        doc! { "closeConnection": true },
        error(286, &["NonResumableChangeStreamError"]),
        error(280, &[]),
        error(237, &[]),
    ]
    .into_iter()
    .enumerate()
    {
        place.fail("getMore", 3, how).await;
        let after = place.store.head().await.unwrap().sequence;
        let commit = decided(&other, &sales(&format!("S{n}"), 1, 2)).await;
        let waiting = async {
            while place.store.head().await.unwrap().sequence == after {
                place.store.changed(after).await.unwrap();
            }
        };
        let begun = Instant::now();
        let (heard, landed) = tokio::join!(tokio::time::timeout(Duration::from_secs(5), waiting), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            other.commit(&commit).await
        });
        landed.unwrap();
        heard.unwrap_or_else(|_| panic!("it is heard of in time ({n}, {:?})", begun.elapsed()));
        place.heal().await;
    }
    other.close().await;
    place.store.close().await;
}
