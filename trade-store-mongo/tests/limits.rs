//! What is larger than a message of the server's.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use trade_core::store::{Keys, Store};
use trade_core::testing::fixtures::{item, station};

/// So many keys that a command with all of them would be larger than the server takes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_load_of_more_keys_than_one_command_holds_finds_them_all() {
    const KEYS: usize = 120_000;
    let database = Database::new();
    let store = database.open().await;
    open_stations(&store, 3).await;
    let mut keys = keys_of(&sales("T", 3, 3));
    let stored = keys.stock.clone();
    let named = |n: usize| (station(&format!("s-{:0>100}", n % 7)), item(&format!("item-{n:0>100}")));
    keys.stock.extend((0..KEYS).map(named));
    let loaded = store.load(&keys).await.unwrap();
    let found = loaded.stock.iter().map(|row| (row.station_id.clone(), row.item_id.clone())).collect();
    assert_eq!(stored, found);
    assert_eq!(loaded.stations.len(), 3);
    assert_eq!(loaded.head, store.load(&Keys::default()).await.unwrap().head);
    store.close().await;
}
