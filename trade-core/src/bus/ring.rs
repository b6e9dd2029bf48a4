//! The newest events, in memory.

use super::chunk::{self, Chunk};
use crate::resource::Sequence;
use crate::store::{Head, LogRecord};
use std::collections::VecDeque;
use std::sync::Arc;

/// Events the ring holds at most, whatever their size.
const EVENTS_MAX: usize = 8_192;
/// Lines of all events in the ring at most: what bounds its memory where trades are large.
const LINES_MAX: usize = 262_144;

#[derive(Debug)]
pub(super) struct Ring {
    /// Where the log ended with the newest event that is or was here.
    end: Head,
    events: usize,
    lines: usize,
    chunks: VecDeque<Arc<Chunk>>,
}

/// What became of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extended {
    /// All of them are here, or were.
    Whole,
    /// Some before them are missing.
    Gap,
    /// One of them has events before and after the newest here, and so is of another log.
    Other,
}

impl Ring {
    /// An empty one, after which come the events after `end`.
    pub(super) fn new(end: Head) -> Self {
        Self { end, events: 0, lines: 0, chunks: VecDeque::new() }
    }

    pub(super) fn end(&self) -> Head {
        self.end
    }

    /// Adds steps that follow without a gap; those it has already are passed over.
    pub(super) fn extend(&mut self, records: Vec<LogRecord>) -> Extended {
        let (mut part, mut events, mut lines, mut became) = (Vec::new(), 0, 0, Extended::Whole);
        for record in records {
            let end = self.end.sequence;
            if record.last <= end {
                continue;
            }
            if record.first() != end + 1 {
                became = if record.first() > end { Extended::Gap } else { Extended::Other };
                break;
            }
            self.end = record.head();
            let step_events = usize::try_from(record.step.event_count()).unwrap_or(usize::MAX);
            if events + step_events > chunk::EVENTS_MAX && !part.is_empty() {
                self.push(std::mem::take(&mut part));
                (events, lines) = (0, 0);
            }
            events += step_events;
            lines += record.step.lines();
            part.push(record);
            if lines >= chunk::LINES_MAX {
                self.push(std::mem::take(&mut part));
                (events, lines) = (0, 0);
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
        became
    }

    /// Small chunks become one as soon as the newer is half as large as the older: so they are few, and no event is
    /// moved more often than a chunk can double.
    fn push(&mut self, records: Vec<LogRecord>) {
        let mut newest = Chunk::of_records(records);
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
