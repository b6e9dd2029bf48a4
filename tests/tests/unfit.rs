//! Databases that would fail lawful requests: they are refused at the start, or set right where a session can do that.

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};
use tests::address::Address;
use tests::database::Database;
use tests::database_server::{DatabaseServer, Product};
use tests::load::Network;
use trade_core::command::Command;
use trade_core::event::Actor;
use trade_core::rules::{Context, Draft};
use trade_core::service::TradeService;
use trade_core::store::{Access, Commit, InventoryQuery, Keys, StationQuery, Store};
use trade_core::testing::conformance::taken;
use trade_core::testing::fixtures::{open_station, start_time, station};
use trade_core::verify::verify;
use trade_core::view::View;
use trade_network::store::{Opened, StoreOptions};

async fn open(url: &str) -> Result<Opened, String> {
    let opened = Opened::open(url, Access::Migrate, &StoreOptions::default()).await;
    opened.map_err(|error| error.to_string())
}

/// Asserts that a store cannot be opened, for a reason in one line.
async fn assert_refused(url: &str, reason: &str) {
    let error = open(url).await.map(drop).expect_err(reason);
    assert!(error.contains(reason) && !error.contains('\n'), "{reason}: {error}");
}

/// Asserts that a station keeps a name of characters that few encodings have.
async fn assert_every_character_is_kept(url: &str) {
    let opened = open(url).await.expect("it can be a store");
    let service = TradeService::start(opened.store()).await.expect("the log is read");
    let name = "Łódź 東京 \u{1f680}";
    let mut create = open_station("lodz", &[("tea", 3)]);
    if let Command::CreateStation(create) = &mut create {
        create.name = Some(name.try_into().expect("a name"));
    }
    taken(&service, create).await;
    let query = InventoryQuery { items: Vec::new(), after: None, limit: 1 };
    let found = opened.store().inventory(&station("lodz"), &query).await.expect("it is read");
    let kept = found.and_then(|page| page.inventory.name).expect("it has a name");
    assert_eq!(kept.as_str(), name);
    verify(&*opened.store()).await.expect("the log and the tables agree");
    service.shutdown().await;
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL"]
async fn a_database_of_postgres_keeps_every_character_or_is_refused() {
    let server = DatabaseServer::start(Product::Postgres);
    let mut beside = PgConnection::connect(&server.url()).await.expect("a connection");
    for (encoding, keeps_all) in
        [("UTF8", true), ("SQL_ASCII", true), ("LATIN1", false), ("EUC_JP", false), ("WIN1250", false)]
    {
        let name = encoding.to_lowercase();
        let create = format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        );
        beside.execute(AssertSqlSafe(create)).await.expect("a database can be made");
        let url = Address::parse(&server.url()).with_database(&name).to_string();
        if keeps_all {
            assert_every_character_is_kept(&url).await;
        } else {
            assert_refused(&url, encoding).await;
        }
    }
}

/// The commit that makes a station, as of now.
async fn making(store: &dyn Store, id: &str) -> Commit {
    let mut keys = Keys::default();
    keys.stations.insert(station(id));
    let loaded = store.load(&keys).await.expect("it is loaded");
    let mut draft = Draft::new(View::new(&keys, loaded));
    let context = Context::new(start_time(), Actor::Anonymous);
    draft.decide(&open_station(id, &[]), &context).expect("it is allowed");
    draft.close(Vec::new()).0
}

/// Asserts that a database serves: two who commit at once, trades, and lists of all of it.
async fn assert_serves(url: &str) {
    let (opened, other) = (open(url).await.expect("opened"), open(url).await.expect("opened"));
    let store = opened.store();
    let commits = [making(&*store, "first").await, making(&*other.store(), "second").await];
    store.commit(&commits[0]).await.expect("it lands");
    other.store().commit(&commits[1]).await.expect("it lands behind the first");
    other.close().await;
    let network = Network::open(store.clone(), 3).await;
    for _ in 0..10 {
        network.service.submit(network.next_trade()).await.expect("it is taken");
    }
    let items: Vec<_> = (0..3_000).map(|n| format!("item-{n}")).collect();
    let items: Vec<_> = items.iter().map(|item| (item.as_str(), 1)).collect();
    taken(&network.service, open_station("large", &items)).await;
    let stations =
        store.inventory_list(&StationQuery::all(None, 10, 100)).await.expect("they are listed").rows;
    let listed: Vec<_> = stations.iter().map(|station| station.items.len()).collect();
    assert_eq!(listed, [100, 10, 10, 10, 0, 0]);
    assert_eq!(verify(&*store).await.expect("the log and the tables agree").trades, 10);
    network.service.shutdown().await;
    opened.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MariaDB"]
async fn what_is_set_for_a_whole_mariadb_is_set_right_in_a_session_or_refused() {
    let server = DatabaseServer::start(Product::Mariadb);
    let mut beside = MySqlConnection::connect(&server.url()).await.expect("a connection");
    let mut set = async |name: &str, value: &str| {
        let sql = format!("SET GLOBAL {name} = {value}");
        beside.execute(AssertSqlSafe(sql)).await.expect("it can be set");
    };
    for (name, value) in [
        ("sql_select_limit", "1"),
        ("max_join_size", "10"),
        ("sql_safe_updates", "1"),
        ("check_constraint_checks", "0"),
        ("sort_buffer_size", "1024"),
    ] {
        set(name, value).await;
        let database = Database::create(&server.url()).await;
        assert_serves(database.url()).await;
        set(name, "DEFAULT").await;
    }
    for (name, value, reason) in [
        ("max_allowed_packet", "8388608", "max_allowed_packet"),
        ("max_prepared_stmt_count", "0", "max_prepared_stmt_count"),
        ("innodb_flush_log_at_trx_commit", "2", "innodb_flush_log_at_trx_commit"),
        ("tx_read_only", "1", "takes no writes"),
    ] {
        let database = Database::create(&server.url()).await;
        set(name, value).await;
        assert_refused(database.url(), reason).await;
        set(name, "DEFAULT").await;
    }
    set("character_set_server", "latin1").await;
    let database = Database::create(&server.url()).await;
    assert_every_character_is_kept(database.url()).await;
}
