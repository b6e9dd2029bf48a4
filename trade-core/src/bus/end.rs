//! Where the log ends, asked of the store once for all who wait to hear it.
//!
//! While a store is away, every client that comes back wants to know, again and again, and there may be thousands.

use crate::resource::Sequence;
use crate::store::{Store, StoreError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// For so long a failure answers everyone.
const FAILED_FOR: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct EndOfLog {
    /// How many questions were begun.
    begun: AtomicU64,
    /// The newest answer. Whoever asks holds it; so one asks at a time.
    told: Mutex<Option<Told>>,
}

#[derive(Debug)]
struct Told {
    question: u64,
    at: Instant,
    answer: Result<Sequence, StoreError>,
}

/// A moment, in questions: the answer to an older one may be of an end that is none any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

impl EndOfLog {
    pub(super) fn now(&self) -> Moment {
        Moment(self.begun.load(Ordering::SeqCst))
    }

    /// The newest sequence of the log at some time after a moment. Safe to cancel.
    pub(super) async fn after(&self, moment: Moment, store: &dyn Store) -> Result<Sequence, StoreError> {
        let mut told = self.told.lock().await;
        match &*told {
            Some(Told { question, answer: Ok(end), .. }) if *question > moment.0 => return Ok(*end),
            Some(Told { at, answer: Err(error), .. }) if at.elapsed() < FAILED_FOR => {
                return Err(repeated(error));
            }
            _ => {}
        }
        let question = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = store.head().await.map(|head| head.sequence);
        let kept = answer.as_ref().map_err(repeated).copied();
        *told = Some(Told { question, at: Instant::now(), answer: kept });
        answer
    }
}

/// The same error without its source, which stays with who asked.
fn repeated(error: &StoreError) -> StoreError {
    StoreError::new(error.kind, error.store, error.operation, error.detail.clone())
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use crate::bus::EventBus;
    use crate::clock::SystemClock;
    use crate::event::EventFilter;
    use crate::memory::MemoryStore;
    use crate::rules::Draft;
    use crate::store::{Head, Store};
    use crate::testing::FaultyStore;
    use crate::testing::fixtures::{adjust, log_of, open_station, start_time};
    use crate::view::View;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::task::JoinSet;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn many_who_wait_for_the_end_of_the_log_ask_once() {
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let bus = EventBus::new(store.clone(), Head::EMPTY, Arc::new(SystemClock::new()));
        store.set_offline(true);
        let mut waiting = JoinSet::new();
        for n in 0..1_000 {
            let bus = bus.clone();
            waiting.spawn(async move {
                sleep(Duration::from_micros(n * 250)).await;
                let mut reader = bus.subscribe(Some(7), EventFilter::default());
                loop {
                    match reader.begin().await {
                        Ok(resync) => return resync,
                        Err(_) => sleep(Duration::from_millis(250)).await,
                    }
                }
            });
        }
        sleep(Duration::from_secs(10)).await;
        let asked = store.heads_asked();
        assert!((20..=40).contains(&asked), "{asked} questions in 10 s");
        store.heal();
        while let Some(resync) = waiting.join_next().await {
            assert_eq!(resync.expect("no panic").map(|resync| resync.newest), Some(0));
        }
        assert_eq!(store.heads_asked(), asked + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_told_of_an_end_that_was_one_before_it_came() {
        let log = log_of(&[open_station("a", &[]), adjust("a", &[("tea", 1)])], start_time());
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let bus = EventBus::new(store.clone(), Head::EMPTY, Arc::new(SystemClock::new()));
        let mut earlier = bus.subscribe(Some(2), EventFilter::default());
        assert_eq!(earlier.begin().await.expect("it can be read").map(|resync| resync.newest), Some(0));
        // Another server writes, and a client that saw it there comes here.
        let mut draft = Draft::new(View::empty());
        log.iter().for_each(|record| draft.view.evolve_step(&record.step, record.first()));
        draft.log = log;
        store.commit(&draft.commit(Vec::new())).await.expect("it can be stored");
        let mut later = bus.subscribe(Some(2), EventFilter::default());
        assert_eq!(later.begin().await.expect("it can be read"), None);
    }
}
