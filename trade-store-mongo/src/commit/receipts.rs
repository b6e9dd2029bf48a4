//! Forgetting old receipts.

use crate::classify::classify;
use crate::documents::date;
use crate::link::Link;
use crate::schema::{PIECES, RECEIPTS};
use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use mongodb::options::{Acknowledgment, WriteConcern};
use trade_core::store::StoreError;
use trade_core::values::Timestamp;

/// Removes up to `limit` receipts of before a time, the oldest first.
pub(crate) async fn prune(link: &Link, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
    const OPERATION: &str = "prune receipts";
    if limit == 0 {
        return Ok(0);
    }
    let removed = link.answered(OPERATION, remove(link, before, limit)).await?;
    removed.map_err(classify(OPERATION))
}

async fn remove(link: &Link, before: Timestamp, limit: usize) -> Result<u64, Error> {
    let majority = || WriteConcern::builder().w(Acknowledgment::Majority).build();
    let receipts = link.database.collection::<Document>(RECEIPTS);
    let old = receipts.find(doc! { "time": { "$lt": date(before) } }).sort(doc! { "time": 1 });
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let old = old.limit(limit).projection(doc! { "_id": 1, "pieces": 1 }).await?;
    let old: Vec<Document> = old.try_collect().await?;
    let ids: Vec<Bson> = old.iter().filter_map(|receipt| receipt.get("_id").cloned()).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let removed = receipts.delete_many(doc! { "_id": { "$in": ids } }).write_concern(majority()).await?;
    // After their receipts, which would be damaged without them; those left behind by a cut are in nobody's way.
    let pieces: Vec<Document> = old.iter().flat_map(piece_keys).collect();
    if !pieces.is_empty() {
        let documents = link.database.collection::<Document>(PIECES);
        documents.delete_many(doc! { "_id": { "$in": pieces } }).write_concern(majority()).await?;
    }
    Ok(removed.deleted_count)
}

fn piece_keys(receipt: &Document) -> impl Iterator<Item = Document> {
    let pieces = receipt.get_i64("pieces").unwrap_or(0);
    (0..pieces).map(|piece| doc! { "request": receipt.get("_id").cloned(), "piece": piece })
}
