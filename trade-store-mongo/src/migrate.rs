//! How collections are made and brought up to date.
//!
//! Every version is a step that may be repeated: what exists is left alone, so that several servers may start at once,
//! and one that was cut off in the middle goes on. A version is noted in `migrations` once all of it is there. That
//! collection is the first one made, and marks the database as one of ours: where it is missing and another of our names
//! is taken, the documents under it are somebody else's.

use crate::classify::{DUPLICATE_KEY, NAME, NAMESPACE_EXISTS, classify, code};
use crate::documents::{Unreadable, failed, head};
use crate::schema::{self, Collection, HEAD, Index, MIGRATIONS, VERSION};
use futures::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::error::Error;
use mongodb::options::{Acknowledgment, WriteConcern};
use mongodb::{Collection as Documents, Database};
use std::time::Duration;
use trade_core::store::{Access, StoreError, StoreErrorKind};

const OPERATION: &str = "migrate";
/// Another server may be about to note the version whose documents are there already.
const LOOKS_MAX: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(200);

fn refused(detail: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, NAME, OPERATION, detail)
}

/// Brings a database up to date, or finds that it is; one that is to be written to shows that it can be.
///
/// # Errors
/// `NewerVersion` where it is newer than this program; `Unsupported` where it is older and must not be changed, where the user may not
/// change documents, and where it holds another application's documents.
pub(crate) async fn run(database: &Database, access: Access) -> Result<(), StoreError> {
    let classified = classify(OPERATION);
    for look in 1..=LOOKS_MAX {
        let known = version(database).await?;
        match known {
            VERSION if access.may_write() => return touch(database).await.map_err(classified),
            VERSION => return Ok(()),
            newer @ VERSION.. => return Err(failed(OPERATION)(Unreadable::Newer(newer.into()))),
            0 if !access.may_migrate() => return Err(refused("it holds no trade network")),
            older if !access.may_migrate() => {
                return Err(refused(format!(
                    "the database has version {older}, this program needs {VERSION}, and is not to change it"
                )));
            }
            1.. if !has_format(database).await.map_err(classified)? => {
                return Err(refused(
                    "the database is of before version 1, which this program cannot bring up to date",
                ));
            }
            1.. => return apply(database, known).await.map_err(classified),
            _ => {}
        }
        match foreign(database).await.map_err(classified)? {
            None => return apply(database, 0).await.map_err(classified),
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
    for name in schema::NAMES {
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

/// Applies the versions after one.
async fn apply(database: &Database, known: i32) -> Result<(), Error> {
    create(database, doc! { "create": MIGRATIONS }).await?;
    for (version, step) in (1..).zip(schema::steps()).skip_while(|(version, _)| *version <= known) {
        for Collection { name, validator, indexes } in step.made {
            // At once with what later versions give it, which takes no right that users seldom have.
            let validator = schema::newest_validator(name).unwrap_or(validator);
            create(database, doc! { "create": name, "validator": validator }).await?;
            if !indexes.is_empty() {
                let indexes: Vec<Document> = indexes.into_iter().map(index).collect();
                database.run_command(doc! { "createIndexes": name, "indexes": indexes }).await?;
            }
        }
        for (name, validator) in step.validators {
            if validator_of(database, name).await?.as_ref() != Some(&validator) {
                database.run_command(doc! { "collMod": name, "validator": validator }).await?;
            }
        }
        if version == 1 {
            let time = DateTime::from_millis(0);
            let empty = doc! { "_id": head::ID, "sequence": 0_i64, "time": time, "commits": 0_i64, "format": version };
            insert(&database.collection(HEAD), empty).await?;
        }
        // From here on older versions of the program write nothing more; what a step changes does not disturb them.
        raise_format(database, version).await?;
        let note = doc! {
            "_id": version,
            "program": "trade-network",
            "name": step.name,
            "appliedAt": DateTime::now(),
        };
        insert(&migrations(database), note).await?;
    }
    Ok(())
}

async fn validator_of(database: &Database, name: &str) -> Result<Option<Document>, Error> {
    let mut found = database.list_collections().filter(doc! { "name": name }).await?;
    Ok(found.try_next().await?.and_then(|collection| collection.options.validator))
}

/// Whether the head names a format, as it does from version 1 on.
async fn has_format(database: &Database) -> Result<bool, Error> {
    let named = doc! { "_id": head::ID, "format": { "$exists": true } };
    Ok(database.collection::<Document>(HEAD).find_one(named).await?.is_some())
}

async fn raise_format(database: &Database, version: i32) -> Result<(), Error> {
    let older = doc! { "_id": head::ID, "format": { "$lt": version } };
    let raised = doc! { "$set": { "format": version } };
    database.collection::<Document>(HEAD).update_one(older, raised).await.map(drop)
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
