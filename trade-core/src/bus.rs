//! The live feed: every event once, in the order of the log.
//!
//! The log is the truth and the bus only a hint. A subscription reads from a bounded ring of recent events while it
//! keeps up, and from the log where it does not; a wake-up that is lost costs delay, never an event.

use crate::event::{Event, EventFilter};
use crate::resource::Sequence;
use crate::store::{Head, LogRecord, Store, StoreError, StoreErrorKind};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Events the ring holds at most, whatever their size.
const RING_EVENTS_MAX: usize = 8_192;
/// Lines of all events in the ring at most: what bounds its memory where trades are large.
const RING_LINES_MAX: usize = 262_144;
/// Events a subscription takes from the ring at a time, and how many lines they may have before the last.
const CHUNK_EVENTS: usize = 256;
const CHUNK_LINES: usize = 4_096;
/// Records and bytes a subscription reads from the log at a time.
const CHUNK_RECORDS: usize = 128;
const CHUNK_BYTES: usize = 256 * 1024;
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
    /// The newest sequence in the ring, or none once the bus is closed.
    head: watch::Sender<Option<Sequence>>,
    /// Told when events were committed that the ring could not take, since others before them are missing.
    gap: Notify,
}

#[derive(Debug)]
struct Ring {
    /// The sequence of the newest event that is or was here.
    end: Sequence,
    lines: usize,
    events: VecDeque<Arc<SharedEvent>>,
}

impl Ring {
    /// Adds events that follow without a gap; those it has already are passed over. False if there is a gap.
    fn extend(&mut self, events: impl IntoIterator<Item = Event>) -> bool {
        for event in events {
            if event.sequence <= self.end {
                continue;
            }
            if event.sequence > self.end + 1 {
                return false;
            }
            self.end = event.sequence;
            let event = SharedEvent::new(event);
            self.lines += event.lines();
            self.events.push_back(event);
        }
        while self.events.len() > RING_EVENTS_MAX || self.lines > RING_LINES_MAX {
            let Some(oldest) = self.events.pop_front() else { break };
            self.lines -= oldest.lines();
        }
        true
    }

    /// Some events after `after`; none where the ring no longer holds the next one.
    fn after(&self, after: Sequence) -> Option<Vec<Arc<SharedEvent>>> {
        let missing = usize::try_from(self.end - after).ok()?;
        let from = self.events.len().checked_sub(missing)?;
        let mut lines = 0;
        let chunk = self.events.range(from..).take(CHUNK_EVENTS).take_while(|event| {
            let room = lines < CHUNK_LINES;
            lines += event.lines();
            room
        });
        Some(chunk.cloned().collect())
    }
}

impl EventBus {
    /// A bus over a store whose log ends at `head`.
    pub(crate) fn new(store: Arc<dyn Store>, head: Head) -> Self {
        let ring = Ring { end: head.sequence, lines: 0, events: VecDeque::new() };
        let (sender, _) = watch::channel(Some(head.sequence));
        Self { inner: Arc::new(Inner { store, ring: RwLock::new(ring), head: sender, gap: Notify::new() }) }
    }

    /// The newest sequence the bus knows.
    pub fn newest(&self) -> Sequence {
        self.inner.ring.read().unwrap_or_else(PoisonError::into_inner).end
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
        let head = self.inner.head.subscribe();
        Ok(Subscription { bus: self.clone(), position, filter, head, ready: VecDeque::new(), resync })
    }

    /// Hears of events that were committed by this process.
    pub(crate) fn publish(&self, events: Vec<Event>) {
        if !self.extend(events) {
            // What is missing is read from the log.
            self.inner.gap.notify_one();
        }
    }

    fn extend(&self, events: impl IntoIterator<Item = Event>) -> bool {
        let (whole, end) = {
            let mut ring = self.inner.ring.write().unwrap_or_else(PoisonError::into_inner);
            (ring.extend(events), ring.end)
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
            let step = async {
                tokio::select! {
                    () = self.inner.gap.notified() => {}
                    changed = self.inner.store.changed(self.newest()) => changed?,
                }
                self.catch_up().await
            };
            if let Err(error) = step.await {
                tracing::warn!(%error, "the log cannot be followed");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        loop {
            let records = self.inner.store.read(self.newest(), CHUNK_RECORDS, CHUNK_BYTES).await?;
            if records.is_empty() {
                return Ok(());
            }
            self.extend(records.iter().flat_map(expand));
        }
    }

    /// Ends every subscription.
    pub(crate) fn close(&self) {
        self.inner.head.send_replace(None);
    }
}

fn expand(record: &LogRecord) -> Vec<Event> {
    record.step.events(record.first())
}

/// A position beyond the end of the log was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resync {
    /// The oldest sequence of the log; 0 where it is empty.
    pub oldest: Sequence,
    /// The newest, from where the subscription goes on.
    pub newest: Sequence,
}

/// Reads the feed at its own pace. It holds a bounded number of events, however far it is behind.
#[derive(Debug)]
pub struct Subscription {
    bus: EventBus,
    position: Sequence,
    filter: EventFilter,
    head: watch::Receiver<Option<Sequence>>,
    ready: VecDeque<Arc<SharedEvent>>,
    resync: Option<Resync>,
}

impl Subscription {
    /// The sequence up to which everything that passes the filter was handed out.
    pub fn position(&self) -> Sequence {
        self.position
    }

    /// Set where the position asked for was beyond the end of the log.
    pub fn resync(&self) -> Option<Resync> {
        self.resync
    }

    /// The next event that passes the filter, as soon as there is one; none once the bus is closed. Safe to cancel.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read; the next call tries again from the same position.
    pub async fn next(&mut self) -> Result<Option<Arc<SharedEvent>>, StoreError> {
        loop {
            while let Some(event) = self.ready.pop_front() {
                self.position = event.event().sequence;
                if self.filter.matches(event.event()) {
                    return Ok(Some(event));
                }
            }
            // Marked as seen before the ring is looked at, so that what comes after the look wakes the wait.
            let Some(newest) = *self.head.borrow_and_update() else { return Ok(None) };
            if newest <= self.position {
                if self.head.changed().await.is_err() {
                    return Ok(None);
                }
                continue;
            }
            self.fill().await?;
            // A filter that few events pass must not keep the thread to itself.
            tokio::task::yield_now().await;
        }
    }

    /// The next event if it is at hand already, without waiting for a writer or the log.
    pub fn next_ready(&mut self) -> Option<Arc<SharedEvent>> {
        loop {
            let event = self.ready.pop_front()?;
            self.position = event.event().sequence;
            if self.filter.matches(event.event()) {
                return Some(event);
            }
        }
    }

    async fn fill(&mut self) -> Result<(), StoreError> {
        let recent = {
            let ring = self.bus.inner.ring.read().unwrap_or_else(PoisonError::into_inner);
            ring.after(self.position)
        };
        if let Some(recent) = recent {
            self.ready.extend(recent);
            return Ok(());
        }
        let records = self.bus.inner.store.read(self.position, CHUNK_RECORDS, CHUNK_BYTES).await?;
        let events = records.iter().flat_map(expand).filter(|event| event.sequence > self.position);
        self.ready.extend(events.map(SharedEvent::new));
        if self.ready.is_empty() {
            let store = self.bus.inner.store.name();
            let detail =
                format!("nothing is stored after sequence {}, though there is a newer one", self.position);
            return Err(StoreError::new(StoreErrorKind::Corrupt, store, "read the log", detail));
        }
        Ok(())
    }
}
