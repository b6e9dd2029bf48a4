//! A command on its way, and what it is answered.

use super::super::{Answer, Claim, ServiceError};
use crate::command::{Fingerprint, Idempotency, Outcome, Request, RequestId};
use crate::policy::Asker;
use crate::rejection::Rejection;
use crate::store::{Receipt, StoreError, StoreErrorKind};
use crate::telemetry::Counted;
use crate::values::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use tracing::Span;

/// How long a command is tried again while the store is away, or does not answer.
const AWAY_MAX: Duration = Duration::from_secs(4);
/// The pause before it is tried again; it doubles with each further time.
const PAUSE_FIRST: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// A command on its way.
#[derive(Debug)]
pub(in super::super) struct Pending {
    pub(super) request: Request,
    /// Who asks, under which policy; none where the owner of the network does.
    pub(super) asker: Option<Arc<Asker>>,
    pub(super) lines: u32,
    /// What its caller was doing.
    pub(super) span: Span,
    /// Whether the store is asked about everything that it depends on. What it makes is presumed to be new otherwise, and
    /// the commit finds out.
    pub(super) asks: bool,
    reply: oneshot::Sender<Told>,
    /// How it was tried in vain.
    failed: Option<Failed>,
    /// Attempts that may have landed.
    attempted: Option<Attempted>,
    /// Held until the command is answered.
    held: Guard,
}

/// How often a command was tried in vain.
#[derive(Debug)]
struct Failed {
    times: u32,
    first_at: Instant,
}

/// What is remembered of attempts that may have landed.
#[derive(Debug)]
struct Attempted {
    /// Their names, the first one first. Without a key, the receipt of the first tells whether one of them did: all have
    /// it, so that only one can.
    attempts: Vec<RequestId>,
    /// What expiry was judged by in the first of them.
    now: Timestamp,
    /// Without a key: by the receipt's fingerprint, which names the attempt, what it would have answered.
    outcomes: Vec<(Fingerprint, Outcome)>,
}

/// What a command came to.
#[derive(Debug)]
pub(in super::super) enum Reply {
    Answer(Answer),
    /// It was applied before: the answer is to be made again by this receipt. `replayed` is false where that was an attempt
    /// of this caller's own.
    Kept {
        receipt: Receipt,
        replayed: bool,
    },
}

/// What a caller is told; and what it is to hold while it makes an answer again.
pub(in super::super) type Told = (Result<Reply, ServiceError>, Option<Guard>);

/// A command's key, its room in the queue, and its place among those that wait, until it is answered.
pub(in super::super) type Guard = (Option<Claim>, OwnedSemaphorePermit, Counted);

impl Pending {
    pub(in super::super) fn new(
        (request, asker): (Request, Option<Arc<Asker>>),
        lines: u32,
        reply: oneshot::Sender<Told>,
        held: Guard,
    ) -> Self {
        let span = Span::current();
        Self { request, asker, lines, span, asks: false, reply, failed: None, attempted: None, held }
    }

    pub(super) fn answer(self, result: Result<Reply, ServiceError>) {
        // Let go first: a caller that repeats its request at once must not meet its own claim.
        let guard = matches!(result, Ok(Reply::Kept { .. })).then_some(self.held);
        // A caller that is gone has no use for its answer.
        let _ = self.reply.send((result, guard));
    }

    /// The receipt that tells whether the command was applied before; none where it cannot have been.
    pub(super) fn receipt_id(&self) -> Option<RequestId> {
        let keyed = self.request.idempotency.map(|idempotency| idempotency.request);
        keyed.or_else(|| self.attempts().first().copied())
    }

    /// Attempts that may have landed.
    pub(super) fn attempts(&self) -> &[RequestId] {
        self.attempted.as_ref().map_or(&[], |attempted| &attempted.attempts)
    }

    /// Every receipt that tells something of it.
    pub(super) fn receipt_ids(&self) -> impl Iterator<Item = RequestId> {
        let keyed = self.request.idempotency.map(|idempotency| idempotency.request);
        keyed.into_iter().chain(self.attempts().iter().copied())
    }

    /// Whether it was tried in vain.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// How long to wait before it is tried again.
    pub(super) fn pause(&self) -> Duration {
        let times = self.failed.as_ref().map_or(0, |failed| failed.times);
        (PAUSE_FIRST * 2_u32.saturating_pow(times.saturating_sub(1))).min(PAUSE_MAX)
    }

    /// Notes that it was tried in vain. Answers whether it is to be tried again, at most so many times in all.
    pub(super) fn fail(&mut self, error: &StoreError, attempts_max: u32) -> bool {
        let is_away = matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::OutcomeUnknown);
        // Who is tried again already waits for a store that is away, within the same bounds.
        let may_succeed =
            error.is_retryable() || self.attempted.is_some() || (is_away && self.failed.is_some());
        let failed = self.failed.get_or_insert_with(|| Failed { times: 0, first_at: Instant::now() });
        failed.times += 1;
        may_succeed && failed.times < attempts_max && !(is_away && failed.first_at.elapsed() >= AWAY_MAX)
    }

    /// When the first attempt was made that may have landed.
    pub(super) fn tried_at(&self) -> Option<Timestamp> {
        self.attempted.as_ref().map(|attempted| attempted.now)
    }

    /// Remembers what an attempt would have answered, which may have landed.
    pub(super) fn remember(&mut self, attempt: RequestId, outcome: Outcome, now: Timestamp) {
        let attempted = self.attempted.get_or_insert_with(|| Attempted {
            attempts: Vec::new(),
            now,
            outcomes: Vec::new(),
        });
        attempted.attempts.push(attempt);
        if self.request.idempotency.is_none() {
            attempted.outcomes.push((Fingerprint(attempt.0), outcome));
        }
    }

    /// The answer to a command that was applied before; none where the receipt shows that it was not.
    pub(super) fn repeat(&mut self, receipt: &Receipt) -> Option<Result<Reply, ServiceError>> {
        let Some(Idempotency { fingerprint, .. }) = self.request.idempotency else {
            let outcomes = &self.attempted.as_ref()?.outcomes;
            let landed = outcomes.iter().find(|(attempt, _)| *attempt == receipt.fingerprint);
            let Some((_, outcome)) = landed else {
                // Of commands that were tried together, some may have been refused by the attempt that landed.
                self.attempted = None;
                return None;
            };
            let outcome = outcome.clone();
            let name = self.request.name.clone();
            return Some(Ok(Reply::Answer(Answer { outcome, replayed: false, name })));
        };
        let is_same = receipt.fingerprint == fingerprint && receipt.answer.is_some();
        Some(match is_same {
            true => Ok(Reply::Kept { receipt: receipt.clone(), replayed: self.attempted.is_none() }),
            false => Err(Rejection::RequestReused.into()),
        })
    }
}
