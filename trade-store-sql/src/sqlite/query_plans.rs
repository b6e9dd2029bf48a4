//! No statement reads a table from one end to the other: each finds its rows by a key or an index.

use super::{Sqlite, SqliteStore, batch};
use crate::api_keys;
use crate::commit::{RowSet, Written};
use crate::dialect::Rendered;
use crate::driver::Driver;
use crate::read::every_read::every_read;
use sqlx::{AssertSqlSafe, Row};

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
    "part",
    "merged",
    "heads",
    "sold",
    "bought",
    "trades",
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
    let mut lease = store.parts.lanes.writer.lease("explain").await.unwrap();
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
async fn every_read_is_a_search() {
    let (_folder, store) = store().await;
    for template in every_read() {
        assert_searches(&store, &template).await;
    }
}

#[tokio::test]
async fn every_change_finds_its_rows_by_key() {
    let (_folder, store) = store().await;
    let changed =
        |set: &RowSet| matches!(set.shape().written, Written::Changed { .. } | Written::ChangedFrom { .. });
    for set in RowSet::ALL.into_iter().filter(changed) {
        for sql in batch::every_text(set) {
            // Its parameters have no numbers.
            assert_plan_searches(&store, sql).await;
        }
    }
    for template in [&api_keys::CHANGE_SQL, &api_keys::USE_SQL] {
        assert_searches(&store, template.text()).await;
    }
}
