//! The head of the log: `{_id: 1, sequence, time, commits}`. `commits` counts every commit, also one that adds no event,
//! so that each of them changes the document.

use super::{Decoded, Fields};
use mongodb::bson::RawDocument;
use trade_core::store::Head;

/// The id of the one document.
pub(crate) const ID: i32 = 1;

/// What a commit left.
pub(crate) fn read(document: &RawDocument) -> Decoded<Head> {
    Ok(Head { sequence: document.count("sequence")?, time: document.time("time")? })
}
