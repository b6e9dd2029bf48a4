//! Frames of HTTP/2 (RFC 9113 §4, §6), for clients that no library would be.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const CONTINUATION: u8 = 0x9;
pub const END_STREAM: u8 = 0x1;
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Received {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Received {
    /// The code of a `GOAWAY` or `RST_STREAM`.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A connection whose client does as it likes.
pub struct Connection {
    socket: TcpStream,
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a GET, in HPACK (RFC 7541) without any compression.
pub fn get(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).ok().filter(|length| *length < 127).unwrap();
    // GET, http, and the host `test`.
    [&[0x82, 0x86, 0x01, 4], &b"test"[..], &[0x04, length], path.as_bytes()].concat()
}

impl Connection {
    /// Connects, with a setting of the window that each answer has, if it is not to be the usual one.
    pub async fn open(address: SocketAddr, window: Option<u32>) -> Self {
        let mut connection = Self { socket: TcpStream::connect(address).await.unwrap() };
        let window = window.map(|window| [&[0, 0x4], &window.to_be_bytes()[..]].concat());
        let settings = frame(SETTINGS, 0, 0, &window.unwrap_or_default());
        connection.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat()).await.unwrap();
        connection
    }

    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        timeout(PATIENCE, self.socket.write_all(bytes)).await.expect("it is taken")
    }

    pub async fn ask(&mut self, stream: u32, path: &str) {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path))).await.unwrap();
    }

    /// The next frame; none at the end. Settings and pings are acknowledged.
    pub async fn next(&mut self) -> Option<Received> {
        timeout(PATIENCE, self.read()).await.expect("a frame in time")
    }

    async fn read(&mut self) -> Option<Received> {
        loop {
            let mut head = [0; 9];
            self.socket.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.socket.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
            let received = Received { kind: head[3], flags: head[4], stream, payload };
            match received.kind {
                SETTINGS | PING if received.flags & ACK == 0 => {
                    let payload = if received.kind == PING { &received.payload[..] } else { &[] };
                    let _ = self.socket.write_all(&frame(received.kind, ACK, 0, payload)).await;
                }
                _ => return Some(received),
            }
        }
    }

    /// The next frame of a kind; none at the end.
    pub async fn next_of(&mut self, kind: u8) -> Option<Received> {
        let found = async {
            loop {
                let received = self.read().await?;
                if received.kind == kind {
                    return Some(received);
                }
            }
        };
        timeout(PATIENCE, found).await.expect("a frame of that kind in time")
    }
}
