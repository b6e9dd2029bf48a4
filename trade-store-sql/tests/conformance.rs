//! SQLite keeps the whole contract, that of keys included.

#![cfg(feature = "sqlite")]

use async_trait::async_trait;
use sqlx::{ConnectOptions, Connection};
use std::sync::Arc;
use trade_core::access::{KeyId, KeyStore};
use trade_core::store::Store;
use trade_core::testing::conformance::StoreFactory;
use trade_core::testing::key_conformance::KeyStoreFactory;
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

    async fn handle(&self) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open_file(self.file()).await.expect("the file opens"))
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("network.db")
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

#[async_trait]
impl KeyStoreFactory for Sqlite {
    async fn open(&self) -> Arc<dyn KeyStore> {
        self.handle().await
    }

    async fn reopen(&self) -> Arc<dyn KeyStore> {
        self.handle().await
    }

    async fn overwrite(&self, id: &KeyId, record: &[u8]) -> bool {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file());
        let mut own = options.connect().await.expect("the file opens");
        let change = sqlx::query("UPDATE tn_api_key SET record = ? WHERE id = ?").bind(record);
        let done = change.bind(id.as_str()).execute(&mut own).await.expect("the record changes");
        own.close().await.expect("the connection closes");
        done.rows_affected() == 1
    }
}

trade_core::conformance_suite!(sqlite, Sqlite::new());
trade_core::key_conformance_suite!(sqlite_keys, Sqlite::new());
