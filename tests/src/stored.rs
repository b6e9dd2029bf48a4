//! Networks as earlier versions have kept them: of each version a dump of each engine, and what stands in it
//! (`tests/stored`).

use crate::engine::Engine;
use mongodb::bson::{Document, doc};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, MySqlConnection, PgConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use trade_core::clock::{ManualClock, UuidV7};
use trade_core::command::{Command, InitiateTrade, Outcome, Request, UpdateCargo};
use trade_core::event::{Actor, Event};
use trade_core::resource::{CargoStatus, Line, Lines, TradeStatus};
use trade_core::service::{ServiceOptions, TradeService};
use trade_core::store::Store;
use trade_core::testing::fixtures::{
    adjust, batch, end_trade, initiate, key, label, metadata, move_cargo, open_station, order, priced, sale,
    shipment_id, shipment_of, start_time, time, track, transfer,
};

/// A file of a version.
fn file(version: u32, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("stored").join(version.to_string()).join(name)
}

fn text(version: u32, name: &str) -> String {
    let path = file(version, name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The events that a dump holds, as JSON, in order.
pub fn events(version: u32) -> Vec<String> {
    text(version, "events.jsonl").lines().map(str::to_owned).collect()
}

/// What the requests with a key were answered, as JSON, in the order of [`keyed`].
pub fn answers(version: u32) -> Vec<String> {
    text(version, "answers.jsonl").lines().map(str::to_owned).collect()
}

/// The requests with a key that a version knows.
pub fn keyed(version: u32) -> Vec<Request> {
    requests(version).into_iter().filter(|request| request.idempotency.is_some()).collect()
}

/// What is asked for to make the network of a version: something of everything that is stored.
fn requests(version: u32) -> Vec<Request> {
    let plain = Request::new;
    let of = |id: &str, status| Request::new(move_cargo(shipment_of(id), status));
    let user = |command| Request::new(command).by(Actor::User("ada".into()));
    let priced_lines = Lines::new(vec![
        priced("tea", 3, "12.50"),
        Line { unit_price: None, ..priced("ice", 2, "1") },
        priced("ice", 1, "0.123456"),
    ]);
    let bought =
        InitiateTrade { items: priced_lines.expect("lines"), ..sale("T-1", "ceres", "luna", &[("tea", 1)]) };
    let late = InitiateTrade {
        expires_at: Some(time("2026-11-22T10:30:00.000Z")),
        ..order("T-7", "ceres", "luna", &[("tea", 2)])
    };
    let early = InitiateTrade {
        expires_at: Some(time("2027-01-01T00:00:00.000Z")),
        eta: Some(time("2026-12-01T00:00:00.000Z")),
        ..order("T-2", "ceres", "luna", &[("tea", 4)])
    };
    let together = vec![early, sale("T-3", "ceres", "nowhere", &[("tea", 1)]), bought.clone()];
    let many: Vec<String> = (0..100).map(|n| format!("part-{n:03}")).collect();
    let many: Vec<(&str, u64)> = many.iter().map(|name| (name.as_str(), 10)).collect();
    let seen = UpdateCargo {
        status: Some(CargoStatus::InTransit),
        location: Some(label("Lagrange point 4 · Łódź")),
        eta: Some(time("2026-11-30T12:00:00.000Z")),
        ..track(shipment_id("X-1"))
    };
    let mut named = open_station("ceres", &[("tea", 1_000), ("ice", 50)]);
    if let Command::CreateStation(station) = &mut named {
        station.name = Some(label("Ceres Station"));
    }
    let mut requests = vec![
        user(named),
        plain(open_station("luna", &[])),
        plain(open_station("depot", &many)),
        user(initiate(bought)).once(key(1, 1)).named("first"),
        plain(batch(false, together)).once(key(2, 1)),
        of("T-2", CargoStatus::InTransit),
        of("T-2", CargoStatus::Delivered).once(key(3, 1)),
        plain(initiate(order("T-4", "ceres", "luna", &[("tea", 5)]))),
        user(end_trade("T-4", TradeStatus::Cancelled)),
        plain(initiate(sale("T-5", "ceres", "luna", &[("tea", 6)]))),
        of("T-5", CargoStatus::InTransit),
        of("T-5", CargoStatus::Returned),
        plain(initiate(order("T-6", "ceres", "luna", &[("tea", 7)]))),
        of("T-6", CargoStatus::InTransit),
        of("T-6", CargoStatus::Lost),
        plain(initiate(late)),
        plain(Command::CreateTransfer(transfer("X-1", "ceres", "depot", &[("tea", 8), ("ice", 1)])))
            .once(key(4, 1)),
        plain(Command::UpdateCargo(seen)).once(key(5, 1)),
        plain(Command::CreateTransfer(transfer("X-2", "depot", "luna", &[("part-007", 2)]))),
        plain(adjust("depot", &[("part-001", 5), ("part-002", -3)])).once(key(6, 1)),
        plain(adjust("depot", &[("part-001", -1)])).once(key(7, 1)),
        Request::new(adjust("luna", &[("ice", 9)])).by(Actor::Key("counter".into())),
    ];
    if version >= 2 {
        requests.extend(told());
    }
    requests
}

/// What the second version brought: metadata.
fn told() -> Vec<Request> {
    let told = |n: u32| Some(metadata(&[("order", &n.to_string()), ("note", "żółw \"🚢\"")]));
    let trade = InitiateTrade { metadata: told(1), ..order("T-8", "ceres", "luna", &[("tea", 1)]) };
    let mut moved = transfer("X-3", "ceres", "luna", &[("tea", 1)]);
    moved.metadata = told(2);
    let mut opened = open_station("vesta", &[]);
    if let Command::CreateStation(station) = &mut opened {
        station.metadata = told(3);
    }
    let mut renamed = trade_core::testing::fixtures::adjustment("luna", &[]);
    (renamed.name, renamed.metadata) = (Some(label("Luna")), told(4));
    let seen = UpdateCargo { metadata: told(5), ..track(shipment_of("T-8")) };
    let replaced = UpdateCargo { metadata: told(6), ..track(shipment_id("X-3")) };
    vec![
        Request::new(initiate(trade)).once(key(8, 1)),
        Request::new(Command::CreateTransfer(moved)).once(key(9, 1)),
        Request::new(opened).once(key(10, 1)),
        Request::new(Command::AdjustInventory(renamed)).once(key(11, 1)),
        Request::new(Command::UpdateCargo(seen)).once(key(12, 1)),
        Request::new(Command::UpdateCargo(replaced)),
    ]
}

/// Starts a service at the time at which the network of the dumps ends.
pub async fn service(store: Arc<dyn Store>, at: Duration) -> (TradeService, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(start_time()));
    clock.advance(at);
    let service = TradeService::start_with(store, clock.clone(), Arc::new(UuidV7), ServiceOptions::default());
    (service.await.expect("the store can be read"), clock)
}

/// How long it takes to make it, by the clock of the network.
pub const TAKES: Duration = Duration::from_secs(60 * 60);

/// Makes the network of a version in an empty store. Answers its events, and the answers to [`keyed`].
pub async fn fill(store: Arc<dyn Store>, version: u32) -> (Vec<String>, Vec<String>) {
    let (service, clock) = service(store.clone(), Duration::ZERO).await;
    let mut answers = Vec::new();
    for request in requests(version) {
        clock.advance(Duration::from_secs(1));
        let is_kept = request.idempotency.is_some();
        let answer = service.submit(request).await.expect("it is as it should be");
        answers.extend(is_kept.then(|| json(&answer.outcome)));
    }
    clock.advance(TAKES - Duration::from_secs(requests(version).len() as u64));
    service.expire_due().await.expect("a trade expires");
    service.shutdown().await;
    (stored_events(&*store).await, answers)
}

fn as_json(event: &Event) -> String {
    serde_json::to_string(event).expect("it has a JSON form")
}

/// The events of a store, as JSON.
pub async fn stored_events(store: &dyn Store) -> Vec<String> {
    let events = trade_core::testing::snapshot::log(store).await;
    events.iter().flat_map(|record| record.events()).map(|event| as_json(&event)).collect()
}

/// An answer as JSON.
pub fn json(outcome: &Outcome) -> String {
    serde_json::to_string(outcome).expect("it has a JSON form")
}

/// A trade that goes on where a dump ends.
pub fn next_trade(id: &str) -> InitiateTrade {
    sale(id, "ceres", "luna", &[("tea", 1)])
}

/// Puts the dump of a version into an empty database.
pub async fn restore(engine: Engine, url: &str, version: u32) {
    let sql = |name| AssertSqlSafe(text(version, name));
    match engine {
        Engine::Sqlite => {
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(url.trim_start_matches("sqlite://"))
                .create_if_missing(true);
            let mut file = options.connect().await.expect("a file");
            file.execute(sqlx::raw_sql(sql("sqlite.sql"))).await.expect("the dump is SQL");
            file.close().await.expect("it is written");
        }
        Engine::Postgres => {
            let mut server = PgConnection::connect(url).await.expect("the server is there");
            server.execute(sqlx::raw_sql(sql("postgres.sql"))).await.expect("the dump is SQL");
            server.close().await.expect("it is written");
        }
        Engine::Mysql => {
            let mut server = MySqlConnection::connect(url).await.expect("the server is there");
            server.execute(sqlx::raw_sql(sql("mysql.sql"))).await.expect("the dump is SQL");
            server.close().await.expect("it is written");
        }
        Engine::Mongo => {
            let path = file(version, "mongodb.bson");
            let dump = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            restore_mongo(url, &dump).await;
        }
    }
}

async fn mongo(url: &str) -> mongodb::Database {
    let client = mongodb::Client::with_uri_str(url).await.expect("the server is there");
    client.default_database().expect("the URL names a database")
}

/// A dump of a MongoDB database: documents behind each other, as `mongodump` writes them; before those of a collection
/// one that names it, with its validator and its indexes.
pub async fn dump_mongo(url: &str) -> Vec<u8> {
    use futures::TryStreamExt;
    let database = mongo(url).await;
    let mut dump = Vec::new();
    let mut add = |document: &Document| document.to_writer(&mut dump).expect("it is BSON");
    let mut names = database.list_collection_names().await.expect("collections");
    names.sort();
    for name in names {
        let listed = first(&database, doc! { "listCollections": 1, "filter": { "name": &name } }).await;
        let options = listed.first().and_then(|listed| listed.get_document("options").ok());
        let validator = options.and_then(|options| options.get_document("validator").ok()).cloned();
        let mut indexes = first(&database, doc! { "listIndexes": &name }).await;
        indexes.retain(|index| index.get_str("name").is_ok_and(|name| name != "_id_"));
        add(&doc! { "collection": &name, "validator": validator.unwrap_or_default(), "indexes": indexes });
        let found = database.collection::<Document>(&name).find(doc! {}).sort(doc! { "_id": 1 }).await;
        let found: Vec<Document> = found.expect("documents").try_collect().await.expect("documents");
        found.iter().for_each(&mut add);
    }
    dump
}

/// The first, and only, batch of what a command lists.
async fn first(database: &mongodb::Database, command: Document) -> Vec<Document> {
    let listed = database.run_command(command).await.expect("it is listed");
    let batch = listed.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    batch.expect("a batch").iter().filter_map(|listed| listed.as_document().cloned()).collect()
}

async fn restore_mongo(url: &str, mut dump: &[u8]) {
    let database = mongo(url).await;
    let mut into = None;
    while !dump.is_empty() {
        let document = Document::from_reader(&mut dump).expect("a dump is BSON");
        let Ok(name) = document.get_str("collection") else {
            let documents: &mongodb::Collection<Document> = into.as_ref().expect("a collection");
            documents.insert_one(document).await.expect("it is as it was");
            continue;
        };
        let validator = document.get_document("validator").expect("a validator").clone();
        database.run_command(doc! { "create": name, "validator": validator }).await.expect("a collection");
        let indexes = document.get_array("indexes").expect("indexes").clone();
        if !indexes.is_empty() {
            let made = database.run_command(doc! { "createIndexes": name, "indexes": indexes }).await;
            made.expect("indexes");
        }
        into = Some(database.collection(name));
    }
}
