//! Databases that are reached over TLS: a store asks who the server is, and everything it says is encrypted.

use sqlx::{Connection, Executor, MySqlConnection, PgConnection, Row};
use std::path::Path;
use std::sync::Arc;
use tests::database_server::{DatabaseServer, Product};
use trade_core::service::TradeService;
use trade_core::store::{Store, StoreError, StoreErrorKind};
use trade_core::testing::conformance::taken;
use trade_core::testing::fixtures::open_station;
use trade_store_sql::{MySqlStore, PostgresStore};

/// The address of a server's database, with parameters.
fn address(server: &DatabaseServer, mode: &str, authority: Option<&Path>) -> String {
    let authority = authority.map(|file| format!("&ssl-ca={}", file.display()));
    format!("{}?ssl-mode={mode}{}", server.url(), authority.unwrap_or_default())
}

/// Writes and reads.
async fn assert_serves(store: Arc<dyn Store>) {
    let service = TradeService::start(store.clone()).await.expect("the log is read");
    taken(&service, open_station("ceres", &[("tea", 3)])).await;
    service.shutdown().await;
    assert_eq!(store.head().await.expect("the log is read").sequence, 1);
}

/// Asserts that an error tells that the server is not who it should be, and no password.
fn assert_not_trusted<T>(outcome: Result<T, StoreError>) {
    let Err(error) = outcome else { panic!("a server that nobody vouches for is not trusted") };
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
    assert!(error.detail.contains("TLS"), "{error:?}");
    let told = format!("{error} {error:?}");
    assert!(!told.contains("s3same"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL"]
async fn postgres_is_reached_over_tls_and_only_if_it_is_the_right_one() {
    let server = DatabaseServer::start_with_tls(Product::Postgres);
    let url = address(&server, "verify-full", Some(&server.authority()));
    let store = Arc::new(PostgresStore::connect(&url).await.expect("the server is who it says"));
    assert_serves(store.clone()).await;
    // Those that write, read, load and watch, and the one that listens.
    let mut beside = PgConnection::connect(&address(&server, "disable", None)).await.expect("a connection");
    let sessions = "SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE application_name = 'trade-network'";
    let sessions = beside.fetch_all(sessions).await.expect("what the sessions are");
    assert!(sessions.len() >= 3, "{}", sessions.len());
    for session in sessions {
        assert!(session.get::<bool, _>(0) && session.get::<&str, _>(1).starts_with("TLSv1."));
    }
    store.close().await;
    let other = address(&server, "verify-full", Some(&server.other_authority()));
    assert_not_trusted(PostgresStore::connect(&other).await);
    assert_not_trusted(PostgresStore::connect(&address(&server, "verify-full", None)).await);
    // The certificate names 127.0.0.1 alone.
    assert_not_trusted(PostgresStore::connect(&url.replace("127.0.0.1", "localhost")).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MariaDB"]
async fn mariadb_is_reached_over_tls_and_only_if_it_is_the_right_one() {
    let server = DatabaseServer::start_with_tls(Product::Mariadb);
    let url = address(&server, "VERIFY_IDENTITY", Some(&server.authority()));
    let mut beside = MySqlConnection::connect(&url).await.expect("a connection");
    let cipher = beside.fetch_one("SHOW SESSION STATUS LIKE 'Ssl_cipher'").await.expect("the cipher");
    assert!(!cipher.get::<&str, _>(1).is_empty(), "the session is encrypted");
    // From now on the server itself refuses every session of this user that is not.
    beside.execute("ALTER USER current_user() REQUIRE SSL").await.expect("it can be required");
    let plain = MySqlStore::connect(&address(&server, "DISABLED", None)).await.expect_err("it is refused");
    assert_eq!(plain.kind, StoreErrorKind::Unsupported, "{plain:?}");
    let store = Arc::new(MySqlStore::connect(&url).await.expect("the server is who it says"));
    assert_serves(store.clone()).await;
    store.close().await;
    let other = address(&server, "VERIFY_IDENTITY", Some(&server.other_authority()));
    assert_not_trusted(MySqlStore::connect(&other).await);
    assert_not_trusted(MySqlStore::connect(&address(&server, "VERIFY_IDENTITY", None)).await);
    assert_not_trusted(MySqlStore::connect(&url.replace("127.0.0.1", "localhost")).await);
}
