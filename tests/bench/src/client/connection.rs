//! The connection of a subscriber: plain, or in TLS.

use super::Peer;
use mio::net::TcpStream;
use rustls::ClientConnection;
use std::io::{BufRead, Error, ErrorKind, Read, Result, Write};

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Connection {
    /// Begins to connect.
    pub(super) fn new(peer: &Peer) -> Result<Self> {
        let tls = peer.session().map_err(Error::other)?.map(Box::new);
        Ok(Self { socket: TcpStream::connect(peer.address)?, tls })
    }

    /// Sends a request, once the connection stands. Answers whether it did.
    pub(super) fn send(&mut self, request: &str) -> Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        if let Some(tls) = &mut self.tls {
            // It is kept until the handshake is over.
            tls.writer().write_all(request.as_bytes())?;
            return Ok(true);
        }
        match self.socket.write(request.as_bytes()) {
            Ok(written) if written == request.len() => Ok(true),
            Ok(_) => Err(Error::other("a request is sent in part only")),
            Err(error) if has_to_wait(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads what there is, and hands it on. A read that does not fill the buffer has emptied the socket.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        closed: bool,
        each: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        loop {
            self.flush()?;
            let read = match self.socket.read(buffer) {
                Ok(0) => return Err(Error::other("the server closed it")),
                Ok(read) => read,
                Err(error) if has_to_wait(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            match &mut self.tls {
                None => each(&buffer[..read])?,
                Some(tls) => decrypt(tls, &buffer[..read], each)?,
            }
            if read < buffer.len() && !closed {
                return self.flush();
            }
        }
    }

    /// Sends what TLS has to say by itself, and what was kept.
    fn flush(&mut self) -> Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if has_to_wait(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn decrypt(
    tls: &mut ClientConnection,
    mut sealed: &[u8],
    each: &mut impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    while !sealed.is_empty() {
        tls.read_tls(&mut sealed)?;
        let state = tls.process_new_packets().map_err(Error::other)?;
        let mut left = state.plaintext_bytes_to_read();
        while left > 0 {
            let mut reader = tls.reader();
            let plain = reader.fill_buf()?;
            let taken = plain.len();
            each(plain)?;
            reader.consume(taken);
            left -= taken;
        }
        if state.peer_has_closed() {
            return Err(Error::other("the server closed it"));
        }
    }
    Ok(())
}

fn has_to_wait(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
