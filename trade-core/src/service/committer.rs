//! The committer: takes what is waiting, decides it on one view, and stores it in one commit.
//!
//! There is no timer. While one group is being committed the next one gathers, so an idle system answers at once and a
//! busy one batches by itself.
//!
//! What keeps an answer honest:
//! - A caller hears of success only after the commit.
//! - A refusal that was decided with steps of the same group before it depends on them, and is answered only after they
//!   landed; if their commit fails, it is decided again.
//! - Every command leaves a receipt in its commit. After a commit whose outcome is unknown the group is loaded again:
//!   a receipt found tells that it landed, and then the answer worked out before is given; one not found lets it be
//!   decided again, and the receipt's key keeps the first attempt from landing beside the second.

use super::Answer;
use super::{Claim, ServiceError, ServiceOptions, keys};
use crate::bus::EventBus;
use crate::clock::Clock;
use crate::command::{Fingerprint, Idempotency, Outcome, Request, RequestId};
use crate::event::Event;
use crate::rejection::Rejection;
use crate::resource::Sequence;
use crate::rules::{Context, Draft};
use crate::store::{Held, Keys, Receipt, Store, StoreError, StoreErrorKind};
use crate::values::Timestamp;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// The first pause after a conflict; it doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(2);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// A command on its way.
#[derive(Debug)]
pub(super) struct Pending {
    request: Request,
    id: RequestId,
    lines: u32,
    reply: oneshot::Sender<Result<Answer, ServiceError>>,
    /// The answer of an attempt that may have landed.
    attempted: Option<Outcome>,
    /// Held until the command is answered.
    held: (Option<Claim>, OwnedSemaphorePermit),
}

impl Pending {
    pub(super) fn new(
        request: Request,
        fresh: RequestId,
        lines: u32,
        reply: oneshot::Sender<Result<Answer, ServiceError>>,
        held: (Option<Claim>, OwnedSemaphorePermit),
    ) -> Self {
        let id = request.idempotency.map_or(fresh, |idempotency| idempotency.request);
        Self { request, id, lines, reply, attempted: None, held }
    }

    fn answer(self, result: Result<Answer, ServiceError>) {
        // Let go first: a caller that repeats its request at once must not meet its own claim.
        drop(self.held);
        // A caller that is gone has no use for its answer.
        let _ = self.reply.send(result);
    }

    fn fingerprint(&self) -> Fingerprint {
        self.request.idempotency.map_or(Fingerprint([0; 16]), |idempotency| idempotency.fingerprint)
    }

    fn receipt(&self, outcome: &Outcome, time: Timestamp) -> Result<Receipt, serde_json::Error> {
        // A receipt without an answer is that of a first attempt, whose answer is remembered here.
        let kept = self.request.idempotency.is_some() || self.attempted.is_some();
        let name = self.request.name.as_deref();
        let answer = kept.then(|| serde_json::to_vec(&Kept { name, outcome })).transpose()?;
        Ok(Receipt { request: self.id, fingerprint: self.fingerprint(), time, answer })
    }
}

#[derive(Debug)]
pub(super) struct Committer {
    store: Arc<dyn Store>,
    bus: EventBus,
    clock: Arc<dyn Clock>,
    options: ServiceOptions,
}

/// An answer as a receipt keeps it.
#[derive(Serialize, Deserialize)]
struct Kept<N, O> {
    name: N,
    outcome: O,
}

/// A command with what was decided for it.
struct Decided {
    pending: Pending,
    result: Result<Answer, ServiceError>,
    /// Whether it rests on nothing that is not stored yet.
    settled: bool,
}

/// What became of an attempt.
enum Attempt {
    /// Everyone was answered.
    Done,
    /// These must be decided again.
    Again(Vec<Pending>, StoreError),
    /// Nothing landed, and trying again would not help.
    Failed(Vec<Pending>, StoreError),
}

impl Committer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        bus: EventBus,
        clock: Arc<dyn Clock>,
        options: ServiceOptions,
    ) -> Self {
        Self { store, bus, clock, options }
    }

    /// Works until every sender is gone and the queue is empty.
    pub(super) async fn run(self, mut queue: mpsc::UnboundedReceiver<Pending>) {
        while let Some(first) = queue.recv().await {
            let mut lines = first.lines;
            let mut group = vec![first];
            while lines < self.options.group_lines_max
                && let Ok(next) = queue.try_recv()
            {
                lines += next.lines;
                group.push(next);
            }
            self.settle(group).await;
        }
    }

    async fn settle(&self, group: Vec<Pending>) {
        let Err((group, error)) = self.settle_together(group).await else { return };
        if group.len() == 1 || error.kind != StoreErrorKind::Internal {
            return fail(group, error);
        }
        // One command of the group may be what the store cannot take; the others shall not suffer for it.
        for pending in group {
            if let Err((group, error)) = self.settle_together(vec![pending]).await {
                fail(group, error);
            }
        }
    }

    async fn settle_together(&self, mut group: Vec<Pending>) -> Result<(), (Vec<Pending>, StoreError)> {
        let mut backoff = BACKOFF_FIRST;
        let mut attempts_left = self.options.attempts_max.max(1);
        let mut hold = false;
        loop {
            let error = match self.attempt(group, hold).await {
                Attempt::Done => return Ok(()),
                Attempt::Failed(failed, error) => return Err((failed, error)),
                Attempt::Again(again, error) => {
                    group = again;
                    error
                }
            };
            // Others are at the same rows: from now on nobody commits between our load and our commit.
            hold = true;
            attempts_left -= 1;
            if attempts_left == 0 {
                return Err((group, error));
            }
            tracing::debug!(%error, attempts_left, "deciding a group again");
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn attempt(&self, group: Vec<Pending>, hold: bool) -> Attempt {
        let (held, view) = match self.hold_and_load(&group, hold).await {
            Ok(loaded) => loaded,
            // What became of an earlier attempt must still be found out.
            Err(error) if group.iter().any(|pending| pending.attempted.is_some()) => {
                return Attempt::Again(group, error);
            }
            Err(error) if error.is_retryable() => return Attempt::Again(group, error),
            Err(error) => return Attempt::Failed(group, error),
        };
        let now = self.clock.now();
        let time = now.max(view.head().time);
        let mut draft = Draft::new(view);
        let mut receipts = Vec::new();
        let mut waiting = Vec::with_capacity(group.len());
        for pending in group {
            let decided = decide(&mut draft, pending, (now, time), &mut receipts);
            if decided.settled {
                decided.pending.answer(decided.result);
            } else {
                waiting.push(decided);
            }
        }
        if draft.log.is_empty() && receipts.is_empty() {
            return Attempt::Done;
        }
        let commit = draft.commit(time, receipts);
        let newest = commit.base.sequence + commit.event_count();
        let committed = match held {
            Some(held) => held.commit(&commit).await,
            None => self.store.commit(&commit).await,
        };
        match committed {
            Ok(head) => {
                self.bus.publish(moved(draft, head.sequence - newest));
                for decided in waiting {
                    decided.pending.answer(decided.result);
                }
                Attempt::Done
            }
            Err(error) => {
                let unknown = error.kind == StoreErrorKind::OutcomeUnknown;
                let again = waiting.into_iter().map(|decided| decided.undecided(unknown)).collect();
                if error.is_retryable() {
                    Attempt::Again(again, error)
                } else {
                    Attempt::Failed(again, error)
                }
            }
        }
    }

    async fn hold_and_load(
        &self,
        group: &[Pending],
        hold: bool,
    ) -> Result<(Option<Box<dyn Held + '_>>, View), StoreError> {
        let held = if hold { Some(self.store.hold().await?) } else { None };
        let commands = || group.iter().map(|pending| &pending.request.command);
        let mut keys = Keys::default();
        for command in commands() {
            keys::add(&mut keys, command);
        }
        if let Some(first) = keys::first(commands()) {
            keys::of_loaded(&mut keys, &self.store.load(&first).await?);
        }
        keys.requests.extend(group.iter().map(|pending| pending.id));
        loop {
            let loaded = self.store.load(&keys).await?;
            // Another process may have made a shipment since its keys were looked for; its ends and goods never change,
            // so this comes to an end.
            let known = keys.stock.len() + keys.trades.len();
            keys::of_loaded(&mut keys, &loaded);
            if keys.stock.len() + keys.trades.len() == known {
                return Ok((held, View::new(&keys, loaded)));
            }
        }
    }
}

fn decide(
    draft: &mut Draft,
    pending: Pending,
    (now, time): (Timestamp, Timestamp),
    receipts: &mut Vec<Receipt>,
) -> Decided {
    if let Some(receipt) = draft.view.receipt(&pending.id) {
        let result = repeat(&pending, receipt);
        return Decided { pending, result, settled: true };
    }
    let before = draft.log.len();
    let context = Context { now, time, actor: pending.request.actor.clone() };
    let result = draft.decide(&pending.request.command, &context).map_err(ServiceError::Rejected);
    let result = result.and_then(|outcome| {
        // A request that changed nothing leaves a receipt only where it is to be answered the same again.
        if draft.log.len() > before || pending.request.idempotency.is_some() {
            let receipt = pending.receipt(&outcome, time);
            receipts.push(receipt.map_err(|error| internal("an answer cannot be written", error))?);
        }
        Ok(Answer { outcome, replayed: false, name: pending.request.name.clone() })
    });
    let settled = draft.log.is_empty() && receipts.is_empty();
    Decided { pending, result, settled }
}

/// The answer to a request that was applied before.
fn repeat(pending: &Pending, receipt: &Receipt) -> Result<Answer, ServiceError> {
    // Under a shared key it may also be another server's, for other content.
    if let Some(first) = &pending.attempted
        && receipt.fingerprint == pending.fingerprint()
    {
        let outcome = match &receipt.answer {
            None => first.clone(),
            Some(answer) => read(answer)?.outcome,
        };
        return Ok(Answer { outcome, replayed: false, name: pending.request.name.clone() });
    }
    match (&receipt.answer, pending.request.idempotency) {
        (Some(answer), Some(Idempotency { fingerprint, .. })) if fingerprint == receipt.fingerprint => {
            let Kept { name, outcome } = read(answer)?;
            Ok(Answer { outcome, replayed: true, name })
        }
        _ => Err(Rejection::RequestReused.into()),
    }
}

fn read(answer: &[u8]) -> Result<Kept<Option<String>, Outcome>, ServiceError> {
    serde_json::from_slice(answer).map_err(|error| internal("a kept answer cannot be read", error))
}

fn internal(detail: &str, source: serde_json::Error) -> ServiceError {
    let error = StoreError::new(StoreErrorKind::Internal, "receipts", "answer", detail).caused_by(source);
    ServiceError::Store(Arc::new(error))
}

impl Decided {
    /// Back to before it was decided, with the answer remembered where the commit may have landed.
    fn undecided(self, unknown: bool) -> Pending {
        let mut pending = self.pending;
        if unknown
            && let Ok(answer) = self.result
            && !answer.replayed
        {
            // Of several attempts that may have landed, those after the first left their answers in the store.
            pending.attempted.get_or_insert(answer.outcome);
        }
        pending
    }
}

/// The events of what was committed, at the places it was given in the log.
fn moved(draft: Draft, by: Sequence) -> Vec<Event> {
    if by == 0 {
        return draft.events;
    }
    draft.log.iter().flat_map(|record| record.step.events(record.first() + by)).collect()
}

fn fail(group: Vec<Pending>, error: StoreError) {
    tracing::error!(%error, source = error.source.as_deref(), commands = group.len(), "a group was not committed");
    let error = Arc::new(error);
    for pending in group {
        let answer = match error.kind {
            _ if pending.attempted.is_some() => ServiceError::Unknown(error.clone()),
            StoreErrorKind::Conflict => ServiceError::Overloaded,
            _ => ServiceError::Store(error.clone()),
        };
        pending.answer(Err(answer));
    }
}
