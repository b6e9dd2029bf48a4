//! A command on its way, and what it is answered.

use super::super::{Answer, Claim, ServiceError};
use crate::command::{Fingerprint, Idempotency, Outcome, Request, RequestId};
use crate::rejection::Rejection;
use crate::store::Receipt;
use crate::values::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// A command on its way.
#[derive(Debug)]
pub(in super::super) struct Pending {
    pub(super) request: Request,
    pub(super) lines: u32,
    /// The attempt in whose view all it depends on was known but its ids, which the store is not asked about: what it
    /// makes is presumed to be new, and the commit finds out.
    pub(super) presumed_new: Option<RequestId>,
    reply: oneshot::Sender<Told>,
    /// An attempt that may have landed.
    attempted: Option<Attempted>,
    /// Held until the command is answered.
    held: Guard,
}

/// What is remembered of attempts that may have landed.
#[derive(Debug)]
pub(super) struct Attempted {
    /// The receipt that tells whether one of them did: the same for all, so that only one can.
    receipt: RequestId,
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

/// A command's key and its room in the queue, until it is answered.
pub(in super::super) type Guard = (Option<Claim>, OwnedSemaphorePermit);

impl Pending {
    pub(in super::super) fn new(
        request: Request,
        lines: u32,
        reply: oneshot::Sender<Told>,
        held: Guard,
    ) -> Self {
        Self { request, lines, presumed_new: None, reply, attempted: None, held }
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
        keyed.or_else(|| self.attempted.as_ref().map(|attempted| attempted.receipt))
    }

    /// When the first attempt was made that may have landed.
    pub(super) fn tried_at(&self) -> Option<Timestamp> {
        self.attempted.as_ref().map(|attempted| attempted.now)
    }

    /// Whether an attempt was made whose outcome is unknown.
    pub(super) fn may_have_landed(&self) -> bool {
        self.attempted.is_some()
    }

    /// Remembers what an attempt would have answered, which may have landed.
    pub(super) fn remember(&mut self, attempt: RequestId, outcome: Outcome, now: Timestamp) {
        let receipt = self.receipt_id().unwrap_or(attempt);
        let attempted =
            self.attempted.get_or_insert_with(|| Attempted { receipt, now, outcomes: Vec::new() });
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
