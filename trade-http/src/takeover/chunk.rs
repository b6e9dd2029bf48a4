//! Events in the chunks of HTTP/1.1's chunked coding (RFC 9112 §7.1), made once per event and shared by all streams.

use crate::feed::lines;
use bytes::Bytes;
use std::io::{self, IoSlice};
use std::sync::LazyLock;
use tokio::net::TcpStream;
use trade_core::bus::{Encoding, SharedEvent};
use trade_core::event::Event;
use trade_core::resource::Sequence;

/// The end of a body.
pub(super) const END: &[u8] = b"0\r\n\r\n";
/// Frames that are written at once.
pub(super) const FRAMES_MAX: usize = 64;
/// Room for the size of a chunk, which is known last.
const ROOM: usize = 10;

static STILL_HERE: LazyLock<Bytes> = LazyLock::new(|| chunk(&lines::STILL_HERE));

/// A chunk that shows that a stream lives.
pub(super) fn still_here() -> Bytes {
    STILL_HERE.clone()
}

/// An event in the form in which it is sent.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) sequence: Sequence,
    chunk: Bytes,
}

impl Frame {
    pub(super) fn of(event: &SharedEvent) -> Self {
        Self { sequence: event.event().sequence, chunk: event.encoded::<Chunk>() }
    }

    /// A comment, for a stream that has come to a position.
    pub(super) fn comment(position: Sequence) -> Self {
        Self { sequence: position, chunk: still_here() }
    }
}

/// Lines in a chunk.
pub(super) fn chunk(lines: &[u8]) -> Bytes {
    filled(|room| room.extend_from_slice(lines))
}

/// The lines of an event, in a chunk.
struct Chunk;

impl Encoding for Chunk {
    fn encode(event: &Event) -> Bytes {
        let mut is_written = false;
        let chunk = filled(|lines| is_written = lines::write(lines, event));
        if is_written { chunk } else { still_here() }
    }
}

fn filled(fill: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut chunk = vec![0; ROOM];
    fill(&mut chunk);
    let size = format!("{:x}\r\n", chunk.len() - ROOM);
    chunk.extend_from_slice(b"\r\n");
    let begin = ROOM.saturating_sub(size.len());
    chunk.splice(begin..ROOM, size.bytes());
    chunk.shrink_to_fit();
    Bytes::from(chunk).slice(begin..)
}

/// How far a write came.
#[derive(Debug)]
pub(super) enum Sent {
    All,
    /// The socket has no more room: where it ended, and what is left of that frame, all of it maybe.
    Until {
        position: Sequence,
        rest: Bytes,
    },
}

/// Writes as many frames as the socket has room for, at most [`FRAMES_MAX`], of which there must be one.
pub(super) fn send(socket: &TcpStream, frames: &[Frame]) -> io::Result<Sent> {
    let written = match frames {
        [only] => socket.try_write(&only.chunk),
        _ => {
            let mut slices = [IoSlice::new(&[]); FRAMES_MAX];
            slices.iter_mut().zip(frames).for_each(|(slice, frame)| *slice = IoSlice::new(&frame.chunk));
            socket.try_write_vectored(&slices[..frames.len()])
        }
    };
    let mut written = match written {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    for frame in frames {
        if written < frame.chunk.len() {
            return Ok(Sent::Until { position: frame.sequence, rest: frame.chunk.slice(written..) });
        }
        written -= frame.chunk.len();
    }
    Ok(Sent::All)
}
