//! Commands that are decided together and stored by one commit.

use super::super::replay::Bases;
use super::super::{Answer, ServiceError, keys};
use super::pending::{Pending, Reply};
use crate::bus::EventBus;
use crate::command::{Fingerprint, Idempotency, Outcome, Request, RequestId};
use crate::resource::Sequence;
use crate::rules::{self, Context, Draft};
use crate::store::{Commit, Head, Keys, LogRecord, Receipt, Span, Store, StoreError, StoreErrorKind};
use crate::values::{StationId, Timestamp};
use crate::view::{Missing, View};
use std::collections::HashMap;

/// How far a view follows others by the log: what lies further back is more than what is needed of it.
const FOLLOWED_EVENTS_MAX: u32 = 16_384;
const FOLLOWED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A command with what was decided for it.
#[derive(Debug)]
pub(super) struct Decided {
    pending: Pending,
    result: Result<Reply, ServiceError>,
    /// Whether it rests on nothing that its group has yet to store.
    settled: bool,
    /// What expiry was judged by.
    now: Timestamp,
}

impl Decided {
    pub(super) fn answer(self) {
        self.pending.answer(self.result);
    }
}

/// Commands decided on one view, and not stored yet.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) draft: Draft,
    receipts: Vec<Receipt>,
    /// Where those among them stand that are no key's.
    unkeyed: HashMap<RequestId, usize>,
    /// What is stored, or about to be, that answers to keys can refer to.
    bases: Bases,
    decided: Vec<Decided>,
    /// Lines of what was decided since there was nothing to store.
    pub(super) lines: u32,
    /// Whether something in it is presumed to be new.
    presumes_new: bool,
    /// Names the attempt to store it.
    attempt: RequestId,
}

/// What a group became, beside the commit: its steps, and the answers that wait for it.
#[derive(Debug)]
pub(super) struct Closed {
    log: Vec<LogRecord>,
    /// Where the log ends if nobody else writes meanwhile.
    pub(super) newest: Head,
    decided: Vec<Decided>,
    /// As the group's.
    pub(super) presumes_new: bool,
    attempt: RequestId,
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
        self.commands.iter().filter(|pending| pending.presumed_new.is_none())
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
                requests: self.asking().filter_map(Pending::receipt_id).collect(),
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

impl Group {
    /// Nothing decided, nothing known.
    pub(super) fn new(attempt: RequestId) -> Self {
        let draft = Draft::new(View::empty());
        Self {
            draft,
            receipts: Vec::new(),
            unkeyed: HashMap::new(),
            bases: Bases::default(),
            decided: Vec::new(),
            lines: 0,
            presumes_new: false,
            attempt,
        }
    }

    /// Whether there is nothing to store.
    pub(super) fn is_clean(&self) -> bool {
        self.draft.log.is_empty() && self.receipts.is_empty()
    }

    /// Loads everything that commands can touch and the view does not know yet, as the log stood at one of `heads`, or
    /// at the head of the first answer.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; `Conflict` where others have written since.
    pub(super) async fn load(
        &mut self,
        store: &dyn Store,
        commands: &[Pending],
        mut heads: Option<[Head; 2]>,
    ) -> Result<(), StoreError> {
        let view = &mut self.draft.view;
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

    /// The same on a view that is known, which follows others by the log where they have written since: the moment is
    /// then that of the newest answer. Answers `false`, and leaves a view of no use, where it cannot follow. Where the log
    /// is held at `head`, and nothing has to be asked, it is not asked where it ends.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub(super) async fn catch_up(
        &mut self,
        store: &dyn Store,
        bus: &EventBus,
        commands: &[Pending],
        head: Option<Head>,
    ) -> Result<bool, StoreError> {
        let mut asked = Asked::new(commands);
        if let Some(head) = head
            && asked.asking().next().is_none()
        {
            return self.follow(store, bus, head).await;
        }
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

    /// Marks, of commands that are new here, those that initiate something between stations that are known.
    pub(super) fn presume_new(&mut self, commands: &mut [Pending]) {
        for pending in commands {
            pending.presumed_new = self.knows_all_but_ids(pending).then_some(self.attempt);
        }
    }

    fn knows_all_but_ids(&mut self, pending: &Pending) -> bool {
        pending.receipt_id().is_none()
            && keys::touch_all_but_ids(&mut self.draft.view, &pending.request.command)
    }

    /// Decides commands whose keys were loaded, in the order in which they came. Gives back those that were presumed in
    /// vain to make something new, and asks about them from then on: a refusal must rest on what is stored now, and what
    /// is stored already is to be told. Tells as well how many were so presumed in this very view: in one that was made
    /// since, what is lacking says nothing of what is new.
    pub(super) fn decide_all(&mut self, commands: Vec<Pending>, now: Timestamp) -> (Vec<Pending>, usize) {
        let (mut left, mut in_vain) = (Vec::new(), 0);
        for pending in commands {
            if pending.presumed_new.is_none() {
                self.decide(pending, now);
            } else if let Some(mut pending) = self.decide_if_new(pending, now) {
                in_vain += usize::from(pending.presumed_new.take() == Some(self.attempt));
                left.push(pending);
            }
        }
        (left, in_vain)
    }

    /// Decides a command that comes true with everything it makes being new; the commit finds out whether its ids are.
    /// Gives back any other.
    fn decide_if_new(&mut self, pending: Pending, now: Timestamp) -> Option<Pending> {
        // A level that is not known by now would count as none.
        if pending.presumed_new != Some(self.attempt) && !self.knows_all_but_ids(&pending) {
            return Some(pending);
        }
        let steps = self.draft.log.len();
        let context = self.context(&pending, now);
        let Request { command, precondition, .. } = &pending.request;
        let allowed = rules::check_precondition(&self.draft.view, command, precondition);
        let decided = allowed.ok().and_then(|()| self.draft.decide_new(command, &context));
        let Some(outcome) = decided else { return Some(pending) };
        self.presumes_new = true;
        self.conclude(pending, Ok(outcome), steps, &context);
        None
    }

    /// Decides a command whose keys were loaded.
    fn decide(&mut self, mut pending: Pending, now: Timestamp) {
        let receipt = pending.receipt_id().and_then(|id| self.draft.view.receipt(&id).cloned());
        if let Some(receipt) = receipt
            && let Some(result) = pending.repeat(&receipt)
        {
            // What is stored needs no commit of ours.
            self.lines = self.lines.saturating_add(pending.lines);
            self.decided.push(Decided { pending, result, settled: true, now });
            return;
        }
        // What an earlier attempt, which may land yet, did in time is not too late now.
        let now = pending.tried_at().map_or(now, |first| first.min(now));
        let steps = self.draft.log.len();
        let context = self.context(&pending, now);
        let Request { command, precondition, .. } = &pending.request;
        let result = rules::check_precondition(&self.draft.view, command, precondition)
            .and_then(|()| self.draft.decide(command, &context))
            .map_err(ServiceError::Rejected);
        self.conclude(pending, result, steps, &context);
    }

    fn context(&self, pending: &Pending, now: Timestamp) -> Context {
        let newest = self.draft.log.last().map_or(self.draft.view.head().time, |record| record.step.time);
        Context { now, time: now.max(newest), actor: pending.request.actor.clone() }
    }

    /// Notes what was decided for a command, when there were so many steps.
    fn conclude(
        &mut self,
        pending: Pending,
        result: Result<Outcome, ServiceError>,
        steps: usize,
        context: &Context,
    ) {
        let result = result.and_then(|outcome| {
            let name = pending.request.name.as_ref();
            match self.span_since(steps) {
                // What changed nothing may be decided again, however often it is sent.
                None => {}
                Some(span) => match pending.request.idempotency {
                    Some(key) => {
                        let made = &self.draft.log[steps..];
                        let answer = self.bases.keep(key.request, name, &outcome, made)?;
                        self.receive_keyed(key, span, context.time, answer);
                    }
                    None => self.receive(pending.receipt_id().unwrap_or(self.attempt), span, context.time),
                },
            }
            Ok(Reply::Answer(Answer { outcome, replayed: false, name: name.cloned() }))
        });
        self.lines = self.lines.saturating_add(pending.lines.max(self.lines_since(steps)));
        self.decided.push(Decided { pending, result, settled: self.is_clean(), now: context.now });
    }

    /// The steps from one on; none where there are none.
    fn span_since(&self, steps: usize) -> Option<Span> {
        let made = self.draft.log.get(steps..)?;
        made.first().zip(made.last()).map(|(first, last)| Span { first: first.first(), last: last.last })
    }

    fn receive_keyed(&mut self, key: Idempotency, span: Span, time: Timestamp, answer: Vec<u8>) {
        let Idempotency { request, fingerprint } = key;
        self.receipts.push(Receipt { request, fingerprint, time, steps: Some(span), answer: Some(answer) });
    }

    /// One receipt tells of all commands without a key that are first tried together.
    fn receive(&mut self, request: RequestId, span: Span, time: Timestamp) {
        let fingerprint = Fingerprint(self.attempt.0);
        let place = *self.unkeyed.entry(request).or_insert(self.receipts.len());
        match self.receipts.get_mut(place) {
            None => {
                self.receipts.push(Receipt { request, fingerprint, time, steps: Some(span), answer: None });
            }
            Some(receipt) => {
                let first = receipt.steps.map_or(span.first, |known| known.first);
                (receipt.steps, receipt.time) = (Some(Span { first, ..span }), time);
            }
        }
    }

    /// Lines of the steps from one on: a shipment that moves on has as many as it carries.
    fn lines_since(&self, steps: usize) -> u32 {
        let steps = self.draft.log[steps..].iter().map(|record| &record.step.stations);
        let lines =
            steps.map(|stations| stations.iter().map(|station| station.items.len()).max().unwrap_or(1));
        u32::try_from(lines.sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// Takes the answers that rest on nothing that this group has yet to store.
    pub(super) fn settled(&mut self) -> Vec<Decided> {
        self.decided.extract_if(.., |decided| decided.settled).collect()
    }

    /// The group as a commit. What follows is decided as if it were stored.
    pub(super) fn close(&mut self, next: RequestId) -> (Commit, Closed) {
        let commit = self.draft.commit(std::mem::take(&mut self.receipts));
        self.lines = 0;
        self.unkeyed.clear();
        let closed = Closed {
            log: commit.log.clone(),
            newest: self.draft.view.head(),
            decided: std::mem::take(&mut self.decided),
            presumes_new: std::mem::take(&mut self.presumes_new),
            attempt: std::mem::replace(&mut self.attempt, next),
        };
        (commit, closed)
    }

    /// Forgets what the commands that were answered depended on, where there is nothing to store.
    pub(super) fn let_go(&mut self, kept_max: usize) {
        self.lines = 0;
        self.draft.view.let_go(kept_max);
    }

    /// Whether nobody waits for it.
    pub(super) fn is_empty(&self) -> bool {
        self.decided.is_empty()
    }

    /// Back to before anything was decided.
    pub(super) fn undecided(self) -> Vec<Pending> {
        self.decided.into_iter().map(|decided| decided.pending).collect()
    }
}

impl Closed {
    /// It is stored, the log ending at `head`: its records, and the answers to give. Nothing the second time.
    pub(super) fn landed(&mut self, head: Head) -> (Vec<LogRecord>, Vec<Decided>) {
        let moved: Sequence = head.sequence.saturating_sub(self.newest.sequence);
        let mut records = std::mem::take(&mut self.log);
        records.iter_mut().for_each(|record| record.last += moved);
        (records, std::mem::take(&mut self.decided))
    }

    /// It did not land, or may have: back to before it was decided, with the answers remembered in the second case.
    pub(super) fn undecided(self, unknown: bool) -> Vec<Pending> {
        let attempt = self.attempt;
        let back = |decided: Decided| {
            let mut pending = decided.pending;
            if unknown && let Ok(Reply::Answer(answer)) = decided.result {
                pending.remember(attempt, answer.outcome, decided.now);
            }
            pending
        };
        self.decided.into_iter().map(back).collect()
    }
}
