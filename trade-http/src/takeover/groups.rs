//! The streams of a writer, by what they are narrowed to.

use super::chunk::Frame;
use super::member::{Member, Released};
use std::collections::HashMap;
use std::sync::Arc;
use trade_core::bus::SharedEvent;
use trade_core::event::EventFilter;
use trade_core::resource::Sequence;
use trade_core::values::StationId;

/// Groups without a member that are not worth removing.
const EMPTY_MAX: usize = 64;

/// The streams that share a filter.
#[derive(Debug)]
struct Group {
    filter: EventFilter,
    members: Vec<Member>,
    /// What they are to be sent next.
    frames: Vec<Frame>,
}

impl Group {
    /// Writes to every member, and lets go of those to whom it cannot.
    fn write(&mut self, write: impl Fn(&mut Member, &[Frame]) -> Result<(), Released>) {
        let mut place = 0;
        while let Some(member) = self.members.get_mut(place) {
            match write(member, &self.frames) {
                Ok(()) => place += 1,
                Err(why) => self.members.swap_remove(place).release(why),
            }
        }
    }
}

/// All streams of a writer.
#[derive(Debug, Default)]
pub(super) struct Groups {
    all: Vec<Group>,
    places: HashMap<EventFilter, usize>,
    /// Those that are not narrowed to stations …
    wide: Vec<usize>,
    /// … and those that are.
    by_station: HashMap<StationId, Vec<usize>>,
}

impl Groups {
    pub(super) fn add(&mut self, filter: EventFilter, member: Member) {
        let place = match self.places.get(&filter) {
            Some(place) => *place,
            None => self.open(filter),
        };
        self.all[place].members.push(member);
    }

    fn open(&mut self, filter: EventFilter) -> usize {
        let place = self.all.len();
        match filter.narrowed_to() {
            None => self.wide.push(place),
            Some(stations) => {
                for station in stations {
                    self.by_station.entry(station.clone()).or_default().push(place);
                }
            }
        }
        self.places.insert(filter.clone(), place);
        self.all.push(Group { filter, members: Vec::new(), frames: Vec::new() });
        place
    }

    /// Writes events, in order, to whom they concern.
    pub(super) fn write<'a>(&mut self, events: impl Iterator<Item = &'a Arc<SharedEvent>>, tick: u64) {
        let mut concerned = Vec::new();
        for event in events {
            let of_stations = event.event().stations().into_iter().flatten();
            let narrow = of_stations.filter_map(|station| self.by_station.get(station)).flatten();
            for place in self.wide.iter().chain(narrow) {
                let group = &mut self.all[*place];
                // A filter may list both stations of an event.
                let has_it = group.frames.last().is_some_and(|last| last.sequence == event.event().sequence);
                if group.members.is_empty() || has_it || !group.filter.matches(event.event()) {
                    continue;
                }
                if group.frames.is_empty() {
                    concerned.push(*place);
                }
                group.frames.push(Frame::of(event));
            }
        }
        for place in concerned {
            let group = &mut self.all[place];
            group.write(|member, frames| member.write(frames, tick));
            group.frames.clear();
        }
    }

    /// Writes a comment to those that were silent for long. `position` is what all have seen.
    pub(super) fn show_life(&mut self, position: Sequence, silent_since: u64, tick: u64) {
        for group in &mut self.all {
            group.write(|member, _| member.show_life(position, silent_since, tick));
        }
    }

    /// Lets go of those whose clients have left, or may read no longer.
    pub(super) fn sweep(&mut self) {
        for group in &mut self.all {
            group.write(|member, _| member.check_login());
            group.members.retain(|member| !member.released.is_closed());
        }
        let empty = self.all.iter().filter(|group| group.members.is_empty()).count();
        if empty > EMPTY_MAX && empty > self.all.len() / 2 {
            for Group { filter, members, .. } in std::mem::take(self).all {
                members.into_iter().for_each(|member| self.add(filter.clone(), member));
            }
        }
    }

    /// Tells everyone that the application ends.
    pub(super) fn end(&mut self) {
        for group in std::mem::take(self).all {
            group.members.into_iter().for_each(|member| member.release(Released::Over));
        }
    }
}
