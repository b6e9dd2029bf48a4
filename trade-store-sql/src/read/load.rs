//! What a group of commands can touch, read as of one moment.

use super::columns::{
    cargo_columns, cargo_joins, cargo_of, cargo_of_key, item_columns, station_columns, trade_columns,
    trade_joins,
};
use crate::commit::keys::StationKeys;
use crate::dialect::Template;
use crate::engine::{Engine, Param};
use crate::lane::Lane;
use crate::rows::{self, Columns, DamagedRow, Decoded, KIND, NUMBERS};
use std::sync::Arc;
use trade_core::command::RequestId;
use trade_core::resource::{Inventory, StockItem};
use trade_core::store::{Head, Keys, Loaded, StockRow, StoreError};
use trade_core::values::{ItemId, ShipmentId, StationId, TransactionId};

const OPERATION: &str = "load";

macro_rules! head {
    () => {
        "SELECT sequence, time, {int}, {int}, {int}, {int}, {int}, {text}, {text}, {text}, {text}, {text}, {text}, \
         {bytes}, {bytes}, {bytes}, 0 FROM tn_head WHERE one = 1"
    };
}
macro_rules! trades {
    () => {
        concat!(
            "SELECT ",
            trade_columns!(),
            ", 1 FROM {texts:1} {then:tn_trade|t|t.id = k.value}",
            trade_joins!()
        )
    };
}
macro_rules! cargo {
    () => {
        concat!(
            "SELECT ",
            cargo_columns!(),
            ", 2 FROM {texts:2} {then:tn_cargo|c|c.sequence = ",
            cargo_of_key!(),
            "}",
            cargo_joins!()
        )
    };
}
macro_rules! stations {
    () => {
        concat!("SELECT ", station_columns!(), ", 3 FROM {texts:3} {then:tn_station|s|s.id = k.value}")
    };
}
macro_rules! stock {
    () => {
        concat!(
            "SELECT ",
            item_columns!("k.key"),
            ", 4 FROM {pairs:4} {then:tn_station|s|s.id = k.a} \
             {then:tn_stock|i|i.station = s.sequence AND i.item = k.b}"
        )
    };
}
// An item id has no character past `~`.
macro_rules! first_items {
    () => {
        concat!(
            "SELECT ",
            item_columns!("k.key"),
            ", 5 FROM {texts:5} {then:tn_station|s|s.id = k.value} \
             {then:tn_stock|i|i.station = s.sequence AND i.item <= coalesce(\
             (SELECT z.item FROM tn_stock z WHERE z.station = s.sequence ORDER BY z.item LIMIT 1 OFFSET ?6), '~')}"
        )
    };
}
macro_rules! receipts {
    () => {
        "SELECT r.time, {int}, {int}, {int}, {int}, {int}, {int}, {text}, {text}, {text}, {text}, {text}, {text}, \
         r.request, r.fingerprint, r.answer, 6 FROM {texts:7} {then:tn_receipt|r|r.request = {bytes:k.value}}"
    };
}

/// All of it as one statement: one snapshot, and one message to the server. The last column tells what a row is.
pub(crate) static SQL: Template = Template::new(concat!(
    head!(),
    " UNION ALL ",
    trades!(),
    " UNION ALL ",
    cargo!(),
    " UNION ALL ",
    stations!(),
    " UNION ALL ",
    stock!(),
    " UNION ALL ",
    first_items!(),
    " UNION ALL ",
    receipts!()
));

/// Each part of it, for those who look at how it is read.
#[cfg(test)]
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) static PARTS: [Template; 6] = [
    Template::new(trades!()),
    Template::new(cargo!()),
    Template::new(stations!()),
    Template::new(stock!()),
    Template::new(first_items!()),
    Template::new(receipts!()),
];

/// The keys as lists, for rows that name their key by its place.
struct Lists<'k> {
    stock: Vec<&'k (StationId, ItemId)>,
    inventories: Vec<&'k StationId>,
    first_place: i64,
}

pub(crate) async fn load<E: Engine>(
    loader: &Lane<E>,
    known: &StationKeys,
    keys: &Keys,
) -> Result<Loaded, StoreError> {
    let lists = Lists {
        stock: keys.stock.iter().collect(),
        inventories: keys.inventories.iter().collect(),
        first_place: E::DIALECT.first_place(),
    };
    let receipts: Vec<String> = keys.requests.iter().map(hexadecimal).collect();
    let last_listed = i64::try_from(Inventory::ITEMS_MAX).unwrap_or(i64::MAX) - 1;
    let parameters = [
        Param::Texts(keys.trades.iter().map(TransactionId::as_str).collect()),
        Param::Texts(keys.cargo.iter().map(ShipmentId::as_str).collect()),
        Param::Texts(keys.stations.union(&keys.inventories).map(StationId::as_str).collect()),
        Param::Pairs(lists.stock.iter().map(|(station, item)| (station.as_str(), item.as_str())).collect()),
        Param::Texts(lists.inventories.iter().map(|id| id.as_str()).collect()),
        last_listed.into(),
        Param::Texts(receipts.iter().map(String::as_str).collect()),
    ];
    let found = loader.read(OPERATION, SQL.of(E::DIALECT), &parameters).await?;
    let (loaded, stations) = loaded(&lists, &found).map_err(rows::corrupt::<E>(OPERATION))?;
    // What was known before may be of a log that a backup has replaced.
    known.learn_loaded(loaded.stations.iter().map(|station| &station.station_id).zip(stations));
    Ok(loaded)
}

/// What was found, and the keys of the stations in it.
fn loaded(lists: &Lists<'_>, found: &[impl Columns]) -> Decoded<(Loaded, Vec<i64>)> {
    let (mut head, mut keys) = (None, Vec::new());
    let mut loaded = Loaded {
        head: Head::EMPTY,
        trades: Vec::new(),
        cargo: Vec::new(),
        stations: Vec::new(),
        stock: Vec::new(),
        receipts: Vec::new(),
    };
    for row in found {
        match rows::number(row, KIND)? {
            0 => head = Some(rows::head(row)?),
            1 => loaded.trades.push(Arc::new(rows::trade(row)?)),
            2 => loaded.cargo.push(Arc::new(rows::cargo(row)?)),
            3 => {
                loaded.stations.push(rows::station(row)?);
                keys.push(rows::number(row, NUMBERS)?);
            }
            4 => loaded.stock.push(level(lists, row)?),
            5 => loaded.stock.push(listed(lists, row)?),
            _ => loaded.receipts.push(rows::receipt(row)?),
        }
    }
    loaded.head = head.ok_or_else(|| DamagedRow("there is no head of the log".into()))?;
    Ok((loaded, keys))
}

fn level(lists: &Lists<'_>, row: &impl Columns) -> Decoded<StockRow> {
    let (station_id, item_id) = lists.at(&lists.stock, row)?;
    Ok(StockRow { station_id: station_id.clone(), item_id: item_id.clone(), level: rows::level(row)? })
}

fn listed(lists: &Lists<'_>, row: &impl Columns) -> Decoded<StockRow> {
    let station_id = lists.at(&lists.inventories, row)?.clone();
    let StockItem { item_id, level } = rows::item(row)?;
    Ok(StockRow { station_id, item_id, level })
}

impl Lists<'_> {
    /// The key that a row names by its place in a list.
    fn at<'k, T>(&self, list: &[&'k T], row: &impl Columns) -> Decoded<&'k T> {
        let place = rows::number(row, NUMBERS)? - self.first_place;
        let key = usize::try_from(place).ok().and_then(|place| list.get(place));
        key.copied().ok_or_else(|| DamagedRow("a row nobody asked for".into()))
    }
}

fn hexadecimal(request: &RequestId) -> String {
    format!("{:032x}", u128::from_be_bytes(request.0))
}
