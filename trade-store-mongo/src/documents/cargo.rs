//! Shipments: `{_id, transactionId?, origin, destination, items, status, ETA, location?, metadata?, createdAt, updatedAt,
//! version, sequence}`, and beside the wire's fields `requestedETA?`, the arrival that was asked for, `requestedMetadata?`,
//! what was asked for where that is something else by now, and `expiresAt?`, that of its trade, by which expired trades are found.

use super::trade::{read_lines, write_lines};
use super::{Decoded, Fields, date, stored};
use mongodb::bson::raw::cstr;
use mongodb::bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use trade_core::resource::{Cargo, Sequence};
use trade_core::values::{Metadata, Timestamp};

/// A new shipment.
///
/// # Errors
/// As [`super::metadata`].
pub(crate) fn write(
    cargo: &Cargo,
    sequence: Sequence,
    expires_at: Option<Timestamp>,
) -> Decoded<RawDocumentBuf> {
    let mut document = rawdoc! { "_id": cargo.shipment_id.as_str() };
    if let Some(id) = &cargo.transaction_id {
        document.append(cstr!("transactionId"), id.as_str());
    }
    document.append(cstr!("origin"), cargo.origin.as_str());
    document.append(cstr!("destination"), cargo.destination.as_str());
    document.append(cstr!("items"), write_lines(&cargo.items));
    document.append(cstr!("status"), cargo.status.as_str());
    document.append(cstr!("ETA"), date(cargo.eta));
    if let Some(location) = &cargo.location {
        document.append(cstr!("location"), location.as_str());
    }
    if let Some(metadata) = &cargo.metadata {
        document.append(cstr!("metadata"), super::metadata(metadata)?);
    }
    append_requested(cargo, &mut document)?;
    document.append(cstr!("createdAt"), date(cargo.created_at));
    document.append(cstr!("updatedAt"), date(cargo.updated_at));
    document.append(cstr!("version"), stored(cargo.version));
    document.append(cstr!("sequence"), stored(sequence));
    if let Some(time) = cargo.requested_eta {
        document.append(cstr!("requestedETA"), date(time));
    }
    if let Some(time) = expires_at {
        document.append(cstr!("expiresAt"), date(time));
    }
    Ok(document)
}

/// What of a shipment changes after its creation.
///
/// # Errors
/// As [`super::metadata`].
pub(crate) fn change(cargo: &Cargo) -> Decoded<RawDocumentBuf> {
    let mut set = rawdoc! {
        "status": cargo.status.as_str(),
        "ETA": date(cargo.eta),
        "updatedAt": date(cargo.updated_at),
        "version": stored(cargo.version),
    };
    // Neither is ever taken away: what is absent was absent before.
    if let Some(location) = &cargo.location {
        set.append(cstr!("location"), location.as_str());
    }
    if let Some(metadata) = &cargo.metadata {
        set.append(cstr!("metadata"), super::metadata(metadata)?);
    }
    append_requested(cargo, &mut set)?;
    if cargo.requested_metadata.is_none() {
        return Ok(rawdoc! { "$set": set, "$unset": { "requestedMetadata": true } });
    }
    Ok(rawdoc! { "$set": set })
}

/// What [`write()`] wrote.
pub(crate) fn read(document: &RawDocument) -> Decoded<Cargo> {
    Ok(Cargo {
        shipment_id: document.text("_id")?,
        transaction_id: document.maybe_text("transactionId")?,
        origin: document.text("origin")?,
        destination: document.text("destination")?,
        items: read_lines(document.list("items")?)?,
        status: document.text("status")?,
        eta: document.time("ETA")?,
        location: document.maybe_text("location")?,
        requested_eta: document.maybe_time("requestedETA")?,
        metadata: document.maybe_metadata("metadata")?,
        requested_metadata: requested(document)?,
        created_at: document.time("createdAt")?,
        updated_at: document.time("updatedAt")?,
        version: document.count("version")?,
    })
}

fn append_requested(cargo: &Cargo, to: &mut RawDocumentBuf) -> Decoded<()> {
    match &cargo.requested_metadata {
        Some(Some(requested)) => to.append(cstr!("requestedMetadata"), super::metadata(requested)?),
        Some(None) => to.append(cstr!("requestedMetadata"), RawBsonRef::Null),
        None => {}
    }
    Ok(())
}

/// What was asked for where that is something else by now: null where it was none.
fn requested(document: &RawDocument) -> Decoded<Option<Option<Metadata>>> {
    const FIELD: &str = "requestedMetadata";
    match document.maybe(FIELD)? {
        None => Ok(None),
        Some(RawBsonRef::Null) => Ok(Some(None)),
        Some(_) => document.maybe_metadata(FIELD).map(Some),
    }
}
