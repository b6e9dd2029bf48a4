//! Why a command is refused. A refusal changes nothing, and the same request may succeed later.

use crate::resource::{CargoStatus, TradeStatus, Version};
use crate::values::{Currency, ItemId, Scope, ShipmentId, StationId, TransactionId};
use serde::{Deserialize, Serialize};

/// Why a command is refused, with the numbers and ids that say so.
///
/// Checked in this order: the content of the command ([`InvalidRequest`](Self::InvalidRequest),
/// [`AmountOutOfRange`](Self::AmountOutOfRange)), the request's key, existence and permission, precondition, status, stock
/// (shortage before range).
///
/// What is to be changed is looked up first, and not found where the caller may not know of it; what is to be made is
/// permitted before the stations that it names are looked up. Whether a trade's `expiresAt` is still to come is a matter of
/// existence: it is asked of a new trade alone, before its stations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Rejection {
    /// A field contradicts another, or a list is too short or too long.
    #[error("{field} {detail}")]
    InvalidRequest {
        /// The field, as it is named in JSON.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A total of more than 22 integer digits.
    #[error("the total in {currency} has more than 22 integer digits")]
    AmountOutOfRange {
        /// The currency of the total.
        currency: Currency,
    },
    /// The request's key was used before for a request of other content.
    #[error("the idempotency key was used before for another request")]
    RequestReused,
    /// No such trade.
    #[error("there is no trade {0}")]
    TradeNotFound(TransactionId),
    /// No such shipment.
    #[error("there is no cargo {0}")]
    CargoNotFound(ShipmentId),
    /// No such station.
    #[error("there is no station {0}")]
    StationNotFound(StationId),
    /// A trade or transfer names a station that does not exist.
    #[error("{field} names station {station}, which does not exist")]
    UnknownStation {
        /// The field that names it.
        field: String,
        /// The station.
        station: StationId,
    },
    /// It is not for the caller to do.
    #[error("the caller may not do this")]
    Forbidden,
    /// A rule of the application forbids it.
    #[error("{reason}")]
    RefusedByPolicy {
        /// Which, in the words of the policy.
        reason: String,
    },
    /// The trade exists with other content.
    #[error("trade {0} exists, and is not the same")]
    TradeExists(TransactionId),
    /// The shipment exists with other content.
    #[error("cargo {0} exists, and is not the same")]
    CargoExists(ShipmentId),
    /// The station exists.
    #[error("station {0} exists")]
    StationExists(StationId),
    /// The resource has a version that the caller's precondition does not allow.
    #[error("{}, which the condition of the request does not allow", version(*.actual))]
    VersionMismatch {
        /// The version it has; 0 where it does not exist.
        actual: Version,
    },
    /// The trade's status does not allow the step.
    #[error(
        "trade {transaction_id} is {from} and its cargo {cargo}: it cannot become {to}, only {}", words(.allowed)
    )]
    IllegalTradeTransition {
        /// The trade.
        transaction_id: TransactionId,
        /// The status it has.
        from: TradeStatus,
        /// The status asked for.
        to: TradeStatus,
        /// What it could become by request.
        allowed: Vec<TradeStatus>,
        /// The status of its cargo, which decides what is allowed.
        cargo: CargoStatus,
    },
    /// The shipment's status does not allow the step.
    #[error("cargo {shipment_id} {}", cargo_transition(*.from, *.to, .allowed))]
    IllegalCargoTransition {
        /// The shipment.
        shipment_id: ShipmentId,
        /// The status it has.
        from: CargoStatus,
        /// The status asked for; the same where another field of a final shipment was to change.
        to: CargoStatus,
        /// What it could become.
        allowed: Vec<CargoStatus>,
    },
    /// The step would take more than is available.
    #[error("insufficient stock: {}", shortages(.0))]
    InsufficientStock(Shortages),
    /// The step would lift on hand plus incoming past 2^53 − 1.
    #[error("the stock of item {item} would pass 9007199254740991 units{}", at_station(.station))]
    QuantityOutOfRange {
        /// Where; none where the request's own lines add up to too much, or where the caller may not know.
        station: Option<StationId>,
        /// Of which item.
        item: ItemId,
    },
    /// The first trade that kept an atomic batch from being applied.
    #[error("trade {index} of the batch: {rejection}")]
    InBatch {
        /// Its place in the batch, from 0.
        index: usize,
        /// Why.
        rejection: Box<Rejection>,
    },
}

/// All that is short: counted, and the first of it listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortages {
    listed: Vec<Shortage>,
    total: usize,
}

impl Shortages {
    /// The most that are listed.
    pub const LISTED_MAX: usize = 100;

    /// Counts one more, and lists it if there is room.
    pub(crate) fn add(&mut self, shortage: impl FnOnce() -> Shortage) {
        self.total += 1;
        if self.listed.len() < Self::LISTED_MAX {
            self.listed.push(shortage());
        }
    }

    /// The first ones, in the order in which a step touches stock: by station, then by item.
    pub fn listed(&self) -> &[Shortage] {
        &self.listed
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Leaves out what is available at stations outside a scope.
    pub(crate) fn shown_to(mut self, scope: &Scope) -> Self {
        for shortage in &mut self.listed {
            shortage.available = shortage.available.filter(|_| scope.contains(&shortage.station_id));
        }
        self
    }
}

impl FromIterator<Shortage> for Shortages {
    fn from_iter<I: IntoIterator<Item = Shortage>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), |mut shortages, shortage| {
            shortages.add(|| shortage);
            shortages
        })
    }
}

/// One item that is short at a station.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shortage {
    /// Where.
    pub station_id: StationId,
    /// Of what.
    pub item_id: ItemId,
    /// Units the step would take.
    pub requested: u64,
    /// Units available; none where the caller may not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<u64>,
}

impl Rejection {
    /// The word for the kind of refusal, as it stands in a problem document.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } => "invalid-request",
            Self::AmountOutOfRange { .. } => "amount-out-of-range",
            Self::RequestReused => "idempotency-key-reused",
            Self::TradeNotFound(_) => "trade-not-found",
            Self::CargoNotFound(_) => "cargo-not-found",
            Self::StationNotFound(_) => "station-not-found",
            Self::UnknownStation { .. } => "unknown-station",
            Self::Forbidden => "forbidden",
            Self::RefusedByPolicy { .. } => "refused-by-policy",
            Self::TradeExists(_) => "trade-exists",
            Self::CargoExists(_) => "cargo-exists",
            Self::StationExists(_) => "station-exists",
            Self::VersionMismatch { .. } => "version-mismatch",
            Self::IllegalTradeTransition { .. } | Self::IllegalCargoTransition { .. } => "illegal-transition",
            Self::InsufficientStock(_) => "insufficient-stock",
            Self::QuantityOutOfRange { .. } => "quantity-out-of-range",
            Self::InBatch { rejection, .. } => rejection.code(),
        }
    }

    pub(crate) fn invalid(field: &str, detail: &str) -> Self {
        Self::InvalidRequest { field: field.into(), detail: detail.into() }
    }
}

fn cargo_transition(from: CargoStatus, to: CargoStatus, allowed: &[CargoStatus]) -> String {
    if from == to {
        return format!("is {from}, which is final: its ETA, location and metadata cannot change");
    }
    format!("is {from}: it cannot become {to}, only {}", words(allowed))
}

fn words<S: Copy + std::fmt::Display>(states: &[S]) -> String {
    match states {
        [] => "remain what it is".into(),
        states => states.iter().map(S::to_string).collect::<Vec<_>>().join(" or "),
    }
}

fn shortages(shortages: &Shortages) -> String {
    const SHOWN_MAX: usize = 3;
    let mut text: Vec<_> = shortages
        .listed
        .iter()
        .take(SHOWN_MAX)
        .map(|s| {
            let available = s.available.map(|units| format!(", {units} available")).unwrap_or_default();
            format!("{} of {} asked of {}{available}", s.requested, s.item_id, s.station_id)
        })
        .collect();
    if shortages.total > SHOWN_MAX {
        text.push(format!("and {} more", shortages.total - SHOWN_MAX));
    }
    text.join("; ")
}

fn version(actual: Version) -> String {
    if actual == 0 { "it does not exist".into() } else { format!("the version is {actual}") }
}

fn at_station(station: &Option<StationId>) -> String {
    station.as_ref().map(|id| format!(" at station {id}")).unwrap_or_default()
}
