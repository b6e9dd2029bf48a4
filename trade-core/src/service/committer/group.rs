//! Commands that are decided on one base, and the commit that they make.

use super::super::replay::Bases;
use super::super::{Answer, ServiceError, keys};
use super::pending::{Pending, Reply};
use crate::command::{Fingerprint, Outcome, Request, RequestId};
use crate::resource::Inventory;
use crate::resource::Sequence;
use crate::rules::{Context, Draft};
use crate::store::{Commit, Head, LogRecord, Receipt, Span};
use crate::values::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// A command with what was decided for it.
#[derive(Debug)]
pub(super) struct Decided {
    pending: Pending,
    result: Result<Reply, ServiceError>,
    /// Whether it rests on nothing that its group has yet to store.
    needs_no_commit: bool,
    /// What expiry was judged by.
    now: Timestamp,
}

impl Decided {
    pub(super) fn answer(self) {
        self.pending.answer(self.result);
    }
}

/// What was decided on a base since the commit before, and is not stored yet.
#[derive(Debug)]
pub(super) struct Group {
    /// Names the attempt to store it.
    attempt: RequestId,
    receipts: Vec<Receipt>,
    /// Where those among them stand that are an attempt's.
    of_attempts: HashMap<RequestId, usize>,
    /// Inventories that are stored whole, or about to be, to which answers to keys can refer.
    kept_inventories: Bases,
    decided: Vec<Decided>,
    /// Lines of what was decided.
    pub(super) lines: u32,
    /// Whether something in it is presumed to be new.
    presumes_new: bool,
}

/// A group as it is stored, and the answers that wait for that.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) commit: Arc<Commit>,
    /// Where the log ends if nobody else writes meanwhile.
    pub(super) newest: Head,
    pub(super) presumes_new: bool,
    decided: Vec<Decided>,
    attempt: RequestId,
}

impl Group {
    /// Nothing decided.
    pub(super) fn new(attempt: RequestId) -> Self {
        Self {
            attempt,
            receipts: Vec::new(),
            of_attempts: HashMap::new(),
            kept_inventories: Bases::default(),
            decided: Vec::new(),
            lines: 0,
            presumes_new: false,
        }
    }

    /// Whether nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.decided.is_empty()
    }

    /// Decides commands, in the order in which they came. Gives back those that have to ask the store after all, and tells
    /// how many of them presumed in vain to make something new: a refusal must rest on what is stored now, and what is
    /// stored already is to be told.
    pub(super) fn decide_all(
        &mut self,
        draft: &mut Draft,
        commands: Vec<Pending>,
        now: Timestamp,
    ) -> (Vec<Pending>, usize) {
        let (mut left, mut in_vain) = (Vec::new(), 0);
        for pending in commands {
            if pending.asks {
                self.decide(draft, pending, now);
                continue;
            }
            // What is not known says nothing of what is new.
            let is_known = keys::touch_all_but_ids(&mut draft.view, &pending.request.command);
            let undecided = if is_known { self.decide_if_new(draft, pending, now) } else { Some(pending) };
            if let Some(mut pending) = undecided {
                pending.asks = true;
                in_vain += usize::from(is_known);
                left.push(pending);
            }
        }
        (left, in_vain)
    }

    /// Decides a command between stations that are known, if it comes true with everything it makes being new; the commit
    /// finds out whether its ids are. Gives back any other.
    fn decide_if_new(&mut self, draft: &mut Draft, pending: Pending, now: Timestamp) -> Option<Pending> {
        let (first, context) = (draft.log.len(), context(draft, &pending, now));
        let decided = draft.decide_new(&pending.request.command, &context);
        let Some(outcome) = decided else { return Some(pending) };
        self.presumes_new = true;
        self.conclude(draft, pending, Ok(outcome), first, &context);
        None
    }

    /// Decides a command that asked for everything.
    fn decide(&mut self, draft: &mut Draft, mut pending: Pending, now: Timestamp) {
        let receipt = pending.receipt_id().and_then(|id| draft.view.receipt(&id).cloned());
        if let Some(receipt) = receipt
            && let Some(result) = pending.repeat(&receipt)
        {
            // What is stored needs no commit of ours.
            self.lines = self.lines.saturating_add(pending.lines);
            self.decided.push(Decided { pending, result, needs_no_commit: true, now });
            return;
        }
        // What an earlier attempt, which may land yet, did in time is not too late now.
        let now = pending.tried_at().map_or(now, |first| first.min(now));
        let (first, context) = (draft.log.len(), context(draft, &pending, now));
        let result = draft.decide(&pending.request.command, &context).map_err(ServiceError::Rejected);
        self.conclude(draft, pending, result, first, &context);
    }

    /// Notes what was decided for a command: its steps are those from a place of the draft's log on.
    fn conclude(
        &mut self,
        draft: &Draft,
        pending: Pending,
        result: Result<Outcome, ServiceError>,
        first: usize,
        context: &Context,
    ) {
        let made = &draft.log[first..];
        let result = result.map(|outcome| {
            let name = pending.request.name.as_ref();
            if let Some(span) = span(made) {
                let answer = pending
                    .request
                    .idempotency
                    .and_then(|key| self.kept_inventories.keep(key.request, name, &outcome, made));
                self.receive(&pending, span, context.time, answer);
            }
            Reply::Answer(Answer { outcome, replayed: false, name: name.cloned() })
        });
        if made.is_empty() {
            self.fence(draft, &pending, context.time);
        }
        self.lines = self.lines.saturating_add(pending.lines.max(lines(made)));
        let needs_no_commit = self.is_clean(draft);
        self.decided.push(Decided { pending, result, needs_no_commit, now: context.now });
    }

    fn receive(&mut self, pending: &Pending, steps: Span, time: Timestamp, answer: Option<Vec<u8>>) {
        match pending.request.idempotency {
            Some(key) => self.receipts.push(Receipt {
                request: key.request,
                fingerprint: key.fingerprint,
                time,
                steps: Some(steps),
                answer,
            }),
            None => self.receive_attempt(pending.receipt_id().unwrap_or(self.attempt), Some(steps), time),
        }
    }

    /// Of a command that changes nothing an earlier attempt may still be on its way into the store. An empty receipt under
    /// that attempt's name keeps it from landing after the answer.
    fn fence(&mut self, draft: &Draft, pending: &Pending, time: Timestamp) {
        for attempt in pending.attempts() {
            if draft.view.receipt(attempt).is_none() {
                self.receive_attempt(*attempt, None, time);
            }
        }
    }

    /// One receipt tells of all commands without a key that are first tried together.
    fn receive_attempt(&mut self, request: RequestId, steps: Option<Span>, time: Timestamp) {
        let place = *self.of_attempts.entry(request).or_insert(self.receipts.len());
        match self.receipts.get_mut(place) {
            None => {
                let fingerprint = Fingerprint(self.attempt.0);
                self.receipts.push(Receipt { request, fingerprint, time, steps, answer: None });
            }
            Some(receipt) => {
                if let Some(steps) = steps {
                    let first = receipt.steps.map_or(steps.first, |before| before.first);
                    (receipt.steps, receipt.time) = (Some(Span { first, ..steps }), time);
                }
            }
        }
    }

    /// Takes the answers that rest on nothing that this group has yet to store. They may rest on a commit that is on its way.
    pub(super) fn take_those_without_commit(&mut self) -> Vec<Decided> {
        self.decided.extract_if(.., |decided| decided.needs_no_commit).collect()
    }

    /// Whether there is nothing to store.
    pub(super) fn is_clean(&self, draft: &Draft) -> bool {
        draft.log.is_empty() && self.receipts.is_empty()
    }

    /// The group as it is stored. What follows is decided as if it were, in the attempt named `next`.
    pub(super) fn close(&mut self, draft: &mut Draft, next: RequestId) -> Closed {
        self.lines = 0;
        // Also where every command has a key: a fence goes by the attempt's name.
        if let Some(steps) = span(&draft.log)
            && !self.of_attempts.contains_key(&self.attempt)
        {
            let time = draft.log.last().map_or(Timestamp::EPOCH, |record| record.step.time);
            self.receive_attempt(self.attempt, Some(steps), time);
        }
        self.of_attempts.clear();
        let commit = Arc::new(draft.commit(std::mem::take(&mut self.receipts)));
        Closed {
            commit,
            newest: draft.view.head(),
            presumes_new: std::mem::take(&mut self.presumes_new),
            decided: std::mem::take(&mut self.decided),
            attempt: std::mem::replace(&mut self.attempt, next),
        }
    }

    /// Back to before anything was decided; what follows is the attempt named `next`.
    pub(super) fn take_back(&mut self, next: RequestId) -> Vec<Pending> {
        let Self { decided, .. } = std::mem::replace(self, Self::new(next));
        decided.into_iter().map(|decided| decided.pending).collect()
    }
}

impl Closed {
    /// How many commands are in it.
    pub(super) fn size(&self) -> usize {
        self.decided.len()
    }

    /// What its commit is to those who follow requests: it follows from what each caller was doing.
    pub(super) fn span(&self) -> tracing::Span {
        let span = tracing::debug_span!("commit", commands = self.size(), last = self.newest.sequence);
        if !span.is_disabled() {
            self.decided.iter().for_each(|decided| {
                span.follows_from(&decided.pending.span);
            });
        }
        span
    }

    /// It is stored, the log ending at `head`: its records, and the answers to give.
    pub(super) fn landed(self, head: Head) -> (Vec<LogRecord>, Vec<Decided>) {
        let moved: Sequence = head.sequence.saturating_sub(self.newest.sequence);
        let mut records = self.commit.log.clone();
        records.iter_mut().for_each(|record| record.last += moved);
        (records, self.decided)
    }

    /// It did not land, or may have: back to before it was decided, with the answers remembered in the second case.
    pub(super) fn undecided(self, may_have_landed: bool) -> Vec<Pending> {
        let attempt = self.attempt;
        let back = |decided: Decided| {
            let mut pending = decided.pending;
            if may_have_landed && let Ok(Reply::Answer(answer)) = decided.result {
                pending.remember(attempt, answer.outcome, decided.now);
            }
            pending
        };
        self.decided.into_iter().map(back).collect()
    }
}

fn context(draft: &Draft, pending: &Pending, now: Timestamp) -> Context {
    let newest = draft.log.last().map_or(draft.view.head().time, |record| record.step.time);
    let Request { actor, cause, precondition, .. } = &pending.request;
    Context {
        now,
        time: now.max(newest),
        actor: actor.clone(),
        cause: cause.clone(),
        asker: pending.asker.clone(),
        precondition: precondition.clone(),
    }
}

/// Where steps stand; none where there are none.
fn span(steps: &[LogRecord]) -> Option<Span> {
    steps.first().zip(steps.last()).map(|(first, last)| Span { first: first.first(), last: last.last })
}

/// Lines of steps: a shipment that moves on has as many as it carries.
fn lines(steps: &[LogRecord]) -> u32 {
    let stations = steps.iter().map(|record| &record.step.stations);
    let lines = stations.map(|stations| stations.iter().map(Inventory::lines).max().unwrap_or(1));
    u32::try_from(lines.sum::<usize>()).unwrap_or(u32::MAX)
}
