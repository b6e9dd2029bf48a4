//! The live feed: every event once, in the order of the log.
//!
//! The log is the truth and the bus only a hint. A subscription reads from a bounded ring of recent events while it
//! keeps up, and from the log where it does not; a wake-up that is lost costs delay, never an event. Either way it is
//! handed chunks of events that all readers share, so that a reader costs no copy, and a replay by many one read.

mod chunk;
mod history;
mod ring;
mod subscription;

pub use subscription::{Resync, Subscription};

use crate::event::{Event, EventFilter};
use crate::resource::Sequence;
use crate::store::{Head, LogRecord, Store, StoreError};
use bytes::Bytes;
use chunk::Chunk;
use history::History;
use ring::Ring;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// Records and bytes the bus reads from the log at a time when it follows other processes.
const FOLLOW_RECORDS: usize = 128;
const FOLLOW_BYTES: usize = 256 * 1024;
/// How long the bus waits for what the committer is about to read of others.
const HANDOVER_MAX: Duration = Duration::from_millis(20);
/// How long the bus waits after the store failed.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// An event as all its readers share it.
#[derive(Debug)]
pub struct SharedEvent {
    event: Event,
    encoded: OnceLock<Bytes>,
}

impl SharedEvent {
    fn new(event: Event) -> Arc<Self> {
        Arc::new(Self { event, encoded: OnceLock::new() })
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The event in the form in which it is sent, made by the first reader that asks. All readers of one process must
    /// pass the same `encode`.
    pub fn encoded(&self, encode: impl FnOnce(&Event) -> Bytes) -> Bytes {
        self.encoded.get_or_init(|| encode(&self.event)).clone()
    }

    fn lines(&self) -> usize {
        use crate::event::EventData::{Cargo, Inventory, Trade};
        match &self.event.data {
            Trade(trade) => trade.items.len(),
            Cargo(cargo) => cargo.items.len(),
            Inventory(update) => update.inventory.items.len() + update.movements.len(),
        }
    }
}

/// Hands committed events to subscribers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventBus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    ring: RwLock<Ring>,
    history: History,
    /// The newest sequence in the ring, or none once the bus is closed.
    head: watch::Sender<Option<Sequence>>,
    /// Told when events were committed that the ring could not take, since others before them are missing.
    gap: Notify,
    /// Whether the committer is about to read what others wrote, and hands it over: it need not be read and decoded
    /// twice.
    is_handover_due: AtomicBool,
}

/// For as long as a handover is due.
#[derive(Debug)]
pub(crate) struct HandoverDue<'b>(&'b AtomicBool);

impl Drop for HandoverDue<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl EventBus {
    /// A bus over a store whose log ends at `head`.
    pub(crate) fn new(store: Arc<dyn Store>, head: Head) -> Self {
        let inner = Inner {
            ring: RwLock::new(Ring::new(head.sequence)),
            history: History::new(store.clone()),
            store,
            head: watch::Sender::new(Some(head.sequence)),
            gap: Notify::new(),
            is_handover_due: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The newest sequence the bus knows.
    pub fn newest(&self) -> Sequence {
        self.inner.ring.read().unwrap_or_else(PoisonError::into_inner).end()
    }

    /// Subscribes to what comes after `after`, or from now on.
    ///
    /// A position beyond the end of the log (a backup was restored, say) is answered by a subscription from the end of
    /// the log that says so: [`Subscription::resync`].
    ///
    /// # Errors
    /// [`StoreError`] if the end of the log cannot be read.
    pub async fn subscribe(
        &self,
        after: Option<Sequence>,
        filter: EventFilter,
    ) -> Result<Subscription, StoreError> {
        let newest = self.newest();
        let mut resync = None;
        let position = match after {
            None => newest,
            Some(after) if after <= newest => after,
            Some(after) => {
                let head = self.inner.store.head().await?;
                if after > head.sequence {
                    resync = Some(Resync { oldest: head.sequence.min(1), newest: head.sequence });
                }
                after.min(head.sequence)
            }
        };
        Ok(Subscription::new(self.clone(), position, filter, resync))
    }

    /// Hears of steps that were committed by this process.
    pub(crate) fn publish(&self, records: Vec<LogRecord>) {
        if !self.extend(records) {
            // What is missing is read from the log.
            self.inner.gap.notify_one();
        }
    }

    /// The committer, of which there is one, is about to read what others wrote, and hands it over.
    pub(crate) fn expect_handover(&self) -> HandoverDue<'_> {
        self.inner.is_handover_due.store(true, Ordering::Relaxed);
        HandoverDue(&self.inner.is_handover_due)
    }

    /// Hears of steps that others committed. Where some before them are missing, all are read from the log in time.
    pub(crate) fn hand_over(&self, records: Vec<LogRecord>) {
        self.extend(records);
    }

    fn extend(&self, records: Vec<LogRecord>) -> bool {
        let (whole, end) = {
            let mut ring = self.inner.ring.write().unwrap_or_else(PoisonError::into_inner);
            (ring.extend(records), ring.end())
        };
        self.inner.head.send_if_modified(|head| {
            let newer = head.is_some_and(|head| head < end);
            if newer {
                *head = Some(end);
            }
            newer
        });
        whole
    }

    /// Follows the log for what other processes write, until the bus is closed.
    pub(crate) async fn follow(self) {
        let mut closed = self.inner.head.subscribe();
        tokio::select! {
            () = self.follow_log() => {}
            _ = closed.wait_for(Option::is_none) => {}
        }
    }

    async fn follow_log(&self) {
        loop {
            let newest = self.newest();
            let step = async {
                tokio::select! {
                    () = self.inner.gap.notified() => {}
                    changed = self.inner.store.changed(newest) => {
                        changed?;
                        if self.is_handed_over(newest).await {
                            return Ok(());
                        }
                    }
                }
                self.catch_up().await
            };
            if let Err(error) = step.await {
                tracing::warn!(%error, "the log cannot be followed");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    /// Waits for what comes after `newest` from the committer, where that is about to read it. `false` where it must be
    /// read here.
    async fn is_handed_over(&self, newest: Sequence) -> bool {
        if !self.inner.is_handover_due.load(Ordering::Relaxed) {
            return false;
        }
        let mut head = self.head();
        let newer = head.wait_for(|head| head.is_none_or(|head| head > newest));
        timeout(HANDOVER_MAX, newer).await.is_ok()
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        loop {
            let records = self.inner.store.read(self.newest(), FOLLOW_RECORDS, FOLLOW_BYTES).await?;
            if records.is_empty() {
                return Ok(());
            }
            self.extend(records);
        }
    }

    fn head(&self) -> watch::Receiver<Option<Sequence>> {
        self.inner.head.subscribe()
    }

    /// The events after a position that is before the newest, some of them.
    async fn chunk_after(&self, position: Sequence) -> Result<Arc<Chunk>, StoreError> {
        let recent = self.inner.ring.read().unwrap_or_else(PoisonError::into_inner).after(position);
        match recent {
            Some(chunk) => Ok(chunk),
            None => self.inner.history.after(position).await,
        }
    }

    /// Ends every subscription.
    pub(crate) fn close(&self) {
        self.inner.head.send_replace(None);
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use crate::rules::Draft;
    use crate::testing::FaultyStore;
    use crate::testing::fixtures::{adjust, log_of, open_station, start_time};
    use crate::view::View;
    use tokio::time::sleep;

    /// A store that holds a log, and a bus that knows of none of it and follows it.
    async fn behind() -> (Vec<LogRecord>, Arc<FaultyStore>, EventBus) {
        let log = log_of(&[open_station("a", &[]), adjust("a", &[("tea", 1)])], start_time());
        let mut draft = Draft::new(View::empty());
        log.iter().for_each(|record| draft.view.evolve_step(&record.step, record.first()));
        draft.log = log.clone();
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        store.commit(&draft.commit(Vec::new())).await.expect("it can be stored");
        let bus = EventBus::new(store.clone(), Head::EMPTY);
        tokio::spawn(bus.clone().follow());
        (log, store, bus)
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_committer_hands_over_is_not_read_again() {
        let (log, store, bus) = behind().await;
        let due = bus.expect_handover();
        // A store in memory tells of changes each 50 ms.
        sleep(Duration::from_millis(60)).await;
        assert_eq!((bus.newest(), store.log_reads()), (0, 0), "it is waited for");
        bus.hand_over(log);
        drop(due);
        sleep(Duration::from_millis(10)).await;
        assert_eq!((bus.newest(), store.log_reads()), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_handed_over_in_time_is_read() {
        let (log, store, bus) = behind().await;
        let _due = bus.expect_handover();
        sleep(Duration::from_millis(50) + HANDOVER_MAX + Duration::from_millis(5)).await;
        assert_eq!(bus.newest(), 2);
        assert!(store.log_reads() > 0);
        bus.hand_over(log);
        assert_eq!(bus.newest(), 2, "what is known already is passed over");
    }
}
