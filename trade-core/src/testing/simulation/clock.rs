//! The time and the ids of a simulated network.

use super::super::fixtures::start_time;
use crate::clock::{Clock, IdSource};
use crate::values::Timestamp;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::time::Instant;

/// A clock that goes with the runtime's time, and that somebody may set to something else.
#[derive(Debug)]
pub(super) struct SimulatedClock {
    begun: Instant,
    set_by_millis: AtomicI64,
}

impl SimulatedClock {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), set_by_millis: AtomicI64::new(0) }
    }

    /// Another clock, which is right.
    pub(super) fn another(&self) -> Self {
        Self { begun: self.begun, set_by_millis: AtomicI64::new(0) }
    }

    /// Sets it to so many milliseconds beside the right time.
    pub(super) fn set(&self, millis: i64) {
        self.set_by_millis.store(millis, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let right = start_time().plus(self.begun.elapsed());
        let set_by = self.set_by_millis.load(Ordering::SeqCst);
        Timestamp::from_millis(right.millis().saturating_add(set_by)).unwrap_or(right)
    }

    fn moved(&self) -> Option<i64> {
        Some(self.set_by_millis.load(Ordering::SeqCst))
    }
}

/// Ids one after the other.
#[derive(Debug, Default)]
pub(super) struct Counted(AtomicU64);

impl IdSource for Counted {
    fn next(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::SeqCst)) + 1)
    }
}
