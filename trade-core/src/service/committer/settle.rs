//! Bringing a group to its end, whatever comes between: one attempt after the other, with nothing else on its way.

use super::failure::{is_away, may_be_of_one};
use super::group::Decided;
use super::{Committer, KEPT_MAX, Pending};
use crate::store::{Held, StoreError, StoreErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The first pause after a conflict; it doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(2);
const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// How long a group is tried again while the store is away, or does not answer.
const AWAY_MAX: Duration = Duration::from_secs(4);

/// So many commands in a row that the store stumbled over are no matter of single ones any more.
const UNEXPLAINED_MAX: u32 = 5;

/// What became of an attempt.
pub(super) enum Attempt {
    /// Everyone was answered.
    Done,
    /// These must be decided again.
    Again(Vec<Pending>, StoreError),
    /// Nothing landed, and trying again would not help.
    Failed(Vec<Pending>, StoreError),
}

impl Committer {
    /// Brings a group to its end, one attempt after the other. `error` is that of the first, if it was made. Answers what
    /// was told of a store that is away.
    ///
    /// What the store cannot take may be one command of the group, for which the others shall not suffer: so it is halved
    /// until that one is alone.
    pub(super) async fn settle(
        &mut self,
        group: Vec<Pending>,
        error: Option<StoreError>,
    ) -> Option<Arc<StoreError>> {
        if group.is_empty() {
            return None;
        }
        let mut unexplained = 0;
        // The next part last.
        let mut parts = vec![(group, error)];
        while let Some((part, error)) = parts.pop() {
            let settled = match error {
                Some(error) if !error.is_retryable() => Err((part, error)),
                error => self.settle_together(part, error).await,
            };
            let Err((mut part, error)) = settled else {
                unexplained = 0;
                continue;
            };
            let is_unexplained = error.kind == StoreErrorKind::Internal;
            let may_be_of_one = may_be_of_one(&error) && !(is_unexplained && unexplained >= UNEXPLAINED_MAX);
            if part.len() > 1 && may_be_of_one {
                let later = part.split_off(part.len() / 2);
                parts.extend([(later, None), (part, None)]);
                continue;
            }
            unexplained += u32::from(is_unexplained);
            let error = Arc::new(error);
            self.fail(part, error.clone());
            if error.kind == StoreErrorKind::Unavailable {
                // What was never tried need not wait as long to hear the same.
                parts.into_iter().for_each(|(part, _)| self.fail(part, error.clone()));
                return Some(error);
            }
        }
        None
    }

    async fn settle_together(
        &mut self,
        mut group: Vec<Pending>,
        first: Option<StoreError>,
    ) -> Result<(), (Vec<Pending>, StoreError)> {
        let mut backoff = BACKOFF_FIRST;
        let mut attempts_left = self.options.attempts_max.max(1);
        let begun = Instant::now();
        let store = self.store.clone();
        let mut failed = first;
        group.iter_mut().for_each(|pending| pending.presumed_new = None);
        loop {
            // After an error others may be at the same rows, or an attempt still on its way: from then on nobody commits
            // between our load and our commit.
            let hold = failed.is_some() || self.rivalry.takes_turns();
            if let Some(error) = failed {
                attempts_left -= 1;
                if attempts_left == 0 {
                    return Err((group, error));
                }
                tracing::debug!(%error, attempts_left, "deciding a group again");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
            let attempt = match if hold { store.hold().await.map(Some) } else { Ok(None) } {
                Ok(held) => self.attempt(group, held).await,
                Err(error) => not_tried(group, error),
            };
            match attempt {
                Attempt::Done => return Ok(()),
                Attempt::Failed(failed, error) => return Err((failed, error)),
                Attempt::Again(again, error) if is_away(&error) && begun.elapsed() >= AWAY_MAX => {
                    return Err((again, error));
                }
                Attempt::Again(again, error) => {
                    group = again;
                    failed = Some(error);
                }
            }
        }
    }

    /// One attempt, while nothing else is decided or on its way. Where something is presumed to be new, the head is held.
    pub(super) async fn attempt(
        &mut self,
        commands: Vec<Pending>,
        held: Option<Box<dyn Held + '_>>,
    ) -> Attempt {
        let head = held.as_ref().and_then(|held| held.head());
        if let Err(error) = self.catch_up(&commands, head).await {
            return not_tried(commands, error);
        }
        self.rivalry.loaded(self.open.draft.view.head());
        if let Err((left, error)) = self.decide_loaded(commands).await {
            let mut all = self.start_over();
            all.extend(left);
            return not_tried(all, error);
        }
        self.open.settled().into_iter().for_each(Decided::answer);
        if self.open.is_clean() {
            self.open.let_go(KEPT_MAX);
            return Attempt::Done;
        }
        let (commit, closed) = self.open.close(self.attempt_id());
        let committed = match held {
            Some(held) => held.commit(&commit).await,
            None => self.store.commit(&commit).await,
        };
        match committed {
            Ok(head) => {
                self.rivalry.committed(head);
                self.novelty.held(closed.presumes_new);
                self.stored(closed, head);
                Attempt::Done
            }
            Err(error) => {
                self.rivalry.met(&error);
                self.novelty.met(&error, closed.presumes_new);
                self.start_over();
                let again = closed.undecided(error.kind == StoreErrorKind::OutcomeUnknown);
                if error.is_retryable() {
                    Attempt::Again(again, error)
                } else {
                    Attempt::Failed(again, error)
                }
            }
        }
    }
}

/// An attempt that ended before anything was decided.
fn not_tried(commands: Vec<Pending>, error: StoreError) -> Attempt {
    // What became of an earlier attempt must still be found out.
    if error.is_retryable() || commands.iter().any(Pending::may_have_landed) {
        Attempt::Again(commands, error)
    } else {
        Attempt::Failed(commands, error)
    }
}
