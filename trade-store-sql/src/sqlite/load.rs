//! What a group of commands can touch, read as of one moment.

use super::classify::{classify, damaged};
use super::inventory::{ItemRow, item};
use super::lane::Lane;
use super::sql::{
    cargo_columns, cargo_joins, cargo_of, json_list, station_columns, trade_columns, trade_joins,
};
use crate::rows::{self, Decoded};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};
use std::sync::{Arc, LazyLock};
use trade_core::command::RequestId;
use trade_core::resource::{Inventory, StockItem};
use trade_core::store::{Head, Keys, Loaded, StockRow, StoreError};
use trade_core::values::{ItemId, ShipmentId, StationId, TransactionId};

const OPERATION: &str = "load";

/// Columns of the widest rows, those of shipments.
const COLUMNS: usize = 13;

/// Trades of a list of ids.
pub(super) const TRADES_SQL: &str = concat!(
    "SELECT ",
    trade_columns!(),
    ", NULL, NULL, 1 FROM json_each(?) k CROSS JOIN tn_trade t ON t.id = k.value",
    trade_joins!()
);
/// Shipments of a list of ids. `shipment-` has nine characters.
pub(super) const CARGO_SQL: &str = concat!(
    "SELECT ",
    cargo_columns!(),
    ", 2 FROM json_each(?) k CROSS JOIN tn_cargo c ON c.sequence = ",
    cargo_of!("k.value", "CASE WHEN k.value GLOB 'shipment-*' THEN substr(k.value, 10) END"),
    cargo_joins!()
);
/// Stations of a list of ids.
pub(super) const STATIONS_SQL: &str = concat!(
    "SELECT ",
    station_columns!(),
    ", NULL, NULL, NULL, NULL, NULL, NULL, 3 FROM json_each(?) k CROSS JOIN tn_station s ON s.id = k.value"
);
/// Levels of a list of stations and a list of items, pair by pair; answered by place.
pub(super) const STOCK_SQL: &str = "SELECT k.key, i.on_hand, i.reserved, i.incoming, \
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 4 \
     FROM json_each(?) k CROSS JOIN tn_station s ON s.id = k.value ->> 0 \
     CROSS JOIN tn_stock i ON i.station = s.sequence AND i.item = k.value ->> 1";
/// The first items of a list of stations; answered by the station's place.
pub(super) const FIRST_ITEMS_SQL: &str = "SELECT k.key, i.item, i.on_hand, i.reserved, i.incoming, \
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 5 \
     FROM json_each(?) k CROSS JOIN tn_station s ON s.id = k.value \
     CROSS JOIN tn_stock i ON i.station = s.sequence AND i.item <= coalesce(\
     (SELECT z.item FROM tn_stock z WHERE z.station = s.sequence ORDER BY z.item LIMIT 1 OFFSET ? - 1), '~')";
/// Receipts of a list of requests in hexadecimal.
pub(super) const RECEIPTS_SQL: &str = "SELECT r.request, r.fingerprint, r.time, r.answer, \
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 6 \
     FROM json_each(?) k CROSS JOIN tn_receipt r ON r.request = unhex(k.value)";

/// All of it as one statement: one snapshot, and one message to the connection's thread. The last column tells what a
/// row is.
static SQL: LazyLock<String> = LazyLock::new(|| {
    const HEAD_SQL: &str = "SELECT sequence, time, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0 \
         FROM tn_head WHERE one = 1";
    let parts = [HEAD_SQL, TRADES_SQL, CARGO_SQL, STATIONS_SQL, STOCK_SQL, FIRST_ITEMS_SQL, RECEIPTS_SQL];
    parts.join(" UNION ALL ")
});

/// The keys as lists, for rows that name their key by its place.
struct Lists<'k> {
    stock: Vec<&'k (StationId, ItemId)>,
    inventories: Vec<&'k StationId>,
}

pub(super) async fn load(loader: &Lane, keys: &Keys) -> Result<Loaded, StoreError> {
    let lists = Lists { stock: keys.stock.iter().collect(), inventories: keys.inventories.iter().collect() };
    let pairs = lists
        .stock
        .iter()
        .map(|(station, item)| serde_json::Value::from_iter([station.as_str(), item.as_str()]));
    let receipts: Vec<String> = keys.requests.iter().map(hexadecimal).collect();
    let mut lease = loader.lease(OPERATION).await?;
    let found = sqlx::query(SQL.as_str())
        .bind(json_list(keys.trades.iter().map(TransactionId::as_str)))
        .bind(json_list(keys.cargo.iter().map(ShipmentId::as_str)))
        .bind(json_list(keys.stations.union(&keys.inventories).map(StationId::as_str)))
        .bind(serde_json::Value::from_iter(pairs).to_string())
        .bind(json_list(lists.inventories.iter().map(|id| id.as_str())))
        .bind(i64::try_from(Inventory::ITEMS_MAX).unwrap_or(i64::MAX))
        .bind(json_list(receipts.iter().map(String::as_str)))
        .fetch_all(&mut lease.connection)
        .await
        .map_err(classify(OPERATION))?;
    lease.give_back();
    let mut loaded = Loaded {
        head: Head::EMPTY,
        trades: Vec::new(),
        cargo: Vec::new(),
        stations: Vec::new(),
        stock: Vec::new(),
        receipts: Vec::new(),
    };
    // The head is the first row of all.
    let headed = found.first().map(|row| row.try_get::<i64, _>(COLUMNS));
    if !matches!(headed, Some(Ok(0))) {
        return Err(damaged(OPERATION)(rows::DamagedRow("there is no head of the log".into())));
    }
    for row in found {
        add(&mut loaded, &lists, &row)?;
    }
    Ok(loaded)
}

fn add(loaded: &mut Loaded, lists: &Lists<'_>, row: &SqliteRow) -> Result<(), StoreError> {
    let kind: i64 = row.try_get(COLUMNS).map_err(classify(OPERATION))?;
    let decoded = match kind {
        0 => head(columns(row)?).map(|head| loaded.head = head),
        1 => rows::trade(columns(row)?).map(|trade| loaded.trades.push(Arc::new(trade))),
        2 => rows::cargo(columns(row)?).map(|cargo| loaded.cargo.push(Arc::new(cargo))),
        3 => rows::station(&columns(row)?).map(|station| loaded.stations.push(station)),
        4 => level(lists, columns(row)?).map(|level| loaded.stock.push(level)),
        5 => listed(lists, columns(row)?).map(|level| loaded.stock.push(level)),
        _ => rows::receipt(columns(row)?).map(|receipt| loaded.receipts.push(receipt)),
    };
    decoded.map_err(damaged(OPERATION))
}

fn columns<R: for<'r> FromRow<'r, SqliteRow>>(row: &SqliteRow) -> Result<R, StoreError> {
    R::from_row(row).map_err(classify(OPERATION))
}

fn head((sequence, time): (i64, i64)) -> Decoded<Head> {
    Ok(Head { sequence: rows::unsigned(sequence)?, time: rows::time(time)? })
}

fn level(lists: &Lists<'_>, (place, on_hand, reserved, incoming): (i64, i64, i64, i64)) -> Decoded<StockRow> {
    let (station_id, item_id) = at(&lists.stock, place)?;
    let level = rows::level((on_hand, reserved, incoming))?;
    Ok(StockRow { station_id: station_id.clone(), item_id: item_id.clone(), level })
}

fn listed(lists: &Lists<'_>, row: ItemRow) -> Decoded<StockRow> {
    let station_id = at(&lists.inventories, row.0)?.clone();
    let StockItem { item_id, level } = item(row)?;
    Ok(StockRow { station_id, item_id, level })
}

fn at<'k, T>(list: &[&'k T], place: i64) -> Decoded<&'k T> {
    let key = usize::try_from(place).ok().and_then(|place| list.get(place));
    key.copied().ok_or_else(|| rows::DamagedRow("a row nobody asked for".into()))
}

fn hexadecimal(request: &RequestId) -> String {
    format!("{:032x}", u128::from_be_bytes(request.0))
}
