//! The events about a shipment after its creation: `{_id: {shipmentId, sequence}}`.

use super::stored;
use mongodb::bson::{RawDocumentBuf, rawdoc};
use trade_core::resource::Sequence;
use trade_core::values::ShipmentId;

/// The id of one.
pub(crate) fn key(id: &ShipmentId, sequence: Sequence) -> RawDocumentBuf {
    rawdoc! { "shipmentId": id.as_str(), "sequence": stored(sequence) }
}

/// One event.
pub(crate) fn write(id: &ShipmentId, sequence: Sequence) -> RawDocumentBuf {
    rawdoc! { "_id": key(id, sequence) }
}
