//! API keys: a collection beside the log. What is written here is no step of it: each write is one command, confirmed by a
//! majority and journaled, by the connections of those who read, so that no commit waits for it.

use crate::classify::{NAME, classify, is_passing, meaning_of_code};
use crate::documents::{api_key, date, stored};
use crate::link::Link;
use crate::read::Query;
use crate::schema::API_KEYS;
use mongodb::bson::raw::cstr;
use mongodb::bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{Acknowledgment, CollectionOptions, WriteConcern};
use mongodb::{ClientSession, Collection};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;
use trade_core::access::{ApiKey, InvalidKey, KeyId};
use trade_core::store::{StoreError, StoreErrorKind};
use trade_core::values::Timestamp;

/// The operation in errors, of a change.
pub(crate) const CHANGE: &str = "store a key";
/// The same of uses.
pub(crate) const USE: &str = "note the use of keys";
/// Uses that are noted by one command.
const USES_MAX: usize = 500;
/// How often uses are noted anew where that passed by.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

/// The key of an id.
pub(crate) fn one_query(id: &KeyId) -> Query {
    Query::find("read a key", API_KEYS, rawdoc! { "_id": id.as_str() }, rawdoc! {}, 1)
}

/// The keys behind an id.
pub(crate) fn list_query(after: Option<&KeyId>, limit: usize) -> Query {
    let filter = rawdoc! { "_id": { "$gt": after.map_or("", KeyId::as_str) } };
    Query::find("list keys", API_KEYS, filter, rawdoc! { "_id": 1 }, limit)
}

/// As [`trade_core::access::KeyStore::key`].
pub(crate) async fn key(link: &Link, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
    Ok(one_query(id).fetch(link, api_key::read).await?.pop())
}

/// As [`trade_core::access::KeyStore::keys`].
pub(crate) async fn keys(
    link: &Link,
    after: Option<&KeyId>,
    limit: usize,
) -> Result<Vec<ApiKey>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    list_query(after, limit).fetch(link, api_key::read).await
}

/// As [`trade_core::access::KeyStore::put_key`].
pub(crate) async fn put(link: &Link, key: &ApiKey) -> Result<(), StoreError> {
    let answer = match key.version.checked_sub(1) {
        Some(before @ 1..) => link.answered(CHANGE, replace(link, key, before)).await,
        _ => link.answered(CHANGE, insert(link, key)).await,
    };
    // Where no answer came, it may have been written.
    let changed = answer.map_err(maybe_written)??;
    if changed {
        return Ok(());
    }
    let detail = format!("the key {} has another version, or there is none", key.id);
    Err(StoreError::new(StoreErrorKind::Conflict, NAME, CHANGE, detail))
}

async fn insert(link: &Link, key: &ApiKey) -> Result<bool, StoreError> {
    let document = api_key::write(key).map_err(unwritable)?;
    let mut session = session(link).await?;
    documents(link).insert_one(document).session(&mut session).await.map_err(failed)?;
    link.seen.learn(&session);
    Ok(true)
}

async fn replace(link: &Link, key: &ApiKey, before: u64) -> Result<bool, StoreError> {
    let change = Document::try_from(api_key::change(key).map_err(unwritable)?);
    let change = change.map_err(|error| classify(CHANGE)(error.into()))?;
    let before = doc! { "_id": key.id.as_str(), "version": stored(before) };
    let mut session = session(link).await?;
    let updated = documents(link).update_one(before, change).session(&mut session).await.map_err(failed)?;
    link.seen.learn(&session);
    Ok(updated.matched_count == 1)
}

/// Of the same client as the collection. What a read must have seen is said in the command itself.
async fn session(link: &Link) -> Result<ClientSession, StoreError> {
    let session = link.reading.client().start_session().causal_consistency(false).await;
    session.map_err(classify(CHANGE))
}

fn documents(link: &Link) -> Collection<RawDocumentBuf> {
    let durable = WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .w_timeout(link.options.operation_timeout)
        .build();
    let options = CollectionOptions::builder().write_concern(durable).build();
    link.reading.collection_with_options(API_KEYS, options)
}

fn unwritable(error: InvalidKey) -> StoreError {
    StoreError::new(StoreErrorKind::Internal, NAME, CHANGE, error.to_string())
}

/// What the answer to a change says of it: the server's own no is certain, and so is that no server was asked.
fn failed(error: Error) -> StoreError {
    let is_definite = match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(_)) | ErrorKind::ServerSelection { .. } => true,
        ErrorKind::Command(_) => !is_passing(&error),
        ErrorKind::Authentication { .. } | ErrorKind::InvalidTlsConfig { .. } | ErrorKind::Shutdown => true,
        _ => false,
    };
    let error = classify(CHANGE)(error);
    if is_definite { error } else { maybe_written(error) }
}

fn maybe_written(mut error: StoreError) -> StoreError {
    error.kind = StoreErrorKind::OutcomeUnknown;
    error.detail = format!("the key may have been stored: {}", error.detail);
    error
}

/// As [`trade_core::access::KeyStore::note_use`].
pub(crate) async fn note_use(link: &Link, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
    let mut latest: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for (id, time) in used {
        let known = latest.entry(id.as_str()).or_insert(*time);
        *known = (*known).max(*time);
    }
    for some in latest.into_iter().collect::<Vec<_>>().chunks(USES_MAX) {
        note_some(link, some).await?;
    }
    Ok(())
}

/// What may have landed is as good twice as once.
async fn note_some(link: &Link, used: &[(&str, Timestamp)]) -> Result<(), StoreError> {
    let mut tries_left = TRIES;
    loop {
        let noted = link.answered(USE, link.reading.run_raw_command(uses(link, used))).await?;
        tries_left -= 1;
        match noted {
            Ok(reply) => return check(&reply),
            Err(error) if tries_left > 0 && is_passing(&error) => sleep(PAUSE).await,
            Err(error) => return Err(classify(USE)(error)),
        }
    }
}

fn uses(link: &Link, used: &[(&str, Timestamp)]) -> RawDocumentBuf {
    let mut updates = RawArrayBuf::new();
    for (id, time) in used {
        updates.push(rawdoc! { "q": { "_id": *id }, "u": { "$max": { "usedAt": date(*time) } } });
    }
    let mut command = rawdoc! { "update": API_KEYS, "updates": updates, "ordered": false };
    command.append(cstr!("writeConcern"), rawdoc! { "w": "majority", "wtimeout": link.millis_max() });
    command.append(cstr!("maxTimeMS"), link.millis_max());
    command
}

fn check(reply: &Document) -> Result<(), StoreError> {
    let errors = reply.get_array("writeErrors").ok();
    let error = errors.and_then(|errors| errors.first()).or_else(|| reply.get("writeConcernError"));
    let Some(error) = error.and_then(Bson::as_document) else { return Ok(()) };
    let code = error.get_i32("code").unwrap_or(0);
    let (kind, detail) = meaning_of_code(code);
    Err(StoreError::new(kind, NAME, USE, format!("{detail} (code {code})")))
}
