//! A reader of one stream of Server-Sent Events as it comes in from the socket, in whatever pieces.
//!
//! It understands as much as a measurement needs: the head, the chunks of the body, and the lines of events, of whose
//! data it takes the id of the CloudEvent. Only what is cut by the end of a piece is copied.

use super::http::{head, head_length};
use memchr::{memchr, memmem};

#[cfg(test)]
mod tests;

/// What a head may take at most.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where in the body's framing the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// In the line that tells the length of a chunk.
    Length(usize),
    /// So many bytes before the end of a chunk.
    Chunk(usize),
    /// In the line end after a chunk.
    ChunkEnd,
    /// There are no chunks.
    Plain,
}

/// The state of one stream.
#[derive(Debug)]
pub(super) struct Parser {
    /// What came of the head while it is incomplete.
    head: Option<Vec<u8>>,
    framing: Framing,
    /// What came of a line that is incomplete.
    line: Vec<u8>,
}

impl Parser {
    /// Before the first byte.
    pub(super) fn new() -> Self {
        Self { head: Some(Vec::new()), framing: Framing::Plain, line: Vec::new() }
    }

    /// Behind the head, in a body without chunks.
    pub(super) fn of_body() -> Self {
        Self { head: None, ..Self::new() }
    }

    /// Whether the head was read.
    pub(super) fn is_open(&self) -> bool {
        self.head.is_none()
    }

    /// Takes what came in, and calls `each` with the sequence of every event that is complete.
    ///
    /// # Errors
    /// What is wrong with the stream, or that it ends.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(u64) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(mut incomplete) = self.head.take() else { return self.body(bytes, each) };
        incomplete.extend_from_slice(bytes);
        let Some(length) = head_length(&incomplete) else {
            if incomplete.len() > HEAD_BYTES_MAX {
                return Err("a head has no end".to_owned());
            }
            self.head = Some(incomplete);
            return Ok(());
        };
        let text = String::from_utf8_lossy(&incomplete[..length]).to_ascii_lowercase();
        match head(&incomplete[..length]) {
            Some((200, _)) if text.contains("text/event-stream") => {}
            _ => return Err(format!("no stream is answered: {text}")),
        }
        if text.contains("transfer-encoding: chunked") {
            self.framing = Framing::Length(0);
        }
        self.body(&incomplete[length..], each)
    }

    fn body(
        &mut self,
        mut bytes: &[u8],
        each: &mut impl FnMut(u64) -> Result<(), String>,
    ) -> Result<(), String> {
        while let Some(first) = bytes.first() {
            match self.framing {
                Framing::Plain => return self.lines(bytes, each),
                Framing::Chunk(left) => {
                    let (chunk, rest) = bytes.split_at(left.min(bytes.len()));
                    self.lines(chunk, each)?;
                    let left = left - chunk.len();
                    self.framing = if left == 0 { Framing::ChunkEnd } else { Framing::Chunk(left) };
                    bytes = rest;
                }
                Framing::ChunkEnd => {
                    if *first == b'\n' {
                        self.framing = Framing::Length(0);
                    }
                    bytes = &bytes[1..];
                }
                Framing::Length(length) => {
                    self.framing = match (char::from(*first).to_digit(16), first) {
                        (Some(digit), _) => Framing::Length(length * 16 + digit as usize),
                        (None, b'\n') if length == 0 => return Err("the server ended a stream".to_owned()),
                        (None, b'\n') => Framing::Chunk(length),
                        (None, b'\r') => Framing::Length(length),
                        (None, _) => return Err("a chunk has no length".to_owned()),
                    };
                    bytes = &bytes[1..];
                }
            }
        }
        Ok(())
    }

    fn lines(
        &mut self,
        mut bytes: &[u8],
        each: &mut impl FnMut(u64) -> Result<(), String>,
    ) -> Result<(), String> {
        while let Some(end) = memchr(b'\n', bytes) {
            if self.line.is_empty() {
                line(&bytes[..end], each)?;
            } else {
                self.line.extend_from_slice(&bytes[..end]);
                line(&self.line, each)?;
                self.line.clear();
            }
            bytes = &bytes[end + 1..];
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }
}

fn line(line: &[u8], each: &mut impl FnMut(u64) -> Result<(), String>) -> Result<(), String> {
    const ID: &[u8] = b"\"id\":\"";
    if let Some(data) = line.strip_prefix(b"data: {") {
        let at = memmem::find(data, ID).ok_or("an event has no id")? + ID.len();
        let digits = data[at..].iter().take_while(|byte| byte.is_ascii_digit());
        let id = digits.fold(0_u64, |id, digit| id.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
        return each(id);
    }
    match line.strip_prefix(b"event: ") {
        Some(b"bye" | b"resync") => Err(format!("the server tells {}", String::from_utf8_lossy(line))),
        _ => Ok(()),
    }
}
