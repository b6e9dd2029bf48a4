//! Rows as every engine hands them over, and the domain types they stand for.
//!
//! What a row holds was checked before it was written; a value outside its range is damage, and told as such.

use crate::commit::Defect;
use crate::engine::Engine;
use serde::Deserialize;
use std::fmt::Display;
use trade_core::command::{Fingerprint, RequestId};
use trade_core::resource::{
    Cargo, CargoStatus, LedgerEntry, Line, Lines, MovementReason, Place, Settlement, Station, StockItem,
    StockLevel, Trade, TradeStatus,
};
use trade_core::store::{Head, LedgerPosition, Receipt, Span, StoreError, StoreErrorKind};
use trade_core::values::{Label, Quantity, ShipmentId, StationId, Timestamp, TransactionId, from_stored};

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DamagedRow(pub(crate) String);

pub(crate) type Decoded<T> = Result<T, DamagedRow>;

/// The place that stands for `transit` in a ledger row.
pub(crate) const TRANSIT: i64 = 0;
/// The place that stands for `world`.
pub(crate) const WORLD: i64 = -1;

/// The columns of a row, by their place: numbers from [`NUMBERS`], texts from [`TEXTS`], bytes from [`BYTES`], each
/// kind in the order that the functions below name; [`KIND`] tells what a row is where several kinds are mixed.
pub trait Columns {
    /// A number.
    ///
    /// # Errors
    /// The driver's, if there is none in this place.
    fn number(&self, at: usize) -> Result<Option<i64>, sqlx::Error>;

    /// A text.
    ///
    /// # Errors
    /// As [`Self::number`].
    fn text(&self, at: usize) -> Result<Option<&str>, sqlx::Error>;

    /// Bytes.
    ///
    /// # Errors
    /// As [`Self::number`].
    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, sqlx::Error>;
}

/// The place of the first of seven numbers.
pub(crate) const NUMBERS: usize = 0;
/// The place of the first of six texts.
pub(crate) const TEXTS: usize = 7;
/// The place of the first of three times bytes.
pub(crate) const BYTES: usize = 13;
/// The place of the number that tells kinds apart.
pub(crate) const KIND: usize = 16;

fn unreadable(at: usize) -> impl Fn(sqlx::Error) -> DamagedRow {
    move |error| DamagedRow(format!("column {at} cannot be read: {error}"))
}

fn absent(at: usize) -> impl Fn() -> DamagedRow {
    move || DamagedRow(format!("column {at} is empty"))
}

/// The number in a place.
pub(crate) fn number(row: &impl Columns, at: usize) -> Decoded<i64> {
    maybe_number(row, at)?.ok_or_else(absent(at))
}

fn maybe_number(row: &impl Columns, at: usize) -> Decoded<Option<i64>> {
    row.number(at).map_err(unreadable(at))
}

/// The number in a place, which is never negative.
pub(crate) fn count(row: &impl Columns, at: usize) -> Decoded<u64> {
    unsigned(number(row, at)?)
}

/// The same where there may be none.
pub(crate) fn maybe_count(row: &impl Columns, at: usize) -> Decoded<Option<u64>> {
    maybe_number(row, at)?.map(unsigned).transpose()
}

fn moment(row: &impl Columns, at: usize) -> Decoded<Timestamp> {
    time(number(row, at)?)
}

fn string(row: &impl Columns, at: usize) -> Decoded<&str> {
    maybe_string(row, at)?.ok_or_else(absent(at))
}

fn maybe_string(row: &impl Columns, at: usize) -> Decoded<Option<&str>> {
    row.text(at).map_err(unreadable(at))
}

/// The bytes in a place.
pub(crate) fn bytes(row: &impl Columns, at: usize) -> Decoded<&[u8]> {
    row.bytes(at).map_err(unreadable(at))?.ok_or_else(absent(at))
}

/// The checked text in a place.
pub(crate) fn named<'r, T>(field: &'static str, row: &'r impl Columns, at: usize) -> Decoded<T>
where
    T: Deserialize<'r>,
{
    text(field, string(row, at)?)
}

/// A number as a row keeps it. What is too large for it fails the schema's checks.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as the domain keeps it.
pub(crate) fn unsigned(number: i64) -> Decoded<u64> {
    u64::try_from(number).map_err(|_| DamagedRow(format!("{number} is negative")))
}

pub(crate) fn time(millis: i64) -> Decoded<Timestamp> {
    Timestamp::from_millis(millis).map_err(damaged("time"))
}

/// An id, a label: whatever is checked text.
pub(crate) fn text<'t, T>(field: &'static str, text: &'t str) -> Decoded<T>
where
    T: Deserialize<'t>,
{
    from_stored(text).map_err(damaged(field))
}

fn damaged<E: Display>(field: &'static str) -> impl Fn(E) -> DamagedRow {
    move |error| DamagedRow(format!("{field} {error}"))
}

fn word<T>(field: &'static str, code: i64, from_code: impl Fn(u8) -> Option<T>) -> Decoded<T> {
    let known = u8::try_from(code).ok().and_then(from_code);
    known.ok_or_else(|| DamagedRow(format!("{field} has no value {code}")))
}

/// Lines as a row keeps them.
pub(crate) fn lines_text(lines: &Lines) -> Result<String, Defect> {
    serde_json::to_string(lines).map_err(|error| Defect(format!("lines cannot be written: {error}")))
}

fn lines(text: &str) -> Decoded<Lines> {
    let lines: Vec<Line> = serde_json::from_str(text).map_err(damaged("lines"))?;
    Ok(Lines::from_stored(lines))
}

/// Numbers: sequence, time.
pub(crate) fn head(row: &impl Columns) -> Decoded<Head> {
    Ok(Head { sequence: count(row, NUMBERS)?, time: moment(row, NUMBERS + 1)? })
}

/// Numbers: sequence, settlement, status, expires_at, created_at, updated_at, version. Texts: id, buyer, seller, lines.
pub(crate) fn trade(row: &impl Columns) -> Decoded<Trade> {
    let transaction_id: TransactionId = named("trade id", row, TEXTS)?;
    let items = lines(string(row, TEXTS + 3)?)?;
    Ok(Trade {
        shipment_id: ShipmentId::of_trade(&transaction_id),
        transaction_id,
        buyer: named("buyer", row, TEXTS + 1)?,
        seller: named("seller", row, TEXTS + 2)?,
        totals: items.totals().map_err(damaged("lines"))?,
        items,
        settlement: word("settlement", number(row, NUMBERS + 1)?, Settlement::from_code)?,
        status: word("trade status", number(row, NUMBERS + 2)?, TradeStatus::from_code)?,
        expires_at: maybe_number(row, NUMBERS + 3)?.map(time).transpose()?,
        created_at: moment(row, NUMBERS + 4)?,
        updated_at: moment(row, NUMBERS + 5)?,
        version: count(row, NUMBERS + 6)?,
    })
}

/// Numbers: sequence, status, eta, requested_eta, created_at, updated_at, version. Texts: own id, trade's id, origin,
/// destination, lines, location.
pub(crate) fn cargo(row: &impl Columns) -> Decoded<Cargo> {
    let (shipment_id, transaction_id) = shipment(maybe_string(row, TEXTS)?, maybe_string(row, TEXTS + 1)?)?;
    let location = maybe_string(row, TEXTS + 5)?;
    Ok(Cargo {
        shipment_id: shipment_id.ok_or_else(|| DamagedRow("a shipment without id and trade".into()))?,
        transaction_id,
        origin: named("origin", row, TEXTS + 2)?,
        destination: named("destination", row, TEXTS + 3)?,
        items: lines(string(row, TEXTS + 4)?)?,
        status: word("cargo status", number(row, NUMBERS + 1)?, CargoStatus::from_code)?,
        eta: moment(row, NUMBERS + 2)?,
        location: location.map(|label| text::<Label>("location", label)).transpose()?,
        requested_eta: maybe_number(row, NUMBERS + 3)?.map(time).transpose()?,
        created_at: moment(row, NUMBERS + 4)?,
        updated_at: moment(row, NUMBERS + 5)?,
        version: count(row, NUMBERS + 6)?,
    })
}

/// The shipment of a trade has no id of its own.
fn shipment(id: Option<&str>, trade: Option<&str>) -> Decoded<(Option<ShipmentId>, Option<TransactionId>)> {
    let transaction_id = trade.map(|id| text::<TransactionId>("trade id", id)).transpose()?;
    let shipment_id = match id {
        Some(id) => Some(text("shipment id", id)?),
        None => transaction_id.as_ref().map(ShipmentId::of_trade),
    };
    Ok((shipment_id, transaction_id))
}

/// Numbers: sequence, item_count, updated_at, version. Texts: id, name, on_hand_total.
pub(crate) fn station(row: &impl Columns) -> Decoded<Station> {
    let name = maybe_string(row, TEXTS + 1)?;
    Ok(Station {
        station_id: named("station id", row, TEXTS)?,
        name: name.map(|label| text("name", label)).transpose()?,
        on_hand_total: string(row, TEXTS + 2)?.parse().map_err(damaged("on_hand_total"))?,
        item_count: count(row, NUMBERS + 1)?,
        updated_at: moment(row, NUMBERS + 2)?,
        version: count(row, NUMBERS + 3)?,
    })
}

/// Numbers: any, on_hand, reserved, incoming.
pub(crate) fn level(row: &impl Columns) -> Decoded<StockLevel> {
    Ok(StockLevel {
        on_hand: count(row, NUMBERS + 1)?,
        reserved: count(row, NUMBERS + 2)?,
        incoming: count(row, NUMBERS + 3)?,
    })
}

/// As [`level`], and texts: item.
pub(crate) fn item(row: &impl Columns) -> Decoded<StockItem> {
    Ok(StockItem { item_id: named("item", row, TEXTS)?, level: level(row)? })
}

/// Numbers: sequence, place.
pub(crate) fn ledger_position(row: &impl Columns) -> Decoded<LedgerPosition> {
    let index = u32::try_from(number(row, NUMBERS + 1)?).map_err(damaged("place"))?;
    Ok(LedgerPosition { sequence: count(row, NUMBERS)?, index })
}

/// Numbers: sequence, place, time, quantity, from, to, reason. Texts: item, from's id, to's id, cargo's own id, trade's id.
pub(crate) fn ledger_entry(row: &impl Columns) -> Decoded<LedgerEntry> {
    let (shipment_id, transaction_id) =
        shipment(maybe_string(row, TEXTS + 3)?, maybe_string(row, TEXTS + 4)?)?;
    Ok(LedgerEntry {
        sequence: count(row, NUMBERS)?,
        time: moment(row, NUMBERS + 2)?,
        item_id: named("item", row, TEXTS)?,
        quantity: Quantity::new(count(row, NUMBERS + 3)?).map_err(damaged("quantity"))?,
        from: place(number(row, NUMBERS + 4)?, maybe_string(row, TEXTS + 1)?)?,
        to: place(number(row, NUMBERS + 5)?, maybe_string(row, TEXTS + 2)?)?,
        reason: word("reason", number(row, NUMBERS + 6)?, MovementReason::from_code)?,
        transaction_id,
        shipment_id,
    })
}

fn place(code: i64, station: Option<&str>) -> Decoded<Place> {
    match (code, station) {
        (TRANSIT, _) => Ok(Place::Transit),
        (WORLD, _) => Ok(Place::World),
        (_, Some(id)) => Ok(Place::Station(text::<StationId>("place", id)?)),
        (code, None) => Err(DamagedRow(format!("there is no station {code}"))),
    }
}

/// Numbers: time, first, last. Bytes: request, fingerprint, answer.
pub(crate) fn receipt(row: &impl Columns) -> Decoded<Receipt> {
    let id = |field, at| {
        let id = <[u8; 16]>::try_from(bytes(row, at)?);
        id.map_err(|_| DamagedRow(format!("{field} is not of 16 bytes")))
    };
    let steps = match (maybe_count(row, NUMBERS + 1)?, maybe_count(row, NUMBERS + 2)?) {
        (None, None) => None,
        (Some(first), Some(last)) => Some(Span { first, last }),
        _ => return Err(DamagedRow("a receipt names one end of its steps".into())),
    };
    Ok(Receipt {
        request: RequestId(id("request", BYTES)?),
        fingerprint: Fingerprint(id("fingerprint", BYTES + 1)?),
        time: moment(row, NUMBERS)?,
        steps,
        answer: row.bytes(BYTES + 2).map_err(unreadable(BYTES + 2))?.map(<[u8]>::to_vec),
    })
}

/// Turns a row that cannot be read into the store's error.
pub(crate) fn corrupt<E: Engine>(operation: &'static str) -> impl Fn(DamagedRow) -> StoreError + Copy {
    move |DamagedRow(detail)| StoreError::new(StoreErrorKind::Corrupt, E::NAME, operation, detail)
}

/// The shipment as a lookup finds it: by its own id, or by the trade in its name.
pub(crate) fn trade_in_name(id: &ShipmentId) -> &str {
    if id.is_reserved_for_trades() { id.as_str().split_once('-').map_or("", |(_, trade)| trade) } else { "" }
}
