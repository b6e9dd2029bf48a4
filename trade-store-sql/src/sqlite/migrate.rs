//! The schema, brought up to date step by step.
//!
//! What was applied is noted in a table of our own, so that an application that keeps its own tables and migrations in
//! the same file is not disturbed, nor disturbs.

use super::classify::Sqlite;
use crate::errors::classify;
use crate::migrations::{Migrations, OPERATION};
use sqlx::sqlite::SqliteConnection;
use trade_core::store::{Access, StoreError};

static MIGRATIONS: Migrations = Migrations([
    include_str!("../../migrations/sqlite/0001_trade_network.sql"),
    include_str!("../../migrations/sqlite/0002_metadata.sql"),
    include_str!("../../migrations/sqlite/0003_api_keys.sql"),
]);

/// Refuses a schema of a later program, and an older one that is not to be changed, by reading alone.
pub(super) async fn refuse_other(
    connection: &mut SqliteConnection,
    access: Access,
) -> Result<(), StoreError> {
    let known = applied(connection).await?;
    if access.may_migrate() { Ok(()) } else { MIGRATIONS.refuse_older::<Sqlite>(known) }
}

/// Applies what is missing, all of it or nothing, and finds out whether the file can be written at all.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(classify::<Sqlite>(OPERATION))?;
    // Another process may have come first.
    let known = applied(connection).await?;
    let done = apply(connection, known).await.map_err(classify::<Sqlite>(OPERATION));
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = sqlx::query(end).execute(&mut *connection).await.map_err(classify::<Sqlite>(OPERATION));
    done.and(ended.map(drop))
}

/// The number of steps applied so far, each the same as ours.
async fn applied(connection: &mut SqliteConnection) -> Result<usize, StoreError> {
    let exists: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'tn_schema')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(classify::<Sqlite>(OPERATION))?;
    if !exists {
        return Ok(0);
    }
    let steps: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM tn_schema ORDER BY version")
            .fetch_all(&mut *connection)
            .await
            .map_err(classify::<Sqlite>(OPERATION))?;
    MIGRATIONS.known::<Sqlite>(&steps)
}

async fn apply(connection: &mut SqliteConnection, known: usize) -> Result<(), sqlx::Error> {
    if known == 0 {
        sqlx::raw_sql("CREATE TABLE tn_schema (version INTEGER PRIMARY KEY, checksum BLOB NOT NULL) STRICT")
            .execute(&mut *connection)
            .await?;
    }
    for (version, checksum, sql) in MIGRATIONS.missing(known) {
        sqlx::raw_sql(sql).execute(&mut *connection).await?;
        sqlx::query("INSERT INTO tn_schema (version, checksum) VALUES (?, ?)")
            .bind(version)
            .bind(checksum)
            .execute(&mut *connection)
            .await?;
    }
    // `BEGIN IMMEDIATE` is satisfied with a file that may only be read; a statement that could change a row is not.
    sqlx::query("DELETE FROM tn_schema WHERE version < 0").execute(&mut *connection).await?;
    Ok(())
}
