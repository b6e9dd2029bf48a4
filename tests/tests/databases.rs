//! The tests' own databases and database servers do what the other tests take for granted.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use sqlx::{Connection, Executor, MySqlConnection, PgConnection};
use std::time::Duration;
use tests::address::Address;
use tests::database::Database;
use tests::database_server::{DatabaseServer, Product};
use tests::engine::Engine;
use tests::replica_set::ReplicaSet;
use trade_core::testing::conformance::server_url;

/// Runs statements on a connection of their own.
async fn execute(url: &str, statements: &[&'static str]) -> Result<(), sqlx::Error> {
    if Address::parse(url).engine() == Engine::Postgres {
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
    if Address::parse(&url).engine() == Engine::Postgres {
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

/// A client of MongoDB that does not wait long for a server that is gone.
async fn client(url: &str) -> Client {
    let mut options = mongodb::options::ClientOptions::parse(url).await.expect("the URL is one of MongoDB");
    options.server_selection_timeout = Some(Duration::from_secs(2));
    // As a store's: whoever drops the database finds what is open in it by that.
    options.app_name.clone_from(&options.default_database);
    Client::with_options(options).expect("its options are good")
}

/// The numbers in a collection of the database that a URL names.
async fn numbers(client: &Client) -> mongodb::error::Result<Vec<i32>> {
    let database = client.default_database().expect("the URL names a database");
    let found = database.collection::<Document>("t").distinct("_id", doc! {}).await?;
    Ok(found.iter().filter_map(mongodb::bson::Bson::as_i32).collect())
}

/// Writes a number, durably.
async fn write(client: &Client, number: i32) -> mongodb::error::Result<()> {
    let database = client.default_database().expect("the URL names a database");
    database.collection("t").insert_one(doc! {"_id": number}).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_database_comes_and_goes_on_mongo() {
    let server = server_url("TRADE_TEST_MONGODB_URL");
    let (one, other) = (Database::create(&server).await, Database::create(&server).await);
    let clients = [client(one.url()).await, client(other.url()).await];
    write(&clients[0], 1).await.expect("it is empty");
    write(&clients[1], 2).await.expect("they are apart");
    // A transaction that is left open: whoever drops the database must not wait for it.
    let mut session = clients[0].start_session().await.expect("a session");
    session.start_transaction().await.expect("a transaction");
    let collection = clients[0].default_database().expect("the URL names one").collection("t");
    collection.insert_one(doc! {"_id": 3}).session(&mut session).await.expect("a number");
    drop(one);
    assert_eq!(numbers(&clients[0]).await.expect("it can be asked"), [0; 0], "it is dropped");
    assert_eq!(numbers(&clients[1]).await.expect("it can be asked"), [2], "the other is there");
    let panicked = tokio::spawn(async move {
        let _other = other;
        panic!("as tests do");
    });
    panicked.await.expect_err("it panics");
    assert_eq!(numbers(&clients[1]).await.expect("it can be asked"), [0; 0], "it is dropped as well");
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

/// Whether an error tells of a number that is there already.
fn is_duplicate(error: &mongodb::error::Error) -> bool {
    use mongodb::error::WriteFailure::WriteError;
    matches!(&*error.kind, ErrorKind::Write(WriteError(write)) if write.code == 11_000)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn a_server_can_be_killed_and_restarted_mongodb() {
    let mut server = DatabaseServer::start(Product::Mongodb);
    let url = server.url();
    write(&client(&url).await, 1).await.expect("it is there");
    for round in 0..2 {
        let client = client(&url).await;
        let mut session = client.start_session().await.expect("a session");
        session.start_transaction().await.expect("a transaction");
        let database = client.default_database().expect("the URL names a database");
        let collection = database.collection("t");
        let in_doubt = collection.insert_one(doc! {"_id": 2}).session(&mut session);
        in_doubt.await.expect("the number is not there");
        server.kill();
        write(&client, 3).await.expect_err("it is killed");
        server.restart();
        let again = write(&client, 1).await.expect_err("it was kept");
        assert!(is_duplicate(&again), "{again}");
        assert_eq!(server.url(), url, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MongoDB"]
async fn a_replica_set_elects_another_primary_and_takes_the_first_back() {
    let mut set = ReplicaSet::start(3);
    let first = set.primary().await;
    let client = client(set.url()).await;
    write(&client, 1).await.expect("a set of three");
    set.kill(first);
    let second = set.primary().await;
    assert_ne!(second, first);
    write(&client, 2).await.expect("a set of two of three");
    set.restart(first);
    set.step_down(second).await;
    let third = set.primary().await;
    assert_ne!(third, second);
    assert_eq!(numbers(&client).await.expect("it can be asked"), [1, 2]);
}
