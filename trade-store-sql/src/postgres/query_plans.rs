//! No statement reads a table from one end to the other: each finds its rows by a key or an index, whether its plan was
//! made when the tables were empty, full, or analyzed.

use super::{PostgresStore, batch};
use crate::api_keys;
use crate::commit::RowSet;
use crate::dialect::Rendered;
use crate::read::every_read::every_read;
use database::Database;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row};

#[path = "../../tests/common/postgres_database.rs"]
pub(super) mod database;

/// Trades among three stations, half of them cancelled, their shipments, and what else stands beside them.
const FILL: &str = "\
    INSERT INTO tn_station (sequence, item_count, updated_at, version, id, on_hand_total) \
    SELECT n, 1, 0, 1, 'S-' || n, '1' FROM generate_series(1, 3000) n; \
    INSERT INTO tn_stock (station, on_hand, reserved, incoming, item) \
    SELECT s, 1, 0, 0, 'I-' || n FROM generate_series(1, 3) s, generate_series(1, 5000) n; \
    INSERT INTO tn_trade (sequence, buyer, seller, created_at, updated_at, version, settlement, status, id, item_lines, \
    cargo, moved) \
    SELECT n * 4, 1 + n % 2, 3, 0, 0, 1, n / 2 % 2, CASE WHEN n % 2 = 0 THEN 0 ELSE 2 END, 'T-' || n, '[]', \
    n * 4 + 1, CASE n / 2 % 2 WHEN 0 THEN n * 4 + 2 END \
    FROM generate_series(1, 60000) n; \
    INSERT INTO tn_trade_item (sequence, item) SELECT n * 4, 'I-' || n % 2 FROM generate_series(1, 60000) n; \
    INSERT INTO tn_cargo (sequence, trade, eta, created_at, updated_at, version, status) \
    SELECT n * 4 + 1, n * 4, 0, 0, 0, 1, CASE WHEN n % 2 = 0 THEN 0 ELSE 3 END FROM generate_series(1, 60000) n; \
    INSERT INTO tn_cargo_history (cargo, sequence) \
    SELECT n * 4 + 1, n * 4 + 2 + 300000 FROM generate_series(1, 60000) n; \
    INSERT INTO tn_ledger (sequence, time, quantity, from_place, to_place, cargo, place, reason, item) \
    SELECT n * 4 + 2, 0, 1, CASE n / 2 % 2 WHEN 1 THEN 3 END, CASE n / 2 % 2 WHEN 1 THEN 1 + n % 2 END, n * 4 + 1, 0, 1, \
    'I-0' FROM generate_series(1, 60000) n; \
    INSERT INTO tn_log (last, record) SELECT n * 4, '\\x00' FROM generate_series(1, 60000) n; \
    INSERT INTO tn_moment (time, last) SELECT n, n * 4 FROM generate_series(1, 60000) n; \
    INSERT INTO tn_receipt (time, request, fingerprint) \
    SELECT 0, decode(md5('R-' || n), 'hex'), decode(md5('F'), 'hex') FROM generate_series(1, 60000) n; \
    INSERT INTO tn_api_key (version, id, record) \
    SELECT 1, lpad(CAST(n AS text), 12, '0'), '\\x00' FROM generate_series(1, 60000) n";

/// How a statement is run. `$N` in it have no values.
async fn plan(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    let parameters: Vec<usize> = sql.split('$').skip(1).filter_map(number).collect();
    let types = (1..=parameters.iter().copied().max().unwrap_or(0))
        // Some statements leave a parameter out.
        .map(|n| if parameters.contains(&n) { "unknown" } else { "text" })
        .collect::<Vec<_>>();
    let list =
        |words: Vec<&str>| if words.is_empty() { String::new() } else { format!("({})", words.join(", ")) };
    let (values, types) = (list(vec!["NULL"; types.len()]), list(types));
    connection.execute(AssertSqlSafe(format!("PREPARE looked_at {types} AS {sql}"))).await.unwrap();
    let explain = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN EXECUTE looked_at{values}")));
    let steps = connection.fetch_all(explain).await.unwrap();
    connection.execute("DEALLOCATE looked_at").await.unwrap();
    steps.iter().map(|row| row.get::<String, _>(0)).collect()
}

/// The number that a text begins with.
fn number(text: &str) -> Option<usize> {
    text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())].parse().ok()
}

/// Asserts that a table is read by conditions on an index, and by the index that is named for it.
async fn assert_searches(connection: &mut PgConnection, template: &str) {
    let sql = Rendered::new(&super::dialect::DIALECT, template).text;
    let steps = plan(connection, &sql).await;
    let told = || format!("{sql}\n{steps:#?}");
    for (place, step) in steps.iter().enumerate() {
        assert!(!(step.contains("Seq Scan") || step.contains("Bitmap")), "{}", told());
        if step.contains("tn_head") {
            continue;
        }
        if step.contains("Index Scan") || step.contains("Index Only Scan") {
            assert!(
                steps.get(place + 1).is_some_and(|next| next.contains("Index Cond")),
                "{step}: {}",
                told()
            );
        }
    }
    for index in template.split("{index:").skip(1).filter_map(|rest| rest.split('}').next()) {
        assert!(steps.iter().any(|step| step.contains(index)), "{index}: {}", told());
    }
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn every_statement_is_a_search_whenever_its_plan_was_made() {
    let database = Database::create().await;
    let store = PostgresStore::connect(&database.url()).await.unwrap();
    assert_all_search(&store).await;
    for more in [FILL, "ANALYZE"] {
        database.connection().await.execute(more).await.unwrap();
        assert_all_search(&store).await;
    }
    store.close().await;
}

/// By plans that know no values, as those that are kept.
async fn assert_all_search(store: &PostgresStore) {
    let mut lease = store.parts.lanes.writer.lease("explain").await.unwrap();
    lease.connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    for template in every_read() {
        assert_searches(&mut lease.connection, &template).await;
    }
    for template in [&api_keys::CHANGE_SQL, &api_keys::USE_SQL] {
        assert_searches(&mut lease.connection, template.text()).await;
    }
    // The head's table has one row.
    for set in RowSet::ALL.iter().filter(|set| **set != RowSet::Head) {
        assert_searches(&mut lease.connection, &batch::text(&[*set], None)).await;
    }
}
