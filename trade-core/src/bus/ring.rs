//! The newest events, in memory.

use super::SharedEvent;
use super::chunk::{self, Chunk};
use crate::event::Event;
use crate::resource::Sequence;
use std::collections::VecDeque;
use std::sync::Arc;

/// Events the ring holds at most, whatever their size.
const EVENTS_MAX: usize = 8_192;
/// Lines of all events in the ring at most: what bounds its memory where trades are large.
const LINES_MAX: usize = 262_144;

#[derive(Debug)]
pub(super) struct Ring {
    /// The sequence of the newest event that is or was here.
    end: Sequence,
    events: usize,
    lines: usize,
    chunks: VecDeque<Arc<Chunk>>,
}

impl Ring {
    /// An empty one, after which come the events after `end`.
    pub(super) fn new(end: Sequence) -> Self {
        Self { end, events: 0, lines: 0, chunks: VecDeque::new() }
    }

    pub(super) fn end(&self) -> Sequence {
        self.end
    }

    /// Adds events that follow without a gap; those it has already are passed over. False if there is a gap.
    pub(super) fn extend(&mut self, events: impl IntoIterator<Item = Event>) -> bool {
        let (mut part, mut lines, mut whole) = (Vec::new(), 0, true);
        for event in events {
            if event.sequence <= self.end {
                continue;
            }
            if event.sequence > self.end + 1 {
                whole = false;
                break;
            }
            self.end = event.sequence;
            let event = SharedEvent::new(event);
            lines += event.lines();
            part.push(event);
            if part.len() == chunk::EVENTS_MAX || lines >= chunk::LINES_MAX {
                self.push(std::mem::take(&mut part));
                lines = 0;
            }
        }
        if !part.is_empty() {
            self.push(part);
        }
        while self.events > EVENTS_MAX || self.lines > LINES_MAX {
            let Some(oldest) = self.chunks.pop_front() else { break };
            self.events -= oldest.len();
            self.lines -= oldest.lines();
        }
        whole
    }

    /// Small chunks become one as soon as the newer is half as large as the older: so they are few, and no event is
    /// moved more often than a chunk can double.
    fn push(&mut self, events: Vec<Arc<SharedEvent>>) {
        let mut newest = Chunk::new(events);
        self.events += newest.len();
        self.lines += newest.lines();
        while let Some(joined) = self
            .chunks
            .back()
            .filter(|before| before.len() <= 2 * newest.len())
            .and_then(|before| before.joined(&newest))
        {
            self.chunks.pop_back();
            newest = joined;
        }
        self.chunks.push_back(Arc::new(newest));
    }

    /// The chunk with the event after `after`; none where the ring no longer holds it.
    pub(super) fn after(&self, after: Sequence) -> Option<Arc<Chunk>> {
        let place = self.chunks.partition_point(|chunk| chunk.last() <= after);
        self.chunks.get(place).filter(|chunk| chunk.first() <= after + 1).cloned()
    }
}
