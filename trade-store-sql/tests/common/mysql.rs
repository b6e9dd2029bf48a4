//! A store in a database of a test's own, on MySQL or MariaDB.

#[path = "mysql_database.rs"]
mod database;

pub(crate) use database::Database;
use sqlx::Executor;
use trade_core::store::{Access, StoreError};
use trade_store_sql::MySqlStore;

impl super::Site for Database {
    type Store = MySqlStore;

    async fn make() -> Self {
        Self::create().await
    }

    async fn open_as(&self, access: Access) -> Result<MySqlStore, StoreError> {
        MySqlStore::connect_with(&self.url(), &super::options(access)).await
    }

    async fn close(store: &MySqlStore) {
        store.close().await;
    }

    async fn run(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.connection().await.execute(sql).await.map(drop)
    }
}
