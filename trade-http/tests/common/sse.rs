//! A reader of Server-Sent Events over TCP, in HTTP/1.1 and HTTP/2, plain and in TLS.

use super::tls;
use axum::body::{Body, HttpBody};
use axum::http::Request;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trade_http::Connections;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is spoken to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    Http2,
    Http1OverTls,
    Http2OverTls,
}

impl Speaks {
    fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Http2OverTls)
    }
}

/// Where a router is served, and how it is spoken to.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    address: SocketAddr,
    speaks: Speaks,
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self { address, speaks: Speaks::Http1 }
    }
}

/// Serves a router at a free port.
pub async fn serve(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Serves a router at a free port, with streams that may take their sockets over.
pub async fn serve_directly(router: axum::Router) -> SocketAddr {
    serve_connections(Connections::new(router)).await
}

/// Serves connections at a free port.
pub async fn serve_connections(connections: Connections) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, peer)) = listener.accept().await {
            let connections = connections.clone();
            tokio::spawn(async move { connections.serve_tcp(socket, peer, true, pending()).await });
        }
    });
    address
}

/// Serves a router at a free port, to those who speak so. Nothing takes a socket over.
pub async fn serve_speaking(speaks: Speaks, router: axum::Router) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Connections::new(router);
    tokio::spawn(async move {
        while let Ok((socket, peer)) = listener.accept().await {
            let connections = connections.clone();
            socket.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                match speaks {
                    Speaks::Http1 | Speaks::Http2 => connections.serve(socket, peer, true, pending()).await,
                    Speaks::Http1OverTls | Speaks::Http2OverTls => {
                        let socket = tls::accept(socket).await?;
                        connections.serve(socket, peer, true, pending()).await
                    }
                }
            });
        }
    });
    Place { address, speaks }
}

/// An open stream.
pub struct Stream {
    source: Source,
    pub status: u16,
    pub head: String,
    body: String,
}

enum Source {
    /// Read by hand, to see each chunk.
    Http1(BufReader<Box<dyn Socket>>),
    Http2(Incoming),
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// One frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<String>,
    pub comment: bool,
    pub lines: Vec<String>,
}

impl Frame {
    pub fn sequence(&self) -> u64 {
        self.id.as_ref().unwrap().parse().unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.data.as_ref().unwrap()).unwrap()
    }

    pub fn kind(&self) -> &str {
        self.event.as_deref().unwrap_or_default()
    }
}

impl Stream {
    pub async fn open(place: impl Into<Place>, path: &str, last_event_id: Option<&str>) -> Self {
        let Place { address, speaks } = place.into();
        let socket = TcpStream::connect(address).await.unwrap();
        let socket: Box<dyn Socket> = match speaks {
            Speaks::Http1 | Speaks::Http2 => Box::new(socket),
            Speaks::Http1OverTls | Speaks::Http2OverTls => {
                Box::new(tls::connect(socket, speaks.is_http2()).await)
            }
        };
        let resume = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let headers = format!("Accept: text/event-stream\r\n{resume}");
        let opened = async {
            match speaks.is_http2() {
                true => Self::over_http2(socket, path, &headers).await,
                false => Self::over_http1(socket, path, &headers).await,
            }
        };
        timeout(PATIENCE, opened).await.expect("an answer in time")
    }

    async fn over_http1(mut socket: Box<dyn Socket>, path: &str, headers: &str) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(lines.read_line(&mut head).await.unwrap(), 0, "{head}");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { source: Source::Http1(lines), status, head: head.to_lowercase(), body: String::new() }
    }

    async fn over_http2(socket: Box<dyn Socket>, path: &str, headers: &str) -> Self {
        let (mut requests, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::get(format!("http://test{path}"));
        for (name, value) in headers.lines().filter_map(|line| line.split_once(':')) {
            request = request.header(name, value.trim());
        }
        let answer = requests.send_request(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let lines =
            head.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
        let (status, head) = (head.status.as_u16(), lines.collect());
        Self { source: Source::Http2(body), status, head, body: String::new() }
    }

    /// Opens a stream and takes its greeting.
    pub async fn greeted(
        address: impl Into<Place>,
        path: &str,
        last_event_id: Option<&str>,
    ) -> (Self, Frame) {
        let mut stream = Self::open(address, path, last_event_id).await;
        let greeting = stream.next().await.unwrap();
        assert_eq!(greeting.data.as_deref(), Some("Connection established"));
        (stream, greeting)
    }

    /// The next frame; none at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.read()).await.expect("a frame in time")
    }

    async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.body.split_once("\n\n") {
                let frame = parse(frame);
                self.body = rest.to_owned();
                return Some(frame);
            }
            let more = match &mut self.source {
                Source::Http1(lines) => chunk(lines).await,
                Source::Http2(body) => data(body).await,
            };
            self.body += std::str::from_utf8(&more?).unwrap();
        }
    }
}

/// The next chunk of a body; none at its end.
async fn chunk(lines: &mut BufReader<Box<dyn Socket>>) -> Option<Vec<u8>> {
    let mut size = String::new();
    lines.read_line(&mut size).await.unwrap();
    if size.is_empty() {
        return None;
    }
    let size = usize::from_str_radix(size.trim_end(), 16).expect("the size of a chunk");
    let mut chunk = vec![0; size + 2];
    lines.read_exact(&mut chunk).await.unwrap();
    assert_eq!(chunk.split_off(size), *b"\r\n", "a chunk is as long as it says");
    (size > 0).then_some(chunk)
}

async fn data(body: &mut Incoming) -> Option<Vec<u8>> {
    let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
    Some(frame.unwrap().into_data().unwrap().into())
}

fn parse(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        let (field, value) = line.split_once(": ").unwrap_or((line, ""));
        match field {
            "id" => frame.id = Some(value.into()),
            "event" => frame.event = Some(value.into()),
            "data" => frame.data = Some(value.into()),
            "" => frame.comment = true,
            _ => {}
        }
        frame.lines.push(line.into());
    }
    frame
}
