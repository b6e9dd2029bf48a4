//! What a group of commands can touch, read as of one moment.
//!
//! One aggregation over all collections, in one snapshot: one message to the server, whatever is asked for. Each document
//! of its answer has one field, which names what it is. More keys than a command holds are asked for by several, all of
//! them as of one moment of the server's time (`parts`). Only the pieces of a long answer are read by a further one,
//! which may be of a later moment: with their receipt they are written once, and never changed.

mod parts;

use super::inventory::with_first_items;
use super::log::no_head;
use super::{Moment, Query, raw};
use crate::classify::NAME;
use crate::documents::{Decoded, Unreadable, cargo, head, receipt, station, stock, trade};
use crate::link::Link;
use crate::schema::{CARGO, HEAD, PIECES, RECEIPTS, STATIONS, STOCK, TRADES};
use mongodb::bson::raw::{BindRawBsonRef, CStr, cstr};
use mongodb::bson::{RawArrayBuf, RawDocument, doc, rawdoc};
use std::collections::BTreeMap;
use std::sync::Arc;
use trade_core::command::RequestId;
use trade_core::resource::{Cargo, Inventory, Station, Trade};
use trade_core::store::{Head, Keys, Loaded, Receipt, StockRow, StoreError, StoreErrorKind};

const OPERATION: &str = "load";

/// The query for everything under some keys.
pub(crate) fn query(keys: &Keys, moment: Moment) -> Result<Query, StoreError> {
    let mut pipeline = RawArrayBuf::new();
    pipeline.push(rawdoc! { "$match": { "_id": head::ID } });
    pipeline.push(rawdoc! { "$project": { "_id": 0, "head": "$$ROOT" } });
    find(&mut pipeline, TRADES, cstr!("trade"), keys.trades.iter().map(|id| id.as_str()));
    find(&mut pipeline, CARGO, cstr!("cargo"), keys.cargo.iter().map(|id| id.as_str()));
    let stations = keys.stations.union(&keys.inventories);
    find(&mut pipeline, STATIONS, cstr!("station"), stations.map(|id| id.as_str()));
    find(
        &mut pipeline,
        STOCK,
        cstr!("stock"),
        keys.stock.iter().map(|(station, item)| stock::key(station, item)),
    );
    if !keys.inventories.is_empty() {
        let mut stages = stages_of(keys.inventories.iter().map(|id| id.as_str()));
        for stage in [
            with_first_items(Inventory::ITEMS_MAX),
            doc! { "$unwind": "$stock" },
            doc! { "$project": { "_id": 0, "stock": 1 } },
        ] {
            stages.push(raw(OPERATION, &stage)?);
        }
        pipeline.push(rawdoc! { "$unionWith": { "coll": STATIONS, "pipeline": stages } });
    }
    find(&mut pipeline, RECEIPTS, cstr!("receipt"), keys.requests.iter().map(|id| receipt::binary(&id.0)));
    Ok(Query::aggregate_raw(OPERATION, HEAD, pipeline, moment).for_commit())
}

/// Adds the documents of some ids to a pipeline, under a name.
fn find<B: BindRawBsonRef>(
    pipeline: &mut RawArrayBuf,
    collection: &str,
    name: &CStr,
    ids: impl Iterator<Item = B>,
) {
    let mut ids = ids.peekable();
    if ids.peek().is_none() {
        return;
    }
    let mut stages = stages_of(ids);
    let mut named = rawdoc! { "_id": 0 };
    named.append(name, "$$ROOT");
    stages.push(rawdoc! { "$project": named });
    pipeline.push(rawdoc! { "$unionWith": { "coll": collection, "pipeline": stages } });
}

fn stages_of<B: BindRawBsonRef>(ids: impl Iterator<Item = B>) -> RawArrayBuf {
    let mut list = RawArrayBuf::new();
    ids.for_each(|id| list.push(id));
    let mut stages = RawArrayBuf::new();
    stages.push(rawdoc! { "$match": { "_id": { "$in": list } } });
    stages
}

enum Row {
    Head(Head),
    Trade(Arc<Trade>),
    Cargo(Arc<Cargo>),
    Station(Station),
    Stock(StockRow),
    Receipt(Receipt, u64),
}

fn row(document: &RawDocument) -> Decoded<Row> {
    let field = document.iter().next().transpose().map_err(|error| Unreadable::damaged(error.to_string()))?;
    let (name, value) = field.ok_or_else(|| Unreadable::damaged("an empty row"))?;
    let of = value.as_document().ok_or_else(|| Unreadable::damaged(format!("a row of {name}")))?;
    Ok(match name.as_str() {
        "head" => Row::Head(head::read(of)?),
        "trade" => Row::Trade(Arc::new(trade::read(of)?)),
        "cargo" => Row::Cargo(Arc::new(cargo::read(of)?)),
        "station" => Row::Station(station::read(of)?),
        "stock" => Row::Stock(stock::read(of)?),
        "receipt" => {
            let (receipt, pieces) = receipt::read(of)?;
            Row::Receipt(receipt, pieces)
        }
        other => return Err(Unreadable::damaged(format!("a row nobody asked for: {other}"))),
    })
}

pub(crate) async fn load(link: &Link, keys: &Keys) -> Result<Loaded, StoreError> {
    let (mut head, mut in_pieces) = (None, BTreeMap::new());
    let mut loaded = Loaded {
        head: Head::EMPTY,
        trades: Vec::new(),
        cargo: Vec::new(),
        stations: Vec::new(),
        stock: Vec::new(),
        receipts: Vec::new(),
    };
    for row in rows(link, keys).await? {
        match row {
            Row::Head(found) => head = Some(found),
            Row::Trade(trade) => loaded.trades.push(trade),
            Row::Cargo(cargo) => loaded.cargo.push(cargo),
            Row::Station(station) => loaded.stations.push(station),
            Row::Stock(row) => loaded.stock.push(row),
            Row::Receipt(receipt, 0) => loaded.receipts.push(receipt),
            Row::Receipt(receipt, pieces) => drop(in_pieces.insert(receipt.request, (receipt, pieces))),
        }
    }
    loaded.head = head.ok_or_else(|| no_head(OPERATION))?;
    if !in_pieces.is_empty() {
        loaded.receipts.extend(put_together(link, in_pieces).await?);
    }
    Ok(loaded)
}

async fn rows(link: &Link, keys: &Keys) -> Result<Vec<Row>, StoreError> {
    let parts = parts::of(keys);
    if let [whole] = &parts[..] {
        return query(whole, Moment::One)?.fetch(link, row).await;
    }
    // The newest moment: what was seen last may be so long ago that the server no longer remembers it.
    link.see_now(OPERATION).await?;
    let moment = link.seen.operation().map_or(Moment::One, Moment::At);
    let mut rows = Vec::new();
    for part in &parts {
        rows.extend(query(part, moment)?.fetch(link, row).await?);
    }
    Ok(rows)
}

/// Reads the answers that stand in pieces.
async fn put_together(
    link: &Link,
    mut receipts: BTreeMap<RequestId, (Receipt, u64)>,
) -> Result<impl Iterator<Item = Receipt>, StoreError> {
    let mut keys = RawArrayBuf::new();
    for (request, (_, pieces)) in &receipts {
        (0..*pieces).for_each(|piece| keys.push(receipt::piece_key(request, piece)));
    }
    let filter = rawdoc! { "_id": { "$in": keys } };
    let query = Query::find(OPERATION, PIECES, filter, rawdoc! { "_id": 1 }, usize::MAX).for_commit();
    for (request, bytes) in query.fetch(link, receipt::read_piece).await? {
        if let Some((receipt, pieces)) = receipts.get_mut(&request) {
            receipt.answer.get_or_insert_default().extend(bytes);
            *pieces = pieces.saturating_sub(1);
        }
    }
    if receipts.values().any(|(_, missing)| *missing > 0) {
        let detail = "a part of a receipt's answer is missing";
        return Err(StoreError::new(StoreErrorKind::Corrupt, NAME, OPERATION, detail));
    }
    Ok(receipts.into_values().map(|(receipt, _)| receipt))
}
