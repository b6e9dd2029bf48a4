//! One request after the other, on one connection, by a thread that waits.

use super::http::{head, head_length};
use super::{Peer, request};
use crate::report::Failure;
use rustls::StreamOwned;
use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A socket, or TLS in one.
trait Wire: Read + Write + Send + Debug {}

impl<W: Read + Write + Send + Debug> Wire for W {}

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Publisher {
    wire: Box<dyn Wire>,
    buffer: Vec<u8>,
}

impl Publisher {
    /// Connects.
    pub(crate) fn connect(peer: impl Into<Peer>) -> Result<Self, Failure> {
        let peer = peer.into();
        let socket = TcpStream::connect(peer.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        let wire: Box<dyn Wire> = match peer.session()? {
            Some(session) => Box::new(StreamOwned::new(session, socket)),
            None => Box::new(socket),
        };
        Ok(Self { wire, buffer: Vec::new() })
    }

    /// Sends a request with a body, and answers the body of the answer, which must be a success.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) -> Result<&[u8], Failure> {
        self.send_raw(&request(method, path, body))
    }

    /// The same with a request that is made already.
    pub(crate) fn send_raw(&mut self, request: &[u8]) -> Result<&[u8], Failure> {
        self.wire.write_all(request)?;
        self.buffer.clear();
        let mut chunk = [0; 16 * 1024];
        loop {
            let read = match self.wire.read(&mut chunk) {
                Ok(0) => return Err("the server closed the connection".into()),
                // A signal came, such as that of another child's end.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.buffer.extend_from_slice(&chunk[..read]);
            let Some(length) = head_length(&self.buffer) else { continue };
            let (status, body) = head(&self.buffer[..length]).ok_or("an answer is no HTTP")?;
            let body = body.ok_or("an answer tells no length")?;
            if self.buffer.len() < length + body {
                continue;
            }
            if !(200..300).contains(&status) {
                let text = String::from_utf8_lossy(&self.buffer);
                return Err(format!("a request is refused: {text}").into());
            }
            return Ok(&self.buffer[length..length + body]);
        }
    }
}
