//! A trade with its cargo, or a cargo alone, as the commands that make it what it is. Pure.
//!
//! The older network moves stock when a trade is initiated, so a trade is taken over with immediate settlement. What its shipment
//! has come to is its `fate`; the steps from `pending` to there are those of the network's own rules.

use super::finding::{Odd, Oddity, Read, Refusal, Refused};
use super::items::{given, lines, shown};
use super::times;
use mongodb::bson::{Bson, Document};
use trade_core::command::{Command, CreateTransfer, InitiateTrade};
use trade_core::resource::{CargoStatus, Lines, TradeStatus};
use trade_core::rules;
use trade_core::values::{InvalidValue, ShipmentId, StationId, Timestamp, TransactionId};

/// A shipment to be made, by a trade or alone, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deal {
    pub(crate) command: Command,
    pub(crate) shipment: ShipmentId,
    pub(crate) origin: StationId,
    pub(crate) destination: StationId,
    pub(crate) items: Lines,
    pub(crate) fate: CargoStatus,
}

impl Deal {
    /// Whether it is a trade's: its goods were the buyer's as soon as it was made.
    pub(crate) fn is_trade(&self) -> bool {
        matches!(self.command, Command::InitiateTrade(_))
    }
}

/// Where a trade stands by its own word: its status, and what its shipment's would be.
type TradeWord = (TradeStatus, CargoStatus);

/// A trade and the cargo that goes with it.
pub(crate) fn trade(document: &Document, cargo: Option<&Document>) -> Read<Deal> {
    let mut odd = Vec::new();
    let value = read_trade(document, cargo, &mut odd);
    Read { value, odd }
}

/// A cargo that no trade of the source goes with.
pub(crate) fn cargo_alone(document: &Document) -> Read<Deal> {
    let mut odd = Vec::new();
    let value = read_cargo(document, &mut odd);
    Read { value, odd }
}

fn read_trade(document: &Document, cargo: Option<&Document>, odd: &mut Vec<Oddity>) -> Result<Deal, Refusal> {
    let transaction_id = id::<TransactionId>(document, "transactionId", (Refused::NoId, Refused::BadId))?;
    let station = |field| id(document, field, (Refused::BadStation, Refused::BadStation));
    let (seller, buyer): (StationId, StationId) = (station("seller")?, station("buyer")?);
    let items = lines(document.get("items"), odd)?;
    let word = trade_word(document, odd)?;
    note_left(document, &TRADE_FIELDS, odd);
    let fate = match cargo {
        None => {
            let made = format!("shipment-{transaction_id} was made, {}", word.1);
            odd.push(Oddity::new(Odd::TradeWithoutCargo, made));
            word.1
        }
        Some(cargo) => {
            note_left(cargo, &CARGO_FIELDS, odd);
            note_differences(cargo, &seller, &buyer, &items, odd);
            fate(word, cargo_word_of_trade(cargo, odd), odd)
        }
    };
    let eta = cargo.and_then(|cargo| eta(cargo, odd));
    made(trade_command(transaction_id, seller, buyer, items, eta), fate)
}

const TRADE_FIELDS: [&str; 7] =
    ["transactionId", "buyer", "seller", "items", "status", "createdAt", "updatedAt"];
const CARGO_FIELDS: [&str; 6] = ["shipmentId", "origin", "destination", "items", "status", "ETA"];

fn read_cargo(document: &Document, odd: &mut Vec<Oddity>) -> Result<Deal, Refusal> {
    let shipment_id = id::<ShipmentId>(document, "shipmentId", (Refused::NoId, Refused::BadId))?;
    let station = |field| id(document, field, (Refused::BadStation, Refused::BadStation));
    let (origin, destination): (StationId, StationId) = (station("origin")?, station("destination")?);
    let items = lines(document.get("items"), odd)?;
    let fate = match given(document, "status") {
        None => {
            odd.push(Oddity::new(Odd::StatusMissing, "taken as pending"));
            CargoStatus::Pending
        }
        Some(status) => cargo_word(status, odd).ok_or_else(|| unknown_status(status))?,
    };
    // That of a cargo with a trade is its trade's.
    note_left(document, &[&CARGO_FIELDS[..], &["createdAt"]].concat(), odd);
    let eta = eta(document, odd);
    match shipment_id.trade() {
        Some(transaction_id) => {
            let made_up = format!("trade {transaction_id} from {origin} to {destination} was made");
            odd.push(Oddity::new(Odd::CargoWithoutTrade, made_up));
            made(trade_command(transaction_id, origin, destination, items, eta), fate)
        }
        None => made(
            Command::CreateTransfer(CreateTransfer {
                eta,
                ..CreateTransfer::new(shipment_id, origin, destination, items)
            }),
            fate,
        ),
    }
}

fn trade_command(
    transaction_id: TransactionId,
    seller: StationId,
    buyer: StationId,
    items: Lines,
    eta: Option<Timestamp>,
) -> Command {
    let trade = InitiateTrade::new(transaction_id, buyer, seller, items);
    Command::InitiateTrade(InitiateTrade { eta, ..trade })
}

/// What the rules can tell from the command alone is told before anything is done.
fn made(command: Command, fate: CargoStatus) -> Result<Deal, Refusal> {
    rules::check(&command).map_err(|rejection| Refusal::new(Refused::ByRule, rejection.to_string()))?;
    let (shipment, origin, destination, items) = match &command {
        Command::InitiateTrade(trade) => {
            (ShipmentId::of_trade(&trade.transaction_id), &trade.seller, &trade.buyer, &trade.items)
        }
        Command::CreateTransfer(transfer) => {
            (transfer.shipment_id.clone(), &transfer.origin, &transfer.destination, &transfer.items)
        }
        _ => return Err(Refusal::new(Refused::ByRule, "makes no shipment")),
    };
    let (origin, destination, items) = (origin.clone(), destination.clone(), items.clone());
    Ok(Deal { command, shipment, origin, destination, items, fate })
}

/// An id of a document; what its absence and what a bad one are called is the caller's.
pub(crate) fn id<T: for<'a> TryFrom<&'a str, Error = InvalidValue>>(
    document: &Document,
    field: &str,
    (none, bad): (Refused, Refused),
) -> Result<T, Refusal> {
    match given(document, field) {
        None => Err(Refusal::new(none, format!("{field} is missing"))),
        Some(Bson::String(text)) => T::try_from(text).map_err(|error| {
            Refusal::new(bad, format!("{field} {} {error}", shown(&Bson::String(text.clone()))))
        }),
        Some(other) => Err(Refusal::new(bad, format!("{field} {} is no text", shown(other)))),
    }
}

fn unknown_status(status: &Bson) -> Refusal {
    Refusal::new(Refused::UnknownStatus, format!("status {}", shown(status)))
}

/// A status as it may be spelled: `In Transit`, `in-transit` and `in_transit` are one.
fn spelling(status: &Bson) -> Option<String> {
    Some(status.as_str()?.trim().to_ascii_lowercase().replace([' ', '-'], "_"))
}

fn note_spelling(given: &Bson, taken: &str, odd: &mut Vec<Oddity>) {
    if given.as_str() != Some(taken) {
        odd.push(Oddity::new(Odd::StatusSpelled, format!("{} taken as {taken}", shown(given))));
    }
}

fn trade_word(document: &Document, odd: &mut Vec<Oddity>) -> Result<TradeWord, Refusal> {
    let Some(status) = given(document, "status") else {
        odd.push(Oddity::new(Odd::StatusMissing, "taken as initiated"));
        return Ok((TradeStatus::Initiated, CargoStatus::Pending));
    };
    let word = match spelling(status).as_deref() {
        Some("initiated" | "pending") => (TradeStatus::Initiated, CargoStatus::Pending),
        Some("in_transit") => (TradeStatus::Initiated, CargoStatus::InTransit),
        Some("completed" | "complete" | "delivered") => (TradeStatus::Completed, CargoStatus::Delivered),
        Some("cancelled" | "canceled") => (TradeStatus::Cancelled, CargoStatus::Cancelled),
        Some("returned") => (TradeStatus::Cancelled, CargoStatus::Returned),
        Some("failed" | "lost") => (TradeStatus::Failed, CargoStatus::Lost),
        _ => return Err(unknown_status(status)),
    };
    note_spelling(status, word.0.as_str(), odd);
    Ok(word)
}

fn cargo_word(status: &Bson, odd: &mut Vec<Oddity>) -> Option<CargoStatus> {
    let word = match spelling(status)?.as_str() {
        "pending" | "initiated" => CargoStatus::Pending,
        "in_transit" => CargoStatus::InTransit,
        "delivered" | "completed" | "complete" => CargoStatus::Delivered,
        "cancelled" | "canceled" => CargoStatus::Cancelled,
        "returned" => CargoStatus::Returned,
        "lost" | "failed" => CargoStatus::Lost,
        _ => return None,
    };
    note_spelling(status, word.as_str(), odd);
    Some(word)
}

fn cargo_word_of_trade(cargo: &Document, odd: &mut Vec<Oddity>) -> Option<CargoStatus> {
    let Some(status) = given(cargo, "status") else {
        odd.push(Oddity::new(Odd::StatusMissing, "of the cargo: taken from its trade"));
        return None;
    };
    let word = cargo_word(status, odd);
    if word.is_none() {
        odd.push(Oddity::new(Odd::CargoStatusUnknown, shown(status)));
    }
    word
}

/// Where the shipment of a trade stands. A trade and its cargo end together: what has ended by the word of either has,
/// and where both have, differently, the trade's word counts.
fn fate(trade: TradeWord, cargo: Option<CargoStatus>, odd: &mut Vec<Oddity>) -> CargoStatus {
    let Some(cargo) = cargo else { return trade.1 };
    let of_cargo = match cargo {
        CargoStatus::Pending | CargoStatus::InTransit => TradeStatus::Initiated,
        CargoStatus::Delivered => TradeStatus::Completed,
        CargoStatus::Cancelled | CargoStatus::Returned => TradeStatus::Cancelled,
        CargoStatus::Lost => TradeStatus::Failed,
    };
    if of_cargo == trade.0 {
        return cargo;
    }
    let taken = if trade.0 == TradeStatus::Initiated { cargo } else { trade.1 };
    let detail = format!("the trade is {}, its cargo {cargo}: the cargo is taken as {taken}", trade.0);
    odd.push(Oddity::new(Odd::StatusesDisagree, detail));
    taken
}

fn note_differences(
    cargo: &Document,
    seller: &StationId,
    buyer: &StationId,
    items: &Lines,
    odd: &mut Vec<Oddity>,
) {
    let mut differing = Vec::new();
    for (field, station) in [("origin", seller), ("destination", buyer)] {
        match given(cargo, field) {
            Some(Bson::String(text)) if text == station.as_str() => {}
            other => differing.push(format!("{field} {}", other.map_or("missing".into(), shown))),
        }
    }
    // What is odd in the same list was told of the trade.
    if !lines(cargo.get("items"), &mut Vec::new()).is_ok_and(|listed| listed.same_content(items)) {
        differing.push("items".into());
    }
    if !differing.is_empty() {
        odd.push(Oddity::new(Odd::CargoDiffers, differing.join(", ")));
    }
}

fn eta(cargo: &Document, odd: &mut Vec<Oddity>) -> Option<Timestamp> {
    let value = given(cargo, "ETA")?;
    let read = times::read(value);
    if read.is_none() {
        odd.push(Oddity::new(Odd::EtaUnreadable, shown(value)));
    }
    read
}

/// Notes what a document holds beside the fields that are taken, and those that mean something to Mongoose alone.
pub(crate) fn note_left(document: &Document, taken: &[&str], odd: &mut Vec<Oddity>) {
    const KEPT_BY_MONGOOSE: [&str; 2] = ["_id", "__v"];
    let is_left = |(key, value): &(&String, &Bson)| {
        !taken.contains(&key.as_str())
            && !KEPT_BY_MONGOOSE.contains(&key.as_str())
            && !matches!(value, Bson::Null | Bson::Undefined)
    };
    let left: Vec<_> =
        document.iter().filter(is_left).map(|(key, value)| format!("{key}: {}", shown(value))).collect();
    if !left.is_empty() {
        odd.push(Oddity::new(Odd::FieldsLeft, left.join(", ")));
    }
}
