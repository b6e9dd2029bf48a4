//! What becomes of commands that were not stored.

use super::{Committer, Pending};
use crate::service::ServiceError;
use crate::store::{StoreError, StoreErrorKind};
use std::sync::Arc;
use tokio::time::Instant;

/// After so many internal errors in a row it is the store that has a defect, and no single command.
const STUMBLES_MAX: u32 = 5;

impl Committer {
    /// Commands were not stored, as far as is known: who may still succeed is tried again, the others are told.
    ///
    /// What the store cannot take may be one command of a group, for which the others shall not suffer: so the group is
    /// halved until that one is alone.
    pub(super) fn fail(&mut self, mut commands: Vec<Pending>, error: StoreError, was_held: bool) {
        let may_be_of_one = match error.kind {
            StoreErrorKind::TooLarge => true,
            StoreErrorKind::Internal => self.stumbles < STUMBLES_MAX,
            _ => false,
        };
        if commands.len() > 1 && may_be_of_one {
            self.queue.try_apart(commands);
            return;
        }
        if error.kind == StoreErrorKind::Unavailable {
            commands.extend(self.queue.take_apart());
        }
        let tries_max = self.options.attempts_max;
        let again: Vec<_> = commands.extract_if(.., |pending| pending.fail(&error, tries_max)).collect();
        self.stumbles += u32::from(error.kind == StoreErrorKind::Internal && !commands.is_empty());
        // Whose commit only hoped is tried at once, in a turn.
        let is_next = error.kind == StoreErrorKind::Conflict && !was_held;
        if is_next {
            self.queue.put_back(again);
        } else if let Some(pause) = again.iter().map(Pending::pause).max() {
            tracing::debug!(%error, ?pause, "trying again");
            self.queue.try_again(again, Instant::now() + pause);
        }
        self.tell(commands, error);
    }

    fn tell(&self, failed: Vec<Pending>, error: StoreError) {
        if failed.is_empty() {
            return;
        }
        let error = Arc::new(error);
        self.readiness.failed(&error);
        for pending in failed {
            let answer = match error.kind {
                _ if !pending.attempts().is_empty() => ServiceError::Unknown(error.clone()),
                StoreErrorKind::Conflict => ServiceError::Overloaded,
                _ => ServiceError::Store(error.clone()),
            };
            pending.answer(Err(answer));
        }
    }
}
