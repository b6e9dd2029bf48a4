//! Who asks, and what they may: a policy is asked before anything is done or shown on somebody's behalf.
//!
//! [`TradeService`](crate::service::TradeService) is the owner's handle, and asks nobody. Everybody else goes through a
//! [`Session`](crate::service::Session), which asks the policy of the service
//! ([`ServiceOptions::policy`](crate::service::ServiceOptions::policy)).
//!
//! ```
//! use trade_core::command::{CreateStation, InitiateTrade, Request};
//! use trade_core::event::Actor;
//! use trade_core::memory::MemoryStore;
//! use trade_core::policy::{Action, Denial, Policy, Principal, State};
//! use trade_core::rejection::Rejection;
//! use trade_core::resource::{Line, Lines};
//! use trade_core::service::{ServiceError, ServiceOptions, TradeService};
//! use trade_core::values::{Quantity, Scope, StationId};
//! use std::sync::Arc;
//!
//! /// Nobody sells to a station under embargo.
//! #[derive(Debug)]
//! struct Embargo(StationId);
//!
//! impl Policy for Embargo {
//!     fn check(&self, _: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
//!         match action {
//!             Action::InitiateTrade(trade) if trade.buyer == self.0 => {
//!                 Err(Denial::Because(format!("{} is under embargo", self.0)))
//!             }
//!             _ => Ok(()),
//!         }
//!     }
//!
//!     fn scope(&self, principal: &Principal) -> Scope {
//!         principal.stations().clone()
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let embargo = Embargo("vesta".try_into()?);
//! let options = ServiceOptions { policy: Arc::new(embargo), ..ServiceOptions::default() };
//! let service = TradeService::start_with_options(Arc::new(MemoryStore::new()), options).await?;
//! for id in ["ceres", "vesta"] {
//!     let tea = vec![("tea".try_into()?, Quantity::new(5)?)];
//!     let station = CreateStation { items: tea, ..CreateStation::new(id.try_into()?) };
//!     service.submit(Request::new(station)).await?;
//! }
//!
//! let ada = Principal::new(Actor::User("ada".into())).with_stations(Scope::All);
//! let session = service.session(ada);
//! let sale = |buyer: &str, seller: &str| -> Result<_, Box<dyn std::error::Error>> {
//!     let line = Line::new("tea".try_into()?, Quantity::new(1)?);
//!     let items = Lines::new(vec![line])?;
//!     Ok(Request::new(InitiateTrade::new("T-1".try_into()?, buyer.try_into()?, seller.try_into()?, items)))
//! };
//! let refused = session.submit(sale("vesta", "ceres")?).await;
//! assert!(matches!(refused, Err(ServiceError::Rejected(Rejection::RefusedByPolicy { .. }))));
//! assert!(session.submit(sale("ceres", "vesta")?).await.is_ok());
//! service.shutdown().await;
//! # Ok(())
//! # }
//! ```

use crate::command::{
    AdjustInventory, CreateStation, CreateTransfer, InitiateTrade, UpdateCargo, UpdateTrade,
};
use crate::event::Actor;
use crate::resource::{Cargo, CargoStatus, Station, StockLevel, Trade, TradeStatus};
use crate::values::{ItemId, Scope, StationId};
use crate::view::View;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Who asks: a name, roles and stations. What these mean is the policy's affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    actor: Actor,
    roles: BTreeSet<Arc<str>>,
    stations: Scope,
}

impl Principal {
    /// Somebody without roles and stations. [`Actor::Network`] is the network itself, and nobody else.
    pub fn new(actor: Actor) -> Self {
        Self { actor, roles: BTreeSet::new(), stations: Scope::nothing() }
    }

    /// The same with these roles alone.
    #[must_use]
    pub fn with_roles<R: Into<Arc<str>>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// The same with these stations alone.
    #[must_use]
    pub fn with_stations(mut self, stations: Scope) -> Self {
        self.stations = stations;
        self
    }

    /// The name in the events that they cause.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The roles, ascending.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(|role| &**role)
    }

    /// Whether they have a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// The stations that are theirs.
    pub fn stations(&self) -> &Scope {
        &self.stations
    }
}

/// What somebody is about to do, with what it is about.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Action<'a> {
    /// To open a station.
    CreateStation(&'a CreateStation),
    /// To initiate a trade; each one of a batch by itself.
    InitiateTrade(&'a InitiateTrade),
    /// To complete or cancel a trade, and its shipment with it.
    UpdateTrade {
        /// How.
        command: &'a UpdateTrade,
        /// The trade as it is.
        trade: &'a Trade,
        /// Its shipment as it is.
        cargo: &'a Cargo,
    },
    /// To make a transfer.
    CreateTransfer(&'a CreateTransfer),
    /// To track a shipment. A status that is final ends its trade as well: see [`Action::ends`].
    UpdateCargo {
        /// How.
        command: &'a UpdateCargo,
        /// The shipment as it is.
        cargo: &'a Cargo,
        /// Its trade as it is; none of a transfer.
        trade: Option<&'a Trade>,
    },
    /// To adjust the stock of a station, or to change what is told of it.
    AdjustInventory {
        /// How.
        command: &'a AdjustInventory,
        /// The station as it is.
        station: &'a Station,
    },
}

impl Action<'_> {
    /// The stations that it is about: a trade's seller and buyer, a shipment's origin and destination, a station.
    pub fn stations(&self) -> impl Iterator<Item = &StationId> {
        let [first, second] = match self {
            Self::CreateStation(command) => [Some(&command.station_id), None],
            Self::InitiateTrade(trade) => [Some(&trade.seller), Some(&trade.buyer)],
            Self::UpdateTrade { trade, .. } => [Some(&trade.seller), Some(&trade.buyer)],
            Self::CreateTransfer(transfer) => [Some(&transfer.origin), Some(&transfer.destination)],
            Self::UpdateCargo { cargo, .. } => [Some(&cargo.origin), Some(&cargo.destination)],
            Self::AdjustInventory { station, .. } => [Some(&station.station_id), None],
        };
        first.into_iter().chain(second)
    }

    /// The trade that it ends, and how: by a status of the trade itself, or of its shipment.
    pub fn ends(&self) -> Option<(&Trade, TradeStatus)> {
        match self {
            Self::UpdateTrade { command, trade, .. } => Some((trade, command.status)),
            Self::UpdateCargo { command, trade, .. } => {
                Some(((*trade)?, command.status.and_then(CargoStatus::ends_trade_as)?))
            }
            _ => None,
        }
    }

    /// The items that it is about, some of them more than once: of a trade or shipment, or those that are adjusted.
    pub fn items(&self) -> impl Iterator<Item = &ItemId> {
        let (lines, adjustments) = match self {
            Self::CreateStation(_) => (None, None),
            Self::InitiateTrade(trade) => (Some(&trade.items), None),
            Self::UpdateTrade { trade, .. } => (Some(&trade.items), None),
            Self::CreateTransfer(transfer) => (Some(&transfer.items), None),
            Self::UpdateCargo { cargo, .. } => (Some(&cargo.items), None),
            Self::AdjustInventory { command, .. } => (None, Some(&command.adjustments)),
        };
        let of_lines = lines.into_iter().flat_map(|lines| lines.iter()).map(|line| &line.item_id);
        of_lines.chain(adjustments.into_iter().flatten().map(|adjustment| &adjustment.item_id))
    }
}

/// The stations that an action is about, as they are now, with what commands before it have changed.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    view: &'a View,
    action: &'a Action<'a>,
}

impl<'a> State<'a> {
    pub(crate) fn new(view: &'a View, action: &'a Action<'a>) -> Self {
        Self { view, action }
    }

    /// Those that exist, in the order of [`Action::stations`].
    pub fn stations(&self) -> impl Iterator<Item = &'a Station> {
        let view = self.view;
        self.action.stations().filter_map(move |id| view.station(id)).map(|station| &**station)
    }

    /// The levels of the items of [`Action::items`] at each of them; all zero where a station never held an item.
    pub fn levels(&self) -> impl Iterator<Item = (&'a StationId, &'a ItemId, StockLevel)> {
        let Self { view, action } = *self;
        let items: BTreeSet<&ItemId> = action.items().collect();
        let of_station = move |station: &'a Station| {
            let id = &station.station_id;
            items.clone().into_iter().map(move |item| (id, item, view.stock(id, item).0))
        };
        self.stations().flat_map(of_station)
    }
}

/// Why somebody may not do something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// It is not theirs to do: [`Rejection::Forbidden`](crate::rejection::Rejection::Forbidden).
    Forbidden,
    /// A rule of the application forbids it, for this reason, which they are told:
    /// [`Rejection::RefusedByPolicy`](crate::rejection::Rejection::RefusedByPolicy).
    Because(String),
}

/// Says who may do and see what.
///
/// A policy must be pure, as the rules are: the same question has the same answer, as long as what it knows of its own does
/// not change. It is asked where commands are decided, one after the other; so it must not block, and may be asked again
/// about one command, or about one that turns out to be a repetition. What it refuses changes nothing. Where it panics, that
/// is a refusal.
pub trait Policy: Debug + Send + Sync {
    /// Whether a principal may do something now.
    ///
    /// What is to be changed exists, and is in the principal's scope. Of what is to be made it is not known whether it exists
    /// already, nor whether the stations do that it names.
    ///
    /// # Errors
    /// A [`Denial`] if not.
    fn check(&self, principal: &Principal, action: &Action<'_>, state: &State<'_>) -> Result<(), Denial>;

    /// Which stations a principal may know of. Trades, shipments and events are shown that touch one of them; anything else
    /// is as if it did not exist. It is asked when a session begins, and holds for its length.
    fn scope(&self, principal: &Principal) -> Scope;
}

/// The policy without rules: everybody may do and see everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AllowAll;

impl Policy for AllowAll {
    fn check(&self, _: &Principal, _: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
        Ok(())
    }

    fn scope(&self, _: &Principal) -> Scope {
        Scope::All
    }
}

/// Several policies as one: what one of them denies is denied, and what is not in the scope of one is not shown. Of none,
/// everything is allowed.
#[derive(Debug, Clone, Default)]
pub struct Every(pub Vec<Arc<dyn Policy>>);

impl Policy for Every {
    fn check(&self, principal: &Principal, action: &Action<'_>, state: &State<'_>) -> Result<(), Denial> {
        self.0.iter().try_for_each(|policy| policy.check(principal, action, state))
    }

    fn scope(&self, principal: &Principal) -> Scope {
        self.0.iter().fold(Scope::All, |scope, policy| scope.within(&policy.scope(principal)))
    }
}

/// A principal as the rules meet it: with the policy to ask, and the scope it has.
#[derive(Debug, Clone)]
pub struct Asker {
    principal: Principal,
    policy: Arc<dyn Policy>,
    scope: Scope,
}

impl Asker {
    /// A principal under a policy.
    pub fn new(principal: Principal, policy: Arc<dyn Policy>) -> Self {
        let scope = guarded(|| policy.scope(&principal)).unwrap_or_else(Scope::nothing);
        Self { principal, policy, scope }
    }

    /// Who it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What it may know of.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The same under another name.
    #[cfg(feature = "testing")]
    pub(crate) fn named(self, actor: Actor) -> Self {
        Self { principal: Principal { actor, ..self.principal }, ..self }
    }

    pub(crate) fn check(&self, action: &Action<'_>, view: &View) -> Result<(), Denial> {
        let check = || self.policy.check(&self.principal, action, &State::new(view, action));
        guarded(check).unwrap_or_else(|| Err(Denial::Because("the policy failed".into())))
    }
}

/// What a policy answers; none where it panics. It runs where everybody's commands are decided.
fn guarded<T>(ask: impl FnOnce() -> T) -> Option<T> {
    let answer = catch_unwind(AssertUnwindSafe(ask));
    answer.inspect_err(|_| tracing::error!("a policy panicked: what it was asked about is refused")).ok()
}
