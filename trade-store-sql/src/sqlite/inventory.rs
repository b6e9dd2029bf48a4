//! Stations and their stock.

use super::SqliteStore;
use super::classify::{classify, damaged};
use super::ledger;
use super::snapshot::Snapshot;
use super::sql::{json_list, station_columns};
use crate::plan::{one_more, page};
use crate::rows::{self, StationRow};
use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use trade_core::resource::{Inventory, LedgerEntry, Sequence, StockItem};
use trade_core::store::{
    InventoryPage, InventoryQuery, InventoryRepository, LedgerPosition, LedgerQuery, Page, StoreError,
};
use trade_core::values::{ItemId, StationId};

/// One station.
pub(super) const STATION_SQL: &str =
    concat!("SELECT ", station_columns!(), " FROM tn_station s WHERE s.id = ?1");

/// Stations, newest first.
pub(super) const STATIONS_SQL: &str = concat!(
    "SELECT ",
    station_columns!(),
    " FROM tn_station s WHERE s.sequence < ?1 ORDER BY s.sequence DESC LIMIT ?2"
);

/// Items of one station.
pub(super) const ITEMS_SQL: &str = "SELECT 0, item, on_hand, reserved, incoming FROM tn_stock \
     WHERE station = ?1 AND item > ?2 ORDER BY item LIMIT ?3";

/// Those of a list.
pub(super) const NAMED_ITEMS_SQL: &str = "SELECT 0, item, on_hand, reserved, incoming FROM tn_stock \
     WHERE station = ?1 AND item > ?2 AND item IN (SELECT value FROM json_each(?4)) ORDER BY item LIMIT ?3";

/// The first items of each of several stations: by its place in the list of their sequences. An item id has no
/// character past `~`.
pub(super) const FIRST_ITEMS_SQL: &str = "SELECT k.key, i.item, i.on_hand, i.reserved, i.incoming \
     FROM json_each(?1) k CROSS JOIN tn_stock i ON i.station = k.value AND i.item <= coalesce(\
     (SELECT z.item FROM tn_stock z WHERE z.station = k.value ORDER BY z.item LIMIT 1 OFFSET ?2 - 1), '~') \
     ORDER BY k.key, i.item";

/// Place in the list, item, level.
pub(super) type ItemRow = (i64, String, i64, i64, i64);

pub(super) fn item((_, item, on_hand, reserved, incoming): ItemRow) -> rows::Decoded<StockItem> {
    Ok(StockItem { item_id: rows::text("item", &item)?, level: rows::level((on_hand, reserved, incoming))? })
}

/// The first items of stations, a list for each.
pub(super) async fn first_items(
    connection: &mut SqliteConnection,
    stations: &[StationRow],
    items_max: usize,
    operation: &'static str,
) -> Result<Vec<Vec<StockItem>>, StoreError> {
    let mut lists = vec![Vec::new(); stations.len()];
    if stations.is_empty() || items_max == 0 {
        return Ok(lists);
    }
    let found: Vec<ItemRow> = sqlx::query_as(FIRST_ITEMS_SQL)
        .bind(serde_json::Value::from_iter(stations.iter().map(|station| station.0)).to_string())
        .bind(i64::try_from(items_max).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
        .map_err(classify(operation))?;
    for row in found {
        if let Some(list) = usize::try_from(row.0).ok().and_then(|place| lists.get_mut(place)) {
            list.push(item(row).map_err(damaged(operation))?);
        }
    }
    Ok(lists)
}

impl SqliteStore {
    async fn station_page(
        connection: &mut SqliteConnection,
        station: &StationRow,
        query: &InventoryQuery,
        operation: &'static str,
    ) -> Result<InventoryPage, StoreError> {
        let sql = if query.items.is_empty() { ITEMS_SQL } else { NAMED_ITEMS_SQL };
        let found: Vec<ItemRow> = sqlx::query_as(sql)
            .bind(station.0)
            .bind(query.after.as_ref().map_or("", ItemId::as_str))
            .bind(one_more(query.limit))
            .bind(json_list(query.items.iter().map(ItemId::as_str)))
            .fetch_all(connection)
            .await
            .map_err(classify(operation))?;
        let more = found.len() > query.limit;
        let items: Result<Vec<_>, _> = found.into_iter().take(query.limit).map(item).collect();
        let items = items.map_err(damaged(operation))?;
        let next = if more { items.last().map(|item| item.item_id.clone()) } else { None };
        let station = rows::station(station).map_err(damaged(operation))?;
        Ok(InventoryPage { inventory: Inventory::new(&station, items), next })
    }
}

#[async_trait]
impl InventoryRepository for SqliteStore {
    async fn inventory(
        &self,
        id: &StationId,
        query: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError> {
        const OPERATION: &str = "read a station";
        let mut snapshot = Snapshot::begin(&self.readers, OPERATION).await?;
        let station: Option<StationRow> = sqlx::query_as(STATION_SQL)
            .bind(id.as_str())
            .fetch_optional(snapshot.connection())
            .await
            .map_err(classify(OPERATION))?;
        let found = match station {
            Some(station) => {
                Some(Self::station_page(snapshot.connection(), &station, query, OPERATION).await?)
            }
            None => None,
        };
        snapshot.end().await?;
        Ok(found)
    }

    async fn inventory_list(
        &self,
        before: Option<Sequence>,
        limit: usize,
        items_max: usize,
    ) -> Result<Page<Inventory, Sequence>, StoreError> {
        const OPERATION: &str = "list stations";
        let mut snapshot = Snapshot::begin(&self.readers, OPERATION).await?;
        let mut found: Vec<StationRow> = sqlx::query_as(STATIONS_SQL)
            .bind(before.map_or(i64::MAX, rows::stored))
            .bind(one_more(limit))
            .fetch_all(snapshot.connection())
            .await
            .map_err(classify(OPERATION))?;
        let more = found.len() > limit;
        found.truncate(limit);
        let items = first_items(snapshot.connection(), &found, items_max, OPERATION).await?;
        snapshot.end().await?;
        let keyed = |(row, items): (&StationRow, _)| {
            Ok((rows::unsigned(row.0)?, Inventory::new(&rows::station(row)?, items)))
        };
        let listed: Result<Vec<_>, _> = found.iter().zip(items).map(keyed).collect();
        let listed = listed.map_err(damaged(OPERATION))?;
        let next = if more { listed.last().map(|(sequence, _)| *sequence) } else { None };
        Ok(page(listed, limit, next))
    }

    async fn ledger(
        &self,
        station: &StationId,
        query: &LedgerQuery,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        ledger::of_station(&self.readers, station, query).await
    }

    async fn ledger_after(
        &self,
        after: LedgerPosition,
        limit: usize,
    ) -> Result<Page<LedgerEntry, LedgerPosition>, StoreError> {
        ledger::after(&self.readers, after, limit).await
    }
}
