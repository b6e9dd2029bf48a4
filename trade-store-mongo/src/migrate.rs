//! How collections are made and brought up to date.
//!
//! Every version is a step that may be repeated: what exists is left alone, so that several servers may start at once,
//! and one that was cut off in the middle goes on. A version is noted in `migrations` once all of it is there. That
//! collection is the first one made, and marks the database as one of ours: where it is missing and another of our names
//! is taken, the documents under it are somebody else's.

use crate::classify::{DUPLICATE_KEY, NAME, NAMESPACE_EXISTS, classify, code};
use crate::documents::head;
use crate::schema::{self, Collection, HEAD, Index, MIGRATIONS};
use futures::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::Error;
use mongodb::options::{Acknowledgment, WriteConcern};
use mongodb::{Collection as Documents, Database};
use std::time::Duration;
use trade_core::store::{Access, StoreError, StoreErrorKind};

const OPERATION: &str = "migrate";
/// The newest version this program knows.
const VERSION: i32 = 1;
/// Another server may be about to note the version whose documents are there already.
const LOOKS_MAX: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(200);

fn refused(detail: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, NAME, OPERATION, detail)
}

/// Brings a database up to date, or finds that it is; one that is to be written to shows that it can be.
///
/// # Errors
/// `Unsupported` where it is newer than this program, where it is older and must not be changed, where the user may not
/// change documents, and where it holds another application's documents.
pub(crate) async fn run(database: &Database, access: Access) -> Result<(), StoreError> {
    let failed = classify(OPERATION);
    for look in 1..=LOOKS_MAX {
        match version(database).await? {
            VERSION if access.may_write() => return touch(database).await.map_err(failed),
            VERSION => return Ok(()),
            newer @ VERSION.. => {
                return Err(refused(format!(
                    "the database has version {newer}, this program knows versions up to {VERSION}: use a newer one"
                )));
            }
            0 if !access.may_migrate() => return Err(refused("it holds no trade network")),
            older if !access.may_migrate() => {
                return Err(refused(format!(
                    "the database has version {older}, this program needs {VERSION}, and is not to change it"
                )));
            }
            _ => {}
        }
        match foreign(database).await.map_err(failed)? {
            None => return apply(database).await.map_err(failed),
            Some(name) if look == LOOKS_MAX => {
                return Err(refused(format!(
                    "the database has a collection {name} that is not of this store: name an empty database in the address"
                )));
            }
            Some(_) => tokio::time::sleep(LOOK_PAUSE).await,
        }
    }
    Ok(())
}

fn migrations(database: &Database) -> Documents<Document> {
    database.collection(MIGRATIONS)
}

/// The newest version that is noted; 0 where there is none.
async fn version(database: &Database) -> Result<i32, StoreError> {
    let found = migrations(database).find(doc! {}).await.map_err(classify(OPERATION))?;
    let noted: Vec<Document> = found.try_collect().await.map_err(classify(OPERATION))?;
    let mut newest = 0;
    for document in noted {
        match (document.get("_id"), document.get_str("program")) {
            (Some(Bson::Int32(version)), Ok("trade-network")) => newest = newest.max(*version),
            _ => {
                return Err(refused(
                    "the collection migrations is another application's: name an empty database in the address",
                ));
            }
        }
    }
    Ok(newest)
}

/// A collection under one of our names that no version of ours made.
async fn foreign(database: &Database) -> Result<Option<&'static str>, Error> {
    let existing = database.list_collection_names().await?;
    let begun = existing.iter().any(|name| name == MIGRATIONS);
    for Collection { name, .. } in schema::collections() {
        if !existing.iter().any(|other| other == name) {
            continue;
        }
        // What a step that was cut off has made is empty, but for the head.
        let documents = database.collection::<Document>(name);
        if !begun || (name != HEAD && documents.find_one(doc! {}).await?.is_some()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

async fn apply(database: &Database) -> Result<(), Error> {
    create(database, doc! { "create": MIGRATIONS }).await?;
    for Collection { name, validator, indexes } in schema::collections() {
        create(database, doc! { "create": name, "validator": validator }).await?;
        if !indexes.is_empty() {
            let indexes: Vec<Document> = indexes.into_iter().map(index).collect();
            database.run_command(doc! { "createIndexes": name, "indexes": indexes }).await?;
        }
    }
    let empty =
        doc! { "_id": head::ID, "sequence": 0_i64, "time": DateTime::from_millis(0), "commits": 0_i64 };
    insert(&database.collection(HEAD), empty).await?;
    let note = doc! {
        "_id": VERSION,
        "program": "trade-network",
        "name": "collections, validators and indexes",
        "appliedAt": DateTime::now(),
    };
    insert(&migrations(database), note).await
}

/// Changes nothing, and is refused to whoever may not change anything.
async fn touch(database: &Database) -> Result<(), Error> {
    let (nobody, change) = (doc! { "_id": 0 }, doc! { "$set": { "commits": 0_i64 } });
    // There is nothing that a majority would have to confirm.
    let at_once = WriteConcern::builder().w(Acknowledgment::Nodes(1)).build();
    database.collection::<Document>(HEAD).update_one(nobody, change).write_concern(at_once).await.map(drop)
}

fn index(Index { name, key, only }: Index) -> Document {
    let mut index = doc! { "name": name, "key": key };
    if let Some(only) = only {
        index.insert("partialFilterExpression", only);
    }
    index
}

async fn create(database: &Database, command: Document) -> Result<(), Error> {
    match database.run_command(command).await {
        Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => Ok(()),
        other => other.map(drop),
    }
}

/// Inserts a document, unless another server has.
async fn insert(documents: &Documents<Document>, document: Document) -> Result<(), Error> {
    match documents.insert_one(document).await {
        Err(error) if code(&error) == Some(DUPLICATE_KEY) => Ok(()),
        other => other.map(drop),
    }
}
