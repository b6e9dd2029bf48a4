//! From lines to commands: what is to be sent to the network, in the order of the file, and what must come of it.
//! Pure: no input, no output.

use super::dates::{Column, Order};
use super::ids;
use super::line::{Goods, Meaning, Reason, Record, is_no_goods, meaning};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use trade_core::command::{AdjustInventory, Adjustment, AdjustmentReason, InitiateTrade};
use trade_core::resource::{Line, Lines};
use trade_core::values::{InvalidValue, ItemId, Label, Quantity, StationId, TransactionId};

/// The most lines of one command, by the network's rules.
const LINES_MAX: usize = 5_000;
/// Goes into the digest: a change of the mapping makes another plan out of the same file.
const MAPPING: &[u8] = b"replay mapping 1";

/// Everything that a file asks of the network.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Stands for the content of the file: another file has another one.
    pub(crate) digest: String,
    /// The stations with the stock they need, so that no step of the file finds too little.
    pub(crate) stations: Vec<Opening>,
    /// Opening stock past what a station may be made with.
    pub(crate) top_ups: Vec<AdjustInventory>,
    /// Trades and adjustments, in the order of the file.
    pub(crate) actions: Vec<Action>,
    /// What every station must hold in the end, items that it no longer holds included.
    pub(crate) expected: BTreeMap<StationId, BTreeMap<ItemId, u64>>,
    /// Where the lines went.
    pub(crate) tally: Tally,
}

/// A station and what it opens with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) station: StationId,
    /// Names the replay it belongs to, so that another file is not mixed into its stock.
    pub(crate) name: Label,
    pub(crate) items: Vec<(ItemId, Quantity)>,
}

/// A command of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// An invoice, or a cancellation: a trade back.
    Trade {
        trade: InitiateTrade,
        /// Whether it is a cancellation.
        back: bool,
        /// The numbers of its lines in the file, before those alike were added up.
        lines: Vec<u64>,
    },
    /// Corrections of the warehouse that stand together.
    Adjust(AdjustInventory),
}

/// Where the lines of the file went. Every physical line behind the header is counted once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) read: u64,
    /// Invoices of any kind, cancellations and corrections included.
    pub(crate) invoices: u64,
    pub(crate) sold: u64,
    pub(crate) returned: u64,
    pub(crate) adjusted: u64,
    /// Lines with nothing on them.
    pub(crate) empty: u64,
    /// The others, by their numbers.
    pub(crate) skipped: Vec<(u64, Reason)>,
}

impl Tally {
    /// Lines that become commands.
    pub(crate) fn taken(&self) -> u64 {
        self.sold + self.returned + self.adjusted
    }

    /// The numbers of the lines that were left out, by reason.
    pub(crate) fn accounted(&self) -> BTreeMap<&str, Vec<u64>> {
        let mut reasons: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        self.skipped.iter().for_each(|(line, reason)| reasons.entry(reason).or_default().push(*line));
        reasons
    }

    /// Whether no line was lost.
    pub(crate) fn is_complete(&self) -> bool {
        self.taken() + self.empty + self.skipped.len() as u64 == self.read
    }

    /// Whether nothing was taken, or most was left out for one reason, or could not be read for several: the file is not
    /// what it is taken for.
    pub(crate) fn is_mostly_lost(&self) -> bool {
        let most_of_one = self.accounted().values().map(Vec::len).max().unwrap_or(0);
        let unread = self.skipped.iter().filter(|(_, reason)| !is_no_goods(reason)).count();
        self.taken() == 0 || 2 * most_of_one.max(unread) as u64 > self.read - self.empty
    }
}

/// Takes the lines of a file, one after the other.
#[derive(Debug)]
pub(crate) struct Planner {
    warehouse: StationId,
    dates: Column,
    digest: Sha256,
    drafts: Vec<Draft>,
    /// Where the trade of an invoice with a party stands among the drafts.
    open: HashMap<(String, StationId), usize>,
    /// Trades of an invoice so far.
    trades: HashMap<String, u32>,
    invoices: HashSet<String>,
    tally: Tally,
}

/// A command that lines are still added to.
#[derive(Debug)]
enum Draft {
    Trade { id: TransactionId, first: Goods, back: bool, items: Vec<Line>, lines: Vec<u64> },
    Adjust(Vec<Adjustment>),
}

impl Planner {
    /// With the order that dates are to be read in, where it was said.
    pub(crate) fn new(dates: Option<Order>) -> Result<Self, InvalidValue> {
        Ok(Self {
            warehouse: StationId::new(ids::WAREHOUSE)?,
            dates: Column::new(dates),
            digest: Sha256::new_with_prefix(MAPPING),
            drafts: Vec::new(),
            open: HashMap::new(),
            trades: HashMap::new(),
            invoices: HashSet::new(),
            tally: Tally::default(),
        })
    }

    /// Takes a record, and the lines that it stands on.
    pub(crate) fn add(&mut self, record: &Record, line: u64, lines: u64) {
        let Record { invoice, code, description, quantity, date, price, customer, country } = record;
        for field in [invoice, code, description, quantity, date, price, customer, country] {
            self.digest.update(field.as_bytes());
            self.digest.update([0]);
        }
        if !self.invoices.contains(invoice) {
            self.invoices.insert(invoice.clone());
            self.tally.invoices += 1;
        }
        let time = self.dates.read(date, line);
        let numbers = line..line + lines;
        match meaning(record, time).and_then(|meaning| self.draft(invoice, meaning, numbers)) {
            Ok(()) => self.tally.read += lines,
            Err(reason) => self.leave_out(line, lines, &reason),
        }
    }

    /// Takes lines that are none of the file's form.
    pub(crate) fn skip(&mut self, line: u64, lines: u64, reason: &Reason) {
        self.digest.update(reason.as_bytes());
        self.leave_out(line, lines, reason);
    }

    /// Takes lines with nothing on them.
    pub(crate) fn add_empty(&mut self, lines: u64) {
        self.tally.read += lines;
        self.tally.empty += lines;
    }

    fn leave_out(&mut self, line: u64, lines: u64, reason: &Reason) {
        self.tally.read += lines;
        self.tally.skipped.extend((line..line + lines).map(|line| (line, reason.clone())));
    }

    fn draft(&mut self, invoice: &str, meaning: Meaning, numbers: Range<u64>) -> Result<(), Reason> {
        let count = numbers.end - numbers.start;
        match meaning {
            Meaning::Sale(goods) => {
                self.draft_trade(invoice, goods, false, numbers)?;
                self.tally.sold += count;
            }
            Meaning::Return(goods) => {
                self.draft_trade(invoice, goods, true, numbers)?;
                self.tally.returned += count;
            }
            Meaning::Adjustment { item, delta, reason } => {
                let adjustment = Adjustment { item_id: item, delta, reason };
                match self.drafts.last_mut() {
                    Some(Draft::Adjust(lines)) if lines.len() < LINES_MAX => lines.push(adjustment),
                    _ => self.drafts.push(Draft::Adjust(vec![adjustment])),
                }
                self.tally.adjusted += count;
            }
        }
        Ok(())
    }

    /// Adds a line to the trade of its invoice and party; each trade holds the lines of one party, and 5 000 at most.
    fn draft_trade(
        &mut self,
        invoice: &str,
        goods: Goods,
        back: bool,
        numbers: Range<u64>,
    ) -> Result<(), Reason> {
        let item =
            Line { item_id: goods.item.clone(), quantity: goods.quantity, unit_price: Some(goods.price) };
        let key = (invoice.to_owned(), goods.party.clone());
        if let Some(Draft::Trade { items, lines, .. }) =
            self.open.get(&key).and_then(|place| self.drafts.get_mut(*place))
            && items.len() < LINES_MAX
        {
            items.push(item);
            lines.extend(numbers);
            return Ok(());
        }
        let nth = self.trades.entry(invoice.to_owned()).or_default();
        let id = ids::trade(invoice, *nth + 1).map_err(|_| "an InvoiceNo too long for an id")?;
        *nth += 1;
        self.open.insert(key, self.drafts.len());
        let (items, lines) = (vec![item], numbers.collect());
        self.drafts.push(Draft::Trade { id, first: goods, back, items, lines });
        Ok(())
    }

    /// The plan, once every line was taken.
    ///
    /// # Errors
    /// Why the file makes none: its dates can be read in two ways.
    pub(crate) fn finish(self) -> Result<Plan, Box<dyn std::error::Error>> {
        let Self { warehouse, dates, mut digest, drafts, tally, .. } = self;
        let order = dates.order()?;
        // The same words are another plan then.
        if dates.depends() && order == Order::DayFirst {
            digest.update(b"day first");
        }
        let digest: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let actions: Vec<_> =
            drafts.into_iter().map(|draft| draft.action(&warehouse, order)).collect::<Result<_, _>>()?;
        let mut stock = Stock::default();
        for action in &actions {
            stock.apply(action);
        }
        stock.levels.entry(warehouse.clone()).or_default();
        let (stations, top_ups) = stock.openings(&warehouse, &digest)?;
        Ok(Plan { digest, stations, top_ups, actions, expected: stock.expected(), tally })
    }
}

impl Draft {
    fn action(self, warehouse: &StationId, order: Order) -> Result<Action, Box<dyn std::error::Error>> {
        let (id, first, back, items, lines) = match self {
            Self::Adjust(adjustments) => {
                return Ok(Action::Adjust(AdjustInventory::new(warehouse.clone(), adjustments)));
            }
            Self::Trade { id, first, back, items, lines } => (id, first, back, items, lines),
        };
        let (buyer, seller) =
            if back { (warehouse.clone(), first.party) } else { (first.party, warehouse.clone()) };
        // The goods of an invoice left with it; `createdAt` is the network's clock, and tells when it was replayed.
        let eta = first.time.at(order);
        let trade = InitiateTrade { eta, ..InitiateTrade::new(id, buyer, seller, Lines::new(items)?) };
        Ok(Action::Trade { trade, back, lines })
    }
}

/// How the stock of every station moves from an opening of nothing, and how far below that it goes.
#[derive(Debug, Default)]
struct Stock {
    levels: BTreeMap<StationId, BTreeMap<ItemId, Level>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Level {
    now: i64,
    lowest: i64,
}

impl Level {
    /// What must have been there before, so that no step found too little.
    fn opening(self) -> u64 {
        self.lowest.unsigned_abs()
    }
}

impl Stock {
    fn apply(&mut self, action: &Action) {
        match action {
            Action::Trade { trade, .. } => {
                for (item, units) in trade.items.units_by_item() {
                    let units = i64::try_from(units).unwrap_or(i64::MAX);
                    self.move_by(&trade.seller, item, -units);
                    self.move_by(&trade.buyer, item, units);
                }
            }
            Action::Adjust(AdjustInventory { station_id, adjustments, .. }) => {
                // What counts is the sum per item: the network applies all lines of an adjustment in one step.
                let mut sums: BTreeMap<&ItemId, i64> = BTreeMap::new();
                for adjustment in adjustments {
                    *sums.entry(&adjustment.item_id).or_default() += adjustment.delta.units();
                }
                sums.into_iter().for_each(|(item, units)| self.move_by(station_id, item, units));
            }
        }
    }

    fn move_by(&mut self, station: &StationId, item: &ItemId, units: i64) {
        if !self.levels.contains_key(station) {
            self.levels.insert(station.clone(), BTreeMap::new());
        }
        let Some(items) = self.levels.get_mut(station) else { return };
        let level = items.entry(item.clone()).or_default();
        level.now += units;
        level.lowest = level.lowest.min(level.now);
    }

    fn openings(
        &self,
        warehouse: &StationId,
        digest: &str,
    ) -> Result<(Vec<Opening>, Vec<AdjustInventory>), Box<dyn std::error::Error>> {
        let received = AdjustmentReason::try_from("received")?;
        let mut openings = Vec::with_capacity(self.levels.len());
        let mut top_ups = Vec::new();
        for (station, levels) in &self.levels {
            let mut items = Vec::new();
            for (item, level) in levels.iter().filter(|(_, level)| level.opening() > 0) {
                items.push((item.clone(), Quantity::new(level.opening())?));
            }
            let rest = items.split_off(items.len().min(LINES_MAX));
            for chunk in rest.chunks(LINES_MAX) {
                let mut adjustments = Vec::with_capacity(chunk.len());
                for (item_id, quantity) in chunk {
                    let delta = trade_core::values::Delta::new(i64::try_from(quantity.units())?)?;
                    adjustments.push(Adjustment { item_id: item_id.clone(), delta, reason: received });
                }
                top_ups.push(AdjustInventory::new(station.clone(), adjustments));
            }
            let name = Label::new(format!("{station} of replay {digest}"))?;
            openings.push(Opening { station: station.clone(), name, items });
        }
        // First of all the station that tells soonest whether the store holds another replay.
        openings.sort_by_key(|opening| opening.station != *warehouse);
        Ok((openings, top_ups))
    }

    fn expected(&self) -> BTreeMap<StationId, BTreeMap<ItemId, u64>> {
        let held = |level: &Level| level.now.saturating_add_unsigned(level.opening()).unsigned_abs();
        let items = |levels: &BTreeMap<ItemId, Level>| {
            levels.iter().map(|(item, level)| (item.clone(), held(level))).collect()
        };
        self.levels.iter().map(|(station, levels)| (station.clone(), items(levels))).collect()
    }
}

#[cfg(test)]
mod tests;
