use crate::access::Authenticator;
use crate::cors::CorsOrigins;
use crate::hosts::AllowedHosts;
use crate::metrics::MetricsText;
use crate::proxies::TrustedProxies;
use crate::rate::RateLimit;
use std::time::Duration;
use tokio::sync::watch;

/// How a router works.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// How long the body of a request may take to arrive (408 `request-timeout`). A request that then takes as long
    /// again to be answered is told 503 `store-unavailable`.
    pub request_timeout: Duration,
    /// How long a stream of events is silent before a comment line shows that it lives: 10 s by default, as clients are
    /// promised one at least every 15 s, the time on its way included.
    pub heartbeat: Duration,
    /// Who gets in: nobody is asked who they are where there is none, as by default. Then a layer of the application may
    /// say so: see [`router`](crate::router).
    pub access: Option<Authenticator>,
    /// The hosts that the router answers for, on every path of its own: all by default. A server that is reached without
    /// a login should name them.
    pub allowed_hosts: AllowedHosts,
    /// The origins whose pages may call the router from a browser: none but its own by default.
    pub cors: CorsOrigins,
    /// The most streams of events that are open at once; one more is told 503 `overloaded`. 10 000 by default.
    pub streams_max: usize,
    /// How many requests each caller may send; one more is told 429 `rate-limited`. No limit by default. Whoever has logged in
    /// is a caller of their own; other requests go by the address they come from, so that the server must tell it
    /// ([`ConnectInfo`](axum::extract::ConnectInfo), as [`Connections`](crate::Connections) does): those of no known address
    /// share one allowance.
    pub rate_limit: Option<RateLimit>,
    /// The proxies that are believed when they say where a request comes from: none by default.
    pub trusted_proxies: TrustedProxies,
    /// What `/metrics` answers; 404 where there is none, as by default. The router and the network report by the `metrics`
    /// facade: an application installs a recorder first, and hands its text over here.
    pub metrics: Option<MetricsText>,
    /// Tells the router that the application is about to end.
    pub shutdown: Shutdown,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(10),
            access: None,
            allowed_hosts: AllowedHosts::any(),
            cors: CorsOrigins::none(),
            streams_max: 10_000,
            rate_limit: None,
            trusted_proxies: TrustedProxies::none(),
            metrics: None,
            shutdown: Shutdown::new(),
        }
    }
}

/// Begins the end of a router: `/health/ready` answers 503, and every stream of events ends with an event `bye`.
/// Requests are still answered. Clones are the same handle.
///
/// A stream whose reader does not read cannot be told; the application should close such connections after a while.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Shutdown {
    /// A handle that nobody has begun.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Begins it. Again is as once.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it has begun.
    pub async fn begun(&self) {
        // The sender lives as long as this handle, so there is nothing else to wait for.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }

    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}
