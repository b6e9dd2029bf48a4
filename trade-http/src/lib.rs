//! The network of `trade-core` over HTTP: an axum router with JSON routes, Server-Sent Events, health and metrics.
//!
//! The router can stand alone or be nested into an application of one's own, under any prefix. It knows a
//! [`TradeService`] and no store; the handlers are thin, and no rule of the domain stands here. Every refusal, axum's
//! own included, is a problem document (RFC 9457).
//!
//! ```
//! use std::sync::Arc;
//! use trade_core::{memory::MemoryStore, service::TradeService};
//! use trade_http::{HttpOptions, Shutdown};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = TradeService::start(Arc::new(MemoryStore::new())).await?;
//! let shutdown = Shutdown::new();
//! let options = HttpOptions { shutdown: shutdown.clone(), ..HttpOptions::default() };
//! let application = axum::Router::new().nest("/network", trade_http::router(service.clone(), options));
//! // axum::serve(listener, application).with_graceful_shutdown(signal).await?;
//! // or, where thousands of streams are open at a time, an accept loop and `Connections`.
//! # drop(application);
//!
//! // When the signal comes: every stream says goodbye, then what is running finishes.
//! shutdown.begin();
//! service.shutdown().await;
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod app;
mod bodies;
mod body;
mod budget;
mod call;
mod conditional;
mod connection;
mod cursor;
mod feed;
mod fields;
mod hosts;
mod idempotency;
mod idle;
mod input;
mod json;
mod lines;
mod media;
mod metrics;
mod middleware;
mod options;
mod page;
mod percent;
mod problem;
mod reply;
mod routes;
mod sent;
mod untaken;

pub use call::Caller;
pub use connection::Connections;
pub use hosts::{AllowedHosts, InvalidHost};
pub use options::{HttpOptions, Shutdown};

use app::App;
use axum::Router;
use trade_core::service::TradeService;

/// The routes of a network, to be served or nested.
///
/// It has fallbacks of its own, for unknown paths and methods; so it is nested rather than merged where the application
/// has some too. Every router counts for itself: `/metrics` of one knows nothing of another's requests.
pub fn router(service: TradeService, options: HttpOptions) -> Router {
    let app = App::new(service, options);
    routes::all()
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::envelope))
        .with_state(app)
}
