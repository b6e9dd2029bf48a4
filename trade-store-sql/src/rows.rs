//! Rows as every engine hands them over, and the domain types they stand for.
//!
//! What a row holds was checked before it was written; a value outside its range is damage, and told as such.

use std::fmt::Display;
use std::sync::Arc;
use trade_core::command::{Fingerprint, RequestId};
use trade_core::resource::{
    Cargo, CargoStatus, LedgerEntry, Line, Lines, MovementReason, Place, Settlement, Station, StockLevel,
    Trade, TradeStatus,
};
use trade_core::store::{LedgerPosition, Receipt};
use trade_core::values::{Label, Quantity, ShipmentId, StationId, Timestamp, TransactionId};

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DamagedRow(pub(crate) String);

pub(crate) type Decoded<T> = Result<T, DamagedRow>;

/// The place that stands for `transit` in a ledger row.
pub(crate) const TRANSIT: i64 = 0;
/// The place that stands for `world`.
pub(crate) const WORLD: i64 = -1;

/// sequence, id, buyer, seller, lines, settlement, status, expires_at, created_at, updated_at, version
pub(crate) type TradeRow = (i64, String, String, String, String, i64, i64, Option<i64>, i64, i64, i64);
/// sequence, own id, trade's id, origin, destination, lines, status, eta, requested_eta, location, created_at,
/// updated_at, version
pub(crate) type CargoRow = (
    i64,
    Option<String>,
    Option<String>,
    String,
    String,
    String,
    i64,
    i64,
    Option<i64>,
    Option<String>,
    i64,
    i64,
    i64,
);
/// sequence, id, name, on_hand_total, item_count, updated_at, version
pub(crate) type StationRow = (i64, String, Option<String>, String, i64, i64, i64);
/// on_hand, reserved, incoming
pub(crate) type LevelRow = (i64, i64, i64);
/// sequence, place, time, item, quantity, from, from's id, to, to's id, reason, cargo's own id, trade's id
pub(crate) type LedgerRow = (
    i64,
    i64,
    i64,
    String,
    i64,
    i64,
    Option<String>,
    i64,
    Option<String>,
    i64,
    Option<String>,
    Option<String>,
);
/// request, fingerprint, time, answer
pub(crate) type ReceiptRow = (Vec<u8>, Vec<u8>, i64, Option<Vec<u8>>);

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
    T: TryFrom<&'t str>,
    T::Error: Display,
{
    T::try_from(text).map_err(damaged(field))
}

fn damaged<E: Display>(field: &'static str) -> impl Fn(E) -> DamagedRow {
    move |error| DamagedRow(format!("{field} {error}"))
}

fn word<T>(field: &'static str, code: i64, from_code: impl Fn(u8) -> Option<T>) -> Decoded<T> {
    let known = u8::try_from(code).ok().and_then(from_code);
    known.ok_or_else(|| DamagedRow(format!("{field} has no value {code}")))
}

/// Lines as a row keeps them.
pub(crate) fn lines_text(lines: &Lines) -> Decoded<String> {
    serde_json::to_string(lines).map_err(damaged("lines"))
}

fn lines(text: &str) -> Decoded<Lines> {
    let lines: Vec<Line> = serde_json::from_str(text).map_err(damaged("lines"))?;
    Ok(Lines::from_stored(lines))
}

pub(crate) fn trade(row: TradeRow) -> Decoded<Trade> {
    let (_, id, buyer, seller, items, settlement, status, expires_at, created_at, updated_at, version) = row;
    let transaction_id: TransactionId = text("trade id", &id)?;
    let items = lines(&items)?;
    Ok(Trade {
        shipment_id: ShipmentId::of_trade(&transaction_id),
        transaction_id,
        buyer: text("buyer", &buyer)?,
        seller: text("seller", &seller)?,
        totals: items.totals().map_err(damaged("lines"))?,
        items,
        settlement: word("settlement", settlement, Settlement::from_code)?,
        status: word("trade status", status, TradeStatus::from_code)?,
        expires_at: expires_at.map(time).transpose()?,
        created_at: time(created_at)?,
        updated_at: time(updated_at)?,
        version: unsigned(version)?,
    })
}

pub(crate) fn cargo(row: CargoRow) -> Decoded<Cargo> {
    let (
        _,
        id,
        trade,
        origin,
        destination,
        items,
        status,
        eta,
        requested_eta,
        location,
        created,
        updated,
        version,
    ) = row;
    let (shipment_id, transaction_id) = shipment(id.as_deref(), trade.as_deref())?;
    Ok(Cargo {
        shipment_id: shipment_id.ok_or_else(|| DamagedRow("a shipment without id and trade".into()))?,
        transaction_id,
        origin: text("origin", &origin)?,
        destination: text("destination", &destination)?,
        items: lines(&items)?,
        status: word("cargo status", status, CargoStatus::from_code)?,
        eta: time(eta)?,
        location: location.as_deref().map(|label| text::<Label>("location", label)).transpose()?,
        requested_eta: requested_eta.map(time).transpose()?,
        created_at: time(created)?,
        updated_at: time(updated)?,
        version: unsigned(version)?,
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

pub(crate) fn station(row: &StationRow) -> Decoded<Station> {
    let (_, id, name, on_hand_total, item_count, updated_at, version) = row;
    Ok(Station {
        station_id: text("station id", id)?,
        name: name.as_deref().map(|label| text("name", label)).transpose()?,
        on_hand_total: on_hand_total.parse().map_err(damaged("on_hand_total"))?,
        item_count: unsigned(*item_count)?,
        version: unsigned(*version)?,
        updated_at: time(*updated_at)?,
    })
}

pub(crate) fn level((on_hand, reserved, incoming): LevelRow) -> Decoded<StockLevel> {
    Ok(StockLevel {
        on_hand: unsigned(on_hand)?,
        reserved: unsigned(reserved)?,
        incoming: unsigned(incoming)?,
    })
}

pub(crate) fn ledger_position(sequence: i64, place: i64) -> Decoded<LedgerPosition> {
    let index = u32::try_from(place).map_err(damaged("place"))?;
    Ok(LedgerPosition { sequence: unsigned(sequence)?, index })
}

pub(crate) fn ledger_entry(row: LedgerRow) -> Decoded<LedgerEntry> {
    let (sequence, _, at, item, quantity, from, from_id, to, to_id, reason, cargo, trade) = row;
    let (shipment_id, transaction_id) = shipment(cargo.as_deref(), trade.as_deref())?;
    Ok(LedgerEntry {
        sequence: unsigned(sequence)?,
        time: time(at)?,
        item_id: text("item", &item)?,
        quantity: Quantity::new(unsigned(quantity)?).map_err(damaged("quantity"))?,
        from: place(from, from_id.as_deref())?,
        to: place(to, to_id.as_deref())?,
        reason: word("reason", reason, MovementReason::from_code)?,
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

pub(crate) fn receipt((request, fingerprint, at, answer): ReceiptRow) -> Decoded<Receipt> {
    let bytes = |field, bytes: Vec<u8>| {
        <[u8; 16]>::try_from(bytes).map_err(|_| DamagedRow(format!("{field} is not of 16 bytes")))
    };
    Ok(Receipt {
        request: RequestId(bytes("request", request)?),
        fingerprint: Fingerprint(bytes("fingerprint", fingerprint)?),
        time: time(at)?,
        answer,
    })
}

/// The shipment as a lookup finds it: by its own id, or by the trade in its name.
pub(crate) fn trade_in_name(id: &ShipmentId) -> &str {
    if id.is_reserved_for_trades() { id.as_str().split_once('-').map_or("", |(_, trade)| trade) } else { "" }
}

/// Shared where a trade or shipment is handed out.
pub(crate) fn shared<R, T>(decode: impl Fn(R) -> Decoded<T>) -> impl Fn(R) -> Decoded<Arc<T>> {
    move |row| decode(row).map(Arc::new)
}
