//! HTTP/2: many requests at a time, on one connection.
//!
//! A client that has no room for an answer says so in HTTP/2 itself, and takes others meanwhile. So the time is counted
//! for each answer ([`super::taking`]), and for the connection only while it has no request.

use super::answer::{Answer, Crowded};
use super::socket::{Limits, RequestSocket, SENT_BYTES_MAX};
use super::taking::{self, TakenBody};
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response, StatusCode};
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
/// The most bytes of the heads of requests that wait until others are answered. More requests are told that they are too
/// many.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// The most bytes of a request's head.
const HEAD_BYTES_MAX: u32 = 32 * 1024;
/// Bytes of a request's body that wait to be read.
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
    let (room, line) = (Arc::new(Semaphore::new(ANSWERS_MAX)), Arc::new(Semaphore::new(WAITING_BYTES_MAX)));
    let requests = Requests::default();
    let service = service_fn(|request: Request<Incoming>| {
        let (open, room) = (requests.open(), room.clone());
        let (mut request, body) = Kept::body_of(request);
        let place = line.clone().try_acquire_many_owned(head_bytes(&request));
        if place.is_err() {
            request.extensions_mut().insert(Crowded);
        }
        let answer = answer.answer(request);
        // Boxed, so that a stream of events keeps nothing of it.
        Box::pin(async move {
            let mut permit = None;
            if let Ok(place) = place {
                let Ok(Ok(taken)) = timeout(limits.stall, room.acquire_owned()).await else {
                    // Those before it are not taken, and neither would this one be.
                    let mut refused = Response::new(TakenBody::new(Body::empty(), (open, None, None)));
                    *refused.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    return Ok(refused);
                };
                drop(place);
                permit = Some(taken);
            }
            let response = answer.await;
            // A body of unknown size is not in memory: it is made as it is taken.
            let is_known = response.body().size_hint().exact().is_some();
            let answer = response.map(|answer| match is_known {
                true => TakenBody::new(answer, (open, permit, Some(body))),
                false => TakenBody::new(Body::new(Endless { answer, body, sent: 0 }), (open, None, None)),
            });
            Ok::<_, Infallible>(answer)
        })
    });
    let mut connection = pin!(settings(limits).serve_connection(socket, service));
    let mut ending = pin!(ending);
    let (mut count, mut first) = (requests.watch(), requests.watch());
    let mut is_told = false;
    loop {
        let limit = if is_told { limits.head } else { limits.idle };
        tokio::select! {
            biased;
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

/// What a request holds beside its body, about as HTTP/2 counts it (RFC 9113 §6.5.2).
fn head_bytes<B>(request: &Request<B>) -> u32 {
    let of_uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let of_headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
    u32::try_from(of_uri + of_headers.sum::<usize>()).unwrap_or(u32::MAX)
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

/// An answer whose end is not known, as of a stream of events. What its client sends meanwhile is passed over.
#[derive(Debug)]
struct Endless {
    answer: Body,
    body: Kept,
    sent: usize,
}

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut self.body).poll_frame(context) {
            self.sent += frame.data_ref().map_or(0, Bytes::len);
            if self.sent > SENT_BYTES_MAX {
                let error = std::io::Error::other("the client sends into its stream");
                return Poll::Ready(Some(Err(axum::Error::new(error))));
            }
        }
        Pin::new(&mut self.answer).poll_frame(context)
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
