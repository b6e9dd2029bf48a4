//! For those who keep the server running: is it alive, can it work, what does it do.

use crate::app::App;
use crate::problem::Problem;
use crate::reply::{self, Reply};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;

/// How long the store may take to show that it is there.
const STORE_TIME_MAX: Duration = Duration::from_secs(2);

pub(crate) async fn live() -> Reply {
    reply::json(StatusCode::OK, &json!({ "status": "live" }))
}

pub(crate) async fn ready(State(app): State<App>) -> Reply {
    if app.options.shutdown.has_begun() {
        return Err(Problem::shutdown());
    }
    if !app.service.is_working() {
        tracing::warn!("not ready: nothing is committed any more");
        let detail = "the server no longer commits anything to its store, and has to be started again";
        return Err(Problem::new("store-unavailable", detail));
    }
    if app.service.bus().is_closed() {
        tracing::warn!("not ready: the log is another than it was");
        let detail = "the store was exchanged beneath the server, which has to be started again";
        return Err(Problem::new("store-unavailable", detail));
    }
    match timeout(STORE_TIME_MAX, app.service.ready()).await {
        Ok(Ok(())) => reply::json(StatusCode::OK, &json!({ "status": "ready" })),
        Ok(Err(error)) => {
            tracing::warn!(cause = error.source(), %error, "not ready");
            Err(Problem::new("store-unavailable", "the store cannot be reached, or takes nothing new"))
        }
        Err(_) => Err(Problem::new("store-unavailable", "the store did not answer in time")),
    }
}

pub(crate) async fn metrics(State(app): State<App>) -> Reply {
    let (text, content_type) = app.metrics.text().ok_or_else(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
