//! An audit of a store: the fold of its log against its tables, and the sums that must hold.
//!
//! Reads everything, so it takes a while; what is held in memory are the resources, and some 32 bytes a receipt, not the log
//! or the ledger.

mod balance;
mod lookups;
mod receipts;

use crate::event::{Event, EventData, EventType};
use crate::resource::{Inventory, LedgerEntry, Sequence, StockItem};
use crate::store::{
    CargoFilter, CargoQuery, Head, InventoryQuery, LedgerPosition, StationQuery, Store, StoreError,
    TradeFilter, TradeQuery,
};
use crate::values::StationId;
use crate::view::View;
use balance::Balances;
use lookups::{Histories, Sample};
use receipts::Receipts;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

const CHUNK_RECORDS: usize = 512;
const CHUNK_BYTES: usize = 4 << 20;
const PAGE: usize = 500;
const LEDGER_PAGE: usize = 2_000;

/// What an audit went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// The newest sequence: the number of events.
    pub events: u64,
    /// Steps in the log.
    pub steps: u64,
    /// Trades.
    pub trades: u64,
    /// Shipments.
    pub cargo: u64,
    /// Stations.
    pub stations: u64,
    /// Stock levels over all stations.
    pub levels: u64,
    /// Ledger rows.
    pub movements: u64,
    /// Receipts that name steps.
    pub receipts: u64,
}

/// Why an audit failed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first thing that is not as it must be.
    #[error("{0}")]
    Difference(String),
    /// Something was written meanwhile.
    #[error("the store was written to during the audit; stop its servers, or try again")]
    Busy,
}

fn difference<T>(text: String) -> Result<T, VerifyError> {
    Err(VerifyError::Difference(text))
}

/// Folds the log, and compares it with the tables and with itself.
///
/// # Errors
/// [`VerifyError`]; [`VerifyError::Difference`] names the first difference.
pub async fn verify(store: &dyn Store) -> Result<Report, VerifyError> {
    let head = store.head().await?;
    let result = audit(store, head).await;
    // What looks like a difference may be a write in between.
    if store.head().await? != head {
        return Err(VerifyError::Busy);
    }
    result
}

async fn audit(store: &dyn Store, head: Head) -> Result<Report, VerifyError> {
    let mut fold = Fold::new(store, Receipts::of(store).await?);
    fold.log(head).await?;
    let Fold { view, balances, mut report, times, histories, .. } = fold;
    report.trades = compare_trades(store, &view).await?;
    report.cargo = compare_cargo(store, &view).await?;
    lookups::compare(store, &view, &times, &histories).await?;
    (report.stations, report.levels) = compare_stations(store, &view).await?;
    balances.check(&view)?;
    Ok(report)
}

/// The fold of the log, held against the ledger on the way.
struct Fold<'a> {
    store: &'a dyn Store,
    view: View,
    balances: Balances,
    report: Report,
    ledger: VecDeque<LedgerEntry>,
    ledger_from: Option<LedgerPosition>,
    /// Some of the times at which trades were made, evenly spread.
    times: Sample,
    /// The events of each shipment that has more than its creation.
    histories: Histories,
    receipts: Receipts,
}

impl<'a> Fold<'a> {
    fn new(store: &'a dyn Store, receipts: Receipts) -> Self {
        Self {
            store,
            view: View::empty(),
            balances: Balances::default(),
            report: Report { receipts: receipts.count, ..Report::default() },
            ledger: VecDeque::new(),
            ledger_from: Some(LedgerPosition::default()),
            times: Sample::default(),
            histories: Histories::default(),
            receipts,
        }
    }

    async fn log(&mut self, head: Head) -> Result<(), VerifyError> {
        let mut time = Head::EMPTY.time;
        while self.report.events < head.sequence {
            let records = self.store.read(self.report.events, CHUNK_RECORDS, CHUNK_BYTES).await?;
            if records.is_empty() {
                return difference(format!(
                    "the log ends at {}, its head at {}",
                    self.report.events, head.sequence
                ));
            }
            for record in records {
                if record.first() != self.report.events + 1 {
                    return difference(format!("sequence {} is missing in the log", self.report.events + 1));
                }
                if record.step.time < time {
                    return difference(format!("time runs backwards at sequence {}", record.first()));
                }
                time = record.step.time;
                self.receipts.pass(&record)?;
                for event in record.step.events(record.first()) {
                    self.event(&event).await?;
                }
                self.report.events = record.last;
                self.report.steps += 1;
            }
        }
        if self.report.events != head.sequence || (head.sequence > 0 && time != head.time) {
            return difference(format!(
                "the log ends at {} ({time}), its head says {} ({})",
                self.report.events, head.sequence, head.time
            ));
        }
        if let Some(beyond) = self.store.read(head.sequence, 1, 1).await?.first() {
            return difference(format!(
                "there is a record {} beyond the head {}",
                beyond.last, head.sequence
            ));
        }
        self.receipts.end()?;
        match self.next_ledger().await? {
            None => Ok(()),
            Some(entry) => difference(format!("the ledger has a row that no event tells: {entry:?}")),
        }
    }

    async fn event(&mut self, event: &Event) -> Result<(), VerifyError> {
        check_version(&self.view, event)?;
        self.view.evolve(event);
        if event.event_type == EventType::TradeInitiated {
            self.times.add(event.time);
        }
        if let EventData::Cargo(cargo) = &event.data {
            self.histories.add(&cargo.shipment_id, event.sequence);
        }
        let EventData::Inventory(update) = &event.data else { return Ok(()) };
        for told in &update.movements {
            let stored = self.next_ledger().await?;
            if stored.as_ref() != Some(told) {
                return difference(format!("ledger: the log tells {told:?}, the table {stored:?}"));
            }
            self.balances.add(told);
            self.report.movements += 1;
        }
        Ok(())
    }

    async fn next_ledger(&mut self) -> Result<Option<LedgerEntry>, VerifyError> {
        while self.ledger.is_empty()
            && let Some(from) = self.ledger_from
        {
            let page = self.store.ledger_after(from, LEDGER_PAGE).await?;
            self.ledger.extend(page.rows);
            self.ledger_from = page.next;
        }
        Ok(self.ledger.pop_front())
    }
}

/// Every change counts a resource's version up by one; a step applied twice, or a lost one, shows here.
fn check_version(view: &View, event: &Event) -> Result<(), VerifyError> {
    let (before, after) = match &event.data {
        EventData::Trade(trade) => (view.trade(&trade.transaction_id).map(|t| t.version), trade.version),
        EventData::Cargo(cargo) => (view.cargo(&cargo.shipment_id).map(|c| c.version), cargo.version),
        EventData::Inventory(update) => {
            (view.station(&update.inventory.station_id).map(|s| s.version), update.inventory.version)
        }
    };
    let expected = before.unwrap_or(0) + 1;
    if after == expected {
        return Ok(());
    }
    difference(format!("event {} makes {} version {after}, not {expected}", event.sequence, event.subject()))
}

fn compare<T: PartialEq + Debug + Serialize>(
    what: &str,
    told: Option<&T>,
    stored: &T,
) -> Result<(), VerifyError> {
    if told == Some(stored) {
        return Ok(());
    }
    let json = |value: &T| serde_json::to_string(value).unwrap_or_default();
    let (told_json, stored_json) = (told.map_or("nothing".into(), json), json(stored));
    if told_json == stored_json {
        // They differ in what JSON leaves out.
        return difference(format!("{what}: the log tells {told:?}, the table {stored:?}"));
    }
    difference(format!("{what}: the log tells {told_json}, the table {stored_json}"))
}

fn compare_count(what: &str, told: usize, stored: u64) -> Result<u64, VerifyError> {
    if told as u64 == stored {
        return Ok(stored);
    }
    difference(format!("the log tells of {told} {what}, the table holds {stored}"))
}

async fn compare_trades(store: &dyn Store, view: &View) -> Result<u64, VerifyError> {
    let mut query = TradeQuery { filter: TradeFilter::default(), before: None, limit: PAGE };
    let mut count = 0;
    loop {
        let page = store.trades(&query).await?;
        for trade in &page.rows {
            let told = view.trade(&trade.transaction_id).map(Arc::as_ref);
            compare(&format!("trade {}", trade.transaction_id), told, trade)?;
        }
        count += page.rows.len() as u64;
        query.before = page.next;
        if query.before.is_none() {
            return compare_count("trades", view.trades().count(), count);
        }
    }
}

async fn compare_cargo(store: &dyn Store, view: &View) -> Result<u64, VerifyError> {
    let mut query = CargoQuery { filter: CargoFilter::default(), before: None, limit: PAGE };
    let mut count = 0;
    loop {
        let page = store.cargo_list(&query).await?;
        for cargo in &page.rows {
            let told = view.cargo(&cargo.shipment_id).map(Arc::as_ref);
            compare(&format!("cargo {}", cargo.shipment_id), told, cargo)?;
        }
        count += page.rows.len() as u64;
        query.before = page.next;
        if query.before.is_none() {
            return compare_count("shipments", view.all_cargo().count(), count);
        }
    }
}

async fn compare_stations(store: &dyn Store, view: &View) -> Result<(u64, u64), VerifyError> {
    let (mut stations, mut levels) = (0, 0);
    let mut before: Option<Sequence> = None;
    loop {
        let page = store.inventory_list(&StationQuery::all(before, PAGE, 0)).await?;
        for inventory in &page.rows {
            let id = &inventory.station_id;
            let told = view.station(id).map(|station| Inventory::new(station, Vec::new()));
            compare(&format!("station {id}"), told.as_ref(), inventory)?;
            levels += compare_levels(store, view, id).await?;
        }
        stations += page.rows.len() as u64;
        before = page.next;
        if before.is_none() {
            return Ok((compare_count("stations", view.stations().count(), stations)?, levels));
        }
    }
}

async fn compare_levels(store: &dyn Store, view: &View, id: &StationId) -> Result<u64, VerifyError> {
    let mut told = view.items(id).map(|(item_id, level)| StockItem { item_id: item_id.clone(), level });
    let mut query = InventoryQuery { items: Vec::new(), after: None, limit: Inventory::ITEMS_MAX };
    let mut count = 0;
    loop {
        let Some(page) = store.inventory(id, &query).await? else {
            return difference(format!("station {id} is listed, but cannot be read"));
        };
        for item in &page.inventory.items {
            compare(&format!("stock of {} at {id}", item.item_id), told.next().as_ref(), item)?;
        }
        count += page.inventory.items.len() as u64;
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    match told.next() {
        None => Ok(count),
        Some(item) => {
            difference(format!("stock of {} at {id}: told by the log, not in the table", item.item_id))
        }
    }
}
