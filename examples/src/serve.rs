//! Serving: a listener, the connections on it, and an orderly end.
//!
//! The accept loop is our own and not `axum::serve`'s, for what a server that faces slow and many clients needs: a
//! time limit on request heads, streams that cost little, and an end that waits for connections only so long.

use crate::log::Log;
use crate::logins;
use crate::settings::{Access, Settings};
use crate::tls::Tls;
use crate::{Ended, Failure, metrics, open, say};
use axum::Router;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use trade_core::access::StationRoles;
use trade_core::clock::{SystemClock, UuidV7};
use trade_core::policy::{AllowAll, Policy};
use trade_core::service::{ServiceOptions, TradeService};
use trade_http::{AllowedHosts, HttpOptions};
use trade_network::store::{Opened, StoreOptions, not_started};

/// Connections the system may hold for us while we are busy.
const BACKLOG: u32 = 4_096;
/// … as long as these are so few; others are closed without a word.
const TURNED_AWAY_MAX: usize = 64;
/// At the end, how long a handshake that has begun may take.
const LATE_MAX: Duration = Duration::from_secs(1);
/// How long accepting rests after it failed for want of descriptors or memory: those come back when others end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After the signal: how long requests and streams may take to end …
const CONNECTIONS_GRACE: Duration = Duration::from_secs(6);
/// … and when the process ends whatever is left: before the ten seconds after which it would be killed.
const SHUTDOWN_MAX: Duration = Duration::from_secs(8);

/// Serves until the process is told to end.
pub(crate) async fn run(settings: Settings) -> Ended {
    let Settings {
        listen,
        access,
        cors,
        bounds,
        rate_limit,
        trusted_proxies,
        tls,
        store,
        store_options,
        log,
        log_format,
    } = settings;
    let log = Log::begin(log, log_format);
    let bounds = bounds.within(descriptors());
    let tls = tls.map(Tls::load).transpose().map_err(Failure::Usage)?.map(Arc::new);
    // Before anything that takes time, so that a signal is never met by the default action.
    let mut signals = Signals::new()?;
    let mut hangups = Hangups::new()?;
    let listener = bind(&listen)?;
    let metrics = metrics::begin()?;
    let (opened, service) = tokio::select! {
        started = start(&store, &store_options, &access) => started?,
        () = signals.next() => return Ok(()),
    };
    let (access, allowed_hosts) = match access {
        Access::Off(hosts) => (None, hosts),
        Access::Required(required) => (Some(logins::begin(&opened, required).await?), AllowedHosts::any()),
    };
    let options = HttpOptions {
        access,
        allowed_hosts,
        cors,
        streams_max: bounds.streams,
        rate_limit,
        trusted_proxies,
        metrics: Some(metrics),
        ..HttpOptions::default()
    };
    let shutdown = options.shutdown.clone();
    let router = trade_http::router(service.clone(), options);
    let address = listener.local_addr().map_err(|error| Failure::Failed(format!("no address: {error}")))?;
    tracing::info!(%address, store = opened.store().name(), version = env!("CARGO_PKG_VERSION"), "serving");
    let scheme = if tls.is_some() { "https" } else { "http" };
    say(&format!("listening on {scheme}://{address}"));

    let mut connections = Connections::new(router, tls.clone(), bounds.connections);
    tokio::select! {
        never = renew(tls, &mut hangups) => match never {},
        never = connections.accept(&listener) => match never {},
        never = log.tell_losses() => match never {},
        () = signals.next() => {}
    }
    tracing::info!(open = connections.tasks.len(), "shutting down");
    let deadline = Instant::now() + SHUTDOWN_MAX;
    shutdown.begin();
    let ending = async {
        connections.drain(&listener).await;
        drop(listener);
        drain_store(&service, &opened).await;
    };
    tokio::select! {
        ended = timeout_at(deadline, ending) => if ended.is_err() {
            tracing::warn!("not everything ended in time; what was acknowledged is stored");
        },
        () = signals.next() => {
            let line = "ended at once, before what was running had finished; what was acknowledged is stored";
            return Err(Failure::Failed(line.into()));
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// Opens a store, and starts the service on it.
async fn start(
    store: &str,
    options: &StoreOptions,
    access: &Access,
) -> Result<(Opened, TradeService), Failure> {
    let opened = open(store, trade_core::store::Access::Migrate, options).await?;
    let one_processor = opened.is_embedded() && available_parallelism().is_ok_and(|count| count.get() == 1);
    let policy: Arc<dyn Policy> = match access {
        Access::Off(_) => Arc::new(AllowAll),
        Access::Required(required) => {
            Arc::new(StationRoles { buyers_may_initiate: required.buyers_may_initiate })
        }
    };
    let options = ServiceOptions { one_processor, policy, ..ServiceOptions::default() };
    let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(UuidV7));
    let service = TradeService::start_with(opened.store(), clock, ids, options).await;
    let service = service.map_err(|error| Failure::Failed(not_started(&error)))?;
    Ok((opened, service))
}

async fn drain_store(service: &TradeService, opened: &Opened) {
    service.shutdown().await;
    opened.close().await;
}

/// Keeps the certificate as new as its files are, and looks at once when it is told to.
async fn renew(tls: Option<Arc<Tls>>, hangups: &mut Hangups) -> std::convert::Infallible {
    let follow = async {
        match tls.clone() {
            Some(tls) => tls.follow().await,
            None => std::future::pending().await,
        }
    };
    let asked = async {
        loop {
            hangups.next().await;
            match tls.clone() {
                Some(tls) => tls.reload(true).await,
                None => tracing::info!("there is no certificate to be read again"),
            }
        }
    };
    tokio::select! {
        never = follow => never,
        never = asked => never,
    }
}

/// What asks the process to read its files again. Without anybody who receives it, it would end the process.
struct Hangups {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
}

impl Hangups {
    #[cfg(unix)]
    fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { hangup: signal(SignalKind::hangup()).map_err(no_signals)? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        if self.hangup.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self, Failure> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
fn no_signals(error: std::io::Error) -> Failure {
    Failure::Failed(format!("signals cannot be received: {error}"))
}

/// What asks the process to end.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt()).map_err(no_signals)? })
    }

    /// Resolves once the process is asked to end, once more than before.
    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self, Failure> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Listens on the first address that can be had: a name may stand for several.
fn bind(addresses: &[SocketAddr]) -> Result<TcpListener, Failure> {
    let listen = |address: &SocketAddr| {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restarted server must not wait for the connections of the one before to be forgotten.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(*address)?;
        socket.listen(BACKLOG)
    };
    let mut failed = String::from("no address");
    for address in addresses {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                failed = format!(
                    "{address}: {error}; another program has this port, --listen {} picks a free one",
                    SocketAddr::new(address.ip(), 0)
                );
            }
            Err(error) => failed = format!("{address}: {error}"),
        }
    }
    Err(Failure::Failed(format!("cannot listen on {failed}")))
}

/// How many files and connections this process may open, after asking for as many as it can have.
fn descriptors() -> usize {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(count) => usize::try_from(count).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "the number of open files cannot be asked for");
            usize::MAX
        }
    }
}

/// The open connections, one task each.
struct Connections {
    http: trade_http::Connections,
    tls: Option<Arc<Tls>>,
    /// Connections beyond these are served one request, and told that they are too many …
    max: usize,
    tasks: JoinSet<()>,
    /// Turns true once connections are to end after the request they are at.
    ending: watch::Sender<bool>,
}

impl Connections {
    fn new(router: Router, tls: Option<Arc<Tls>>, max: usize) -> Self {
        Self {
            http: trade_http::Connections::new(router),
            tls,
            max,
            tasks: JoinSet::new(),
            ending: watch::Sender::new(false),
        }
    }

    /// Takes connections for ever.
    async fn accept(&mut self, listener: &TcpListener) -> std::convert::Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.serve(stream, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, open = self.tasks.len(), "connections cannot be accepted; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Ends what is open, politely and then not. New connections are still taken meanwhile, for one request each, so
    /// that a load balancer that asks is told that this server is not ready.
    async fn drain(&mut self, listener: &TcpListener) {
        self.ending.send_replace(true);
        let mut patience = pin!(sleep_until(Instant::now() + CONNECTIONS_GRACE));
        loop {
            tokio::select! {
                biased;
                () = &mut patience => break,
                // Whoever has connected already is heard before the last task is gone.
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.serve(stream, peer),
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                ended = self.tasks.join_next() => if ended.is_none() { return },
            }
        }
        tracing::warn!(open = self.tasks.len(), "closing connections whose clients do not read");
        self.tasks.shutdown().await;
    }

    fn serve(&mut self, socket: TcpStream, peer: SocketAddr) {
        while self.tasks.try_join_next().is_some() {}
        let is_crowded = self.tasks.len() >= self.max;
        if self.tasks.len() >= self.max.saturating_add(TURNED_AWAY_MAX) {
            return;
        }
        let (http, tls) = (self.http.clone(), self.tls.clone());
        let ending = self.ending.subscribe();
        let keep_alive = !*ending.borrow();
        self.tasks.spawn(async move {
            let ends = || ends(ending.clone(), keep_alive);
            let ending = ends();
            let served = match tls {
                // Boxed, as is all that a stream on a plain connection, of which there may be thousands, has no use for.
                None if is_crowded => Box::pin(http.turn_away(socket, peer, ending)).await,
                None => http.serve_tcp(socket, peer, keep_alive, ending).await,
                Some(tls) => {
                    // As for a plain one: small writes go out at once.
                    let _ = socket.set_nodelay(true);
                    let accepted = tokio::select! {
                        biased;
                        accepted = Box::pin(tls.accept(socket)) => accepted,
                        () = async { ends().await; sleep(LATE_MAX).await } => return,
                    };
                    match accepted {
                        Ok(socket) if is_crowded => Box::pin(http.turn_away(socket, peer, ending)).await,
                        Ok(socket) => Box::pin(http.serve(socket, peer, keep_alive, ending)).await,
                        Err(error) => Err(error.into()),
                    }
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
        });
    }
}

/// Resolves when open connections are to end. One that was taken after that ends by itself, after one request.
async fn ends(mut ending: watch::Receiver<bool>, from_now_on: bool) {
    if !from_now_on || ending.wait_for(|ending| *ending).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Errors of `accept` that tell of the connection, not of us (accept(2)).
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
