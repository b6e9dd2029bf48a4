//! A database of a test's own on the MySQL or MariaDB server that the tests were given.
// Not every test uses all of it.
#![allow(dead_code)]

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use trade_core::testing::conformance::server_url;

/// Where the address of the server stands.
pub(crate) const VARIABLE: &str = "TRADE_TEST_MYSQL_URL";

/// A new, empty database, dropped with this, whoever is still connected to it.
#[derive(Debug)]
pub(crate) struct Database {
    server: String,
    name: String,
}

impl Database {
    pub(crate) async fn create() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tn_sql_{now}_{}_{count}", std::process::id());
        let server = server_url(VARIABLE);
        let mut connection = connection(&server).await;
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        Self { server, name }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        let (address, parameters) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let (host, _) = address.rsplit_once('/').unwrap();
        format!("{host}/{}?{parameters}", self.name)
    }

    /// Its name, as the server knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its address for another user.
    pub(crate) fn url_as(&self, user: &str, password: &str) -> String {
        let url = self.url();
        let (scheme, rest) = url.split_once("://").unwrap();
        let (_, place) = rest.rsplit_once('@').unwrap();
        format!("{scheme}://{user}:{password}@{place}")
    }

    /// Where the server is.
    pub(crate) fn host(&self) -> String {
        let options: MySqlConnectOptions = self.server.parse().unwrap();
        format!("{}:{}", options.get_host(), options.get_port())
    }

    /// Its address by way of another port of this machine.
    pub(crate) fn url_by_way_of(&self, port: u16) -> String {
        let url = self.url();
        let (user, rest) = url.rsplit_once('@').unwrap();
        let (_, rest) = rest.split_once('/').unwrap();
        format!("{user}@127.0.0.1:{port}/{rest}")
    }

    /// A connection beside the store's, to look at the rows or to be in the way.
    pub(crate) async fn connection(&self) -> MySqlConnection {
        connection(&self.url()).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // Whatever runtime drops this may not be able to wait.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(remove(&server, &name));
        });
        let dropped = dropping.join();
        if !std::thread::panicking() {
            dropped.unwrap();
        }
    }
}

async fn remove(server: &str, name: &str) {
    let mut connection = connection(server).await;
    // A transaction that is still open would keep its tables for ever.
    let users = sqlx::query("SELECT id FROM information_schema.processlist WHERE db = ?").bind(name);
    for user in users.fetch_all(&mut connection).await.unwrap() {
        let id: i64 = user.try_get_unchecked(0).unwrap();
        // It may have gone by itself.
        let _ = connection.execute(AssertSqlSafe(format!("KILL {id}"))).await;
    }
    connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"))).await.unwrap();
}

async fn connection(url: &str) -> MySqlConnection {
    url.parse::<MySqlConnectOptions>().unwrap().connect().await.unwrap()
}
