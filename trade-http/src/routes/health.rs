//! For those who keep the server running: is it alive, can it work, what does it do.

use crate::app::App;
use crate::operation::{MakeSchema, Operation};
use crate::problem::Problem;
use crate::reply::{self, Reply};
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use std::error::Error;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The operations for those who keep the server running.
pub(super) fn operations() -> Vec<Operation> {
    const TAG: &str = "operation";
    let text: MakeSchema = SchemaGenerator::subschema_for::<String>;
    vec![
        Operation::new(TAG, "Whether the server is alive", live)
            .at(Method::GET, "/health/live", "getLive")
            .answers::<Health>(StatusCode::OK, "It is.", &[]),
        Operation::new(TAG, "Whether the server can work", ready)
            .at(Method::GET, "/health/ready", "getReady")
            .answers::<Health>(StatusCode::OK, "It can.", &[])
            .refuses(&["store-unavailable", "shutdown"]),
        Operation::new(TAG, "What the server did, as Prometheus reads it", metrics)
            .at(Method::GET, "/metrics", "getMetrics")
            .answers_with(StatusCode::OK, "Counters, gauges and histograms.", Some(("text/plain", text)), &[])
            .refuses(&["not-found"]),
    ]
}

/// How the server does.
#[derive(Serialize, JsonSchema)]
struct Health {
    status: &'static str,
}

/// How long the store may take to show that it is there.
const STORE_TIME_MAX: Duration = Duration::from_secs(2);

pub(crate) async fn live() -> Reply {
    reply::json(StatusCode::OK, &Health { status: "live" })
}

pub(crate) async fn ready(State(app): State<App>) -> Reply {
    if app.options.shutdown.has_begun() {
        return Err(Problem::shutdown());
    }
    let hindrance = hindrance(&app).await;
    // Probes come all the time: what they are told is news only where it changes.
    if app.hindrance.swap(hindrance.is_some(), Ordering::Relaxed) != hindrance.is_some() {
        match hindrance {
            Some(detail) => tracing::warn!("not ready: {detail}"),
            None => tracing::info!("ready again"),
        }
    }
    match hindrance {
        None => reply::json(StatusCode::OK, &Health { status: "ready" }),
        Some(detail) => Err(Problem::new("store-unavailable", detail)),
    }
}

/// What keeps the server from its work.
async fn hindrance(app: &App) -> Option<&'static str> {
    if !app.service.is_working() {
        return Some("the server no longer commits anything to its store, and has to be started again");
    }
    if app.service.bus().is_closed() {
        return Some("the store was exchanged beneath the server, which has to be started again");
    }
    match timeout(STORE_TIME_MAX, app.service.ready()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::debug!(cause = error.source(), %error, "not ready");
            Some("the store cannot be reached, or takes nothing new")
        }
        Err(_) => Some("the store did not answer in time"),
    }
}

pub(crate) async fn metrics(State(app): State<App>) -> Reply {
    let Some(metrics) = &app.options.metrics else {
        return Err(Problem::new("not-found", "this application shows no metrics"));
    };
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], metrics.render()).into_response())
}
