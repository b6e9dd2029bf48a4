//! The tests' own databases and database servers do what the other tests take for granted.

use sqlx::{Connection, Executor, MySqlConnection, PgConnection};
use tests::address::Address;
use tests::database::Database;
use tests::database_server::{DatabaseServer, Product};
use trade_core::testing::conformance::server_url;

/// Runs statements on a connection of their own.
async fn execute(url: &str, statements: &[&'static str]) -> Result<(), sqlx::Error> {
    if Address::parse(url).is_postgres() {
        let mut connection = PgConnection::connect(url).await?;
        for statement in statements {
            connection.execute(*statement).await?;
        }
        connection.close().await
    } else {
        let mut connection = MySqlConnection::connect(url).await?;
        for statement in statements {
            connection.execute(*statement).await?;
        }
        connection.close().await
    }
}

/// A database is apart from others, and goes with its test whatever is open on it.
async fn a_database_comes_and_goes(server: &str) {
    let (one, other) = (Database::create(server).await, Database::create(server).await);
    assert_ne!(one.url(), other.url());
    execute(one.url(), &["CREATE TABLE t (x INT)", "INSERT INTO t VALUES (1)"]).await.expect("it is empty");
    execute(other.url(), &["CREATE TABLE t (x INT)"]).await.expect("they are apart");
    let url = one.url().to_owned();
    // A transaction that is left open: whoever drops the database must not wait for it.
    let open = ["BEGIN", "INSERT INTO t VALUES (2)"];
    if Address::parse(&url).is_postgres() {
        let mut connection = PgConnection::connect(&url).await.expect("it can be connected to");
        for statement in open {
            connection.execute(statement).await.expect("a row");
        }
        drop(one);
        connection.ping().await.expect_err("its database is gone");
    } else {
        let mut connection = MySqlConnection::connect(&url).await.expect("it can be connected to");
        for statement in open {
            connection.execute(statement).await.expect("a row");
        }
        drop(one);
        connection.ping().await.expect_err("its database is gone");
    }
    execute(&url, &[]).await.expect_err("it is dropped");
    let url = other.url().to_owned();
    let panicked = tokio::spawn(async move {
        let _other = other;
        panic!("as tests do");
    });
    panicked.await.expect_err("it panics");
    execute(&url, &[]).await.expect_err("it is dropped as well");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_database_comes_and_goes_on_postgres() {
    a_database_comes_and_goes(&server_url("TRADE_TEST_POSTGRES_URL")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_database_comes_and_goes_on_mysql() {
    a_database_comes_and_goes(&server_url("TRADE_TEST_MYSQL_URL")).await;
}

/// A server that is killed keeps what was committed, and loses what was not.
async fn a_server_can_be_killed(product: Product) {
    let mut server = DatabaseServer::start(product);
    let url = server.url();
    execute(&url, &["CREATE TABLE t (x INT PRIMARY KEY)", "INSERT INTO t VALUES (1)"])
        .await
        .expect("it is there");
    for round in 0..2 {
        let in_doubt = execute(&url, &["BEGIN", "INSERT INTO t VALUES (2)", "SELECT 1 FROM t", "ROLLBACK"]);
        in_doubt.await.expect("the row is not there");
        server.kill();
        execute(&url, &[]).await.expect_err("it is killed");
        server.restart();
        let again = execute(&url, &["INSERT INTO t VALUES (1)"]).await;
        assert!(again.is_err_and(|error| error.as_database_error().is_some_and(|e| e.is_unique_violation())));
        assert_eq!(server.url(), url, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL"]
async fn a_server_can_be_killed_and_restarted_postgres() {
    a_server_can_be_killed(Product::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MariaDB"]
async fn a_server_can_be_killed_and_restarted_mariadb() {
    a_server_can_be_killed(Product::Mariadb).await;
}
