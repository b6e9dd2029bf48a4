//! A command on its way, and the answer that a receipt keeps of it.

use super::super::{Answer, Claim, ServiceError};
use crate::command::{Fingerprint, Idempotency, Outcome, Request, RequestId};
use crate::rejection::Rejection;
use crate::store::{Receipt, StoreError, StoreErrorKind};
use crate::values::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// A command on its way.
#[derive(Debug)]
pub(in super::super) struct Pending {
    pub(super) request: Request,
    pub(super) lines: u32,
    /// The attempt in whose view all it depends on was known but its ids, which the store is not asked about: what it
    /// makes is presumed to be new, and the commit finds out.
    pub(super) presumed_new: Option<RequestId>,
    reply: oneshot::Sender<Result<Answer, ServiceError>>,
    /// An attempt that may have landed.
    attempted: Option<Attempted>,
    /// Held until the command is answered.
    held: (Option<Claim>, OwnedSemaphorePermit),
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

/// An answer as a receipt keeps it.
#[derive(Serialize, Deserialize)]
struct Kept<N, O> {
    name: N,
    outcome: O,
}

impl Pending {
    pub(in super::super) fn new(
        request: Request,
        lines: u32,
        reply: oneshot::Sender<Result<Answer, ServiceError>>,
        held: (Option<Claim>, OwnedSemaphorePermit),
    ) -> Self {
        Self { request, lines, presumed_new: None, reply, attempted: None, held }
    }

    pub(super) fn answer(self, result: Result<Answer, ServiceError>) {
        // Let go first: a caller that repeats its request at once must not meet its own claim.
        drop(self.held);
        // A caller that is gone has no use for its answer.
        let _ = self.reply.send(result);
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

    /// The receipt of a request with a key: it keeps the answer.
    pub(super) fn keyed_receipt(
        &self,
        key: Idempotency,
        outcome: &Outcome,
        time: Timestamp,
    ) -> Result<Receipt, ServiceError> {
        let answer = serde_json::to_vec(&Kept { name: self.request.name.as_deref(), outcome });
        let answer = answer.map_err(|error| internal("an answer cannot be written", error))?;
        Ok(Receipt { request: key.request, fingerprint: key.fingerprint, time, answer: Some(answer) })
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
    pub(super) fn repeat(&mut self, receipt: &Receipt) -> Option<Result<Answer, ServiceError>> {
        let Some(Idempotency { fingerprint, .. }) = self.request.idempotency else {
            let outcomes = &self.attempted.as_ref()?.outcomes;
            let landed = outcomes.iter().find(|(attempt, _)| *attempt == receipt.fingerprint);
            let Some((_, outcome)) = landed else {
                // Of commands that were tried together, some may have been refused by the attempt that landed.
                self.attempted = None;
                return None;
            };
            let outcome = outcome.clone();
            return Some(Ok(Answer { outcome, replayed: false, name: self.request.name.clone() }));
        };
        Some(match &receipt.answer {
            Some(answer) if receipt.fingerprint == fingerprint => {
                read(answer).map(|Kept { name, outcome }| {
                    let replayed = self.attempted.is_none();
                    Answer { outcome, replayed, name }
                })
            }
            _ => Err(Rejection::RequestReused.into()),
        })
    }
}

fn read(answer: &[u8]) -> Result<Kept<Option<String>, Outcome>, ServiceError> {
    serde_json::from_slice(answer).map_err(|error| internal("a kept answer cannot be read", error))
}

fn internal(detail: &str, source: serde_json::Error) -> ServiceError {
    let error = StoreError::new(StoreErrorKind::Internal, "receipts", "answer", detail).caused_by(source);
    ServiceError::Store(Arc::new(error))
}
