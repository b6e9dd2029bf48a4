//! API keys: a table beside the log. What is written here is no step of it, and takes a transaction of its own.

use crate::dialect::Template;
use crate::driver::{Driver, Param};
use crate::lane::{Lane, Lease};
use crate::layouts::at;
use crate::rows;
use std::collections::BTreeMap;
use std::fmt::Write;
use trade_core::access::{ApiKey, KeyId};
use trade_core::store::{StoreError, StoreErrorKind};
use trade_core::values::Timestamp;

/// Where they stand.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const TABLE: &str = "tn_api_key";
/// Its columns, the key first.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) const COLUMNS: [&str; 4] = ["id", "version", "used_at", "record"];

pub(crate) static ONE_SQL: Template = Template::new("SELECT {row:api_key} FROM tn_api_key a WHERE a.id = ?1");
/// The keys behind an id.
pub(crate) static LIST_SQL: Template =
    Template::new("SELECT {row:api_key} FROM tn_api_key a WHERE a.id > ?1 ORDER BY a.id LIMIT ?2");
static INSERT_SQL: Template =
    Template::new("INSERT INTO tn_api_key (id, version, record) VALUES (?1, ?2, {bytes:?3})");
pub(crate) static CHANGE_SQL: Template =
    Template::new("UPDATE tn_api_key SET version = ?2, record = {bytes:?3} WHERE id = ?1 AND version = ?4");
pub(crate) static USE_SQL: Template =
    Template::new("UPDATE tn_api_key SET used_at = ?2 WHERE id = ?1 AND (used_at IS NULL OR used_at < ?2)");
static BEGIN: Template = Template::new("BEGIN");
static COMMIT: Template = Template::new("COMMIT");
static ROLLBACK: Template = Template::new("ROLLBACK");

/// The operation in errors, of a change.
pub(crate) const CHANGE: &str = "store a key";
/// The same of uses.
pub(crate) const USE: &str = "note the use of keys";
/// Uses that are noted by one transaction: whoever commits waits for it.
const USES_MAX: usize = 50;
/// How often uses are noted anew where others were in the way.
const TRIES: usize = 5;

/// As [`trade_core::access::KeyStore::key`].
pub(crate) async fn key<E: Driver>(lane: &Lane<E>, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
    const OPERATION: &str = "read a key";
    let found = lane.read(OPERATION, ONE_SQL.of(E::DIALECT), &[id.as_str().into()]).await?;
    found.first().map(|row| api_key::<E>(OPERATION, row)).transpose()
}

/// As [`trade_core::access::KeyStore::keys`].
pub(crate) async fn keys<E: Driver>(
    lane: &Lane<E>,
    after: Option<&KeyId>,
    limit: usize,
) -> Result<Vec<ApiKey>, StoreError> {
    const OPERATION: &str = "list keys";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let parameters: [Param<'_>; 2] = [after.map_or("", KeyId::as_str).into(), limit.into()];
    let found = lane.read(OPERATION, LIST_SQL.of(E::DIALECT), &parameters).await?;
    found.iter().map(|row| api_key::<E>(OPERATION, row)).collect()
}

fn api_key<E: Driver>(operation: &'static str, row: &E::Row) -> Result<ApiKey, StoreError> {
    let damaged = rows::failed::<E>(operation);
    let id = rows::string(row, at!(API_KEY.text "id")).map_err(damaged)?;
    let id =
        KeyId::new(id).map_err(|error| damaged(rows::Unreadable::damaged(format!("a key's id {error}"))))?;
    let version = rows::count(row, at!(API_KEY.number "version")).map_err(damaged)?;
    let used_at = rows::maybe_moment(row, at!(API_KEY.number "used_at")).map_err(damaged)?;
    let record = rows::bytes(row, at!(API_KEY.bytes "record")).map_err(damaged)?;
    let key = ApiKey::decode(id.clone(), version, used_at, record);
    key.map_err(|error| error.in_store(E::NAME, operation, &id))
}

/// As [`trade_core::access::KeyStore::put_key`].
pub(crate) async fn put<E: Driver>(writer: &Lane<E>, key: &ApiKey) -> Result<(), StoreError> {
    let record = key.encode().map_err(|error| {
        StoreError::new(StoreErrorKind::Internal, E::NAME, CHANGE, format!("the key {} {error}", key.id))
    })?;
    let (record, version) = (hexadecimal(&record), rows::stored(key.version));
    let (id, record): (Param<'_>, Param<'_>) = (key.id.as_str().into(), (&*record).into());
    let mut lease = begin(writer, CHANGE).await?;
    let changed = match version.checked_sub(1) {
        Some(before @ 1..) => {
            let parameters = [id, version.into(), record, before.into()];
            lease.execute(CHANGE_SQL.of(E::DIALECT), &parameters).await?
        }
        // Where it is there already, that is a conflict by itself.
        _ => lease.execute(INSERT_SQL.of(E::DIALECT), &[id, version.into(), record]).await?,
    };
    if changed == 0 {
        lease.execute(ROLLBACK.of(E::DIALECT), &[]).await?;
        lease.give_back();
        let detail = format!("the key {} has another version, or there is none", key.id);
        return Err(StoreError::new(StoreErrorKind::Conflict, E::NAME, CHANGE, detail));
    }
    end(lease).await
}

/// As [`trade_core::access::KeyStore::note_use`].
pub(crate) async fn note_use<E: Driver>(
    writer: &Lane<E>,
    used: &[(KeyId, Timestamp)],
) -> Result<(), StoreError> {
    // In the order of their ids, so that two who note the same do not wait for each other.
    let mut latest: BTreeMap<&str, i64> = BTreeMap::new();
    for (id, time) in used {
        let known = latest.entry(id.as_str()).or_insert(i64::MIN);
        *known = time.millis().max(*known);
    }
    for some in latest.into_iter().collect::<Vec<_>>().chunks(USES_MAX) {
        let mut tries = 1;
        // What may have landed is as good twice as once.
        while let Err(error) = note_some(writer, some).await {
            if !error.is_retryable() || tries == TRIES {
                return Err(error);
            }
            tries += 1;
        }
    }
    Ok(())
}

async fn note_some<E: Driver>(writer: &Lane<E>, used: &[(&str, i64)]) -> Result<(), StoreError> {
    let mut lease = begin(writer, USE).await?;
    for (id, time) in used {
        lease.execute(USE_SQL.of(E::DIALECT), &[(*id).into(), (*time).into()]).await?;
    }
    end(lease).await
}

/// Begins a transaction. Dropped, its connection is closed, and with it the transaction.
async fn begin<'l, E: Driver>(
    writer: &'l Lane<E>,
    operation: &'static str,
) -> Result<Lease<'l, E>, StoreError> {
    let mut lease = writer.lease(operation).await?;
    if let Err(error) = lease.execute(BEGIN.of(E::DIALECT), &[]).await {
        lease = lease.renew_after(error).await?;
        lease.execute(BEGIN.of(E::DIALECT), &[]).await?;
    }
    Ok(lease)
}

/// Commits. What says that others were in the way is certain; whatever else comes instead of an acknowledgement may have
/// come after the commit was written.
async fn end<E: Driver>(mut lease: Lease<'_, E>) -> Result<(), StoreError> {
    match lease.execute(COMMIT.of(E::DIALECT), &[]).await {
        Ok(_) => {
            lease.give_back();
            Ok(())
        }
        Err(error) if error.kind == StoreErrorKind::Conflict => Err(error),
        Err(error) => Err(maybe_written(error)),
    }
}

/// What is told of a change that may have been written.
pub(crate) fn maybe_written(mut error: StoreError) -> StoreError {
    error.kind = StoreErrorKind::OutcomeUnknown;
    error.detail = format!("the end of it was not acknowledged: {}", error.detail);
    error
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
