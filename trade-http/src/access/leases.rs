//! The leases of open streams. One task looks after all of them: a timer for each would cost as much as the stream itself.

use super::lease::{Lease, LeaseEnd};
use futures::{StreamExt, stream};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};
use trade_core::clock::Clock;
use trade_core::values::Timestamp;

/// How often time is looked at …
const CLOCK_INTERVAL: Duration = Duration::from_millis(500);
/// … and the keys. What is known of them is two seconds old at most, so a revocation is known after less than four.
const KEYS_INTERVAL: Duration = Duration::from_millis(1_500);
/// How many keys are read at a time, and how long one may take.
const READS: usize = 8;
const READ_MAX: Duration = Duration::from_secs(2);

/// Those of a router.
#[derive(Debug)]
pub(crate) struct Leases(Arc<All>);

#[derive(Debug)]
struct All {
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<u64, Arc<State>>>,
    next: AtomicU64,
    /// Whether somebody looks after them: from the first on, as a router may be made outside a runtime.
    is_watched: AtomicBool,
}

#[derive(Debug)]
struct State {
    lease: Lease,
    end: OnceLock<LeaseEnd>,
    ended: Notify,
}

/// A lease that is looked after, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenLease {
    all: Arc<All>,
    id: u64,
    state: Arc<State>,
}

/// How a lease stands.
#[cfg(feature = "takeover")]
#[derive(Debug)]
pub(crate) struct LeaseState(Arc<State>);

#[cfg(feature = "takeover")]
impl LeaseState {
    pub(crate) fn is_over(&self) -> bool {
        self.0.end.get().is_some()
    }
}

impl Leases {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let (open, next, is_watched) = (Mutex::default(), AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(All { clock, open, next, is_watched }))
    }

    /// Looks after a lease from now on; none where nothing ends it.
    pub(crate) fn open(&self, lease: Lease) -> Option<OpenLease> {
        if lease.is_endless() {
            return None;
        }
        let all = &self.0;
        let state = Arc::new(State { lease, end: OnceLock::new(), ended: Notify::new() });
        let id = all.next.fetch_add(1, Ordering::Relaxed);
        all.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, state.clone());
        if !all.is_watched.swap(true, Ordering::Relaxed) {
            let watched = Arc::downgrade(all);
            tokio::spawn(async move { tokio::join!(watch_clock(&watched), watch_keys(&watched)) });
        }
        Some(OpenLease { all: all.clone(), id, state })
    }
}

impl OpenLease {
    /// Why it has ended, if it has.
    pub(crate) fn end(&self) -> Option<LeaseEnd> {
        self.state.end.get().copied()
    }

    /// How it stands, for somebody else.
    #[cfg(feature = "takeover")]
    pub(crate) fn state(&self) -> LeaseState {
        LeaseState(self.state.clone())
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) -> LeaseEnd {
        let mut ended = pin!(self.state.ended.notified());
        loop {
            // From here on it is heard, whatever comes between the look and the wait.
            ended.as_mut().enable();
            if let Some(end) = self.end() {
                return end;
            }
            ended.as_mut().await;
            ended.set(self.state.ended.notified());
        }
    }
}

impl Drop for OpenLease {
    fn drop(&mut self) {
        self.all.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl State {
    fn end(&self, why: LeaseEnd) {
        let _ = self.end.set(why);
        self.ended.notify_waiters();
    }

    async fn check(&self, now: Timestamp) {
        if let Ok(Err(why)) = timeout(READ_MAX, self.lease.check(now)).await {
            self.end(why);
        }
    }
}

impl All {
    fn those(&self, which: impl Fn(&State) -> bool) -> Vec<Arc<State>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().filter(|state| state.end.get().is_none() && which(state)).cloned().collect()
    }
}

/// Ends those whose time is over, as long as there is somebody who could have one.
async fn watch_clock(all: &Weak<All>) {
    let mut ticks = interval(CLOCK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(all) = all.upgrade() else { return };
        let now = all.clock.now();
        for state in all.those(|state| state.lease.until().is_some_and(|until| until <= now)) {
            state.end(LeaseEnd::Expired);
        }
    }
}

/// Ends those whose keys let nobody in any longer.
async fn watch_keys(all: &Weak<All>) {
    let mut ticks = interval(KEYS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(all) = all.upgrade() else { return };
        let (of_keys, now) = (all.those(|state| state.lease.is_of_key()), all.clock.now());
        let checks =
            stream::iter(of_keys).for_each_concurrent(READS, |state| async move { state.check(now).await });
        checks.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trade_core::clock::ManualClock;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_ends_with_its_time_and_is_forgotten_when_it_is_dropped() {
        let clock = Arc::new(ManualClock::new(at(1)));
        let leases = Leases::new(clock.clone());
        assert!(leases.open(Lease::default()).is_none());
        let (soon, late) = (leases.open(Lease::new(Some(at(2)))), leases.open(Lease::new(Some(at(9)))));
        let (soon, late) = (soon.unwrap(), late.unwrap());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!((soon.end(), late.end()), (None, None));
        let waiting = async { tokio::join!(soon.ended(), async { clock.set(at(2)) }).0 };
        assert_eq!(timeout(Duration::from_secs(1), waiting).await, Ok(LeaseEnd::Expired));
        assert_eq!((soon.end(), late.end()), (Some(LeaseEnd::Expired), None));
        assert_eq!(soon.ended().await, LeaseEnd::Expired);
        drop((soon, late));
        assert!(leases.0.open.lock().unwrap().is_empty());
    }
}
