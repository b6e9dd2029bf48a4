//! MariaDB, or MySQL, keeps the whole contract.

#![cfg(feature = "mysql")]
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use async_trait::async_trait;
use common::Site;
use common::mysql::Database;
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;
use trade_core::store::Store;
use trade_core::testing::conformance::StoreFactory;
use trade_store_sql::MySqlStore;

/// A database of its own, which goes when the case is done.
#[derive(Debug, Default)]
struct MySql {
    database: OnceCell<Database>,
    opened: Mutex<Vec<Arc<MySqlStore>>>,
}

impl MySql {
    async fn handle(&self) -> Arc<dyn Store> {
        let store = Arc::new(self.database.get_or_init(Database::create).await.open().await);
        self.opened.lock().unwrap().push(store.clone());
        store
    }
}

#[async_trait]
impl StoreFactory for MySql {
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

trade_core::conformance_suite!(mysql, MySql::default(), needs = "TRADE_TEST_MYSQL_URL");
