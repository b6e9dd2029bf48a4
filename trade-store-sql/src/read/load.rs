//! What a group of commands can touch, read as of one moment.

use super::columns::{cargo_joins, cargo_of, cargo_of_key, trade_joins};
use super::receipts;
use crate::commit::keys::StationKeys;
use crate::dialect::Template;
use crate::driver::Columns;
use crate::driver::{Driver, Param};
use crate::lane::Lane;
use crate::layouts::{KIND, at};
use crate::rows::{self, Decoded, Unreadable};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use trade_core::resource::{Inventory, StockItem};
use trade_core::store::{Head, Keys, Loaded, StockRow, StoreError, StoreErrorKind};
use trade_core::values::{ItemId, ShipmentId, StationId, TransactionId};

const OPERATION: &str = "load";

macro_rules! head {
    () => {
        "SELECT {row:head}, 0 FROM tn_head WHERE one = 1"
    };
}
macro_rules! trades {
    () => {
        concat!("SELECT {row:trade}", ", 1 FROM {texts:1} {then:tn_trade|t|t.id = k.value}", trade_joins!())
    };
}
macro_rules! cargo {
    () => {
        concat!(
            "SELECT {row:cargo}",
            ", 2 FROM {texts:2} {then:tn_cargo|c|c.sequence = ",
            cargo_of_key!(),
            "}",
            cargo_joins!()
        )
    };
}
macro_rules! stations {
    () => {
        concat!("SELECT {row:station}", ", 3 FROM {texts:3} {then:tn_station|s|s.id = k.value}")
    };
}
macro_rules! stock {
    () => {
        concat!(
            "SELECT {row:item|k.key}",
            ", 4 FROM {pairs:4} {then:tn_station|s|s.id = k.a} \
             {then:tn_stock|i|i.station = s.sequence AND i.item = k.b}"
        )
    };
}
// An item id has no character past `~`.
macro_rules! first_items {
    () => {
        concat!(
            "SELECT {row:item|k.key}",
            ", 5 FROM {texts:5} {then:tn_station|s|s.id = k.value} \
             {then:tn_stock|i|i.station = s.sequence AND i.item <= coalesce(\
             (SELECT z.item FROM tn_stock z WHERE z.station = s.sequence ORDER BY z.item LIMIT 1 OFFSET ?6), '~')}"
        )
    };
}
macro_rules! receipts {
    () => {
        "SELECT {row:receipt}, 6 FROM {texts:7} {then:tn_receipt|r|r.request = {bytes:k.value}}"
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

/// Ids that go into a statement at once.
const KEY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often parts that are of different moments are loaded afresh.
const TRIES: usize = 3;

/// Loads what is stored under keys. Where these are too many for a statement they go in several, and what is found is
/// of one moment still, since the log ends in the same place for each.
pub(crate) async fn load<E: Driver>(
    loader: &Lane<E>,
    known: &StationKeys,
    keys: &Keys,
) -> Result<Loaded, StoreError> {
    let parts = parts(keys, KEY_BYTES_MAX);
    for _ in 0..TRIES {
        if let Some(mut loaded) = load_parts(loader, known, &parts).await? {
            loaded.receipts = receipts::complete(loader, loaded.receipts).await?;
            return Ok(loaded);
        }
    }
    let detail = "others have written to the log between the parts of it";
    Err(StoreError::new(StoreErrorKind::Conflict, E::NAME, OPERATION, detail))
}

/// All parts as one, if nobody wrote meanwhile.
async fn load_parts<E: Driver>(
    loader: &Lane<E>,
    known: &StationKeys,
    parts: &[Cow<'_, Keys>],
) -> Result<Option<Loaded>, StoreError> {
    let mut all: Option<Loaded> = None;
    for part in parts {
        let loaded = load_part(loader, known, part).await?;
        match &mut all {
            None => all = Some(loaded),
            Some(all) if all.head != loaded.head => return Ok(None),
            Some(all) => {
                all.trades.extend(loaded.trades);
                all.cargo.extend(loaded.cargo);
                all.stations.extend(loaded.stations);
                all.stock.extend(loaded.stock);
                all.receipts.extend(loaded.receipts);
            }
        }
    }
    Ok(all)
}

/// Keys in parts, the levels of each of which are named by so many bytes. Nothing else that is asked for comes to much
/// beside them.
fn parts(keys: &Keys, bytes_max: usize) -> Vec<Cow<'_, Keys>> {
    let bytes = |(station, item): &(StationId, ItemId)| station.as_str().len() + item.as_str().len();
    if keys.stock.iter().map(bytes).sum::<usize>() <= bytes_max {
        return vec![Cow::Borrowed(keys)];
    }
    let (mut parts, mut part) = (Vec::new(), Keys { stock: BTreeSet::new(), ..keys.clone() });
    let mut taken = 0;
    for level in &keys.stock {
        taken += bytes(level);
        if taken > bytes_max {
            parts.push(Cow::Owned(std::mem::take(&mut part)));
            taken = bytes(level);
        }
        part.stock.insert(level.clone());
    }
    parts.push(Cow::Owned(part));
    parts
}

async fn load_part<E: Driver>(
    loader: &Lane<E>,
    known: &StationKeys,
    keys: &Keys,
) -> Result<Loaded, StoreError> {
    let lists = Lists {
        stock: keys.stock.iter().collect(),
        inventories: keys.inventories.iter().collect(),
        first_place: E::DIALECT.first_place,
    };
    let receipts: Vec<String> = keys.requests.iter().map(receipts::hexadecimal).collect();
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
    let (loaded, stations) = loaded(&lists, &found).map_err(rows::failed::<E>(OPERATION))?;
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
                keys.push(rows::number(row, at!(STATION.number "sequence"))?);
            }
            4 => loaded.stock.push(level(lists, row)?),
            5 => loaded.stock.push(listed(lists, row)?),
            _ => loaded.receipts.push(rows::receipt(row)?),
        }
    }
    loaded.head = head.ok_or_else(|| Unreadable::damaged("there is no head of the log"))?;
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
        let place = rows::number(row, at!(ITEM.number "of"))? - self.first_place;
        let key = usize::try_from(place).ok().and_then(|place| list.get(place));
        key.copied().ok_or_else(|| Unreadable::damaged("a row nobody asked for"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_cut_by_the_bytes_of_their_levels_and_none_is_lost() {
        let level = |n: u32| -> (StationId, ItemId) {
            let (station, item) = (format!("s-{}", n / 100), format!("item-{n:05}"));
            (StationId::new(station).unwrap(), ItemId::new(item).unwrap())
        };
        let keys = Keys {
            trades: ["T-1".try_into().unwrap()].into(),
            stock: (0..1_000).map(level).collect(),
            ..Keys::default()
        };
        assert!(matches!(&parts(&keys, 13_000)[..], [Cow::Borrowed(whole)] if whole.stock.len() == 1_000));
        let cut = parts(&keys, 5_000);
        assert_eq!(cut.len(), 3);
        assert_eq!(cut.iter().map(|part| part.trades.len()).collect::<Vec<_>>(), [1, 0, 0]);
        let together: BTreeSet<_> = cut.iter().flat_map(|part| part.stock.iter().cloned()).collect();
        assert_eq!(together, keys.stock);
    }
}
