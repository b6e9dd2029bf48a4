//! What an error of the store means for a group, and who is told.

use super::{Committer, Pending};
use crate::service::ServiceError;
use crate::store::{Head, Store, StoreError, StoreErrorKind};
use std::sync::Arc;
use tokio::task::JoinError;

/// Whether the store cannot be reached, or does not answer.
pub(super) fn is_away(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::Unavailable | StoreErrorKind::OutcomeUnknown)
}

/// Whether an error may be one command's own: that asks for more than the store can take, or for what it stumbles over.
pub(super) fn may_be_of_one(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::TooLarge | StoreErrorKind::Internal)
}

/// What a store that panicked did is unknown.
pub(super) fn outcome(
    ended: Result<Result<Head, StoreError>, JoinError>,
    store: &dyn Store,
) -> Result<Head, StoreError> {
    ended.unwrap_or_else(|error| {
        let detail = "the store ended in the middle of a commit";
        Err(StoreError::new(StoreErrorKind::OutcomeUnknown, store.name(), "commit", detail).caused_by(error))
    })
}

impl Committer {
    /// Tells everyone of a group that it was not stored, as far as is known.
    pub(super) fn fail(&self, group: Vec<Pending>, error: Arc<StoreError>) {
        if !group.is_empty() {
            self.readiness.failed(&error);
            tell(group, error);
        }
    }
}

fn tell(group: Vec<Pending>, error: Arc<StoreError>) {
    for pending in group {
        let answer = match error.kind {
            _ if pending.may_have_landed() => ServiceError::Unknown(error.clone()),
            StoreErrorKind::Conflict => ServiceError::Overloaded,
            _ => ServiceError::Store(error.clone()),
        };
        pending.answer(Err(answer));
    }
}
