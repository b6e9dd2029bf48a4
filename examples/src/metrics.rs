//! Metrics for Prometheus: what the network, its stores and its router report, and what the process takes.

use crate::Failure;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use metrics_process::Collector;
use std::time::Duration;
use trade_core::telemetry::Metric;
use trade_http::MetricsText;

/// Upper bounds in seconds: from an answer out of memory to the longest time a request may take.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Upper bounds of commands.
const COMMANDS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];
/// How often what was measured is added up: it waits in memory until then.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Begins to record, before anything reports. Needs a runtime.
///
/// # Errors
/// A failure where a program has begun that already, or the bounds make no sense.
pub(crate) fn begin() -> Result<MetricsText, Failure> {
    let failed = |error| Failure::Failed(format!("metrics cannot be recorded: {error}"));
    let of = |suffix: &str| Matcher::Suffix(suffix.into());
    let builder = PrometheusBuilder::new();
    let builder = builder.set_buckets_for_metric(of("_seconds"), SECONDS).map_err(failed)?;
    let builder = builder.set_buckets_for_metric(of("_commands"), COMMANDS).map_err(failed)?;
    let recorded = builder.install_recorder().map_err(failed)?;
    let of_core = trade_core::telemetry::METRICS.iter();
    of_core.chain(&trade_store_sql::METRICS).chain(&trade_http::METRICS).for_each(Metric::describe);
    let process = Collector::default();
    process.describe();
    let upkeep = recorded.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    Ok(MetricsText::new(move || {
        process.collect();
        recorded.render()
    }))
}
