//! What a server tells Prometheus: every metric that is documented is there, and whatever the dashboard and the alerts ask
//! for.

use std::collections::BTreeSet;
use tests::api::{Api, one_unit};
use tests::server::Server;
use tests::sse::Stream;
use tests::world::World;
use trade_core::telemetry::{Metric, MetricKind};

const DASHBOARD: &str = include_str!("../../examples/monitoring/grafana.json");
const ALERTS: &str = include_str!("../../examples/monitoring/alerts.yml");
/// Shown by a process after a turn or a failure alone.
const SELDOM: [&str; 2] = ["trade_hold_seconds", "trade_store_errors_total"];

/// The words of a text that are names of metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|other: char| !other.is_ascii_alphanumeric() && other != '_');
    words.filter(|word| word.starts_with("trade_") || word.starts_with("process_")).collect()
}

/// The samples of a metric have these names.
fn samples(metric: &Metric) -> Vec<String> {
    match metric.kind {
        MetricKind::Histogram(_) => {
            ["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", metric.name)).into()
        }
        _ => vec![metric.name.to_owned()],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_there_that_is_documented_or_asked_for() {
    let world = World::new();
    let server = Server::start(&world.sqlite()).await;
    let api = Api::new(server.url());
    api.station("a", "fuel", 1).await;
    api.station("b", "fuel", 1).await;
    let mut stream = Stream::open(server.url(), "/api/updates/real-time", None).await;
    stream.next().await.expect("a greeting");
    let body = one_unit("T-1", "a", "b", "fuel");
    for status in [201, 409] {
        let sold = if status == 201 { body.clone() } else { one_unit("T-2", "a", "b", "fuel") };
        let reply = api.send(reqwest::Method::POST, "/api/trades", Some(&sold)).await.expect("it answers");
        assert_eq!(reply.status, status);
    }
    let answer = reqwest::get(format!("{}/metrics", server.url())).await.expect("it answers");
    let text = answer.text().await.expect("metrics are text");
    let mut told: BTreeSet<String> = named(&text).into_iter().map(str::to_owned).collect();
    let of_core = trade_core::telemetry::METRICS.iter();
    let documented: Vec<_> = of_core.chain(&trade_store_sql::METRICS).chain(&trade_http::METRICS).collect();
    for metric in &documented {
        for sample in samples(metric) {
            if SELDOM.contains(&metric.name) {
                told.insert(sample);
            } else {
                assert!(told.contains(&sample), "{sample} is not in\n{text}");
            }
        }
        assert!(
            SELDOM.contains(&metric.name) || text.contains(&format!("# HELP {} ", metric.name)),
            "{text}"
        );
    }
    for asked in named(DASHBOARD).into_iter().chain(named(ALERTS)) {
        assert!(told.contains(asked), "{asked} is asked for, and not told");
    }
    for line in [
        r#"trade_commands_total{outcome="applied"} 3"#,
        r#"trade_commands_total{outcome="refused"} 1"#,
        r#"trade_commit_seconds_count{outcome="stored"} 3"#,
        "trade_commands_waiting 0",
        "trade_http_open_streams 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}
