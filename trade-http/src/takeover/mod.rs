//! Streams that write their own socket: much less time and memory for each than with a body.
//!
//! A stream that is the first request of a plain connection of HTTP/1.1 takes its socket over ([`direct`]). While it keeps
//! up it leaves the socket to a task that writes to many ([`live`]): a task, a timer, a read buffer and a wake-up per stream
//! are what most of its time and memory goes to. What is sent is that of the [`Feed`], in chunks ([`chunk`]). Nothing else
//! knows of this folder but [`Connections::serve_tcp`] and the answer that offers its feed.
//!
//! # How the socket is had
//!
//! hyper is lent the socket. When the answer to the first request turns out to be a stream, hyper is never given it:
//! [`Lending`] tells of the stream instead, and the connection of hyper is dropped, which ends the loan. This rests on two
//! things alone. Hyper has written nothing by then: it has no answer, and a request without a body asks for no
//! `100 Continue`. And what it has read beyond the head is of no meaning, as nothing may follow a stream. Neither is left
//! to trust: a socket that something was written to is not taken over.

mod chunk;
mod direct;
mod groups;
mod live;
mod member;

pub(crate) use live::Live;

use crate::connection::{Answer, AnyError, Connections, RequestSocket};
use crate::feed::{Feed, Unwritten};
use axum::body::{Body, HttpBody};
use axum::http::{Method, Request, StatusCode, Version, header};
use axum::response::Response;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

impl Connections {
    /// Serves a connection to its end: requests, or the stream that takes it over.
    pub(crate) async fn serve_until_taken_over(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        keep_alive: bool,
        ending: impl Future<Output = ()> + Send,
    ) -> Result<(), AnyError> {
        // Boxed, so that a stream that has the socket keeps nothing of it.
        match Box::pin(self.lend(socket, peer, keep_alive, ending)).await? {
            Some((socket, Taken { head, feed, live })) => {
                Ok(direct::write((feed, live), socket, head, self.limits().stall).await?)
            }
            None => Ok(()),
        }
    }

    /// Serves requests until the connection ends, or a stream takes its socket over.
    async fn lend(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        keep_alive: bool,
        ending: impl Future<Output = ()> + Send,
    ) -> Result<Option<(TcpStream, Taken)>, AnyError> {
        let mut socket = RequestSocket::new(socket, self.limits());
        let (lending, taken) = Lending::new(self.answer(peer));
        let requests = Box::pin(self.serve_requests(&mut socket, lending, keep_alive, ending));
        let taken = tokio::select! {
            biased;
            Ok(taken) = taken => taken,
            result = requests => return result.map(|()| None),
        };
        if socket.has_written() {
            return Err("something was written before the stream".into());
        }
        Ok(Some((socket.into_inner(), taken)))
    }
}

/// Answers requests, but not the first one if its answer is a stream: of that it tells instead.
struct Lending<A> {
    answer: A,
    /// None after the first request: hyper may not have written all of an earlier answer yet.
    taker: Mutex<Option<oneshot::Sender<Taken>>>,
}

impl<A: Answer> Lending<A> {
    fn new(answer: A) -> (Self, oneshot::Receiver<Taken>) {
        let (taker, taken) = oneshot::channel();
        (Self { answer, taker: Mutex::new(Some(taker)) }, taken)
    }
}

impl<A: Answer> Answer for Lending<A> {
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response> + Send + 'static {
        let taker = self.taker.lock().unwrap_or_else(PoisonError::into_inner).take();
        let is_plain = request.version() == Version::HTTP_11
            && request.method() == Method::GET
            && request.body().is_end_stream();
        let taker = taker.filter(|_| is_plain);
        let answer = self.answer.answer(request);
        async move {
            let response = answer.await;
            if let Some(taker) = taker
                && let Some(taken) = Taken::out_of(&response)
            {
                // Whoever drops the connection is told, and this with it.
                let _ = taker.send(taken);
                return std::future::pending().await;
            }
            response
        }
    }
}

/// A stream, and the head of its answer.
#[derive(Debug)]
struct Taken {
    head: Vec<u8>,
    feed: Box<Feed>,
    live: Arc<Live>,
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
        let live = response.extensions().get::<Arc<Live>>()?.clone();
        let feed = unwritten.take()?;
        Some(Self { head: head(response), feed, live })
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
