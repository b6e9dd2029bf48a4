//! A store as a process finds it: it takes its time, fails, and does not outlive the process.

use super::super::chance::Chance;
use super::super::faulty::{Fault, Mishap};
use super::super::held::{HeldBy, Lands};
use super::Troubles;
use super::trace::Trace;
use crate::resource::Sequence;
use crate::store::{Commit, Head, Held, Keys, Loaded, Store, StoreError, StoreErrorKind, StoreWrapper};
use crate::values::Timestamp;
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// What all processes over one store share.
#[derive(Debug)]
pub(super) struct Sea {
    pub(super) store: Arc<dyn Store>,
    pub(super) chance: Chance,
    pub(super) trace: Trace,
    pub(super) troubles: Troubles,
    head: Arc<tokio::sync::Mutex<()>>,
    calm: AtomicBool,
}

impl Sea {
    pub(super) fn new(store: Arc<dyn Store>, chance: Chance, trace: Trace, troubles: Troubles) -> Self {
        Self { store, chance, trace, troubles, head: Arc::default(), calm: AtomicBool::new(false) }
    }

    /// From now on nothing fails.
    pub(super) fn calm_down(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    /// Where the log ends, by the store itself.
    pub(super) async fn newest(&self) -> Sequence {
        self.store.head().await.expect("the store itself does not fail").sequence
    }

    fn fails(&self, per_mille: u64) -> bool {
        self.troubles.faults && !self.calm.load(Ordering::SeqCst) && self.chance.happens(per_mille)
    }

    async fn land(&self, process: usize, commit: &Commit) -> Result<Head, StoreError> {
        let landed = self.store.commit(commit).await;
        match &landed {
            Ok(head) => self.trace.note(format_args!("store: {process} wrote up to {}", head.sequence)),
            Err(error) => self.trace.note(format_args!("store: {process} wrote nothing: {:?}", error.kind)),
        }
        landed
    }
}

/// The store as one process has it. Once that has crashed it reads and writes nothing any more, and holds nothing.
#[derive(Debug)]
pub(super) struct Unsteady {
    sea: Arc<Sea>,
    inner: Arc<dyn Store>,
    process: usize,
    crashed: AtomicBool,
    /// Told then, in the order in which they wait: a watch wakes its receivers in any.
    crash: Notify,
    offline: AtomicBool,
}

impl Unsteady {
    pub(super) fn new(sea: Arc<Sea>, process: usize) -> Self {
        let inner = sea.store.clone();
        Self {
            sea,
            inner,
            process,
            crashed: AtomicBool::new(false),
            crash: Notify::new(),
            offline: AtomicBool::new(false),
        }
    }

    pub(super) fn crash(&self) {
        self.crashed.store(true, Ordering::SeqCst);
        self.crash.notify_waiters();
    }

    pub(super) fn set_offline(&self, offline: bool) {
        self.offline.store(offline, Ordering::SeqCst);
    }

    /// Returns once the process has crashed.
    pub(super) async fn ended(&self) {
        // From here on it is told.
        let crash = self.crash.notified();
        if !self.crashed.load(Ordering::SeqCst) {
            crash.await;
        }
    }

    fn is_gone(&self) -> bool {
        self.crashed.load(Ordering::SeqCst) || self.offline.load(Ordering::SeqCst)
    }

    async fn before(&self, operation: &'static str) -> Result<(), StoreError> {
        self.sea.chance.dawdle(4).await;
        self.strike(operation).await;
        if self.is_gone() || self.sea.fails(20) {
            self.sea.trace.note(format_args!("store: {} cannot {operation}", self.process));
            return Err(failed(StoreErrorKind::Unavailable, operation));
        }
        Ok(())
    }

    /// Now and then a call ends here, without an answer.
    async fn strike(&self, operation: &'static str) {
        if self.sea.fails(3) {
            let mishap = *self.sea.chance.pick(&[Mishap::Hangs, Mishap::Panics]);
            self.sea.trace.note(format_args!("store: {} is to {operation}, {mishap:?}", self.process));
            mishap.befall().await;
        }
    }

    /// What becomes of a commit that fails.
    async fn fail(&self, fault: Fault, commit: &Commit) -> StoreError {
        self.sea.trace.note(format_args!("store: {} is to commit, {fault:?}", self.process));
        let kind = match fault {
            Fault::Unavailable => StoreErrorKind::Unavailable,
            Fault::Conflict => StoreErrorKind::Conflict,
            Fault::Internal => StoreErrorKind::Internal,
            Fault::Unsupported => StoreErrorKind::Unsupported,
            Fault::Lost => StoreErrorKind::OutcomeUnknown,
            Fault::Unanswered => match self.sea.land(self.process, commit).await {
                Ok(_) => StoreErrorKind::OutcomeUnknown,
                Err(error) => return error,
            },
            Fault::Late(delay) => {
                let (sea, process, commit) = (self.sea.clone(), self.process, commit.clone());
                tokio::spawn(async move {
                    sleep(delay).await;
                    // It may come too late: then it is refused, as it must be.
                    let _ = sea.land(process, &commit).await;
                });
                StoreErrorKind::OutcomeUnknown
            }
        };
        failed(kind, "commit")
    }
}

fn failed(kind: StoreErrorKind, operation: &'static str) -> StoreError {
    StoreError::new(kind, "simulated", operation, "the seed has it so")
}

impl StoreWrapper for Unsteady {
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
        "simulated"
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        self.before("load").await?;
        let loaded = self.inner.load(keys).await;
        self.sea.chance.dawdle(4).await;
        loaded
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        StoreWrapper::hold(self).await?.commit(commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        self.before("hold").await?;
        let head = self.sea.head.clone().lock_owned().await;
        Ok(Box::new(HeldBy { store: self, _head: head }))
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }
}

#[async_trait]
impl Lands for Unsteady {
    async fn land(&self, commit: &Commit) -> Result<Head, StoreError> {
        let chance = &self.sea.chance;
        chance.dawdle(10).await;
        self.strike("commit").await;
        // What was sent before the process crashed may arrive.
        if self.is_gone() && (self.offline.load(Ordering::SeqCst) || chance.happens(500)) {
            return Err(failed(StoreErrorKind::Unavailable, "commit"));
        }
        let landed = if self.sea.fails(150) {
            let fault = match *chance.pick(&Fault::ALL) {
                Fault::Late(_) => Fault::Late(Duration::from_millis(chance.below(40))),
                fault => fault,
            };
            Err(self.fail(fault, commit).await)
        } else {
            self.sea.land(self.process, commit).await
        };
        self.strike("answer").await;
        chance.dawdle(10).await;
        landed
    }
}
