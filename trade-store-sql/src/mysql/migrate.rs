//! The schema, brought up to date step by step.
//!
//! What was applied is noted in a table of our own, so that an application that keeps its own tables and migrations in
//! the same database is not disturbed, nor disturbs. A statement that changes tables is a transaction by itself here: a
//! step may end half-way, and is made so that it can be run again.

use super::classify::{MySql, is_added};
use crate::dialect::{Rendered, Template};
use crate::driver::Driver;
use crate::errors::Errors;
use crate::lane::Lease;
use crate::migrations::{Migrations, OPERATION};
use crate::rights;
use crate::rows::{self, Decoded};
use std::time::Duration;
use trade_core::store::{Access, StoreError, StoreErrorKind};

static MIGRATIONS: Migrations = Migrations([
    include_str!("../../migrations/mysql/0001_trade_network.sql"),
    include_str!("../../migrations/mysql/0002_metadata.sql"),
    include_str!("../../migrations/mysql/0003_api_keys.sql"),
]);

/// How often the schema is brought up to date where another process is at it from another node.
const TRIES: usize = 10;
const RETRY_DELAY: Duration = Duration::from_millis(300);
/// How often the lock is tried for, a second each: no longer, lest a statement's time runs out.
const LOCK_TRIES: usize = 60;
// A lock of the whole server, of at most 64 characters.
static LOCK: Template = Template::new("SELECT get_lock(concat('tn_schema:', sha1(database())), 1)");
static UNLOCK: Template = Template::new("DO release_lock(concat('tn_schema:', sha1(database())))");
static EXISTS: Template = Template::new(
    "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = 'tn_schema'",
);
static CREATE: Template = Template::new(
    "CREATE TABLE IF NOT EXISTS tn_schema (version BIGINT NOT NULL PRIMARY KEY, checksum BINARY(32) NOT NULL) \
     ENGINE = InnoDB",
);
static APPLIED: Template = Template::new("SELECT version, checksum FROM tn_schema ORDER BY version");
static NOTE: Template = Template::new("INSERT INTO tn_schema (version, checksum) VALUES (?1, unhex(?2))");
static COMMIT: Template = Template::new("COMMIT");
static ROLLBACK: Template = Template::new("ROLLBACK");

/// Applies what is missing, one process at a time, and proves the user's rights; where nothing is to be changed, it only
/// reads.
///
/// The lock is one of the server. Two nodes of a cluster have two of them, so that one of two processes may find what the
/// other has just made, and looks again.
pub(super) async fn migrate(lease: &mut Lease<'_, MySql>, access: Access) -> Result<(), StoreError> {
    for _ in 1..TRIES {
        match bring_up_to_date(lease, access).await {
            Err(error) if error.kind == StoreErrorKind::Conflict => {
                lease.execute(ROLLBACK.of(MySql::DIALECT), &[]).await?;
                tokio::time::sleep(RETRY_DELAY).await;
            }
            done => return done,
        }
    }
    bring_up_to_date(lease, access).await
}

async fn bring_up_to_date(lease: &mut Lease<'_, MySql>, access: Access) -> Result<(), StoreError> {
    // A schema of a later program is refused by reading alone.
    let known = applied(lease).await?;
    if !access.may_migrate() {
        MIGRATIONS.refuse_older::<MySql>(known)?;
    }
    if !access.may_write() {
        return rights::prove(lease, access).await;
    }
    if known < MIGRATIONS.0.len() {
        lock(lease).await?;
        // Another process may have come first.
        let known = applied(lease).await?;
        apply(lease, known).await?;
        lease.execute(UNLOCK.of(MySql::DIALECT), &[]).await?;
    }
    rights::prove(lease, access).await?;
    lease.execute(COMMIT.of(MySql::DIALECT), &[]).await.map(drop)
}

/// Takes the lock, which ends with the connection, at the latest.
async fn lock(lease: &mut Lease<'_, MySql>) -> Result<(), StoreError> {
    for _ in 0..LOCK_TRIES {
        let found = lease.fetch(LOCK.of(MySql::DIALECT), &[]).await?;
        let locked = found.first().map(|row| rows::maybe_count(row, 0)).transpose();
        if locked.map_err(rows::failed::<MySql>(OPERATION))?.flatten() == Some(1) {
            return Ok(());
        }
    }
    let detail = "another process is at the schema for too long";
    Err(StoreError::new(StoreErrorKind::Unavailable, MySql::NAME, OPERATION, detail))
}

/// The number of steps applied so far, each the same as ours.
async fn applied(lease: &mut Lease<'_, MySql>) -> Result<usize, StoreError> {
    let damaged = rows::failed::<MySql>(OPERATION);
    let found = lease.fetch(EXISTS.of(MySql::DIALECT), &[]).await?;
    let exists = found.first().map(|row| rows::number(row, 0)).transpose().map_err(damaged)?;
    if exists != Some(1) {
        return Ok(0);
    }
    let found = lease.fetch(APPLIED.of(MySql::DIALECT), &[]).await?;
    let step = |row: &_| Ok((rows::number(row, 0)?, rows::bytes(row, 1)?.to_vec()));
    let steps: Decoded<Vec<_>> = found.iter().map(step).collect();
    MIGRATIONS.known::<MySql>(&steps.map_err(damaged)?)
}

async fn apply(lease: &mut Lease<'_, MySql>, known: usize) -> Result<(), StoreError> {
    lease.execute(CREATE.of(MySql::DIALECT), &[]).await?;
    for (version, checksum, sql) in MIGRATIONS.missing(known) {
        // Statement by statement, so that each has its own time: making tables takes some.
        for statement in sql.split_inclusive(";\n") {
            match lease
                .execute(&Rendered { text: statement.into(), order: Vec::new(), is_kept: false }, &[])
                .await
            {
                Err(error) if !is_added(&error) => return Err(error),
                _ => {}
            }
        }
        let checksum: String = checksum.iter().map(|byte| format!("{byte:02x}")).collect();
        let parameters = [version.into(), checksum.as_str().into()];
        lease.execute(NOTE.of(MySql::DIALECT), &parameters).await?;
        lease.execute(COMMIT.of(MySql::DIALECT), &[]).await?;
    }
    Ok(())
}
