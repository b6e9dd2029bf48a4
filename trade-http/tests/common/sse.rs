//! A reader of Server-Sent Events over TCP.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Serves a router at a free port.
pub async fn serve(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Serves a router at a free port, with streams that take their sockets over.
pub async fn serve_directly(router: axum::Router) -> SocketAddr {
    serve_connections(trade_http::Connections::new(router)).await
}

/// Serves connections at a free port.
pub async fn serve_connections(connections: trade_http::Connections) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, peer)) = listener.accept().await {
            let connections = connections.clone();
            tokio::spawn(async move { connections.serve(socket, peer, true, std::future::pending()).await });
        }
    });
    address
}

/// An open stream.
pub struct Stream {
    lines: BufReader<TcpStream>,
    pub head: String,
    body: String,
}

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
    pub async fn open(address: SocketAddr, path: &str, last_event_id: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let resume = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n{resume}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(timeout(PATIENCE, lines.read_line(&mut head)).await.unwrap().unwrap(), 0, "{head}");
        }
        Self { lines, head: head.to_lowercase(), body: String::new() }
    }

    /// Opens a stream and takes its greeting.
    pub async fn greeted(address: SocketAddr, path: &str, last_event_id: Option<&str>) -> (Self, Frame) {
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
            let mut size = String::new();
            self.lines.read_line(&mut size).await.unwrap();
            if size.is_empty() {
                return None;
            }
            let size = usize::from_str_radix(size.trim_end(), 16).expect("the size of a chunk");
            let mut chunk = vec![0; size + 2];
            self.lines.read_exact(&mut chunk).await.unwrap();
            assert_eq!(chunk[size..], *b"\r\n", "a chunk is as long as it says");
            if size == 0 {
                return None;
            }
            self.body += std::str::from_utf8(&chunk[..size]).unwrap();
        }
    }
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
