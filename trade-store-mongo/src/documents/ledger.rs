//! The stock ledger: `{_id: {sequence, index}, time, itemId, quantity, from, to, reason, transactionId?, shipmentId?,
//! stations}`; `stations` are those in whose ledgers the entry is listed.

use super::{Decoded, Fields, damaged, date, stored};
use mongodb::bson::raw::cstr;
use mongodb::bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use trade_core::resource::{LedgerEntry, Place};
use trade_core::store::{LedgerPosition, LedgerWrite};
use trade_core::values::{Quantity, StationId};

/// The id of an entry.
pub(crate) fn key(position: LedgerPosition) -> RawDocumentBuf {
    rawdoc! { "sequence": stored(position.sequence), "index": i64::from(position.index) }
}

/// An entry at its place.
pub(crate) fn write(write: &LedgerWrite, position: LedgerPosition) -> RawDocumentBuf {
    let LedgerWrite { entry, listed_at } = write;
    let mut document = rawdoc! {
        "_id": key(position),
        "time": date(entry.time),
        "itemId": entry.item_id.as_str(),
        "quantity": stored(entry.quantity.units()),
        "from": entry.from.to_string(),
        "to": entry.to.to_string(),
        "reason": entry.reason.as_str(),
    };
    if let Some(id) = &entry.transaction_id {
        document.append(cstr!("transactionId"), id.as_str());
    }
    if let Some(id) = &entry.shipment_id {
        document.append(cstr!("shipmentId"), id.as_str());
    }
    let mut stations = RawArrayBuf::new();
    let ends = [&entry.from, &entry.to].into_iter().filter_map(station);
    ends.chain(listed_at).for_each(|id| stations.push(id.as_str()));
    document.append(cstr!("stations"), stations);
    document
}

fn station(place: &Place) -> Option<&StationId> {
    match place {
        Place::Station(id) => Some(id),
        Place::Transit | Place::World => None,
    }
}

/// What [`write()`] wrote, and where.
pub(crate) fn read(document: &RawDocument) -> Decoded<(LedgerPosition, LedgerEntry)> {
    let position = position(document)?;
    let entry = LedgerEntry {
        sequence: position.sequence,
        time: document.time("time")?,
        item_id: document.text("itemId")?,
        quantity: Quantity::new(document.count("quantity")?).map_err(damaged("quantity"))?,
        from: document.text("from")?,
        to: document.text("to")?,
        reason: document.text("reason")?,
        transaction_id: document.maybe_text("transactionId")?,
        shipment_id: document.maybe_text("shipmentId")?,
    };
    Ok((position, entry))
}

/// Where an entry stands.
pub(crate) fn position(document: &RawDocument) -> Decoded<LedgerPosition> {
    let key = document.document("_id")?;
    let index = u32::try_from(key.count("index")?).map_err(damaged("index"))?;
    Ok(LedgerPosition { sequence: key.count("sequence")?, index })
}
