//! The network of `trade-core` over HTTP: an axum router with JSON routes, Server-Sent Events, health and metrics.
//!
//! The router can stand alone or be nested into an application of one's own, under any prefix. It knows a
//! [`TradeService`] and no store; the handlers are thin, and no rule of the domain stands here. Every refusal, axum's
//! own included, is a problem document (RFC 9457).
//!
//! ```toml
//! [dependencies]
//! axum = "0.8"
//! tokio = { version = "1", features = ["macros", "net", "rt-multi-thread", "signal"] }
//! trade-core = "0.1"
//! trade-http = "0.1"
//! trade-store-sql = "0.1"           # or another store
//! ```
//!
//! # In an application
//!
//! [`router`] makes the routes of a service. They are nested below a prefix: with `/network` a trade is at
//! `/network/api/trades/T-1`. The order of the end is: the streams of events, the requests, the service, the store.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use std::sync::Arc;
//! use tokio::net::TcpListener;
//! use trade_core::{service::TradeService, store::Store};
//! use trade_http::{HttpOptions, Shutdown};
//!
//! /// Serves a network until `stop` resolves, such as `tokio::signal::ctrl_c()`. The store is closed afterwards.
//! async fn serve(
//!     store: Arc<dyn Store>,
//!     stop: impl Future<Output = ()> + Send + 'static,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let service = TradeService::start(store).await?;
//!     let shutdown = Shutdown::new();
//!     let options = HttpOptions { shutdown: shutdown.clone(), ..HttpOptions::default() };
//!     let network = trade_http::router(service.clone(), options);
//!     let application = Router::new().route("/", get(|| async { "my application" })).nest("/network", network);
//!
//!     let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!     let ending = async move {
//!         stop.await;
//!         // Every stream says `bye` and ends, and `/network/health/ready` is 503.
//!         shutdown.begin();
//!     };
//!     axum::serve(listener, application).with_graceful_shutdown(ending).await?;
//!     service.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! `axum::serve` ends when the last connection has. A client that reads nothing of its stream cannot be told of the end,
//! so put a [timeout](https://docs.rs/tokio/1/tokio/time/fn.timeout.html) around it, or use [`Connections`].
//!
//! # A login
//!
//! By default the router asks nobody who they are. [`HttpOptions::access`] makes it ask for an API key: see [`access`]. Or
//! a layer of the application asks in its own way, and puts a [`Principal`] into the extensions of the request. Then:
//!
//! - events name the principal's actor;
//! - the policy of the service ([`ServiceOptions::policy`]) says what the principal may do and see, in every route and
//!   stream: what it refuses is 403 `forbidden`, or 409 `refused-by-policy` with the policy's reason, and what is out of
//!   scope is 404;
//! - each actor has `Idempotency-Key`s of its own.
//!
//! A request without one is of [`Actor::Anonymous`], without roles and stations. So the layer turns away whoever has not
//! logged in. It is around health and metrics as well.
//!
//! ```
//! use axum::body::Body;
//! use axum::http::{Request, StatusCode};
//! use axum::middleware::{Next, from_fn};
//! use axum::response::{IntoResponse, Response};
//! use std::sync::Arc;
//! use tower::ServiceExt;
//! # use trade_core::command::CreateStation;
//! use trade_core::event::Actor;
//! use trade_core::memory::MemoryStore;
//! use trade_core::policy::{Action, Denial, Policy, Principal, State};
//! use trade_core::service::{ServiceOptions, TradeService};
//! use trade_core::values::{Scope, StationId};
//! use trade_http::HttpOptions;
//!
//! /// Everybody changes what touches their own stations, and sees no others.
//! #[derive(Debug)]
//! struct Own;
//!
//! impl Policy for Own {
//!     fn check(&self, who: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
//!         if who.stations().touches(action.stations()) { Ok(()) } else { Err(Denial::Forbidden) }
//!     }
//!
//!     fn scope(&self, who: &Principal) -> Scope {
//!         who.stations().clone()
//!     }
//! }
//!
//! async fn login(mut request: Request<Body>, next: Next) -> Response {
//!     // However the application knows its users, and what is theirs.
//!     let (user, station) = match request.headers().get("authorization").map(|value| value.as_bytes()) {
//!         Some(b"Bearer token-of-ada") => ("ada", "ceres"),
//!         Some(b"Bearer token-of-bob") => ("bob", "vesta"),
//!         _ => return StatusCode::UNAUTHORIZED.into_response(),
//!     };
//!     let stations = StationId::new(station).and_then(|station| Scope::of([station]));
//!     let Ok(stations) = stations else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
//!     let principal = Principal::new(Actor::User(user.into())).with_stations(stations);
//!     request.extensions_mut().insert(principal);
//!     next.run(request).await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ServiceOptions { policy: Arc::new(Own), ..ServiceOptions::default() };
//! let service = TradeService::start_with_options(Arc::new(MemoryStore::new()), options).await?;
//! # let ceres = CreateStation::new("ceres".try_into()?);
//! # service.submit(trade_core::command::Request::new(ceres)).await?;
//! let network = trade_http::router(service.clone(), HttpOptions::default()).layer(from_fn(login));
//! let application = axum::Router::new().nest("/network", network);
//!
//! let get = |token: &str| {
//!     let request = Request::get("/network/api/inventory/ceres").header("authorization", token);
//!     request.body(Body::empty())
//! };
//! for (token, status) in [
//!     ("Bearer token-of-ada", StatusCode::OK),
//!     // As if it did not exist.
//!     ("Bearer token-of-bob", StatusCode::NOT_FOUND),
//!     ("Bearer guessed", StatusCode::UNAUTHORIZED),
//! ] {
//!     let answer = application.clone().oneshot(get(token)?).await?;
//!     assert_eq!(answer.status(), status);
//! }
//! # service.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Hosts
//!
//! Where nobody logs in, the router must answer for no host but its own. Otherwise a page in a browser of that machine
//! could reach it under a name of the page's. [`HttpOptions::allowed_hosts`] names the hosts; a request for another one is
//! 421 `misdirected-request`. See [`AllowedHosts`].
//!
//! ```
//! use trade_http::{AllowedHosts, HttpOptions};
//!
//! # fn main() -> Result<(), trade_http::InvalidHost> {
//! // This machine's own names, and one more.
//! let allowed_hosts = AllowedHosts::loopback().and("trade.example.com")?;
//! let options = HttpOptions { allowed_hosts, ..HttpOptions::default() };
//! # drop(options);
//! # Ok(())
//! # }
//! ```
//!
//! # Pages of other origins
//!
//! A browser lets a page of another origin call the router only if [`HttpOptions::cors`] allows it. See [`CorsOrigins`].
//!
//! # Too many requests
//!
//! [`HttpOptions::rate_limit`] bounds the requests of each caller: a [`Principal`]'s actor, or the address of whoever has not
//! logged in. Behind a proxy, [`HttpOptions::trusted_proxies`] names those that say which address that is.
//!
//! ```
//! use trade_http::{HttpOptions, RateLimit, TrustedProxies};
//!
//! # fn main() -> Result<(), trade_http::InvalidNetwork> {
//! let options = HttpOptions {
//!     rate_limit: Some(RateLimit::default()),
//!     trusted_proxies: TrustedProxies::none().and("10.0.0.7")?,
//!     ..HttpOptions::default()
//! };
//! # drop(options);
//! # Ok(())
//! # }
//! ```
//!
//! # Many streams
//!
//! Any server that serves an axum router will do. [`Connections`] also ends connections whose clients send or take nothing
//! for a while, in HTTP/1.1 and HTTP/2: an accept loop gives it each connection. Where thousands of streams of events are
//! open at a time, the feature `takeover` lets them take much less time and memory. `end` becomes true when the
//! application is to end, after [`Shutdown::begin`].
//!
//! ```no_run
//! use axum::Router;
//! use tokio::net::TcpListener;
//! use tokio::sync::watch;
//! use tokio::task::JoinSet;
//! use trade_http::Connections;
//!
//! async fn serve(listener: TcpListener, application: Router, mut end: watch::Receiver<bool>) -> std::io::Result<()> {
//!     let connections = Connections::new(application);
//!     let mut open = JoinSet::new();
//!     loop {
//!         let (socket, peer) = tokio::select! {
//!             accepted = listener.accept() => accepted?,
//!             _ = end.wait_for(|end| *end) => break,
//!         };
//!         let (connections, mut end) = (connections.clone(), end.clone());
//!         open.spawn(async move {
//!             let ending = async move {
//!                 let _ = end.wait_for(|end| *end).await;
//!             };
//!             // What ended a connection before its time is its client's affair.
//!             let _ = connections.serve_tcp(socket, peer, true, ending).await;
//!         });
//!         while open.try_join_next().is_some() {}
//!     }
//!     while open.join_next().await.is_some() {}
//!     Ok(())
//! }
//! ```
//!
//! [`Connections::serve`] takes any stream of bytes. For TLS that is what an acceptor of
//! [tokio-rustls](https://docs.rs/tokio-rustls) makes of a socket. It offers `h2` and `http/1.1` where those are the
//! `alpn_protocols` of its configuration.
//!
//! A process may open no more connections than its limit of open files allows (`ulimit -n`).
//! [`HttpOptions::streams_max`] bounds the streams.
//!
//! # Routes
//!
//! Below the prefix are `/api/trades`, `/api/cargo`, `/api/inventory`, `/api/updates` (events by polling),
//! `/api/updates/real-time` (events as a stream), `/api/updates/ticket` (what opens one in a browser), `/health/live`, `/health/ready` and `/metrics`. The page of
//! [`interface`] lists their methods, parameters, errors and limits, with clients of the stream in a browser, Python and
//! Node.js.
//!
//! # Metrics
//!
//! The router and the network report by the `metrics` facade ([`METRICS`], [`trade_core::telemetry`]). An application
//! installs a recorder before it starts a service, such as that of `metrics-exporter-prometheus`, and may hand its text
//! over for `/metrics`: [`HttpOptions::metrics`].
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `openapi` (default) | `/openapi.json` (OpenAPI 3.1) and `/asyncapi.json` (AsyncAPI 3.0: the events), made of the types that the requests are read by |
//! | `docs` | `/docs`, a page that shows the description in a browser. It loads nothing from elsewhere, and allows itself no more than that in its `Content-Security-Policy`. It takes 220 kB in the program |
//! | `jwt` | [`access::Tokens`]: tokens of an issuer whose keys (JWKS) are in a file. What checks signatures is `aws-lc-rs`, unless the application has chosen another provider of `jsonwebtoken` |
//! | `jwks-url` | the same with keys at an address. It brings an HTTP client |
//! | `takeover` | a stream of events that is the first request of a plain connection of HTTP/1.1 ([`Connections::serve_tcp`]) writes to the socket itself. Without it, and on every other connection, a stream is the body of its answer |
//!
//! The addresses of the descriptions are relative, so they hold under any prefix.
//!
//! # By hand
//!
//! Libraries do the rest of the work. What is written here, though there are libraries for it:
//!
//! | module | instead of | because |
//! |---|---|---|
//! | `json`, `fields`, `value`, `query` | types that derive `Deserialize` | all faults of a request are told at once, each by its field; a hostile body costs no more than its bound |
//! | `sent` | `serde_json` alone | U+0085, U+2028 and U+2029 are written escaped |
//! | `body`, `bodies`, `budget` | `axum::body::Bytes`, `tower-http`'s limit | all bodies share one bound, and small ones do not wait for large ones |
//! | `untaken`, a part of `connection` | `tower-http`'s timeouts | an answer that its client does not take is counted, and cut off after a while |
//! | `connection`, `feed`, `takeover` | `axum::serve`, `axum::response::sse`, `hyper_util::server::conn::auto` | a stream takes less memory, and one task writes to many |
//! | `conditional` | `headers`, `axum-extra` | `If-Match` and `If-None-Match` become sets of versions, which the store checks; a weak tag names a version too |
//! | `access::bearer` | `headers::Authorization` | two headers, and what no token looks like, are refused and not passed over |
//! | `access::leases` | a timer for each stream | one task looks after all of them |
//! | `access::jwt::source` | – | an issuer that is away or slow keeps nobody waiting whose key is known |
//! | `hosts` | `headers::Host`, `axum-extra` | names are compared in one form, and a malformed one is refused |
//! | `proxies` | `forwarded-header-value`, `headers` | a header is read from its end, and only as far as it is trusted |
//! | `media` | `mime`, `headers::ContentType` | only JSON is taken, and what is told of anything else says what it looks like |
//! | `cursor` | – | a cursor holds only for the list that gave it |
//! | a part of `compression` | all of `tower-http`'s layer | that answers 406 after a change was applied, keeps an encoder for every client that reads slowly, and leaves the `ETag` strong |
//!
//! [`Principal`]: trade_core::policy::Principal
//! [`ServiceOptions::policy`]: trade_core::service::ServiceOptions::policy
//! [`Actor::Anonymous`]: trade_core::event::Actor::Anonymous

#![warn(missing_docs)]

pub mod access;
mod allow;
mod app;
mod bodies;
mod body;
mod budget;
mod call;
mod compression;
mod conditional;
mod connection;
mod cors;
mod cursor;
mod feed;
mod fields;
mod hosts;
mod idempotency;
mod input;
mod json;
mod lines;
mod media;
mod metrics;
mod middleware;
#[cfg(feature = "openapi")]
mod openapi;
mod operation;
mod options;
mod page;
mod problem;
mod proxies;
mod query;
mod rate;
mod reply;
mod routes;
mod sent;
#[cfg(feature = "takeover")]
mod takeover;
mod untaken;
mod value;

/// The routes as their clients see them.
#[doc = include_str!("../INTERFACE.md")]
pub mod interface {}

pub use connection::Connections;
pub use cors::{CorsOrigins, InvalidOrigin};
pub use hosts::{AllowedHosts, InvalidHost};
pub use metrics::{METRICS, MetricsText};
pub use options::{HttpOptions, Shutdown};
pub use proxies::{InvalidNetwork, TrustedProxies};
pub use rate::{InvalidRateLimit, RateLimit};

use app::App;
use axum::Router;
use trade_core::service::TradeService;

/// The routes of a network, to be served or nested.
///
/// It asks nobody who they are, unless [`HttpOptions::access`] says so. A layer of the application, which knows its own logins, puts a [`Principal`] into the
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
/// has some too.
pub fn router(service: TradeService, options: HttpOptions) -> Router {
    let app = App::new(service, options);
    routes::all()
        .layer(axum::middleware::from_fn_with_state(app.clone(), middleware::envelope))
        .with_state(app)
}
