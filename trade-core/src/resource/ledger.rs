use super::{Sequence, words};
use crate::values::{
    InvalidValue, ItemId, Quantity, ShipmentId, StationId, Timestamp, TransactionId, from_stored,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where stock moves from or to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A station: `station/<id>`.
    Station(StationId),
    /// On its way between two: `transit`.
    Transit,
    /// Outside the network: `world`, where opening stock comes from and losses go.
    World,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Station(id) => write!(f, "station/{id}"),
            Self::Transit => f.write_str("transit"),
            Self::World => f.write_str("world"),
        }
    }
}

impl TryFrom<&str> for Place {
    type Error = InvalidValue;
    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "transit" => Ok(Self::Transit),
            "world" => Ok(Self::World),
            _ => match text.strip_prefix("station/") {
                // Nobody names a place in a request: it was stored.
                Some(id) => from_stored(id).map(Self::Station),
                None => Err(InvalidValue::new("must be station/<id>, transit or world")),
            },
        }
    }
}

crate::values::serde_as_text!(Place);

words! {
    /// Why stock moved.
    MovementReason {
        /// The stock a station was made with.
        Opening = "opening",
        /// A trade of immediate settlement was initiated.
        TradeInitiated = "trade_initiated",
        /// Such a trade was cancelled.
        TradeCancelled = "trade_cancelled",
        /// A shipment was sent.
        CargoDeparted = "cargo_departed",
        /// A shipment arrived.
        CargoDelivered = "cargo_delivered",
        /// A shipment came back.
        CargoReturned = "cargo_returned",
        /// A shipment was lost.
        CargoLost = "cargo_lost",
        /// Adjustment: goods came in from outside.
        Received = "received",
        /// Adjustment: a booking error was put right.
        Correction = "correction",
        /// Adjustment: a count differed from the books.
        CycleCount = "cycle_count",
        /// Adjustment: goods were damaged.
        Damaged = "damaged",
        /// Adjustment: goods were used up.
        Consumed = "consumed",
        /// Adjustment: goods were lost at the station.
        Lost = "lost",
        /// Adjustment: another reason.
        Other = "other",
    }
}

/// One row of the stock ledger, double entry: units of an item left one place for another.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The `inventoryUpdated` event that carries it.
    pub sequence: Sequence,
    /// When it moved.
    pub time: Timestamp,
    /// The item.
    pub item_id: ItemId,
    /// How many units.
    pub quantity: Quantity,
    /// Where it left.
    pub from: Place,
    /// Where it went.
    pub to: Place,
    /// Why.
    pub reason: MovementReason,
    /// The trade it moved for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<TransactionId>,
    /// The shipment it moved for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment_id: Option<ShipmentId>,
}
