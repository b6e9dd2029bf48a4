//! A commit on its way into the store, and the head that may be held for it.

use super::group::Closed;
use crate::bus::{EventBus, HandoverDue};
use crate::store::{Commit, Head, Store, StoreError, StoreErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// Every way in which a commit ends.
#[derive(Debug)]
pub(super) enum Landing {
    /// It is stored, and the log ends where it was to end.
    Stored(Head),
    /// It is stored, behind what others wrote meanwhile.
    Behind(Head),
    /// It did not land, for certain: an id was taken, or others wrote to the same rows.
    Conflict(StoreError),
    /// It may have landed, and may land yet.
    Unknown(StoreError),
    /// It did not land, and would not if it were tried again as it is.
    Failed(StoreError),
}

/// A group on its way into the store.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) closed: Closed,
    pub(super) launched_at: Instant,
    task: JoinHandle<Result<Head, StoreError>>,
    /// Whether the head was held for it.
    pub(super) was_held: bool,
    /// As long as it is there, the feed leaves it to the committer to read what others wrote.
    _handover_due: Option<HandoverDue>,
}

impl Flight {
    /// Sends a group on its way, in the hope that nobody is in the way.
    pub(super) fn launch(store: Arc<dyn Store>, closed: Closed) -> Self {
        let (commit, span) = (closed.commit.clone(), closed.span());
        let task = tokio::spawn(async move { store.commit(&commit).await }.instrument(span));
        Self { closed, launched_at: Instant::now(), task, was_held: false, _handover_due: None }
    }

    /// What becomes of it. Safe to cancel.
    pub(super) async fn landing(&mut self, store: &dyn Store) -> Landing {
        // What a store that ended did is unknown.
        let ended = (&mut self.task).await.unwrap_or_else(|error| {
            let detail = "the store ended in the middle of a commit";
            let kind = StoreErrorKind::OutcomeUnknown;
            Err(StoreError::new(kind, store.name(), "commit", detail).caused_by(error))
        });
        match ended {
            Ok(head) if head == self.closed.newest => Landing::Stored(head),
            Ok(head) => Landing::Behind(head),
            Err(error) => match error.kind {
                StoreErrorKind::Conflict => Landing::Conflict(error),
                StoreErrorKind::OutcomeUnknown => Landing::Unknown(error),
                _ => Landing::Failed(error),
            },
        }
    }
}

/// A turn with others that write to the same store: the head of the log is held before anything is decided, and until the
/// commit has ended. Dropped before that, it lets go of the head.
#[derive(Debug)]
pub(super) struct Turn {
    /// Whether the head is held, and where it is, if that is known without asking; none before.
    pub(super) held: Option<Option<Head>>,
    /// Whether it is known who takes part.
    pub(super) is_closed: bool,
    awaited: oneshot::Receiver<Result<Option<Head>, StoreError>>,
    awaited_since: Instant,
    commit: oneshot::Sender<(Arc<Commit>, Span)>,
    task: JoinHandle<Result<Head, StoreError>>,
    handover_due: HandoverDue,
}

impl Turn {
    /// Waits for the head from now on.
    pub(super) fn take(store: Arc<dyn Store>, bus: &EventBus) -> Self {
        let (tell, awaited) = oneshot::channel();
        let (commit, to_commit) = oneshot::channel::<(Arc<Commit>, Span)>();
        let task = tokio::spawn(async move {
            let held = match store.hold().await {
                Ok(held) => held,
                Err(error) => {
                    // Who no longer waits needs no head.
                    let _ = tell.send(Err(error));
                    return Ok(Head::EMPTY);
                }
            };
            let _ = tell.send(Ok(held.head()));
            match to_commit.await {
                Ok((commit, span)) => held.commit(&commit).instrument(span).await,
                Err(_) => Ok(Head::EMPTY),
            }
        });
        Self {
            held: None,
            is_closed: false,
            awaited,
            awaited_since: Instant::now(),
            commit,
            task,
            handover_due: bus.expect_handover(),
        }
    }

    /// Waits until the head is held, and answers for how long that was. Safe to cancel, and not to be called afterwards.
    pub(super) async fn wait_until_held(&mut self, store: &dyn Store) -> Result<Duration, StoreError> {
        let ended = || {
            let detail = "the store ended while the head was waited for";
            Err(StoreError::new(StoreErrorKind::Internal, store.name(), "hold", detail))
        };
        self.held = Some((&mut self.awaited).await.unwrap_or_else(|_| ended())?);
        Ok(self.awaited_since.elapsed())
    }

    /// Stores a group, and lets go of the head.
    pub(super) fn launch(self, closed: Closed) -> Flight {
        let Self { commit, task, handover_due, .. } = self;
        // Where the task has ended, it tells of it.
        let _ = commit.send((closed.commit.clone(), closed.span()));
        Flight {
            closed,
            launched_at: Instant::now(),
            task,
            was_held: true,
            _handover_due: Some(handover_due),
        }
    }

    /// Lets go of the head. Answers once that is done.
    pub(super) async fn end(self) {
        let Self { commit, task, awaited, .. } = self;
        drop((commit, awaited));
        // It has nothing to tell.
        let _ = task.await;
    }
}
