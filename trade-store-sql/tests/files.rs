//! Files that are not as they should be, and files that are shared.

#![cfg(feature = "sqlite")]
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use sqlx::{Connection, Executor};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use trade_core::command::Command;
use trade_core::event::Event;
use trade_core::resource::CargoStatus;
use trade_core::store::{
    Access, CargoFilter, CargoQuery, CargoRepository, EventLog, InventoryQuery, InventoryRepository,
    LogRecord, Store, StoreErrorKind,
};
use trade_core::values::ShipmentId;
use trade_core::verify::verify;
use trade_store_sql::SqliteStore;

async fn refused(url: &str) -> StoreErrorKind {
    let error = SqliteStore::open(url).await.unwrap_err();
    assert_eq!(error.store, "sqlite");
    assert!(!error.detail.is_empty());
    error.kind
}

#[tokio::test]
async fn an_address_that_names_no_file_is_refused() {
    for url in
        ["sqlite::memory:", "sqlite://", "sqlite://?mode=memory", "postgres://localhost/x", "network.db"]
    {
        assert_eq!(refused(url).await, StoreErrorKind::Unsupported, "{url}");
    }
    assert_eq!(refused("sqlite:///no/such/folder/network.db").await, StoreErrorKind::Unavailable);
    let folder = Folder::new();
    assert_eq!(refused(&format!("{}?mode=rw", folder.url())).await, StoreErrorKind::Unavailable);
    assert!(!folder.file().exists());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_was() {
    let folder = Folder::new();
    let text = "not a database at all, but a letter to a friend. ".repeat(200);
    fs::write(folder.file(), &text).unwrap();
    assert_eq!(refused(&folder.url()).await, StoreErrorKind::Corrupt);
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), text);
}

#[tokio::test]
async fn a_damaged_file_is_told_as_such() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.commit(&opened(&store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    store.close().await;
    let mut bytes = fs::read(folder.file()).unwrap();
    // Everything past the schema's first page.
    bytes[4_096..].fill(0xa5);
    fs::write(folder.file(), &bytes).unwrap();
    assert_eq!(refused(&folder.url()).await, StoreErrorKind::Corrupt);
    assert_eq!(fs::read(folder.file()).unwrap(), bytes);
}

#[tokio::test]
async fn a_damaged_row_is_told_as_such() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.commit(&opened(&store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    let mut connection = folder.connection().await;
    connection.execute("UPDATE tn_log SET record = x'0200ff00' WHERE last = 2").await.unwrap();
    connection.execute("UPDATE tn_station SET on_hand_total = 'much' WHERE id = 'luna'").await.unwrap();
    assert_eq!(store.read(0, 1, 1).await.unwrap().len(), 1);
    assert_eq!(store.read(0, 10, usize::MAX).await.unwrap_err().kind, StoreErrorKind::Corrupt);
    let keys = keys_of(&[sale("T-1", "ceres", "luna", &[("tea", 1)])]);
    assert_eq!(store.load(&keys).await.unwrap_err().kind, StoreErrorKind::Corrupt);
}

/// Gives what is stored other ids, as an older version would have written them.
const RENAMED: &str = "
    UPDATE tn_station SET id = '..' WHERE id = 'qq';
    UPDATE tn_station SET id = '.' WHERE id = 'j';
    UPDATE tn_stock SET item = '..' WHERE item = 'zz';
    UPDATE tn_trade SET id = '..', item_lines = replace(item_lines, '\"zz\"', '\"..\"');
    UPDATE tn_trade_item SET item = '..' WHERE item = 'zz';
    UPDATE tn_cargo SET id = '..', item_lines = replace(item_lines, '\"zz\"', '\"..\"') WHERE id = 'ww';
    UPDATE tn_ledger SET item = '..' WHERE item = 'zz';
    -- In a record, the length of a text stands before it.
    UPDATE tn_log SET record = unhex(replace(replace(replace(replace(replace(hex(record),
        '027171', '022E2E'), '016A', '012E'), '027A7A', '022E2E'), '026B6B', '022E2E'), '027777', '022E2E'));
";

#[tokio::test]
async fn ids_that_are_taken_no_more_stay_readable_where_they_are_stored() {
    let folder = Folder::new();
    let store = folder.open().await;
    let (service, _) = service(Arc::new(store)).await;
    submit(&service, open_station("qq", &[("zz", 10)])).await;
    submit(&service, open_station("j", &[])).await;
    submit(&service, Command::InitiateTrade(sale("kk", "qq", "j", &[("zz", 2)]))).await;
    submit(&service, transfer("ww", "qq", "j", &[("zz", 3)])).await;
    service.shutdown().await;
    folder.run(RENAMED).await.unwrap();

    let store = Arc::new(folder.open().await);
    verify(&*store).await.unwrap();
    let events: Vec<_> =
        store.read(0, 100, usize::MAX).await.unwrap().iter().flat_map(LogRecord::events).collect();
    let told = serde_json::to_string(&events).unwrap();
    assert!(told.contains(r#""subject":"trades/..""#) && told.contains(r#""buyer":".""#), "{told}");
    assert_eq!(serde_json::from_str::<Vec<Event>>(&told).unwrap(), events);

    let (service, _) = common::service(store.clone()).await;
    let shipments = store
        .cargo_list(&CargoQuery { filter: CargoFilter::default(), before: None, limit: 10 })
        .await
        .unwrap();
    let ids: Vec<_> = shipments.rows.iter().map(|cargo| cargo.shipment_id.clone()).collect();
    assert_eq!(ids.iter().map(ShipmentId::as_str).collect::<Vec<_>>(), ["..", "shipment-.."]);
    for id in &ids {
        submit(&service, move_cargo(id, CargoStatus::Cancelled)).await;
    }
    service.shutdown().await;
    verify(&*store).await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_was() {
    let folder = Folder::new();
    folder.open().await.close().await;
    let mut connection = folder.connection().await;
    connection.execute("PRAGMA journal_mode = DELETE").await.unwrap();
    connection.execute("INSERT INTO tn_schema (version, checksum) VALUES (4, x'00')").await.unwrap();
    connection.close().await.unwrap();
    let before = fs::read(folder.file()).unwrap();
    let error = SqliteStore::open(&folder.url()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NewerVersion);
    assert!(error.to_string().contains("it has version 4"), "{error}");
    assert_eq!(fs::read(folder.file()).unwrap(), before);
}

#[tokio::test]
async fn another_schema_under_our_name_is_refused() {
    let folder = Folder::new();
    folder.open().await.close().await;
    let mut connection = folder.connection().await;
    connection.execute("UPDATE tn_schema SET checksum = x'00'").await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(refused(&folder.url()).await, StoreErrorKind::Unsupported);
}

#[tokio::test]
async fn a_file_that_may_only_be_read_is_refused() {
    let folder = Folder::new();
    folder.open().await.close().await;
    let before = fs::read(folder.file()).unwrap();
    assert_eq!(refused(&format!("{}?mode=ro", folder.url())).await, StoreErrorKind::Unsupported);
    assert_eq!(fs::read(folder.file()).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_another_process_locks_is_unavailable_and_then_available_again() {
    let folder = Folder::new();
    let store = folder.open().await;
    let commit = opened(&store, at(0), &["ceres"], &["tea"]).await;
    let mut other = folder.connection().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    // Readers are not in its way.
    assert_eq!(store.head().await.unwrap().sequence, 0);
    let error = store.commit(&commit).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.detail.contains("locked"), "{error}");
    assert_eq!(refused(&folder.url()).await, StoreErrorKind::Unavailable);
    other.execute("ROLLBACK").await.unwrap();
    store.commit(&commit).await.unwrap();
}

#[tokio::test]
async fn an_application_keeps_its_own_tables_and_migrations_in_the_same_file() {
    let folder = Folder::new();
    let mut host = folder.connection().await;
    // What `sqlx::migrate!` keeps, with a version and a table that a careless store would take for its own.
    host.execute(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, success BOOLEAN NOT NULL); \
         INSERT INTO _sqlx_migrations VALUES (1, 'the host''s', true); \
         CREATE TABLE trade (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO trade VALUES (1, 'mine');",
    )
    .await
    .unwrap();
    let store = folder.open().await;
    store.commit(&opened(&store, at(0), &["ceres"], &["tea"]).await).await.unwrap();
    host.execute("INSERT INTO _sqlx_migrations VALUES (2, 'later', true)").await.unwrap();
    host.execute("INSERT INTO trade VALUES (2, 'mine too')").await.unwrap();
    store.close().await;
    let store = folder.open().await;
    assert_eq!(store.head().await.unwrap().sequence, 1);
    let kept: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY 1")
        .fetch_all(&mut host)
        .await
        .unwrap();
    assert_eq!(kept, [1, 2]);
    let ours: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'tn\\_%' ESCAPE '\\' ORDER BY name",
    )
    .fetch_all(&mut host)
    .await
    .unwrap();
    assert_eq!(ours, ["_sqlx_migrations", "trade"]);
}

#[tokio::test]
async fn several_handles_may_make_the_same_new_file_at_once() {
    let folder = Folder::new();
    let url = folder.url();
    let opened = futures::future::join_all((0..4).map(|_| SqliteStore::open(&url))).await;
    for store in opened {
        assert_eq!(store.unwrap().head().await.unwrap().sequence, 0);
    }
}

/// Every file of a folder, with what is in it.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    files
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_file_that_is_only_read_is_left_as_it_was_with_all_beside_it() {
    let folder = Folder::new();
    let place = folder.file().parent().unwrap().to_owned();
    let store = folder.open().await;
    store.commit(&opened(&store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    // As a process that was killed leaves it: with a write-ahead log that holds everything.
    for suffix in ["", "-wal", "-shm"] {
        fs::copy(place.join(format!("network.db{suffix}")), place.join(format!("killed 100%.db{suffix}")))
            .unwrap();
    }
    // A copy of some of the files, which SQLite cannot read without making the one that is missing.
    for suffix in ["", "-wal"] {
        fs::copy(place.join(format!("network.db{suffix}")), place.join(format!("half.db{suffix}"))).unwrap();
    }
    let vacuumed = format!("VACUUM INTO '{}'", place.join("vacuumed.db").display());
    folder.connection().await.execute(sqlx::AssertSqlSafe(vacuumed)).await.unwrap();
    store.close().await;
    fs::write(place.join("empty.db"), "").unwrap();
    let before = contents(&place);
    assert!(!before.contains_key("network.db-wal"), "closed in order, it stands alone");
    for (name, told) in [
        ("network.db", None),
        ("network.db?mode=ro", None),
        ("killed 100%25.db", None),
        ("vacuumed.db", None),
        ("half.db", Some("-shm")),
        ("empty.db", Some("holds no trade network")),
        ("missing.db", Some("no such file")),
    ] {
        let url = format!("sqlite://{}/{name}", place.display());
        let opened = SqliteStore::open_with(&url, Access::ReadOnly).await;
        match told {
            None => {
                let store = opened.unwrap();
                assert_eq!(verify(&store).await.unwrap().events, 2, "{name}");
                store.close().await;
            }
            Some(told) => {
                let error = opened.unwrap_err();
                assert!(error.detail.contains(told), "{name}: {error}");
            }
        }
        assert!(contents(&place) == before, "{name} was left as it was");
    }
}

#[tokio::test]
async fn a_file_that_another_opens_while_it_is_read_is_told_of() {
    let folder = Folder::new();
    folder.open().await.close().await;
    let reader = SqliteStore::open_with(&folder.url(), Access::ReadOnly).await.unwrap();
    assert_eq!(reader.head().await.unwrap().sequence, 0);
    let store = folder.open().await;
    store.commit(&opened(&store, at(0), &["ceres"], &["tea"]).await).await.unwrap();
    assert_eq!(reader.head().await.unwrap_err().kind, StoreErrorKind::Unavailable);
    // It has been closed again, and stands alone as before.
    store.close().await;
    assert_eq!(reader.head().await.unwrap_err().kind, StoreErrorKind::Unavailable);
    // One who reads beside whoever writes sees all of it.
    let store = folder.open().await;
    let reader = SqliteStore::open_with(&folder.url(), Access::ReadOnly).await.unwrap();
    for n in 1..4 {
        store.commit(&opened(&store, at(n), &[&format!("luna-{n}")], &["tea"]).await).await.unwrap();
        assert_eq!(reader.head().await.unwrap(), store.head().await.unwrap());
    }
}

#[tokio::test]
async fn why_a_file_cannot_be_opened_is_told() {
    let folder = Folder::new();
    let place = folder.file().parent().unwrap().display().to_string();
    fs::create_dir(folder.file()).unwrap();
    fs::write(format!("{place}/file"), "").unwrap();
    for access in [Access::Migrate, Access::Existing, Access::ReadOnly] {
        for (name, told) in [
            ("network.db", "a folder stands where the file should be"),
            ("missing/network.db", "its folder is not there"),
            ("file/network.db", "what should be its folder is none"),
        ] {
            let error =
                SqliteStore::open_with(&format!("sqlite://{place}/{name}"), access).await.unwrap_err();
            assert!(error.detail.contains(told), "{name}, {access:?}: {error:?}");
        }
    }
    let error =
        SqliteStore::open_with(&format!("sqlite://{place}/new.db"), Access::Existing).await.unwrap_err();
    assert!(error.detail.contains("no such file"), "{error:?}");
    let error = SqliteStore::open(&format!("{}?cache=shared", folder.url())).await.unwrap_err();
    assert!(error.detail.contains("cache=shared"), "{error:?}");
}

#[tokio::test]
async fn a_file_of_another_encoding_keeps_every_character() {
    let folder = Folder::new();
    let mut host = folder.connection().await;
    host.execute("PRAGMA encoding = 'UTF-16'; CREATE TABLE host (note TEXT)").await.unwrap();
    let store = Arc::new(folder.open().await);
    let (service, _) = service(store.clone()).await;
    let name = "Łódź \u{1f680}";
    let mut create = open_station("ceres", &[("tea", 1), ("Tea", 1), ("t:e", 1)]);
    if let Command::CreateStation(create) = &mut create {
        create.name = Some(name.try_into().unwrap());
    }
    submit(&service, create).await;
    let query = InventoryQuery { items: Vec::new(), after: None, limit: 10 };
    let found = store.inventory(&station("ceres"), &query).await.unwrap().unwrap();
    assert_eq!(found.inventory.name.as_ref().map(|name| name.as_str()), Some(name));
    assert_eq!(verify(&*store).await.unwrap().levels, 3);
}

/// Characters that mean something in an address mean nothing in a path.
#[tokio::test]
async fn a_path_is_opened_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b%20c#d?mode=ro&é.db");
    let store = SqliteStore::open_file(&path).await.unwrap();
    store.close().await;
    assert!(path.is_file(), "{:?}", std::fs::read_dir(folder.path()).unwrap().collect::<Vec<_>>());
}
