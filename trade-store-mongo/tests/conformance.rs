//! The conformance suite on MongoDB.

#![allow(clippy::unwrap_used)]

mod common;

use async_trait::async_trait;
use common::Database;
use std::sync::{Arc, Mutex};
use trade_core::store::Store;
use trade_core::testing::conformance::StoreFactory;
use trade_store_mongo::MongoStore;

/// Makes stores in a database of its own.
#[derive(Debug)]
struct Factory {
    database: Database,
    opened: Mutex<Vec<Arc<MongoStore>>>,
}

impl Factory {
    fn new() -> Self {
        Self { database: Database::new(), opened: Mutex::default() }
    }

    async fn connect(&self) -> Arc<dyn Store> {
        let store = Arc::new(self.database.open().await);
        self.opened.lock().unwrap().push(store.clone());
        store
    }
}

#[async_trait]
impl StoreFactory for Factory {
    async fn open(&self) -> Arc<dyn Store> {
        self.connect().await
    }

    async fn reopen(&self) -> Arc<dyn Store> {
        self.connect().await
    }

    async fn close(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap());
        for store in opened {
            store.close().await;
        }
    }
}

trade_core::conformance_suite!(mongodb, Factory::new(), needs = "TRADE_TEST_MONGODB_URL");
