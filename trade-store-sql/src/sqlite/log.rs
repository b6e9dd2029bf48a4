//! The log, its head, and the receipts beside it.

use super::classify::{NAME, classify, damaged};
use super::lane::Lane;
use crate::rows;
use futures::TryStreamExt;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use std::sync::Arc;
use std::time::Duration;
use trade_core::resource::Sequence;
use trade_core::step::Step;
use trade_core::store::{Head, LogRecord, StoreError, StoreErrorKind};
use trade_core::values::Timestamp;

/// How often the head is looked at for what other processes wrote.
const POLL_PAUSE: Duration = Duration::from_millis(100);

pub(super) const HEAD_SQL: &str = "SELECT sequence, time FROM tn_head WHERE one = 1";

pub(super) async fn head(readers: &Lane, operation: &'static str) -> Result<Head, StoreError> {
    let mut lease = readers.lease(operation).await?;
    let head = head_after(&mut lease.connection, HEAD_SQL, operation).await?;
    lease.give_back();
    Ok(head)
}

/// The head as a connection sees it after what else stands in the statement.
pub(super) async fn head_after(
    connection: &mut SqliteConnection,
    sql: &'static str,
    operation: &'static str,
) -> Result<Head, StoreError> {
    let (sequence, time): (i64, i64) =
        sqlx::query_as(sql).fetch_one(connection).await.map_err(classify(operation))?;
    let sequence = rows::unsigned(sequence).map_err(damaged(operation))?;
    Ok(Head { sequence, time: rows::time(time).map_err(damaged(operation))? })
}

pub(super) async fn read(
    readers: &Lane,
    after: Sequence,
    records_max: usize,
    bytes_max: usize,
) -> Result<Vec<LogRecord>, StoreError> {
    const OPERATION: &str = "read the log";
    let mut lease = readers.lease(OPERATION).await?;
    let mut records = Vec::new();
    let mut bytes = 0;
    let mut found = sqlx::query("SELECT last, record FROM tn_log WHERE last > ?1 ORDER BY last LIMIT ?2")
        .bind(rows::stored(after))
        .bind(i64::try_from(records_max).unwrap_or(i64::MAX))
        .fetch(&mut lease.connection);
    while let Some(row) = found.try_next().await.map_err(classify(OPERATION))? {
        let last: i64 = row.try_get(0).map_err(classify(OPERATION))?;
        let record: &[u8] = row.try_get(1).map_err(classify(OPERATION))?;
        let broken = |error| {
            let detail = format!("the log record that ends at {last} cannot be read");
            StoreError::new(StoreErrorKind::Corrupt, NAME, OPERATION, detail).caused_by(error)
        };
        let step = Step::decode(record).map_err(broken)?;
        bytes += record.len();
        records.push(LogRecord {
            last: rows::unsigned(last).map_err(damaged(OPERATION))?,
            step: Arc::new(step),
        });
        if bytes >= bytes_max {
            break;
        }
    }
    drop(found);
    lease.give_back();
    Ok(records)
}

/// Another process leaves no sign but the file itself.
pub(super) async fn changed(readers: &Lane, after: Sequence) -> Result<(), StoreError> {
    while head(readers, "watch the log").await?.sequence <= after {
        tokio::time::sleep(POLL_PAUSE).await;
    }
    Ok(())
}

pub(super) async fn prune_receipts(
    writer: &Lane,
    before: Timestamp,
    limit: usize,
) -> Result<u64, StoreError> {
    const OPERATION: &str = "prune receipts";
    let mut lease = writer.lease(OPERATION).await?;
    let done = sqlx::query(
        "DELETE FROM tn_receipt WHERE rowid IN \
         (SELECT rowid FROM tn_receipt WHERE time < ?1 ORDER BY time LIMIT ?2)",
    )
    .bind(before.millis())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .execute(&mut lease.connection)
    .await
    .map_err(classify(OPERATION))?;
    lease.give_back();
    Ok(done.rows_affected())
}
