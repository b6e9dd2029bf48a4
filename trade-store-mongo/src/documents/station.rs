//! Stations: `{_id, name?, metadata?, quantity, itemCount, version, createdSequence, updatedAt}`; `quantity` is the exact sum of what
//! is on hand, past 2^53 with many items, and so a decimal.

use super::{Decoded, Fields, Unreadable, date, money, stored};
use mongodb::bson::raw::cstr;
use mongodb::bson::{RawDocument, RawDocumentBuf, rawdoc};
use trade_core::resource::{Sequence, Station};

/// A new station.
///
/// # Errors
/// [`Unreadable`] where a sum has more than 34 digits, which no stock has.
pub(crate) fn write(station: &Station, sequence: Sequence) -> Decoded<RawDocumentBuf> {
    let mut document = rawdoc! { "_id": station.station_id.as_str() };
    if let Some(name) = &station.name {
        document.append(cstr!("name"), name.as_str());
    }
    if let Some(metadata) = &station.metadata {
        document.append(cstr!("metadata"), super::metadata(metadata)?);
    }
    document.append(cstr!("quantity"), total(station)?);
    document.append(cstr!("itemCount"), stored(station.item_count));
    document.append(cstr!("version"), stored(station.version));
    document.append(cstr!("createdSequence"), stored(sequence));
    document.append(cstr!("updatedAt"), date(station.updated_at));
    Ok(document)
}

/// What of a station changes after its creation, its name and metadata only where those do.
///
/// # Errors
/// As [`write()`].
pub(crate) fn change(station: &Station, is_described: bool) -> Decoded<RawDocumentBuf> {
    let mut set = rawdoc! {
        "quantity": total(station)?,
        "itemCount": stored(station.item_count),
        "version": stored(station.version),
        "updatedAt": date(station.updated_at),
    };
    // Neither is ever taken away: what is absent was absent before.
    if let Some(name) = station.name.as_ref().filter(|_| is_described) {
        set.append(cstr!("name"), name.as_str());
    }
    if let Some(metadata) = station.metadata.as_ref().filter(|_| is_described) {
        set.append(cstr!("metadata"), super::metadata(metadata)?);
    }
    Ok(rawdoc! { "$set": set })
}

fn total(station: &Station) -> Decoded<mongodb::bson::Decimal128> {
    money::decimal(station.on_hand_total, 0)
        .ok_or_else(|| Unreadable::damaged(format!("the stock of {} is out of range", station.station_id)))
}

/// What [`write()`] wrote.
pub(crate) fn read(document: &RawDocument) -> Decoded<Station> {
    let (on_hand_total, scale) = money::read_decimal(document, "quantity")?;
    if scale != 0 {
        return Err(Unreadable::damaged("quantity is no whole number"));
    }
    Ok(Station {
        station_id: document.text("_id")?,
        name: document.maybe_text("name")?,
        metadata: document.maybe_metadata("metadata")?,
        on_hand_total,
        item_count: document.count("itemCount")?,
        version: document.count("version")?,
        updated_at: document.time("updatedAt")?,
    })
}
