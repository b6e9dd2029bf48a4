//! Which role may do what, and where.

use super::role::Role;
use crate::resource::words;
use crate::values::{Scope, StationId};

words! {
    /// One thing that somebody may do in a network.
    Right {
        /// To read trades, shipments, stations, ledgers and events.
        ReadNetwork = "readNetwork",
        /// To initiate a trade; each one of a batch by itself.
        InitiateTrade = "initiateTrade",
        /// To complete a trade, which delivers its shipment.
        CompleteTrade = "completeTrade",
        /// To cancel a trade, and its shipment with it.
        CancelTrade = "cancelTrade",
        /// To make a transfer.
        CreateTransfer = "createTransfer",
        /// To cancel a transfer that has not left yet.
        CancelTransfer = "cancelTransfer",
        /// To change a shipment: its status, and so that of its trade, its ETA, location or metadata.
        TrackCargo = "trackCargo",
        /// To adjust the stock of a station.
        AdjustInventory = "adjustInventory",
        /// To change the name or metadata of a station.
        RenameStation = "renameStation",
        /// To open a station.
        CreateStation = "createStation",
        /// To read analytics of all stations; those of one station ask for no more than to read it.
        ReadAnalytics = "readAnalytics",
        /// To read the audit trail.
        ReadAudit = "readAudit",
        /// To read the metrics of a server.
        ReadMetrics = "readMetrics",
        /// To make, list, rotate and revoke keys.
        ManageKeys = "manageKeys",
    }
}

words! {
    /// How far a right of a role goes: which of the stations that something is about must be its own.
    Reach {
        /// Everywhere, whatever is its own.
        Anywhere = "anywhere",
        /// Where one of its stations is touched, as trades, shipments and events are shown.
        Touched = "what touches its stations",
        /// Only where every station is its own (`*`).
        AllOwn = "if all stations are its own",
        /// At the station itself.
        Station = "its stations",
        /// Where it owns the seller.
        Seller = "own seller",
        /// Where it owns the buyer.
        Buyer = "own buyer",
        /// Where it owns the seller, the buyer or both.
        SellerOrBuyer = "own seller or buyer",
        /// Where it owns the origin.
        Origin = "own origin",
        /// Where it owns the origin, the destination or both.
        OriginOrDestination = "own origin or destination",
    }
}

impl Reach {
    /// Whether what is about these stations is within it, for somebody to whom those of `own` belong. The first station is the
    /// one that gives (seller, origin), or the only one.
    pub(super) fn holds<'s>(self, own: &Scope, about: impl IntoIterator<Item = &'s StationId>) -> bool {
        let mut about = about.into_iter();
        let mut owns_next = || about.next().is_some_and(|station| own.contains(station));
        match self {
            Self::Anywhere => true,
            Self::AllOwn => *own == Scope::All,
            Self::Station | Self::Seller | Self::Origin => owns_next(),
            Self::Buyer => {
                owns_next();
                owns_next()
            }
            Self::Touched | Self::SellerOrBuyer | Self::OriginOrDestination => owns_next() || owns_next(),
        }
    }
}

/// A right, with the roles that have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permission {
    /// The right.
    pub right: Right,
    /// The roles, each with how far it goes. No other role has it.
    pub roles: &'static [(Role, Reach)],
}

const fn permission(right: Right, roles: &'static [(Role, Reach)]) -> Permission {
    Permission { right, roles }
}

/// Every right, with the roles that have it: what [`StationRoles`](super::StationRoles) decides by. What does not stand here
/// is denied.
pub const PERMISSIONS: &[Permission] = {
    use Reach::*;
    use Role::*;
    &[
        permission(
            Right::ReadNetwork,
            &[
                (Viewer, Touched),
                (Trader, Touched),
                (Carrier, Touched),
                (Stockkeeper, Touched),
                (Auditor, Anywhere),
                (Admin, Anywhere),
            ],
        ),
        permission(Right::InitiateTrade, &[(Trader, Seller), (Admin, Anywhere)]),
        permission(Right::CompleteTrade, &[(Carrier, SellerOrBuyer), (Admin, Anywhere)]),
        permission(Right::CancelTrade, &[(Trader, SellerOrBuyer), (Admin, Anywhere)]),
        permission(Right::CreateTransfer, &[(Stockkeeper, Origin), (Admin, Anywhere)]),
        permission(Right::CancelTransfer, &[(Stockkeeper, Origin), (Admin, Anywhere)]),
        permission(Right::TrackCargo, &[(Carrier, OriginOrDestination), (Admin, Anywhere)]),
        permission(Right::AdjustInventory, &[(Stockkeeper, Station), (Admin, Anywhere)]),
        permission(Right::RenameStation, &[(Stockkeeper, Station), (Admin, Anywhere)]),
        permission(Right::CreateStation, &[(Admin, Anywhere)]),
        permission(
            Right::ReadAnalytics,
            &[
                (Viewer, AllOwn),
                (Trader, AllOwn),
                (Carrier, AllOwn),
                (Stockkeeper, AllOwn),
                (Auditor, Anywhere),
                (Admin, Anywhere),
            ],
        ),
        permission(Right::ReadAudit, &[(Auditor, Anywhere), (Admin, Anywhere)]),
        permission(Right::ReadMetrics, &[(Auditor, Anywhere), (Admin, Anywhere)]),
        permission(Right::ManageKeys, &[(Admin, Anywhere)]),
    ]
};

/// What comes on top where [`StationRoles::buyers_may_initiate`](super::StationRoles::buyers_may_initiate) is set.
pub const BUYERS_MAY_INITIATE: Permission = permission(Right::InitiateTrade, &[(Role::Trader, Reach::Buyer)]);

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> String {
        let heads: String = Role::ALL.iter().map(|role| format!(" `{role}` |")).collect();
        let mut text = format!("/// | right |{heads}\n/// |---|{}\n", "---|".repeat(Role::ALL.len()));
        for permission in PERMISSIONS {
            let cell = |role: &Role| {
                let reach = permission.roles.iter().find(|(allowed, _)| allowed == role);
                format!(" {} |", reach.map_or("–", |(_, reach)| reach.as_str()))
            };
            let cells: String = Role::ALL.iter().map(cell).collect();
            text.push_str(&format!("/// | `{}` |{cells}\n", permission.right));
        }
        text
    }

    #[test]
    fn the_table_in_the_documentation_is_the_one_that_decides() {
        let (documentation, table) = (include_str!("station_roles.rs"), table());
        assert!(documentation.contains(&table), "the table is:\n{table}");
    }

    #[test]
    fn every_right_stands_in_the_table_once_and_each_role_at_most_once_in_a_row() {
        let rights: Vec<_> = PERMISSIONS.iter().map(|permission| permission.right).collect();
        assert_eq!(rights, Right::ALL);
        for permission in PERMISSIONS {
            let ascending = permission.roles.is_sorted_by(|(one, _), (next, _)| one < next);
            assert!(ascending && !permission.roles.is_empty(), "{permission:?}");
        }
    }
}
