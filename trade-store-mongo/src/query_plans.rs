//! Whether every read is a search in an index, and examines no more than it needs, as the server tells.

use crate::read::walk::{EXAMINED_MAX, Span};
use crate::read::{Moment, Query, cargo, inventory, ledger, load, log, trades};
use crate::testing::database::Database;
use crate::testing::world::{decided, keys_of, open_stations, sales};
use crate::{MongoOptions, MongoStore, api_keys, connect};
use mongodb::bson::{Bson, Document, doc};
use trade_core::access::KeyStore;
use trade_core::resource::{CargoStatus, TradeStatus};
use trade_core::store::{
    CargoFilter, InventoryQuery, LedgerPosition, LedgerQuery, StationQuery, Store, StoreError, TradeFilter,
};
use trade_core::testing::fixtures::{api_key, item, shipment_of, start_time, station};
use trade_core::values::Scope;

/// How many documents a server examined for a query, and how many index entries, over all its stages. It looked through no
/// collection, and put nothing in order.
async fn examined(store: &MongoStore, query: Query) -> (i64, i64) {
    let command = query.command.clone();
    let (documents, entries, stages) = explained(store, query).await;
    assert!(!stages.iter().any(|stage| stage == "SORT"), "{command:?}\n{stages:?}");
    (documents, entries)
}

async fn explained(store: &MongoStore, query: Query) -> (i64, i64, Vec<String>) {
    let command = Document::try_from(&*query.command).unwrap();
    let explain = doc! { "explain": command.clone(), "verbosity": "executionStats" };
    let told = store.link.database.run_command(explain).await.unwrap();
    let mut stages = Vec::new();
    let (mut documents, mut entries) = (0, 0);
    visit(&Bson::Document(told.clone()), &mut |key, value| match (key, value) {
        ("stage", Bson::String(stage)) => stages.push(stage.clone()),
        ("totalDocsExamined", number) => documents += whole(number),
        ("totalKeysExamined", number) => entries += whole(number),
        _ => {}
    });
    assert!(stages.iter().all(|stage| stage != "COLLSCAN"), "{command}\n{stages:?}");
    (documents, entries, stages)
}

fn whole(number: &Bson) -> i64 {
    number.as_i64().or_else(|| number.as_i32().map(i64::from)).unwrap()
}

fn visit(value: &Bson, see: &mut impl FnMut(&str, &Bson)) {
    match value {
        Bson::Document(document) => {
            for (key, value) in document {
                // Plans that were not taken, and the parts of those that were, of which the whole is told too.
                if key != "rejectedPlans" && key != "allPlansExecution" {
                    see(key, value);
                    visit(value, see);
                }
            }
        }
        Bson::Array(list) => list.iter().for_each(|value| visit(value, see)),
        _ => {}
    }
}

async fn filled(database: &Database) -> MongoStore {
    let options = MongoOptions::default();
    let client = connect::client_options(&database.url(), &options).await.unwrap();
    let store = MongoStore::new(connect::open_by(client, &options).await.unwrap());
    open_stations(&store, 300).await;
    for n in 0..5 {
        store.commit(&decided(&store, &sales(&format!("T{n}"), 1_000, 200)).await).await.unwrap();
    }
    store
}

fn trades_page(filter: &TradeFilter, limit: usize) -> Result<Query, StoreError> {
    page(trades::walk(filter), limit)
}

fn page(walk: crate::read::walk::Walk, limit: usize) -> Result<Query, StoreError> {
    let span = Span { first: 0, before: i64::MAX };
    let pipeline = walk.pipeline(span, limit);
    let query = Query::aggregate("test", walk.collection, &pipeline, Moment::One)?;
    Ok(match walk.narrowing.index {
        Some(index) => query.by_index(index),
        None => query,
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_page_of_trades_examines_its_rows_whatever_its_filter() {
    let database = Database::new();
    let store = filled(&database).await;
    let (some, unknown) = (station("s-7"), station("nowhere"));
    let none = TradeFilter::default();
    for filter in [
        none.clone(),
        TradeFilter { seller: Some(some.clone()), ..none.clone() },
        TradeFilter { buyer: Some(some.clone()), ..none.clone() },
        TradeFilter { station: Some(some.clone()), ..none.clone() },
        TradeFilter { station: Some(unknown.clone()), ..none.clone() },
        TradeFilter { seller: Some(unknown), ..none.clone() },
        TradeFilter { item: Some(item("tea")), ..none.clone() },
        TradeFilter { item: Some(item("nothing")), ..none.clone() },
        TradeFilter { status: Some(TradeStatus::Initiated), ..none.clone() },
        TradeFilter { status: Some(TradeStatus::Failed), ..none.clone() },
    ] {
        let (documents, entries) = examined(&store, trades_page(&filter, 10).unwrap()).await;
        assert!(documents <= 11 && entries <= 13, "{documents} documents, {entries} entries: {filter:?}");
    }
    let both = TradeFilter { item: Some(item("tea")), status: Some(TradeStatus::Failed), ..none.clone() };
    let (documents, _) = examined(&store, trades_page(&both, 10).unwrap()).await;
    let most = i64::try_from(EXAMINED_MAX).unwrap();
    assert!((1..=most).contains(&documents), "{documents} documents: {both:?}");
    store.close().await;
}

/// A page of a scope searches for each of its stations at both ends, and reads the rows that it lists. Where the stations are
/// merged in parts, each part finds as many entries of its index, of which the newest become documents.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_page_of_a_scope_examines_its_rows_and_no_others() {
    let database = Database::new();
    let store = filled(&database).await;
    for (count, parts) in [(1, 1), (90, 1), (290, 3)] {
        let scope = Scope::of((0..count).map(|n| station(&format!("s-{n}")))).unwrap();
        let trades = TradeFilter { scope: scope.clone(), ..TradeFilter::default() };
        let cargo = CargoFilter { scope: scope.clone(), ..CargoFilter::default() };
        for walk in [trades::walk(&trades), cargo::walk(&cargo)] {
            let (documents, entries) = examined(&store, page(walk, 10).unwrap()).await;
            let rows = if parts == 1 { 11 } else { 11 * (parts + 1) };
            let told = format!("{documents} documents, {entries} entries of {count} stations");
            assert!(documents <= rows && entries <= 3 * 2 * count + 2 * rows, "{told}");
        }
        let cancelled = TradeFilter { status: Some(TradeStatus::Cancelled), scope, ..TradeFilter::default() };
        let (documents, _) = examined(&store, trades_page(&cancelled, 10).unwrap()).await;
        let most = (2 * parts + 1) * i64::try_from(EXAMINED_MAX).unwrap();
        assert!((1..=most).contains(&documents), "{documents} documents of {count} stations");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn everything_else_is_searched_for_as_well() {
    let database = Database::new();
    let store = filled(&database).await;
    let none = CargoFilter::default();
    for filter in [
        none.clone(),
        CargoFilter { origin: Some(station("s-7")), ..none.clone() },
        CargoFilter { destination: Some(station("s-7")), ..none.clone() },
        CargoFilter { status: Some(CargoStatus::Pending), ..none.clone() },
        CargoFilter { status: Some(CargoStatus::Lost), ..none.clone() },
    ] {
        let (documents, entries) = examined(&store, page(cargo::walk(&filter), 10).unwrap()).await;
        assert!(documents <= 11 && entries <= 13, "{documents} documents, {entries} entries: {filter:?}");
    }
    let late = CargoFilter { late_at: Some(start_time()), ..none };
    let (documents, _) = examined(&store, page(cargo::walk(&late), 10).unwrap()).await;
    // Once for the rows, and once for the place of the last one: two walks that are merged show their documents.
    assert!(documents <= 2 * i64::try_from(EXAMINED_MAX).unwrap(), "{documents}");

    let items = InventoryQuery { items: vec![], after: None, limit: 5 };
    let named = InventoryQuery { items: vec![item("tea"), item("gold")], ..items.clone() };
    let entries = LedgerQuery { item: None, before: None, limit: 5 };
    let before = Some(LedgerPosition { sequence: 9_000, index: 0 });
    let of_trades = sales("T0", 3, 200);
    for n in 0..50 {
        store.put_key(&api_key(&format!("{n:012}"))).await.unwrap();
    }
    let key = api_key(&format!("{:012}", 7)).id;
    for (most, query) in [
        (0, trades::expired_query(start_time(), 10)),
        (2, cargo::history_query(&shipment_of("T0-00001"), 0, 10).unwrap()),
        (3, inventory::one_query(&station("s-7"), &items).unwrap()),
        (3, inventory::one_query(&station("s-7"), &named).unwrap()),
        (3 * 6, inventory::list_query(&StationQuery::all(None, 5, 2)).unwrap()),
        (6, ledger::station_query(&station("s-7"), &entries).unwrap()),
        (6, ledger::station_query(&station("s-7"), &LedgerQuery { before, ..entries }).unwrap()),
        (10, log::read_query(3, 10, usize::MAX)),
        (1, api_keys::one_query(&key)),
        (10, api_keys::list_query(Some(&key), 10)),
        (1 + 3 + 3 + 4 + 8, load::query(&keys_of(&of_trades), Moment::One).unwrap()),
    ] {
        let told = format!("{:?}", query.operation);
        let (documents, _) = examined(&store, query).await;
        assert!(documents <= most, "{documents} documents: {told}");
    }
    // The stations of a scope are put in order.
    let scope = Scope::of([station("s-7"), station("s-9"), station("nowhere")]).unwrap();
    let stations = StationQuery { scope, ..StationQuery::all(None, 5, 2) };
    let (documents, ..) = explained(&store, inventory::list_query(&stations).unwrap()).await;
    assert!(documents <= 2 * 3 + 2 * 2, "{documents} documents");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_read_of_the_log_takes_no_more_documents_than_its_bytes_need() {
    let database = Database::new();
    let store = filled(&database).await;
    let sizes = async |bytes_max| {
        let query = log::read_query(0, 256, bytes_max);
        query.fetch(&store.link, |document| Ok(document.as_bytes().len())).await.unwrap()
    };
    let all = sizes(usize::MAX).await;
    assert!(all.len() > 3, "{all:?}");
    assert_eq!(sizes(1).await, all[..1]);
    assert_eq!(sizes(all[0] + 1).await, all[..2]);
    store.close().await;
}
