//! What a caller asks for, and what it gets.

use crate::cause::Cause;
use crate::event::Actor;
use crate::rejection::Rejection;
use crate::resource::{
    Cargo, CargoStatus, Inventory, Lines, MovementReason, Settlement, Trade, TradeStatus, Version,
};
use crate::values::{
    Delta, InvalidValue, ItemId, Label, Metadata, Quantity, ShipmentId, StationId, Timestamp, TransactionId,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One change that is asked for. It is applied whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Opens a station with its first stock.
    CreateStation(CreateStation),
    /// Initiates a trade and its shipment.
    InitiateTrade(InitiateTrade),
    /// Initiates several trades in one commit.
    InitiateTrades(InitiateTrades),
    /// Completes or cancels a trade.
    UpdateTrade(UpdateTrade),
    /// Cancels a trade whose time has passed; of no effect where it has not, or the cargo was sent.
    ExpireTrade(TransactionId),
    /// Makes a shipment without a trade.
    CreateTransfer(CreateTransfer),
    /// Tracks a shipment.
    UpdateCargo(UpdateCargo),
    /// Adjusts the stock of a station, or changes what is told of it.
    AdjustInventory(AdjustInventory),
}

/// Opens a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateStation {
    /// Its id.
    pub station_id: StationId,
    /// Its name.
    pub name: Option<Label>,
    /// What an application keeps with it.
    pub metadata: Option<Metadata>,
    /// What it opens with, 0 to 5 000 lines; lines of one item are added up.
    pub items: Vec<(ItemId, Quantity)>,
}

impl CreateStation {
    /// A station without name, metadata and stock.
    pub fn new(station_id: StationId) -> Self {
        Self { station_id, name: None, metadata: None, items: Vec::new() }
    }
}

/// Initiates a trade. Its id makes a repeated request harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitiateTrade {
    /// Its id.
    pub transaction_id: TransactionId,
    /// The station that receives.
    pub buyer: StationId,
    /// The station that gives; not the buyer.
    pub seller: StationId,
    /// What is sold.
    pub items: Lines,
    /// When stock passes.
    pub settlement: Settlement,
    /// When the offer ends; only with [`Settlement::OnDelivery`].
    pub expires_at: Option<Timestamp>,
    /// When the cargo is to arrive; seven days from now when absent.
    pub eta: Option<Timestamp>,
    /// What an application keeps with it.
    pub metadata: Option<Metadata>,
}

impl InitiateTrade {
    /// A trade of immediate settlement, of which nothing else is said.
    pub fn new(transaction_id: TransactionId, buyer: StationId, seller: StationId, items: Lines) -> Self {
        Self {
            transaction_id,
            buyer,
            seller,
            items,
            settlement: Settlement::Immediate,
            expires_at: None,
            eta: None,
            metadata: None,
        }
    }
}

/// Initiates trades in order, all in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitiateTrades {
    /// 1 to 1 000 trades, of at most 50 000 lines in all.
    pub trades: Vec<InitiateTrade>,
    /// All or none; otherwise each on its own.
    pub atomic: bool,
}

impl InitiateTrades {
    /// The most trades of one batch.
    pub const COUNT_MAX: usize = 1_000;
    /// The most lines of all its trades together.
    pub const LINES_MAX: usize = 50_000;
}

/// Completes a trade whose cargo is in transit, which is delivered with it; or cancels one whose cargo is pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateTrade {
    /// Which.
    pub transaction_id: TransactionId,
    /// The status it shall have.
    pub status: TradeStatus,
    /// The versions it may have.
    pub precondition: Precondition,
}

impl UpdateTrade {
    /// The same for any version.
    pub fn new(transaction_id: TransactionId, status: TradeStatus) -> Self {
        Self { transaction_id, status, precondition: Precondition::None }
    }
}

/// Makes a transfer: a shipment between two stations without a trade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTransfer {
    /// Its id, which may not begin with `shipment-`.
    pub shipment_id: ShipmentId,
    /// The station that sends.
    pub origin: StationId,
    /// The station that receives; not the origin.
    pub destination: StationId,
    /// What is sent.
    pub items: Lines,
    /// When it is to arrive; seven days from now when absent.
    pub eta: Option<Timestamp>,
    /// What an application keeps with it.
    pub metadata: Option<Metadata>,
}

impl CreateTransfer {
    /// A transfer of which nothing else is said.
    pub fn new(shipment_id: ShipmentId, origin: StationId, destination: StationId, items: Lines) -> Self {
        Self { shipment_id, origin, destination, items, eta: None, metadata: None }
    }
}

/// Tracks a shipment: at least one of status, ETA, location and metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateCargo {
    /// Which.
    pub shipment_id: ShipmentId,
    /// The status it shall have.
    pub status: Option<CargoStatus>,
    /// When it is now expected.
    pub eta: Option<Timestamp>,
    /// Where it was seen.
    pub location: Option<Label>,
    /// What an application keeps with it from now on, in place of what it kept before.
    pub metadata: Option<Metadata>,
    /// The versions it may have.
    pub precondition: Precondition,
}

impl UpdateCargo {
    /// An update that says nothing yet, for any version.
    pub fn new(shipment_id: ShipmentId) -> Self {
        Self {
            shipment_id,
            status: None,
            eta: None,
            location: None,
            metadata: None,
            precondition: Precondition::None,
        }
    }
}

/// Changes a station, all in one step: at least one of adjustments, name and metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustInventory {
    /// Which.
    pub station_id: StationId,
    /// Its name from now on.
    pub name: Option<Label>,
    /// What an application keeps with it from now on, in place of what it kept before.
    pub metadata: Option<Metadata>,
    /// At most 5 000 adjustments of its stock; what counts for `available` is their sum per item.
    pub adjustments: Vec<Adjustment>,
    /// The versions it may have.
    pub precondition: Precondition,
}

impl AdjustInventory {
    /// Adjustments for any version.
    pub fn new(station_id: StationId, adjustments: Vec<Adjustment>) -> Self {
        Self { station_id, name: None, metadata: None, adjustments, precondition: Precondition::None }
    }
}

/// One line of an adjustment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// The item.
    pub item_id: ItemId,
    /// Units that came in (positive) or left (negative).
    pub delta: Delta,
    /// Why.
    pub reason: AdjustmentReason,
}

/// A reason that an adjustment may give: one of the seven after the contract, not those of trades and cargo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdjustmentReason(MovementReason);

impl AdjustmentReason {
    /// Every reason an adjustment may give.
    pub const ALL: [Self; 7] = [
        Self(MovementReason::Received),
        Self(MovementReason::Correction),
        Self(MovementReason::CycleCount),
        Self(MovementReason::Damaged),
        Self(MovementReason::Consumed),
        Self(MovementReason::Lost),
        Self(MovementReason::Other),
    ];

    /// The reason of the ledger row.
    pub fn movement(self) -> MovementReason {
        self.0
    }
}

impl TryFrom<&str> for AdjustmentReason {
    type Error = InvalidValue;
    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL.into_iter().find(|reason| reason.0.as_str() == text).ok_or_else(|| {
            InvalidValue::new(format!(
                "must be one of {}",
                Self::ALL.map(|reason| reason.0.as_str()).join(", ")
            ))
        })
    }
}

/// What a caller knows of the version it wants to change (RFC 9110 §13.1.1, `If-Match`, and §13.1.2). Version 0 stands
/// for what does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: any version, existing or not.
    #[default]
    None,
    /// The version is one of these; with none of them, no version fits.
    OneOf(Vec<Version>),
    /// The version is none of these (RFC 9110 §13.1.2, `If-None-Match`).
    NoneOf(Vec<Version>),
}

impl Precondition {
    /// Whether a resource of this version meets it.
    pub fn allows(&self, version: Version) -> bool {
        match self {
            Self::None => true,
            Self::OneOf(versions) => versions.contains(&version),
            Self::NoneOf(versions) => !versions.contains(&version),
        }
    }
}

/// Names a request, so that it is applied once however often it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub [u8; 16]);

/// Stands for the content of a request: the same id with another fingerprint is another request, and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

/// What makes a request the same request when it is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// Who asks, where, under which key.
    pub request: RequestId,
    /// What for.
    pub fingerprint: Fingerprint,
}

/// A command with an outcome of its own form: each of the commands, and [`Command`], which is any of them.
pub trait TypedCommand: Into<Command> {
    /// What it did.
    type Outcome;

    /// Takes the outcome of such a command; none where it is that of another one.
    fn outcome(outcome: Outcome) -> Option<Self::Outcome>;
}

impl TypedCommand for Command {
    type Outcome = Outcome;

    fn outcome(outcome: Outcome) -> Option<Outcome> {
        Some(outcome)
    }
}

macro_rules! typed {
    ($($command:ident => $kind:ident($outcome:ty),)+) => {
        $(impl From<$command> for Command {
            fn from(command: $command) -> Self {
                Self::$command(command)
            }
        }

        impl TypedCommand for $command {
            type Outcome = $outcome;

            fn outcome(outcome: Outcome) -> Option<$outcome> {
                if let Outcome::$kind(outcome) = outcome { Some(outcome) } else { None }
            }
        })+
    };
}

typed! {
    CreateStation => Inventory(Arc<Inventory>),
    InitiateTrade => Trade(TradeOutcome),
    InitiateTrades => Trades(Vec<Result<TradeOutcome, Rejection>>),
    UpdateTrade => Trade(TradeOutcome),
    CreateTransfer => Cargo(CargoOutcome),
    UpdateCargo => Cargo(CargoOutcome),
    AdjustInventory => Inventory(Arc<Inventory>),
}

/// A command with who asks for it.
#[derive(Debug, Clone)]
pub struct Request<C = Command> {
    /// What is asked for.
    pub command: C,
    /// Who asks.
    pub actor: Actor,
    /// Given where a repetition shall be answered with the first answer.
    pub idempotency: Option<Idempotency>,
    /// What its sender calls it, such as a request id; kept with the answer where there is a key.
    pub name: Option<String>,
    /// What caused it: kept with each of its steps.
    pub cause: Option<Arc<Cause>>,
    /// The versions that what the command makes may have already. Commands that change something have a precondition of
    /// their own; a batch has none.
    pub precondition: Precondition,
}

impl<C> Request<C> {
    /// A request of nobody in particular, without a key.
    pub fn new(command: C) -> Self {
        Self {
            command,
            actor: Actor::Anonymous,
            idempotency: None,
            name: None,
            cause: None,
            precondition: Precondition::None,
        }
    }

    /// The same on behalf of an actor.
    #[must_use]
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// The same under a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same, caused by this; nothing is kept of one of which nothing is known.
    #[must_use]
    pub fn caused_by(mut self, cause: Cause) -> Self {
        self.cause = (!cause.is_empty()).then(|| Arc::new(cause));
        self
    }

    /// The same, only where what the command makes has one of these versions already, or does not exist.
    #[must_use]
    pub fn provided(mut self, precondition: Precondition) -> Self {
        self.precondition = precondition;
        self
    }

    /// The same, answered once and then repeated.
    #[must_use]
    pub fn once(mut self, idempotency: Idempotency) -> Self {
        self.idempotency = Some(idempotency);
        self
    }

    /// The same request, of any command.
    pub fn of_any(self) -> Request
    where
        C: Into<Command>,
    {
        let Self { command, actor, idempotency, name, cause, precondition } = self;
        Request { command: command.into(), actor, idempotency, name, cause, precondition }
    }
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Of `InitiateTrade`, `UpdateTrade` and `ExpireTrade`.
    Trade(TradeOutcome),
    /// Of `InitiateTrades`: an answer per trade, in order.
    Trades(Vec<Result<TradeOutcome, Rejection>>),
    /// Of `CreateTransfer` and `UpdateCargo`.
    Cargo(CargoOutcome),
    /// Of `CreateStation` and `AdjustInventory`: the station with its first 5 000 items.
    Inventory(Arc<Inventory>),
}

/// A trade and its shipment after a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeOutcome {
    /// Whether this command made it.
    pub created: bool,
    /// The trade.
    pub trade: Arc<Trade>,
    /// Its shipment.
    pub cargo: Arc<Cargo>,
}

/// A shipment after a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CargoOutcome {
    /// Whether this command made it.
    pub created: bool,
    /// The shipment.
    pub cargo: Arc<Cargo>,
    /// Its trade, where it changed too.
    pub trade: Option<Arc<Trade>>,
}
