//! How a service works, and what it does not start with.

use crate::policy::{AllowAll, Policy};
use crate::store::StoreError;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

const LINES: RangeInclusive<u32> = 1..=10_000_000;
const ATTEMPTS: RangeInclusive<u32> = 1..=1_000;
const EXPIRY_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(1)..=hours(24);
const RECEIPTS_KEPT: RangeInclusive<Duration> = hours(24)..=hours(24 * 3_650);
const STORE_CALL: RangeInclusive<Duration> = Duration::from_secs(1)..=hours(1);

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 60 * 60)
}

/// How a [`TradeService`](super::TradeService) works. It does not start where an option is out of its range.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// Lines of all commands that wait or are under way. The next one is taken where they have room for it, or where a
    /// quarter of this at most is taken: then the most of one command ([`InitiateTrades::LINES_MAX`]) may come on top.
    /// Otherwise a caller is told [`ServiceError::Overloaded`]. 1 to 10 000 000.
    ///
    /// [`InitiateTrades::LINES_MAX`]: crate::command::InitiateTrades::LINES_MAX
    /// [`ServiceError::Overloaded`]: super::ServiceError::Overloaded
    pub queue_lines_max: u32,
    /// While a group has fewer lines than this, the next command joins it, to be committed with it. More than
    /// `queue_lines_max` means as much as that. 1 to 10 000 000.
    pub group_lines_max: u32,
    /// How often a group is tried while the store reports conflicts, or cannot tell what became of it. 1 to 1 000.
    pub attempts_max: u32,
    /// How often expired trades are looked for. 1 ms to 24 hours.
    pub expiry_interval: Duration,
    /// How long a repeated request is answered with its first answer; receipts are kept for an hour more. 24 hours to
    /// 3 650 days.
    pub receipts_kept: Duration,
    /// Whether one processor does everything, the store's work included: a SQLite store on a machine with one. Groups
    /// then are made as large as they come, instead of being decided while others are stored.
    pub one_processor: bool,
    /// How long a call of the store may take, but for one that waits for changes ([`EventLog::changed`]): longer than the
    /// store's own limits, which name what it was waiting for. A commit that takes longer may have landed or not, as after
    /// a connection that broke, and is settled as such; whatever else takes longer has failed. 1 second to 1 hour.
    ///
    /// [`EventLog::changed`]: crate::store::EventLog::changed
    pub store_call_max: Duration,
    /// What those may do and see who use the network by a [`Session`](super::Session).
    pub policy: Arc<dyn Policy>,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            queue_lines_max: 1 << 16,
            group_lines_max: 1 << 12,
            attempts_max: 10,
            expiry_interval: Duration::from_millis(500),
            receipts_kept: hours(48),
            one_processor: false,
            store_call_max: Duration::from_secs(60),
            policy: Arc::new(AllowAll),
        }
    }
}

impl ServiceOptions {
    pub(super) fn check(&self) -> Result<(), StartError> {
        let Self {
            queue_lines_max,
            group_lines_max,
            attempts_max,
            expiry_interval,
            receipts_kept,
            one_processor: _,
            store_call_max,
            policy: _,
        } = self;
        within("queue_lines_max", queue_lines_max, &LINES)?;
        within("group_lines_max", group_lines_max, &LINES)?;
        within("attempts_max", attempts_max, &ATTEMPTS)?;
        within("expiry_interval", expiry_interval, &EXPIRY_INTERVAL)?;
        within("receipts_kept", receipts_kept, &RECEIPTS_KEPT)?;
        within("store_call_max", store_call_max, &STORE_CALL)
    }
}

fn within<T: PartialOrd + Debug>(
    option: &'static str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), StartError> {
    if range.contains(value) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    Err(StartError::Option { option, detail: format!("{value:?} is not from {least:?} to {most:?}") })
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An option is out of its range.
    #[error("the option {option}: {detail}")]
    Option {
        /// The field of [`ServiceOptions`].
        option: &'static str,
        /// Its value, and its range.
        detail: String,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
