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

pub use connection::Connections;
pub use hosts::{AllowedHosts, InvalidHost};
pub use options::{HttpOptions, Shutdown};

use app::App;
use axum::Router;
use trade_core::service::TradeService;

/// The routes of a network, to be served or nested.
///
/// It asks nobody who they are. A layer of the application, which knows its own logins, puts a [`Principal`] into the
/// extensions of the request: events then name its actor, each actor has `Idempotency-Key`s of its own, and the policy of the
/// service ([`ServiceOptions::policy`]) says what it may do and see. Where there is none the actor is
/// [`Actor::Anonymous`](trade_core::event::Actor::Anonymous), and all such callers share one space of keys.
///
/// ```
/// use axum::{extract::Request, http::StatusCode, middleware::Next, response::{IntoResponse, Response}};
/// use trade_core::event::Actor;
/// use trade_core::policy::Principal;
///
/// async fn login(mut request: Request, next: Next) -> Response {
///     // However the application knows its users.
///     let Some(user) = request.headers().get("x-user").and_then(|user| user.to_str().ok()) else {
///         return StatusCode::UNAUTHORIZED.into_response();
///     };
///     let principal = Principal::new(Actor::User(user.into()));
///     request.extensions_mut().insert(principal);
///     next.run(request).await
/// }
///
/// # fn nest(network: axum::Router) -> axum::Router {
/// axum::Router::new().nest("/network", network).layer(axum::middleware::from_fn(login))
/// # }
/// ```
///
/// [`Principal`]: trade_core::policy::Principal
/// [`ServiceOptions::policy`]: trade_core::service::ServiceOptions::policy
///
/// It has fallbacks of its own, for unknown paths and methods; so it is nested rather than merged where the application
/// has some too. Every router counts for itself: `/metrics` of one knows nothing of another's requests.
pub fn router(service: TradeService, options: HttpOptions) -> Router {
    let app = App::new(service, options);
    routes::all()
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::envelope))
        .with_state(app)
}
