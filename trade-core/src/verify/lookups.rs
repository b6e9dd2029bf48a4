//! What stores keep to find rows by: histories, items, spans of time, and what expires.

use super::{VerifyError, difference};
use crate::resource::{CargoStatus, Sequence};
use crate::store::{Store, TimeRange, TradeFilter, TradeQuery};
use crate::values::{ItemId, ShipmentId, Timestamp, TransactionId};
use crate::view::View;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

const PAGE: usize = 500;
/// Times that are looked up, at most twice as many.
const TIMES: usize = 5_000;
/// Lines that are read to look trades up by item: so many, and so many times those there are.
const LINES_READ_MIN: usize = 10_000;
const LINES_READ_FACTOR: usize = 50;

/// The events of each shipment, in order.
#[derive(Debug, Default)]
pub(super) struct Histories(HashMap<ShipmentId, Vec<Sequence>>);

impl Histories {
    pub(super) fn add(&mut self, id: &ShipmentId, sequence: Sequence) {
        self.0.entry(id.clone()).or_default().push(sequence);
    }
}

/// An even sample of times that come one after the other, and how many trades were made at each.
#[derive(Debug)]
pub(super) struct Sample {
    kept: Vec<(Timestamp, usize)>,
    /// How many different times came by.
    seen: usize,
    step: usize,
    newest: Option<Timestamp>,
}

impl Default for Sample {
    fn default() -> Self {
        Self { kept: Vec::new(), seen: 0, step: 1, newest: None }
    }
}

impl Sample {
    pub(super) fn add(&mut self, time: Timestamp) {
        if self.newest != Some(time) {
            self.newest = Some(time);
            self.seen += 1;
            if (self.seen - 1).is_multiple_of(self.step) {
                self.kept.push((time, 0));
            }
            if self.kept.len() > 2 * TIMES {
                self.step *= 2;
                let mut index = 0;
                self.kept.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
            }
        }
        if let Some((kept, count)) = self.kept.last_mut()
            && *kept == time
        {
            *count += 1;
        }
    }
}

pub(super) async fn compare(
    store: &dyn Store,
    view: &View,
    times: &Sample,
    histories: &Histories,
) -> Result<(), VerifyError> {
    compare_histories(store, histories).await?;
    for (time, told) in &times.kept {
        let until = time.plus(Duration::from_millis(1));
        let created = TimeRange { since: Some(*time), until: Some(until) };
        let found = count(store, TradeFilter { created, ..TradeFilter::default() }).await?;
        if found != *told {
            return difference(format!("{told} trades were made at {time}, {found} are found by that time"));
        }
    }
    compare_items(store, view).await?;
    compare_expiring(store, view).await
}

/// Looks trades up by item: all items where trades are of ordinary size, the cheaper ones where they list thousands.
async fn compare_items(store: &dyn Store, view: &View) -> Result<(), VerifyError> {
    // By item, how many trades have a line of it, and the lines of all those: what it costs to read them.
    let mut by_item: HashMap<&ItemId, (usize, usize)> = HashMap::new();
    let mut lines = 0;
    for trade in view.trades() {
        lines += trade.items.len();
        let items: BTreeSet<_> = trade.items.iter().map(|line| &line.item_id).collect();
        for item in items {
            let (count, cost) = by_item.entry(item).or_default();
            *count += 1;
            *cost += trade.items.len();
        }
    }
    let mut cheapest: Vec<_> = by_item.into_iter().map(|(item, (told, cost))| (cost, item, told)).collect();
    cheapest.sort_unstable();
    let mut left = LINES_READ_MIN + LINES_READ_FACTOR * lines;
    for (cost, item, told) in cheapest {
        left = match left.checked_sub(cost) {
            Some(left) => left,
            None => return Ok(()),
        };
        let found = count(store, TradeFilter { item: Some(item.clone()), ..TradeFilter::default() }).await?;
        if found != told {
            return difference(format!(
                "{told} trades have a line of {item}, {found} are found by that item"
            ));
        }
    }
    Ok(())
}

async fn compare_histories(store: &dyn Store, histories: &Histories) -> Result<(), VerifyError> {
    for (id, told) in &histories.0 {
        let found = store.cargo_history(id, 0, told.len() + 1).await?;
        if found != *told {
            return difference(format!("cargo {id} changed at {told:?}, its history says {found:?}"));
        }
    }
    Ok(())
}

async fn compare_expiring(store: &dyn Store, view: &View) -> Result<(), VerifyError> {
    let end = Timestamp::EPOCH.plus(Duration::MAX);
    let told = view.trades().filter(|trade| {
        let pending =
            view.cargo(&trade.shipment_id).is_some_and(|cargo| cargo.status == CargoStatus::Pending);
        pending && trade.expires_at.is_some()
    });
    let told: BTreeSet<TransactionId> = told.map(|trade| trade.transaction_id.clone()).collect();
    let found: BTreeSet<_> = store.expired_trades(end, told.len() + 1).await?.into_iter().collect();
    match told.symmetric_difference(&found).next() {
        None => Ok(()),
        Some(id) => difference(format!("trade {id} is not found by its end, or is found without one")),
    }
}

async fn count(store: &dyn Store, filter: TradeFilter) -> Result<usize, VerifyError> {
    let mut query = TradeQuery { filter, before: None, limit: PAGE };
    let mut count = 0;
    loop {
        let page = store.trades(&query).await?;
        count += page.rows.len();
        query.before = page.next;
        if query.before.is_none() {
            return Ok(count);
        }
    }
}
