//! The stock ledger.

use super::columns::ledger_joins;
use crate::dialect::Template;
use crate::driver::{Driver, Param};
use crate::lane::Lane;
use crate::plan::{EXAMINED_MAX, one_more};
use crate::rows::{self, Decoded};
use crate::snapshot::Snapshot;
use trade_core::resource::LedgerEntry;
use trade_core::store::{LedgerPosition, LedgerQuery, Page, StoreError};
use trade_core::values::StationId;

/// One part of a station's walk.
macro_rules! part {
    ($index:literal, $place:literal) => {
        concat!(
            "SELECT * FROM (SELECT sequence, place FROM tn_ledger{index:",
            $index,
            "} WHERE ",
            $place,
            " > 0 AND {before:",
            $place,
            "|(SELECT sequence FROM tn_station WHERE id = ?1)|?2|?3} ORDER BY {newest:",
            $place,
            "|sequence}, place DESC LIMIT ?4) ",
            $place
        )
    };
}

/// The part of the trades on one side that name what they moved at once (0 is immediate settlement). Each has one row at
/// least, also before a position in its midst, so as many trades hold as many rows.
macro_rules! part_of_trades {
    ($index:literal, $side:literal, $name:literal) => {
        concat!(
            "SELECT * FROM (SELECT l.sequence, l.place FROM (SELECT moved FROM tn_trade{index:",
            $index,
            "} WHERE {span:",
            $side,
            ", settlement|(SELECT sequence FROM tn_station WHERE id = ?1), 0|0|?2} AND moved <= ?2 \
             ORDER BY {newest:",
            $side,
            ", settlement|tn_trade.sequence} LIMIT ?4) trades \
             {then:tn_ledger|l|l.sequence = trades.moved AND l.from_place IS NULL \
             AND (l.sequence < ?2 OR l.place < ?3)} \
             ORDER BY trades.moved DESC, l.place DESC LIMIT ?4) ",
            $name
        )
    };
}

/// The rows that leave or enter a station or are listed at it, newest first. Parameters: 1 the station, 2 and 3 the
/// position before which they stand, 4 how many to examine.
macro_rules! walk {
    () => {
        concat!(
            "SELECT sequence, place FROM (",
            part!("tn_ledger_by_origin", "from_place"),
            " UNION ALL ",
            part!("tn_ledger_by_destination", "to_place"),
            " UNION ALL ",
            part!("tn_ledger_by_list", "listed_at"),
            " UNION ALL ",
            part_of_trades!("tn_trade_by_seller", "seller", "sold"),
            " UNION ALL ",
            part_of_trades!("tn_trade_by_buyer", "buyer", "bought"),
            ") rows_of_station ORDER BY sequence DESC, place DESC LIMIT ?4"
        )
    };
}

macro_rules! page {
    ($check:literal) => {
        concat!(
            "SELECT {row:ledger}",
            " FROM (",
            walk!(),
            ") w {then:tn_ledger|l|l.sequence = w.sequence AND l.place = w.place}",
            ledger_joins!(),
            $check,
            " ORDER BY w.sequence DESC, w.place DESC LIMIT ?5"
        )
    };
}

/// A page of one station.
pub(crate) static STATION_SQL: Template = Template::new(page!(""));
/// Those of one item; the others on the walk are passed over.
pub(crate) static STATION_ITEM_SQL: Template = Template::new(page!(" WHERE l.item = ?6"));
/// The last row of a walk that ended early.
pub(crate) static EXAMINED_SQL: Template = Template::new(concat!(
    "SELECT sequence, place FROM (",
    walk!(),
    ") w ORDER BY sequence DESC, place DESC LIMIT 1 OFFSET ?5"
));
/// A page of the whole ledger.
pub(crate) static AFTER_SQL: Template = Template::new(concat!(
    "SELECT {row:ledger}",
    " FROM (SELECT sequence, place FROM tn_ledger WHERE sequence >= ?1 AND (sequence > ?1 OR place > ?2) \
     ORDER BY sequence, place LIMIT ?3) w {then:tn_ledger|l|l.sequence = w.sequence AND l.place = w.place}",
    ledger_joins!(),
    " ORDER BY l.sequence, l.place"
));

pub(crate) async fn of_station<E: Driver>(
    readers: &Lane<E>,
    station: &StationId,
    query: &LedgerQuery,
) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
    // Before the first place of a sequence is before every place past the one before.
    let before = match query.before {
        None => (i64::MAX - 1, i64::MAX),
        Some(LedgerPosition { sequence, index: 0 }) => (rows::stored(sequence) - 1, i64::MAX),
        Some(LedgerPosition { sequence, index }) => (rows::stored(sequence), i64::from(index)),
    };
    let (sql, examined_max) = match query.item {
        None => (&STATION_SQL, one_more(query.limit)),
        Some(_) => (&STATION_ITEM_SQL, EXAMINED_MAX.max(one_more(query.limit))),
    };
    let mut parameters: Vec<Param<'_>> =
        vec![station.as_str().into(), before.0.into(), before.1.into(), examined_max.into()];
    let walk = parameters.len();
    parameters.push(one_more(query.limit).into());
    parameters.extend(query.item.as_ref().map(|item| Param::from(item.as_str())));
    let mut snapshot = Snapshot::begin(readers, "read a station's ledger").await?;
    let found = snapshot.fetch(sql.of(E::DIALECT), &parameters).await?;
    let mut examined = Vec::new();
    if query.item.is_some() && found.len() <= query.limit {
        parameters.truncate(walk);
        parameters.push((examined_max - 1).into());
        examined = snapshot.fetch(EXAMINED_SQL.of(E::DIALECT), &parameters).await?;
    }
    let damaged = rows::failed::<E>(snapshot.operation());
    snapshot.end().await?;
    let examined = examined.first().map(rows::ledger_position).transpose().map_err(damaged)?;
    Ok(Page::of_one_more(entries::<E>(&found).map_err(damaged)?, query.limit, examined))
}

pub(crate) async fn after<E: Driver>(
    readers: &Lane<E>,
    after: LedgerPosition,
    limit: usize,
) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
    const OPERATION: &str = "read the ledger";
    let parameters: [Param<'_>; 3] =
        [rows::stored(after.sequence).into(), i64::from(after.index).into(), one_more(limit).into()];
    let found = readers.read(OPERATION, AFTER_SQL.of(E::DIALECT), &parameters).await?;
    Ok(Page::of_one_more(entries::<E>(&found).map_err(rows::failed::<E>(OPERATION))?, limit, None))
}

fn entries<E: Driver>(found: &[E::Row]) -> Decoded<Vec<(LedgerPosition, LedgerEntry)>> {
    found.iter().map(|row| Ok((rows::ledger_position(row)?, rows::ledger_entry(row)?))).collect()
}
