//! Time and ids come from outside, so that tests drive them.

use crate::values::Timestamp;
use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync + Debug {
    /// Now.
    fn now(&self) -> Timestamp;

    /// By how many milliseconds the clock was set since it was made, forwards or (negative) backwards, by time that nobody
    /// sets. None for a clock that tells a time of its own, and is compared with no other: one of a test, or of a replay.
    fn moved(&self) -> Option<i64>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    made: Reading,
}

/// One moment by several clocks.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Since 1970.
    wall: Duration,
    /// Does not count while the machine sleeps.
    awake: Instant,
    /// Since the machine started, asleep or not, where that is told.
    up: Option<Duration>,
}

impl Reading {
    fn take() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall, awake: Instant::now(), up: None }
    }

    fn with_uptime(self) -> Self {
        Self { up: uptime(), ..self }
    }
}

/// The first number of Linux's `/proc/uptime`, in seconds (proc_uptime(5)).
fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

impl SystemClock {
    /// The machine's clock, as it is set now.
    pub fn new() -> Self {
        Self { made: Reading::take().with_uptime() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.plus(Reading::take().wall)
    }

    fn moved(&self) -> Option<i64> {
        /// What may be a machine that slept, and is looked at more closely.
        const SUSPICIOUS_MILLIS: i64 = 1_000;
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let now = Reading::take();
        let passed = millis(now.wall) - millis(self.made.wall);
        let moved = passed - millis(now.awake - self.made.awake);
        if moved.abs() < SUSPICIOUS_MILLIS {
            return Some(moved);
        }
        let slept = self.made.up.zip(now.with_uptime().up);
        Some(slept.map_or(moved, |(before, after)| passed - millis(after.saturating_sub(before))))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Sets it, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now;
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = now.plus(by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn moved(&self) -> Option<i64> {
        None
    }
}

/// Makes ids that were never made before.
pub trait IdSource: Send + Sync + Debug {
    /// A new id.
    fn next(&self) -> uuid::Uuid;
}

/// UUIDs of version 7 (RFC 9562 §5.7): unique across machines, ascending in time.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidV7;

impl IdSource for UuidV7 {
    fn next(&self) -> uuid::Uuid {
        uuid::Uuid::now_v7()
    }
}
