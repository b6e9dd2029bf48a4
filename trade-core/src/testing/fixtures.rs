//! Short names for values and commands, for tests that read like a sentence.
//!
//! They panic on a value out of range.

use crate::access::{ApiKey, KeyId, Role, Token};
use crate::command::{
    AdjustInventory, Adjustment, AdjustmentReason, Command, CreateStation, CreateTransfer, Fingerprint,
    Idempotency, InitiateTrade, InitiateTrades, RequestId, UpdateCargo, UpdateTrade,
};
use crate::event::Actor;
use crate::resource::{CargoStatus, Line, Lines, MovementReason, Settlement, StockLevel, TradeStatus};
use crate::rules::{Context, Draft, check};
use crate::store::LogRecord;
use crate::values::{
    Amount, Currency, Delta, ItemId, Label, Metadata, Money, Quantity, Scope, ShipmentId, StationId,
    Timestamp, TransactionId,
};
use crate::view::View;

/// 2026-11-22T10:00:00.000Z, when the clocks of this kit start.
pub fn start_time() -> Timestamp {
    time("2026-11-22T10:00:00.000Z")
}

/// A moment, from RFC 3339.
pub fn time(text: &str) -> Timestamp {
    text.try_into().expect("a time")
}

/// A station's id.
pub fn station(id: &str) -> StationId {
    id.try_into().expect("a station id")
}

/// An item's id.
pub fn item(id: &str) -> ItemId {
    id.try_into().expect("an item id")
}

/// A trade's id.
pub fn trade_id(id: &str) -> TransactionId {
    id.try_into().expect("a transaction id")
}

/// A shipment's id.
pub fn shipment_id(id: &str) -> ShipmentId {
    id.try_into().expect("a shipment id")
}

/// The id of a trade's shipment.
pub fn shipment_of(trade: &str) -> ShipmentId {
    ShipmentId::of_trade(&trade_id(trade))
}

/// A name or location.
pub fn label(text: &str) -> Label {
    text.try_into().expect("a label")
}

/// A number of units.
pub fn quantity(units: u64) -> Quantity {
    Quantity::new(units).expect("a quantity")
}

/// Money, as `money("12.50", "GBP")`.
pub fn money(amount: &str, currency: &str) -> Money {
    Money {
        amount: Amount::try_from(amount).expect("an amount"),
        currency: Currency::try_from(currency).expect("a currency"),
    }
}

/// A line without a price.
pub fn line(item_id: &str, units: u64) -> Line {
    Line { item_id: item(item_id), quantity: quantity(units), unit_price: None }
}

/// A line with a price in GBP.
pub fn priced(item_id: &str, units: u64, price: &str) -> Line {
    Line { unit_price: Some(money(price, "GBP")), ..line(item_id, units) }
}

/// Metadata.
pub fn metadata(of: &[(&str, &str)]) -> Metadata {
    Metadata::new(of.iter().copied()).expect("metadata")
}

/// Lines without prices.
pub fn lines(of: &[(&str, u64)]) -> Lines {
    Lines::new(of.iter().map(|(item_id, units)| line(item_id, *units)).collect()).expect("lines")
}

/// A level: on hand, reserved, incoming.
pub fn level(on_hand: u64, reserved: u64, incoming: u64) -> StockLevel {
    StockLevel { on_hand, reserved, incoming }
}

/// Opens a station with stock.
pub fn open_station(id: &str, stock: &[(&str, u64)]) -> Command {
    let items = stock.iter().map(|(item_id, units)| (item(item_id), quantity(*units))).collect();
    Command::CreateStation(CreateStation { items, ..CreateStation::new(station(id)) })
}

/// A trade of immediate settlement, to be changed at will.
pub fn sale(id: &str, seller: &str, buyer: &str, of: &[(&str, u64)]) -> InitiateTrade {
    InitiateTrade::new(trade_id(id), station(buyer), station(seller), lines(of))
}

/// A trade that settles on delivery, to be changed at will.
pub fn order(id: &str, seller: &str, buyer: &str, of: &[(&str, u64)]) -> InitiateTrade {
    InitiateTrade { settlement: Settlement::OnDelivery, ..sale(id, seller, buyer, of) }
}

/// A trade of either settlement.
pub fn deal(
    settlement: Settlement,
    id: &str,
    seller: &str,
    buyer: &str,
    of: &[(&str, u64)],
) -> InitiateTrade {
    InitiateTrade { settlement, ..sale(id, seller, buyer, of) }
}

/// Initiates a trade.
pub fn initiate(trade: InitiateTrade) -> Command {
    Command::InitiateTrade(trade)
}

/// Initiates trades together.
pub fn batch(atomic: bool, trades: Vec<InitiateTrade>) -> Command {
    Command::InitiateTrades(InitiateTrades { trades, atomic })
}

/// Asks for a trade's status.
pub fn end_trade(id: &str, status: TradeStatus) -> Command {
    Command::UpdateTrade(UpdateTrade::new(trade_id(id), status))
}

/// Sends goods from one station to another without a trade.
pub fn transfer(id: &str, origin: &str, destination: &str, of: &[(&str, u64)]) -> CreateTransfer {
    CreateTransfer::new(shipment_id(id), station(origin), station(destination), lines(of))
}

/// An update of a shipment that changes nothing yet.
pub fn track(shipment: ShipmentId) -> UpdateCargo {
    UpdateCargo::new(shipment)
}

/// Asks for a shipment's status.
pub fn move_cargo(shipment: ShipmentId, status: CargoStatus) -> Command {
    Command::UpdateCargo(UpdateCargo { status: Some(status), ..track(shipment) })
}

/// Adjusts stock, all lines with the reason `correction`.
pub fn adjust(id: &str, deltas: &[(&str, i64)]) -> Command {
    Command::AdjustInventory(adjustment(id, deltas))
}

/// An adjustment, to be changed at will.
pub fn adjustment(id: &str, deltas: &[(&str, i64)]) -> AdjustInventory {
    let line = |(item_id, delta): &(&str, i64)| Adjustment {
        item_id: item(item_id),
        delta: Delta::new(*delta).expect("a delta"),
        reason: reason(MovementReason::Correction),
    };
    AdjustInventory::new(station(id), deltas.iter().map(line).collect())
}

/// The adjustment reason of a ledger reason.
pub fn reason(reason: MovementReason) -> AdjustmentReason {
    AdjustmentReason::try_from(reason.as_str()).expect("a reason of adjustments")
}

/// An API key of an id: a viewer's of all stations, of version 1, as it is when it is made.
pub fn api_key(id: &str) -> ApiKey {
    let id = KeyId::new(id).expect("an id of an API key");
    ApiKey {
        digest: Token::new(id.clone(), [1; 32]).digest(),
        id,
        name: None,
        roles: [Role::Viewer].into(),
        stations: Scope::All,
        previous: None,
        created_at: start_time(),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
        version: 1,
    }
}

/// A key for a request, and a fingerprint for its content, made from numbers.
pub fn key(request: u8, content: u8) -> Idempotency {
    Idempotency { request: RequestId([request; 16]), fingerprint: Fingerprint([content; 16]) }
}

/// The log of what is taken of some commands, all at one moment.
pub fn log_of(commands: &[Command], at: Timestamp) -> Vec<LogRecord> {
    let mut draft = Draft::new(View::empty());
    let context = Context::new(at, Actor::Anonymous);
    for command in commands.iter().filter(|command| check(command).is_ok()) {
        // What is refused leaves no trace.
        let _ = draft.decide(command, &context);
    }
    draft.log
}
