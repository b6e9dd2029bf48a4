//! Stations and their stock.

use super::walk::{ids, one_more};
use super::{Moment, Query};
use crate::documents::{Decoded, Fields, documents, station, stock, stored};
use crate::link::Link;
use crate::schema::{STATIONS, STOCK};
use mongodb::bson::{Document, RawDocument, doc};
use trade_core::resource::{Inventory, Sequence, Station, StockItem};
use trade_core::store::{InventoryPage, InventoryQuery, Page, StationQuery, StoreError};
use trade_core::values::StationId;

/// A station, and items of it.
pub(crate) fn one_query(id: &StationId, query: &InventoryQuery) -> Result<Query, StoreError> {
    let [first, last] = stock::span(id);
    let first = query.after.as_ref().map_or(first, |item| stock::key(id, item));
    let mut ids = doc! { "$gt": first, "$lt": last };
    if !query.items.is_empty() {
        let named: Vec<String> = query.items.iter().map(|item| stock::key(id, item)).collect();
        ids.insert("$in", named);
    }
    let items = vec![
        doc! { "$match": { "_id": ids } },
        doc! { "$sort": { "_id": 1 } },
        doc! { "$limit": stored(one_more(query.limit) as u64) },
    ];
    let pipeline = [
        doc! { "$match": { "_id": id.as_str() } },
        doc! { "$unionWith": { "coll": STOCK, "pipeline": items } },
    ];
    Query::aggregate("read a station", STATIONS, &pipeline, Moment::One)
}

enum Row {
    Station(Station),
    Item(StockItem),
}

pub(crate) async fn one(
    link: &Link,
    id: &StationId,
    query: &InventoryQuery,
) -> Result<Option<InventoryPage>, StoreError> {
    let row = |document: &RawDocument| match document.maybe("itemId")? {
        Some(_) => stock::read_item(document).map(Row::Item),
        None => station::read(document).map(Row::Station),
    };
    let (mut found, mut items) = (None, Vec::new());
    for row in one_query(id, query)?.fetch(link, row).await? {
        match row {
            Row::Station(station) => found = Some(station),
            Row::Item(item) => items.push(item),
        }
    }
    let more = items.len() > query.limit;
    items.truncate(query.limit);
    let next = if more { items.last().map(|item| item.item_id.clone()) } else { None };
    Ok(found.map(|station| InventoryPage { inventory: Inventory::new(&station, items), next }))
}

/// The stage that adds to each station its first items.
pub(crate) fn with_first_items(items_max: usize) -> Document {
    let of_station = doc! { "$and": [{ "$gt": ["$_id", "$$first"] }, { "$lt": ["$_id", "$$last"] }] };
    doc! { "$lookup": {
        "from": STOCK,
        "let": { "first": { "$concat": ["$_id", "/"] }, "last": { "$concat": ["$_id", "0"] } },
        "pipeline": [
            { "$match": { "$expr": of_station } },
            { "$sort": { "_id": 1 } },
            { "$limit": stored(items_max.max(1) as u64) },
        ],
        "as": "stock",
    } }
}

/// Stations, newest first, each with its first items.
pub(crate) fn list_query(query: &StationQuery) -> Result<Query, StoreError> {
    let StationQuery { scope, before, limit, items_max } = query;
    let mut narrowed = doc! { "createdSequence": { "$lt": before.map_or(i64::MAX, stored) } };
    let mut index = "by_sequence";
    if let Some(scope) = scope.set() {
        narrowed.insert("_id", doc! { "$in": ids(scope.as_slice()) });
        index = "_id_";
    }
    let mut pipeline = vec![
        doc! { "$match": narrowed },
        doc! { "$sort": { "createdSequence": -1 } },
        doc! { "$limit": stored(one_more(*limit) as u64) },
    ];
    if *items_max > 0 {
        pipeline.push(with_first_items(*items_max));
    }
    let query = Query::aggregate("list stations", STATIONS, &pipeline, Moment::One)?;
    Ok(query.by_index(index))
}

pub(crate) async fn list(link: &Link, query: &StationQuery) -> Result<Page<Inventory, Sequence>, StoreError> {
    let row = |document: &RawDocument| -> Decoded<(Sequence, Inventory)> {
        let items = match query.items_max {
            0 => Vec::new(),
            _ => documents("stock", document.list("stock")?, stock::read_item)?,
        };
        let station = station::read(document)?;
        Ok((document.count("createdSequence")?, Inventory::new(&station, items)))
    };
    let rows = list_query(query)?.fetch(link, row).await?;
    Ok(Page::of_one_more(rows, query.limit, None))
}
