//! What a store does when the server fails under it, or another session is in its way.

use super::database::Database;
use super::{MySql, MySqlStore};
use crate::dialect::Rendered;
use crate::driver::Columns;
use crate::driver::Driver;
use crate::server::ServerOptions;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::time::Duration;
use trade_core::command::{Command, CreateStation};
use trade_core::event::Actor;
use trade_core::rules::{Context, Draft};
use trade_core::store::{
    Commit, EventLog, InventoryQuery, InventoryRepository, Keys, StationQuery, Store, StoreErrorKind,
};
use trade_core::values::{Quantity, Timestamp};
use trade_core::view::View;

async fn opening(store: &MySqlStore, id: &str, items: usize) -> Commit {
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

async fn store_in(database: &Database) -> MySqlStore {
    MySqlStore::connect(&database.url()).await.unwrap()
}

async fn run(connection: &mut MySqlConnection, sql: String) {
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
}

/// The session of the connection that commits will use.
async fn writer_id(store: &MySqlStore) -> i64 {
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    let sql = Rendered::new(MySql::DIALECT, "SELECT connection_id()");
    let found = lease.fetch(&sql, &[]).await.unwrap();
    lease.give_back();
    found[0].number(0).unwrap().unwrap()
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_session_that_was_killed_while_idle_costs_no_more_than_one_error() {
    let database = Database::create().await;
    let store = store_in(&database).await;
    let mut other = database.connection().await;
    let commit = opening(&store, "ceres", 3).await;
    run(&mut other, format!("KILL {}", writer_id(&store).await)).await;
    let error = store.commit(&commit).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
    assert_eq!(store.commit(&commit).await.unwrap().sequence, 1);
    // One that was idle for longer is tried before it is used.
    run(&mut other, format!("KILL {}", writer_id(&store).await)).await;
    tokio::time::sleep(MySql::IDLE_MAX.unwrap()).await;
    assert_eq!(store.commit(&opening(&store, "luna", 3).await).await.unwrap().sequence, 2);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_session_that_is_killed_while_it_waits_for_the_head_has_done_nothing() {
    let database = Database::create().await;
    let store = store_in(&database).await;
    let mut other = database.connection().await;
    let commit = opening(&store, "ceres", 3).await;
    let writer = writer_id(&store).await;
    run(&mut other, "BEGIN".to_owned()).await;
    run(&mut other, "SELECT * FROM tn_head FOR UPDATE".to_owned()).await;
    let kill = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        run(&mut other, format!("KILL {writer}")).await;
    };
    let (committed, ()) = tokio::join!(store.commit(&commit), kill);
    let error = committed.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
    run(&mut other, "COMMIT".to_owned()).await;
    assert_eq!(store.head().await.unwrap().sequence, 0);
    assert_eq!(store.commit(&commit).await.unwrap().sequence, 1);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_session_that_is_killed_while_it_holds_the_head_lets_it_go() {
    let database = Database::create().await;
    let store = store_in(&database).await;
    let commit = opening(&store, "ceres", 3).await;
    let writer = writer_id(&store).await;
    let held = store.hold().await.unwrap();
    run(&mut database.connection().await, format!("KILL {writer}")).await;
    let error = held.commit(&commit).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
    assert_eq!(store_in(&database).await.commit(&commit).await.unwrap().sequence, 1);
    assert_eq!(store.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Conflict);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn who_waits_too_long_for_the_head_is_told_to_try_again() {
    let database = Database::create().await;
    let options = ServerOptions { lock_timeout: Duration::from_millis(100), ..ServerOptions::default() };
    let store = MySqlStore::connect_with(&database.url(), &options).await.unwrap();
    let commit = opening(&store, "ceres", 3).await;
    let other = store_in(&database).await;
    let held = other.hold().await.unwrap();
    assert_eq!(store.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Conflict);
    assert_eq!(store.hold().await.unwrap_err().kind, StoreErrorKind::Conflict);
    drop(held);
    assert_eq!(store.commit(&commit).await.unwrap().sequence, 1);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_statement_that_takes_too_long_is_ended() {
    let database = Database::create().await;
    let options = ServerOptions { statement_timeout: Duration::from_millis(300), ..ServerOptions::default() };
    let store = MySqlStore::connect_with(&database.url(), &options).await.unwrap();
    let mut lease = store.parts.lanes.readers.lease("test").await.unwrap();
    let sql = "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, \
        information_schema.columns c WHERE a.column_name > b.column_name OR sleep(1)";
    let error = lease.fetch(&Rendered::new(MySql::DIALECT, sql), &[]).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
    drop(lease);
    assert_eq!(store.head().await.unwrap().sequence, 0);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_row_that_is_longer_than_a_message_is_too_large_and_lands_not() {
    let database = Database::create().await;
    let mut store = store_in(&database).await;
    let commit = opening(&store, "ceres", 1_000).await;
    let packet_bytes_max = std::mem::replace(&mut store.parts.state.packet_bytes_max, 1_000);
    assert_eq!(store.commit(&commit).await.unwrap_err().kind, StoreErrorKind::TooLarge);
    assert_eq!(store.head().await.unwrap().sequence, 0);
    store.parts.state.packet_bytes_max = packet_bytes_max;
    assert_eq!(store.commit(&commit).await.unwrap().sequence, 1);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn rows_past_the_head_are_damage_not_a_conflict() {
    let database = Database::create().await;
    let store = store_in(&database).await;
    run(&mut database.connection().await, "INSERT INTO tn_log VALUES (1, x'00')".to_owned()).await;
    let commit = opening(&store, "ceres", 1).await;
    assert_eq!(store.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_row_that_names_what_is_not_stored_is_a_defect() {
    let database = Database::create().await;
    let store = store_in(&database).await;
    let mut commit = opening(&store, "ceres", 1).await;
    let mut row = commit.stock[0].clone();
    row.row.station_id = "luna".try_into().unwrap();
    commit.stock.push(row);
    assert_eq!(store.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Internal);
    assert_eq!(store.head().await.unwrap().sequence, 0);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn whoever_is_not_let_in_is_told_so_without_the_password() {
    let database = Database::create().await;
    store_in(&database).await.close().await;
    let mut connection = database.connection().await;
    let name = database.url().rsplit('/').next().unwrap().trim_end_matches('?').to_owned();
    let user = format!("u{}", std::process::id());
    run(&mut connection, format!("CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY 'pa55w0rd'")).await;
    let host = database.host();
    for url in [
        // It has no right to anything.
        format!("mysql://{user}:pa55w0rd@{host}/{name}"),
        format!("mysql://{user}:wr0ng@{host}/{name}"),
        database.url().replace(&name, "tn_sql_none"),
    ] {
        let error = MySqlStore::connect(&url).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error:?}");
        let said = format!("{error} {error:?}");
        assert!(!said.contains("pa55w0rd") && !said.contains("wr0ng"), "{said}");
    }
    run(&mut connection, format!("DROP USER '{user}'@'%'")).await;
    let error = MySqlStore::connect("mysql://u:pa55w0rd@127.0.0.1:1/d").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let store = store_in(&database).await;
    let password = database.url().split(':').nth(2).unwrap().split('@').next().unwrap().to_owned();
    let plain = password.replace("%40", "@");
    let said = format!("{store:?}");
    assert!(!said.contains(&password) && !said.contains(&plain), "{said}");
    connection.close().await.unwrap();
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn many_may_make_the_same_schema_at_once_and_a_newer_or_another_one_is_refused() {
    let database = Database::create().await;
    let url = database.url();
    let opened = futures::future::join_all((0..6).map(|_| MySqlStore::connect(&url))).await;
    for store in opened {
        assert_eq!(store.unwrap().head().await.unwrap().sequence, 0);
    }
    let mut connection = database.connection().await;
    // A step that ended half-way is taken again.
    run(&mut connection, "DROP TABLE tn_receipt".to_owned()).await;
    run(&mut connection, "DELETE FROM tn_schema".to_owned()).await;
    assert_eq!(
        store_in(&database)
            .await
            .commit(&opening(&store_in(&database).await, "ceres", 1).await)
            .await
            .unwrap()
            .sequence,
        1
    );
    assert_eq!(store_in(&database).await.head().await.unwrap().sequence, 1);
    run(&mut connection, "INSERT INTO tn_schema VALUES (4, x'00')".to_owned()).await;
    let error = MySqlStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NewerVersion);
    assert!(error.to_string().contains("version 4"), "{error}");
    run(&mut connection, "DELETE FROM tn_schema WHERE version = 4".to_owned()).await;
    run(&mut connection, "UPDATE tn_schema SET checksum = x'00'".to_owned()).await;
    assert_eq!(MySqlStore::connect(&url).await.unwrap_err().kind, StoreErrorKind::Unsupported);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_damaged_row_is_told_as_such() {
    let database = Database::create().await;
    let store = store_in(&database).await;
    store.commit(&opening(&store, "ceres", 1).await).await.unwrap();
    let mut connection = database.connection().await;
    run(&mut connection, "UPDATE tn_log SET record = x'0200ff00'".to_owned()).await;
    run(&mut connection, "UPDATE tn_station SET on_hand_total = 'much'".to_owned()).await;
    assert_eq!(store.read(0, 10, usize::MAX).await.unwrap_err().kind, StoreErrorKind::Corrupt);
    let mut keys = Keys::default();
    keys.stations.insert("ceres".try_into().unwrap());
    assert_eq!(store.load(&keys).await.unwrap_err().kind, StoreErrorKind::Corrupt);
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn lists_are_read_at_a_replica_that_serves_and_nothing_is_written_there() {
    let (primary, replica) = (Database::create().await, Database::create().await);
    // Its schema comes from the primary; here, from a store of its own.
    store_in(&replica).await.close().await;
    let options = ServerOptions { read_url: Some(replica.url()), ..ServerOptions::default() };
    let store = MySqlStore::connect_with(&primary.url(), &options).await.unwrap();
    store.commit(&opening(&store, "ceres", 1).await).await.unwrap();
    let listed = store.inventory_list(&StationQuery::all(None, 10, 10)).await.unwrap();
    assert_eq!((listed.rows.len(), listed.as_of), (0, Some(0)));
    let page = InventoryQuery { items: vec![], after: None, limit: 10 };
    assert!(store.inventory(&"ceres".try_into().unwrap(), &page).await.unwrap().is_some());
    let mut lease = store.parts.lanes.replica.as_ref().unwrap().lane.lease("test").await.unwrap();
    let sql = Rendered::new(MySql::DIALECT, "UPDATE tn_head SET time = 1");
    lease.execute(&sql, &[]).await.unwrap_err();
    // How long it has been behind nobody knows, so it is not asked.
    let store = MySqlStore::connect_with(&primary.url(), &options).await.unwrap();
    let listed = store.inventory_list(&StationQuery::all(None, 10, 10)).await.unwrap();
    assert_eq!((listed.rows.len(), listed.as_of), (1, None));

    let options = ServerOptions { read_url: Some("mysql://u@127.0.0.1:1/d".to_owned()), ..options };
    let store = MySqlStore::connect_with(&primary.url(), &options).await.unwrap();
    let listed = store.inventory_list(&StationQuery::all(None, 10, 10)).await.unwrap();
    assert_eq!((listed.rows.len(), listed.as_of), (1, None));
}
