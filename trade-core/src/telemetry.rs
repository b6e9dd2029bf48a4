//! What a network tells of its work: counters, gauges and histograms by the facade of the
//! [`metrics`](https://docs.rs/metrics) crate.
//!
//! An application that installs a recorder, such as `metrics-exporter-prometheus`, before it starts a service sees them;
//! without one they cost next to nothing. [`METRICS`] lists them. Services of one process add up, but for the lag, which is
//! that of the one that looked last.
//!
//! | name | kind | labels | tells |
//! |---|---|---|---|
//! | `trade_commands_total` | counter | `outcome`: `applied`, `replayed`, `refused`, `failed` | commands that were answered |
//! | `trade_commands_waiting` | gauge | | commands that were taken and are not answered yet |
//! | `trade_group_commands` | histogram | | commands that share a commit |
//! | `trade_commit_seconds` | histogram | `outcome`: `stored`, `behind`, `conflict`, `unknown`, `failed` | from the sending of a commit to its end |
//! | `trade_hold_seconds` | histogram | | how long the head of the log was waited for |
//! | `trade_store_seconds` | histogram | `operation` | how long a call of the store took, but for `changed`, which waits for others |
//! | `trade_store_errors_total` | counter | `operation`, `kind` | calls of the store that failed |
//! | `trade_feed_subscribers` | gauge | | subscriptions that are open |
//! | `trade_feed_delay_seconds` | histogram | | from the time of a step to when subscribers of this process can have its events; of steps that come together, of the newest |
//! | `trade_feed_lag_events` | gauge | | events of the log that this process has not read yet, as it found every five seconds while the store could be read |
//!
//! A commit that hoped to be alone and ended as `conflict`, or `behind` others, is made again: see
//! [`Store::commit`](crate::store::Store::commit).

use crate::store::StoreErrorKind;
use metrics::{Counter, Gauge, Histogram, Unit};
use std::time::Duration;

/// A metric of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it tells.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// Counts up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often values were in which range.
    Histogram(Unit),
}

impl Metric {
    /// A metric of an adapter, or of an application.
    pub const fn new(name: &'static str, kind: MetricKind, help: &'static str) -> Self {
        Self { name, kind, help }
    }

    /// Tells the recorder what it is.
    pub fn describe(&self) {
        match self.kind {
            MetricKind::Counter => metrics::describe_counter!(self.name, self.help),
            MetricKind::Gauge => metrics::describe_gauge!(self.name, self.help),
            MetricKind::Histogram(unit) => metrics::describe_histogram!(self.name, unit, self.help),
        }
    }
}

const COMMANDS: &str = "trade_commands_total";
const WAITING: &str = "trade_commands_waiting";
const GROUP: &str = "trade_group_commands";
const COMMIT: &str = "trade_commit_seconds";
const HOLD: &str = "trade_hold_seconds";
const STORE: &str = "trade_store_seconds";
const STORE_ERRORS: &str = "trade_store_errors_total";
const SUBSCRIBERS: &str = "trade_feed_subscribers";
const DELAY: &str = "trade_feed_delay_seconds";
const LAG: &str = "trade_feed_lag_events";

const SECONDS: MetricKind = MetricKind::Histogram(Unit::Seconds);

/// All of them.
pub const METRICS: [Metric; 10] = [
    Metric::new(COMMANDS, MetricKind::Counter, "Commands that were answered"),
    Metric::new(WAITING, MetricKind::Gauge, "Commands that were taken and are not answered yet"),
    Metric::new(GROUP, MetricKind::Histogram(Unit::Count), "Commands that share a commit"),
    Metric::new(COMMIT, SECONDS, "From the sending of a commit to its end"),
    Metric::new(HOLD, SECONDS, "How long the head of the log was waited for"),
    Metric::new(STORE, SECONDS, "How long a call of the store took"),
    Metric::new(STORE_ERRORS, MetricKind::Counter, "Calls of the store that failed"),
    Metric::new(SUBSCRIBERS, MetricKind::Gauge, "Subscriptions that are open"),
    Metric::new(
        DELAY,
        SECONDS,
        "From the time of a step to when subscribers of this process can have its events",
    ),
    Metric::new(LAG, MetricKind::Gauge, "Events of the log that this process has not read yet"),
];

/// A count that goes down again when this is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    fn one_more(gauge: &Gauge) -> Self {
        gauge.increment(1);
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// Of the commands of a service.
#[derive(Debug)]
pub(crate) struct Commands {
    waiting: Gauge,
    pub(crate) applied: Counter,
    pub(crate) replayed: Counter,
    pub(crate) refused: Counter,
    pub(crate) failed: Counter,
}

impl Commands {
    pub(crate) fn new() -> Self {
        let of = |outcome: &'static str| metrics::counter!(COMMANDS, "outcome" => outcome);
        Self {
            waiting: metrics::gauge!(WAITING),
            applied: of("applied"),
            replayed: of("replayed"),
            refused: of("refused"),
            failed: of("failed"),
        }
    }

    pub(crate) fn taken(&self) -> Counted {
        Counted::one_more(&self.waiting)
    }
}

/// Of the commits of a service.
#[derive(Debug)]
pub(crate) struct Commits {
    pub(crate) group: Histogram,
    pub(crate) held: Histogram,
    pub(crate) stored: Histogram,
    pub(crate) behind: Histogram,
    pub(crate) conflict: Histogram,
    pub(crate) unknown: Histogram,
    pub(crate) failed: Histogram,
}

impl Commits {
    pub(crate) fn new() -> Self {
        let of = |outcome: &'static str| metrics::histogram!(COMMIT, "outcome" => outcome);
        Self {
            group: metrics::histogram!(GROUP),
            held: metrics::histogram!(HOLD),
            stored: of("stored"),
            behind: of("behind"),
            conflict: of("conflict"),
            unknown: of("unknown"),
            failed: of("failed"),
        }
    }
}

/// A call of the store has ended.
pub(crate) fn store_called(operation: &'static str, took: Option<Duration>, failed: Option<StoreErrorKind>) {
    if let Some(took) = took {
        metrics::histogram!(STORE, "operation" => operation).record(took);
    }
    if let Some(kind) = failed {
        metrics::counter!(STORE_ERRORS, "operation" => operation, "kind" => kind.as_str()).increment(1);
    }
}

/// Of the feed of a service.
#[derive(Debug)]
pub(crate) struct Feed {
    subscribers: Gauge,
    pub(crate) delay: Histogram,
    pub(crate) lag: Gauge,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            subscribers: metrics::gauge!(SUBSCRIBERS),
            delay: metrics::histogram!(DELAY),
            lag: metrics::gauge!(LAG),
        }
    }

    pub(crate) fn subscribed(&self) -> Counted {
        Counted::one_more(&self.subscribers)
    }
}
