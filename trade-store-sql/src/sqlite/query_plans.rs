//! No statement reads a table from one end to the other: each finds its rows by a key or an index.

use super::{Sqlite, SqliteStore, batch};
use crate::commit::{RowSet, Written, keys};
use crate::dialect::{Rendered, Template};
use crate::engine::Engine;
use crate::plan::Plan;
use crate::read::{cargo, inventory, ledger, load, log, trades};
use sqlx::{AssertSqlSafe, Row};
use trade_core::resource::{CargoStatus, TradeStatus};
use trade_core::store::{CargoFilter, TradeFilter};
use trade_core::values::{StationId, Timestamp};

async fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("plans.db").display());
    let store = SqliteStore::open(&url).await.unwrap();
    (folder, store)
}

/// Names of what a statement cut to a bounded number of rows.
const BOUNDED: [&str; 19] = [
    "w",
    "k",
    "v",
    "shipment",
    "sold",
    "bought",
    "both_sides",
    "trades",
    "transfers",
    "shipments",
    "pending",
    "moving",
    "open_ones",
    "later",
    "from_place",
    "to_place",
    "listed_at",
    "records",
    "sums",
];

/// Asserts that every access to a table of the statement is a search.
async fn assert_searches(store: &SqliteStore, template: &str) {
    assert_plan_searches(store, &Rendered::new(Sqlite::DIALECT, template).text).await;
}

async fn assert_plan_searches(store: &SqliteStore, sql: &str) {
    let mut lease = store.lanes.writer.lease("explain").await.unwrap();
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let plan = sqlx::query(AssertSqlSafe(explain)).fetch_all(&mut lease.connection).await.unwrap();
    lease.give_back();
    let steps: Vec<String> = plan.iter().map(|row| row.get::<String, _>(3)).collect();
    assert!(steps.iter().any(|step| step.starts_with("SEARCH")), "{sql}\n{steps:#?}");
    for step in &steps {
        assert!(!step.contains("AUTOMATIC"), "an index is built for one query:\n{sql}\n{steps:#?}");
        // What may be scanned is what was cut to a bounded number of rows before: a walk, the keys, the values.
        let Some(of) = step.strip_prefix("SCAN ") else { continue };
        let name = of.split(' ').next().unwrap();
        let bounded = BOUNDED.contains(&name);
        let nested = name.starts_with("(subquery") || name == "json_each";
        let nested = nested || of.ends_with("CONSTANT ROW") || of.ends_with("VALUES CLAUSE");
        assert!(bounded || nested, "{step}\n{sql}\n{steps:#?}");
    }
}

#[tokio::test]
async fn every_list_of_trades_is_a_search() {
    let (_folder, store) = store().await;
    let id: StationId = "ceres".try_into().unwrap();
    for mask in 0..32_u32 {
        let has = |bit: u32| mask & (1 << bit) != 0;
        let plan = Plan::of_trades(&TradeFilter {
            station: has(0).then(|| id.clone()),
            buyer: has(1).then(|| id.clone()),
            seller: has(2).then(|| id.clone()),
            status: has(3).then_some(TradeStatus::Initiated),
            item: has(4).then(|| "tea".try_into().unwrap()),
            ..TradeFilter::default()
        });
        assert_searches(&store, &trades::page_sql(&plan)).await;
        assert_searches(&store, &trades::examined_sql(trades::walk(plan.walk))).await;
    }
}

#[tokio::test]
async fn every_list_of_cargo_is_a_search() {
    let (_folder, store) = store().await;
    let id: StationId = "ceres".try_into().unwrap();
    for mask in 0..16_u32 {
        let has = |bit: u32| mask & (1 << bit) != 0;
        let plan = Plan::of_cargo(&CargoFilter {
            origin: has(0).then(|| id.clone()),
            destination: has(1).then(|| id.clone()),
            status: has(2).then_some(CargoStatus::Pending),
            late_at: has(3).then_some(Timestamp::EPOCH),
            ..CargoFilter::default()
        });
        assert_searches(&store, &cargo::page_sql(&plan)).await;
        assert_searches(&store, &trades::examined_sql(cargo::walk(plan.walk))).await;
    }
}

#[tokio::test]
async fn every_other_read_is_a_search() {
    let (_folder, store) = store().await;
    let others: [&Template; 18] = [
        &trades::ONE_SQL,
        &trades::EXPIRED_SQL,
        &trades::LAST_BEFORE_SQL,
        &cargo::ONE_SQL,
        &cargo::HISTORY_SQL,
        &inventory::STATION_SQL,
        &inventory::STATIONS_SQL,
        &inventory::ITEMS_SQL,
        &inventory::NAMED_ITEMS_SQL,
        &inventory::FIRST_ITEMS_SQL,
        &ledger::STATION_SQL,
        &ledger::STATION_ITEM_SQL,
        &ledger::EXAMINED_SQL,
        &ledger::AFTER_SQL,
        &log::READ_SQL,
        &keys::TRADE_KEYS_SQL,
        &keys::CARGO_KEYS_SQL,
        &keys::STATION_KEYS_SQL,
    ];
    for template in others.into_iter().chain(&load::PARTS) {
        assert_searches(&store, template.text()).await;
    }
}

#[tokio::test]
async fn every_change_finds_its_rows_by_key() {
    let (_folder, store) = store().await;
    let changed =
        |set: &RowSet| matches!(set.shape().written, Written::Changed | Written::ChangedFrom { .. });
    for set in RowSet::ALL.into_iter().filter(changed) {
        for sql in batch::every_text(set) {
            // Its parameters have no numbers.
            assert_plan_searches(&store, sql).await;
        }
    }
}
