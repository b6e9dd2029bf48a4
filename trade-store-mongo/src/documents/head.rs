//! The head of the log: `{_id: 1, sequence, time, commits, format}`. `commits` counts every commit, also one that adds no
//! event, so that each of them changes the document. `format` is the version that the collections were brought up to.

use super::{Decoded, Fields, Unreadable};
use crate::schema::VERSION;
use mongodb::bson::RawDocument;
use trade_core::store::Head;

/// The id of the one document.
pub(crate) const ID: i32 = 1;

/// What a commit left. A newer version writes what this one cannot read, so that it shall not write either.
pub(crate) fn read(document: &RawDocument) -> Decoded<Head> {
    let format = document.signed("format")?;
    if format > i64::from(VERSION) {
        return Err(Unreadable::Newer(format));
    }
    Ok(Head { sequence: document.count("sequence")?, time: document.time("time")? })
}
