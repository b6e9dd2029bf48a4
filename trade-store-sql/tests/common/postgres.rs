//! A store in a database of a test's own, on PostgreSQL.

#[path = "postgres_database.rs"]
mod database;

pub(crate) use database::Database;
use sqlx::Executor;
use trade_core::store::{Access, StoreError};
use trade_store_sql::PostgresStore;

impl super::Site for Database {
    type Store = PostgresStore;

    async fn make() -> Self {
        Self::create().await
    }

    async fn open_as(&self, access: Access) -> Result<PostgresStore, StoreError> {
        PostgresStore::connect_with(&self.url(), &super::options(access)).await
    }

    async fn close(store: &PostgresStore) {
        store.close().await;
    }

    async fn run(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.connection().await.execute(sql).await.map(drop)
    }
}
