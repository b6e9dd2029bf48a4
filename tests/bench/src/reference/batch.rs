//! The trades of a commit as rows, for references that write many at once.

use super::LEAD_TIME_MS;
use crate::report::Failure;
use std::collections::BTreeMap;
use tests::load::{Ends, Shape};

/// The events of a trade: its own, its shipment's, its stations'.
const EVENTS: i64 = 4;

/// What is written for a trade.
#[derive(Debug)]
pub(super) struct TradeRow {
    pub(super) sequence: i64,
    pub(super) id: String,
    pub(super) seller: i64,
    pub(super) buyer: i64,
    pub(super) item: String,
    pub(super) lines: String,
    /// Begins with the time, as the ids of fresh requests do.
    pub(super) request: [u8; 16],
}

impl TradeRow {
    pub(super) fn cargo(&self) -> i64 {
        self.sequence + 1
    }

    pub(super) fn ledger(&self) -> i64 {
        self.sequence + 2
    }

    pub(super) fn last(&self) -> i64 {
        self.sequence + EVENTS - 1
    }
}

/// So many trades from one on, with what they change together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) time: i64,
    pub(super) eta: i64,
    /// Where the log ends after them.
    pub(super) last: i64,
    pub(super) trades: Vec<TradeRow>,
    /// What each station has more or less of each item.
    pub(super) levels: BTreeMap<(i64, String), i64>,
    /// How often each station changes.
    pub(super) stations: BTreeMap<i64, i64>,
    /// The trades of each item, in the order of the index.
    pub(super) items: Vec<(String, i64)>,
}

impl Batch {
    pub(super) fn new(shape: Shape, first: u64, count: u64, time: i64) -> Result<Self, Failure> {
        let mut batch = Self {
            time,
            eta: time + LEAD_TIME_MS,
            last: i64::try_from(first + count)? * EVENTS,
            trades: Vec::with_capacity(usize::try_from(count)?),
            levels: BTreeMap::new(),
            stations: BTreeMap::new(),
            items: Vec::with_capacity(usize::try_from(count)?),
        };
        for number in first..first + count {
            batch.add(shape, number)?;
        }
        batch.items.sort_unstable();
        Ok(batch)
    }

    fn add(&mut self, shape: Shape, number: u64) -> Result<(), Failure> {
        let Ends { seller, buyer, item } = shape.ends(number);
        let (seller, buyer) = (i64::try_from(seller)?, i64::try_from(buyer)?);
        let item = Shape::item_name(item);
        let sequence = i64::try_from(number)? * EVENTS + 1;
        *self.levels.entry((seller, item.clone())).or_default() -= 1;
        *self.levels.entry((buyer, item.clone())).or_default() += 1;
        *self.stations.entry(seller).or_default() += 1;
        *self.stations.entry(buyer).or_default() += 1;
        self.items.push((item.clone(), sequence));
        self.trades.push(TradeRow {
            sequence,
            id: Shape::trade_name(number),
            seller,
            buyer,
            lines: super::lines(&item),
            item,
            request: super::request(self.time, number),
        });
        Ok(())
    }
}
