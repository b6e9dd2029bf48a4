//! The schema, brought up to date step by step.
//!
//! What was applied is noted in a table of our own, so that an application that keeps its own tables and migrations in
//! the same schema is not disturbed, nor disturbs. Several processes may start at once: whoever notes a step first
//! applies it, and the others wait for that note, fail on it, and look again.

use super::classify::{Postgres, is_race};
use crate::errors::{Errors, classify};
use crate::migrations::{Migrations, OPERATION};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use std::time::Duration;
use trade_core::store::{Access, StoreError, StoreErrorKind};

static MIGRATIONS: Migrations = Migrations([
    include_str!("../../migrations/postgres/0001_trade_network.sql"),
    include_str!("../../migrations/postgres/0002_metadata.sql"),
    include_str!("../../migrations/postgres/0003_api_keys.sql"),
]);

/// How often, and how far apart, a step is tried that another process is at.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
const UNDEFINED_TABLE: &str = "42P01";

/// Who speaks the protocol, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// PostgreSQL, or what is made of it.
    Postgres,
    /// CockroachDB.
    Cockroach,
}

impl Server {
    async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let version: String = sqlx::query_scalar("SELECT version()").fetch_one(connection).await?;
        Ok(if version.contains("CockroachDB") { Self::Cockroach } else { Self::Postgres })
    }
}

/// Applies what is missing, where it may, each step whole or not at all. Answers who the server is.
///
/// A server that is to be read alone is not written to.
///
/// # Errors
/// `Unsupported` where the schema is of another program, where it is older and not to be changed, or where the server
/// takes no writes.
pub(super) async fn migrate(connection: &mut PgConnection, access: Access) -> Result<Server, StoreError> {
    let server = Server::of(connection).await.map_err(classified)?;
    let mut tries = 0;
    loop {
        let known = MIGRATIONS.known::<Postgres>(&applied(connection).await?)?;
        if !access.may_migrate() {
            MIGRATIONS.refuse_older::<Postgres>(known)?;
        }
        if !access.may_write() {
            return Ok(server);
        }
        refuse_read_only(connection).await?;
        let Some((version, checksum, sql)) = MIGRATIONS.missing(known).next() else { return Ok(server) };
        tries += 1;
        match apply(connection, server, version, &checksum, sql).await {
            Ok(()) => {}
            Err(error) if is_race(&error) && tries < TRIES => {
                sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.map_err(classified)?;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(classified(error)),
        }
    }
}

fn classified(error: sqlx::Error) -> StoreError {
    classify::<Postgres>(OPERATION)(error)
}

/// Versions and checksums of the steps applied so far, in order.
async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let steps = sqlx::query_as("SELECT version, checksum FROM tn_schema ORDER BY version");
    match steps.fetch_all(connection).await {
        Err(error)
            if error.as_database_error().and_then(|error| error.code()).as_deref()
                == Some(UNDEFINED_TABLE) =>
        {
            Ok(Vec::new())
        }
        steps => steps.map_err(classified),
    }
}

/// A replica would serve reads for a while, and fail at the first commit.
async fn refuse_read_only(connection: &mut PgConnection) -> Result<(), StoreError> {
    let setting: String =
        sqlx::query_scalar("SHOW transaction_read_only").fetch_one(connection).await.map_err(classified)?;
    if setting == "on" {
        let detail = "the server takes no writes: it is a replica, or was set read-only";
        return Err(StoreError::new(StoreErrorKind::Unsupported, Postgres::NAME, OPERATION, detail));
    }
    Ok(())
}

async fn apply(
    connection: &mut PgConnection,
    server: Server,
    version: i64,
    checksum: &[u8],
    sql: &'static str,
) -> Result<(), sqlx::Error> {
    if server == Server::Cockroach {
        // It would end the transaction before each change of a table; of before 25.1 it does not, nor knows this.
        let _ = sqlx::raw_sql("SET autocommit_before_ddl = off").execute(&mut *connection).await;
    }
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS tn_schema (version BIGINT PRIMARY KEY, checksum BYTEA NOT NULL)",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO tn_schema (version, checksum) VALUES ($1, $2)")
        .bind(version)
        .bind(checksum)
        .execute(&mut *connection)
        .await?;
    let sql = match server {
        // It compares every text by bytes, and one with a collation with no other.
        Server::Cockroach => sql.replace(" COLLATE \"C\"", ""),
        Server::Postgres => sql.to_owned(),
    };
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await.map(drop)
}
