//! Databases that are not as they should be, sessions that the server ends, and what several processes do at once.

#![cfg(feature = "postgres")]
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::postgres::Database;
use common::*;
use sqlx::{AssertSqlSafe, Executor};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use trade_core::store::{
    EventLog, Store, StoreError, StoreErrorKind, TradeFilter, TradeQuery, TradeRepository,
};
use trade_store_sql::{PostgresStore, ServerOptions};

const PATIENCE: Duration = Duration::from_secs(10);

async fn network() -> (Database, PostgresStore) {
    let database = Database::create().await;
    let store = database.open().await;
    store.commit(&opened(&store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    (database, store)
}

fn tea(n: usize) -> trade_core::command::InitiateTrade {
    sale(&format!("T-{n}"), "ceres", "luna", &[("tea", 1)])
}

/// Ends the sessions of this database whose last statement looks like this, and answers how many there were.
async fn terminate(database: &Database, statement: &'static str) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE $1",
    )
    .bind(statement)
    .fetch_one(&mut database.connection().await)
    .await
    .unwrap()
}

async fn refused(url: &str) -> StoreError {
    let error = PostgresStore::connect(url).await.unwrap_err();
    assert_eq!(error.store, "postgres");
    error
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn what_cannot_be_a_store_is_refused_and_the_password_is_told_to_nobody() {
    use StoreErrorKind::{Unavailable, Unsupported};
    let database = Database::create().await;
    let url = database.url();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (user, place) = rest.rsplit_once('@').unwrap();
    let (host, _) = place.split_once('/').unwrap();
    let name = user.split(':').next().unwrap();
    for (url, kind) in [
        ("mysql://localhost/x".to_owned(), Unsupported),
        ("network.db".to_owned(), Unsupported),
        (format!("{scheme}://{name}:secret-word@{place}"), Unsupported),
        (format!("{scheme}://{user}@{host}/no_such_database"), Unsupported),
        (format!("{url}&options=-c%20default_transaction_read_only=on"), Unsupported),
        (format!("{scheme}://{name}:secret-word@127.0.0.1:1/x"), Unavailable),
        (format!("{scheme}://{name}:secret-word@127.0.0.1:1/x?sslmode=sometimes"), Unsupported),
    ] {
        let error = refused(&url).await;
        assert_eq!(error.kind, kind, "{url}: {error:?}");
        assert!(!format!("{error:?}").contains("secret-word"));
    }
    let store = database.open().await;
    let password = database.password();
    assert!(!format!("{store:?}").contains(&password));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn processes_that_start_at_once_make_one_schema() {
    let database = Arc::new(Database::create().await);
    let starting = (0..8).map(|_| {
        let database = database.clone();
        tokio::spawn(async move { database.open().await.head().await.unwrap().sequence })
    });
    for store in starting.collect::<Vec<_>>() {
        assert_eq!(store.await.unwrap(), 0);
    }
    let mut connection = database.connection().await;
    let steps: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tn_schema").fetch_one(&mut connection).await.unwrap();
    assert_eq!(steps, 3);
    for (sql, kind, told) in [
        ("INSERT INTO tn_schema VALUES (4, '\\x00')", StoreErrorKind::NewerVersion, "it has version 4"),
        (
            "DELETE FROM tn_schema WHERE version = 4; UPDATE tn_schema SET checksum = '\\x00'",
            StoreErrorKind::Unsupported,
            "schema version 1",
        ),
    ] {
        connection.execute(sqlx::raw_sql(sql)).await.unwrap();
        let error = refused(&database.url()).await;
        assert_eq!(error.kind, kind);
        assert!(error.detail.contains(told), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_session_that_the_server_ends_is_survived() {
    let (database, store) = network().await;
    for n in 0..4 {
        let commit = decided(&store, at(1), &[tea(n)]).await;
        let before = store.head().await.unwrap().sequence;
        assert!(terminate(&database, "%").await >= 3);
        // Reads go on as if nothing had happened.
        assert_eq!(store.head().await.unwrap().sequence, before);
        let query = TradeQuery { filter: TradeFilter::default(), before: None, limit: 10 };
        assert_eq!(store.trades(&query).await.unwrap().rows.len(), n);
        // A commit that was sent into the dead connection cannot say more.
        match store.commit(&commit).await {
            Ok(head) => assert_eq!(head.sequence, before + 4),
            Err(error) => {
                assert_eq!(error.kind, StoreErrorKind::OutcomeUnknown, "{error:?}");
                assert_eq!(store.head().await.unwrap().sequence, before);
                store.commit(&commit).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_head_that_is_held_lets_go_with_its_session() {
    let (database, store) = network().await;
    let (store, other) = (Arc::new(store), database.open().await);
    let (commit, late) = (decided(&*store, at(1), &[tea(0)]).await, decided(&other, at(1), &[tea(1)]).await);
    let held = other.hold().await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.commit(&commit).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "the head is held");
    assert_eq!(terminate(&database, "BEGIN%").await, 1);
    waiting.await.unwrap().unwrap();
    assert_eq!(held.commit(&late).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(store.head().await.unwrap().sequence, 6);
    // Dropped, it lets go at once.
    drop(other.hold().await.unwrap());
    store.commit(&decided(&*store, at(1), &[tea(1)]).await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_commit_that_waits_for_the_head_gives_up_or_is_ended_without_landing() {
    let (database, store) = network().await;
    let mut options = ServerOptions::default();
    options.lock_timeout = Duration::from_millis(200);
    let impatient = PostgresStore::connect_with(&database.url(), &options).await.unwrap();
    let commit = decided(&store, at(1), &[tea(0)]).await;
    let held = store.hold().await.unwrap();
    // To be tried again, a bounded number of times: the database is there, and others are at it.
    assert_eq!(impatient.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Conflict);
    assert_eq!(impatient.hold().await.unwrap_err().kind, StoreErrorKind::Conflict);
    let patient = Arc::new(database.open().await);
    let waiting = tokio::spawn({
        let (patient, commit) = (patient.clone(), commit.clone());
        async move { patient.commit(&commit).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(terminate(&database, "WITH head%").await, 1);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind, StoreErrorKind::OutcomeUnknown);
    assert_eq!(store.head().await.unwrap().sequence, 2);
    drop(held);
    patient.commit(&commit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn commits_are_heard_of_at_once_and_again_after_the_listener_was_cut() {
    let (database, writer) = network().await;
    let mut options = ServerOptions::default();
    // Only a notification can be in time.
    options.poll_interval = Duration::from_secs(600);
    let reader = PostgresStore::connect_with(&database.url(), &options).await.unwrap();
    // Both have begun to listen.
    let listening = || async {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND (query LIKE 'LISTEN%' OR query LIKE 'SELECT pg_notify%')";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut database.connection().await).await.unwrap();
        count
    };
    for n in 0..3 {
        let begin = Instant::now();
        while n == 0 && listening().await < 2 {
            assert!(begin.elapsed() < PATIENCE);
        }
        let after = reader.head().await.unwrap().sequence;
        let hear = async {
            let (changed, told) = tokio::join!(reader.changed(after), async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                writer.commit(&decided(&writer, at(1), &[tea(n)]).await).await
            });
            told.unwrap();
            changed.unwrap();
        };
        timeout(PATIENCE, hear).await.unwrap_or_else(|_| panic!("nothing was heard of commit {n}"));
        assert!(terminate(&database, "LISTEN%").await + terminate(&database, "SELECT pg_notify%").await >= 1);
        // Cut connections are made again within this.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn without_any_notification_the_log_is_looked_at() {
    let (database, writer) = network().await;
    let mut options = ServerOptions::default();
    options.poll_interval = Duration::from_millis(50);
    let reader = PostgresStore::connect_with(&database.url(), &options).await.unwrap();
    let after = reader.head().await.unwrap().sequence;
    let sql = "UPDATE tn_head SET sequence = sequence + 1";
    // Nobody tells of what is not written by a store.
    let (changed, ()) = tokio::join!(timeout(PATIENCE, reader.changed(after)), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        database.connection().await.execute(AssertSqlSafe(sql)).await.unwrap();
    });
    changed.unwrap().unwrap();
    writer.close().await;
    reader.close().await;
    assert_eq!(reader.head().await.unwrap_err().kind, StoreErrorKind::Unavailable);
    let begin = Instant::now();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut connection = database.connection().await;
    while sqlx::query_scalar::<_, i64>(open).fetch_one(&mut connection).await.unwrap() > 0 {
        assert!(begin.elapsed() < PATIENCE, "a store that is closed has no connection");
    }
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn lists_are_read_at_a_replica_that_serves() {
    let (database, _) = network().await;
    // What comes after is only at the primary.
    let (other, replica) = network().await;
    let mut options = ServerOptions::default();
    options.read_url = Some(other.url());
    let store = PostgresStore::connect_with(&database.url(), &options).await.unwrap();
    store.commit(&decided(&store, at(1), &[tea(0)]).await).await.unwrap();
    let query = TradeQuery { filter: TradeFilter::default(), before: None, limit: 10 };
    let listed = store.trades(&query).await.unwrap();
    assert_eq!((listed.rows.len(), listed.as_of), (0, Some(replica.head().await.unwrap().sequence)));
    assert!(store.trade(&trade_id("T-0")).await.unwrap().is_some());
    // How long it has been behind nobody knows, so it is not asked.
    let store = PostgresStore::connect_with(&database.url(), &options).await.unwrap();
    let listed = store.trades(&query).await.unwrap();
    assert_eq!((listed.rows.len(), listed.as_of), (1, None));
    replica.close().await;
}
