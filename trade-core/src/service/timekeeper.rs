//! Whether the clock can be trusted.
//!
//! A clock that is wrong harms for good: offers expire, receipts are forgotten that would have kept a request from being
//! applied twice, and every later step is dated behind the wrong one, since time along the log never runs backwards. So
//! the clock is compared with the store's, which all servers of a network share, and where that has none with time that
//! nobody sets. While it is off nothing is dated, expired or forgotten.

use crate::clock::Clock;
use crate::store::{Head, Store, StoreError};
use crate::values::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio::time::Instant;

/// How far apart two clocks may be.
const APART_MAX_MILLIS: i64 = 60_000;

#[derive(Debug)]
pub(super) struct Timekeeper {
    clock: Arc<dyn Clock>,
    /// What [`Clock::moved`] was when the clock was last right.
    moved: AtomicI64,
    /// By how much the clock is ahead of the right time, in milliseconds, while it is off.
    ahead: AtomicI64,
    is_off: AtomicBool,
}

impl Timekeeper {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let moved = clock.moved().unwrap_or_default();
        Self { clock, moved: moved.into(), ahead: 0.into(), is_off: false.into() }
    }

    /// Now. Where the clock was set to something else since it was right, what it would be without that.
    pub(super) fn now(&self) -> Timestamp {
        let (now, set_by) = (self.clock.now(), self.set_by());
        if set_by.abs() <= APART_MAX_MILLIS {
            return now;
        }
        Timestamp::from_millis(now.millis().saturating_sub(set_by)).unwrap_or(now)
    }

    /// By how many seconds the clock is ahead, or behind if negative, where it is off.
    pub(super) fn off_by_seconds(&self) -> Option<i64> {
        let set_by = self.set_by();
        if set_by.abs() > APART_MAX_MILLIS {
            return Some(set_by / 1_000);
        }
        self.is_off.load(Ordering::Relaxed).then(|| self.ahead.load(Ordering::Relaxed) / 1_000)
    }

    /// By how much the clock was set since it was right.
    fn set_by(&self) -> i64 {
        self.clock.moved().map_or(0, |moved| moved.saturating_sub(self.moved.load(Ordering::Relaxed)))
    }

    /// Compares the clock with the store's, or where that has none with what it was.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be asked; what was found before holds until it can.
    pub(super) async fn look(&self, store: &dyn Store) -> Result<(), StoreError> {
        let Some(moved) = self.clock.moved() else { return Ok(()) };
        let begun = Instant::now();
        let theirs = store.clock().await?;
        // The store read its clock at some moment between.
        let half_way = i64::try_from(begun.elapsed().as_millis() / 2).unwrap_or(i64::MAX);
        let ahead = match theirs {
            Some(theirs) => {
                self.clock.now().millis().saturating_sub(half_way).saturating_sub(theirs.millis())
            }
            None => moved.saturating_sub(self.moved.load(Ordering::Relaxed)),
        };
        self.ahead.store(ahead, Ordering::Relaxed);
        let is_off = ahead.abs() > APART_MAX_MILLIS;
        if !is_off {
            self.moved.store(moved, Ordering::Relaxed);
        }
        if self.is_off.swap(is_off, Ordering::Relaxed) != is_off {
            tell(is_off, ahead / 1_000, theirs.is_some());
        }
        Ok(())
    }

    /// Tells of a log whose newest step is dated ahead of the clock.
    pub(super) fn judge(&self, head: Head) {
        let ahead = head.time.millis().saturating_sub(self.clock.now().millis());
        if self.clock.moved().is_some() && ahead > APART_MAX_MILLIS {
            let (newest, seconds) = (head.time, ahead / 1_000);
            tracing::warn!(%newest, seconds, "the newest step is dated ahead of the clock: until then, steps get its time");
        }
    }
}

fn tell(is_off: bool, seconds: i64, by_store: bool) {
    let by = if by_store { "the store's clock" } else { "what it was, and the time since" };
    if is_off {
        tracing::error!(
            seconds,
            by,
            "the clock is off: nothing is committed, expired or forgotten until it is right"
        );
    } else {
        tracing::info!("the clock is right again");
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use std::sync::Mutex;
    use std::time::Duration;

    /// A clock that somebody sets.
    #[derive(Debug)]
    struct Set(Mutex<(Timestamp, i64)>);

    impl Set {
        fn by(&self, millis: i64) {
            let mut set = self.0.lock().expect("no test fails with it");
            set.0 = Timestamp::from_millis(set.0.millis() + millis).expect("in range");
            set.1 += millis;
        }

        fn passes(&self, time: Duration) {
            let mut set = self.0.lock().expect("no test fails with it");
            set.0 = set.0.plus(time);
        }
    }

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            self.0.lock().expect("no test fails with it").0
        }

        fn moved(&self) -> Option<i64> {
            Some(self.0.lock().expect("no test fails with it").1)
        }
    }

    #[tokio::test]
    async fn a_clock_that_jumps_is_off_until_it_is_back_and_small_corrections_are_not() {
        let clock = Arc::new(Set(Mutex::new((Timestamp::EPOCH.plus(Duration::from_secs(1_000_000)), 0))));
        let (timekeeper, store) = (Timekeeper::new(clock.clone()), MemoryStore::new());
        for _ in 0..100 {
            clock.by(59_000);
            clock.passes(Duration::from_secs(5));
            timekeeper.look(&store).await.unwrap();
            assert_eq!((timekeeper.off_by_seconds(), timekeeper.now()), (None, clock.now()));
        }
        let before = clock.now();
        for jump in [3_600_000, -86_400_000, 315_000_000_000] {
            clock.by(jump);
            for _ in 0..3 {
                assert_eq!(timekeeper.off_by_seconds(), Some(jump / 1_000), "at once, and after a look");
                assert_eq!(timekeeper.now(), before, "what is under way is dated rightly");
                timekeeper.look(&store).await.unwrap();
            }
            clock.by(-jump);
            timekeeper.look(&store).await.unwrap();
            assert_eq!((timekeeper.off_by_seconds(), timekeeper.now()), (None, before));
        }
    }
}
