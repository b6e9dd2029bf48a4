use super::permissions::{BUYERS_MAY_INITIATE, PERMISSIONS, Permission, Reach, Right};
use super::role::Role;
use crate::command::{AdjustInventory, UpdateCargo};
use crate::policy::{Action, Denial, Policy, Principal, State};
use crate::resource::{CargoStatus, TradeStatus};
use crate::values::{Scope, StationId};

/// The policy of roles and stations.
///
/// What a [`Principal`] may do depends on its roles and on the stations that are its own:
///
/// | right | `viewer` | `trader` | `carrier` | `stockkeeper` | `auditor` | `admin` |
/// |---|---|---|---|---|---|---|
/// | `readNetwork` | what touches its stations | what touches its stations | what touches its stations | what touches its stations | anywhere | anywhere |
/// | `initiateTrade` | – | own seller | – | – | – | anywhere |
/// | `completeTrade` | – | – | own seller or buyer | – | – | anywhere |
/// | `cancelTrade` | – | own seller or buyer | – | – | – | anywhere |
/// | `createTransfer` | – | – | – | own origin | – | anywhere |
/// | `cancelTransfer` | – | – | – | own origin | – | anywhere |
/// | `trackCargo` | – | – | own origin or destination | – | – | anywhere |
/// | `adjustInventory` | – | – | – | its stations | – | anywhere |
/// | `renameStation` | – | – | – | its stations | – | anywhere |
/// | `createStation` | – | – | – | – | – | anywhere |
/// | `readAnalytics` | if all stations are its own | if all stations are its own | if all stations are its own | if all stations are its own | anywhere | anywhere |
/// | `readAudit` | – | – | – | – | anywhere | anywhere |
/// | `readMetrics` | – | – | – | – | anywhere | anywhere |
/// | `manageKeys` | – | – | – | – | – | anywhere |
///
/// Each row is a [`Right`], and [`PERMISSIONS`] holds them as data. Somebody of several roles may do what any of them may. A
/// role that is not known gives nothing, and so does no role: they see nothing either.
///
/// - `auditor` and `admin` have their rights everywhere, whatever stations are listed with them. An admin can make a key of any
///   stations; a list would hold nobody back.
/// - With [`StationRoles::buyers_may_initiate`], a `trader` also has `initiateTrade` where it owns the buyer.
/// - Completing a trade delivers its cargo, whichever of the two is asked for, so both are the carrier's to do.
/// - Cancelling a shipment that is still pending cancels its trade. The request to the shipment needs `trackCargo`, or the right
///   to call off what it is of: `cancelTrade`, or `cancelTransfer` of a transfer. With that alone, nothing else of the shipment
///   can be changed by the same request. The request to the trade needs `cancelTrade`.
/// - `in_transit` → `returned` or `lost` is tracking, though it ends the trade too.
/// - A request that adjusts a station and renames it needs both rights. Metadata counts as a name.
/// - `readAnalytics`, `readAudit`, `readMetrics` and `manageKeys` are asked by servers: see [`StationRoles::may`].
///
/// It composes with rules of an application by [`Every`](crate::policy::Every):
///
/// ```
/// use std::sync::Arc;
/// use trade_core::access::{Right, Role, StationRoles};
/// use trade_core::event::Actor;
/// use trade_core::policy::{AllowAll, Every, Policy, Principal};
/// use trade_core::values::Scope;
///
/// # fn main() -> Result<(), trade_core::values::InvalidValue> {
/// let policy = Every(vec![Arc::new(StationRoles::default()), Arc::new(AllowAll)]);
/// let own = Scope::of(["ceres".try_into()?])?;
/// let ada = Principal::new(Actor::User("ada".into())).with_stations(own.clone());
/// assert_eq!(policy.scope(&ada), Scope::nothing());
///
/// let ada = ada.with_roles([Role::Trader.as_str()]);
/// assert_eq!(policy.scope(&ada), own);
/// assert!(!StationRoles::default().may(&ada, Right::ReadMetrics));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StationRoles {
    /// Whether traders may initiate trades that their stations buy, too. Such a trade takes from the stock of a station that
    /// is not theirs.
    pub buyers_may_initiate: bool,
}

impl StationRoles {
    /// What it decides by.
    pub fn permissions(&self) -> impl Iterator<Item = &'static Permission> {
        let more = self.buyers_may_initiate.then_some(&BUYERS_MAY_INITIATE);
        PERMISSIONS.iter().chain(more)
    }

    /// The rights that somebody has by their roles, each with how far it goes; one more than once where roles differ in that.
    pub fn rights(&self, principal: &Principal) -> impl Iterator<Item = (Right, Reach)> {
        let has = |role: &Role| principal.has_role(role.as_str());
        self.permissions().flat_map(move |permission| {
            let reaches = permission.roles.iter().filter(move |(role, _)| has(role));
            reaches.map(|(_, reach)| (permission.right, *reach))
        })
    }

    /// Whether somebody has a right over the network as a whole. One that they have at some stations alone does not count.
    pub fn may(&self, principal: &Principal, right: Right) -> bool {
        let owns_all = *principal.stations() == Scope::All;
        self.rights(principal).any(|(held, reach)| held == right && (owns_all || reach == Reach::Anywhere))
    }

    /// Whether somebody has a right over something that is about these stations.
    fn allows<'s>(
        &self,
        principal: &Principal,
        right: Right,
        about: impl IntoIterator<Item = &'s StationId> + Clone,
    ) -> bool {
        self.rights(principal)
            .any(|(held, reach)| held == right && reach.holds(principal.stations(), about.clone()))
    }
}

impl Policy for StationRoles {
    fn check(&self, principal: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
        let stations: Vec<&StationId> = action.stations().collect();
        let may = |right| self.allows(principal, right, stations.iter().copied());
        // No arm for the rest: whoever adds an action must say who may.
        let is_allowed = match action {
            Action::CreateStation(_) => may(Right::CreateStation),
            Action::InitiateTrade(_) => may(Right::InitiateTrade),
            Action::UpdateTrade { command, .. } => match command.status {
                TradeStatus::Completed => may(Right::CompleteTrade),
                TradeStatus::Cancelled => may(Right::CancelTrade),
                // Nobody can bring these about; whoever may ask for the others is told so.
                TradeStatus::Initiated | TradeStatus::Failed => {
                    may(Right::CompleteTrade) || may(Right::CancelTrade)
                }
            },
            Action::CreateTransfer(_) => may(Right::CreateTransfer),
            Action::UpdateCargo { command, trade, .. } => {
                let call_off = if trade.is_some() { Right::CancelTrade } else { Right::CancelTransfer };
                may(Right::TrackCargo) || only_cancels(command) && may(call_off)
            }
            Action::AdjustInventory { command, .. } => needed_for(command).all(may),
        };
        if is_allowed { Ok(()) } else { Err(Denial::Forbidden) }
    }

    fn scope(&self, principal: &Principal) -> Scope {
        let reads = self.rights(principal).filter(|(right, _)| *right == Right::ReadNetwork);
        match reads.map(|(_, reach)| reach == Reach::Anywhere).max() {
            None => Scope::nothing(),
            Some(true) => Scope::All,
            Some(false) => principal.stations().clone(),
        }
    }
}

/// Whether nothing but the end of a shipment that has not left is asked for.
fn only_cancels(command: &UpdateCargo) -> bool {
    let UpdateCargo { shipment_id: _, status, eta, location, metadata, precondition: _ } = command;
    *status == Some(CargoStatus::Cancelled) && eta.is_none() && location.is_none() && metadata.is_none()
}

/// The rights that a change of a station needs: one at least.
fn needed_for(command: &AdjustInventory) -> impl Iterator<Item = Right> {
    let renames = command.name.is_some() || command.metadata.is_some();
    let adjusts = !command.adjustments.is_empty() || !renames;
    let rights = [(adjusts, Right::AdjustInventory), (renames, Right::RenameStation)];
    rights.into_iter().filter_map(|(is_needed, right)| is_needed.then_some(right))
}
