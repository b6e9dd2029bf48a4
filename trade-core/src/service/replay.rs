//! First answers, given again. A receipt names the steps of its request; the answer is made again from them, and from what
//! the receipt keeps because they do not tell it.
//!
//! An adjustment answers the first 5 000 items of its station, of which its step tells a few. Those of a large station are
//! kept whole now and then; the answers that follow name that receipt, their base, and keep what differs.

use super::ServiceError;
use crate::command::{CargoOutcome, Outcome, RequestId, TradeOutcome};
use crate::hash::HashMap;
use crate::rejection::Rejection;
use crate::resource::{Inventory, StockItem, StockLevel};
use crate::step::Step;
use crate::store::{Keys, LogRecord, Receipt, Span, Store, StoreError, StoreErrorKind};
use crate::values::{ItemId, StationId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How much older than a receipt its base may be. Receipts are kept for so much longer than was promised.
pub(super) const BASE_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// Inventories of fewer items are kept whole.
const BASE_ITEMS_MIN: usize = 64;
/// How many items all bases that are remembered have.
const BASES_ITEMS_MAX: usize = 64 * Inventory::ITEMS_MAX;
const READ_RECORDS: usize = 512;
const READ_BYTES: usize = 4 << 20;

/// The form of what a receipt keeps of an answer, which is its first byte; the rest is JSON of [`Kept`]. A form that was
/// released is read for good.
const FORM: u8 = 1;

/// What a receipt keeps of an answer.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    name: Option<String>,
    rest: Rest,
}

/// What the steps do not tell of it.
#[derive(Debug, Serialize, Deserialize)]
enum Rest {
    /// Trade and shipment are those of the step.
    Trade { created: bool },
    /// Shipment and trade are those of the step.
    Cargo { created: bool },
    /// One a trade of a batch.
    Trades(Vec<RestOfTrade>),
    /// The station is that of the step; its items are the base's, and in their place these, and in theirs the step's.
    Inventory { base: Option<[u8; 16]>, items: Vec<StockItem> },
    /// They tell nothing of it.
    Whole(Outcome),
}

#[derive(Debug, Serialize, Deserialize)]
enum RestOfTrade {
    /// It is the next step's.
    Made,
    /// It was there before, its shipment asked for at this time of arrival, which is no part of what is shown of it.
    Known(TradeOutcome, Option<Timestamp>),
    Refused(Rejection),
}

/// The inventories that were last kept whole, by station.
#[derive(Debug, Default)]
pub(super) struct Bases(HashMap<StationId, Base>);

#[derive(Debug)]
struct Base {
    request: RequestId,
    time: Timestamp,
    inventory: Arc<Inventory>,
    /// The items that were kept beside it since.
    kept_beside: usize,
}

impl Bases {
    /// What the receipt of a request keeps of its answer, where these are its steps. None where it cannot be written, which
    /// is a defect: the request is answered, and not applied again, but a repetition is told that it is another.
    pub(super) fn keep(
        &mut self,
        request: RequestId,
        name: Option<&String>,
        outcome: &Outcome,
        steps: &[LogRecord],
    ) -> Option<Vec<u8>> {
        let rest = self.rest(request, outcome, steps).unwrap_or_else(|| Rest::Whole(outcome.clone()));
        let kept = Kept { name: name.cloned(), rest };
        let mut bytes = vec![FORM];
        match serde_json::to_writer(&mut bytes, &kept) {
            Ok(()) => Some(bytes),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be kept");
                None
            }
        }
    }

    /// None where the steps are not those of such an answer.
    fn rest(&mut self, request: RequestId, outcome: &Outcome, steps: &[LogRecord]) -> Option<Rest> {
        let mut steps = steps.iter().map(|record| &*record.step);
        match outcome {
            Outcome::Trade(trade) => {
                tells(steps.next()?, trade).then_some(Rest::Trade { created: trade.created })
            }
            Outcome::Cargo(CargoOutcome { created, cargo, trade }) => {
                let step = steps.next()?;
                let is_told = step.cargo.as_ref() == Some(cargo) && step.trade == *trade;
                is_told.then_some(Rest::Cargo { created: *created })
            }
            Outcome::Trades(trades) => {
                let mut rest = |trade: &Result<TradeOutcome, Rejection>| match trade {
                    Ok(made) if made.created => tells(steps.next()?, made).then_some(RestOfTrade::Made),
                    Ok(known) => Some(RestOfTrade::Known(known.clone(), known.cargo.requested_eta)),
                    Err(rejection) => Some(RestOfTrade::Refused(rejection.clone())),
                };
                trades.iter().map(&mut rest).collect::<Option<_>>().map(Rest::Trades)
            }
            Outcome::Inventory(inventory) => self.rest_of_inventory(request, inventory, steps.next()?),
        }
    }

    fn rest_of_inventory(
        &mut self,
        request: RequestId,
        inventory: &Arc<Inventory>,
        step: &Step,
    ) -> Option<Rest> {
        let told = step.stations.first()?;
        // An update of a station makes it another version: the rest of it follows from that.
        if (&inventory.station_id, inventory.version) != (&told.station_id, told.version) {
            return None;
        }
        let is_told =
            |item: &StockItem| told.items.binary_search_by(|t| t.item_id.cmp(&item.item_id)).is_ok();
        let untold = inventory.items.iter().filter(|item| !is_told(item));
        if let Some(base) = self.0.get_mut(&inventory.station_id)
            && base.is_fresh(step.time)
        {
            let items: Vec<_> = untold.clone().filter(|item| !base.has(item)).cloned().collect();
            // Once as much was kept beside it as it has itself, another one costs less.
            base.kept_beside += items.len();
            if base.kept_beside <= inventory.items.len() {
                return Some(Rest::Inventory { base: Some(base.request.0), items });
            }
        }
        self.remember(request, inventory, step.time);
        Some(Rest::Inventory { base: None, items: untold.cloned().collect() })
    }

    /// Remembers an inventory that is kept whole, where it is large and there is room.
    fn remember(&mut self, request: RequestId, inventory: &Arc<Inventory>, time: Timestamp) {
        self.0.remove(&inventory.station_id);
        let items = inventory.items.len();
        let room = |bases: &Self| bases.0.values().map(|base| base.inventory.items.len()).sum::<usize>();
        if items < BASE_ITEMS_MIN {
            return;
        }
        if room(self) + items > BASES_ITEMS_MAX {
            self.0.retain(|_, base| base.is_fresh(time));
        }
        if room(self) + items <= BASES_ITEMS_MAX {
            let base = Base { request, time, inventory: inventory.clone(), kept_beside: 0 };
            self.0.insert(inventory.station_id.clone(), base);
        }
    }
}

impl Base {
    /// Whether a receipt of a time may name it.
    fn is_fresh(&self, time: Timestamp) -> bool {
        time <= self.time.plus(BASE_AGE_MAX)
    }

    fn has(&self, item: &StockItem) -> bool {
        let items = &self.inventory.items;
        let found = items.binary_search_by(|known| known.item_id.cmp(&item.item_id));
        found.is_ok_and(|place| items[place].level == item.level)
    }
}

fn tells(step: &Step, outcome: &TradeOutcome) -> bool {
    step.trade.as_ref() == Some(&outcome.trade) && step.cargo.as_ref() == Some(&outcome.cargo)
}

/// Makes the answer again that a receipt was kept of, with the name of its request.
///
/// # Errors
/// [`ServiceError::Unknown`] where its steps cannot be read: that it was applied, the receipt tells.
/// [`Rejection::RequestReused`] where its base is gone, after the time for which it was to be kept.
pub(super) async fn answer(
    store: &dyn Store,
    receipt: &Receipt,
) -> Result<(Option<String>, Outcome), ServiceError> {
    let Kept { name, rest } = read(receipt)?;
    let steps = steps(store, receipt.steps).await.map_err(failed)?;
    let mut steps = steps.iter().map(|record| &*record.step);
    let outcome = match rest {
        Rest::Whole(outcome) => outcome,
        Rest::Trade { created } => Outcome::Trade(trade_of(steps.next(), created)?),
        Rest::Cargo { created } => Outcome::Cargo(cargo_of(steps.next(), created)?),
        Rest::Trades(trades) => {
            let mut trade = |rest| match rest {
                RestOfTrade::Made => trade_of(steps.next(), true).map(Ok),
                RestOfTrade::Known(known, requested_eta) => Ok(Ok(as_known(known, requested_eta))),
                RestOfTrade::Refused(rejection) => Ok(Err(rejection)),
            };
            Outcome::Trades(trades.into_iter().map(&mut trade).collect::<Result<_, _>>()?)
        }
        Rest::Inventory { base, items } => {
            let mut levels = BTreeMap::new();
            if let Some(base) = base {
                add_base(store, RequestId(base), &mut levels).await?;
            }
            let told = steps.next().and_then(|step| step.stations.first()).ok_or_else(other_step)?;
            add(&mut levels, items);
            Outcome::Inventory(Arc::new(inventory(told, levels)))
        }
    };
    Ok((name, outcome))
}

fn as_known(mut known: TradeOutcome, requested_eta: Option<Timestamp>) -> TradeOutcome {
    Arc::make_mut(&mut known.cargo).requested_eta = requested_eta;
    known
}

type Levels = BTreeMap<ItemId, StockLevel>;

fn add(levels: &mut Levels, items: Vec<StockItem>) {
    levels.extend(items.into_iter().map(|StockItem { item_id, level }| (item_id, level)));
}

/// The station as a step tells of it, with the levels known of it and those that the step tells.
fn inventory(told: &Inventory, mut levels: Levels) -> Inventory {
    add(&mut levels, told.items.clone());
    let items = levels.into_iter().map(|(item_id, level)| StockItem { item_id, level });
    Inventory { items: items.take(Inventory::ITEMS_MAX).collect(), ..told.clone() }
}

/// Adds the levels that the receipt of another request kept whole.
async fn add_base(store: &dyn Store, base: RequestId, levels: &mut Levels) -> Result<(), ServiceError> {
    let keys = Keys { requests: [base].into(), ..Keys::default() };
    let loaded = store.load(&keys).await.map_err(failed)?;
    // Where it is gone, the time is over for which both were to be kept. The request is not applied again even so.
    let receipt = loaded.receipts.first().ok_or(Rejection::RequestReused)?;
    let Rest::Inventory { base: None, items } = read(receipt)?.rest else { return Err(other_step()) };
    let steps = steps(store, receipt.steps).await.map_err(failed)?;
    let told = steps.first().and_then(|record| record.step.stations.first()).ok_or_else(other_step)?;
    add(levels, items);
    add(levels, told.items.clone());
    Ok(())
}

fn trade_of(step: Option<&Step>, created: bool) -> Result<TradeOutcome, ServiceError> {
    let both = step.and_then(|step| step.trade.clone().zip(step.cargo.clone()));
    both.map(|(trade, cargo)| TradeOutcome { created, trade, cargo }).ok_or_else(other_step)
}

fn cargo_of(step: Option<&Step>, created: bool) -> Result<CargoOutcome, ServiceError> {
    let found = step.and_then(|step| Some((step.cargo.clone()?, step.trade.clone())));
    found.map(|(cargo, trade)| CargoOutcome { created, cargo, trade }).ok_or_else(other_step)
}

/// The records of some steps, all of them.
async fn steps(store: &dyn Store, span: Option<Span>) -> Result<Vec<LogRecord>, StoreError> {
    let mut found: Vec<LogRecord> = Vec::new();
    let Some(Span { first, last }) = span else { return Ok(found) };
    loop {
        let known = found.last().map_or(first.saturating_sub(1), |record| record.last);
        if known >= last {
            return Ok(found);
        }
        // Each record has an event at least: no more are read than the steps can be.
        let count = usize::try_from(last - known).unwrap_or(READ_RECORDS).min(READ_RECORDS);
        let mut records = store.read(known, count, READ_BYTES).await?;
        records.retain(|record| record.last <= last);
        if records.first().is_none_or(|record| record.first() != known + 1) {
            let detail = format!("the log lacks the steps of a receipt, from {first} to {last}");
            return Err(StoreError::new(StoreErrorKind::Corrupt, store.name(), "answer", detail));
        }
        found.append(&mut records);
    }
}

fn read(receipt: &Receipt) -> Result<Kept, ServiceError> {
    let error = |kind, detail: String| StoreError::new(kind, "receipts", "answer", detail);
    let unread = match receipt.answer.as_deref().unwrap_or_default() {
        [FORM, body @ ..] => match serde_json::from_slice(body) {
            Ok(kept) => return Ok(kept),
            Err(cause) => {
                error(StoreErrorKind::Corrupt, "a kept answer cannot be read".into()).caused_by(cause)
            }
        },
        [form, ..] if *form > FORM => {
            let detail = format!(
                "an answer was kept by a newer version: it has form {form}, and {FORM} is the newest known"
            );
            error(StoreErrorKind::NewerVersion, detail)
        }
        _ => error(StoreErrorKind::Corrupt, "a kept answer is empty, or of no form".into()),
    };
    Err(failed(unread))
}

fn other_step() -> ServiceError {
    let detail = "the steps of a receipt do not tell its answer";
    failed(StoreError::new(StoreErrorKind::Corrupt, "receipts", "answer", detail))
}

fn failed(error: StoreError) -> ServiceError {
    ServiceError::Unknown(Arc::new(error))
}
