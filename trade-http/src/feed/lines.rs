//! The lines of a stream (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), whoever writes them.

use crate::sent;
use bytes::Bytes;
use std::io::Write;
use trade_core::bus::{Encoding, Resync, SharedEvent};
use trade_core::event::Event;
use trade_core::resource::Sequence;

/// A comment, which shows that the stream lives.
pub(crate) const STILL_HERE: Bytes = Bytes::from_static(b": still here\n\n");
pub(super) const SHUTDOWN: Bytes = Bytes::from_static(b"event: bye\ndata: {\"reason\":\"shutdown\"}\n\n");
pub(super) const TOKEN_EXPIRED: Bytes =
    Bytes::from_static(b"event: bye\ndata: {\"reason\":\"token_expired\"}\n\n");
pub(super) const REVOKED: Bytes = Bytes::from_static(b"event: bye\ndata: {\"reason\":\"revoked\"}\n\n");

/// Where a stream begins.
pub(super) fn opening(position: Sequence, resync: Option<Resync>) -> Bytes {
    let mut text = format!("retry: 2000\nid: {position}\ndata: Connection established\n\n");
    if let Some(Resync { oldest, newest }) = resync {
        let data = format!("{{\"oldest\":{oldest},\"newest\":{newest}}}");
        text += &format!("id: {newest}\nevent: resync\ndata: {data}\n\n");
    }
    text.into()
}

/// Those of an event, made once for all streams.
pub(super) fn of(event: &SharedEvent) -> Bytes {
    event.encoded::<Lines>()
}

struct Lines;

impl Encoding for Lines {
    fn encode(event: &Event) -> Bytes {
        let mut lines = Vec::new();
        if !write(&mut lines, event) {
            return STILL_HERE;
        }
        lines.shrink_to_fit();
        lines.into()
    }
}

/// Adds the lines of an event; false where it cannot be written, which is told.
pub(crate) fn write(lines: &mut Vec<u8>, event: &Event) -> bool {
    let head = write!(lines, "id: {}\nevent: {}\ndata: ", event.sequence, event.event_type.as_str());
    let written = head.map_err(serde_json::Error::io).and_then(|()| sent::write(&mut *lines, event));
    if let Err(error) = written {
        tracing::error!(%error, sequence = event.sequence, "an event cannot be written");
        return false;
    }
    lines.extend_from_slice(b"\n\n");
    true
}
