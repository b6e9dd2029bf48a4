//! Whether what a commit has only read is as it expects it, where the head does not prove it.
//!
//! What a commit writes proves itself: a document that should be absent is inserted, and its key must be free; one that is
//! there is changed by a statement that names its version.

use super::turn::{OPERATION, Turn};
use crate::classify::{NAME, undone};
use crate::documents::{Decoded, Fields, Unreadable, failed};
use crate::schema::{CARGO, STATIONS, TRADES};
use mongodb::bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use mongodb::error::Error;
use std::collections::HashMap;
use trade_core::resource::Version;
use trade_core::store::{Commit, StoreError, StoreErrorKind, Write};

/// Reads every version and every absence that a commit depends on and does not write, in the commit's own transaction:
/// a message for each collection that has any.
///
/// # Errors
/// `Conflict` where one is another.
pub(super) async fn check(turn: &mut Turn<'_>, commit: &Commit) -> Result<(), StoreError> {
    compare(turn, TRADES, &commit.trades).await?;
    compare(turn, CARGO, &commit.cargo).await?;
    compare(turn, STATIONS, &commit.stations).await
}

async fn compare<K: AsRef<str>, T>(
    turn: &mut Turn<'_>,
    collection: &'static str,
    writes: &[Write<K, T>],
) -> Result<(), StoreError> {
    let read: Vec<_> = writes.iter().filter(|write| write.value.is_none()).collect();
    if read.is_empty() {
        return Ok(());
    }
    let mut ids = RawArrayBuf::new();
    read.iter().for_each(|write| ids.push(write.key.as_ref()));
    let link = turn.link;
    let command = rawdoc! {
        "find": collection,
        "filter": { "_id": { "$in": ids } },
        "projection": { "version": 1 },
        "batchSize": i32::MAX,
        "maxTimeMS": link.millis_max(),
    };
    let fetched = link.answered(OPERATION, fetch(turn, command)).await?.map_err(undone(OPERATION))?;
    let found = fetched.into_iter().collect::<Decoded<HashMap<_, _>>>().map_err(failed(OPERATION))?;
    for write in read {
        let id = write.key.as_ref();
        let version = found.get(id).copied();
        if version != write.expected {
            let detail = format!("{id} has version {version:?}, not {:?}", write.expected);
            return Err(StoreError::new(StoreErrorKind::Conflict, NAME, OPERATION, detail));
        }
    }
    Ok(())
}

async fn fetch(
    turn: &mut Turn<'_>,
    command: RawDocumentBuf,
) -> Result<Vec<Decoded<(String, Version)>>, Error> {
    let cursor = turn.link.database.run_raw_cursor_command(command).session(&mut turn.session);
    let mut cursor = cursor.await?;
    let mut rows = Vec::new();
    while cursor.advance(&mut turn.session).await? {
        rows.push(row(cursor.current()));
    }
    Ok(rows)
}

fn row(document: &RawDocument) -> Decoded<(String, Version)> {
    let id = document.field("_id")?.as_str().map(str::to_owned);
    Ok((id.ok_or_else(|| Unreadable::damaged("_id is no text"))?, document.count("version")?))
}
