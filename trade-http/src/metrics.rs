//! Counters for `/metrics`, in a registry of the router's own.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, Result, TextEncoder,
};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Upper bounds in seconds: from an answer out of memory to the request timeout.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
const LABELS: &[&str] = &["method", "route", "status"];

/// Counts requests and streams; nothing at all, should its instruments not come about.
#[derive(Debug)]
pub(crate) struct Metrics(Option<Instruments>);

#[derive(Debug)]
struct Instruments {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    streams: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self(Instruments::new().inspect_err(|error| tracing::error!(%error, "there are no metrics")).ok())
    }

    /// Counts an answered request. All labels come from small fixed sets.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        if let Some(instruments) = &self.0 {
            let status = status.to_string();
            let labels = [method, route, &status];
            instruments.requests.with_label_values(&labels).inc();
            instruments.seconds.with_label_values(&labels).observe(took.as_secs_f64());
        }
    }

    /// Counts a stream as open until the guard is dropped.
    pub(crate) fn stream_opened(&self, room: OwnedSemaphorePermit) -> OpenStream {
        let gauge = self.0.as_ref().map(|instruments| instruments.streams.clone());
        if let Some(gauge) = &gauge {
            gauge.inc();
        }
        OpenStream { gauge, _room: room }
    }

    /// All of it, in Prometheus' text format, and the content type of that.
    pub(crate) fn text(&self) -> Option<(Vec<u8>, String)> {
        let instruments = self.0.as_ref()?;
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        encoder.encode(&instruments.registry.gather(), &mut text).ok()?;
        Some((text, encoder.format_type().into()))
    }
}

/// Counts as one open stream, and takes the room of one.
#[derive(Debug)]
pub(crate) struct OpenStream {
    gauge: Option<IntGauge>,
    _room: OwnedSemaphorePermit,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if let Some(gauge) = &self.gauge {
            gauge.dec();
        }
    }
}

impl Instruments {
    fn new() -> Result<Self> {
        let registry = Registry::new();
        let requests = Opts::new("trade_http_requests_total", "Requests that were answered");
        let requests = IntCounterVec::new(requests, LABELS)?;
        let seconds = HistogramOpts::new(
            "trade_http_request_duration_seconds",
            "Time from the head of a request to the head of its answer",
        );
        let seconds = HistogramVec::new(seconds.buckets(BUCKETS.to_vec()), LABELS)?;
        let streams = IntGauge::new("trade_http_open_streams", "Streams of events that are open")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(streams.clone()))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, requests, seconds, streams })
    }
}
