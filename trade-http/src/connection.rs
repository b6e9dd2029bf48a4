//! Connections: a server of one's own calls this for each it accepts.
//!
//! Any server that can serve an axum router will do. This one is for many streams of events: a stream that is the
//! first request of its connection takes the socket over, and what hyper keeps for a connection is freed.

use crate::feed::{Feed, Unwritten};
use crate::idle::{AnswerBody, Limits, RequestSocket, Turns};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, Version, header};
use axum::response::Response;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower::ServiceExt;

type AnyError = Box<dyn Error + Send + Sync>;

/// Serves a router, in which one of [`crate::router`] is, on connections of HTTP/1.1.
///
/// A layer that changes the body of a stream must say so in its headers (`content-encoding`, `content-length`), or it
/// is passed over: the stream writes itself.
///
/// ```no_run
/// # async fn serve(listener: tokio::net::TcpListener, application: axum::Router) -> std::io::Result<()> {
/// let connections = trade_http::Connections::new(application);
/// loop {
///     let (socket, peer) = listener.accept().await?;
///     let connections = connections.clone();
///     tokio::spawn(async move { connections.serve(socket, peer, true, std::future::pending()).await });
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

    /// How long a client may take to send the head of a request, from its first byte: 30 s by default.
    #[must_use]
    pub fn head_timeout(mut self, head_timeout: Duration) -> Self {
        self.limits.head = head_timeout;
        self
    }

    /// How long a client may take nothing of what waits to be written to it, an answer or a stream: 60 s by default. Then
    /// its connection ends.
    #[must_use]
    pub fn stall_timeout(mut self, stall_timeout: Duration) -> Self {
        self.limits.stall = stall_timeout;
        self
    }

    /// Serves one connection to its end, with more than one request only if `keep_alive`. Once `ending` resolves it
    /// ends after the request it is at; a stream of events ends with the application
    /// ([`Shutdown`](crate::Shutdown)) or its client.
    ///
    /// # Errors
    /// Whatever ended the connection before its time.
    pub async fn serve(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        keep_alive: bool,
        ending: impl Future<Output = ()> + Send,
    ) -> Result<(), AnyError> {
        // Without it, the second small write of a stream waits for the client's delayed acknowledgement of the first.
        let _ = socket.set_nodelay(true);
        // Boxed, so that a stream that has the socket keeps nothing of it.
        match Box::pin(self.serve_requests(socket, peer, keep_alive, ending)).await? {
            Some((socket, Taken { head, feed })) => Ok(feed.write(socket, head, self.limits.stall).await?),
            None => Ok(()),
        }
    }

    /// Serves a connection that is one too many: a single request, which is told 503 `overloaded`, unless it asks for the
    /// server's health.
    ///
    /// # Errors
    /// Whatever ended the connection before its time.
    pub async fn turn_away(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        ending: impl Future<Output = ()> + Send,
    ) -> Result<(), AnyError> {
        let router = self.router.clone().layer(Extension(Crowded));
        let limits = self.limits;
        Box::pin(Self { router, limits }.serve_requests(socket, peer, false, ending)).await.map(drop)
    }

    /// Serves requests until the connection ends, or a stream takes it over.
    pub(crate) async fn serve_requests<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: S,
        peer: SocketAddr,
        keep_alive: bool,
        ending: impl Future<Output = ()> + Send,
    ) -> Result<Option<(S, Taken)>, AnyError> {
        let taken = Arc::new(Mutex::new(None));
        let turns = Turns::default();
        let socket = RequestSocket::new(socket, turns.clone(), self.limits);
        let first = AtomicBool::new(true);
        let service = service_fn(|request: Request<Incoming>| {
            let (router, taken, answering) = (self.router.clone(), taken.clone(), turns.answering());
            // After an earlier answer hyper may not have written all of it yet.
            let takes = first.swap(false, Ordering::Relaxed)
                && request.version() == Version::HTTP_11
                && request.method() == Method::GET;
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                let Ok(response) = router.oneshot(request).await;
                match if takes { Taken::out_of(&response) } else { None } {
                    None => Ok(response.map(|body| AnswerBody::new(body, answering))),
                    Some(stream) => {
                        *taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
                        // What makes hyper let go of the socket before it has written anything.
                        Err(TakenOver)
                    }
                }
            }
        });
        let mut http = http1::Builder::new();
        // The socket counts the time. It is asked to only where hyper has a limit as well, which is never the shorter.
        let both = self.limits.idle.saturating_add(self.limits.head);
        http.timer(TokioTimer::new()).header_read_timeout(both).keep_alive(keep_alive);
        let mut connection = http.serve_connection(socket, service);
        let mut ending = pin!(ending);
        let result = tokio::select! {
            result = &mut connection => result,
            () = &mut ending => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        let taken = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        match taken {
            Some(stream) => Ok(Some((connection.into_parts().io.into_inner(), stream))),
            None => Ok(result.map(|()| None)?),
        }
    }
}

/// Marks what comes by a connection too many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowded;

/// A stream, and the head of its answer.
#[derive(Debug)]
pub(crate) struct Taken {
    head: Vec<u8>,
    feed: Feed,
}

impl Taken {
    /// The stream of an answer, if it has one that is to be sent as it is.
    fn out_of(response: &Response) -> Option<Self> {
        let unwritten = response.extensions().get::<Unwritten>()?;
        let headers = response.headers();
        // A layer of the application that changes the body says so.
        let changed = [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
        if response.status() != StatusCode::OK || changed.iter().any(|name| headers.contains_key(name)) {
            return None;
        }
        let feed = unwritten.take()?;
        Some(Self { head: head(response), feed })
    }
}

fn head(response: &Response) -> Vec<u8> {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let mut line = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    for (name, value) in response.headers() {
        line(name.as_str(), value.as_bytes());
    }
    if !response.headers().contains_key(header::DATE) {
        line("date", httpdate::fmt_http_date(SystemTime::now()).as_bytes());
    }
    line("transfer-encoding", b"chunked");
    // Nothing follows the stream.
    if !response.headers().contains_key(header::CONNECTION) {
        line("connection", b"close");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A stream has taken the socket over. Seen by nobody but hyper.
#[derive(Debug)]
struct TakenOver;

impl fmt::Display for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stream has taken the connection over")
    }
}

impl Error for TakenOver {}
