//! Trades: one, lists, and those past their time.

use super::Query;
use super::walk::{Narrowing, Walk};
use crate::documents::{Fields, date, trade};
use crate::link::Link;
use crate::schema::{CARGO, TRADES};
use mongodb::bson::{RawDocument, doc, rawdoc};
use std::sync::Arc;
use trade_core::resource::{CargoStatus, Sequence, Trade};
use trade_core::store::{Page, StoreError, TradeFilter, TradeQuery};
use trade_core::values::{StationId, Timestamp, TransactionId};

/// How a list of trades is read.
pub(crate) fn walk(filter: &TradeFilter) -> Walk {
    let side = |index, field: &str, id: &Option<StationId>| {
        id.as_ref().map(|id| Narrowing::by(index, doc! { field: id.as_str() }))
    };
    let station = filter.station.as_ref();
    let station = station.map(|id| Narrowing::by_ends(["seller", "buyer"], std::slice::from_ref(id)));
    let scope = filter.scope.set().map(|set| Narrowing::by_ends(["seller", "buyer"], set.as_slice()));
    let item = filter.item.as_ref().map(|id| Narrowing::by("by_item", doc! { "items.itemId": id.as_str() }));
    let status = filter.status.map(|status| Narrowing::by("by_status", doc! { "status": status.as_str() }));
    let seller = side("by_seller", "seller", &filter.seller);
    Walk::of(TRADES, [scope, seller, side("by_buyer", "buyer", &filter.buyer), station, item, status])
}

pub(crate) async fn list(link: &Link, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
    let cut = (query.filter.created, query.before, query.limit);
    let read = |document: &RawDocument| trade::read(document).map(Arc::new);
    walk(&query.filter).page(link, "list trades", cut, read).await
}

pub(crate) async fn one(link: &Link, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
    let query = Query::find("read a trade", TRADES, rawdoc! { "_id": id.as_str() }, rawdoc! {}, 1);
    Ok(query.fetch(link, trade::read).await?.pop().map(Arc::new))
}

/// By the shipments that are pending: a trade ends with its shipment, so that theirs are initiated.
pub(crate) fn expired_query(now: Timestamp, limit: usize) -> Query {
    let filter = rawdoc! {
        "status": CargoStatus::Pending.as_str(),
        "expiresAt": { "$exists": true, "$lte": date(now) },
    };
    Query::find("find expired trades", CARGO, filter, rawdoc! { "expiresAt": 1 }, limit).by_index("by_expiry")
}

pub(crate) async fn expired(
    link: &Link,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<TransactionId>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    expired_query(now, limit).fetch(link, |cargo| cargo.text("transactionId")).await
}
