//! A connection to a server, in HTTP/1.1 or HTTP/2, plain or in TLS, as its URL says.

use crate::sse::Frame;
use crate::tls;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Body;
use serde_json::Value;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    base: String,
    certificate: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    /// Connects to the server at a URL.
    pub async fn open(url: &str, protocol: Protocol) -> Self {
        let (scheme, address) = url.split_once("://").expect("a URL");
        let socket = TcpStream::connect(address).await.expect("the server takes connections");
        let (sender, certificate) = if scheme == "https" {
            let name: &[u8] = if protocol == Protocol::Http2 { b"h2" } else { b"http/1.1" };
            let socket = tls::connect(socket, name).await.expect("a handshake");
            let shown = socket.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let shown = shown.map(|certificate| certificate.to_vec());
            (Sender::new(socket, protocol).await, shown)
        } else {
            (Sender::new(socket, protocol).await, None)
        };
        Self { sender, base: url.to_owned(), certificate }
    }

    /// What the server has shown.
    pub fn certificate(&self) -> &[u8] {
        self.certificate.as_deref().expect("a connection of TLS")
    }

    /// Sends a request, and reads its answer.
    pub async fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = Request::builder().method(method).header("content-type", "application/json");
        let body = body.map_or_else(Body::default, |body| body.to_string().into());
        let mut answer = self.sender.send(&self.base, path, request, body).await;
        let mut bytes = Vec::new();
        while let Some(more) = data(answer.body_mut()).await {
            bytes.extend(more);
        }
        (answer.status().as_u16(), serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Opens a stream of events, from behind `last_event_id` where it is given. In HTTP/1.1 nothing else goes before its end.
    pub async fn follow(&mut self, path: &str, last_event_id: Option<u64>) -> Followed {
        let mut request = Request::builder();
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let answer = self.sender.send(&self.base, path, request, Body::default()).await;
        assert_eq!(answer.status().as_u16(), 200);
        Followed {
            body: answer.into_body(),
            text: String::new(),
            frames: VecDeque::new(),
            frame: Frame::default(),
        }
    }
}

impl Sender {
    async fn new(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, protocol: Protocol) -> Self {
        let socket = TokioIo::new(socket);
        match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(socket).await.expect("a connection");
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Protocol::Http2 => {
                let opened = http2::handshake(TokioExecutor::new(), socket).await;
                let (sender, connection) = opened.expect("a connection");
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        }
    }

    async fn send(
        &mut self,
        base: &str,
        path: &str,
        request: hyper::http::request::Builder,
        body: Body,
    ) -> Response<Incoming> {
        let sent = match self {
            Self::Http1(sender) => {
                let host = base.split_once("://").map_or("", |(_, address)| address);
                let request = request.uri(path).header("host", host).body(body).expect("a request");
                sender.ready().await.expect("the connection is open");
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                let request = request.uri(format!("{base}{path}")).body(body).expect("a request");
                sender.ready().await.expect("the connection is open");
                sender.send_request(request).await
            }
        };
        sent.expect("an answer")
    }
}

/// An open stream of events.
#[derive(Debug)]
pub struct Followed {
    body: Incoming,
    text: String,
    frames: VecDeque<Frame>,
    frame: Frame,
}

impl Followed {
    /// The next event, comments passed over; none when the stream ends.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            self.text += std::str::from_utf8(&data(&mut self.body).await?).expect("text");
            while let Some((line, rest)) = self.text.split_once('\n') {
                if self.frame.has_ended_with(line) {
                    self.frames.push_back(std::mem::take(&mut self.frame));
                }
                self.text = rest.to_owned();
            }
        }
    }
}

/// More of a body; none at its end, however that came.
async fn data(body: &mut Incoming) -> Option<Vec<u8>> {
    let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
    Some(frame.ok()?.into_data().ok()?.to_vec())
}
