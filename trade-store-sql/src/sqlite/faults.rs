//! What a store does when SQLite fails under it.

use super::commit::write_at_once;
use super::open::READERS_MAX;
use super::{Sqlite, SqliteStore};
use crate::commit::keys::RowKeys;
use crate::dialect::Rendered;
use crate::driver::Driver;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Executor};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use trade_core::command::{Command, CreateStation};
use trade_core::event::Actor;
use trade_core::rules::{Context, Draft};
use trade_core::store::{Commit, EventLog, Keys, Store, StoreErrorKind};
use trade_core::values::{Quantity, Timestamp};
use trade_core::view::View;

async fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("network.db").display());
    let store = SqliteStore::open(&url).await.unwrap();
    (folder, store)
}

async fn opening(store: &SqliteStore, id: &str, items: usize) -> Commit {
    let mut keys = Keys::default();
    keys.stations.insert(id.try_into().unwrap());
    let mut draft = Draft::new(View::new(&keys, store.load(&keys).await.unwrap()));
    let item = |n: usize| (format!("item-{n}").as_str().try_into().unwrap(), Quantity::ONE);
    let items = (0..items).map(item).collect();
    let station = CreateStation { items, ..CreateStation::new(id.try_into().unwrap()) };
    let context = Context::new(Timestamp::EPOCH, Actor::Anonymous);
    draft.decide(&Command::CreateStation(station), &context).unwrap();
    draft.close(Vec::new()).0
}

/// Runs a statement on the connection that commits will use.
async fn on_writer(store: &SqliteStore, sql: String) {
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    let connection: &mut SqliteConnection = &mut lease.connection;
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    lease.give_back();
}

#[tokio::test]
async fn who_commits_waits_for_no_reader() {
    let (_folder, store) = store().await;
    let commit = opening(&store, "ceres", 1).await;
    store.commit(&commit).await.unwrap();
    let mut leases = Vec::new();
    for _ in 0..READERS_MAX {
        leases.push(store.parts.lanes.readers.lease("test").await.unwrap());
    }
    let long = Duration::from_millis(200);
    assert!(timeout(long, store.read(0, 1, 1)).await.is_err(), "every connection that reads is taken");
    store.load(&Keys::default()).await.unwrap();
    let next = opening(&store, "vesta", 1).await;
    store.commit(&next).await.unwrap();
    drop(leases);
    assert_eq!(store.read(0, 2, usize::MAX).await.unwrap(), [commit.log, next.log].concat());
}

#[tokio::test]
async fn a_small_commit_is_written_at_once() {
    let (_folder, store) = store().await;
    let commit = opening(&store, "ceres", 3).await;
    let keys = RowKeys::without_looking(&store.parts.stations, &commit).unwrap();
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    let head = write_at_once(&mut lease.connection, &keys, &commit).await.unwrap();
    assert_eq!(head.sequence, 1);
    assert_eq!(store.head().await.unwrap(), head);
    let (error, begun) = write_at_once(&mut lease.connection, &keys, &commit).await.unwrap_err();
    assert!(begun, "{error}");
    assert_eq!(store.head().await.unwrap(), head);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_nothing_landed() {
    let (_folder, store) = store().await;
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut lease.connection).await.unwrap();
    lease.give_back();
    on_writer(&store, format!("PRAGMA max_page_count = {}", pages + 2)).await;
    let large = opening(&store, "ceres", 5_000).await;
    let error = store.commit(&large).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert_eq!(error.detail, "the disk is full");
    assert_eq!(store.head().await.unwrap().sequence, 0);
    on_writer(&store, "PRAGMA max_page_count = 1000000".into()).await;
    assert_eq!(store.commit(&large).await.unwrap().sequence, 1);
}

#[tokio::test]
async fn an_operation_that_left_a_transaction_open_leaves_none_to_the_next() {
    let (_folder, store) = store().await;
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    lease.connection.execute("BEGIN IMMEDIATE").await.unwrap();
    lease.connection.execute("UPDATE tn_head SET sequence = 7").await.unwrap();
    drop(lease);
    let commit = opening(&store, "ceres", 1).await;
    assert_eq!(store.commit(&commit).await.unwrap().sequence, 1);
}

#[tokio::test]
async fn rows_past_the_head_are_damage_not_a_conflict() {
    let (_folder, store) = store().await;
    on_writer(&store, "INSERT INTO tn_log VALUES (1, x'00')".into()).await;
    let commit = opening(&store, "ceres", 1).await;
    assert_eq!(store.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_row_that_names_what_is_not_stored_is_a_defect() {
    let (_folder, store) = store().await;
    let mut commit = opening(&store, "ceres", 1).await;
    let mut row = commit.stock[0].clone();
    row.row.station_id = "luna".try_into().unwrap();
    commit.stock.push(row);
    assert_eq!(store.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Internal);
    assert_eq!(store.head().await.unwrap().sequence, 0);
}

#[tokio::test]
async fn many_readers_wait_for_each_other_and_for_no_writer() {
    let (_folder, store) = store().await;
    let store = Arc::new(store);
    let _writing = store.parts.lanes.writer.lease("test").await.unwrap();
    let readers = (0..64).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.head().await.unwrap().sequence })
    });
    for reader in readers.collect::<Vec<_>>() {
        assert_eq!(reader.await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_past_a_limit_of_sqlite_is_too_large() {
    let (_folder, store) = store().await;
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    let sql = Rendered::new(Sqlite::DIALECT, "SELECT zeroblob(2000000000)");
    assert_eq!(lease.fetch(&sql, &[]).await.unwrap_err().kind, StoreErrorKind::TooLarge);
}
