//! The collections: their validators and their indexes.
//!
//! A validator is the second wall under the rules about quantities: what breaks one is refused by the server, whoever
//! writes it. The first filter of a list is an index with the sequence behind it, so that what a list lets through is
//! walked newest first (see `read::walk`).

use mongodb::bson::{Bson, Document, doc};
use trade_core::resource::{CargoStatus, MovementReason, Settlement, TradeStatus};

/// The newest version of the collections, which is also the format that the head of the log names: what an older version
/// of the program cannot read, or would write otherwise, has another one.
pub(crate) const VERSION: i32 = 3;

pub(crate) const HEAD: &str = "head";
pub(crate) const STATIONS: &str = "stations";
pub(crate) const STOCK: &str = "stock";
pub(crate) const TRADES: &str = "trades";
pub(crate) const CARGO: &str = "cargo";
pub(crate) const LEDGER: &str = "ledger";
pub(crate) const HISTORY: &str = "cargo_history";
pub(crate) const LOG: &str = "log";
pub(crate) const RECEIPTS: &str = "receipts";
pub(crate) const PIECES: &str = "receipt_pieces";
pub(crate) const API_KEYS: &str = "api_keys";
pub(crate) const MIGRATIONS: &str = "migrations";

/// A collection as a migration makes it.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) name: &'static str,
    pub(crate) validator: Document,
    pub(crate) indexes: Vec<Index>,
}

/// An index beside that of `_id`.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: &'static str,
    pub(crate) key: Document,
    /// Which documents stand in it, where not all do.
    pub(crate) only: Option<Document>,
}

fn index(name: &'static str, key: Document) -> Index {
    Index { name, key, only: None }
}

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Document {
    let words: Vec<Bson> = all.iter().map(|value| word(*value).into()).collect();
    doc! { "enum": words }
}

/// A validator that demands these fields of these types.
fn of_type(required: &[&str], properties: Document) -> Document {
    doc! { "$jsonSchema": { "bsonType": "object", "required": required, "properties": properties } }
}

fn count() -> Document {
    doc! { "bsonType": "long", "minimum": 0_i64 }
}

fn positive() -> Document {
    doc! { "bsonType": "long", "minimum": 1_i64 }
}

fn date() -> Document {
    doc! { "bsonType": "date" }
}

fn string() -> Document {
    doc! { "bsonType": "string" }
}

/// What a version changes: collections that it makes, and validators that it gives to those that are there.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) made: Vec<Collection>,
    pub(crate) validators: Vec<(&'static str, Document)>,
}

/// The steps from nothing on; the place of each, from 1, is its version. One that was released never changes.
pub(crate) fn steps() -> [Step; VERSION as usize] {
    let collections = || [stations(), trades(), cargo()].into_iter();
    let metadata = |Collection { name, validator, .. }| (name, with_metadata(validator));
    [
        Step { name: "collections, validators and indexes", made: first_collections(), validators: vec![] },
        Step { name: "metadata", made: vec![], validators: collections().map(metadata).collect() },
        Step { name: "API keys", made: vec![api_keys()], validators: vec![] },
    ]
}

/// What the newest version that gives a collection another validator gives it.
pub(crate) fn newest_validator(name: &str) -> Option<Document> {
    let given = steps().into_iter().flat_map(|step| step.validators);
    given.rev().find(|(of, _)| *of == name).map(|(_, validator)| validator)
}

/// The validator of the first version, and names and texts under `metadata`, where there are any.
fn with_metadata(mut validator: Document) -> Document {
    let texts = doc! { "bsonType": "object", "additionalProperties": { "bsonType": "string" } };
    if let Ok(schema) = validator.get_document_mut("$jsonSchema")
        && let Ok(properties) = schema.get_document_mut("properties")
    {
        properties.insert("metadata", texts);
    }
    validator
}

/// Every name of a collection of ours.
pub(crate) const NAMES: [&str; 11] =
    [HEAD, STATIONS, STOCK, TRADES, CARGO, LEDGER, HISTORY, LOG, RECEIPTS, PIECES, API_KEYS];

/// Everything of version 1.
fn first_collections() -> Vec<Collection> {
    let plain = |name, validator| Collection { name, validator, indexes: Vec::new() };
    vec![
        plain(
            HEAD,
            of_type(
                &["sequence", "time", "commits", "format"],
                doc! { "sequence": count(), "time": date(), "commits": count(), "format": { "bsonType": "int" } },
            ),
        ),
        stations(),
        plain(STOCK, stock()),
        trades(),
        cargo(),
        ledger(),
        plain(HISTORY, of_type(&["_id"], doc! { "_id": { "bsonType": "object" } })),
        Collection {
            name: LOG,
            validator: of_type(
                &["_id", "time", "steps"],
                doc! { "_id": positive(), "time": date(), "steps": { "bsonType": "array" } },
            ),
            indexes: vec![index("by_time", doc! { "time": 1, "_id": 1 })],
        },
        Collection {
            name: RECEIPTS,
            validator: of_type(
                &["fingerprint", "time"],
                doc! {
                    "fingerprint": { "bsonType": "binData" },
                    "time": date(),
                    "first": positive(),
                    "last": positive(),
                },
            ),
            indexes: vec![index("by_time", doc! { "time": 1 })],
        },
        plain(PIECES, of_type(&["bytes"], doc! { "bytes": { "bsonType": "binData" } })),
    ]
}

fn stations() -> Collection {
    let validator = of_type(
        &["quantity", "itemCount", "version", "createdSequence", "updatedAt"],
        doc! {
            "quantity": { "bsonType": "decimal", "minimum": 0 },
            "itemCount": count(),
            "version": positive(),
            "createdSequence": positive(),
            "updatedAt": date(),
        },
    );
    let indexes = vec![index("by_sequence", doc! { "createdSequence": -1 })];
    Collection { name: STATIONS, validator, indexes }
}

/// Nothing is below zero, and no more is reserved than there is.
fn stock() -> Document {
    let mut validator = of_type(
        &["stationId", "itemId", "onHand", "reserved", "incoming"],
        doc! {
            "stationId": string(),
            "itemId": string(),
            "onHand": count(),
            "reserved": count(),
            "incoming": count(),
        },
    );
    validator.insert("$expr", doc! { "$lte": ["$reserved", "$onHand"] });
    validator
}

fn trades() -> Collection {
    let validator = of_type(
        &["buyer", "seller", "items", "status", "settlement", "createdAt", "version", "sequence"],
        doc! {
            "buyer": string(),
            "seller": string(),
            "items": { "bsonType": "array" },
            "status": words(TradeStatus::ALL, TradeStatus::as_str),
            "settlement": words(Settlement::ALL, Settlement::as_str),
            "createdAt": date(),
            "version": positive(),
            "sequence": positive(),
        },
    );
    let indexes = vec![
        index("by_sequence", doc! { "sequence": -1 }),
        index("by_seller", doc! { "seller": 1, "sequence": -1 }),
        index("by_buyer", doc! { "buyer": 1, "sequence": -1 }),
        index("by_item", doc! { "items.itemId": 1, "sequence": -1 }),
        index("by_status", doc! { "status": 1, "sequence": -1 }),
    ];
    Collection { name: TRADES, validator, indexes }
}

fn cargo() -> Collection {
    let validator = of_type(
        &["origin", "destination", "items", "status", "ETA", "createdAt", "version", "sequence"],
        doc! {
            "origin": string(),
            "destination": string(),
            "items": { "bsonType": "array" },
            "status": words(CargoStatus::ALL, CargoStatus::as_str),
            "ETA": date(),
            "createdAt": date(),
            "version": positive(),
            "sequence": positive(),
        },
    );
    let expiring = doc! { "status": CargoStatus::Pending.as_str(), "expiresAt": { "$exists": true } };
    let indexes = vec![
        index("by_sequence", doc! { "sequence": -1 }),
        index("by_origin", doc! { "origin": 1, "sequence": -1 }),
        index("by_destination", doc! { "destination": 1, "sequence": -1 }),
        index("by_status", doc! { "status": 1, "sequence": -1 }),
        Index { name: "by_expiry", key: doc! { "expiresAt": 1 }, only: Some(expiring) },
    ];
    Collection { name: CARGO, validator, indexes }
}

fn ledger() -> Collection {
    let validator = of_type(
        &["time", "itemId", "quantity", "from", "to", "reason", "stations"],
        doc! {
            "time": date(),
            "itemId": string(),
            "quantity": positive(),
            "from": string(),
            "to": string(),
            "reason": words(MovementReason::ALL, MovementReason::as_str),
            "stations": { "bsonType": "array" },
        },
    );
    let indexes = vec![index("by_station", doc! { "stations": 1, "_id": -1 })];
    Collection { name: LEDGER, validator, indexes }
}

/// Everything of version 3.
fn api_keys() -> Collection {
    let validator = of_type(
        &["version", "record"],
        doc! {
            "_id": { "bsonType": "string", "minLength": 12, "maxLength": 12 },
            "version": positive(),
            "usedAt": date(),
            "record": { "bsonType": "binData" },
        },
    );
    Collection { name: API_KEYS, validator, indexes: Vec::new() }
}
