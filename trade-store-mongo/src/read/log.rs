//! The log, its head, and the receipts beside it.

use super::Query;
use crate::classify::{NAME, classify};
use crate::documents::{head as head_document, log, receipt, stored};
use crate::link::Link;
use crate::schema::{HEAD, LOG, RECEIPTS};
use mongodb::bson::raw::cstr;
use mongodb::bson::{RawDocument, doc, rawdoc};
use trade_core::command::RequestId;
use trade_core::resource::Sequence;
use trade_core::store::{Head, LogRecord, Receipt, StoreError, StoreErrorKind};
use trade_core::values::Timestamp;

pub(crate) async fn head(link: &Link) -> Result<Head, StoreError> {
    const OPERATION: &str = "head";
    let filter = rawdoc! { "_id": head_document::ID };
    let query = Query::find(OPERATION, HEAD, filter, rawdoc! {}, 1).for_commit();
    let found = query.fetch(link, head_document::read).await?;
    found.first().copied().ok_or_else(|| no_head(OPERATION))
}

/// A database without the one document that is always there.
pub(crate) fn no_head(operation: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, NAME, operation, "there is no head of the log")
}

/// The clock of the server that writes (the `localTime` of its `hello`).
pub(crate) async fn clock(link: &Link) -> Result<Timestamp, StoreError> {
    const OPERATION: &str = "read the clock";
    let hello = link.database.run_command(doc! { "hello": 1 });
    let told = link.answered(OPERATION, hello).await?.map_err(classify(OPERATION))?;
    let millis = told.get_datetime("localTime").map(|time| time.timestamp_millis());
    let time = millis.ok().and_then(|millis| Timestamp::from_millis(millis).ok());
    time.ok_or_else(|| {
        StoreError::new(StoreErrorKind::Internal, NAME, OPERATION, "the server does not tell its time")
    })
}

/// The next documents of the log, up to so many, and none after those that hold so many bytes.
pub(crate) fn read_query(after: Sequence, limit: usize, bytes_max: usize) -> Query {
    let filter = rawdoc! { "_id": { "$gt": stored(after) } };
    Query { bytes_max, ..Query::find("read the log", LOG, filter, rawdoc! { "_id": 1 }, limit) }
}

/// Receipts that name steps, behind a request, without their answers.
pub(crate) fn receipts_query(after: Option<RequestId>, limit: usize) -> Query {
    let mut filter = rawdoc! { "first": { "$exists": true } };
    if let Some(after) = after {
        let mut behind = rawdoc! {};
        behind.append(cstr!("$gt"), receipt::binary(&after.0));
        filter.append(cstr!("_id"), behind);
    }
    let mut query = Query::find("list receipts", RECEIPTS, filter, rawdoc! { "_id": 1 }, limit);
    query.command.append(cstr!("projection"), rawdoc! { "answer": 0, "pieces": 0 });
    query
}

/// As [`trade_core::store::Store::receipts`].
pub(crate) async fn receipts(
    link: &Link,
    after: Option<RequestId>,
    limit: usize,
) -> Result<Vec<Receipt>, StoreError> {
    let read = |document: &RawDocument| Ok(receipt::read(document)?.0);
    receipts_query(after, limit).fetch(link, read).await
}

/// Reads the log.
pub(crate) async fn read(
    link: &Link,
    after: Sequence,
    records_max: usize,
    bytes_max: usize,
) -> Result<Vec<LogRecord>, StoreError> {
    let (records_max, mut bytes) = (records_max.max(1), 0);
    let mut records: Vec<LogRecord> = Vec::new();
    loop {
        let position = records.last().map_or(after, |record| record.last);
        // Documents hold few bytes where commits are small, and many where they are large: what is asked for may be
        // some four times too much, or come in parts.
        let room = bytes_max.saturating_sub(bytes).max(1);
        let limit = room.div_ceil(log::CHUNK_BYTES / 4).min(CHUNKS_MAX).min(records_max - records.len());
        // One step alone may be of megabytes: as many documents of such would fill the memory for nothing.
        let chunk = |chunk: &RawDocument| Ok((log::read(chunk, position)?, chunk.as_bytes().len()));
        let chunks = read_query(position, limit, room).fetch(link, chunk).await?;
        let end = chunks.len() < limit && chunks.iter().map(|(_, size)| size).sum::<usize>() < room;
        for (record, size) in chunks.into_iter().flat_map(|(steps, _)| steps) {
            if records.len() == records_max || (!records.is_empty() && bytes >= bytes_max) {
                return Ok(records);
            }
            bytes += size;
            records.push(record);
        }
        if end || records.len() == records_max || bytes >= bytes_max {
            return Ok(records);
        }
    }
}

/// The most documents of one answer, which has 16 MB.
const CHUNKS_MAX: usize = 256;
