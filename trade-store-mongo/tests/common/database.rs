//! A database of a test's own on the server that the tests were given.

use mongodb::bson::Document;
use mongodb::{Client, Database as Driver};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use trade_core::testing::conformance::server_url;

/// Where the address of the server stands.
pub(crate) const VARIABLE: &str = "TRADE_TEST_MONGODB_URL";

/// A name that no other test has.
fn fresh_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    format!("tn_{now}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
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
        let (address, parameters) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let (scheme, rest) = address.split_once("://").unwrap();
        let host = rest.split_once('/').map_or(rest, |(host, _)| host);
        format!("{scheme}://{host}/{}?{parameters}", self.name)
    }

    /// What its stores' connections are known by at the server.
    pub(crate) fn app_name(&self) -> String {
        format!("trade-network/{}", self.name)
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
