//! How events look on their way: as lines of a stream, in a chunk of HTTP/1.1's chunked coding.
//!
//! Both are made once per event and shared by all streams, whether they write their own socket or leave that to hyper.

use crate::sent;
use bytes::Bytes;
use std::io::{self, IoSlice, Write};
use tokio::net::TcpStream;
use trade_core::bus::{Encoding, Resync, SharedEvent};
use trade_core::event::Event;
use trade_core::resource::Sequence;

pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b"e\r\n: still here\n\n\r\n");
pub(super) const BYE: Bytes =
    Bytes::from_static(b"28\r\nevent: bye\ndata: {\"reason\":\"shutdown\"}\n\n\r\n");
/// The end of a body.
pub(super) const END: &[u8] = b"0\r\n\r\n";
/// Frames that are written at once.
pub(super) const FRAMES_MAX: usize = 64;

/// An event in the form in which it is sent.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) sequence: Sequence,
    chunk: Bytes,
}

impl Frame {
    pub(super) fn of(event: &SharedEvent) -> Self {
        Self { sequence: event.event().sequence, chunk: encoded(event) }
    }

    /// A comment line, for a stream that has come to a position.
    pub(super) fn comment(position: Sequence) -> Self {
        Self { sequence: position, chunk: HEARTBEAT }
    }
}

/// The chunk of an event.
pub(super) fn encoded(event: &SharedEvent) -> Bytes {
    event.encoded::<Chunk>()
}

/// What is in a chunk.
pub(super) fn content(chunk: &Bytes) -> Bytes {
    let begin = chunk.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    chunk.slice(begin..chunk.len().saturating_sub(2).max(begin))
}

/// The chunk of a stream's first frames.
pub(super) fn opening(position: Sequence, resync: Option<Resync>) -> Bytes {
    let mut text = format!("retry: 2000\nid: {position}\ndata: Connection established\n\n");
    if let Some(Resync { oldest, newest }) = resync {
        let data = format!("{{\"oldest\":{oldest},\"newest\":{newest}}}");
        text += &format!("id: {newest}\nevent: resync\ndata: {data}\n\n");
    }
    format!("{:x}\r\n{text}\r\n", text.len()).into()
}

/// The lines of an event, in a chunk.
struct Chunk;

impl Encoding for Chunk {
    fn encode(event: &Event) -> Bytes {
        chunk(event)
    }
}

fn chunk(event: &Event) -> Bytes {
    /// Room for the size of the chunk, which is known last.
    const ROOM: usize = 10;
    let mut frame = vec![0; ROOM];
    let head = write!(frame, "id: {}\nevent: {}\ndata: ", event.sequence, event.event_type.as_str());
    let written = head.map_err(serde_json::Error::io).and_then(|()| sent::write(&mut frame, event));
    if let Err(error) = written {
        tracing::error!(%error, sequence = event.sequence, "an event cannot be written");
        return HEARTBEAT;
    }
    frame.extend_from_slice(b"\n\n");
    let size = format!("{:x}\r\n", frame.len() - ROOM);
    frame.extend_from_slice(b"\r\n");
    let begin = ROOM.saturating_sub(size.len());
    frame.splice(begin..ROOM, size.bytes());
    frame.shrink_to_fit();
    Bytes::from(frame).slice(begin..)
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
