//! The stock ledger.

use super::classify::{classify, damaged};
use super::lane::Lane;
use super::snapshot::Snapshot;
use super::sql::{ledger_columns, ledger_joins};
use crate::plan::{EXAMINED_MAX, one_more, page};
use crate::rows::{self, LedgerRow};
use trade_core::resource::LedgerEntry;
use trade_core::store::{LedgerPosition, LedgerQuery, Page, StoreError};
use trade_core::values::{ItemId, StationId};

/// The rows that leave or enter a station or are listed at it, newest first. Parameters: 1 the station, 2 and 3 the position before which
/// they stand, 4 how many to examine.
macro_rules! walk {
    () => {
        "SELECT sequence, place FROM (\
         SELECT * FROM (SELECT sequence, place FROM tn_ledger INDEXED BY tn_ledger_by_origin \
         WHERE from_place > 0 AND from_place = (SELECT sequence FROM tn_station WHERE id = ?1) \
         AND (sequence, place) < (?2, ?3) ORDER BY sequence DESC, place DESC LIMIT ?4) UNION ALL \
         SELECT * FROM (SELECT sequence, place FROM tn_ledger INDEXED BY tn_ledger_by_destination \
         WHERE to_place > 0 AND to_place = (SELECT sequence FROM tn_station WHERE id = ?1) \
         AND (sequence, place) < (?2, ?3) ORDER BY sequence DESC, place DESC LIMIT ?4) UNION ALL \
         SELECT * FROM (SELECT sequence, place FROM tn_ledger INDEXED BY tn_ledger_by_list \
         WHERE listed_at > 0 AND listed_at = (SELECT sequence FROM tn_station WHERE id = ?1) \
         AND (sequence, place) < (?2, ?3) ORDER BY sequence DESC, place DESC LIMIT ?4)) \
         ORDER BY sequence DESC, place DESC LIMIT ?4"
    };
}

macro_rules! page {
    ($check:literal) => {
        concat!(
            "SELECT ",
            ledger_columns!(),
            " FROM (",
            walk!(),
            ") w CROSS JOIN tn_ledger l ON l.sequence = w.sequence AND l.place = w.place",
            ledger_joins!(),
            $check,
            " ORDER BY w.sequence DESC, w.place DESC LIMIT ?5"
        )
    };
}

/// A page of one station.
pub(super) const STATION_SQL: &str = page!("");
/// Those of one item; the others on the walk are passed over.
pub(super) const STATION_ITEM_SQL: &str = page!(" WHERE l.item = ?6");
/// The last row of a walk that ended early.
pub(super) const EXAMINED_SQL: &str = concat!(
    "SELECT sequence, place FROM (",
    walk!(),
    ") ORDER BY sequence DESC, place DESC LIMIT 1 OFFSET ?4 - 1"
);
/// A page of the whole ledger.
pub(super) const AFTER_SQL: &str = concat!(
    "SELECT ",
    ledger_columns!(),
    " FROM (SELECT sequence, place FROM tn_ledger WHERE (sequence, place) > (?1, ?2) \
     ORDER BY sequence, place LIMIT ?3) w CROSS JOIN tn_ledger l ON l.sequence = w.sequence AND l.place = w.place",
    ledger_joins!(),
    " ORDER BY l.sequence, l.place"
);

pub(super) async fn of_station(
    readers: &Lane,
    station: &StationId,
    query: &LedgerQuery,
) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
    const OPERATION: &str = "read a station's ledger";
    let before = query.before.map_or((i64::MAX, 0), |at| (rows::stored(at.sequence), i64::from(at.index)));
    let (sql, examined_max) = match query.item {
        None => (STATION_SQL, one_more(query.limit)),
        Some(_) => (STATION_ITEM_SQL, EXAMINED_MAX.max(one_more(query.limit))),
    };
    let mut snapshot = Snapshot::begin(readers, OPERATION).await?;
    let found: Vec<LedgerRow> = sqlx::query_as(sql)
        .bind(station.as_str())
        .bind(before.0)
        .bind(before.1)
        .bind(examined_max)
        .bind(one_more(query.limit))
        .bind(query.item.as_ref().map(ItemId::as_str))
        .fetch_all(snapshot.connection())
        .await
        .map_err(classify(OPERATION))?;
    let mut examined: Option<(i64, i64)> = None;
    if query.item.is_some() && found.len() <= query.limit {
        examined = sqlx::query_as(EXAMINED_SQL)
            .bind(station.as_str())
            .bind(before.0)
            .bind(before.1)
            .bind(examined_max)
            .fetch_optional(snapshot.connection())
            .await
            .map_err(classify(OPERATION))?;
    }
    snapshot.end().await?;
    let examined = examined.map(|(sequence, place)| rows::ledger_position(sequence, place)).transpose();
    Ok(page(entries(found, OPERATION)?, query.limit, examined.map_err(damaged(OPERATION))?))
}

pub(super) async fn after(
    readers: &Lane,
    after: LedgerPosition,
    limit: usize,
) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
    const OPERATION: &str = "read the ledger";
    let mut lease = readers.lease(OPERATION).await?;
    let found: Vec<LedgerRow> = sqlx::query_as(AFTER_SQL)
        .bind(rows::stored(after.sequence))
        .bind(i64::from(after.index))
        .bind(one_more(limit))
        .fetch_all(&mut lease.connection)
        .await
        .map_err(classify(OPERATION))?;
    lease.give_back();
    Ok(page(entries(found, OPERATION)?, limit, None))
}

fn entries(
    found: Vec<LedgerRow>,
    operation: &'static str,
) -> Result<Vec<(LedgerPosition, LedgerEntry)>, StoreError> {
    let keyed = |row: LedgerRow| Ok((rows::ledger_position(row.0, row.1)?, rows::ledger_entry(row)?));
    let entries: Result<Vec<_>, _> = found.into_iter().map(keyed).collect();
    entries.map_err(damaged(operation))
}
