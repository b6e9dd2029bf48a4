//! What the ring no longer holds: parts of the log, read once for all who are at the same place.
//!
//! After a restart, or when a proxy drops its connections, many readers resume from about the same position at once.
//! Each part of the log is read and decoded by the first of them, and few parts at a time, so that replays leave the
//! store to the writers.

use super::SharedEvent;
use super::chunk::Chunk;
use crate::resource::Sequence;
use crate::store::{LogRecord, Store, StoreError, StoreErrorKind};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OnceCell, Semaphore};

/// Sequences a part spans at most. None crosses a multiple of it, so that readers a little apart still meet.
const SPAN: u64 = 512;
/// Lines of a part before its last event.
const PART_LINES: usize = 4_096;
/// Bytes of one read of the log.
const READ_BYTES: usize = 256 * 1024;
/// Reads of the log at a time.
const READS_MAX: usize = 2;
/// Parts that are kept, and the lines of all of them.
const PARTS_MAX: usize = 32;
const LINES_MAX: usize = 262_144;

type Part = Arc<OnceCell<Arc<Chunk>>>;

#[derive(Debug)]
pub(super) struct History {
    store: Arc<dyn Store>,
    parts: Mutex<Parts>,
    reads: Arc<Semaphore>,
}

/// By the position they come after.
#[derive(Debug, Default)]
struct Parts {
    by_start: BTreeMap<Sequence, (Part, u64)>,
    /// Counts what is asked for, to know what was not for longest.
    asked: u64,
}

impl History {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, parts: Mutex::default(), reads: Arc::new(Semaphore::new(READS_MAX)) }
    }

    /// The events after `after`, of which there must be one.
    pub(super) async fn after(&self, after: Sequence) -> Result<Arc<Chunk>, StoreError> {
        loop {
            let (start, part) = self.parts.lock().unwrap_or_else(PoisonError::into_inner).at(after);
            let chunk = match part.get() {
                Some(chunk) => chunk.clone(),
                None => self.read_for_all(part, start).await?,
            };
            if chunk.last() > after {
                return Ok(chunk);
            }
            // It ended early; the next part begins where it ended.
        }
    }

    /// Reads a part, or waits until another has. The reading goes on where its asker does not: whoever asks next, and
    /// be it the same one after an interruption, finds it further along.
    async fn read_for_all(&self, part: Part, start: Sequence) -> Result<Arc<Chunk>, StoreError> {
        let (store, reads) = (self.store.clone(), self.reads.clone());
        let reading = tokio::spawn(async move {
            part.get_or_try_init(|| Self::read(&*store, &reads, start)).await.cloned()
        });
        reading.await.unwrap_or_else(|error| {
            let detail = "the reading of the log ended before its end";
            let error = StoreError::new(StoreErrorKind::Internal, self.store.name(), "read the log", detail)
                .caused_by(error);
            Err(error)
        })
    }

    async fn read(store: &dyn Store, reads: &Semaphore, start: Sequence) -> Result<Arc<Chunk>, StoreError> {
        // Never closed, so this cannot fail.
        let _permit = reads.acquire().await;
        let end = (start / SPAN + 1) * SPAN;
        let (mut events, mut lines, mut position) = (Vec::new(), 0, start);
        while position < end && lines < PART_LINES {
            // Most steps are trades, of four events.
            let records_max = usize::try_from((end - position) / 4 + 4).unwrap_or(usize::MAX);
            let records = store.read(position, records_max, READ_BYTES).await?;
            if records.is_empty() {
                break;
            }
            for event in
                records.iter().flat_map(LogRecord::events).skip_while(|event| event.sequence <= position)
            {
                if event.sequence > end || lines >= PART_LINES {
                    break;
                }
                let event = SharedEvent::new(event);
                lines += event.lines();
                events.push(event);
            }
            position = events.last().map_or(position, |event| event.event().sequence);
        }
        if events.is_empty() {
            let detail = format!("nothing is stored after sequence {start}, though there is a newer one");
            return Err(StoreError::new(StoreErrorKind::Corrupt, store.name(), "read the log", detail));
        }
        Ok(Arc::new(Chunk::of_events(events)))
    }
}

impl Parts {
    /// The part that holds the event after `after`, or is the nearest before it, and the position it comes after.
    fn at(&mut self, after: Sequence) -> (Sequence, Part) {
        self.asked += 1;
        let mut start = after - after % SPAN;
        if let Some((found, (part, asked))) = self.by_start.range_mut(start..=after).next_back() {
            match part.get() {
                // It ends at the end of the log as that was, or where its lines were enough.
                Some(chunk) if chunk.last() <= after => start = chunk.last(),
                _ => {
                    *asked = self.asked;
                    return (*found, part.clone());
                }
            }
        }
        self.make_room();
        let part = Part::default();
        self.by_start.insert(start, (part.clone(), self.asked));
        (start, part)
    }

    fn make_room(&mut self) {
        // What is not read yet is kept for those who wait for it, unless nobody does any more.
        self.by_start.retain(|_, (part, _)| part.initialized() || Arc::strong_count(part) > 1);
        loop {
            let read = || {
                self.by_start.iter().filter_map(|(start, (part, asked))| Some((start, part.get()?, asked)))
            };
            let lines: usize = read().map(|(_, chunk, _)| chunk.lines()).sum();
            if read().count() < PARTS_MAX && lines < LINES_MAX {
                return;
            }
            let Some(oldest) = read().min_by_key(|(_, _, asked)| **asked).map(|(start, ..)| *start) else {
                return;
            };
            self.by_start.remove(&oldest);
        }
    }
}
