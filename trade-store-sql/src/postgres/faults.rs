//! What a store does where rows are not as its log says.

use super::query_plans::database::Database;
use super::{Postgres, PostgresStore};
use crate::dialect::Rendered;
use crate::driver::Driver;
use sqlx::Executor;
use trade_core::command::Command;
use trade_core::event::Actor;
use trade_core::rules::{Context, Draft};
use trade_core::store::{Commit, EventLog, Keys, Store, StoreErrorKind};
use trade_core::testing::fixtures::{adjust, open_station};
use trade_core::values::Timestamp;
use trade_core::view::View;

async fn decided(store: &PostgresStore, command: &Command, keys: Keys) -> Commit {
    let mut draft = Draft::new(View::new(&keys, store.load(&keys).await.unwrap()));
    let context = Context::new(Timestamp::EPOCH, Actor::Anonymous);
    draft.decide(command, &context).unwrap();
    draft.close(Vec::new()).0
}

async fn opening(store: &PostgresStore, id: &str) -> Commit {
    let mut keys = Keys::default();
    keys.stations.insert(id.try_into().unwrap());
    decided(store, &open_station(id, &[("tea", 1)]), keys).await
}

async fn adjusting(store: &PostgresStore, id: &str) -> Commit {
    let mut keys = Keys::default();
    keys.stations.insert(id.try_into().unwrap());
    keys.stock.insert((id.try_into().unwrap(), "tea".try_into().unwrap()));
    decided(store, &adjust(id, &[("tea", 5)]), keys).await
}

/// Asserts that neither way of a commit takes it, and that nothing of it lands.
async fn assert_refused(store: &PostgresStore, commit: &Commit, kind: StoreErrorKind) {
    let before = store.head().await.unwrap();
    let alone = store.commit(commit).await.unwrap_err();
    assert_eq!(alone.kind, kind, "{alone:?}");
    let held = store.hold().await.unwrap().commit(commit).await.unwrap_err();
    assert_eq!(held.kind, kind, "{held:?}");
    assert_eq!(store.head().await.unwrap(), before);
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn rows_past_the_head_are_damage_not_a_conflict() {
    let database = Database::create().await;
    let store = PostgresStore::connect(&database.url()).await.unwrap();
    database.connection().await.execute("INSERT INTO tn_log VALUES (1, '\\x00')").await.unwrap();
    assert_refused(&store, &opening(&store, "ceres").await, StoreErrorKind::Corrupt).await;
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_row_of_another_version_undoes_a_commit_though_nobody_moved_the_head() {
    let database = Database::create().await;
    let store = PostgresStore::connect(&database.url()).await.unwrap();
    store.commit(&opening(&store, "ceres").await).await.unwrap();
    let commit = adjusting(&store, "ceres").await;
    let mut connection = database.connection().await;
    connection.execute("UPDATE tn_station SET version = 7").await.unwrap();
    assert_refused(&store, &commit, StoreErrorKind::Conflict).await;
    connection.execute("UPDATE tn_station SET version = 1").await.unwrap();
    store.commit(&commit).await.unwrap();
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_row_that_names_what_is_not_stored_is_a_defect() {
    let database = Database::create().await;
    let store = PostgresStore::connect(&database.url()).await.unwrap();
    let mut commit = opening(&store, "ceres").await;
    let mut row = commit.stock[0].clone();
    row.row.station_id = "luna".try_into().unwrap();
    commit.stock.push(row);
    assert_refused(&store, &commit, StoreErrorKind::Internal).await;
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn what_is_past_a_limit_of_the_server_is_too_large() {
    let database = Database::create().await;
    let store = PostgresStore::connect(&database.url()).await.unwrap();
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    let sql = Rendered::new(Postgres::DIALECT, "SELECT repeat('x', 2000000000)");
    assert_eq!(lease.fetch(&sql, &[]).await.unwrap_err().kind, StoreErrorKind::TooLarge);
}
