use crate::resource::{Cargo, CargoStatus, Inventory, Sequence, Trade, TradeStatus};
use crate::values::{ItemId, Scope, StationId, Timestamp};

/// Some rows of a list, and the position to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, P> {
    /// The rows.
    pub rows: Vec<T>,
    /// The position of the last row examined; none at the end of the list.
    pub next: Option<P>,
    /// Where the rows were read from a copy that may be behind: everything up to this sequence is in it. None where they
    /// are of the newest commit.
    pub as_of: Option<Sequence>,
}

impl<T, P: Copy> Page<T, P> {
    /// A page of at most `limit` rows, out of the first ones that pass: one more than that where there are so many.
    /// `examined` is the position of the last row that was examined, where that ended before the list did.
    ///
    /// It is for stores: a full page goes on after its last row, a short one after the last row examined.
    pub fn of_one_more(mut rows: Vec<(P, T)>, limit: usize, examined: Option<P>) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(|(position, _)| *position) } else { examined };
        Self { rows: rows.into_iter().map(|(_, row)| row).collect(), next, as_of: None }
    }
}

/// A span of creation times: from `since` (included) to `until` (not included).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment.
    pub since: Option<Timestamp>,
    /// The first moment after it.
    pub until: Option<Timestamp>,
}

impl TimeRange {
    /// Whether a moment lies in it.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }
}

/// Which trades; what is absent narrows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TradeFilter {
    /// Those that a station of the scope buys or sells in.
    pub scope: Scope,
    /// Those this station buys or sells in.
    pub station: Option<StationId>,
    /// Those it buys in.
    pub buyer: Option<StationId>,
    /// Those it sells in.
    pub seller: Option<StationId>,
    /// Those of this status.
    pub status: Option<TradeStatus>,
    /// Those with a line of this item.
    pub item: Option<ItemId>,
    /// Those created in this span.
    pub created: TimeRange,
}

impl TradeFilter {
    /// The same, of what a scope shows.
    ///
    /// Of a scope that is in the filter already, the stations count that are in both: so it never shows more.
    #[must_use]
    pub(crate) fn shown_to(&self, scope: &Scope) -> Self {
        let named = [&self.station, &self.buyer, &self.seller].into_iter().flatten();
        Self { scope: left_of(&self.scope, scope, named), ..self.clone() }
    }

    /// Whether a trade passes.
    pub fn matches(&self, trade: &Trade) -> bool {
        let is =
            |wanted: &Option<StationId>, station: &StationId| wanted.as_ref().is_none_or(|id| id == station);
        let has = |item: &ItemId| trade.items.iter().any(|line| line.item_id == *item);
        self.scope.touches([&trade.buyer, &trade.seller])
            && self.station.as_ref().is_none_or(|id| *id == trade.buyer || *id == trade.seller)
            && is(&self.buyer, &trade.buyer)
            && is(&self.seller, &trade.seller)
            && self.status.is_none_or(|status| status == trade.status)
            && self.item.as_ref().is_none_or(has)
            && self.created.contains(trade.created_at)
    }
}

/// A page of trades.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeQuery {
    /// Which.
    pub filter: TradeFilter,
    /// Only those created before this sequence: the `next` of the page before.
    pub before: Option<Sequence>,
    /// The most rows.
    pub limit: usize,
}

impl TradeQuery {
    /// The first page.
    pub fn first(filter: TradeFilter, limit: usize) -> Self {
        Self { filter, before: None, limit }
    }
}

/// Which shipments; what is absent narrows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CargoFilter {
    /// Those from or to a station of the scope.
    pub scope: Scope,
    /// Those from this station.
    pub origin: Option<StationId>,
    /// Those to it.
    pub destination: Option<StationId>,
    /// Those of this status.
    pub status: Option<CargoStatus>,
    /// Those not final whose ETA is before this moment.
    pub late_at: Option<Timestamp>,
    /// Those created in this span.
    pub created: TimeRange,
}

impl CargoFilter {
    /// As [`TradeFilter::shown_to`].
    #[must_use]
    pub(crate) fn shown_to(&self, scope: &Scope) -> Self {
        let named = [&self.origin, &self.destination].into_iter().flatten();
        Self { scope: left_of(&self.scope, scope, named), ..self.clone() }
    }

    /// Whether a shipment passes.
    pub fn matches(&self, cargo: &Cargo) -> bool {
        self.scope.touches([&cargo.origin, &cargo.destination])
            && self.origin.as_ref().is_none_or(|id| *id == cargo.origin)
            && self.destination.as_ref().is_none_or(|id| *id == cargo.destination)
            && self.status.is_none_or(|status| status == cargo.status)
            && self.late_at.is_none_or(|now| cargo.eta < now && !cargo.status.is_final())
            && self.created.contains(cargo.created_at)
    }
}

/// A page of shipments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CargoQuery {
    /// Which.
    pub filter: CargoFilter,
    /// Only those created before this sequence: the `next` of the page before.
    pub before: Option<Sequence>,
    /// The most rows.
    pub limit: usize,
}

impl CargoQuery {
    /// The first page.
    pub fn first(filter: CargoFilter, limit: usize) -> Self {
        Self { filter, before: None, limit }
    }
}

/// What is left to check of a scope in a filter and the one it is shown to, where the filter names stations: nothing where
/// both have one of these.
fn left_of<'s>(asked: &Scope, shown: &Scope, mut named: impl Iterator<Item = &'s StationId>) -> Scope {
    let both = asked.within(shown);
    if named.any(|station| both.contains(station)) { Scope::All } else { both }
}

/// A page of stations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationQuery {
    /// Which.
    pub scope: Scope,
    /// Only those created before this sequence: the `next` of the page before.
    pub before: Option<Sequence>,
    /// The most stations.
    pub limit: usize,
    /// The most items of each.
    pub items_max: usize,
}

impl StationQuery {
    /// A page of all stations.
    pub fn all(before: Option<Sequence>, limit: usize, items_max: usize) -> Self {
        Self { scope: Scope::All, before, limit, items_max }
    }
}

/// Which items of a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryQuery {
    /// Only these; all where there is none.
    pub items: Vec<ItemId>,
    /// Only those after this one: the `next` of the page before.
    pub after: Option<ItemId>,
    /// The most items.
    pub limit: usize,
}

impl InventoryQuery {
    /// The first items, of all.
    pub fn first(limit: usize) -> Self {
        Self { items: Vec::new(), after: None, limit }
    }
}

/// A station with some of its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryPage {
    /// The station, its items ascending by id.
    pub inventory: Inventory,
    /// The last item listed, where more follow.
    pub next: Option<ItemId>,
}

/// A row's place in the ledger: by the sequence of the event that carries it, then by its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LedgerPosition {
    /// The event.
    pub sequence: Sequence,
    /// The place of the row among the event's movements, from 0.
    pub index: u32,
}

/// A page of a station's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerQuery {
    /// Only rows of this item.
    pub item: Option<ItemId>,
    /// Only rows before this position: the `next` of the page before.
    pub before: Option<LedgerPosition>,
    /// The most rows.
    pub limit: usize,
}

impl LedgerQuery {
    /// The newest rows, of all items.
    pub fn first(limit: usize) -> Self {
        Self { item: None, before: None, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_page_goes_on_after_the_last_row_examined_and_a_full_one_after_its_last_row() {
        let rows = vec![(9, 'a'), (7, 'b'), (5, 'c')];
        let full = Page { rows: vec!['a', 'b'], next: Some(7), as_of: None };
        assert_eq!(Page::of_one_more(rows.clone(), 2, Some(1)), full);
        assert_eq!(Page::of_one_more(rows.clone(), 3, Some(1)).next, Some(1));
        assert_eq!(Page::of_one_more(rows, 3, None).next, None);
    }
}
