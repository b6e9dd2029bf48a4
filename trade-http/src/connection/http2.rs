//! HTTP/2: many requests at a time, on one connection.
//!
//! A client that has no room for an answer says so in HTTP/2 itself, and takes others meanwhile. So the time is counted
//! for each answer ([`super::taking`]), and for the connection only while it has no request.

use super::Answer;
use super::socket::{Limits, RequestSocket};
use super::taking::{self, TakenBody};
use axum::body::{Body, HttpBody};
use axum::http::Request;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// Requests and streams of events that a client may have open.
const STREAMS_MAX: u32 = 1_000;
/// Requests of a connection that are being answered, or whose answers wait to be taken. Streams of events are none of
/// them.
const ANSWERS_MAX: usize = 100;
/// The most bytes of a request's head.
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// Bytes of a request's body that wait to be read. More than these nobody can send into a stream of events.
const REQUEST_WINDOW_BYTES: u32 = 64 * 1024;
/// The same of all requests of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Requests that a client took back before they were looked at. One more ends the connection.
const TAKEN_BACK_MAX: usize = 20;
/// Requests that were reset for a fault. One more ends the connection.
const FAULTY_MAX: usize = 256;
/// How often a client is asked whether it is there …
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// … and how long it may take to say so.
const PING_PATIENCE: Duration = Duration::from_secs(20);

/// Serves requests until the connection ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: &mut RequestSocket<S>,
    limits: Limits,
    answer: impl Answer,
    keep_alive: bool,
    ending: impl Future<Output = ()>,
) -> hyper::Result<()> {
    let room = Arc::new(Semaphore::new(ANSWERS_MAX));
    let requests = Requests::default();
    let service = service_fn(|request: Request<Incoming>| {
        let (open, room) = (requests.open(), room.clone());
        let (request, body) = Kept::body_of(request);
        let answer = answer.answer(request);
        // Boxed, so that a stream of events keeps nothing of it.
        Box::pin(async move {
            let permit = room.acquire_owned().await;
            let response = answer.await;
            // A body of unknown size is not in memory: it is made as it is taken.
            let permit = permit.ok().filter(|_| response.body().size_hint().exact().is_some());
            Ok::<_, Infallible>(response.map(|answer| TakenBody::new(answer, (open, permit, body))))
        })
    });
    let mut connection = pin!(settings(limits).serve_connection(socket, service));
    let mut ending = pin!(ending);
    let (mut count, mut first) = (requests.watch(), requests.watch());
    let mut is_told = false;
    loop {
        let limit = if is_told { limits.head } else { limits.idle };
        tokio::select! {
            result = &mut connection => return result,
            () = &mut ending, if !is_told => {}
            _ = first.wait_for(|count| count.begun > 0), if !is_told && !keep_alive => {}
            // Who was told and does not go is not there any more.
            () = quiet(&mut count, limit) => if is_told { return Ok(()) },
        }
        connection.as_mut().graceful_shutdown();
        is_told = true;
    }
}

fn settings(limits: Limits) -> http2::Builder<Patiently> {
    let mut http = http2::Builder::new(Patiently(limits.stall));
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(REQUEST_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_pending_accept_reset_streams(TAKEN_BACK_MAX)
        .max_local_error_reset_streams(FAULTY_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_PATIENCE);
    http
}

/// The body of a request, which is kept as long as its answer: of one that is dropped, any amount could be sent and passed
/// over.
#[derive(Debug, Clone)]
struct Kept(Arc<Mutex<Incoming>>);

impl Kept {
    fn body_of(request: Request<Incoming>) -> (Request<Body>, Self) {
        let (head, body) = request.into_parts();
        let body = Self(Arc::new(Mutex::new(body)));
        (Request::from_parts(head, Body::new(body.clone())), body)
    }

    fn body(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

/// Runs each request as a task, which ends when its client does not take the answer.
#[derive(Debug, Clone, Copy)]
struct Patiently(Duration);

impl<R: Future<Output = ()> + Send + 'static> Executor<R> for Patiently {
    fn execute(&self, request: R) {
        tokio::spawn(taking::patiently(request, self.0));
    }
}

/// Resolves once there was no request for so long.
async fn quiet(count: &mut watch::Receiver<Count>, limit: Duration) {
    loop {
        let is_open = count.borrow_and_update().open > 0;
        let changed = count.changed();
        if is_open {
            let _ = changed.await;
        } else if timeout(limit, changed).await.is_err() {
            return;
        }
    }
}

/// The requests of a connection, counted.
#[derive(Debug, Clone, Default)]
struct Requests(Arc<watch::Sender<Count>>);

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    begun: u64,
    open: usize,
}

impl Requests {
    /// One more, open until this is dropped.
    fn open(&self) -> Open {
        self.0.send_modify(|count| {
            count.begun += 1;
            count.open += 1;
        });
        Open(self.clone())
    }

    fn watch(&self) -> watch::Receiver<Count> {
        self.0.subscribe()
    }
}

#[derive(Debug)]
struct Open(Requests);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| count.open -= 1);
    }
}
