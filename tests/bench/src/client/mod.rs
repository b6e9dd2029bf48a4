//! Clients that cost little: HTTP over loopback sockets, verified as far as the figures need it.

mod connection;
pub(crate) mod fleet;
mod http;
pub(crate) mod http2;
pub(crate) mod load;
mod parser;
mod progress;
pub(crate) mod publisher;
mod reader;

use crate::certificate;
use rustls::{ClientConfig, ClientConnection};
use std::net::SocketAddr;
use std::sync::Arc;

/// A server, and how it is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// None without TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

impl Peer {
    /// The client's side of a new connection in TLS, where that is spoken.
    fn session(&self) -> Result<Option<ClientConnection>, rustls::Error> {
        let config = self.tls.clone();
        config.map(|config| ClientConnection::new(config, certificate::name())).transpose()
    }
}

/// A request with a body of JSON.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// How many bytes an answer has with its head, once that is there and tells it.
pub(crate) fn answer_length(bytes: &[u8]) -> Option<usize> {
    let head_length = http::head_length(bytes)?;
    let (_, body_length) = http::head(&bytes[..head_length])?;
    Some(head_length + body_length?)
}
