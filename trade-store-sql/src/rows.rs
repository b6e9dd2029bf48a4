//! Rows as every engine hands them over, and the domain types they stand for.
//!
//! What a row holds was checked before it was written; a value outside its range is damage, and told as such.

use crate::driver::Columns;
use crate::errors::Errors;
use crate::layouts::at;
use serde::Deserialize;
use std::fmt::Display;
use trade_core::command::{Fingerprint, RequestId};
use trade_core::resource::{
    Cargo, CargoStatus, LedgerEntry, Line, Lines, MovementReason, Place, Settlement, Station, StockItem,
    StockLevel, Trade, TradeStatus,
};
use trade_core::store::{Head, LedgerPosition, Receipt, Span, StoreError, StoreErrorKind};
use trade_core::values::{Label, Quantity, ShipmentId, StationId, Timestamp, TransactionId, from_stored};

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// No version has written it.
    Damaged(String),
    /// The schema was brought up to this version, which is newer.
    Newer(i64),
}

impl Unreadable {
    pub(crate) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged(detail.into())
    }
}

pub(crate) type Decoded<T> = Result<T, Unreadable>;

/// The newest version of the schema, which is also the format that the head of the log names: what an older version of
/// the program cannot read, or would write otherwise, has another one.
pub(crate) const VERSION: usize = 3;

/// The place that stands for `transit` in a ledger row.
pub(crate) const TRANSIT: i64 = 0;
/// The place that stands for `world`.
pub(crate) const WORLD: i64 = -1;

fn unreadable(at: usize) -> impl Fn(sqlx::Error) -> Unreadable {
    move |error| Unreadable::damaged(format!("column {at} cannot be read: {error}"))
}

fn absent(at: usize) -> impl Fn() -> Unreadable {
    move || Unreadable::damaged(format!("column {at} is empty"))
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

/// The moment in a place, where there is one.
pub(crate) fn maybe_moment(row: &impl Columns, at: usize) -> Decoded<Option<Timestamp>> {
    maybe_number(row, at)?.map(time).transpose()
}

fn maybe_label(field: &'static str, row: &impl Columns, at: usize) -> Decoded<Option<Label>> {
    maybe_string(row, at)?.map(|label| text(field, label)).transpose()
}

/// The text in a place.
pub(crate) fn string(row: &impl Columns, at: usize) -> Decoded<&str> {
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
    u64::try_from(number).map_err(|_| Unreadable::damaged(format!("{number} is negative")))
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

fn damaged<E: Display>(field: &'static str) -> impl Fn(E) -> Unreadable {
    move |error| Unreadable::damaged(format!("{field} {error}"))
}

fn word<T>(field: &'static str, code: i64, from_code: impl Fn(u8) -> Option<T>) -> Decoded<T> {
    let known = u8::try_from(code).ok().and_then(from_code);
    known.ok_or_else(|| Unreadable::damaged(format!("{field} has no value {code}")))
}

/// Metadata, or that which was asked for, which may be none.
fn metadata<T: serde::de::DeserializeOwned>(row: &impl Columns, at: usize) -> Decoded<Option<T>> {
    maybe_string(row, at)?.map(serde_json::from_str).transpose().map_err(damaged("metadata"))
}

fn lines(text: &str) -> Decoded<Lines> {
    let lines: Vec<Line> = serde_json::from_str(text).map_err(damaged("lines"))?;
    Ok(Lines::from_stored(lines))
}

/// A newer version writes what this one cannot read, so that it shall not write either.
pub(crate) fn head(row: &impl Columns) -> Decoded<Head> {
    match number(row, at!(HEAD.number "format"))? {
        newer if newer > stored(VERSION as u64) => Err(Unreadable::Newer(newer)),
        _ => Ok(Head {
            sequence: count(row, at!(HEAD.number "sequence"))?,
            time: moment(row, at!(HEAD.number "time"))?,
        }),
    }
}

pub(crate) fn trade(row: &impl Columns) -> Decoded<Trade> {
    let transaction_id: TransactionId = named("trade id", row, at!(TRADE.text "id"))?;
    let items = lines(string(row, at!(TRADE.text "lines"))?)?;
    Ok(Trade {
        shipment_id: ShipmentId::of_trade(&transaction_id),
        transaction_id,
        buyer: named("buyer", row, at!(TRADE.text "buyer"))?,
        seller: named("seller", row, at!(TRADE.text "seller"))?,
        totals: items.totals().map_err(damaged("lines"))?,
        items,
        settlement: word("settlement", number(row, at!(TRADE.number "settlement"))?, Settlement::from_code)?,
        status: word("trade status", number(row, at!(TRADE.number "status"))?, TradeStatus::from_code)?,
        expires_at: maybe_moment(row, at!(TRADE.number "expires_at"))?,
        metadata: metadata(row, at!(TRADE.text "metadata"))?,
        created_at: moment(row, at!(TRADE.number "created_at"))?,
        updated_at: moment(row, at!(TRADE.number "updated_at"))?,
        version: count(row, at!(TRADE.number "version"))?,
    })
}

pub(crate) fn cargo(row: &impl Columns) -> Decoded<Cargo> {
    let own_id = maybe_string(row, at!(CARGO.text "own_id"))?;
    let (shipment_id, transaction_id) = shipment(own_id, maybe_string(row, at!(CARGO.text "trade"))?)?;
    Ok(Cargo {
        shipment_id: shipment_id.ok_or_else(|| Unreadable::damaged("a shipment without id and trade"))?,
        transaction_id,
        origin: named("origin", row, at!(CARGO.text "origin"))?,
        destination: named("destination", row, at!(CARGO.text "destination"))?,
        items: lines(string(row, at!(CARGO.text "lines"))?)?,
        status: word("cargo status", number(row, at!(CARGO.number "status"))?, CargoStatus::from_code)?,
        eta: moment(row, at!(CARGO.number "eta"))?,
        location: maybe_label("location", row, at!(CARGO.text "location"))?,
        requested_eta: maybe_moment(row, at!(CARGO.number "requested_eta"))?,
        metadata: metadata(row, at!(CARGO.text "metadata"))?,
        requested_metadata: metadata(row, at!(CARGO.text "requested_metadata"))?,
        created_at: moment(row, at!(CARGO.number "created_at"))?,
        updated_at: moment(row, at!(CARGO.number "updated_at"))?,
        version: count(row, at!(CARGO.number "version"))?,
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

pub(crate) fn station(row: &impl Columns) -> Decoded<Station> {
    let on_hand_total = string(row, at!(STATION.text "on_hand_total"))?;
    Ok(Station {
        station_id: named("station id", row, at!(STATION.text "id"))?,
        name: maybe_label("name", row, at!(STATION.text "name"))?,
        metadata: metadata(row, at!(STATION.text "metadata"))?,
        on_hand_total: on_hand_total.parse().map_err(damaged("on_hand_total"))?,
        item_count: count(row, at!(STATION.number "item_count"))?,
        updated_at: moment(row, at!(STATION.number "updated_at"))?,
        version: count(row, at!(STATION.number "version"))?,
    })
}

pub(crate) fn level(row: &impl Columns) -> Decoded<StockLevel> {
    Ok(StockLevel {
        on_hand: count(row, at!(ITEM.number "on_hand"))?,
        reserved: count(row, at!(ITEM.number "reserved"))?,
        incoming: count(row, at!(ITEM.number "incoming"))?,
    })
}

pub(crate) fn item(row: &impl Columns) -> Decoded<StockItem> {
    Ok(StockItem { item_id: named("item", row, at!(ITEM.text "item"))?, level: level(row)? })
}

pub(crate) fn ledger_position(row: &impl Columns) -> Decoded<LedgerPosition> {
    let index = u32::try_from(number(row, at!(LEDGER.number "place"))?).map_err(damaged("place"))?;
    Ok(LedgerPosition { sequence: count(row, at!(LEDGER.number "sequence"))?, index })
}

pub(crate) fn ledger_entry(row: &impl Columns) -> Decoded<LedgerEntry> {
    let own_cargo = maybe_string(row, at!(LEDGER.text "own_cargo"))?;
    let (shipment_id, transaction_id) = shipment(own_cargo, maybe_string(row, at!(LEDGER.text "trade"))?)?;
    let [from, to] = [
        (number(row, at!(LEDGER.number "from"))?, maybe_string(row, at!(LEDGER.text "from_station"))?),
        (number(row, at!(LEDGER.number "to"))?, maybe_string(row, at!(LEDGER.text "to_station"))?),
    ];
    let quantity = count(row, at!(LEDGER.number "quantity"))?;
    Ok(LedgerEntry {
        sequence: count(row, at!(LEDGER.number "sequence"))?,
        time: moment(row, at!(LEDGER.number "time"))?,
        item_id: named("item", row, at!(LEDGER.text "item"))?,
        quantity: Quantity::new(quantity).map_err(damaged("quantity"))?,
        from: place(from.0, from.1)?,
        to: place(to.0, to.1)?,
        reason: word("reason", number(row, at!(LEDGER.number "reason"))?, MovementReason::from_code)?,
        transaction_id,
        shipment_id,
    })
}

fn place(code: i64, station: Option<&str>) -> Decoded<Place> {
    match (code, station) {
        (TRANSIT, _) => Ok(Place::Transit),
        (WORLD, _) => Ok(Place::World),
        (_, Some(id)) => Ok(Place::Station(text::<StationId>("place", id)?)),
        (code, None) => Err(Unreadable::damaged(format!("there is no station {code}"))),
    }
}

pub(crate) fn receipt(row: &impl Columns) -> Decoded<Receipt> {
    let id = |field, at| {
        let id = <[u8; 16]>::try_from(bytes(row, at)?);
        id.map_err(|_| Unreadable::damaged(format!("{field} is not of 16 bytes")))
    };
    let [first, last] = [at!(RECEIPT.number "first"), at!(RECEIPT.number "last")];
    let steps = match (maybe_count(row, first)?, maybe_count(row, last)?) {
        (None, None) => None,
        (Some(first), Some(last)) => Some(Span { first, last }),
        _ => return Err(Unreadable::damaged("a receipt names one end of its steps")),
    };
    let answer = at!(RECEIPT.bytes "answer");
    Ok(Receipt {
        request: RequestId(id("request", at!(RECEIPT.bytes "request"))?),
        fingerprint: Fingerprint(id("fingerprint", at!(RECEIPT.bytes "fingerprint"))?),
        time: moment(row, at!(RECEIPT.number "time"))?,
        steps,
        answer: row.bytes(answer).map_err(unreadable(answer))?.map(<[u8]>::to_vec),
    })
}

/// Turns a row that cannot be read into the store's error.
pub(crate) fn failed<E: Errors>(operation: &'static str) -> impl Fn(Unreadable) -> StoreError + Copy {
    move |unreadable| match unreadable {
        Unreadable::Damaged(detail) => StoreError::new(StoreErrorKind::Corrupt, E::NAME, operation, detail),
        Unreadable::Newer(version) => newer::<E>(operation, version),
    }
}

/// The error of a schema that is newer than this program.
pub(crate) fn newer<E: Errors>(operation: &'static str, version: i64) -> StoreError {
    let detail = format!(
        "the schema was brought up to date by a newer version: it has version {version}, and {VERSION} is the newest \
         one known"
    );
    StoreError::new(StoreErrorKind::NewerVersion, E::NAME, operation, detail)
}

/// The shipment as a lookup finds it: by its own id, or by the trade in its name.
pub(crate) fn trade_in_name(id: &ShipmentId) -> &str {
    if id.is_reserved_for_trades() { id.as_str().split_once('-').map_or("", |(_, trade)| trade) } else { "" }
}
