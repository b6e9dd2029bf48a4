//! What moves when: the one table of the network.

use crate::resource::{MovementReason, Settlement};
use std::time::Duration;

/// How long a shipment is expected to take where nothing else is said.
pub const DEFAULT_LEAD_TIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A moment in the life of a shipment at which stock may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Initiated,
    Departed,
    Delivered,
    Cancelled,
    Returned,
    Lost,
}

/// What happens to the level of an item at one station, per unit shipped: −1, 0 or +1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) on_hand: i8,
    pub(super) reserved: i8,
    pub(super) incoming: i8,
}

/// Where goods move from or to, seen from the shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Origin,
    Destination,
    Transit,
    World,
}

/// The effects of a moment, and the physical movement it makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effects {
    pub(super) origin: Effect,
    pub(super) destination: Effect,
    pub(super) movement: Option<(End, End, MovementReason)>,
}

const NONE: Effect = Effect { on_hand: 0, reserved: 0, incoming: 0 };
const GIVE: Effect = Effect { on_hand: -1, ..NONE };
const TAKE: Effect = Effect { on_hand: 1, ..NONE };
const RESERVE: Effect = Effect { reserved: 1, ..NONE };
const RELEASE: Effect = Effect { reserved: -1, ..NONE };
const SEND: Effect = Effect { reserved: -1, on_hand: -1, ..NONE };
const EXPECT: Effect = Effect { incoming: 1, ..NONE };
const EXPECT_NO_MORE: Effect = Effect { incoming: -1, ..NONE };
const RECEIVE: Effect = Effect { incoming: -1, on_hand: 1, ..NONE };

pub(super) fn effects(moment: Moment, settlement: Settlement) -> Effects {
    use End::{Destination, Origin, Transit, World};
    use Moment::{Cancelled, Delivered, Departed, Initiated, Lost, Returned};
    use MovementReason as Reason;
    use Settlement::{Immediate, OnDelivery};
    let (origin, destination, movement) = match (moment, settlement) {
        (Initiated, Immediate) => (GIVE, TAKE, Some((Origin, Destination, Reason::TradeInitiated))),
        (Initiated, OnDelivery) => (RESERVE, EXPECT, None),
        (Departed, Immediate) => (NONE, NONE, None),
        (Departed, OnDelivery) => (SEND, NONE, Some((Origin, Transit, Reason::CargoDeparted))),
        (Delivered, Immediate) => (NONE, NONE, None),
        (Delivered, OnDelivery) => (NONE, RECEIVE, Some((Transit, Destination, Reason::CargoDelivered))),
        (Cancelled, Immediate) => (TAKE, GIVE, Some((Destination, Origin, Reason::TradeCancelled))),
        (Cancelled, OnDelivery) => (RELEASE, EXPECT_NO_MORE, None),
        (Returned, Immediate) => (TAKE, GIVE, Some((Destination, Origin, Reason::CargoReturned))),
        (Returned, OnDelivery) => (TAKE, EXPECT_NO_MORE, Some((Transit, Origin, Reason::CargoReturned))),
        (Lost, Immediate) => (NONE, GIVE, Some((Destination, World, Reason::CargoLost))),
        (Lost, OnDelivery) => (NONE, EXPECT_NO_MORE, Some((Transit, World, Reason::CargoLost))),
    };
    Effects { origin, destination, movement }
}
