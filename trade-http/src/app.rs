//! What all handlers share.

use crate::access::tickets::Tickets;
use crate::bodies::Bodies;
use crate::call::Call;
use crate::feed::Feeds;
use crate::metrics::Metrics;
use crate::options::HttpOptions;
use crate::page;
use crate::rate::Limiter;
use crate::untaken::Untaken;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::Semaphore;
use tower_http::cors::CorsLayer;
use trade_core::clock::{Clock, SystemClock};
use trade_core::service::{Session, TradeService};

/// The state of a router. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) service: TradeService,
    pub(crate) options: Arc<HttpOptions>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) feeds: Arc<Feeds>,
    /// Writes the streams that have taken their sockets over.
    #[cfg(feature = "takeover")]
    live: Arc<crate::takeover::Live>,
    /// Room for streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Whether the newest probe was told that the server is not ready.
    pub(crate) hindrance: Arc<AtomicBool>,
    pub(crate) bodies: Bodies,
    /// Room for those who read lists.
    pub(crate) lists: Arc<Semaphore>,
    pub(crate) untaken: Untaken,
    /// Room for those who compress large answers.
    pub(crate) compressing: Arc<Semaphore>,
    pub(crate) cors: Option<CorsLayer>,
    /// By which logins and tickets end.
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tickets: Arc<Tickets>,
    /// Counts requests by caller.
    pub(crate) limiter: Option<Arc<Limiter>>,
}

impl App {
    pub(crate) fn new(service: TradeService, options: HttpOptions) -> Self {
        // That of who has let their callers in.
        let by_access = options.access.as_ref().map(|access| access.clock().clone());
        let clock = by_access.unwrap_or_else(|| -> Arc<dyn Clock> { Arc::new(SystemClock::new()) });
        let feeds = Arc::new(Feeds::new(&options, clock.clone()));
        #[cfg(feature = "takeover")]
        let live = Arc::new(crate::takeover::Live::new(service.bus().clone(), &options));
        let streams = Arc::new(Semaphore::new(options.streams_max.min(Semaphore::MAX_PERMITS)));
        let cors = options.cors.layer();
        let limiter = options.rate_limit.map(|limit| Arc::new(Limiter::new(limit)));
        Self {
            service,
            options: Arc::new(options),
            metrics: Arc::new(Metrics::new()),
            feeds,
            #[cfg(feature = "takeover")]
            live,
            streams,
            hindrance: Arc::default(),
            bodies: Bodies::new(),
            lists: Arc::new(page::lane()),
            untaken: Untaken::new(),
            compressing: Arc::new(page::lane()),
            cors,
            clock,
            tickets: Arc::default(),
            limiter,
        }
    }

    /// What the answer of a stream tells of who may write it.
    #[cfg(feature = "takeover")]
    pub(crate) fn writers(&self) -> axum::Extension<Arc<crate::takeover::Live>> {
        axum::Extension(self.live.clone())
    }

    /// Nobody but its body.
    #[cfg(not(feature = "takeover"))]
    pub(crate) fn writers(&self) {}

    /// The network as the sender of a request may use it.
    pub(crate) fn session(&self, call: &Call) -> Session {
        self.service.session(call.principal.clone())
    }
}
