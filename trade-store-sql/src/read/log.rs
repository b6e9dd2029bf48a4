//! The log, its head, and the receipts beside it.

use crate::dialect::{Rendered, Template};
use crate::driver::{Driver, Param};
use crate::lane::Lane;
use crate::rows;
use std::sync::Arc;
use trade_core::resource::Sequence;
use trade_core::step::Step;
use trade_core::store::{Head, LogRecord, StoreError, StoreErrorKind};
use trade_core::values::Timestamp;

pub(crate) static HEAD_SQL: Template =
    Template::new("SELECT sequence, time, format FROM tn_head WHERE one = 1");

/// Records after a sequence, up to those before which there are fewer bytes than asked for.
pub(crate) static READ_SQL: Template = Template::new(
    "SELECT last, record FROM (SELECT last, record, sum(length(record)) OVER (ORDER BY last) - length(record) AS earlier \
     FROM (SELECT last, record FROM tn_log WHERE last > ?1 ORDER BY last LIMIT ?2) records) sums \
     WHERE earlier < ?3 OR earlier = 0 ORDER BY last",
);

pub(crate) async fn head<E: Driver>(readers: &Lane<E>, operation: &'static str) -> Result<Head, StoreError> {
    let found = readers.read(operation, HEAD_SQL.of(E::DIALECT), &[]).await?;
    head_of::<E>(&found, operation)
}

/// The head in an answer.
pub(crate) fn head_of<E: Driver>(found: &[E::Row], operation: &'static str) -> Result<Head, StoreError> {
    let row = found.first().ok_or_else(|| {
        StoreError::new(StoreErrorKind::Corrupt, E::NAME, operation, "there is no head of the log")
    })?;
    rows::head(row).map_err(rows::failed::<E>(operation))
}

pub(crate) async fn read<E: Driver>(
    lane: &Lane<E>,
    after: Sequence,
    records_max: usize,
    bytes_max: usize,
) -> Result<Vec<LogRecord>, StoreError> {
    const OPERATION: &str = "read the log";
    let limit = |limit| i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters: [Param<'_>; 3] =
        [rows::stored(after).into(), limit(records_max).into(), limit(bytes_max).into()];
    let found = lane.read(OPERATION, READ_SQL.of(E::DIALECT), &parameters).await?;
    let damaged = rows::failed::<E>(OPERATION);
    let record = |row: &E::Row| {
        let last = rows::count(row, 0).map_err(damaged)?;
        let step = Step::decode(rows::bytes(row, 1).map_err(damaged)?);
        let step = step.map_err(|error| error.in_store(E::NAME, OPERATION, last))?;
        Ok(LogRecord { last, step: Arc::new(step) })
    };
    found.iter().map(record).collect()
}

/// The server's clock, in milliseconds since 1970.
pub(crate) async fn clock<E: Driver>(lane: &Lane<E>, sql: &str) -> Result<Timestamp, StoreError> {
    const OPERATION: &str = "read the clock";
    let damaged = rows::failed::<E>(OPERATION);
    let found = lane.read(OPERATION, &Rendered::new(E::DIALECT, sql), &[]).await?;
    let millis = found.first().map(|row| rows::number(row, 0)).transpose().map_err(damaged)?;
    let time = millis.and_then(|millis| Timestamp::from_millis(millis).ok());
    time.ok_or_else(|| {
        StoreError::new(StoreErrorKind::Internal, E::NAME, OPERATION, "the server's clock is out of range")
    })
}

pub(crate) async fn prune_receipts<E: Driver>(
    writer: &Lane<E>,
    before: Timestamp,
    limit: usize,
) -> Result<u64, StoreError> {
    static BEGIN: Template = Template::new("BEGIN");
    static SQL: Template = Template::new("DELETE FROM tn_receipt WHERE {oldest}");
    static COMMIT: Template = Template::new("COMMIT");
    let mut lease = writer.lease("prune receipts").await?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    lease.execute(BEGIN.of(E::DIALECT), &[]).await?;
    let removed = lease.execute(SQL.of(E::DIALECT), &[before.millis().into(), limit.into()]).await?;
    lease.execute(COMMIT.of(E::DIALECT), &[]).await?;
    lease.give_back();
    Ok(removed)
}
