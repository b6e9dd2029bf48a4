//! Metrics of requests and streams, by the facade that the network's own go by, and the text of all of them for
//! `/metrics`.

use metrics::{Gauge, Unit};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use trade_core::telemetry::{Metric, MetricKind};

const REQUESTS: &str = "trade_http_requests_total";
const SECONDS: &str = "trade_http_request_duration_seconds";
const STREAMS: &str = "trade_http_open_streams";

/// The metrics of a router. Requests have the labels `method`, `route` (its path with placeholders, or `unmatched`) and
/// `status`: all of them come from small fixed sets. Those of the network itself are
/// [`METRICS`](trade_core::telemetry::METRICS) of `trade-core`.
pub const METRICS: [Metric; 3] = [
    Metric::new(REQUESTS, MetricKind::Counter, "Requests that were answered"),
    Metric::new(
        SECONDS,
        MetricKind::Histogram(Unit::Seconds),
        "Time from the head of a request to the head of its answer",
    ),
    Metric::new(STREAMS, MetricKind::Gauge, "Streams of events that are open"),
];

/// What `/metrics` answers: all metrics of the application, in Prometheus' text format
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>), as its exporter writes them.
#[derive(Clone)]
pub struct MetricsText(Arc<dyn Fn() -> String + Send + Sync>);

impl MetricsText {
    /// Text that is made anew each time it is asked for.
    pub fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }

    pub(crate) fn render(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for MetricsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsText")
    }
}

/// Counts requests and streams.
#[derive(Debug)]
pub(crate) struct Metrics {
    streams: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let streams = metrics::gauge!(STREAMS);
        // So that it is there from the beginning.
        streams.increment(0);
        Self { streams }
    }

    /// Counts an answered request.
    pub(crate) fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let labels = [("method", method.into()), ("route", route.to_owned()), ("status", status.to_string())];
        metrics::counter!(REQUESTS, &labels).increment(1);
        metrics::histogram!(SECONDS, &labels).record(took);
    }

    /// Counts a stream as open until the guard is dropped.
    pub(crate) fn stream_opened(&self, room: OwnedSemaphorePermit) -> OpenStream {
        self.streams.increment(1);
        OpenStream { gauge: self.streams.clone(), _room: room }
    }
}

/// Counts as one open stream, and takes the room of one.
#[derive(Debug)]
pub(crate) struct OpenStream {
    gauge: Gauge,
    _room: OwnedSemaphorePermit,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.gauge.decrement(1);
    }
}
