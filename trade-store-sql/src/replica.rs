//! Lists read elsewhere: at a replica, as long as it is there and not too far behind.
//!
//! One task looks at the replica again and again, so that no list has to find out, or waits for a replica that is silent.
//! How far a replica is behind is told by what the primary's log had so long ago. No clock is compared for that: the time
//! that steps carry may be ahead of every clock.

use crate::driver::Driver;
use crate::lane::Lane;
use crate::read::log;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use trade_core::resource::Sequence;
use trade_core::store::{Head, Page, StoreError, StoreErrorKind};

const OPERATION: &str = "look at the replica";
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a server may take to tell where its log ends.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Where lists are read, while it serves.
#[derive(Debug)]
pub(crate) struct Replica<E: Driver> {
    pub(crate) lane: Lane<E>,
    serves: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl<E: Driver> Drop for Replica<E> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<E: Driver> Replica<E> {
    /// Looks at the replica for the first time, and from then on. Lists have connections of their own, so that those who
    /// look never wait for them.
    pub(crate) async fn start(
        lists: Lane<E>,
        replica: Lane<E>,
        primary: Arc<Lane<E>>,
        lag_max: Duration,
    ) -> Self {
        let mut watcher = Watcher { primary, replica, demand: Demand::new(lag_max) };
        let (verdict, serves) = watch::channel(true);
        tell(&verdict, watcher.look().await);
        let task = tokio::spawn(async move {
            loop {
                sleep(PAUSE).await;
                tell(&verdict, watcher.look().await);
            }
        });
        Self { lane: lists, serves, task }
    }

    /// A list, as the replica has it. None where it does not serve, or ceases to meanwhile.
    pub(crate) async fn list<'l, T, P, F>(&'l self, read: impl Fn(&'l Lane<E>) -> F) -> Option<Page<T, P>>
    where
        F: Future<Output = Result<Page<T, P>, StoreError>>,
    {
        let mut serves = self.serves.clone();
        if !*serves.borrow() {
            return None;
        }
        let list = async {
            // Read before the list, which has no less.
            let head = log::head(&self.lane, OPERATION).await?;
            let page = read(&self.lane).await?;
            Ok::<_, StoreError>(Page { as_of: Some(head.sequence), ..page })
        };
        tokio::select! {
            // The primary says what is wrong, if it is wrong there as well.
            page = list => page.ok(),
            Ok(_) = serves.wait_for(|serves| !serves) => None,
        }
    }

    pub(crate) async fn close(&self) {
        self.task.abort();
        self.lane.close().await;
    }
}

/// Who looks.
struct Watcher<E: Driver> {
    primary: Arc<Lane<E>>,
    replica: Lane<E>,
    demand: Demand,
}

/// Why a replica does not serve.
enum Unfit {
    Away(StoreError),
    Behind { head: Sequence, least: Sequence },
}

impl<E: Driver> Watcher<E> {
    async fn look(&mut self) -> Result<(), Unfit> {
        // While the primary cannot be asked, nothing new is demanded.
        if let Ok(head) = head(&self.primary).await {
            self.demand.saw(head.sequence, Instant::now());
        }
        let head = head(&self.replica).await.map_err(Unfit::Away)?.sequence;
        let least = self.demand.least(Instant::now());
        if head < least { Err(Unfit::Behind { head, least }) } else { Ok(()) }
    }
}

async fn head<E: Driver>(lane: &Lane<E>) -> Result<Head, StoreError> {
    timeout(ANSWER_MAX, log::head(lane, OPERATION)).await.unwrap_or_else(|_| {
        let detail = "the server did not answer in time";
        Err(StoreError::new(StoreErrorKind::Unavailable, E::NAME, OPERATION, detail))
    })
}

/// Tells lists what a look came to, and the operator where it is another thing than before.
fn tell(verdict: &watch::Sender<bool>, look: Result<(), Unfit>) {
    let changed = verdict.send_if_modified(|serves| std::mem::replace(serves, look.is_ok()) != look.is_ok());
    match look {
        _ if !changed => {}
        Ok(()) => tracing::info!("lists are read at the replica again"),
        Err(Unfit::Away(error)) => {
            let source = error.source.as_deref();
            tracing::warn!(%error, source, "lists are read at the primary: the replica cannot be asked");
        }
        Err(Unfit::Behind { head, least }) => {
            tracing::warn!(head, least, "lists are read at the primary: the replica is too far behind");
        }
    }
}

/// The least that a replica must have: what the primary had so long ago.
#[derive(Debug)]
struct Demand {
    lag_max: Duration,
    /// Where the primary's log ended, and when that was seen first; the oldest first.
    seen: VecDeque<(Instant, Sequence)>,
    /// Nobody knows how long ago the first end that was seen was written: so it is demanded at once.
    least: Option<Sequence>,
}

impl Demand {
    fn new(lag_max: Duration) -> Self {
        Self { lag_max, seen: VecDeque::new(), least: None }
    }

    fn saw(&mut self, end: Sequence, now: Instant) {
        self.least.get_or_insert(end);
        if self.seen.back().is_none_or(|(_, last)| *last != end) {
            self.seen.push_back((now, end));
        }
    }

    fn least(&mut self, now: Instant) -> Sequence {
        while let Some((_, end)) = self.seen.pop_front_if(|(at, _)| now.duration_since(*at) >= self.lag_max) {
            self.least = Some(end);
        }
        self.least.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_must_have_what_the_primary_had_so_long_ago_and_at_first_all_that_it_has() {
        let (mut demand, begin) = (Demand::new(Duration::from_secs(10)), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(demand.least(begin), 0, "nothing was seen");
        demand.saw(5, begin);
        assert_eq!(demand.least(begin), 5);
        // A primary that is idle for long demands no more.
        demand.saw(5, after(100));
        assert_eq!(demand.least(after(100)), 5);
        demand.saw(6, after(100));
        demand.saw(7, after(101));
        demand.saw(7, after(105));
        assert_eq!(demand.least(after(109)), 5);
        assert_eq!(demand.least(after(110)), 6);
        assert_eq!(demand.least(after(111)), 7, "counted from when it was seen first");
        demand.saw(8, after(120));
        // Nothing more is seen.
        assert_eq!(demand.least(after(1_000)), 8);
    }

    #[test]
    fn a_log_that_ends_earlier_than_it_did_demands_what_it_has() {
        let (mut demand, begin) = (Demand::new(Duration::from_secs(1)), Instant::now());
        demand.saw(9, begin);
        demand.saw(4, begin);
        assert_eq!(demand.least(begin + Duration::from_secs(1)), 4);
    }
}
