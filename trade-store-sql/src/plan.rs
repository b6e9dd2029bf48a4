//! Which index a list is read by.
//!
//! Every filter has a walk: an index that lists what it lets through, newest first. A list takes the walk of its most
//! telling filter and checks the others row by row. So that a page costs the same whatever the size of the table, it
//! then examines [`EXAMINED_MAX`] rows at most; what it found by then is the page, and the last row examined is where
//! the next one goes on.

use crate::rows::stored;
use trade_core::resource::Sequence;
use trade_core::store::{CargoFilter, TradeFilter};
use trade_core::values::Scope;

/// How many rows a page examines where not every row of its walk belongs to it.
pub(crate) const EXAMINED_MAX: i64 = 2_000;

/// Of one station so many walks are merged, or about as many.
const WALKS_MIN: i64 = 4;

/// A filter of trades that has a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TradeNarrowing {
    Seller,
    Buyer,
    Station,
    Item,
    Status,
}

/// A filter of shipments that has a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CargoNarrowing {
    Origin,
    Destination,
    /// Walks what is not final; whether it is late is checked on each row.
    Late,
    Status,
}

/// How a list is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan<N> {
    /// Whose walk is taken; none where it is that of a scope, or of the whole table.
    pub(crate) walk: Option<N>,
    /// What is checked on each row.
    pub(crate) checks: Vec<N>,
}

impl Plan<TradeNarrowing> {
    pub(crate) fn of_trades(filter: &TradeFilter) -> Self {
        use TradeNarrowing::{Buyer, Item, Seller, Station, Status};
        Self::of(
            &filter.scope,
            [
                (Seller, filter.seller.is_some()),
                (Buyer, filter.buyer.is_some()),
                (Station, filter.station.is_some()),
                (Item, filter.item.is_some()),
                (Status, filter.status.is_some()),
            ],
        )
    }
}

impl Plan<CargoNarrowing> {
    pub(crate) fn of_cargo(filter: &CargoFilter) -> Self {
        use CargoNarrowing::{Destination, Late, Origin, Status};
        let mut plan = Self::of(
            &filter.scope,
            [
                (Origin, filter.origin.is_some()),
                (Destination, filter.destination.is_some()),
                (Late, filter.late_at.is_some()),
                (Status, filter.status.is_some()),
            ],
        );
        if plan.walk == Some(Late) {
            plan.checks.push(Late);
        }
        plan
    }
}

impl<N: Copy> Plan<N> {
    /// The first narrowing present is walked; they come most telling first. Of a scope its own ends are, so that whatever
    /// else narrows the list, no row is examined that is out of it.
    fn of<const COUNT: usize>(scope: &Scope, narrowings: [(N, bool); COUNT]) -> Self {
        let mut present =
            narrowings.into_iter().filter_map(|(narrowing, present)| present.then_some(narrowing));
        let walk = if *scope == Scope::All { present.next() } else { None };
        Self { walk, checks: present.collect() }
    }

    /// How many rows of the walk a page may examine. Where several are merged, each of them is read so far: of many, a page
    /// examines less, and reads no more than of a few.
    pub(crate) fn examined_max(&self, limit: usize, walks: usize) -> i64 {
        let of_each = EXAMINED_MAX * WALKS_MIN / i64::try_from(walks).unwrap_or(i64::MAX).max(WALKS_MIN);
        if self.checks.is_empty() { one_more(limit) } else { of_each.max(one_more(limit)) }
    }
}

/// A page asks for one row more than it lists, to know whether there is a next one.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// The sequences that a list is cut from: both ends excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) after: i64,
    pub(crate) before: i64,
}

impl Span {
    /// From the last sequences before `since` and before `until`, and the position of the page before.
    pub(crate) fn new(since: Option<i64>, until: Option<i64>, before: Option<Sequence>) -> Self {
        let before = before.map_or(i64::MAX, stored);
        Self {
            after: since.unwrap_or(0),
            before: until.map_or(before, |last| before.min(last.saturating_add(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_filter_is_walked_and_leaves_nothing_to_check() {
        let filter = TradeFilter { item: Some("tea".try_into().unwrap()), ..TradeFilter::default() };
        let plan = Plan::of_trades(&filter);
        assert_eq!(plan, Plan { walk: Some(TradeNarrowing::Item), checks: vec![] });
        assert_eq!(plan.examined_max(50, 1), 51);
    }

    #[test]
    fn what_is_late_is_checked_even_where_its_walk_is_taken() {
        let filter =
            CargoFilter { late_at: Some(trade_core::values::Timestamp::EPOCH), ..CargoFilter::default() };
        let plan = Plan::of_cargo(&filter);
        assert_eq!(plan, Plan { walk: Some(CargoNarrowing::Late), checks: vec![CargoNarrowing::Late] });
        assert_eq!(plan.examined_max(50, 1), EXAMINED_MAX);
        assert_eq!((plan.examined_max(50, 8), plan.examined_max(50, 1_000)), (EXAMINED_MAX / 2, 51));
    }
}
