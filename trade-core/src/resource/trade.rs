use super::{Lines, Version, words};
use crate::values::{Metadata, Money, ShipmentId, StationId, Timestamp, TransactionId};
use serde::{Deserialize, Serialize};

words! {
    /// When ownership and stock pass from seller to buyer.
    Settlement {
        /// At once, when the trade is initiated.
        Immediate = "immediate",
        /// When the cargo is delivered; until then it is reserved, then in transit.
        OnDelivery = "on_delivery",
    }
}

words! {
    /// Where a trade stands.
    TradeStatus {
        /// Open: its cargo is pending or in transit.
        Initiated = "initiated",
        /// Final: its cargo was delivered.
        Completed = "completed",
        /// Final: its cargo was cancelled or returned.
        Cancelled = "cancelled",
        /// Final: its cargo was lost.
        Failed = "failed",
    }
}

impl TradeStatus {
    /// Whether no further change is possible.
    pub fn is_final(self) -> bool {
        self != Self::Initiated
    }
}

/// A sale of goods from one station to another.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trade {
    /// Its id.
    pub transaction_id: TransactionId,
    /// The station that receives the goods; never the seller.
    pub buyer: StationId,
    /// The station that gives them.
    pub seller: StationId,
    /// What is sold.
    pub items: Lines,
    /// One sum per currency of quantity × unit price, exact; empty where nothing is priced.
    pub totals: Vec<Money>,
    /// When stock passes.
    pub settlement: Settlement,
    /// Where it stands.
    pub status: TradeStatus,
    /// Its shipment, `shipment-{transactionId}`.
    pub shipment_id: ShipmentId,
    /// Past it, a trade whose cargo is still pending is cancelled. Only with settlement on delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What an application keeps with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// When it was initiated.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How often it changed, from 1.
    pub version: Version,
}

impl Trade {
    /// Its lines, and what takes as much memory.
    pub(crate) fn lines(&self) -> usize {
        self.items.len() + Metadata::lines(self.metadata.as_ref())
    }
}
