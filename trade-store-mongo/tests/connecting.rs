//! Servers and databases that are not as they should be, each told with its remedy.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mongodb::bson::{Document, doc};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use trade_core::access::KeyStore;
use trade_core::store::{Access, EventLog, Head, Store, StoreError, StoreErrorKind};
use trade_core::testing::fixtures::{api_key, start_time};
use trade_core::verify::verify;
use trade_store_mongo::{MongoOptions, MongoStore};

async fn refused(url: &str) -> StoreError {
    MongoStore::connect_with(url, &brief()).await.unwrap_err()
}

fn brief() -> MongoOptions {
    let mut options = MongoOptions::default();
    options.connect_timeout = Duration::from_millis(700);
    options
}

#[tokio::test]
async fn a_server_that_is_down_is_told_of_in_time_and_without_the_password() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let begun = Instant::now();
    let error = refused(&format!("mongodb://ada:s3cret@127.0.0.1:{port}/x")).await;
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn an_address_of_another_kind_is_refused_without_its_password() {
    for url in
        ["postgres://ada:s3cret@h/x", "mongodb://ada:s3cret@h/x?replicaSt=rs0", "mongodb://ada:s3c%ret@:/"]
    {
        let error = refused(url).await;
        assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error}");
        assert!(!format!("{error} {error:?}").contains("s3c"), "{error:?}");
    }
}

/// A server of the test's own, killed with this.
struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = std::env::var("TRADE_TEST_MONGOD").unwrap_or_else(|_| "mongod".into());
        let process = Command::new(program)
            .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--port", &port.to_string(), "--dbpath"])
            .arg(folder.path())
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, port, _folder: folder };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_server_that_stands_alone_is_refused_with_the_remedy() {
    let server = Server::start(&[]).await;
    for parameters in ["", "?directConnection=true"] {
        let error = refused(&format!("mongodb://127.0.0.1:{}/x{parameters}", server.port)).await;
        assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error}");
        assert!(error.detail.contains("--replSet"), "{error}");
    }
}

#[tokio::test]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_replica_set_that_is_not_begun_has_nobody_to_write_to() {
    let server = Server::start(&["--replSet", "rs0"]).await;
    let error = refused(&format!("mongodb://127.0.0.1:{}/x", server.port)).await;
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn several_servers_may_start_at_once() {
    let database = Arc::new(Database::new());
    let mut starting = JoinSet::new();
    for _ in 0..6 {
        let database = database.clone();
        starting.spawn(async move { database.open().await });
    }
    for store in starting.join_all().await {
        assert_eq!(store.head().await.unwrap(), Head::EMPTY);
        store.close().await;
        assert_eq!(store.head().await.unwrap_err().kind, StoreErrorKind::Unavailable);
    }
    let noted = database.driver().await.collection::<Document>("migrations").count_documents(doc! {}).await;
    assert_eq!(noted.unwrap(), 3, "each version once");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_migration_that_was_cut_off_is_gone_on_with() {
    let database = Database::new();
    let driver = database.driver().await;
    for name in ["migrations", "head", "stations"] {
        driver.create_collection(name).await.unwrap();
    }
    let store = database.open().await;
    open_stations(&store, 1).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn documents_of_another_application_are_not_mixed_with() {
    let database = Database::new();
    let driver = database.driver().await;
    driver.collection("trades").insert_one(doc! { "buyer": "a", "items": ["fuel"] }).await.unwrap();
    let error = refused(&database.url()).await;
    assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error}");
    assert!(error.detail.contains("trades"), "{error}");
    let names = driver.list_collection_names().await.unwrap();
    assert_eq!(names, ["trades"], "nothing was made");

    let database = Database::new();
    let driver = database.driver().await;
    driver.collection("migrations").insert_one(doc! { "migration": "0001_init.js" }).await.unwrap();
    assert_eq!(refused(&database.url()).await.kind, StoreErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn what_is_only_read_can_be_audited_and_not_written() {
    let database = Database::new();
    let store = database.open().await;
    open_stations(&store, 2).await;
    let commit = decided(&store, &sales("A", 1, 2)).await;
    let key = api_key("a1b2c3d4e5f6");
    store.put_key(&key).await.unwrap();
    let mut options = MongoOptions::default();
    options.access = Access::ReadOnly;
    let reader = database.open_with(&options).await;
    assert_eq!(verify(&reader).await.unwrap().events, 2);
    for refused in [
        reader.commit(&commit).await.map(drop),
        reader.hold().await.map(drop),
        reader.prune_receipts(start_time(), 9).await.map(drop),
        reader.note_use(&[(key.id.clone(), start_time())]).await,
        reader.put_key(&key).await,
    ] {
        assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Unsupported);
    }
    store.commit(&commit).await.unwrap();
    assert_eq!(reader.head().await.unwrap(), store.head().await.unwrap());
    assert_eq!(reader.key(&key.id).await.unwrap().as_ref(), Some(&key));
    assert_eq!(reader.keys(None, 9).await.unwrap(), [key]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn another_version_is_refused() {
    let database = Database::new();
    let mut options = brief();
    options.access = Access::Existing;
    let error = MongoStore::connect_with(&database.url(), &options).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error}");
    assert!(error.detail.contains("holds no trade network"), "{error}");
    assert!(database.driver().await.list_collection_names().await.unwrap().is_empty());
    database.open().await.close().await;
    MongoStore::connect_with(&database.url(), &options).await.unwrap().close().await;
    let newer = doc! { "_id": 4, "program": "trade-network" };
    database.driver().await.collection("migrations").insert_one(newer).await.unwrap();
    let error = refused(&database.url()).await;
    assert_eq!(error.kind, StoreErrorKind::NewerVersion, "{error}");
    assert!(error.detail.contains("newer"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn what_a_validator_demands_holds_for_everybody() {
    let database = Database::new();
    let store = database.open().await;
    open_stations(&store, 1).await;
    let driver = database.driver().await;
    let stock = driver.collection::<Document>("stock");
    for change in [
        doc! { "$set": { "onHand": -1_i64 } },
        doc! { "$set": { "incoming": -1_i64 } },
        doc! { "$set": { "reserved": 1_000_001_i64 } },
        doc! { "$set": { "onHand": 1.5 } },
        doc! { "$unset": { "onHand": true } },
    ] {
        let error = stock.update_one(doc! { "_id": "s-0/tea" }, change.clone()).await.unwrap_err();
        assert!(format!("{error:?}").contains("121"), "{change}: {error}");
    }
    let trades = driver.collection::<Document>("trades");
    assert!(trades.insert_one(doc! { "_id": "T", "status": "unheard of" }).await.is_err());
    store.close().await;
}

/// A replica set of one that asks who somebody is, with an administrator `root`.
async fn guarded() -> Server {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    std::fs::write(&key, "aKeyOfNoSecretAtAll00").unwrap();
    let mut permissions = std::fs::metadata(&key).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(&key, permissions).unwrap();
    let server = Server::start(&["--replSet", "rs0", "--keyFile", key.to_str().unwrap()]).await;
    let direct = format!("mongodb://127.0.0.1:{}/?directConnection=true", server.port);
    let admin = mongodb::Client::with_uri_str(direct).await.unwrap().database("admin");
    let host = format!("127.0.0.1:{}", server.port);
    let members = doc! { "_id": "rs0", "members": [{ "_id": 0, "host": host }] };
    admin.run_command(doc! { "replSetInitiate": members }).await.unwrap();
    let root = doc! { "createUser": "root", "pwd": "r00t", "roles": ["root"] };
    for _ in 0..100 {
        if admin.run_command(root.clone()).await.is_ok() {
            return server;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the replica set has no primary");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_user_needs_read_and_write_on_the_database_and_no_more() {
    let server = guarded().await;
    let url = |user: &str| format!("mongodb://{user}@127.0.0.1:{}/net?authSource=admin", server.port);
    let admin = mongodb::Client::with_uri_str(url("root:r00t")).await.unwrap().database("admin");
    for (name, role) in [("ada", "readWrite"), ("bob", "read")] {
        let roles = [doc! { "role": role, "db": "net" }];
        let user = doc! { "createUser": name, "pwd": "s3cret", "roles": roles.to_vec() };
        admin.run_command(user).await.unwrap();
    }
    let mut to_read = MongoOptions::default();
    to_read.access = Access::ReadOnly;
    let nothing = MongoStore::connect_with(&url("bob:s3cret"), &to_read).await.unwrap_err();
    assert!(nothing.detail.contains("holds no trade network"), "{nothing}");
    for (user, remedy) in [("bob:s3cret", "readWrite"), ("ada:wr0ng", "password"), ("ada", "")] {
        let error = refused(&url(user)).await;
        assert_eq!(error.kind, StoreErrorKind::Unsupported, "{user}: {error:?}");
        assert!(error.detail.contains(remedy), "{user}: {error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
    let mut options = MongoOptions::default();
    // Longer than it takes until somebody looks who is in the way.
    options.poll_interval = Duration::from_secs(60);
    let (store, other) = (
        MongoStore::connect_with(&url("ada:s3cret"), &options).await.unwrap(),
        MongoStore::connect_with(&url("ada:s3cret"), &options).await.unwrap(),
    );
    open_stations(&store, 2).await;
    assert!(!format!("{store:?}").contains("s3cret"), "{store:?}");
    // Who may only read is told so at once, also where everything is made already; and reads.
    let error = refused(&url("bob:s3cret")).await;
    assert!(error.detail.contains("readWrite"), "{error}");
    let reader = MongoStore::connect_with(&url("bob:s3cret"), &to_read).await.unwrap();
    assert_eq!(verify(&reader).await.unwrap().events, 2);
    reader.close().await;
    // The change stream is allowed: without it this would wait for a minute.
    let waiting = async {
        while other.head().await.unwrap().sequence < 6 {
            other.changed(2).await.unwrap();
        }
    };
    let commit = decided(&store, &sales("A", 1, 2)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (heard, landed) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(10), waiting), store.commit(&commit));
    landed.unwrap();
    heard.expect("it is heard of at once");
    // And so is ending what is one's own.
    let _held = other.hold().await.unwrap();
    let begun = Instant::now();
    drop(store.hold().await.expect("who holds the head for too long loses it"));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}
