//! The pace of commits at a node of a Galera cluster, where other nodes are written to as well.
//!
//! There nobody waits for the head of the log: a lock is known to its own node alone, and of two commits that overlap the
//! one that comes later to the cluster is undone (<https://galeracluster.com/library/documentation/certification-based-replication.html>).
//! Whoever committed last needs not look what others wrote, is the first again, and others never get through. So it leaves
//! them, after each commit, the time that one takes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use trade_core::store::{Head, StoreError, StoreErrorKind};

/// How long after a commit of another node more of them are expected.
const COMPANY_MAX: Duration = Duration::from_secs(2);
/// The most that is left to others.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// What is known of those who write to other nodes.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Known>);

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Where this store's last commit left the head, how long that took, and when it was done.
    last: Option<(Head, Duration, Instant)>,
    /// When another node's commit was last seen.
    others_at: Option<Instant>,
}

impl Pace {
    fn known<T>(&self, use_it: impl FnOnce(&mut Known) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until others had their time.
    pub(super) async fn keep(&self) {
        let until = self.known(|known| known.free_from());
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }

    /// The head is here, and nobody at this node holds it.
    pub(super) fn found(&self, head: Head) {
        self.known(|known| {
            if known.last.is_some_and(|(own, ..)| own != head) {
                known.others_at = Some(Instant::now());
            }
        });
    }

    /// What came of a commit that was begun then.
    pub(super) fn ended(&self, outcome: &Result<Head, StoreError>, begun: Instant) {
        let now = Instant::now();
        self.known(|known| match outcome {
            Ok(head) => known.last = Some((*head, now - begun, now)),
            Err(error) if error.kind == StoreErrorKind::Conflict => known.others_at = Some(now),
            Err(_) => {}
        });
    }
}

impl Known {
    fn free_from(&self) -> Option<Instant> {
        let (_, took, at) = self.last?;
        let in_company = self.others_at.is_some_and(|others| others.elapsed() < COMPANY_MAX);
        in_company.then(|| at + took.min(PAUSE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trade_core::values::Timestamp;

    fn head(sequence: u64) -> Head {
        Head { sequence, time: Timestamp::EPOCH }
    }

    async fn waited(pace: &Pace) -> Duration {
        let begun = Instant::now();
        pace.keep().await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_left_as_much_time_as_a_commit_took_while_there_are_any() {
        let (pace, took) = (Pace::default(), Duration::from_millis(20));
        let commit = async |sequence| {
            let begun = Instant::now();
            tokio::time::advance(took).await;
            pace.ended(&Ok(head(sequence)), begun);
        };
        commit(7).await;
        pace.found(head(7));
        assert_eq!(waited(&pace).await, Duration::ZERO);
        pace.found(head(9));
        assert_eq!(waited(&pace).await, took);
        // They had it.
        assert_eq!(waited(&pace).await, Duration::ZERO);
        commit(10).await;
        assert_eq!(waited(&pace).await, took);
        tokio::time::advance(COMPANY_MAX).await;
        commit(11).await;
        assert_eq!(waited(&pace).await, Duration::ZERO);
        let conflict = StoreError::new(StoreErrorKind::Conflict, "mysql", "commit", "another node's");
        pace.ended(&Err(conflict), Instant::now());
        assert_eq!(waited(&pace).await, took);
    }
}
