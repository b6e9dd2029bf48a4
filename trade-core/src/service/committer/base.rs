//! What commands are decided on: a part of what the store holds, and the head of the log that it is of.

use super::Pending;
use crate::bus::EventBus;
use crate::rules::Draft;
use crate::service::keys;
use crate::store::{Commit, Head, Keys, Store, StoreError, StoreErrorKind};
use crate::values::StationId;
use crate::view::{Missing, View};
use std::cmp::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How long ago the store must have said where the log ends for a base to be trusted without asking it.
const TRUST_MAX: Duration = Duration::from_millis(100);
/// Stations and levels that are kept from group to group, some 100 bytes each.
const KEPT_MAX: usize = 131_072;
/// How far a base follows others by the log: what lies further back is more than what is needed of it.
const FOLLOWED_EVENTS_MAX: u32 = 16_384;
const FOLLOWED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A view of the store at a head of its log, and what was decided on it since.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) draft: Draft,
    /// Where the store is known to be as the view has it, but for what was decided since; none where nothing is known.
    landed: Option<Head>,
    /// Whether a commit that was made on it is on its way.
    pub(super) is_ahead: bool,
    /// When the store last said that its log ends there.
    heard_at: Instant,
}

/// What commands ask a store for, one answer after the other. Those that make what is presumed to be new ask nothing.
struct Asked<'c> {
    commands: &'c [Pending],
    looked: bool,
}

impl<'c> Asked<'c> {
    fn new(commands: &'c [Pending]) -> Self {
        Self { commands, looked: false }
    }

    fn asking(&self) -> impl Iterator<Item = &'c Pending> + use<'c> {
        self.commands.iter().filter(|pending| pending.asks)
    }

    /// What the view still lacks; none where that is nothing.
    fn next(&mut self, view: &mut View) -> Option<Keys> {
        let first = !std::mem::replace(&mut self.looked, true);
        let mut missing = Missing::default();
        for command in self.asking().map(|pending| &pending.request.command) {
            // What was missing was touched when it was added.
            if first || keys::names_a_shipment(command) {
                keys::touch(view, command, &mut missing);
            }
        }
        if first {
            // Where nothing is missing the head is looked at still: a refusal must rest on what is stored now.
            return Some(Keys {
                requests: self.asking().flat_map(Pending::receipt_ids).collect(),
                inventories: self.not_whole(view).cloned().collect(),
                ..missing.into_keys()
            });
        }
        (!missing.is_empty()).then(|| missing.into_keys())
    }

    /// Stations whose whole inventories commands answer, and of which the view lacks some.
    fn not_whole<'v>(&self, view: &'v View) -> impl Iterator<Item = &'c StationId> + use<'c, 'v> {
        let whole = self.asking().filter_map(|pending| keys::whole_station(&pending.request.command));
        whole.filter(|id| !view.knows_whole(id))
    }
}

impl Base {
    /// Nothing known.
    pub(super) fn unknown() -> Self {
        Self { draft: Draft::new(View::empty()), landed: None, is_ahead: false, heard_at: Instant::now() }
    }

    /// Where the store is known to be as the view has it, but for what was decided since.
    pub(super) fn landed(&self) -> Option<Head> {
        self.landed
    }

    /// Whether it is so new that a commit may be the first to find out that others wrote.
    pub(super) fn is_trusted(&self) -> bool {
        self.landed.is_some() && self.heard_at.elapsed() < TRUST_MAX
    }

    /// Whether nothing was decided on it that is not known to be stored.
    fn is_bare(&self) -> bool {
        self.draft.log.is_empty() && !self.is_ahead
    }

    /// Brings it to where the log is now, or is held at, with everything that `commands` ask for. One on which something
    /// was decided that is not stored yet stays where it is. Nothing else asks the store what commands are decided on.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read; `Conflict` where others have written, and it could not follow.
    /// Nothing is left of it then.
    pub(super) async fn refresh(
        mut self,
        store: &dyn Store,
        bus: &EventBus,
        commands: &[Pending],
        held_at: Option<Head>,
    ) -> Result<Self, StoreError> {
        let asked_at = Instant::now();
        if !self.is_bare() {
            self.add_what_is_asked(store, commands).await?;
            self.heard_at = asked_at;
            return Ok(self);
        }
        let known = bus.end();
        let asks_nothing = commands.iter().all(|pending| !pending.asks);
        let is_there = match held_at.filter(|_| asks_nothing && self.landed.is_some()) {
            Some(head) => self.follow(store, bus, head).await?,
            None => self.landed.is_some() && self.catch_up(store, bus, commands).await?,
        };
        if !is_there {
            self = Self::unknown();
            self.add_what_is_asked(store, commands).await?;
        }
        let head = self.draft.view.head();
        recognize(store, bus, known, head, !is_there).await?;
        (self.landed, self.heard_at) = (Some(head), asked_at);
        Ok(self)
    }

    /// Loads everything that is asked for and not known yet, as the log stood at the head known to be landed or at the
    /// view's, or at the head of the first answer.
    async fn add_what_is_asked(&mut self, store: &dyn Store, commands: &[Pending]) -> Result<(), StoreError> {
        let view = &mut self.draft.view;
        let mut heads = self.landed.map(|landed| [landed, view.head()]);
        let mut asked = Asked::new(commands);
        while let Some(wanted) = asked.next(view) {
            let loaded = store.load(&wanted).await?;
            match heads {
                None => {
                    heads = Some([loaded.head; 2]);
                    view.start_at(loaded.head);
                }
                Some(heads) if heads.contains(&loaded.head) => {}
                Some(_) => {
                    let detail = "others have written to the log since it was looked at";
                    return Err(StoreError::new(StoreErrorKind::Conflict, store.name(), "load", detail));
                }
            }
            view.add(&wanted, loaded);
        }
        Ok(())
    }

    /// The same where nothing rests on the view: it follows others by the log where they have written since, and the
    /// moment is that of the newest answer. Answers `false`, and leaves a view of no use, where it cannot follow.
    async fn catch_up(
        &mut self,
        store: &dyn Store,
        bus: &EventBus,
        commands: &[Pending],
    ) -> Result<bool, StoreError> {
        let mut asked = Asked::new(commands);
        loop {
            let is_first = !asked.looked;
            let Some(wanted) = asked.next(&mut self.draft.view) else { return Ok(true) };
            let loaded = store.load(&wanted).await?;
            let others_wrote = loaded.head != self.draft.view.head();
            if !self.follow(store, bus, loaded.head).await? {
                return Ok(false);
            }
            self.draft.view.add(&wanted, loaded);
            // Their records tell neither of receipts, one of which may be of a command here, nor of all that a station
            // lists by now.
            let lacks = !is_first || asked.not_whole(&self.draft.view).next().is_some();
            if others_wrote && lacks {
                asked = Asked::new(commands);
            }
        }
    }

    /// Brings the view to where the log ended at `head`, if it is not far. What is read for it is the bus's as well.
    async fn follow(&mut self, store: &dyn Store, bus: &EventBus, head: Head) -> Result<bool, StoreError> {
        let view = &mut self.draft.view;
        let known = view.head();
        if known == head {
            return Ok(true);
        }
        if known.sequence >= head.sequence || head.sequence - known.sequence > u64::from(FOLLOWED_EVENTS_MAX)
        {
            return Ok(false);
        }
        // With the record before, which shows that this still is the log that the view knows.
        let after = known.sequence.saturating_sub(1);
        let mut records = match store.read(after, FOLLOWED_EVENTS_MAX as usize, FOLLOWED_BYTES_MAX).await {
            // That is the feed's to tell: what is decided here need not depend on what cannot be read.
            Err(error) if error.kind == StoreErrorKind::Corrupt => return Ok(false),
            read => read?,
        };
        if known != Head::EMPTY {
            if records.first().is_none_or(|record| record.head() != known) {
                return Ok(false);
            }
            records.remove(0);
        }
        // There may be more by now than the answer knew of.
        let there = records.partition_point(|record| record.last <= head.sequence);
        let followed = view.follow(&records[..there], head);
        bus.hand_over(records);
        Ok(followed)
    }

    /// What was sent to the store is there, the log ending at `head`, as was known at `heard_at`.
    pub(super) fn has_landed(&mut self, head: Head, heard_at: Instant) {
        if self.landed.is_none() {
            return;
        }
        (self.landed, self.is_ahead, self.heard_at) = (Some(head), false, heard_at);
        self.draft.view.forget(KEPT_MAX);
    }

    /// Nothing was changed by what was decided since: no commit depends on what it touched.
    pub(super) fn forget_touched(&mut self) {
        self.draft.view.let_go(KEPT_MAX);
    }

    /// Back to where it was known to be landed: a commit did not come to be, and neither did what was decided after it.
    /// What they touched is not known any more.
    pub(super) fn take_back(mut self, commit: &Commit) -> Self {
        let Some(landed) = self.landed else { return Self::unknown() };
        self.is_ahead = false;
        self.draft.log.clear();
        self.draft.view.take_back(commit, landed);
        self
    }
}

/// Makes sure that the log is the one that ended at `known` before it was asked where it ends, which is at `head`. A server
/// that took over from another may lack what that had acknowledged, and must not be written to as if nothing had happened.
/// A view that is fresh has not been compared with what was known.
async fn recognize(
    store: &dyn Store,
    bus: &EventBus,
    known: Head,
    head: Head,
    is_fresh: bool,
) -> Result<(), StoreError> {
    let is_there = match head.sequence.cmp(&known.sequence) {
        Ordering::Less => false,
        Ordering::Equal => head == known,
        Ordering::Greater if known == Head::EMPTY || !is_fresh => true,
        Ordering::Greater => match store.read(known.sequence.saturating_sub(1), 1, 1).await {
            Ok(records) => records.first().is_some_and(|record| record.head() == known),
            // That is the feed's to tell.
            Err(error) if error.kind == StoreErrorKind::Corrupt => true,
            Err(error) => return Err(error),
        },
    };
    if !is_there {
        bus.lose(&format!("the step is another, or gone, that ended at {}", known.sequence));
    }
    bus.loss().map_or(Ok(()), Err)
}
