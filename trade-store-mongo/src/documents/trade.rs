//! Trades: `{_id, buyer, seller, items, totals, settlement, status, shipmentId, expiresAt?, metadata?, createdAt, updatedAt, version,
//! sequence}`.

use super::{Decoded, Fields, date, documents, money, stored};
use mongodb::bson::raw::cstr;
use mongodb::bson::{RawArray, RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use trade_core::resource::{Line, Lines, Sequence, Trade};
use trade_core::values::Quantity;

/// A new trade.
///
/// # Errors
/// As [`super::metadata`].
pub(crate) fn write(trade: &Trade, sequence: Sequence) -> Decoded<RawDocumentBuf> {
    let mut document = rawdoc! {
        "_id": trade.transaction_id.as_str(),
        "buyer": trade.buyer.as_str(),
        "seller": trade.seller.as_str(),
        "items": write_lines(&trade.items),
        "totals": money::write_all(&trade.totals),
        "settlement": trade.settlement.as_str(),
        "status": trade.status.as_str(),
        "shipmentId": trade.shipment_id.as_str(),
    };
    if let Some(time) = trade.expires_at {
        document.append(cstr!("expiresAt"), date(time));
    }
    if let Some(metadata) = &trade.metadata {
        document.append(cstr!("metadata"), super::metadata(metadata)?);
    }
    document.append(cstr!("createdAt"), date(trade.created_at));
    document.append(cstr!("updatedAt"), date(trade.updated_at));
    document.append(cstr!("version"), stored(trade.version));
    document.append(cstr!("sequence"), stored(sequence));
    Ok(document)
}

/// What of a trade changes after its creation.
pub(crate) fn change(trade: &Trade) -> RawDocumentBuf {
    rawdoc! { "$set": {
        "status": trade.status.as_str(),
        "updatedAt": date(trade.updated_at),
        "version": stored(trade.version),
    } }
}

/// What [`write()`] wrote.
pub(crate) fn read(document: &RawDocument) -> Decoded<Trade> {
    Ok(Trade {
        transaction_id: document.text("_id")?,
        buyer: document.text("buyer")?,
        seller: document.text("seller")?,
        items: read_lines(document.list("items")?)?,
        totals: documents("totals", document.list("totals")?, money::read)?,
        settlement: document.text("settlement")?,
        status: document.text("status")?,
        shipment_id: document.text("shipmentId")?,
        expires_at: document.maybe_time("expiresAt")?,
        metadata: document.maybe_metadata("metadata")?,
        created_at: document.time("createdAt")?,
        updated_at: document.time("updatedAt")?,
        version: document.count("version")?,
    })
}

/// The lines of a trade or shipment.
pub(crate) fn write_lines(lines: &Lines) -> RawArrayBuf {
    let mut list = RawArrayBuf::new();
    for Line { item_id, quantity, unit_price } in lines.iter() {
        let mut line = rawdoc! { "itemId": item_id.as_str(), "quantity": stored(quantity.units()) };
        if let Some(price) = unit_price {
            line.append(cstr!("unitPrice"), money::write(price));
        }
        list.push(line);
    }
    list
}

/// What [`write_lines`] wrote.
pub(crate) fn read_lines(list: &RawArray) -> Decoded<Lines> {
    let line = |line: &RawDocument| {
        let unit_price = match line.maybe("unitPrice")? {
            Some(_) => Some(money::read(line.document("unitPrice")?)?),
            None => None,
        };
        let quantity = Quantity::new(line.count("quantity")?).map_err(super::damaged("quantity"))?;
        Ok(Line { item_id: line.text("itemId")?, quantity, unit_price })
    };
    Ok(Lines::from_stored(documents("items", list, line)?))
}
