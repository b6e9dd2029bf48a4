//! What a person finds in a shell, and what is too large for a document.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use mongodb::bson::{Bson, Document, doc};
use serde_json::Value;
use trade_core::command::{Command, Fingerprint, RequestId};
use trade_core::store::{CargoRepository, EventLog, Keys, Receipt, Store, StoreErrorKind, TradeRepository};
use trade_core::testing::fixtures::{money, order, shipment_of, start_time, time, trade_id};
use trade_store_mongo::MongoStore;

async fn with_a_trade(database: &Database) -> MongoStore {
    let store = database.open().await;
    open_stations(&store, 2).await;
    let mut trade = order("T-1", "s-0", "s-1", &[("tea", 3)]);
    let mut line = trade.items[0].clone();
    line.unit_price = Some(money("12.50", "GBP"));
    trade.items = trade_core::resource::Lines::new(vec![line]).unwrap();
    trade.expires_at = Some(time("2027-01-01T00:00:00Z"));
    let keys = keys_of(std::slice::from_ref(&trade));
    let commit = decided_on(&store, &keys, start_time(), &[Command::InitiateTrade(trade)]).await;
    store.commit(&commit).await.unwrap();
    store
}

/// A document as its wire format writes it: what only the store needs is left out.
fn as_on_the_wire(document: &Document, id: &str, own: &[&str]) -> Value {
    fn value(of: &Bson) -> Value {
        match of {
            Bson::String(text) => text.as_str().into(),
            Bson::Int64(number) => (*number).into(),
            Bson::Decimal128(decimal) => decimal.to_string().into(),
            Bson::DateTime(time) => {
                let time = trade_core::values::Timestamp::from_millis(time.timestamp_millis()).unwrap();
                time.to_string().into()
            }
            Bson::Array(list) => list.iter().map(value).collect(),
            Bson::Document(document) => document.iter().map(|(key, of)| (key.clone(), value(of))).collect(),
            other => panic!("{other:?} is of no type in use"),
        }
    }
    let fields = document.iter().filter(|(key, _)| !own.contains(&key.as_str()));
    fields.map(|(key, of)| (if key == "_id" { id } else { key }.to_owned(), value(of))).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_trade_and_its_shipment_look_as_on_the_wire() {
    let database = Database::new();
    let store = with_a_trade(&database).await;
    let driver = database.driver().await;
    let find = async |collection: &str, id: &str| {
        let found = driver.collection::<Document>(collection).find_one(doc! { "_id": id }).await;
        found.unwrap().unwrap()
    };
    let document = find("trades", "T-1").await;
    let trade = store.trade(&trade_id("T-1")).await.unwrap().unwrap();
    let wire = serde_json::to_value(&*trade).unwrap();
    assert_eq!(as_on_the_wire(&document, "transactionId", &["sequence"]), wire);
    assert_eq!(document.get_i64("sequence").unwrap(), 3);
    let price = document.get_array("items").unwrap()[0].as_document().unwrap().get_document("unitPrice");
    assert_eq!(price.unwrap().get("amount"), Some(&Bson::Decimal128("12.50".parse().unwrap())));

    let document = find("cargo", "shipment-T-1").await;
    let cargo = store.cargo(&shipment_of("T-1")).await.unwrap().unwrap();
    let wire = serde_json::to_value(&*cargo).unwrap();
    let own = ["sequence", "expiresAt", "requestedETA"];
    assert_eq!(as_on_the_wire(&document, "shipmentId", &own), wire);

    let document = find("stock", "s-0/tea").await;
    let expected = doc! {
        "_id": "s-0/tea", "stationId": "s-0", "itemId": "tea",
        "onHand": 1_000_000_i64, "reserved": 3_i64, "incoming": 0_i64,
    };
    assert_eq!(document, expected);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_document_that_makes_no_sense_is_damage() {
    let database = Database::new();
    let store = with_a_trade(&database).await;
    let driver = database.driver().await;
    let trades = driver.collection::<Document>("trades");
    for change in [
        doc! { "$set": { "items": [{ "itemId": "tea", "quantity": -3_i64 }] } },
        doc! { "$set": { "items": [{ "itemId": "t/a", "quantity": 3_i64 }] } },
        doc! { "$set": { "items": [7] } },
        doc! { "$set": { "shipmentId": 7 } },
        doc! { "$unset": { "updatedAt": true } },
    ] {
        let id = doc! { "_id": "T-1" };
        let before = trades.find_one(id.clone()).await.unwrap().unwrap();
        trades.update_one(id.clone(), change.clone()).await.unwrap();
        let error = store.trade(&trade_id("T-1")).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt, "{change}: {error}");
        trades.replace_one(id, before).await.unwrap();
    }
    store.trade(&trade_id("T-1")).await.unwrap().unwrap();
    driver.collection::<Document>("head").delete_many(doc! {}).await.unwrap();
    assert_eq!(store.head().await.unwrap_err().kind, StoreErrorKind::Corrupt);
    assert_eq!(store.hold().await.unwrap_err().kind, StoreErrorKind::Corrupt);
    store.close().await;
}

/// Documents past the head can only be left by a backup that was restored in part.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn documents_past_the_head_are_damage_and_not_overwritten() {
    let database = Database::new();
    let store = with_a_trade(&database).await;
    let driver = database.driver().await;
    let back = doc! { "$set": { "sequence": 2_i64 } };
    driver.collection::<Document>("head").update_one(doc! {}, back).await.unwrap();
    let before = store.read(0, 100, usize::MAX).await.unwrap();
    let commit = decided(&store, &sales("A", 1, 2)).await;
    assert_eq!(store.commit(&commit).await.unwrap_err().kind, StoreErrorKind::Corrupt);
    assert_eq!(store.read(0, 100, usize::MAX).await.unwrap(), before);
    store.close().await;
}

fn receipt(request: u8, bytes: usize) -> Receipt {
    Receipt {
        steps: None,
        request: RequestId([request; 16]),
        fingerprint: Fingerprint([request; 16]),
        time: start_time(),
        answer: Some((0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect()),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn an_answer_of_any_length_is_kept() {
    let database = Database::new();
    let store = database.open().await;
    open_stations(&store, 2).await;
    let mut commit = decided(&store, &sales("A", 1, 2)).await;
    commit.receipts =
        vec![receipt(1, 40 << 20), receipt(2, 9), receipt(3, 8 << 20), receipt(4, (8 << 20) + 1)];
    store.commit(&commit).await.unwrap();
    let keys = Keys { requests: (0..9).map(|n| RequestId([n; 16])).collect(), ..Keys::default() };
    let mut found = store.load(&keys).await.unwrap().receipts;
    found.sort_by_key(|receipt| receipt.request);
    assert!(found == commit.receipts);
    let later = start_time().plus(std::time::Duration::from_secs(1));
    assert_eq!(store.prune_receipts(start_time(), 9).await.unwrap(), 0);
    assert_eq!(store.prune_receipts(later, 3).await.unwrap(), 3);
    assert_eq!(store.prune_receipts(later, 3).await.unwrap(), 1);
    let pieces = database.driver().await.collection::<Document>("receipt_pieces");
    assert_eq!(pieces.count_documents(doc! {}).await.unwrap(), 0);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_commit_of_many_megabytes_is_one_transaction() {
    let database = Database::new();
    let store = database.open().await;
    open_stations(&store, 200).await;
    let mut trades = sales("L", 15_000, 200);
    for trade in &mut trades {
        // Long ids, so that documents are long.
        trade.transaction_id = trade_id(&format!("{}-{}", "x".repeat(100), trade.transaction_id));
    }
    let commit = decided(&store, &trades).await;
    let head = store.commit(&commit).await.unwrap();
    assert_eq!(head.sequence, 200 + 4 * 15_000);
    let records = store.read(200, 20_000, usize::MAX).await.unwrap();
    assert_eq!(records.len(), 15_000);
    assert!(records == commit.log);
    store.close().await;
}
