//! Consecutive events that all readers share.

use super::SharedEvent;
use crate::event::EventFilter;
use crate::hash::HashMap;
use crate::resource::Sequence;
use crate::store::LogRecord;
use crate::values::StationId;
use std::sync::{Arc, OnceLock};

/// Events of a chunk of the ring at most, and how many lines they may have before the last: what a reader that
/// stands still keeps in memory.
pub(super) const EVENTS_MAX: usize = 256;
pub(super) const LINES_MAX: usize = 4_096;
/// From this size on, a reader of one station looks up its events instead of passing over the others.
const INDEXED_MIN: usize = 64;

/// One or more events without a gap between them.
#[derive(Debug)]
pub(super) struct Chunk {
    first: Sequence,
    last: Sequence,
    lines: usize,
    /// The steps whose events they are; none where the events were made at once.
    records: Vec<LogRecord>,
    /// Made by the first reader: while there is none, nobody pays for them.
    events: OnceLock<Vec<Arc<SharedEvent>>>,
    /// Where the events of each station are; made by the first reader that is narrowed to stations.
    stations: OnceLock<HashMap<StationId, Vec<usize>>>,
}

impl Chunk {
    pub(super) fn of_records(records: Vec<LogRecord>) -> Self {
        debug_assert!(!records.is_empty(), "a chunk has a first and a last event");
        Self {
            first: records.first().map_or(0, LogRecord::first),
            last: records.last().map_or(0, |record| record.last),
            lines: records.iter().map(|record| record.step.lines()).sum(),
            records,
            events: OnceLock::new(),
            stations: OnceLock::new(),
        }
    }

    pub(super) fn of_events(events: Vec<Arc<SharedEvent>>) -> Self {
        debug_assert!(!events.is_empty(), "a chunk has a first and a last event");
        Self {
            first: events.first().map_or(0, |event| event.event().sequence),
            last: events.last().map_or(0, |event| event.event().sequence),
            lines: events.iter().map(|event| event.lines()).sum(),
            records: Vec::new(),
            events: events.into(),
            stations: OnceLock::new(),
        }
    }

    /// Both in one, where that is not too large for a reader to hold. Events that were made already are kept, with the
    /// form in which they are sent.
    pub(super) fn joined(&self, next: &Self) -> Option<Self> {
        if self.len() + next.len() > EVENTS_MAX || self.lines + next.lines > LINES_MAX {
            return None;
        }
        let events = OnceLock::new();
        if self.events.get().or(next.events.get()).is_some() {
            let both = self.events().iter().chain(next.events());
            // It is empty until here.
            let _ = events.set(both.cloned().collect());
        }
        Some(Self {
            first: self.first,
            last: next.last,
            lines: self.lines + next.lines,
            records: self.records.iter().chain(&next.records).cloned().collect(),
            events,
            stations: OnceLock::new(),
        })
    }

    fn events(&self) -> &[Arc<SharedEvent>] {
        self.events
            .get_or_init(|| self.records.iter().flat_map(LogRecord::events).map(SharedEvent::new).collect())
    }

    pub(super) fn len(&self) -> usize {
        usize::try_from(self.last + 1 - self.first).unwrap_or(usize::MAX)
    }

    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    pub(super) fn first(&self) -> Sequence {
        self.first
    }

    pub(super) fn last(&self) -> Sequence {
        self.last
    }

    /// The first event after a position that passes a filter.
    pub(super) fn next(&self, after: Sequence, filter: &EventFilter) -> Option<&Arc<SharedEvent>> {
        let from = usize::try_from((after + 1).saturating_sub(self.first)).ok()?;
        let events = self.events();
        let narrowed_to = filter.narrowed_to().filter(|_| self.len() >= INDEXED_MIN);
        // Each station is looked up for each event: of many of them, it is less work to pass over the others.
        let Some(stations) = narrowed_to.filter(|stations| stations.len() * 8 < self.len()) else {
            return events.get(from..)?.iter().find(|event| filter.matches(event.event()));
        };
        let index = self.stations.get_or_init(|| self.index());
        let of_station = |station: &StationId| {
            let places = index.get(station)?;
            let later = &places[places.partition_point(|place| *place < from)..];
            later.iter().copied().find(|place| filter.matches(events[*place].event()))
        };
        let place = stations.iter().filter_map(of_station).min()?;
        events.get(place)
    }

    fn index(&self) -> HashMap<StationId, Vec<usize>> {
        let mut index: HashMap<StationId, Vec<usize>> = HashMap::default();
        for (place, event) in self.events().iter().enumerate() {
            for station in event.event().stations().into_iter().flatten() {
                match index.get_mut(station) {
                    Some(places) => places.push(place),
                    None => drop(index.insert(station.clone(), vec![place])),
                }
            }
        }
        index
    }
}
