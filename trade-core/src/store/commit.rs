use crate::command::{Fingerprint, RequestId};
use crate::event::Event;
use crate::resource::{Cargo, LedgerEntry, Sequence, Station, StockLevel, Trade, Version};
use crate::step::Step;
use crate::values::{ItemId, ShipmentId, StationId, Timestamp, TransactionId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The newest sequence; 0 where nothing was written yet.
    pub sequence: Sequence,
    /// The time of the newest step; the epoch where there is none. Time never runs backwards along the log.
    pub time: Timestamp,
}

impl Head {
    /// The head of an empty log.
    pub const EMPTY: Self = Self { sequence: 0, time: Timestamp::EPOCH };
}

/// What a group of commands can touch, in key order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Trades.
    pub trades: BTreeSet<TransactionId>,
    /// Shipments.
    pub cargo: BTreeSet<ShipmentId>,
    /// Stations, without their stock.
    pub stations: BTreeSet<StationId>,
    /// Levels of single items.
    pub stock: BTreeSet<(StationId, ItemId)>,
    /// Stations whose first 5 000 items are wanted as well.
    pub inventories: BTreeSet<StationId>,
    /// Requests whose receipts are looked up.
    pub requests: BTreeSet<RequestId>,
}

/// What was found under [`Keys`]. A row may be listed twice.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The head of the log at that moment.
    pub head: Head,
    /// Trades.
    pub trades: Vec<Arc<Trade>>,
    /// Shipments.
    pub cargo: Vec<Arc<Cargo>>,
    /// Stations.
    pub stations: Vec<Station>,
    /// Levels.
    pub stock: Vec<StockRow>,
    /// Receipts.
    pub receipts: Vec<Receipt>,
}

/// The level of one item at one station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockRow {
    /// Where.
    pub station_id: StationId,
    /// Of what.
    pub item_id: ItemId,
    /// How much.
    pub level: StockLevel,
}

/// What remains of a request that was applied; or one for all requests without a key that were tried together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its id, or that of the first attempt at those.
    pub request: RequestId,
    /// What its content was; or which attempt this is.
    pub fingerprint: Fingerprint,
    /// When it was applied: the time of the last of its steps.
    pub time: Timestamp,
    /// Where its steps stand in the log; none where it has none.
    pub steps: Option<Span>,
    /// What its answer has that its steps do not tell, for a request that may be repeated; opaque to a store.
    pub answer: Option<Vec<u8>>,
}

/// Some steps that follow each other in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The sequence of the first event of the first of them.
    pub first: Sequence,
    /// The sequence of the last event of the last of them.
    pub last: Sequence,
}

impl Span {
    /// The same in a log that is longer before it by so many events.
    #[must_use]
    pub fn shifted(self, by: u64) -> Self {
        Self { first: self.first + by, last: self.last + by }
    }
}

/// A row that a commit depends on, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Write<K, T> {
    /// Its key.
    pub key: K,
    /// The version it must have; none where it must not exist.
    pub expected: Option<Version>,
    /// What it becomes; none where it is only read.
    pub value: Option<Arc<T>>,
    /// The sequence of the event that makes it, where it is new; otherwise 0.
    pub created: Sequence,
}

/// A level that a commit writes. Its station stands among the commit's stations, and guards it.
#[derive(Debug, Clone)]
pub struct StockWrite {
    /// Where, of what, how much.
    pub row: StockRow,
    /// Whether the station listed the item before.
    pub listed: bool,
}

/// A ledger row that a commit adds.
#[derive(Debug, Clone)]
pub struct LedgerWrite {
    /// The row.
    pub entry: LedgerEntry,
    /// Where neither end of the movement is a station (goods were lost on their way), the station whose event carries
    /// it: the row stands in that station's ledger.
    pub listed_at: Option<StationId>,
}

/// One step at its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// The sequence of its last event.
    pub last: Sequence,
    /// What happened. Kept as [`Step::encode`] writes it, or as it is.
    pub step: Arc<Step>,
}

impl LogRecord {
    /// The sequence of its first event; 0, which no event has, where a damaged record says that it ends too early.
    pub fn first(&self) -> Sequence {
        self.last.saturating_add(1).saturating_sub(self.step.event_count())
    }

    /// Where the log ends with it.
    pub fn head(&self) -> Head {
        Head { sequence: self.last, time: self.step.time }
    }

    /// Its events.
    pub fn events(&self) -> Vec<Event> {
        self.step.events(self.first())
    }
}

/// Everything that one commit stores, in key order.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The head of the log as it was loaded, or as the commit before this one leaves it. Sequences in this commit are counted from it.
    pub base: Head,
    /// The time of the newest step, and of the head from now on. The steps before it may be older, in order.
    pub time: Timestamp,
    /// Trades read and written.
    pub trades: Vec<Write<TransactionId, Trade>>,
    /// Shipments read and written.
    pub cargo: Vec<Write<ShipmentId, Cargo>>,
    /// Stations read and written.
    pub stations: Vec<Write<StationId, Station>>,
    /// Those of them that had another name or other metadata before: of the others that exist, both are stored as they are.
    pub described: BTreeSet<StationId>,
    /// Levels written.
    pub stock: Vec<StockWrite>,
    /// Ledger rows to add, in order; those of one event stand together.
    pub ledger: Vec<LedgerWrite>,
    /// Events about shipments that existed before theirs, in order. (A shipment's first event is its creation.)
    pub history: Vec<(ShipmentId, Sequence)>,
    /// Records to add to the log, in order.
    pub log: Vec<LogRecord>,
    /// Receipts to keep. The steps that they name are of [`Commit::log`], and move as these do.
    pub receipts: Vec<Receipt>,
}

impl Commit {
    /// How many sequences the commit takes.
    pub fn event_count(&self) -> u64 {
        self.log.last().map_or(0, |record| record.last.saturating_sub(self.base.sequence))
    }

    /// The time of the oldest step: the head it is added to must not be newer.
    pub fn time_first(&self) -> Timestamp {
        self.log.first().map_or(self.time, |record| record.step.time)
    }

    /// How far the head has moved since the commit was loaded, where the log now ends at `stored`: by as much its
    /// sequences move.
    ///
    /// # Errors
    /// Why it cannot stand behind that head: a [`Conflict`](super::StoreErrorKind::Conflict).
    pub fn shift_to(&self, stored: Head) -> Result<u64, String> {
        let first = self.time_first();
        if stored.time > first {
            return Err(format!("the log is at {} already, the commit at {first}", stored.time));
        }
        if stored.sequence == self.base.sequence && stored.time != self.base.time {
            return Err("the log is another one than the commit was loaded from".into());
        }
        let shift = stored.sequence.checked_sub(self.base.sequence);
        shift.ok_or_else(|| "the log is shorter than it was when the commit was loaded".into())
    }

    /// Where the log ends once the commit stands behind `stored`.
    pub fn head_after(&self, stored: Head) -> Head {
        // A commit of receipts alone adds no step, and so no newer time.
        let time = if self.event_count() > 0 { self.time } else { stored.time };
        Head { sequence: stored.sequence + self.event_count(), time }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::event::EventType;
    use crate::testing::fixtures::*;

    #[test]
    fn a_record_that_ends_before_it_can_have_begun_begins_nowhere() {
        let log = log_of(&[open_station("a", &[("tea", 1)]), open_station("b", &[])], start_time());
        assert_eq!(log[1].first(), 2);
        let step = crate::step::Step {
            kinds: vec![EventType::InventoryUpdated; 2],
            trade: None,
            stations: [log[0].step.stations.clone(), log[1].step.stations.clone()].concat(),
            ..(*log[0].step).clone()
        };
        for (last, first) in [(2, 1), (1, 0), (0, 0)] {
            assert_eq!(LogRecord { last, step: Arc::new(step.clone()) }.first(), first);
        }
    }
}
