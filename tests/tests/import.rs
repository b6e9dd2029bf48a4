//! A database that an older network wrote is taken over: nothing in it changes, nothing of it is lost without a word,
//! and a run that was killed, or made again, comes to the same.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Client, Database};
use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use tests::address::Address;
use tests::engine::open;
use tests::server::{assert_verified, binary, run};
use tests::world::World;
use trade_core::command::{Command, CreateStation, Request};
use trade_core::resource::{Cargo, CargoStatus, Trade, TradeStatus};
use trade_core::service::TradeService;
use trade_core::store::{CargoFilter, CargoQuery, StationQuery, TradeFilter, TradeQuery};
use trade_core::testing::conformance::server_url;
use trade_core::values::Timestamp;

/// When the first document was written, in milliseconds: 2023-11-14T22:13:20Z.
const BEGIN: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// A database as Mongoose leaves it. It is dropped with this, also where a test panics.
struct Legacy {
    database: Database,
    url: String,
}

impl Legacy {
    async fn create() -> Self {
        let name = format!("tn_legacy_{}", ObjectId::new().to_hex());
        let url = Address::parse(&server_url("TRADE_TEST_MONGODB_URL")).with_database(&name).to_string();
        let client = Client::with_uri_str(&url).await.expect("the server's address is one of MongoDB");
        Self { database: client.database(&name), url }
    }

    async fn insert(&self, collection: &str, mut document: Document, minutes: i64) {
        let seconds = u32::try_from((BEGIN + minutes * MINUTE) / 1_000).expect("a time before 2106");
        let id =
            ObjectId::from_parts(seconds, [7; 5], ObjectId::new().bytes()[9..].try_into().expect("3 bytes"));
        let mut whole = doc! { "_id": id };
        document.insert("__v", 0);
        whole.extend(document);
        self.database.collection(collection).insert_one(whole).await.expect("a document is written");
    }

    async fn station(&self, id: &str, quantity: impl Into<Bson>, items: &[&str]) {
        let document = doc! { "stationId": id, "quantity": quantity.into(), "items": items };
        self.insert("inventories", document, 0).await;
    }

    /// A trade that was initiated so many minutes after the first, and changed ten minutes later.
    async fn trade(&self, id: &str, (seller, buyer): (&str, &str), item: &str, status: &str, minutes: i64) {
        let made = BEGIN + minutes * MINUTE;
        let changed = if status == "initiated" { made } else { made + 10 * MINUTE };
        let document = doc! {
            "transactionId": id, "buyer": buyer, "seller": seller, "items": [item], "status": status,
            "createdAt": DateTime::from_millis(made), "updatedAt": DateTime::from_millis(changed),
        };
        self.insert("trades", document, minutes).await;
    }

    async fn cargo(
        &self,
        id: &str,
        (origin, destination): (&str, &str),
        item: &str,
        status: &str,
        minutes: i64,
    ) {
        let document = doc! {
            "shipmentId": id, "origin": origin, "destination": destination, "items": [item], "status": status,
            "ETA": DateTime::from_millis(BEGIN + 10_000 * MINUTE),
        };
        self.insert("cargos", document, minutes).await;
    }

    /// A digest of every collection, by the server.
    async fn hash(&self) -> Document {
        let mut hash = self.database.run_command(doc! { "dbHash": 1 }).await.expect("the server can hash it");
        hash.remove("collections").expect("there are collections").as_document().expect("by name").clone()
    }

    async fn import(&self, store: &str) -> Output {
        run(&["import-legacy", "--from", &self.url, "--store", store]).await
    }
}

impl Drop for Legacy {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.database.name().to_owned());
        // Whatever runtime drops this may not be able to wait, or be about to end.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let client = Client::with_uri_str(&url).await.expect("it was one before");
                client.database(&name).drop().await
            })
        });
        let dropped = dropping.join();
        if !std::thread::panicking() {
            dropped.expect("no panic").expect("the database is dropped");
        }
    }
}

/// Everything in a store.
#[derive(Debug, PartialEq)]
struct Kept {
    trades: BTreeMap<String, Trade>,
    cargo: BTreeMap<String, Cargo>,
    /// On hand, where there is any, by `station/item`.
    stock: BTreeMap<String, u64>,
    stations: Vec<String>,
}

impl Kept {
    async fn of(url: &str) -> Self {
        let opened = open(url).await;
        let store = opened.store();
        let (mut trades, mut cargo) = (BTreeMap::new(), BTreeMap::new());
        let mut query = TradeQuery { filter: TradeFilter::default(), before: None, limit: 500 };
        loop {
            let page = store.trades(&query).await.expect("trades can be read");
            trades.extend(
                page.rows.iter().map(|trade| (trade.transaction_id.to_string(), Trade::clone(trade))),
            );
            query.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        let mut query = CargoQuery { filter: CargoFilter::default(), before: None, limit: 500 };
        loop {
            let page = store.cargo_list(&query).await.expect("cargo can be read");
            cargo.extend(page.rows.iter().map(|cargo| (cargo.shipment_id.to_string(), Cargo::clone(cargo))));
            query.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        let stations = store
            .inventory_list(&StationQuery::all(None, 500, 500))
            .await
            .expect("stations can be read")
            .rows;
        let levels = stations.iter().flat_map(|station| {
            let id = &station.station_id;
            let held = station.items.iter().filter(|item| item.level.on_hand > 0);
            held.map(move |item| (format!("{id}/{}", item.item_id), item.level.on_hand))
        });
        let stock = levels.collect();
        // Newest first.
        let stations = stations.iter().rev().map(|station| station.station_id.to_string()).collect();
        opened.close().await;
        Self { trades, cargo, stock, stations }
    }

    fn status(&self, trade: &str) -> (TradeStatus, CargoStatus) {
        (self.trades[trade].status, self.cargo[&format!("shipment-{trade}")].status)
    }
}

async fn head(url: &str) -> u64 {
    let opened = open(url).await;
    let head = opened.store().head().await.expect("the head can be read");
    opened.close().await;
    head.sequence
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_done(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn minute(minutes: i64) -> Timestamp {
    Timestamp::from_millis(BEGIN + minutes * MINUTE).expect("a time of this century")
}

/// What an older network leaves, and what only years of use do.
async fn write_odd_database(legacy: &Legacy) {
    legacy.station("s1", 3, &["fuel", "ore", "tea"]).await;
    legacy.station("s2", 1e9, &["i1"]).await;
    legacy.station("s3", -2, &[]).await;
    legacy.station("Mars Base", 0, &[]).await;
    let way = ("s1", "s2");
    // The older network lists an item that came in twice only once.
    for (id, status, cargo, minutes) in [
        ("T-1", "initiated", "pending", 1),
        ("T-2", "completed", "delivered", 2),
        ("T-3", "cancelled", "cancelled", 3),
        ("T-4", "initiated", "in_transit", 4),
        ("T-5", "initiated", "delivered", 5),
        ("T-6", "lent", "pending", 6),
    ] {
        legacy.trade(id, way, "i1", status, minutes).await;
        legacy.cargo(&format!("shipment-{id}"), way, "i1", cargo, minutes).await;
    }
    legacy.trade("T-7", way, "i2", "completed", 7).await;
    legacy.trade("T-8", ("ghost", "s3"), "i1", "initiated", 8).await;
    legacy.trade("T 9", way, "i1", "initiated", 9).await;
    legacy.cargo("shipment-T-10", way, "i3", "delivered", 10).await;
    legacy.cargo("S-11", ("s1", "s3"), "ore", "pending", 11).await;
    legacy.cargo("S-12", ("s1", "s3"), "i9", "pending", 12).await;
    // Without Mongoose's unique index nothing forbids it.
    legacy.trade("T-1", way, "i4", "initiated", 13).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_database_of_an_older_network_is_taken_over_whole_and_every_oddity_is_told() {
    let legacy = Legacy::create().await;
    write_odd_database(&legacy).await;
    let before = legacy.hash().await;
    let world = World::new();
    let (store, lines) = (world.sqlite(), world.path("report.txt"));
    let output = run(&["import-legacy", "--from", &legacy.url, "--store", &store, "--report", &lines]).await;
    let report = assert_done(&output);
    for line in [
        "  trades      7 of 10, 3 not taken over",
        "  cargos      7 of 9, 2 not taken over",
        "  inventories 3 of 4, 1 not taken over",
        "  quantity does not match the items, which were taken: 2",
        "  station without inventory, made without stock: 1",
        "  trade without cargo, which was made: 2",
        "  cargo without its trade, which was made: 1",
        "  statuses of trade and cargo disagree: 1",
        "  an id that the network refuses: 2",
        "  another document has its id: 1",
        "  no such status: 1",
        "  its trade was not taken over: 1",
        "  its origin does not hold what it is to send: 1",
    ] {
        assert!(report.lines().any(|found| found == line), "{line:?} is not in\n{report}");
    }
    let all = std::fs::read_to_string(&lines).expect("the file is written");
    assert_eq!(all.lines().filter(|line| line.starts_with("not taken over: ")).count(), 6, "{all}");
    assert!(all.contains(": s2: quantity 1000000000, the items are 1\n"), "{all}");

    let kept = Kept::of(&store).await;
    let stock = ["s1/fuel", "s1/ore", "s1/tea", "s2/i1"].map(|level| (level.to_owned(), 1));
    assert_eq!(kept.stock, BTreeMap::from(stock));
    assert_eq!(kept.stations, ["s1", "s2", "s3", "ghost"]);
    assert_eq!(kept.status("T-1"), (TradeStatus::Initiated, CargoStatus::Pending));
    assert_eq!(kept.status("T-2"), (TradeStatus::Completed, CargoStatus::Delivered));
    assert_eq!(kept.status("T-3"), (TradeStatus::Cancelled, CargoStatus::Cancelled));
    assert_eq!(kept.status("T-4"), (TradeStatus::Initiated, CargoStatus::InTransit));
    assert_eq!(kept.status("T-5"), (TradeStatus::Completed, CargoStatus::Delivered));
    assert_eq!(kept.status("T-7"), (TradeStatus::Completed, CargoStatus::Delivered));
    assert_eq!(kept.status("T-10"), (TradeStatus::Completed, CargoStatus::Delivered));
    assert_eq!(kept.cargo["S-11"].status, CargoStatus::Pending);
    assert_eq!((kept.trades.len(), kept.cargo.len()), (8, 9));
    let trade = &kept.trades["T-2"];
    assert_eq!((trade.created_at, trade.updated_at), (minute(2), minute(12)));
    assert_eq!(kept.cargo["shipment-T-2"].eta, minute(10_000));
    assert_verified(&store).await;

    let end = head(&store).await;
    let again = assert_done(&legacy.import(&store).await);
    assert!(again.contains("trades      7 of 10, 3 not taken over"), "{again}");
    assert_eq!((head(&store).await, Kept::of(&store).await), (end, kept));
    assert_eq!(legacy.hash().await, before);
}

/// Trades that come back and forth, so that stock is needed that a later trade brings.
async fn write_busy_database(legacy: &Legacy, trades: i64) {
    let stations: Vec<_> = (0..8).map(|number| format!("s{number}")).collect();
    for station in &stations {
        legacy.station(station, 1, &["i0"]).await;
    }
    let statuses = ["initiated", "completed", "cancelled", "failed"];
    for number in 0..trades {
        let place = |number: i64| &*stations[usize::try_from(number % 8).expect("not negative")];
        let way = (place(number * 3), place(number * 3 + 1 + number % 7));
        let status = statuses[usize::try_from(number % 4).expect("not negative")];
        legacy.trade(&format!("T-{number}"), way, &format!("i{}", number % 3), status, number).await;
    }
}

/// Runs a take-over and kills it once the log is so long.
async fn killed_at(legacy: &Legacy, store: &str, sequence: u64) {
    let mut importing = tokio::process::Command::new(binary())
        .args(["import-legacy", "--from", &legacy.url, "--store", store])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it can be started");
    let (begin, opened) = (Instant::now(), open(store).await);
    while opened.store().head().await.expect("the head can be read").sequence < sequence {
        assert!(begin.elapsed() < PATIENCE, "it does not come to {sequence}");
        assert!(importing.try_wait().expect("its end can be seen").is_none(), "it ended before {sequence}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    importing.kill().await.expect("it can be killed");
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_run_that_was_killed_again_and_again_comes_to_the_same_as_one_that_was_not() {
    const TRADES: i64 = 400;
    let legacy = Legacy::create().await;
    write_busy_database(&legacy, TRADES).await;
    let before = legacy.hash().await;
    let (whole, killed) = (World::new(), World::new());
    assert_done(&legacy.import(&whole.sqlite()).await);
    let (expected, end) = (Kept::of(&whole.sqlite()).await, head(&whole.sqlite()).await);
    assert_eq!(expected.trades.len(), 400);
    let held: BTreeMap<_, _> = (0..8).map(|number| (format!("s{number}/i0"), 1)).collect();
    assert_eq!(expected.stock, held);
    // Among the openings, in the middle, and at the corrections.
    for sequence in [3, 9, end / 4, end / 2, end - 30, end - 3] {
        killed_at(&legacy, &killed.sqlite(), sequence).await;
        assert_verified(&killed.sqlite()).await;
    }
    assert_done(&legacy.import(&killed.sqlite()).await);
    assert_eq!((Kept::of(&killed.sqlite()).await, head(&killed.sqlite()).await), (expected, end));
    assert_verified(&killed.sqlite()).await;
    assert_eq!(legacy.hash().await, before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_store_that_holds_something_else_is_refused_and_nothing_is_taken_over() {
    let legacy = Legacy::create().await;
    write_odd_database(&legacy).await;
    let world = World::new();
    let opened = open(&world.sqlite()).await;
    let service = TradeService::start(opened.store()).await.expect("a service");
    let station = CreateStation::new("s2".try_into().expect("an id"));
    service.submit(Request::new(Command::CreateStation(station))).await.expect("a station of the same id");
    service.shutdown().await;
    opened.close().await;
    let output = legacy.import(&world.sqlite()).await;
    assert_eq!(output.status.code(), Some(1));
    let line = text(&output.stderr);
    assert!(line.contains("nothing was taken over: there is a station s2 already"), "{line}");
    assert_eq!(head(&world.sqlite()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_source_that_has_changed_since_is_not_taken_over_a_second_time() {
    let legacy = Legacy::create().await;
    write_odd_database(&legacy).await;
    let world = World::new();
    assert_done(&legacy.import(&world.sqlite()).await);
    let end = head(&world.sqlite()).await;
    legacy.trade("T-20", ("s1", "s3"), "i1", "initiated", 20).await;
    let output = legacy.import(&world.sqlite()).await;
    assert_eq!(output.status.code(), Some(1));
    let line = text(&output.stderr);
    assert!(
        line.contains("nothing was taken over") && line.contains("the source has changed since"),
        "{line}"
    );
    assert_eq!(head(&world.sqlite()).await, end);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn what_the_network_did_since_it_took_over_is_left_alone_by_another_run() {
    let legacy = Legacy::create().await;
    write_odd_database(&legacy).await;
    let world = World::new();
    assert_done(&legacy.import(&world.sqlite()).await);
    let opened = open(&world.sqlite()).await;
    let service = TradeService::start(opened.store()).await.expect("a service");
    let update = trade_core::command::UpdateCargo {
        status: Some(CargoStatus::Delivered),
        ..trade_core::command::UpdateCargo::new("shipment-T-4".try_into().expect("an id"))
    };
    service.submit(Request::new(Command::UpdateCargo(update))).await.expect("it was in transit");
    service.shutdown().await;
    opened.close().await;
    let (kept, end) = (Kept::of(&world.sqlite()).await, head(&world.sqlite()).await);
    assert_eq!(kept.status("T-4"), (TradeStatus::Completed, CargoStatus::Delivered));
    assert_done(&legacy.import(&world.sqlite()).await);
    assert_eq!((Kept::of(&world.sqlite()).await, head(&world.sqlite()).await), (kept, end));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn times_and_numbers_of_every_type_are_taken_and_what_is_taken_otherwise_is_named() {
    let legacy = Legacy::create().await;
    let ore = |quantity: Bson| doc! { "itemId": "ore", "quantity": quantity };
    let decimal = |text: &str| Bson::Decimal128(text.parse().expect("a number"));
    for (id, quantity, units) in
        [("s1", decimal("9.00"), 9), ("s2", decimal("1E+3"), 1_000), ("s3", "9.0".into(), 9)]
    {
        let document = doc! { "stationId": id, "quantity": units, "items": [ore(quantity)] };
        legacy.insert("inventories", document, 0).await;
    }
    let ahead = DateTime::from_millis(253_000_000_000_000);
    for (id, made, changed) in [
        ("T-1", "2023-11-15T00:13:20+02:00".into(), "2023-11-14T22:43:20.5Z".into()),
        ("T-2", "yesterday".into(), Bson::from(ahead)),
    ] {
        let document = doc! {
            "transactionId": id, "buyer": "s1", "seller": "s2", "items": ["ore"], "status": "completed",
            "createdAt": Bson::clone(&made), "updatedAt": changed,
        };
        legacy.insert("trades", document, 20).await;
        legacy.cargo(&format!("shipment-{id}"), ("s2", "s1"), "ore", "delivered", 20).await;
    }
    let world = World::new();
    let report = assert_done(&legacy.import(&world.sqlite()).await);
    for told in [
        "  time that cannot be read, left out: 1",
        "createdAt \"yesterday\": the time in its _id was taken, if any",
        "  time in the future, taken as now: 1",
        ": updatedAt DateTime(",
    ] {
        assert!(report.contains(told), "{told:?} is not in\n{report}");
    }
    assert!(!report.contains("quantity does not match"), "{report}");
    let kept = Kept::of(&world.sqlite()).await;
    let expected = [("s1/ore", 9), ("s2/ore", 1_000), ("s3/ore", 9)];
    assert_eq!(kept.stock, expected.map(|(level, units)| (level.to_owned(), units)).into());
    let trade = &kept.trades["T-1"];
    assert_eq!((trade.created_at, trade.updated_at.millis()), (minute(0), minute(30).millis() + 500));
    assert_eq!(kept.trades["T-2"].created_at, minute(20));
    assert_verified(&world.sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_source_most_of_which_is_not_taken_over_is_no_success() {
    let legacy = Legacy::create().await;
    legacy.station("s1", 1, &["fuel"]).await;
    for (id, status) in [("T-1", "completed"), ("T-2", "lent"), ("T-3", "lent")] {
        legacy.trade(id, ("s1", "s2"), "fuel", status, 1).await;
    }
    let world = World::new();
    let output = legacy.import(&world.sqlite()).await;
    let (report, line) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{report}{line}");
    assert!(line.contains("most was not taken over: 2 of 3 trades"), "{line}");
    assert!(report.contains("  trades      1 of 3, 2 not taken over"), "{report}");
    assert_eq!(Kept::of(&world.sqlite()).await.trades.len(), 1, "what could be taken over was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_used_is_one_line_without_its_password() {
    let world = World::new();
    for (from, code) in [
        ("mongodb://ada:s3cret@127.0.0.1:1/x?serverSelectionTimeoutMS=300", 1),
        ("mongodb://ada:s3cret@127.0.0.1:1", 2),
        ("mongodb://ada:s3:cret@@h:x/y", 2),
        ("postgres://ada:s3cret@h/x", 2),
    ] {
        let output = run(&["import-legacy", "--from", from, "--store", &world.sqlite()]).await;
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains("s3cret") && !line.contains("cret@"), "{line}");
    }
    let same = "mongodb://127.0.0.1:1/x?serverSelectionTimeoutMS=300";
    let output = run(&["import-legacy", "--from", same, "--store", same]).await;
    assert!(!output.status.success());
}
