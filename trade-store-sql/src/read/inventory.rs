//! Stations and their stock.

use crate::dialect::Template;
use crate::driver::{Driver, Param};
use crate::lane::Lane;
use crate::plan::one_more;
use crate::rows::{self, Decoded};
use crate::snapshot::Snapshot;
use trade_core::resource::{Inventory, Sequence, StockItem};
use trade_core::store::{InventoryPage, InventoryQuery, Page, StationQuery, StoreError};
use trade_core::values::{ItemId, StationId};

/// One station.
pub(crate) static STATION_SQL: Template =
    Template::new(concat!("SELECT {row:station}", " FROM tn_station s WHERE s.id = ?1"));

/// Stations, newest first.
pub(crate) static STATIONS_SQL: Template = Template::new(concat!(
    "SELECT {row:station}",
    " FROM tn_station s WHERE s.sequence < ?1 ORDER BY s.sequence DESC LIMIT ?2"
));

/// Those of a scope: each is looked up, and then they are sorted.
pub(crate) static SCOPED_STATIONS_SQL: Template = Template::new(concat!(
    "SELECT {row:station}",
    " FROM {texts:3} {then:tn_station|s|s.id = k.value} WHERE s.sequence < ?1 ORDER BY s.sequence DESC LIMIT ?2"
));

/// Items of one station.
pub(crate) static ITEMS_SQL: Template = Template::new(concat!(
    "SELECT {row:item|i.station}",
    " FROM tn_stock i WHERE i.station = ?1 AND i.item > ?2 ORDER BY i.item LIMIT ?3"
));

/// Those of a list.
pub(crate) static NAMED_ITEMS_SQL: Template = Template::new(concat!(
    "SELECT {row:item|i.station}",
    " FROM tn_stock i WHERE i.station = ?1 AND i.item > ?2 AND i.item IN (SELECT k.value FROM {texts:4}) \
     ORDER BY i.item LIMIT ?3"
));

/// The first items of each of several stations: by its place in the list of their sequences. An item id has no
/// character past `~`.
pub(crate) static FIRST_ITEMS_SQL: Template = Template::new(concat!(
    "SELECT {row:item|k.key}",
    " FROM {integers:1} {then:tn_stock|i|i.station = k.value AND i.item <= coalesce(\
     (SELECT z.item FROM tn_stock z WHERE z.station = k.value ORDER BY z.item LIMIT 1 OFFSET ?2), '~')} \
     ORDER BY k.key, i.item"
));

pub(crate) async fn one<E: Driver>(
    readers: &Lane<E>,
    id: &StationId,
    query: &InventoryQuery,
) -> Result<Option<InventoryPage>, StoreError> {
    let mut snapshot = Snapshot::begin(readers, "read a station").await?;
    let stations = snapshot.fetch(STATION_SQL.of(E::DIALECT), &[id.as_str().into()]).await?;
    let damaged = rows::failed::<E>(snapshot.operation());
    let Some(station) = stations.first() else {
        snapshot.end().await?;
        return Ok(None);
    };
    let sql = if query.items.is_empty() { &ITEMS_SQL } else { &NAMED_ITEMS_SQL };
    let parameters = [
        rows::number(station, 0).map_err(damaged)?.into(),
        query.after.as_ref().map_or("", ItemId::as_str).into(),
        one_more(query.limit).into(),
        Param::Texts(query.items.iter().map(ItemId::as_str).collect()),
    ];
    let named = if query.items.is_empty() { 3 } else { 4 };
    let found = snapshot.fetch(sql.of(E::DIALECT), &parameters[..named]).await?;
    snapshot.end().await?;
    let more = found.len() > query.limit;
    let items: Decoded<Vec<StockItem>> = found.iter().take(query.limit).map(rows::item).collect();
    let items = items.map_err(damaged)?;
    let next = if more { items.last().map(|item| item.item_id.clone()) } else { None };
    let station = rows::station(station).map_err(damaged)?;
    Ok(Some(InventoryPage { inventory: Inventory::new(&station, items), next }))
}

pub(crate) async fn list<E: Driver>(
    readers: &Lane<E>,
    query: &StationQuery,
) -> Result<Page<Inventory, Sequence>, StoreError> {
    let StationQuery { scope, before, limit, items_max } = query;
    let (limit, items_max) = (*limit, *items_max);
    let mut snapshot = Snapshot::begin(readers, "list stations").await?;
    let mut parameters = vec![before.map_or(i64::MAX, rows::stored).into(), one_more(limit).into()];
    let sql = match scope.set() {
        Some(scope) => {
            parameters.push(Param::Texts(scope.as_slice().iter().map(StationId::as_str).collect()));
            &SCOPED_STATIONS_SQL
        }
        None => &STATIONS_SQL,
    };
    let mut found = snapshot.fetch(sql.of(E::DIALECT), &parameters).await?;
    let damaged = rows::failed::<E>(snapshot.operation());
    let more = found.len() > limit;
    found.truncate(limit);
    let items = first_items(&mut snapshot, &found, items_max).await?;
    snapshot.end().await?;
    let keyed =
        |(row, items): (&E::Row, _)| Ok((rows::count(row, 0)?, Inventory::new(&rows::station(row)?, items)));
    let listed: Result<Vec<_>, _> = found.iter().zip(items).map(keyed).collect();
    let listed = listed.map_err(damaged)?;
    let next = if more { listed.last().map(|(sequence, _)| *sequence) } else { None };
    Ok(Page::of_one_more(listed, limit, next))
}

/// The first items of stations, a list for each.
async fn first_items<E: Driver>(
    snapshot: &mut Snapshot<'_, E>,
    stations: &[E::Row],
    items_max: usize,
) -> Result<Vec<Vec<StockItem>>, StoreError> {
    let damaged = rows::failed::<E>(snapshot.operation());
    let mut lists = vec![Vec::new(); stations.len()];
    if stations.is_empty() || items_max == 0 {
        return Ok(lists);
    }
    let sequences: Decoded<Vec<i64>> = stations.iter().map(|station| rows::number(station, 0)).collect();
    let last = i64::try_from(items_max).unwrap_or(i64::MAX) - 1;
    let parameters = [Param::Ints(sequences.map_err(damaged)?), last.into()];
    for row in snapshot.fetch(FIRST_ITEMS_SQL.of(E::DIALECT), &parameters).await? {
        let place = rows::number(&row, 0).map_err(damaged)? - E::DIALECT.first_place;
        if let Some(list) = usize::try_from(place).ok().and_then(|place| lists.get_mut(place)) {
            list.push(rows::item(&row).map_err(damaged)?);
        }
    }
    Ok(lists)
}
