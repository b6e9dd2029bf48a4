//! Events: what a step did, each carrying the full resource as it is after the step.

use crate::cause::TraceParent;
use crate::resource::{Cargo, Inventory, LedgerEntry, Sequence, Trade, words};
use crate::values::{InvalidValue, Scope, StationId, Timestamp, serde_as_text};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Who caused a step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// Nobody in particular: access control is off.
    Anonymous,
    /// The network itself, when a trade's time has passed.
    Network,
    /// An API key, by name.
    Key(Arc<str>),
    /// A user, by the subject of a token.
    User(Arc<str>),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Network => f.write_str("network"),
            Self::Key(name) => write!(f, "key:{name}"),
            Self::User(subject) => write!(f, "user:{subject}"),
        }
    }
}

impl TryFrom<&str> for Actor {
    type Error = InvalidValue;
    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        match (text, text.split_once(':')) {
            ("anonymous", _) => Ok(Self::Anonymous),
            ("network", _) => Ok(Self::Network),
            (_, Some(("key", name))) => Ok(Self::Key(name.into())),
            (_, Some(("user", subject))) => Ok(Self::User(subject.into())),
            _ => Err(InvalidValue::new("must be anonymous, network, key:<name> or user:<subject>")),
        }
    }
}

serde_as_text!(Actor);

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Trades.
    Trade,
    /// Shipments.
    Cargo,
    /// Stock.
    Inventory,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 3] = [Self::Trade, Self::Cargo, Self::Inventory];

    /// The word that stands for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Cargo => "cargo",
            Self::Inventory => "inventory",
        }
    }
}

words! {
    /// The kinds of events: the `type` of a CloudEvent, and the `event` of a Server-Sent Event.
    EventType {
        /// A trade was made.
        TradeInitiated = "tradeInitiated",
        /// Its cargo arrived.
        TradeCompleted = "tradeCompleted",
        /// It was called off, or its cargo came back.
        TradeCancelled = "tradeCancelled",
        /// Its cargo was lost.
        TradeFailed = "tradeFailed",
        /// A shipment was made.
        CargoCreated = "cargoCreated",
        /// A shipment changed.
        CargoUpdated = "cargoUpdated",
        /// A station was made, or its stock or its name changed.
        InventoryUpdated = "inventoryUpdated",
    }
}

impl EventType {
    /// What events of this kind are about.
    pub fn topic(self) -> Topic {
        match self {
            Self::TradeInitiated | Self::TradeCompleted | Self::TradeCancelled | Self::TradeFailed => {
                Topic::Trade
            }
            Self::CargoCreated | Self::CargoUpdated => Topic::Cargo,
            Self::InventoryUpdated => Topic::Inventory,
        }
    }
}

/// The resource an event carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventData {
    /// A trade.
    Trade(Arc<Trade>),
    /// A shipment.
    Cargo(Arc<Cargo>),
    /// A station.
    Inventory(Arc<InventoryUpdate>),
}

/// A station with the items that changed.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryUpdate {
    /// The station; `items` lists those that changed.
    pub inventory: Inventory,
    /// What moved physically: every ledger row of the step is in the event of the step's first station.
    pub movements: Vec<LedgerEntry>,
}

/// Something that happened, at one place in the one order of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place.
    pub sequence: Sequence,
    /// When.
    pub time: Timestamp,
    /// Through whom.
    pub actor: Actor,
    /// The place in a trace of the request that caused it.
    pub trace_parent: Option<TraceParent>,
    /// What kind.
    pub event_type: EventType,
    /// The resource after it.
    pub data: EventData,
}

impl Event {
    /// The stations it concerns: a trade's seller and buyer, a shipment's origin and destination, a station.
    pub fn stations(&self) -> [Option<&StationId>; 2] {
        match &self.data {
            EventData::Trade(trade) => [Some(&trade.seller), Some(&trade.buyer)],
            EventData::Cargo(cargo) => [Some(&cargo.origin), Some(&cargo.destination)],
            EventData::Inventory(update) => [Some(&update.inventory.station_id), None],
        }
    }

    /// The resource's path: `trades/<id>`, `cargo/<id>` or `inventory/<stationId>`.
    pub fn subject(&self) -> String {
        match &self.data {
            EventData::Trade(trade) => format!("trades/{}", trade.transaction_id),
            EventData::Cargo(cargo) => format!("cargo/{}", cargo.shipment_id),
            EventData::Inventory(update) => format!("inventory/{}", update.inventory.station_id),
        }
    }
}

/// What a stream or a poll is narrowed to. Empty lists narrow nothing; an empty scope lets nothing through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct EventFilter {
    /// Only these topics.
    pub topics: Vec<Topic>,
    /// Only these kinds.
    pub types: Vec<EventType>,
    /// Only what concerns one of these stations.
    pub stations: Vec<StationId>,
    /// Only what concerns a station of the scope.
    pub scope: Scope,
}

impl EventFilter {
    /// Whether an event passes.
    pub fn matches(&self, event: &Event) -> bool {
        let topic = self.topics.is_empty() || self.topics.contains(&event.event_type.topic());
        let kind = self.types.is_empty() || self.types.contains(&event.event_type);
        let stations = || event.stations().into_iter().flatten();
        topic
            && kind
            && (self.stations.is_empty() || stations().any(|id| self.stations.contains(id)))
            && self.scope.touches(stations())
    }

    /// Stations one of which every event concerns that passes; none where that may be any.
    pub fn narrowed_to(&self) -> Option<&[StationId]> {
        match self.scope.set() {
            _ if !self.stations.is_empty() => Some(&self.stations),
            Some(scope) => Some(scope.as_slice()),
            None => None,
        }
    }
}

/// What every event says of its form and its source.
pub(crate) const SPEC_VERSION: &str = "1.0";
pub(crate) const SOURCE: &str = "/trade-network";

/// The JSON form: a CloudEvents 1.0 object (<https://github.com/cloudevents/spec>, JSON event format).
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(description = "Something that happened, as a CloudEvent."))]
pub(crate) struct CloudEvent<S, D> {
    /// The version of CloudEvents.
    specversion: S,
    /// Its sequence, as text.
    id: String,
    /// Where it comes from.
    source: S,
    /// What happened.
    #[serde(rename = "type")]
    event_type: EventType,
    /// What it happened to: the path of the resource.
    subject: String,
    /// When.
    time: Timestamp,
    /// Its place in the log of the network: 1, 2, 3 … without gaps.
    sequence: Sequence,
    /// Through whom.
    actor: Actor,
    /// The place in a trace of the request that caused it (W3C Trace Context), if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<TraceParent>,
    /// The resource after it.
    data: D,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum DataOut<'a> {
    Trade(&'a Trade),
    Cargo(&'a Cargo),
    #[serde(untagged)]
    Inventory(&'a InventoryUpdate),
}

#[derive(Deserialize)]
struct DataIn {
    trade: Option<Arc<Trade>>,
    cargo: Option<Arc<Cargo>>,
    inventory: Option<Inventory>,
    #[serde(default)]
    movements: Vec<LedgerEntry>,
}

impl Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let data = match &self.data {
            EventData::Trade(trade) => DataOut::Trade(trade),
            EventData::Cargo(cargo) => DataOut::Cargo(cargo),
            EventData::Inventory(update) => DataOut::Inventory(update),
        };
        CloudEvent {
            specversion: SPEC_VERSION,
            id: self.sequence.to_string(),
            source: SOURCE,
            event_type: self.event_type,
            subject: self.subject(),
            time: self.time,
            sequence: self.sequence,
            actor: self.actor.clone(),
            traceparent: self.trace_parent,
            data,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = CloudEvent::<String, DataIn>::deserialize(deserializer)?;
        let DataIn { trade, cargo, inventory, movements } = read.data;
        let data = match (read.event_type.topic(), trade, cargo, inventory) {
            (Topic::Trade, Some(trade), None, None) => EventData::Trade(trade),
            (Topic::Cargo, None, Some(cargo), None) => EventData::Cargo(cargo),
            (Topic::Inventory, None, None, Some(inventory)) => {
                EventData::Inventory(Arc::new(InventoryUpdate { inventory, movements }))
            }
            _ => return Err(serde::de::Error::custom("the data of the event is not of its type")),
        };
        let CloudEvent { event_type, time, sequence, actor, traceparent, .. } = read;
        Ok(Self { sequence, time, actor, trace_parent: traceparent, event_type, data })
    }
}
