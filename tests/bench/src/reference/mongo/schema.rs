//! The collections that are written to by hand: what their documents must look like, and what finds them.

use crate::report::Failure;
use mongodb::Database;
use mongodb::bson::{Document, doc};

/// Makes them.
pub(super) async fn make(database: &Database) -> Result<(), Failure> {
    for (name, validator) in [
        ("head", object(doc! { "sequence": least(0), "time": kind("date"), "commits": least(0) })),
        ("stations", stations()),
        ("stock", stock()),
        ("trades", trades()),
        ("cargo", cargo()),
        ("ledger", ledger()),
        ("log", object(doc! { "_id": least(1), "time": kind("date"), "steps": kind("array") })),
        ("receipts", object(doc! { "fingerprint": kind("binData"), "time": kind("date") })),
    ] {
        database.run_command(doc! { "create": name, "validator": validator }).await?;
    }
    for (collection, keys) in indexes() {
        let indexes: Vec<_> = keys
            .into_iter()
            .map(|key| {
                let fields: Vec<_> = key.keys().map(String::as_str).collect();
                doc! { "name": fields.join("_"), "key": key }
            })
            .collect();
        database.run_command(doc! { "createIndexes": collection, "indexes": indexes }).await?;
    }
    Ok(())
}

/// What the lists are served by, newest first.
fn indexes() -> [(&'static str, Vec<Document>); 6] {
    let by = |field: &str| doc! { field: 1, "sequence": -1 };
    let sequence = || doc! { "sequence": -1 };
    [
        ("stations", vec![doc! { "createdSequence": -1 }]),
        ("trades", vec![sequence(), by("seller"), by("buyer"), by("items.itemId"), by("status")]),
        ("cargo", vec![sequence(), by("origin"), by("destination"), by("status")]),
        ("ledger", vec![doc! { "stations": 1, "_id": -1 }]),
        ("log", vec![doc! { "time": 1, "_id": 1 }]),
        ("receipts", vec![doc! { "time": 1 }]),
    ]
}

fn stations() -> Document {
    object(doc! {
        "quantity": { "bsonType": "decimal", "minimum": 0 }, "itemCount": least(0), "version": least(1),
        "createdSequence": least(1), "updatedAt": kind("date"),
    })
}

fn stock() -> Document {
    let mut validator = object(doc! {
        "stationId": kind("string"), "itemId": kind("string"),
        "onHand": least(0), "reserved": least(0), "incoming": least(0),
    });
    validator.insert("$expr", doc! { "$lte": ["$reserved", "$onHand"] });
    validator
}

fn trades() -> Document {
    object(doc! {
        "buyer": kind("string"), "seller": kind("string"), "items": kind("array"),
        "status": { "enum": ["initiated", "completed", "cancelled", "failed"] },
        "settlement": { "enum": ["immediate", "on_delivery"] }, "createdAt": kind("date"), "version": least(1),
        "sequence": least(1),
    })
}

fn cargo() -> Document {
    object(doc! {
        "origin": kind("string"), "destination": kind("string"), "items": kind("array"),
        "status": { "enum": ["pending", "in_transit", "delivered", "cancelled", "returned", "lost"] },
        "ETA": kind("date"), "createdAt": kind("date"), "version": least(1), "sequence": least(1),
    })
}

fn ledger() -> Document {
    object(doc! {
        "time": kind("date"), "itemId": kind("string"), "quantity": least(1), "from": kind("string"),
        "to": kind("string"), "reason": kind("string"), "stations": kind("array"),
    })
}

/// A validator of documents that have all these fields.
fn object(properties: Document) -> Document {
    let required: Vec<_> = properties.keys().cloned().collect();
    doc! { "$jsonSchema": { "bsonType": "object", "required": required, "properties": properties } }
}

fn kind(name: &str) -> Document {
    doc! { "bsonType": name }
}

fn least(minimum: i64) -> Document {
    doc! { "bsonType": "long", "minimum": minimum }
}
