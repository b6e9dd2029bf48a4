//! Connections: a server of one's own calls this for each it accepts.
//!
//! Any server that can serve an axum router will do. This one ends connections whose clients send or take nothing for a
//! while, on HTTP/1.1 and HTTP/2 alike.
//!
//! What the first bytes say decides between the two. The same is in `hyper_util::server::conn::auto`, which tells nobody
//! what it found: how long a connection may be idle is counted otherwise in HTTP/2.

mod answer;
mod http1;
mod http2;
mod socket;
mod taking;

pub(crate) use answer::{Answer, Crowded};
pub(crate) use socket::RequestSocket;
#[cfg(feature = "takeover")]
pub(crate) use socket::SENT_BYTES_MAX;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::{Extension, Router};
use socket::Limits;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::ServiceExt;

/// At its end, how long a connection waits for a request that may have been sent already.
const LATE_MAX: Duration = Duration::from_secs(1);

pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// Serves a router, in which one of [`crate::router`] is, on connections of HTTP/1.1 and HTTP/2.
///
/// A client that begins with HTTP/2 is served that, whether it agreed on it in TLS (ALPN `h2`) or knew it before.
///
/// With the feature `takeover` a stream of events that is the first request of a plain connection
/// ([`Connections::serve_tcp`]) writes to the socket itself, and costs much less. A layer that changes the body of such a
/// stream must say so in its headers (`content-encoding`, `content-length`), or it is passed over.
///
/// ```no_run
/// # async fn serve(listener: tokio::net::TcpListener, application: axum::Router) -> std::io::Result<()> {
/// let connections = trade_http::Connections::new(application);
/// loop {
///     let (socket, peer) = listener.accept().await?;
///     let connections = connections.clone();
///     tokio::spawn(async move { connections.serve_tcp(socket, peer, true, std::future::pending()).await });
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Connections {
    router: Router,
    limits: Limits,
}

impl Connections {
    /// Connections to a router. Requests carry the peer's address as [`ConnectInfo`].
    pub fn new(router: Router) -> Self {
        let limits = Limits {
            idle: Duration::from_secs(75),
            head: Duration::from_secs(30),
            stall: Duration::from_secs(60),
        };
        Self { router, limits }
    }

    /// How long a connection is kept without a request, before its first one and between two: 75 s by default, as
    /// proxies reuse connections that were idle for up to 60 s.
    #[must_use]
    pub fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.limits.idle = idle_timeout;
        self
    }

    /// How long a client may take to send the head of a request, from its first byte: 30 s by default. In HTTP/2, whose
    /// connections are told that they end: how long after that an idle one may still be open.
    #[must_use]
    pub fn head_timeout(mut self, head_timeout: Duration) -> Self {
        self.limits.head = head_timeout;
        self
    }

    /// How long a client may take nothing of what waits to be written to it, an answer or a stream: 60 s by default. Then
    /// its connection ends, or in HTTP/2, where the client leaves one answer and takes others, that answer.
    #[must_use]
    pub fn stall_timeout(mut self, stall_timeout: Duration) -> Self {
        self.limits.stall = stall_timeout;
        self
    }

    /// Serves one connection to its end, with more than one request only if `keep_alive`: any stream of bytes, such as one
    /// of TLS. Once `ending` resolves it ends after the requests it is at; a stream of events ends with the application
    /// ([`Shutdown`](crate::Shutdown)) or its client.
    ///
    /// A socket should be told to send small writes at once ([`TcpStream::set_nodelay`]).
    ///
    /// # Errors
    /// Whatever ended the connection before its time.
    pub async fn serve<S>(
        &self,
        socket: S,
        peer: SocketAddr,
        keep_alive: bool,
        ending: impl Future<Output = ()> + Send,
    ) -> Result<(), AnyError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut socket = RequestSocket::new(socket, self.limits);
        self.serve_requests(&mut socket, self.answer(peer), keep_alive, ending).await
    }

    /// The same for a plain socket.
    ///
    /// # Errors
    /// Whatever ended the connection before its time.
    pub async fn serve_tcp(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        keep_alive: bool,
        ending: impl Future<Output = ()> + Send,
    ) -> Result<(), AnyError> {
        // Without it, the second small write of a stream waits for the client's delayed acknowledgement of the first.
        let _ = socket.set_nodelay(true);
        #[cfg(feature = "takeover")]
        return self.serve_until_taken_over(socket, peer, keep_alive, ending).await;
        #[cfg(not(feature = "takeover"))]
        self.serve(socket, peer, keep_alive, ending).await
    }

    /// Serves a connection that is one too many: a single request, which is told 503 `overloaded`, unless it asks for the
    /// server's health.
    ///
    /// # Errors
    /// Whatever ended the connection before its time.
    pub async fn turn_away<S>(
        &self,
        socket: S,
        peer: SocketAddr,
        ending: impl Future<Output = ()> + Send,
    ) -> Result<(), AnyError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let router = self.router.clone().layer(Extension(Crowded));
        Self { router, limits: self.limits }.serve(socket, peer, false, ending).await
    }

    /// What answers the requests of a peer.
    pub(crate) fn answer(&self, peer: SocketAddr) -> impl Answer + use<> {
        let router = self.router.clone();
        move |mut request: Request<Body>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let router = router.clone();
            async move {
                let Ok(response) = router.oneshot(request).await;
                response
            }
        }
    }

    /// How long a client may take nothing.
    #[cfg(feature = "takeover")]
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Serves requests until the connection ends.
    pub(crate) async fn serve_requests<S>(
        &self,
        socket: &mut RequestSocket<S>,
        answer: impl Answer,
        keep_alive: bool,
        ending: impl Future<Output = ()> + Send,
    ) -> Result<(), AnyError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut ending = pin!(ending);
        let mut is_ending = false;
        let is_http2 = {
            let mut begins = pin!(socket.begins_http2());
            tokio::select! {
                biased;
                is_http2 = &mut begins => is_http2?,
                () = &mut ending => {
                    is_ending = true;
                    // What was sent before may not have been seen yet.
                    let Ok(is_http2) = timeout(LATE_MAX, begins).await else { return Ok(()) };
                    is_http2?
                }
            }
        };
        let ending = async move {
            if !is_ending {
                ending.await;
            }
        };
        // Boxed, so that neither takes the room of the other.
        if is_http2 {
            Box::pin(http2::serve(socket, self.limits, answer, keep_alive, ending)).await?;
        } else {
            Box::pin(http1::serve(socket, self.limits, answer, keep_alive, ending)).await?;
        }
        Ok(())
    }
}
