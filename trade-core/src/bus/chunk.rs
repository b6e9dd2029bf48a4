//! Consecutive events that all readers share.

use super::SharedEvent;
use crate::event::EventFilter;
use crate::resource::Sequence;
use crate::values::StationId;
use std::collections::HashMap;
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
    events: Vec<Arc<SharedEvent>>,
    lines: usize,
    /// Where the events of each station are; made by the first reader that is narrowed to stations.
    stations: OnceLock<HashMap<StationId, Vec<usize>>>,
}

impl Chunk {
    pub(super) fn new(events: Vec<Arc<SharedEvent>>) -> Self {
        debug_assert!(!events.is_empty(), "a chunk has a first and a last event");
        let lines = events.iter().map(|event| event.lines()).sum();
        Self { events, lines, stations: OnceLock::new() }
    }

    /// Both in one, where that is not too large for a reader to hold.
    pub(super) fn joined(&self, next: &Self) -> Option<Self> {
        let small = self.len() + next.len() <= EVENTS_MAX && self.lines + next.lines <= LINES_MAX;
        small.then(|| Self::new(self.events.iter().chain(&next.events).cloned().collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    pub(super) fn first(&self) -> Sequence {
        self.events.first().map_or(0, |event| event.event().sequence)
    }

    pub(super) fn last(&self) -> Sequence {
        self.events.last().map_or(0, |event| event.event().sequence)
    }

    /// The first event after a position that passes a filter.
    pub(super) fn next(&self, after: Sequence, filter: &EventFilter) -> Option<&Arc<SharedEvent>> {
        let from = usize::try_from((after + 1).saturating_sub(self.first())).ok()?;
        if filter.stations.is_empty() || self.len() < INDEXED_MIN {
            return self.events.get(from..)?.iter().find(|event| filter.matches(event.event()));
        }
        let index = self.stations.get_or_init(|| self.index());
        let of_station = |station: &StationId| {
            let places = index.get(station)?;
            let later = &places[places.partition_point(|place| *place < from)..];
            later.iter().copied().find(|place| filter.matches(self.events[*place].event()))
        };
        let place = filter.stations.iter().filter_map(of_station).min()?;
        self.events.get(place)
    }

    fn index(&self) -> HashMap<StationId, Vec<usize>> {
        let mut index: HashMap<StationId, Vec<usize>> = HashMap::new();
        for (place, event) in self.events.iter().enumerate() {
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
