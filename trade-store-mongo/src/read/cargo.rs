//! Shipments: one, lists, and the history of one.

use super::walk::{Narrowing, Walk};
use super::{Moment, Query};
use crate::documents::{Fields, cargo, date, stored};
use crate::link::Link;
use crate::schema::{CARGO, HISTORY};
use mongodb::bson::{Bson, RawDocument, doc, rawdoc};
use std::sync::Arc;
use trade_core::resource::{Cargo, CargoStatus, Sequence};
use trade_core::store::{CargoFilter, CargoQuery, Page, StoreError};
use trade_core::values::ShipmentId;

/// How a list of shipments is read.
pub(crate) fn walk(filter: &CargoFilter) -> Walk {
    let scope = filter.scope.set().map(|set| Narrowing::by_ends(["origin", "destination"], set.as_slice()));
    let origin = filter.origin.as_ref().map(|id| Narrowing::by("by_origin", doc! { "origin": id.as_str() }));
    let destination = filter
        .destination
        .as_ref()
        .map(|id| Narrowing::by("by_destination", doc! { "destination": id.as_str() }));
    let open: Vec<&str> =
        CargoStatus::ALL.iter().filter(|status| !status.is_final()).map(|status| status.as_str()).collect();
    let late = filter.late_at.map(|_| Narrowing::by("by_status", doc! { "status": { "$in": open } }));
    let status = filter.status.map(|status| Narrowing::by("by_status", doc! { "status": status.as_str() }));
    let mut walk = Walk::of(CARGO, [scope, origin, destination, late, status]);
    // What is not final is walked; whether it is late is checked on each document.
    walk.checks.extend(filter.late_at.map(|now| doc! { "ETA": { "$lt": date(now) } }));
    walk
}

pub(crate) async fn list(link: &Link, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
    let cut = (query.filter.created, query.before, query.limit);
    let read = |document: &RawDocument| cargo::read(document).map(Arc::new);
    walk(&query.filter).page(link, "list cargo", cut, read).await
}

pub(crate) async fn one(link: &Link, id: &ShipmentId) -> Result<Option<Arc<Cargo>>, StoreError> {
    let query = Query::find("read a shipment", CARGO, rawdoc! { "_id": id.as_str() }, rawdoc! {}, 1);
    Ok(query.fetch(link, cargo::read).await?.pop().map(Arc::new))
}

/// Its creation, and the events after it.
pub(crate) fn history_query(id: &ShipmentId, after: Sequence, limit: usize) -> Result<Query, StoreError> {
    let limit = stored(limit as u64);
    let later = [
        doc! { "$match": { "_id": {
            "$gt": { "shipmentId": id.as_str(), "sequence": stored(after) },
            "$lt": { "shipmentId": id.as_str(), "sequence": Bson::MaxKey },
        } } },
        doc! { "$sort": { "_id": 1 } },
        doc! { "$limit": limit },
        doc! { "$project": { "_id": 0, "sequence": "$_id.sequence" } },
    ];
    let pipeline = [
        doc! { "$match": { "_id": id.as_str(), "sequence": { "$gt": stored(after) } } },
        doc! { "$project": { "_id": 0, "sequence": 1 } },
        doc! { "$unionWith": { "coll": HISTORY, "pipeline": later.to_vec() } },
        doc! { "$limit": limit },
    ];
    Query::aggregate("read a shipment's history", CARGO, &pipeline, Moment::One)
}

pub(crate) async fn history(
    link: &Link,
    id: &ShipmentId,
    after: Sequence,
    limit: usize,
) -> Result<Vec<Sequence>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    history_query(id, after, limit)?.fetch(link, |event| event.count("sequence")).await
}
