//! What a group of commands can touch, read as of one moment.

use super::classify::{classify, damaged};
use super::inventory::first_items;
use super::lane::Lane;
use super::log::{HEAD_SQL, head_after};
use super::snapshot::Snapshot;
use super::sql::{
    cargo_columns, cargo_joins, cargo_of, json_list, station_columns, trade_columns, trade_joins,
};
use crate::rows::{self, CargoRow, Decoded, ReceiptRow, StationRow, TradeRow};
use sqlx::FromRow;
use sqlx::sqlite::SqliteRow;
use std::collections::BTreeSet;
use trade_core::command::RequestId;
use trade_core::resource::{Inventory, Station};
use trade_core::store::{Keys, Loaded, StockRow, StoreError};
use trade_core::values::{ItemId, ShipmentId, StationId, TransactionId};

const OPERATION: &str = "load";

/// Trades of a list of ids.
pub(super) const TRADES_SQL: &str = concat!(
    "SELECT ",
    trade_columns!(),
    " FROM json_each(?1) k CROSS JOIN tn_trade t ON t.id = k.value",
    trade_joins!()
);
/// Shipments of a list of ids. `shipment-` has nine characters.
pub(super) const CARGO_SQL: &str = concat!(
    "SELECT ",
    cargo_columns!(),
    " FROM json_each(?1) k CROSS JOIN tn_cargo c ON c.sequence = ",
    cargo_of!("k.value", "CASE WHEN k.value GLOB 'shipment-*' THEN substr(k.value, 10) END"),
    cargo_joins!()
);
/// Stations of a list of ids.
pub(super) const STATIONS_SQL: &str =
    concat!("SELECT ", station_columns!(), " FROM json_each(?1) k CROSS JOIN tn_station s ON s.id = k.value");
/// Levels of a list of stations and a list of items, pair by pair; answered by place.
pub(super) const STOCK_SQL: &str = "SELECT k.key, i.on_hand, i.reserved, i.incoming \
     FROM json_each(?1) k CROSS JOIN tn_station s ON s.id = k.value ->> 0 \
     CROSS JOIN tn_stock i ON i.station = s.sequence AND i.item = k.value ->> 1";
/// Receipts of a list of requests in hexadecimal.
pub(super) const RECEIPTS_SQL: &str = "SELECT r.request, r.fingerprint, r.time, r.answer \
     FROM json_each(?1) k CROSS JOIN tn_receipt r ON r.request = unhex(k.value)";

pub(super) async fn load(readers: &Lane, keys: &Keys) -> Result<Loaded, StoreError> {
    let mut snapshot = Snapshot::begin(readers, OPERATION).await?;
    let mut loaded = Loaded {
        head: head_after(snapshot.connection(), HEAD_SQL, OPERATION).await?,
        trades: Vec::new(),
        cargo: Vec::new(),
        stations: Vec::new(),
        stock: Vec::new(),
        receipts: Vec::new(),
    };
    if !keys.trades.is_empty() {
        let ids = json_list(keys.trades.iter().map(TransactionId::as_str));
        loaded.trades =
            all(&mut snapshot, TRADES_SQL, ids, rows::shared(|row: TradeRow| rows::trade(row))).await?;
    }
    if !keys.cargo.is_empty() {
        let ids = json_list(keys.cargo.iter().map(ShipmentId::as_str));
        loaded.cargo =
            all(&mut snapshot, CARGO_SQL, ids, rows::shared(|row: CargoRow| rows::cargo(row))).await?;
    }
    if !keys.stations.is_empty() || !keys.inventories.is_empty() {
        stations(&mut snapshot, keys, &mut loaded).await?;
    }
    if !keys.stock.is_empty() {
        loaded.stock.extend(stock(&mut snapshot, &keys.stock).await?);
    }
    if !keys.requests.is_empty() {
        let ids: Vec<String> = keys.requests.iter().map(hexadecimal).collect();
        let ids = json_list(ids.iter().map(String::as_str));
        loaded.receipts = all(&mut snapshot, RECEIPTS_SQL, ids, |row: ReceiptRow| rows::receipt(row)).await?;
    }
    snapshot.end().await?;
    Ok(loaded)
}

async fn all<R, T>(
    snapshot: &mut Snapshot<'_>,
    sql: &'static str,
    keys: String,
    decode: impl Fn(R) -> Decoded<T>,
) -> Result<Vec<T>, StoreError>
where
    R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let found: Vec<R> =
        sqlx::query_as(sql).bind(keys).fetch_all(snapshot.connection()).await.map_err(classify(OPERATION))?;
    let decoded: Decoded<Vec<T>> = found.into_iter().map(decode).collect();
    decoded.map_err(damaged(OPERATION))
}

async fn stations(snapshot: &mut Snapshot<'_>, keys: &Keys, loaded: &mut Loaded) -> Result<(), StoreError> {
    let ids = json_list(keys.stations.union(&keys.inventories).map(StationId::as_str));
    let decode = |row: StationRow| Ok((rows::station(&row)?, row));
    let found: Vec<(Station, StationRow)> = all(snapshot, STATIONS_SQL, ids, decode).await?;
    let (stations, found): (Vec<Station>, Vec<StationRow>) = found.into_iter().unzip();
    if !keys.inventories.is_empty() {
        let wanted = |(station, row): (&Station, StationRow)| {
            keys.inventories.contains(&station.station_id).then(|| (station.station_id.clone(), row))
        };
        let (ids, wanted): (Vec<StationId>, Vec<StationRow>) =
            stations.iter().zip(found).filter_map(wanted).unzip();
        let lists = first_items(snapshot.connection(), &wanted, Inventory::ITEMS_MAX, OPERATION).await?;
        for (station_id, list) in ids.into_iter().zip(lists) {
            let row = |item: trade_core::resource::StockItem| StockRow {
                station_id: station_id.clone(),
                item_id: item.item_id,
                level: item.level,
            };
            loaded.stock.extend(list.into_iter().map(row));
        }
    }
    loaded.stations = stations;
    Ok(())
}

async fn stock(
    snapshot: &mut Snapshot<'_>,
    keys: &BTreeSet<(StationId, ItemId)>,
) -> Result<Vec<StockRow>, StoreError> {
    let keys: Vec<&(StationId, ItemId)> = keys.iter().collect();
    let pairs =
        keys.iter().map(|(station, item)| serde_json::Value::from_iter([station.as_str(), item.as_str()]));
    let pairs = serde_json::Value::from_iter(pairs).to_string();
    let decode = |(place, on_hand, reserved, incoming): (i64, i64, i64, i64)| {
        let key = usize::try_from(place).ok().and_then(|place| keys.get(place));
        let (station_id, item_id) = key.ok_or_else(|| rows::DamagedRow("a level nobody asked for".into()))?;
        let level = rows::level((on_hand, reserved, incoming))?;
        Ok(StockRow { station_id: station_id.clone(), item_id: item_id.clone(), level })
    };
    all(snapshot, STOCK_SQL, pairs, decode).await
}

fn hexadecimal(request: &RequestId) -> String {
    format!("{:032x}", u128::from_be_bytes(request.0))
}
