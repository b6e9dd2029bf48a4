//! What is larger than a message of the server's.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use trade_core::store::{EventLog, Keys, Store};
use trade_core::testing::fixtures::{item, open_station, start_time, station};

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

/// Steps of which each is larger than what a reader asks for, and all of them than an answer of the server's.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_log_of_large_steps_is_read_to_its_end_whatever_is_asked_for() {
    const STATIONS: usize = 30;
    let database = Database::new();
    let store = database.open().await;
    let ids: Vec<_> = (0..STATIONS).map(|n| format!("s-{n}")).collect();
    let items: Vec<_> = (0..5_000).map(|n| format!("{n:0>128}")).collect();
    let stock: Vec<_> = items.iter().map(|item| (item.as_str(), 1)).collect();
    for id in &ids {
        let keys = Keys { stations: [station(id)].into(), ..Keys::default() };
        let commit = decided_on(&store, &keys, start_time(), &[open_station(id, &stock)]).await;
        store.commit(&commit).await.unwrap();
    }
    let last = store.head().await.unwrap().sequence;
    for (records_max, bytes_max) in
        [(1, usize::MAX), (1_000, 1), (1_000, 3 << 20), (1_000, usize::MAX), (7, 9 << 20)]
    {
        let (mut position, mut steps) = (0, Vec::new());
        loop {
            let records = store.read(position, records_max, bytes_max).await.unwrap();
            let Some(newest) = records.last() else { break };
            assert!(records.len() <= records_max);
            // The last one alone may hold more than what was left.
            let before =
                records[..records.len() - 1].iter().map(|record| record.step.encode().unwrap().len());
            assert!(before.sum::<usize>() < bytes_max.max(1));
            position = newest.last;
            steps.extend(records.into_iter().map(|record| record.step.stations[0].station_id.clone()));
        }
        assert_eq!(position, last);
        assert!(
            steps.iter().map(|id| id.as_str()).eq(ids.iter().map(String::as_str)),
            "{records_max} {bytes_max}"
        );
    }
    store.close().await;
}
