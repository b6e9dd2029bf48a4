use super::Sabotage;
use crate::command::RequestId;
use crate::resource::{Cargo, Sequence, StockLevel, Trade};
use crate::store::{
    CargoQuery, Commit, Head, Held, InventoryPage, InventoryQuery, Keys, Loaded, LogRecord, Page, Receipt,
    Store, StoreError, StoreErrorKind, StoreWrapper, TradeQuery, Write,
};
use crate::testing::held::{HeldBy, Lands};
use crate::values::{ItemId, Label, StationId, Timestamp, TransactionId};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Wraps a store, and makes one mistake.
#[derive(Debug)]
pub struct Saboteur {
    inner: Arc<dyn Store>,
    head: Arc<tokio::sync::Mutex<()>>,
    sabotage: Sabotage,
    commits: AtomicU64,
    trades: Mutex<HashMap<TransactionId, Arc<Trade>>>,
    levels: Mutex<HashMap<(StationId, ItemId), (StockLevel, StockLevel)>>,
    hidden: Mutex<(Sequence, u32)>,
    heads: Mutex<Head>,
}

impl Saboteur {
    /// Wraps a store.
    pub fn new(inner: Arc<dyn Store>, sabotage: Sabotage) -> Self {
        Self::sharing(inner, sabotage, Arc::default())
    }

    /// Wraps a store that others wrap too: they share the lock on its head.
    pub(super) fn sharing(
        inner: Arc<dyn Store>,
        sabotage: Sabotage,
        head: Arc<tokio::sync::Mutex<()>>,
    ) -> Self {
        Self {
            inner,
            head,
            sabotage,
            commits: AtomicU64::new(0),
            trades: Mutex::default(),
            levels: Mutex::default(),
            hidden: Mutex::default(),
            heads: Mutex::new(Head::EMPTY),
        }
    }

    fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == sabotage
    }

    /// A copy of a commit with the mistake in it, where the mistake lies in what is written.
    async fn corrupted(&self, commit: &Commit) -> Result<Commit, StoreError> {
        let mut commit = commit.clone();
        match self.sabotage {
            Sabotage::IgnoresVersions => self.expect_what_is_there(&mut commit).await?,
            Sabotage::TrustsTheHead if self.inner.head().await? == commit.base => {
                self.expect_what_is_there(&mut commit).await?;
            }
            Sabotage::IgnoresReadOnlyRows => {
                commit.trades.retain(|write| write.value.is_some());
                commit.cargo.retain(|write| write.value.is_some());
                commit.stations.retain(|write| write.value.is_some());
            }
            Sabotage::IgnoresKnownReceipts => {
                let keys =
                    Keys { requests: commit.receipts.iter().map(|r| r.request).collect(), ..Keys::default() };
                let known: Vec<RequestId> =
                    self.inner.load(&keys).await?.receipts.iter().map(|r| r.request).collect();
                commit.receipts.retain(|receipt| !known.contains(&receipt.request));
            }
            Sabotage::ForgetsReceipts if self.commits.load(Ordering::SeqCst) % 2 == 1 => {
                commit.receipts.clear()
            }
            Sabotage::ForgetsAnswers => commit.receipts.iter_mut().for_each(|receipt| receipt.answer = None),
            Sabotage::LetsTimeRunBackwards => {
                let newest = self.inner.head().await?.time;
                commit.time = commit.time.max(newest);
                for record in &mut commit.log {
                    let step = Arc::make_mut(&mut record.step);
                    step.time = step.time.max(newest);
                }
            }
            Sabotage::MisstoresLevels => {
                commit.stock.iter_mut().for_each(|write| write.row.level.on_hand += 1)
            }
            Sabotage::ForgetsReservations => {
                commit.stock.iter_mut().for_each(|write| write.row.level.reserved = 0)
            }
            Sabotage::RoundsQuantities => {
                // To a multiple of 2^21: what is left of 53 bits in 32.
                const LOST: u64 = (1 << 21) - 1;
                for write in commit.stock.iter_mut().filter(|write| write.row.level.on_hand > 1 << 32) {
                    write.row.level.on_hand &= !LOST;
                }
            }
            Sabotage::DropsLedgerRows if commit.ledger.len() > 1 => drop(commit.ledger.pop()),
            Sabotage::DropsHistory => commit.history.clear(),
            Sabotage::StripsLabels => {
                for station in commit.stations.iter_mut().filter_map(|write| write.value.as_mut()) {
                    let ascii =
                        |name: &Label| Label::new(name.as_str().replace(|c: char| !c.is_ascii(), "?")).ok();
                    Arc::make_mut(station).name = station.name.as_ref().and_then(ascii);
                }
            }
            Sabotage::ForgetsRequestedEta => {
                for cargo in commit.cargo.iter_mut().filter_map(|write| write.value.as_mut()) {
                    Arc::make_mut(cargo).requested_eta = None;
                }
            }
            Sabotage::ForgetsToShiftRows => {
                let head = self.inner.head().await?.sequence;
                let shift = head.saturating_sub(commit.base.sequence);
                // The inner store adds the shift to everything; what this takes away first is missing afterwards.
                commit.history.iter_mut().for_each(|(_, at)| *at = at.saturating_sub(shift));
            }
            Sabotage::MisplacesReceipts => {
                let head = self.inner.head().await?.sequence;
                let shift = head.saturating_sub(commit.base.sequence);
                for steps in commit.receipts.iter_mut().filter_map(|receipt| receipt.steps.as_mut()) {
                    steps.first = steps.first.saturating_sub(shift);
                    steps.last = steps.last.saturating_sub(shift);
                }
            }
            _ => {}
        }
        Ok(commit)
    }

    async fn expect_what_is_there(&self, commit: &mut Commit) -> Result<(), StoreError> {
        let keys = Keys {
            trades: commit.trades.iter().map(|write| write.key.clone()).collect(),
            cargo: commit.cargo.iter().map(|write| write.key.clone()).collect(),
            stations: commit.stations.iter().map(|write| write.key.clone()).collect(),
            ..Keys::default()
        };
        let found = self.inner.load(&keys).await?;
        let trades: HashMap<_, _> =
            found.trades.iter().map(|t| (t.transaction_id.clone(), t.version)).collect();
        let cargo: HashMap<_, _> = found.cargo.iter().map(|c| (c.shipment_id.clone(), c.version)).collect();
        let stations: HashMap<_, _> =
            found.stations.iter().map(|s| (s.station_id.clone(), s.version)).collect();
        expect(&mut commit.trades, &trades);
        expect(&mut commit.cargo, &cargo);
        expect(&mut commit.stations, &stations);
        Ok(())
    }

    fn remember(&self, commit: &Commit) {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        for write in &commit.stock {
            let key = (write.row.station_id.clone(), write.row.item_id.clone());
            let before = levels.get(&key).map_or_else(StockLevel::default, |(_, newest)| *newest);
            levels.insert(key, (before, write.row.level));
        }
    }

    /// A record that follows another is shown at the second look only, in place of the one before it.
    fn late(&self, mut records: Vec<LogRecord>) -> Vec<LogRecord> {
        let mut hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() > 1 {
            let at = records.len() - 2;
            if records[at].last > hidden.0 {
                hidden.0 = records[at].last;
                records.remove(at);
            }
        }
        records
    }
}

fn expect<K: std::hash::Hash + Eq, T>(writes: &mut [Write<K, T>], found: &HashMap<K, u64>) {
    writes.iter_mut().for_each(|write| write.expected = found.get(&write.key).copied());
}

impl StoreWrapper for Saboteur {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    fn name(&self) -> &'static str {
        "saboteur"
    }

    async fn trade(&self, id: &TransactionId) -> Result<Option<Arc<Trade>>, StoreError> {
        if self.is(Sabotage::IgnoresCase) {
            let other = TransactionId::new(id.as_str().to_lowercase());
            if let Ok(other) = other
                && let Some(trade) = self.inner.trade(&other).await?
            {
                return Ok(Some(trade));
            }
        }
        let found = self.inner.trade(id).await?;
        if !self.is(Sabotage::ShowsOldTrades) {
            return Ok(found);
        }
        let mut trades = self.trades.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(found.map(|trade| trades.entry(id.clone()).or_insert(trade).clone()))
    }

    async fn trades(&self, query: &TradeQuery) -> Result<Page<Arc<Trade>, Sequence>, StoreError> {
        let mut query = query.clone();
        match self.sabotage {
            Sabotage::IgnoresSince => query.filter.created.since = None,
            Sabotage::IncludesUntil => {
                let until = &mut query.filter.created.until;
                *until = until.map(|until| until.plus(Duration::from_millis(1)));
            }
            Sabotage::IgnoresItemFilter => query.filter.item = None,
            _ => {}
        }
        let mut page = self.inner.trades(&query).await?;
        match self.sabotage {
            Sabotage::ListsOldestFirst => page.rows.reverse(),
            Sabotage::LosesTheLastRowOfAPage if page.next.is_some() => drop(page.rows.pop()),
            Sabotage::NamesANextPageTooMany if page.next.is_none() && !page.rows.is_empty() => {
                page.next = Some(1)
            }
            _ => {}
        }
        Ok(page)
    }

    async fn expired_trades(&self, now: Timestamp, limit: usize) -> Result<Vec<TransactionId>, StoreError> {
        match self.sabotage {
            Sabotage::FindsNothingExpired => Ok(Vec::new()),
            Sabotage::NeverForgetsExpiry => {
                let query = TradeQuery { filter: Default::default(), before: None, limit: 500 };
                let all = self.inner.trades(&query).await?.rows;
                let due =
                    all.iter().filter(|trade| trade.expires_at.is_some_and(|expires_at| expires_at <= now));
                Ok(due.take(limit).map(|trade| trade.transaction_id.clone()).collect())
            }
            _ => self.inner.expired_trades(now, limit).await,
        }
    }

    async fn cargo_list(&self, query: &CargoQuery) -> Result<Page<Arc<Cargo>, Sequence>, StoreError> {
        let mut query = query.clone();
        if self.is(Sabotage::IgnoresLate) && query.filter.status.is_none() {
            query.filter.late_at = None;
        }
        self.inner.cargo_list(&query).await
    }

    async fn inventory(
        &self,
        id: &StationId,
        query: &InventoryQuery,
    ) -> Result<Option<InventoryPage>, StoreError> {
        let mut query = query.clone();
        match self.sabotage {
            Sabotage::IgnoresItems => query.items.clear(),
            Sabotage::ListsTooManyItems => query.limit += 1,
            _ => {}
        }
        self.inner.inventory(id, &query).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let head = self.inner.head().await?;
        if !self.is(Sabotage::ShowsAnOldHead) {
            return Ok(head);
        }
        let mut shown = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *shown, head))
    }

    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError> {
        let records_max = if self.is(Sabotage::IgnoresRecordsMax) { records_max + 1 } else { records_max };
        let bytes_max = if self.is(Sabotage::IgnoresBytesMax) { usize::MAX } else { bytes_max };
        let mut records = self.inner.read(after, records_max, bytes_max).await?;
        match self.sabotage {
            Sabotage::DropsARecord => records.retain(|record| record.first() != 3),
            Sabotage::ReordersTheLog if records.len() > 1 => records.swap(0, 1),
            Sabotage::ShowsRecordsLate => records = self.late(records),
            Sabotage::SkipsHalfReadRecords => records.retain(|record| record.first() > after),
            _ => {}
        }
        Ok(records)
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        let mut keys = keys.clone();
        if self.is(Sabotage::LoadsNoInventories) {
            keys.inventories.clear();
        }
        let mut loaded = self.inner.load(&keys).await?;
        match self.sabotage {
            Sabotage::LoadsOldLevels => {
                let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
                for row in &mut loaded.stock {
                    if let Some((old, _)) = levels.get(&(row.station_id.clone(), row.item_id.clone())) {
                        row.level = *old;
                    }
                }
            }
            Sabotage::LoadsNoReceipts => loaded.receipts.clear(),
            _ => {}
        }
        Ok(loaded)
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        StoreWrapper::hold(self).await?.commit(commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        Ok(Box::new(HeldBy { store: self, _head: self.head.clone().lock_owned().await }))
    }

    async fn receipts(&self, after: Option<RequestId>, limit: usize) -> Result<Vec<Receipt>, StoreError> {
        let mut receipts = self.inner.receipts(after, limit).await?;
        if self.is(Sabotage::ListsTooFewReceipts) {
            receipts.pop();
        }
        Ok(receipts)
    }

    async fn prune_receipts(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        match self.sabotage {
            Sabotage::PrunesTooMuch => {
                self.inner.prune_receipts(before.plus(Duration::from_millis(1)), limit).await
            }
            Sabotage::PrunesWithoutLimit => self.inner.prune_receipts(before, usize::MAX >> 1).await,
            _ => self.inner.prune_receipts(before, limit).await,
        }
    }
}

#[async_trait]
impl Lands for Saboteur {
    async fn land(&self, commit: &Commit) -> Result<Head, StoreError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let tenth = number % 10 == 9;
        if self.is(Sabotage::LosesCommits) && tenth {
            let sequence = commit.base.sequence + commit.event_count();
            return Ok(Head { sequence, time: commit.time });
        }
        let corrupted = self.corrupted(commit).await?;
        let before = self.inner.head().await?;
        let landed = self.inner.commit(&corrupted).await;
        match (self.sabotage, &landed) {
            (Sabotage::KeepsReceiptsOfConflicts, Err(_)) => {
                let only_receipts = Commit {
                    trades: vec![],
                    cargo: vec![],
                    stations: vec![],
                    stock: vec![],
                    ledger: vec![],
                    history: vec![],
                    log: vec![],
                    base: before,
                    time: commit.time.max(before.time),
                    ..commit.clone()
                };
                // Where even they are refused there is nothing to keep.
                let _ = self.inner.commit(&only_receipts).await;
            }
            (Sabotage::ReportsConflictAfterLanding, Ok(_)) if tenth => {
                return Err(StoreError::new(
                    StoreErrorKind::Conflict,
                    "saboteur",
                    "commit",
                    "it landed all the same",
                ));
            }
            (Sabotage::AppliesTwice, Ok(head)) if tenth => {
                let mut again = Commit { base: *head, receipts: vec![], ..corrupted.clone() };
                let shift = head.sequence - corrupted.base.sequence;
                again.log.iter_mut().for_each(|record| record.last += shift);
                again.ledger.iter_mut().for_each(|row| row.entry.sequence += shift);
                again.history.iter_mut().for_each(|(_, at)| *at += shift);
                self.expect_what_is_there(&mut again).await?;
                return self.inner.commit(&again).await;
            }
            (Sabotage::AnswersTheOldHead, Ok(head)) => {
                return Ok(Head { sequence: before.sequence.min(head.sequence), ..*head });
            }
            (Sabotage::LoadsOldLevels, Ok(_)) => self.remember(commit),
            _ => {}
        }
        landed
    }
}
