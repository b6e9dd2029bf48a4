//! What the tests of this store share: a database of a test's own on the server that they were given.
// Not every test uses all of it.
#![allow(dead_code, clippy::unwrap_used)]

use mongodb::bson::Document;
use mongodb::{Client, Database as Driver};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use trade_core::testing::conformance::server_url;
use trade_store_mongo::{MongoOptions, MongoStore};

/// Where the address of the server stands.
pub(crate) const VARIABLE: &str = "TRADE_TEST_MONGODB_URL";

/// A name that no other test has.
pub(crate) fn fresh_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    format!("tn_{now}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// An address of the same server that names a database.
pub(crate) fn with_database(server: &str, name: &str) -> String {
    let (address, parameters) = server.split_once('?').unwrap_or((server, ""));
    let (scheme, rest) = address.split_once("://").unwrap();
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    format!("{scheme}://{host}/{name}?{parameters}")
}

/// A new database, dropped with this.
#[derive(Debug)]
pub(crate) struct Database {
    server: String,
    pub(crate) name: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self { server: server_url(VARIABLE), name: fresh_name() }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        with_database(&self.server, &self.name)
    }

    pub(crate) async fn open(&self) -> MongoStore {
        self.open_with(&MongoOptions::default()).await
    }

    pub(crate) async fn open_with(&self, options: &MongoOptions) -> MongoStore {
        MongoStore::connect_with(&self.url(), options).await.unwrap()
    }

    /// A client beside the store's, to look at the documents or to be in the way.
    pub(crate) async fn driver(&self) -> Driver {
        Client::with_uri_str(self.url()).await.unwrap().database(&self.name)
    }

    /// Runs a command on the server's own database.
    pub(crate) async fn admin(&self, command: Document) -> Document {
        let driver = self.driver().await;
        driver.client().database("admin").run_command(command).await.unwrap()
    }

    pub(crate) async fn remove(&self) {
        self.driver().await.drop().await.unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (url, name) = (self.url(), self.name.clone());
        // Whatever runtime drops this may not be able to wait.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = Client::with_uri_str(url).await.unwrap();
                client.database(&name).drop().await.unwrap();
            });
        });
        let dropped = dropping.join();
        if !std::thread::panicking() {
            dropped.unwrap();
        }
    }
}
