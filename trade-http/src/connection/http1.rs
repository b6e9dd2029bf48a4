//! HTTP/1.1: one request at a time, whose times the socket counts.

use super::answer::Answer;
use super::socket::{AnswerBody, Limits, RequestSocket};
use axum::body::Body;
use axum::http::{HeaderMap, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use std::convert::Infallible;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// What a connection may hold of the requests and answers on their way.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Serves requests until the connection ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut RequestSocket<S>,
    limits: Limits,
    answer: impl Answer,
    keep_alive: bool,
    ending: impl Future<Output = ()>,
) -> hyper::Result<()> {
    let turns = socket.turns();
    let service = service_fn(|request: Request<Incoming>| {
        let answering = turns.answering();
        let answer = answer.answer(request.map(Body::new));
        async move {
            let answer = answer.await;
            if is_stream(answer.headers()) {
                answering.streams();
            }
            Ok::<_, Infallible>(answer.map(|body| AnswerBody::new(body, answering)))
        }
    });
    let mut http = http1::Builder::new();
    // The socket counts the time. It is asked to only where hyper has a limit as well, which is never the shorter.
    let both = limits.idle.saturating_add(limits.head);
    http.timer(TokioTimer::new()).header_read_timeout(both).keep_alive(keep_alive);
    http.max_buf_size(BUFFER_BYTES_MAX);
    let mut connection = pin!(http.serve_connection(socket, service));
    tokio::select! {
        // First it reads what has come: a connection that has read nothing is closed at once.
        biased;
        result = &mut connection => return result,
        () = ending => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// Whether an answer is a stream of events.
fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}
