use super::{Lines, TradeStatus, Version, words};
use crate::values::{Label, Metadata, ShipmentId, StationId, Timestamp, TransactionId};
use serde::{Deserialize, Serialize};

words! {
    /// Where a shipment stands.
    CargoStatus {
        /// Not yet sent.
        Pending = "pending",
        /// On its way.
        InTransit = "in_transit",
        /// Final: it arrived.
        Delivered = "delivered",
        /// Final: it was never sent.
        Cancelled = "cancelled",
        /// Final: it came back to its origin.
        Returned = "returned",
        /// Final: it is gone.
        Lost = "lost",
    }
}

impl CargoStatus {
    /// Whether no further change is possible.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::InTransit)
    }

    /// The status in which a trade ends when its shipment gets this one; none where both go on.
    pub fn ends_trade_as(self) -> Option<TradeStatus> {
        match self {
            Self::Pending | Self::InTransit => None,
            Self::Delivered => Some(TradeStatus::Completed),
            Self::Cancelled | Self::Returned => Some(TradeStatus::Cancelled),
            Self::Lost => Some(TradeStatus::Failed),
        }
    }
}

/// A shipment of goods from one station to another: that of a trade, or a transfer of its own.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cargo {
    /// Its id.
    pub shipment_id: ShipmentId,
    /// The trade it belongs to; none for a transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<TransactionId>,
    /// Where it comes from: a trade's seller.
    pub origin: StationId,
    /// Where it goes: a trade's buyer.
    pub destination: StationId,
    /// What it holds.
    pub items: Lines,
    /// Where it stands.
    pub status: CargoStatus,
    /// When it is expected to arrive.
    #[serde(rename = "ETA")]
    pub eta: Timestamp,
    /// Where it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Label>,
    /// The arrival time that was asked for when it was made, to compare a repeated request with; kept by stores,
    /// absent from JSON.
    #[serde(skip)]
    pub requested_eta: Option<Timestamp>,
    /// The metadata, or none, that was asked for when it was made, where it is something else by now; to compare a repeated
    /// request with; kept by stores, absent from JSON.
    #[serde(skip)]
    pub requested_metadata: Option<Option<Metadata>>,
    /// What an application keeps with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How often it changed, from 1.
    pub version: Version,
}

impl Cargo {
    /// Its lines, and what takes as much memory.
    pub(crate) fn lines(&self) -> usize {
        self.items.len() + Metadata::lines(self.metadata.as_ref())
    }
}
