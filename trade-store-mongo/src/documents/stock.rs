//! Stock: one document per station and item, `{_id: "<stationId>/<itemId>", stationId, itemId, onHand, reserved, incoming}`.
//!
//! No id has a slash, so that the ids of a station's documents begin alike, and ascend by item.

use super::{Decoded, Fields, stored};
use mongodb::bson::{RawDocument, RawDocumentBuf, rawdoc};
use trade_core::resource::{StockItem, StockLevel};
use trade_core::store::StockRow;
use trade_core::values::{ItemId, StationId};

/// The id of a document.
pub(crate) fn key(station: &StationId, item: &ItemId) -> String {
    [station.as_str(), "/", item.as_str()].concat()
}

/// The ids of a station lie between these two, both excluded: `0` follows the slash.
pub(crate) fn span(station: &StationId) -> [String; 2] {
    ["/", "0"].map(|end| [station.as_str(), end].concat())
}

/// An item that a station did not list before.
pub(crate) fn write(row: &StockRow) -> RawDocumentBuf {
    rawdoc! {
        "_id": key(&row.station_id, &row.item_id),
        "stationId": row.station_id.as_str(),
        "itemId": row.item_id.as_str(),
        "onHand": stored(row.level.on_hand),
        "reserved": stored(row.level.reserved),
        "incoming": stored(row.level.incoming),
    }
}

/// A new level.
pub(crate) fn change(level: &StockLevel) -> RawDocumentBuf {
    rawdoc! { "$set": {
        "onHand": stored(level.on_hand),
        "reserved": stored(level.reserved),
        "incoming": stored(level.incoming),
    } }
}

/// What [`write()`] wrote.
pub(crate) fn read(document: &RawDocument) -> Decoded<StockRow> {
    let StockItem { item_id, level } = read_item(document)?;
    Ok(StockRow { station_id: document.text("stationId")?, item_id, level })
}

/// The same without the station.
pub(crate) fn read_item(document: &RawDocument) -> Decoded<StockItem> {
    let level = StockLevel {
        on_hand: document.count("onHand")?,
        reserved: document.count("reserved")?,
        incoming: document.count("incoming")?,
    };
    Ok(StockItem { item_id: document.text("itemId")?, level })
}
