//! What a store is opened for: to make what is missing, to write to what is there, or to read alone.
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use trade_core::access::KeyStore;
use trade_core::store::{Access, EventLog, Store, StoreErrorKind};
use trade_core::testing::fixtures::api_key;
use trade_core::verify::verify;

on_every_engine!(
    where_there_is_no_network_none_is_made_for_whoever_is_not_to_make_one,
    what_is_only_read_can_be_audited_and_not_written,
);

async fn where_there_is_no_network_none_is_made_for_whoever_is_not_to_make_one<S: Site>() {
    let site = S::make().await;
    // What is somebody else's.
    site.run("CREATE TABLE trade (id BIGINT PRIMARY KEY)").await.unwrap();
    for access in [Access::ReadOnly, Access::Existing] {
        let error = site.open_as(access).await.map(drop).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error:?}");
        assert!(error.detail.contains("holds no trade network"), "{error}");
        for table in ["SELECT 1 FROM tn_schema", "SELECT 1 FROM tn_head"] {
            site.run(table).await.unwrap_err();
        }
    }
    S::close(&site.open().await).await;
    S::close(&site.open_as(Access::Existing).await.unwrap()).await;
    S::close(&site.open_as(Access::ReadOnly).await.unwrap()).await;
}

async fn what_is_only_read_can_be_audited_and_not_written<S: Site>() {
    let site = S::make().await;
    let store = site.open().await;
    store.commit(&opened(&store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    let commit = decided(&store, at(1), &[sale("T-1", "ceres", "luna", &[("tea", 1)])]).await;
    let key = api_key("a1b2c3d4e5f6");
    store.put_key(&key).await.unwrap();
    // While another writes, and once nobody does.
    for is_written in [true, false] {
        if !is_written {
            S::close(&store).await;
        }
        let reader = site.open_as(Access::ReadOnly).await.unwrap();
        assert_eq!(verify(&reader).await.unwrap().events, 2);
        for refused in [
            reader.commit(&commit).await.map(drop),
            reader.hold().await.map(drop),
            reader.prune_receipts(at(9), 9).await.map(drop),
            reader.note_use(&[(key.id.clone(), at(9))]).await,
            reader.put_key(&key).await,
        ] {
            assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Unsupported);
        }
        assert_eq!(reader.head().await.unwrap().sequence, 2);
        assert_eq!(reader.key(&key.id).await.unwrap().as_ref(), Some(&key));
        assert_eq!(reader.keys(None, 9).await.unwrap(), std::slice::from_ref(&key));
        S::close(&reader).await;
    }
    let writer = site.open_as(Access::Existing).await.unwrap();
    writer.commit(&commit).await.unwrap();
    S::close(&writer).await;
}

/// What a store does to its tables, each with one right that is missing.
#[cfg(any(feature = "postgres", feature = "mysql"))]
const MISSING_RIGHTS: [(&str, &str); 7] = [
    ("tn_log", "SELECT"),
    ("tn_ledger", "INSERT"),
    ("tn_moment", "UPDATE"),
    ("tn_stock", "UPDATE"),
    ("tn_cargo_history", "SELECT"),
    ("tn_receipt", "DELETE"),
    ("tn_api_key", "UPDATE"),
];

/// A user of PostgreSQL with every right but one, for whatever is read or written without it.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_user_of_postgres_who_lacks_a_right_on_one_table_is_told_which() {
    use common::postgres::Database;
    use trade_store_sql::PostgresStore;
    let database = Database::create().await;
    database.open().await.close().await;
    let user = format!("partial_of_{}", database.name());
    let run = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database.connection().await).await.unwrap();
    };
    run(format!("CREATE ROLE {user} LOGIN PASSWORD 'pa55w0rd'")).await;
    let url = database.url_as(&user, "pa55w0rd");
    let mut told = Vec::new();
    for (table, right) in MISSING_RIGHTS {
        run(format!(
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}; REVOKE {right} ON {table} FROM {user}"
        ))
        .await;
        told.push(PostgresStore::connect_with(&url, &options(Access::Existing)).await.map(drop));
    }
    run(format!("REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public FROM {user}")).await;
    run(format!("REVOKE SELECT ON tn_trade_item FROM {user}")).await;
    let read = PostgresStore::connect_with(&url, &options(Access::ReadOnly)).await.map(drop);
    run(format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
    are_told_of(told, read);
}

/// The same on MySQL or MariaDB.
#[cfg(feature = "mysql")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_user_of_mysql_who_lacks_a_right_on_one_table_is_told_which() {
    use common::mysql::Database;
    use trade_store_sql::MySqlStore;
    let database = Database::create().await;
    database.open().await.close().await;
    let (name, user) = (database.name(), format!("'{}p'@'%'", database.name()));
    let run = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database.connection().await).await.unwrap();
    };
    run(format!("CREATE USER {user} IDENTIFIED BY 'pa55w0rd'")).await;
    let url = database.url_as(&format!("{name}p"), "pa55w0rd");
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = ?",
    )
    .bind(name)
    .fetch_all(&mut database.connection().await)
    .await
    .unwrap();
    let grant_all = async || {
        for table in &tables {
            run(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.{table} TO {user}")).await;
        }
    };
    let mut told = Vec::new();
    for (table, right) in MISSING_RIGHTS {
        grant_all().await;
        run(format!("REVOKE {right} ON {name}.{table} FROM {user}")).await;
        told.push(MySqlStore::connect_with(&url, &options(Access::Existing)).await.map(drop));
    }
    grant_all().await;
    run(format!("REVOKE SELECT ON {name}.tn_trade_item FROM {user}")).await;
    let read = MySqlStore::connect_with(&url, &options(Access::ReadOnly)).await.map(drop);
    run(format!("DROP USER {user}")).await;
    are_told_of(told, read);
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn are_told_of(
    told: Vec<Result<(), trade_core::store::StoreError>>,
    read: Result<(), trade_core::store::StoreError>,
) {
    for ((table, right), told) in MISSING_RIGHTS.into_iter().zip(told) {
        let error = told.expect_err(table);
        assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error:?}");
        assert!(error.detail.contains(&format!("on {table} it needs")), "{right}: {error:?}");
        assert!(error.detail.contains(right), "{error:?}");
    }
    let error = read.expect_err("it cannot be read");
    assert!(error.detail.contains("on tn_trade_item it needs SELECT"), "{error:?}");
    assert!(!error.detail.contains("INSERT"), "{error:?}");
}

/// A user who may only read has no need of more than that to audit, and is told at once where more is needed.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_user_of_postgres_who_may_only_read_audits() {
    use common::postgres::Database;
    use trade_store_sql::PostgresStore;
    let database = Database::create().await;
    let store = database.open().await;
    store.commit(&opened(&store, at(0), &["ceres"], &["tea"]).await).await.unwrap();
    let user = format!("reader_of_{}", database.name());
    let run = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database.connection().await).await.unwrap();
    };
    run(format!(
        "CREATE ROLE {user} LOGIN PASSWORD 'pa55w0rd'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
    ))
    .await;
    let url = database.url_as(&user, "pa55w0rd");
    let audited = async {
        let reader = PostgresStore::connect_with(&url, &options(Access::ReadOnly)).await.unwrap();
        let report = verify(&reader).await.unwrap();
        reader.close().await;
        report
    };
    let audited = audited.await;
    let refused = PostgresStore::connect_with(&url, &options(Access::Existing)).await.unwrap_err();
    run(format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
    assert_eq!(audited.events, 1);
    assert!(refused.detail.contains("lacks a privilege"), "{refused:?}");
}

/// The same on MySQL or MariaDB.
#[cfg(feature = "mysql")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_user_of_mysql_who_may_only_read_audits() {
    use common::mysql::Database;
    use trade_store_sql::MySqlStore;
    let database = Database::create().await;
    let store = database.open().await;
    store.commit(&opened(&store, at(0), &["ceres"], &["tea"]).await).await.unwrap();
    let user = format!("{}r", database.name());
    let run = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database.connection().await).await.unwrap();
    };
    run(format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'pa55w0rd'")).await;
    run(format!("GRANT SELECT ON {}.* TO '{user}'@'%'", database.name())).await;
    let url = database.url_as(&user, "pa55w0rd");
    let reader = MySqlStore::connect_with(&url, &options(Access::ReadOnly)).await.unwrap();
    let audited = verify(&reader).await.unwrap();
    reader.close().await;
    let refused = MySqlStore::connect_with(&url, &options(Access::Existing)).await.unwrap_err();
    run(format!("DROP USER '{user}'@'%'")).await;
    assert_eq!(audited.events, 1);
    assert!(refused.detail.contains("lacks a privilege"), "{refused:?}");
}
