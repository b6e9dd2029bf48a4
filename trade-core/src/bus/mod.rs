//! The live feed: every event once, in the order of the log.
//!
//! The log is the truth and the bus only a hint. A subscription reads from a bounded ring of recent events while it
//! keeps up, and from the log where it does not; a wake-up that is lost costs delay, never an event. Either way it is
//! handed chunks of events that all readers share, so that a reader costs no copy, and a replay by many one read.

mod chunk;
mod end;
mod history;
mod ring;
mod subscription;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use subscription::{Resync, Subscription};

use crate::clock::Clock;
use crate::event::{Event, EventFilter};
use crate::outage::Outage;
use crate::resource::Sequence;
use crate::store::{Head, LogRecord, Store, StoreError, StoreErrorKind};
use crate::telemetry;
use bytes::Bytes;
use chunk::Chunk;
use end::{EndOfLog, Moment};
use history::History;
use ring::{Extended, Ring};
use std::any::TypeId;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Records and bytes the bus reads from the log at a time when it follows other processes.
const FOLLOW_RECORDS: usize = 128;
const FOLLOW_BYTES: usize = 256 * 1024;
/// How long the bus waits for what the committer is about to read of others.
const HANDOVER_MAX: Duration = Duration::from_millis(20);
/// How often the bus looks whether the log still reaches as far as it did.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// After the end, how long the log is read for subscriptions that are behind.
const TAIL_MAX: Duration = Duration::from_secs(5);
/// How long the bus waits after the store failed.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// A form in which events are sent, made once for an event and shared by all who send it so. The type alone stands for
/// the form; it has no values.
pub trait Encoding: 'static {
    /// The event in this form.
    fn encode(event: &Event) -> Bytes;
}

/// An event as all its readers share it.
#[derive(Debug)]
pub struct SharedEvent {
    event: Event,
    encoded: Encoded,
}

/// An event in the forms that were asked for: a list, to whose end a form is added once.
type Encoded = OnceLock<Box<EncodedAs>>;

#[derive(Debug)]
struct EncodedAs {
    encoding: TypeId,
    bytes: Bytes,
    next: Encoded,
}

impl SharedEvent {
    fn new(event: Event) -> Arc<Self> {
        Arc::new(Self { event, encoded: Encoded::new() })
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The event in a form, made by the first reader that asks for it.
    pub fn encoded<E: Encoding>(&self) -> Bytes {
        let encoding = TypeId::of::<E>();
        let mut place = &self.encoded;
        loop {
            let form = place.get_or_init(|| {
                Box::new(EncodedAs { encoding, bytes: E::encode(&self.event), next: Encoded::new() })
            });
            if form.encoding == encoding {
                return form.bytes.clone();
            }
            place = &form.next;
        }
    }

    fn lines(&self) -> usize {
        use crate::event::EventData::{Cargo, Inventory, Trade};
        match &self.event.data {
            Trade(trade) => trade.lines(),
            Cargo(cargo) => cargo.lines(),
            Inventory(update) => update.inventory.lines() + update.movements.len(),
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
    end_of_log: EndOfLog,
    /// The newest sequence in the ring, or none once the bus is closed.
    head: watch::Sender<Option<Sequence>>,
    /// Told when events were committed that the ring could not take, since others before them are missing.
    gap: Notify,
    /// The newest sequence that this process committed.
    published: AtomicU64,
    /// Once the bus is closed: until when subscriptions read what they have not seen yet.
    tail_until: OnceLock<Instant>,
    /// Whether the committer is about to read what others wrote, and hands it over: it need not be read and decoded
    /// twice.
    is_handover_due: AtomicBool,
    /// Whether the log is another than it was.
    is_lost: AtomicBool,
    clock: Arc<dyn Clock>,
    telemetry: telemetry::Feed,
}

/// For as long as a handover is due.
#[derive(Debug)]
pub(crate) struct HandoverDue(EventBus);

impl Drop for HandoverDue {
    fn drop(&mut self) {
        self.0.inner.is_handover_due.store(false, Ordering::Relaxed);
    }
}

impl EventBus {
    /// A bus over a store whose log ends at `head`.
    pub(crate) fn new(store: Arc<dyn Store>, head: Head, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            ring: RwLock::new(Ring::new(head)),
            history: History::new(store.clone()),
            end_of_log: EndOfLog::default(),
            store,
            head: watch::Sender::new(Some(head.sequence)),
            gap: Notify::new(),
            published: AtomicU64::new(0),
            tail_until: OnceLock::new(),
            is_handover_due: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            clock,
            telemetry: telemetry::Feed::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The newest sequence the bus knows.
    pub fn newest(&self) -> Sequence {
        self.end().sequence
    }

    /// The newest place of the log that the bus knows.
    pub(crate) fn end(&self) -> Head {
        self.inner.ring.read().unwrap_or_else(PoisonError::into_inner).end()
    }

    /// Whether nothing follows what is known now: the service was shut down, or its log is another than it was (a backup
    /// was restored beneath it). After a shutdown each subscription hands out what was committed before, and ends; where it
    /// is so far behind that the log has to be read, it may end before that, five seconds after the shutdown. Of a log that
    /// is another no subscriber may hear as if it went on: all subscriptions end at once. Whoever restored the backup starts
    /// the service again; those who subscribe then, beyond the end of the log, are told so.
    pub fn is_closed(&self) -> bool {
        self.inner.head.borrow().is_none()
    }

    /// Whether subscriptions end, whether they have handed out everything or not.
    fn is_over(&self) -> bool {
        let is_late = || self.inner.tail_until.get().is_some_and(|until| Instant::now() >= *until);
        self.is_closed() && (self.inner.is_lost.load(Ordering::Relaxed) || is_late())
    }

    /// Subscribes to what comes after `after`, or from now on.
    ///
    /// A position beyond the end of the log (a backup was restored, say) becomes a subscription from the end of the log
    /// that says so: [`Subscription::begin`].
    pub fn subscribe(&self, after: Option<Sequence>, filter: EventFilter) -> Subscription {
        let newest = self.newest();
        let position = after.unwrap_or(newest);
        let undecided_since = (position > newest).then(|| self.inner.end_of_log.now());
        Subscription::new(self.clone(), position, filter, undecided_since)
    }

    /// Hears of steps that were committed by this process.
    pub(crate) fn publish(&self, records: Vec<LogRecord>) {
        let newest = records.last().map_or(0, |record| record.last);
        self.inner.published.fetch_max(newest, Ordering::Relaxed);
        if self.extend(records) == Extended::Gap {
            // What is missing is read from the log.
            self.inner.gap.notify_one();
        }
    }

    /// The committer, of which there is one, is about to read what others wrote, and hands it over.
    pub(crate) fn expect_handover(&self) -> HandoverDue {
        self.inner.is_handover_due.store(true, Ordering::Relaxed);
        HandoverDue(self.clone())
    }

    /// Hears of steps that others committed. Where some before them are missing, all are read from the log in time.
    pub(crate) fn hand_over(&self, records: Vec<LogRecord>) {
        self.extend(records);
    }

    fn extend(&self, records: Vec<LogRecord>) -> Extended {
        tell_traces(&records);
        let (became, Head { sequence: end, time }) = {
            let mut ring = self.inner.ring.write().unwrap_or_else(PoisonError::into_inner);
            (ring.extend(records), ring.end())
        };
        let is_news = self.inner.head.send_if_modified(|head| {
            let newer = head.is_some_and(|head| head < end);
            if newer {
                *head = Some(end);
            }
            newer
        });
        if is_news {
            let millis = self.inner.clock.now().millis().saturating_sub(time.millis());
            let delay = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
            self.inner.telemetry.delay.record(delay);
        }
        if became == Extended::Other {
            self.lose(&format!("a step has {end} in it, where one had ended"));
        }
        became
    }

    /// The log is not the one that was followed.
    pub(crate) fn lose(&self, how: &str) {
        if self.inner.is_lost.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::error!(
            how,
            "the log is another than it was: all streams end, nothing is committed, and the server has to be started again"
        );
        self.close();
    }

    /// What keeps everyone from writing to a log that is another than it was; none where it is the same.
    pub(crate) fn loss(&self) -> Option<StoreError> {
        let detail = "the log is another than it was: the server has to be started again";
        let is_lost = self.inner.is_lost.load(Ordering::Relaxed);
        is_lost.then(|| {
            StoreError::new(StoreErrorKind::Unavailable, self.inner.store.name(), "follow the log", detail)
        })
    }

    /// Follows the log for what other processes write, until the bus is closed.
    pub(crate) async fn follow(self) {
        let mut closed = self.inner.head.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(Option::is_none) => {}
            () = self.follow_log() => {}
        }
    }

    async fn follow_log(&self) {
        let mut look_at = Instant::now() + LOOK_INTERVAL;
        let outage = Outage::new("follow the log");
        loop {
            let newest = self.newest();
            // What is read and not taken in when it is time to look is read again.
            let followed = tokio::select! {
                biased;
                () = sleep_until(look_at) => {
                    look_at = Instant::now() + LOOK_INTERVAL;
                    self.look().await
                }
                followed = self.follow_on(newest) => followed,
            };
            match followed {
                Ok(()) => outage.worked(),
                Err(error) => {
                    outage.failed(&error);
                    sleep(RETRY_DELAY).await;
                    // Who took over meanwhile may have another log.
                    look_at = Instant::now();
                }
            }
        }
    }

    async fn follow_on(&self, newest: Sequence) -> Result<(), StoreError> {
        tokio::select! {
            biased;
            () = self.inner.gap.notified() => {}
            changed = self.inner.store.changed(newest) => {
                changed?;
                if self.is_handed_over(newest).await {
                    return Ok(());
                }
            }
        }
        self.catch_up().await?;
        // It was woken for nothing, or cannot read what is there.
        if self.newest() == newest { self.look().await } else { Ok(()) }
    }

    /// Looks whether the log is the one that was followed, and whole to its end.
    async fn look(&self) -> Result<(), StoreError> {
        let known = self.end();
        let end = self.inner.store.head().await?.sequence;
        if end < known.sequence {
            self.lose(&format!("it ends at {end}, where it had {}", known.sequence));
            return Ok(());
        }
        // From the step before, which shows that it is the same.
        let after = known.sequence.saturating_sub(1);
        let records = self.inner.store.read(after, FOLLOW_RECORDS, FOLLOW_BYTES).await?;
        if known != Head::EMPTY && records.first().is_some_and(|record| record.head() != known) {
            self.lose(&format!("the step is another that ends at {}", known.sequence));
            return Ok(());
        }
        let reaches = records.last().map_or(after, |record| record.last);
        self.extend(records);
        self.inner.telemetry.lag.set(end.saturating_sub(self.newest()) as f64);
        // Whoever was told of an end can read that far.
        if self.newest() == known.sequence && reaches < end {
            return Err(
                self.corrupt(format!("there is nothing after {reaches}, though the log ends at {end}"))
            );
        }
        Ok(())
    }

    /// Waits for what comes after `newest` from the committer, where that is about to read it. `false` where it must be
    /// read here.
    async fn is_handed_over(&self, newest: Sequence) -> bool {
        if !self.inner.is_handover_due.load(Ordering::Relaxed) {
            return false;
        }
        let mut head = self.head();
        let newer = head.wait_for(|head| head.is_none_or(|head| head > newest));
        tokio::select! {
            biased;
            newer = timeout(HANDOVER_MAX, newer) => newer.is_ok(),
            () = self.inner.gap.notified() => false,
        }
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        loop {
            let newest = self.newest();
            let records = self.inner.store.read(newest, FOLLOW_RECORDS, FOLLOW_BYTES).await?;
            let Some(first) = records.first().map(LogRecord::first) else { return Ok(()) };
            let became = self.extend(records);
            if self.newest() == newest {
                return match became {
                    Extended::Gap => {
                        Err(self.corrupt(format!("there is nothing between {newest} and {first}")))
                    }
                    Extended::Whole | Extended::Other => Ok(()),
                };
            }
        }
    }

    fn corrupt(&self, detail: String) -> StoreError {
        StoreError::new(StoreErrorKind::Corrupt, self.inner.store.name(), "follow the log", detail)
    }

    /// The newest sequence of the log by the store, at some time after a moment.
    async fn end_of_log(&self, after: Moment) -> Result<Sequence, StoreError> {
        self.inner.end_of_log.after(after, &*self.inner.store).await
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

    /// Makes sure, for a while, that subscriptions can read all that was published: what others wrote before it may still
    /// have to be read from the log.
    pub(crate) async fn fill_gap(&self) {
        let published = self.inner.published.load(Ordering::Relaxed);
        let filled = async {
            while self.newest() < published && !self.is_closed() {
                if self.catch_up().await.is_err() || self.newest() < published {
                    sleep(RETRY_DELAY).await;
                }
            }
        };
        // Whoever lacks something after that goes on at another server, or after a restart.
        let _ = timeout(TAIL_MAX, filled).await;
    }

    /// Ends every subscription, once it has handed out what is known.
    pub(crate) fn close(&self) {
        self.inner.tail_until.get_or_init(|| Instant::now() + TAIL_MAX);
        self.inner.head.send_replace(None);
    }
}

/// Tells those who follow a request through several systems where it got to.
fn tell_traces(records: &[LogRecord]) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for record in records {
        if let Some(trace_parent) = record.step.cause.as_ref().and_then(|cause| cause.trace_parent) {
            tracing::debug!(last = record.last, traceparent = %trace_parent, "subscribers can have a step");
        }
    }
}
