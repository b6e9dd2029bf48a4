//! PostgreSQL keeps the whole contract.

#![cfg(feature = "postgres")]
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use async_trait::async_trait;
use common::Site;
use common::postgres::Database;
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;
use trade_core::store::Store;
use trade_core::testing::conformance::StoreFactory;
use trade_store_sql::PostgresStore;

/// A database of its own, which goes when the case is done.
#[derive(Debug, Default)]
struct Postgres {
    database: OnceCell<Database>,
    opened: Mutex<Vec<Arc<PostgresStore>>>,
}

impl Postgres {
    async fn handle(&self) -> Arc<dyn Store> {
        let store = Arc::new(self.database.get_or_init(Database::create).await.open().await);
        self.opened.lock().unwrap().push(store.clone());
        store
    }
}

#[async_trait]
impl StoreFactory for Postgres {
    async fn open(&self) -> Arc<dyn Store> {
        self.handle().await
    }

    async fn reopen(&self) -> Option<Arc<dyn Store>> {
        Some(self.handle().await)
    }

    async fn close(&self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap());
        for store in opened {
            store.close().await;
        }
    }
}

trade_core::conformance_suite!(postgres, Postgres::default(), needs = "TRADE_TEST_POSTGRES_URL");
