//! A store that fails, as servers, networks and disks do.

use super::chance::Chance;
use super::held::{HeldBy, Lands};
use crate::resource::Sequence;
use crate::store::{
    Commit, Head, Held, Keys, Loaded, LogRecord, Store, StoreError, StoreErrorKind, StoreWrapper,
};
use crate::values::Timestamp;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Barrier;

/// How one commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before: the store is away, nothing lands.
    Unavailable,
    /// Before: another was faster, nothing lands.
    Conflict,
    /// Before: the store cannot take this commit, nothing lands.
    Internal,
    /// Before: the store takes nothing from this service, as after a change of its password. Nothing lands.
    Unsupported,
    /// During: the connection breaks on the way there. Nothing lands, and the caller cannot know.
    Lost,
    /// After: the connection breaks on the way back. It landed, and the caller cannot know.
    Unanswered,
    /// After, but late: the caller is told that nothing is known, and it lands this much later, if it then still can.
    Late(Duration),
}

impl Fault {
    /// Each kind once.
    pub const ALL: [Self; 7] = [
        Self::Unavailable,
        Self::Conflict,
        Self::Internal,
        Self::Unsupported,
        Self::Lost,
        Self::Unanswered,
        Self::Late(Duration::from_millis(3)),
    ];
}

/// What is wrong with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Reading it is [`StoreErrorKind::Corrupt`].
    Unreadable,
    /// The record is missing that ends with this sequence.
    Missing(Sequence),
}

/// How a call ends without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It never returns.
    Hangs,
    /// It panics, without a word to standard error.
    Panics,
}

impl Mishap {
    pub(super) async fn befall(self) {
        match self {
            Self::Hangs => std::future::pending().await,
            // The hook that reports panics is left out: this one is no defect.
            Self::Panics => std::panic::resume_unwind(Box::new("it panics by plan")),
        }
    }
}

/// What fails when.
#[derive(Debug, Default)]
struct Plan {
    commits: VecDeque<Option<Fault>>,
    loads: VecDeque<Option<StoreErrorKind>>,
    meetings: VecDeque<Option<Arc<Barrier>>>,
    mishaps: Vec<(&'static str, Mishap)>,
    /// What is drawn from, and how many of a thousand commits, and of a thousand loads, fail.
    seeded: Option<(Chance, u64, u64)>,
    /// How long the store is waited for in vain.
    silence: Option<Duration>,
    damage: Option<Damage>,
    /// The most steps of a commit.
    steps_max: Option<usize>,
}

impl Plan {
    /// A number, and how many of a thousand commits, and of a thousand loads, fail.
    fn draw(&self) -> Option<(u64, u64, u64)> {
        self.seeded.as_ref().map(|(chance, commits, loads)| (chance.draw(), *commits, *loads))
    }

    fn of_commit(&mut self) -> Option<Fault> {
        if let Some(fault) = self.commits.pop_front() {
            return fault;
        }
        let (drawn, per_mille, _) = self.draw()?;
        let kinds = Fault::ALL.len() as u64;
        (drawn % 1_000 < per_mille).then(|| Fault::ALL[usize::try_from(drawn / 1_000 % kinds).unwrap_or(0)])
    }

    fn of_load(&mut self) -> Option<StoreErrorKind> {
        if let Some(kind) = self.loads.pop_front() {
            return kind;
        }
        let (drawn, _, per_mille) = self.draw()?;
        (drawn % 1_000 < per_mille).then_some(StoreErrorKind::Unavailable)
    }
}

/// Wraps a store, and fails by plan: a script, then a seed, then not at all.
///
/// ```
/// # use std::sync::Arc;
/// # use trade_core::{memory::MemoryStore, store::Store, testing::{FaultyStore, faulty::Fault}};
/// let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
/// // The first commit goes well; the second lands, but its answer is lost.
/// store.fail_commits([None, Some(Fault::Unanswered)]);
/// ```
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    head: Arc<tokio::sync::Mutex<()>>,
    /// Commits that are still on their way.
    late: Mutex<Vec<tokio::task::JoinHandle<()>>>,
    plan: Mutex<Plan>,
    offline: AtomicBool,
    commits_tried: AtomicU64,
    log_reads: AtomicU64,
    heads_asked: AtomicU64,
    ids_asked: AtomicU64,
    inventories_asked: AtomicU64,
    faults: AtomicU64,
}

impl FaultyStore {
    /// A store that does not fail yet.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            head: Arc::default(),
            late: Mutex::default(),
            plan: Mutex::default(),
            offline: AtomicBool::new(false),
            commits_tried: AtomicU64::new(0),
            log_reads: AtomicU64::new(0),
            heads_asked: AtomicU64::new(0),
            ids_asked: AtomicU64::new(0),
            inventories_asked: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        }
    }

    /// Another handle of the same store, with plans and counts of its own: who holds the head at one holds it at both.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { head: self.head.clone(), ..Self::new(self.inner.clone()) }
    }

    /// Scripts the next commits: each fails as stated, or not.
    pub fn fail_commits(&self, script: impl IntoIterator<Item = Option<Fault>>) {
        self.plan().commits.extend(script);
    }

    /// Scripts the next loads: each fails as [`StoreErrorKind::Unavailable`], or not.
    pub fn fail_loads(&self, script: impl IntoIterator<Item = bool>) {
        self.fail_loads_as(script.into_iter().map(|fails| fails.then_some(StoreErrorKind::Unavailable)));
    }

    /// Scripts the next loads: each fails as stated, or not.
    pub fn fail_loads_as(&self, script: impl IntoIterator<Item = Option<StoreErrorKind>>) {
        self.plan().loads.extend(script);
    }

    /// Scripts the next loads: each meets whoever waits at a barrier for two, twice, or none. What is done between the
    /// meetings is done before the load.
    pub fn meet_before_loads(&self, script: impl IntoIterator<Item = Option<Arc<Barrier>>>) {
        self.plan().meetings.extend(script);
    }

    /// The next call of an operation, by the name of its method, ends without an answer. For `commit` that is before it
    /// lands, for `landed` after.
    pub fn strike(&self, operation: &'static str, mishap: Mishap) {
        self.plan().mishaps.push((operation, mishap));
    }

    /// From now on the store does not answer: loads and whoever wants to hold the head are told after so long that it
    /// cannot be reached, and those who commit that nobody knows.
    pub fn fall_silent(&self, patience: Duration) {
        self.plan().silence = Some(patience);
    }

    /// From now on so many of a thousand commits and loads fail, the same for the same seed and order of calls.
    pub fn fail_by_seed(&self, seed: u64, commits_per_mille: u64, loads_per_mille: u64) {
        self.plan().seeded = Some((Chance::new(seed), commits_per_mille, loads_per_mille));
    }

    /// Ends every plan: from now on the store is as good as the one it wraps.
    pub fn heal(&self) {
        *self.plan() = Plan::default();
        self.set_offline(false);
    }

    /// While offline, everything is [`StoreErrorKind::Unavailable`].
    pub fn set_offline(&self, offline: bool) {
        self.offline.store(offline, Ordering::SeqCst);
    }

    /// From now on a commit of more steps is [`StoreErrorKind::TooLarge`].
    pub fn take_at_most(&self, steps: usize) {
        self.plan().steps_max = Some(steps);
    }

    /// From now on the log is damaged.
    pub fn damage_log(&self, damage: Damage) {
        self.plan().damage = Some(damage);
    }

    /// Waits until every commit that was to land late has landed, or was refused.
    pub async fn arrived(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        for commit in late {
            commit.await.expect("a late commit ends");
        }
    }

    /// How many commits were tried.
    pub fn commits_tried(&self) -> u64 {
        self.commits_tried.load(Ordering::SeqCst)
    }

    /// How many times the log was read.
    pub fn log_reads(&self) -> u64 {
        self.log_reads.load(Ordering::SeqCst)
    }

    /// How many times it was asked where the log ends.
    pub fn heads_asked(&self) -> u64 {
        self.heads_asked.load(Ordering::SeqCst)
    }

    /// How many ids of trades and shipments were to be loaded.
    pub fn ids_asked(&self) -> u64 {
        self.ids_asked.load(Ordering::SeqCst)
    }

    /// How many whole inventories were to be loaded.
    pub fn inventories_asked(&self) -> u64 {
        self.inventories_asked.load(Ordering::SeqCst)
    }

    /// How many commits and loads failed by plan.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn heard(&self, operation: &'static str, lost: StoreErrorKind) -> Result<(), StoreError> {
        let silence = self.plan().silence;
        let Some(patience) = silence else { return Ok(()) };
        tokio::time::sleep(patience).await;
        self.faults.fetch_add(1, Ordering::SeqCst);
        Err(error(lost, operation))
    }

    async fn struck(&self, operation: &'static str) {
        let mishap = {
            let mut plan = self.plan();
            let place = plan.mishaps.iter().position(|(struck, _)| *struck == operation);
            place.map(|place| plan.mishaps.remove(place).1)
        };
        if let Some(mishap) = mishap {
            self.faults.fetch_add(1, Ordering::SeqCst);
            mishap.befall().await;
        }
    }

    async fn before(&self, operation: &'static str) -> Result<(), StoreError> {
        self.struck(operation).await;
        if operation.starts_with("read") {
            self.log_reads.fetch_add(1, Ordering::SeqCst);
        }
        if operation == "head" {
            self.heads_asked.fetch_add(1, Ordering::SeqCst);
        }
        if self.offline.load(Ordering::SeqCst) {
            return Err(error(StoreErrorKind::Unavailable, operation));
        }
        Ok(())
    }

    fn as_damaged(&self, mut records: Vec<LogRecord>) -> Result<Vec<LogRecord>, StoreError> {
        let damage = self.plan().damage;
        match damage {
            None => {}
            Some(Damage::Unreadable) => return Err(error(StoreErrorKind::Corrupt, "read")),
            Some(Damage::Missing(last)) => records.retain(|record| record.last != last),
        }
        Ok(records)
    }

    async fn fail(&self, fault: Fault, commit: &Commit) -> StoreError {
        self.faults.fetch_add(1, Ordering::SeqCst);
        let kind = match fault {
            Fault::Unavailable => StoreErrorKind::Unavailable,
            Fault::Conflict => StoreErrorKind::Conflict,
            Fault::Internal => StoreErrorKind::Internal,
            Fault::Unsupported => StoreErrorKind::Unsupported,
            Fault::Lost => StoreErrorKind::OutcomeUnknown,
            Fault::Unanswered => match self.inner.commit(commit).await {
                Ok(_) => StoreErrorKind::OutcomeUnknown,
                Err(error) => return error,
            },
            Fault::Late(delay) => {
                let (inner, commit) = (self.inner.clone(), commit.clone());
                let late = tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    // It may come too late: then it is refused, as it must be.
                    let _ = inner.commit(&commit).await;
                });
                self.late.lock().unwrap().push(late);
                StoreErrorKind::OutcomeUnknown
            }
        };
        error(kind, "commit")
    }
}

fn error(kind: StoreErrorKind, operation: &'static str) -> StoreError {
    StoreError::new(kind, "faulty", operation, "it fails by plan")
}

impl StoreWrapper for FaultyStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn pass_on<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.before(operation).await?;
        call.await
    }

    fn name(&self) -> &'static str {
        "faulty"
    }

    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError> {
        let records = self.pass_on("read", self.inner.read(after, records_max, bytes_max)).await?;
        self.as_damaged(records)
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        self.before("load").await?;
        self.ids_asked.fetch_add((keys.trades.len() + keys.cargo.len()) as u64, Ordering::SeqCst);
        self.inventories_asked.fetch_add(keys.inventories.len() as u64, Ordering::SeqCst);
        let meeting = self.plan().meetings.pop_front().flatten();
        if let Some(barrier) = meeting {
            barrier.wait().await;
            barrier.wait().await;
        }
        let failure = self.plan().of_load();
        if let Some(kind) = failure {
            self.faults.fetch_add(1, Ordering::SeqCst);
            return Err(error(kind, "load"));
        }
        self.inner.load(keys).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        self.heard("commit", StoreErrorKind::OutcomeUnknown).await?;
        StoreWrapper::hold(self).await?.commit(commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        self.before("hold").await?;
        self.heard("hold", StoreErrorKind::Unavailable).await?;
        Ok(Box::new(HeldBy { store: self, _head: self.head.clone().lock_owned().await }))
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        self.struck("clock").await;
        self.inner.clock().await
    }
}

#[async_trait]
impl Lands for FaultyStore {
    async fn land(&self, commit: &Commit) -> Result<Head, StoreError> {
        self.before("commit").await?;
        self.commits_tried.fetch_add(1, Ordering::SeqCst);
        if self.plan().steps_max.is_some_and(|max| commit.log.len() > max) {
            self.faults.fetch_add(1, Ordering::SeqCst);
            return Err(error(StoreErrorKind::TooLarge, "commit"));
        }
        let fault = self.plan().of_commit();
        let landed = match fault {
            Some(fault) => Err(self.fail(fault, commit).await),
            None => self.inner.commit(commit).await,
        };
        self.struck("landed").await;
        landed
    }
}
