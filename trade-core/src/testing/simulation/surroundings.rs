//! What a simulation runs on, and who asks in it.

use crate::memory::MemoryStore;
use crate::policy::{Action, Denial, Every, Policy, Principal, State};
use crate::store::Store;
use crate::testing::fixtures::station;
use crate::values::Scope;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// What a simulation runs on, and who asks in it: a memory store, and a policy that refuses some of it, where nothing else is
/// said.
pub struct Surroundings {
    pub(super) open: Box<dyn Fn() -> Arc<dyn Store>>,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) principals: Vec<Principal>,
}

impl Debug for Surroundings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { open: _, policy, principals } = self;
        f.debug_struct("Surroundings").field("policy", policy).field("principals", principals).finish()
    }
}

impl Default for Surroundings {
    fn default() -> Self {
        let of = |stations: &[&str]| {
            let scope = Scope::of(stations.iter().map(|id| station(id))).expect("a few");
            Principal::new(crate::event::Actor::Anonymous).with_stations(scope)
        };
        let all = of(&[]).with_stations(Scope::All);
        Self {
            open: Box::new(|| Arc::new(MemoryStore::new())),
            policy: Arc::new(Every(vec![Arc::new(FromOwn), Arc::new(HalfReserved)])),
            principals: vec![all.clone(), all, of(&["S-0", "S-1", "S-2"]), of(&["S-1", "S-3"])],
        }
    }
}

impl Surroundings {
    /// The same on a store of one's own, which is made afresh for each run and must be empty. It must take the time that it
    /// waits for from Tokio.
    #[must_use]
    pub fn on(self, open: impl Fn() -> Arc<dyn Store> + 'static) -> Self {
        Self { open: Box::new(open), ..self }
    }

    /// The same under a policy of one's own, which must be pure. Each request is of one of the principals, under a name of its
    /// own. Their stations are `S-0` to `S-3`, which the network's owner opens with stock of `item-0` to `item-2`: those of
    /// [`World::SMALL`](crate::testing::strategies::World::SMALL).
    ///
    /// # Panics
    /// If there is no principal.
    #[must_use]
    pub fn under(self, policy: Arc<dyn Policy>, principals: Vec<Principal>) -> Self {
        assert!(!principals.is_empty(), "somebody asks");
        Self { policy, principals, ..self }
    }

    /// Who asks for a command.
    pub(super) fn principal(&self, number: usize) -> Principal {
        self.principals[number % self.principals.len()].clone()
    }
}

/// Trades, transfers and adjustments begin at one's own stations.
#[derive(Debug)]
struct FromOwn;

impl Policy for FromOwn {
    fn check(&self, principal: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
        let is_own = match action {
            Action::InitiateTrade(trade) => principal.stations().contains(&trade.seller),
            Action::CreateTransfer(transfer) => principal.stations().contains(&transfer.origin),
            other => principal.stations().touches(other.stations()),
        };
        if is_own { Ok(()) } else { Err(Denial::Forbidden) }
    }

    fn scope(&self, principal: &Principal) -> Scope {
        principal.stations().clone()
    }
}

/// Nothing is sold by whoever has reserved more than half of an item already: a rule that goes by the state.
#[derive(Debug)]
struct HalfReserved;

impl Policy for HalfReserved {
    fn check(&self, _: &Principal, action: &Action<'_>, state: &State<'_>) -> Result<(), Denial> {
        let Action::InitiateTrade(trade) = action else { return Ok(()) };
        let mut of_seller = state.levels().filter(|(station, ..)| **station == trade.seller);
        match of_seller.find(|(.., level)| level.reserved > level.on_hand / 2) {
            Some((_, item, level)) => {
                Err(Denial::Because(format!("{} of {item} are reserved", level.reserved)))
            }
            None => Ok(()),
        }
    }

    fn scope(&self, _: &Principal) -> Scope {
        Scope::All
    }
}
