//! The log: `{_id, time, steps: [{last, record}]}`, a document for some steps of a commit; `_id` and `time` are those of the
//! newest step in it, `record` is written by [`Step::encode`].
//!
//! The log is read in order and never changed, so that one document may as well hold many steps: a document of its own
//! costs a step some 70 bytes of the oplog more, an entry of each index, and the server as much work as any other. Of a
//! commit of a thousand trades the log took the server 1 to 5 ms in chunks, and 10 to 26 ms with a document a step, where
//! the ledger took 12 to 50 (a replica set of one on two busy cores).

use super::receipt::binary;
use super::{Decoded, Fields, Unreadable, date, documents, stored};
use mongodb::bson::raw::cstr;
use mongodb::bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use std::sync::Arc;
use trade_core::resource::Sequence;
use trade_core::step::Step;
use trade_core::store::LogRecord;

/// A document is closed once its records hold so many bytes: a reader that wants one step of it reads as many.
pub(crate) const CHUNK_BYTES: usize = 32 << 10;

/// Records in as few documents as they go in, moved by as much as the head has.
///
/// # Errors
/// [`Unreadable`] where a step cannot be written, which is a defect.
pub(crate) fn write(log: &[LogRecord], shift: u64) -> Decoded<Vec<RawDocumentBuf>> {
    let mut documents = Vec::new();
    let (mut steps, mut bytes) = (RawArrayBuf::new(), 0);
    for (index, record) in log.iter().enumerate() {
        let encoded = record.step.encode().map_err(|error| Unreadable::damaged(error.to_string()))?;
        let last = stored(record.last + shift);
        bytes += encoded.len();
        let mut step = rawdoc! { "last": last };
        step.append(cstr!("record"), binary(&encoded));
        steps.push(step);
        if bytes >= CHUNK_BYTES || index + 1 == log.len() {
            let steps = std::mem::take(&mut steps);
            documents.push(rawdoc! { "_id": last, "time": date(record.step.time), "steps": steps });
            bytes = 0;
        }
    }
    Ok(documents)
}

/// The steps of a document that end after a sequence, each with the bytes it is kept as.
pub(crate) fn read(document: &RawDocument, after: Sequence) -> Decoded<Vec<(LogRecord, usize)>> {
    let step = |step: &RawDocument| {
        let last = step.count("last")?;
        if last <= after {
            return Ok(None);
        }
        let bytes = step.bytes("record")?;
        let step = Step::decode(bytes).map_err(|error| Unreadable::Record(error, last))?;
        Ok(Some((LogRecord { last, step: Arc::new(step) }, bytes.len())))
    };
    Ok(documents("steps", document.list("steps")?, step)?.into_iter().flatten().collect())
}
