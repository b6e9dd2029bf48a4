//! A store in a database of a test's own, on PostgreSQL.

#[path = "postgres_database.rs"]
mod database;

pub(crate) use database::Database;
use sqlx::Executor;
use trade_store_sql::PostgresStore;

impl super::Site for Database {
    type Store = PostgresStore;

    async fn make() -> Self {
        Self::create().await
    }

    async fn open(&self) -> PostgresStore {
        PostgresStore::connect(&self.url()).await.unwrap()
    }

    async fn close(store: &PostgresStore) {
        store.close().await;
    }

    async fn run(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.connection().await.execute(sql).await.map(drop)
    }
}
