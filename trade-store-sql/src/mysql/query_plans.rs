//! No statement reads a table from one end to the other: each finds its rows by a key or an index. The server counts
//! the rows that it reads, of tables and of what it makes of them on the way; so this is no matter of what it plans.

use super::database::Database;
use super::{MySql, MySqlStore};
use crate::api_keys;
use crate::commit::keys;
use crate::dialect::{Rendered, Template};
use crate::driver::Columns;
use crate::driver::{Driver, Param};
use crate::lane::Lease;
use crate::plan::Plan;
use crate::read::ends::{self, BOUGHT, RECEIVED, SENT, SOLD};
use crate::read::{cargo, inventory, ledger, list, load, log, trades};
use sqlx::Executor;
use trade_core::resource::{CargoStatus, TradeStatus};
use trade_core::store::{CargoFilter, Store, TradeFilter};
use trade_core::values::{StationId, Timestamp};

/// What may be read for a page of 50 rows, or as many keys, with all that belongs to each.
const PAGE_MAX: u64 = 2_000;
/// The same where filters are combined: 2 000 rows are examined.
const COMBINED_MAX: u64 = 30_000;

/// 40 000 rows in each of the large tables, half of them of one station and one item: all of them stand in the way of
/// whoever searches without an index, or walks one from its end instead of from where a page begins.
const FILL: &str = "\
    CREATE TABLE d (d INT PRIMARY KEY); INSERT INTO d VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9); \
    CREATE TABLE n (n INT PRIMARY KEY); INSERT INTO n SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d \
    FROM d a CROSS JOIN d b CROSS JOIN d c CROSS JOIN d e CROSS JOIN d f WHERE f.d < 4; \
    INSERT INTO tn_station SELECT n + 1, concat('s-', n), NULL, '0', 40, 0, 1, NULL FROM n WHERE n < 1000; \
    INSERT INTO tn_stock SELECT n DIV 40 + 1, concat('i-', n % 40), 5, 0, 0 FROM n; \
    INSERT INTO tn_trade SELECT 10000 + 4 * n, concat('T-', n), if(n % 2, 8, n % 1000 + 1), \
    if(n % 2, (n + 1) % 1000 + 1, 8), '[]', n DIV 2 % 2, n % 4, n % 1000, n, n, 1, 10001 + 4 * n, \
    if(n DIV 2 % 2, NULL, 10002 + 4 * n), NULL FROM n; \
    INSERT INTO tn_trade_item SELECT if(n % 2, 'i-1', concat('i-', n % 40)), 10000 + 4 * n FROM n; \
    INSERT INTO tn_cargo SELECT 10001 + 4 * n, 10000 + 4 * n, NULL, NULL, NULL, NULL, n % 6, n, NULL, NULL, n % 1000, \
    n, n, 1, NULL, NULL FROM n; \
    INSERT INTO tn_cargo_history SELECT 10001, 10003 + 4 * n FROM n; \
    INSERT INTO tn_ledger SELECT 10002 + 4 * n, 0, n, 'i-1', 1, if(n DIV 2 % 2, if(n % 2, 8, n % 1000 + 1), NULL), \
    if(n DIV 2 % 2, if(n % 2, (n + 1) % 1000 + 1, 8), NULL), 1, 10001 + 4 * n, NULL FROM n; \
    INSERT INTO tn_log SELECT 10003 + 4 * n, x'00' FROM n; \
    INSERT INTO tn_moment SELECT n, 10003 + 4 * n FROM n; \
    INSERT INTO tn_receipt SELECT unhex(lpad(hex(n), 32, '0')), unhex(lpad(hex(n), 32, '0')), n, n, n, NULL FROM n; \
    INSERT INTO tn_api_key SELECT lpad(n, 12, '0'), 1, NULL, x'00' FROM n; \
    ANALYZE TABLE tn_station, tn_stock, tn_trade, tn_trade_item, tn_cargo, tn_cargo_history, tn_ledger, tn_log, \
    tn_moment, tn_receipt, tn_api_key";

async fn filled() -> (Database, MySqlStore) {
    let database = Database::create().await;
    let store = MySqlStore::connect(&database.url()).await.unwrap();
    database.connection().await.execute(sqlx::raw_sql(FILL)).await.unwrap();
    (database, store)
}

/// The rows that a connection has read so far, those of an index included that were passed over there.
async fn rows_read(lease: &mut Lease<'_, MySql>) -> u64 {
    let sql = "SHOW SESSION STATUS WHERE variable_name LIKE 'Handler_read%' OR variable_name LIKE 'Handler_icp_att%'";
    let status = Rendered::new(MySql::DIALECT, sql);
    let found = lease.fetch(&status, &[]).await.unwrap();
    found.iter().map(|row| row.text(1).unwrap().unwrap().parse::<u64>().unwrap()).sum()
}

async fn assert_reads(store: &MySqlStore, template: &str, parameters: &[Param<'_>], max: u64) {
    let sql = Rendered::new(MySql::DIALECT, template);
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    // What the status itself reads is in both.
    let before = rows_read(&mut lease).await;
    let own = rows_read(&mut lease).await - before;
    let before = before + own;
    let found = lease.fetch(&sql, parameters).await.unwrap_or_else(|error| panic!("{error:?}\n{}", sql.text));
    let read = rows_read(&mut lease).await - before - own;
    lease.give_back();
    assert!(read <= max, "{read} rows were read, and {} found:\n{}\n{parameters:?}", found.len(), sql.text);
}

const LIMIT: i64 = 51;

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn every_list_of_trades_is_a_search() {
    let (_database, store) = filled().await;
    let id: StationId = "s-7".try_into().unwrap();
    for mask in 0..32_u32 {
        let has = |bit: u32| mask & (1 << bit) != 0;
        let plan = Plan::of_trades(&TradeFilter {
            station: has(0).then(|| id.clone()),
            buyer: has(1).then(|| id.clone()),
            seller: has(2).then(|| id.clone()),
            status: has(3).then_some(TradeStatus::Initiated),
            item: has(4).then(|| "i-1".try_into().unwrap()),
            ..TradeFilter::default()
        });
        let max = if plan.checks.is_empty() { PAGE_MAX } else { COMBINED_MAX };
        for (after, before) in [(0, i64::MAX), (20_000, 150_000)] {
            let parameters: [Param<'_>; 9] = [
                after.into(),
                before.into(),
                plan.examined_max(50, 1).into(),
                "s-7".into(),
                "s-7".into(),
                "s-7".into(),
                "i-1".into(),
                0.into(),
                LIMIT.into(),
            ];
            let walk = trades::walk(plan.walk);
            assert_reads(&store, &trades::page_sql(&plan, &walk), &parameters, max).await;
            assert_reads(&store, &list::examined_sql(&walk), &parameters[..8], max).await;
        }
    }
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn every_list_of_cargo_is_a_search() {
    let (_database, store) = filled().await;
    let id: StationId = "s-7".try_into().unwrap();
    for mask in 0..16_u32 {
        let has = |bit: u32| mask & (1 << bit) != 0;
        let plan = Plan::of_cargo(&CargoFilter {
            origin: has(0).then(|| id.clone()),
            destination: has(1).then(|| id.clone()),
            status: has(2).then_some(CargoStatus::Pending),
            late_at: has(3).then_some(Timestamp::EPOCH),
            ..CargoFilter::default()
        });
        let max = if plan.checks.is_empty() { PAGE_MAX } else { COMBINED_MAX };
        for (after, before) in [(0, i64::MAX), (20_000, 150_000)] {
            let parameters: [Param<'_>; 8] = [
                after.into(),
                before.into(),
                plan.examined_max(50, 1).into(),
                "s-7".into(),
                "s-7".into(),
                20_000.into(),
                0.into(),
                LIMIT.into(),
            ];
            let walk = cargo::walk(plan.walk);
            assert_reads(&store, &cargo::page_sql(&plan, &walk), &parameters, max).await;
            assert_reads(&store, &list::examined_sql(&walk), &parameters[..7], max).await;
        }
    }
}

/// Of many stations, some of which have a share in every other trade: a page reads for each of them where its walk begins,
/// and then what is newest.
#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn every_list_of_a_scope_is_a_search() {
    let (_database, store) = filled().await;
    let keys: Vec<i64> = (1..=1_000).collect();
    let (sides, ways) = ([SOLD, BOUGHT].concat(), [SENT, RECEIVED].concat());
    let (after, before, examined, nothing) = (0.into(), 150_000.into(), LIMIT.into(), Param::Int(None));
    let of_walk = [after, before, examined];
    for count in [1, 20, 501, 1_000] {
        let heads: [Param<'_>; 2] = [0.into(), 150_000.into()];
        for ends in [&sides, &ways] {
            // A search for each end of each station, and one for the next station.
            let max = 3 * count * ends.len() as u64 + PAGE_MAX;
            let keys = &keys[..usize::try_from(count).unwrap()];
            assert_reads(&store, &ends::heads_sql(ends, keys), &heads, max).await;
        }
    }
    let with = |filters: usize| {
        let filters = std::iter::repeat_n(nothing.clone(), filters);
        of_walk.iter().cloned().chain(filters).chain([LIMIT.into()]).collect::<Vec<_>>()
    };
    let merged = 6 * PAGE_MAX;
    let plan = Plan { walk: None, checks: Vec::new() };
    let sql = trades::page_sql(&plan, &ends::of_all(&sides, &keys[..32]));
    assert_reads(&store, &sql, &with(5), merged).await;
    let plan = Plan { walk: None, checks: Vec::new() };
    let sql = cargo::page_sql(&plan, &ends::of_all(&ways, &keys[..20]));
    assert_reads(&store, &sql, &with(4), merged).await;
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn every_other_read_is_a_search() {
    let (_database, store) = filled().await;
    let texts = |prefix: &str| -> Vec<String> { (0..50).map(|n| format!("{prefix}{}", n * 7)).collect() };
    let (trade_ids, cargo_ids, station_ids) = (texts("T-"), texts("shipment-T-"), texts("s-"));
    let requests: Vec<String> = (0..50).map(|n| format!("{:032x}", n * 7)).collect();
    let texts_of =
        |texts| Param::Texts(Vec::from_iter(AsRef::<[String]>::as_ref(texts).iter().map(String::as_str)));
    let page: [Param<'_>; 4] = ["s-7".into(), 150_000.into(), 0.into(), LIMIT.into()];
    let with = |more: &[Param<'static>]| [&page[..], more].concat();
    let others: [(&Template, Vec<Param<'_>>); 20] = [
        (&trades::ONE_SQL, vec!["T-77".into()]),
        (&trades::EXPIRED_SQL, vec![3.into(), 50.into()]),
        (&list::LAST_BEFORE_SQL, vec![20_000.into()]),
        (&cargo::ONE_SQL, vec!["shipment-T-77".into(), "T-77".into()]),
        (&cargo::HISTORY_SQL, vec!["shipment-T-0".into(), "T-0".into(), 90_000.into(), 50.into()]),
        (&inventory::STATION_SQL, vec!["s-7".into()]),
        (&inventory::STATIONS_SQL, vec![500.into(), LIMIT.into()]),
        (&inventory::SCOPED_STATIONS_SQL, vec![500.into(), LIMIT.into(), texts_of(&station_ids)]),
        (&ends::KEYS_SQL, vec![texts_of(&station_ids)]),
        (&inventory::ITEMS_SQL, vec![7.into(), "".into(), LIMIT.into()]),
        (
            &inventory::NAMED_ITEMS_SQL,
            vec![7.into(), "".into(), LIMIT.into(), Param::Texts(vec!["i-1", "i-2", "none"])],
        ),
        (&inventory::FIRST_ITEMS_SQL, vec![Param::Ints((1..20).collect()), 4.into()]),
        (&ledger::STATION_SQL, with(&[LIMIT.into()])),
        (&ledger::STATION_ITEM_SQL, with(&[LIMIT.into(), "i-1".into()])),
        (&ledger::EXAMINED_SQL, with(&[50.into()])),
        (&ledger::AFTER_SQL, vec![80_000.into(), 0.into(), LIMIT.into()]),
        (&api_keys::ONE_SQL, vec!["000000000077".into()]),
        (&api_keys::LIST_SQL, vec!["000000000077".into(), LIMIT.into()]),
        (&log::READ_SQL, vec![80_000.into(), 50.into(), 1_000_000.into()]),
        (&keys::KEYS_SQL, vec![texts_of(&trade_ids), texts_of(&cargo_ids), texts_of(&station_ids)]),
    ];
    for (template, parameters) in others {
        assert_reads(&store, template.text(), &parameters, PAGE_MAX).await;
    }
    let parameters = [
        texts_of(&trade_ids),
        texts_of(&cargo_ids),
        texts_of(&station_ids),
        Param::Pairs(station_ids.iter().map(|id| (id.as_str(), "i-1")).collect()),
        Param::Texts(vec!["s-1", "s-2"]),
        4_999.into(),
        texts_of(&requests),
    ];
    assert_reads(&store, load::SQL.text(), &parameters, 2 * PAGE_MAX).await;
}

#[tokio::test]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn every_change_finds_its_rows_by_key() {
    let (_database, store) = filled().await;
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    let before = rows_read(&mut lease).await;
    super::batch::change_some(&store.parts.state, &mut lease).await;
    let read = rows_read(&mut lease).await - before;
    lease.give_back();
    assert!(read < PAGE_MAX, "{read} rows were read to change a few");
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    let before = rows_read(&mut lease).await;
    lease.give_back();
    assert_eq!(store.prune_receipts(Timestamp::from_millis(10_000).unwrap(), 50).await.unwrap(), 50);
    let mut lease = store.parts.lanes.writer.lease("test").await.unwrap();
    let read = rows_read(&mut lease).await - before;
    assert!(read < PAGE_MAX, "{read} rows were read to remove 50 receipts");
    lease.give_back();
    let id = || "000000000077".into();
    let change = [id(), 2.into(), "00".into(), 1.into()];
    assert_reads(&store, api_keys::CHANGE_SQL.text(), &change, 10).await;
    assert_reads(&store, api_keys::USE_SQL.text(), &[id(), 7.into()], 10).await;
}
