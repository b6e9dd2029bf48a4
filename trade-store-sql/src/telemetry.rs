//! What a store reports of its connections, by the facade that the network itself goes by.

use metrics::{Gauge, Histogram, Unit};
use trade_core::telemetry::{Metric, MetricKind};

const WAIT: &str = "trade_store_connection_wait_seconds";
const USED: &str = "trade_store_connections_used";

/// The metrics of a SQL store, beside those that every store has
/// ([`METRICS`](trade_core::telemetry::METRICS) of `trade-core`). Their label `store` is its engine.
pub const METRICS: [Metric; 2] = [
    Metric::new(WAIT, MetricKind::Histogram(Unit::Seconds), "How long an operation waited for a connection"),
    Metric::new(USED, MetricKind::Gauge, "Connections that are used"),
];

pub(crate) fn wait(store: &'static str) -> Histogram {
    metrics::histogram!(WAIT, "store" => store)
}

pub(crate) fn used(store: &'static str) -> Gauge {
    metrics::gauge!(USED, "store" => store)
}
