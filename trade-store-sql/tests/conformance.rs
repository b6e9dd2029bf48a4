//! SQLite keeps the whole contract.

#![cfg(feature = "sqlite")]

use async_trait::async_trait;
use std::sync::Arc;
use trade_core::store::Store;
use trade_core::testing::conformance::StoreFactory;
use trade_store_sql::SqliteStore;

/// A file in a folder of its own, which goes when the case is done.
#[derive(Debug)]
struct Sqlite {
    folder: tempfile::TempDir,
}

impl Sqlite {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder for the file") }
    }

    async fn handle(&self) -> Arc<dyn Store> {
        let url = format!("sqlite://{}", self.folder.path().join("network.db").display());
        Arc::new(SqliteStore::open(&url).await.expect("the file opens"))
    }
}

#[async_trait]
impl StoreFactory for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        self.handle().await
    }

    async fn reopen(&self) -> Arc<dyn Store> {
        self.handle().await
    }
}

trade_core::conformance_suite!(sqlite, Sqlite::new());
