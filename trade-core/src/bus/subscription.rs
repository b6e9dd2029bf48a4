//! A reader of the feed.

use super::chunk::{self, Chunk};
use super::end::Moment;
use super::{EventBus, SharedEvent};
use crate::event::EventFilter;
use crate::resource::Sequence;
use crate::store::StoreError;
use crate::telemetry::Counted;
use futures_core::Stream;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::watch;

/// A position beyond the end of the log was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resync {
    /// The oldest sequence of the log; 0 where it is empty.
    pub oldest: Sequence,
    /// The newest, from where the subscription goes on.
    pub newest: Sequence,
}

/// Reads the feed at its own pace. It holds a bounded number of events, however far it is behind.
///
/// It is a [`Stream`] of what [`next`](Self::next) answers, which ends once the bus is closed. An error does not end it: polled
/// again, it tries again from the same position. Whoever stops polling it for another method loses no event.
#[derive(Debug)]
pub struct Subscription {
    bus: EventBus,
    position: Sequence,
    filter: EventFilter,
    head: watch::Receiver<Option<Sequence>>,
    /// Events that others share, some of them after the position.
    chunk: Option<Arc<Chunk>>,
    /// Since when it is to be found out whether the position is in the log; none where it is.
    undecided_since: Option<Moment>,
    resync: Option<Resync>,
    waiting: Waiting,
    /// Among those that are open.
    _counted: Counted,
}

/// What [`Subscription::next`] answers, and the subscription after it.
type Next = Pin<Box<dyn Future<Output = (Answer, Subscription)> + Send>>;
type Answer = Result<Option<Arc<SharedEvent>>, StoreError>;

/// What a stream waits for. Nobody waits for the mutex: it is there for a subscription to be [`Sync`].
#[derive(Default)]
struct Waiting(Mutex<Option<Next>>);

impl Waiting {
    fn take(&mut self) -> Option<Next> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl Subscription {
    pub(super) fn new(
        bus: EventBus,
        position: Sequence,
        filter: EventFilter,
        undecided_since: Option<Moment>,
    ) -> Self {
        let (head, counted) = (bus.head(), bus.inner.telemetry.subscribed());
        Self {
            bus,
            position,
            filter,
            head,
            chunk: None,
            undecided_since,
            resync: None,
            waiting: Waiting::default(),
            _counted: counted,
        }
    }

    /// Makes sure that the log reaches as far as the position asked for, and otherwise goes to its end and says so.
    /// The store is asked only where the bus does not know, and once for all subscriptions that wait to hear it;
    /// reading begins so by itself. Safe to cancel.
    ///
    /// # Errors
    /// [`StoreError`] if the end of the log cannot be read; a call after a quarter of a second tries again.
    pub async fn begin(&mut self) -> Result<Option<Resync>, StoreError> {
        self.waiting.take();
        // Of a bus that is closed nothing is read, and nothing is known.
        if let Some(moment) = self.undecided_since
            && !self.bus.is_closed()
        {
            let newest = self.bus.end_of_log(moment).await?;
            if self.position > newest {
                self.resync = Some(Resync { oldest: newest.min(1), newest });
                self.position = newest;
            }
            self.undecided_since = None;
        }
        Ok(self.resync)
    }

    /// The sequence up to which everything that passes the filter was handed out. Before it has begun, the one asked
    /// for.
    pub fn position(&self) -> Sequence {
        self.position
    }

    /// What the subscription is narrowed to.
    pub fn filter(&self) -> &EventFilter {
        &self.filter
    }

    /// Goes on after another position, and holds no event until it is asked for one: what was handed out is handed
    /// out again where the position is an earlier one, and nothing up to it where it is a later one.
    pub fn seek(&mut self, position: Sequence) {
        self.position = position;
        self.chunk = None;
        self.undecided_since = None;
        self.waiting.take();
    }

    /// The next event that passes the filter, as soon as there is one; none once the bus is closed
    /// ([`EventBus::is_closed`]) and everything was handed out. Safe to cancel.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read; the next call tries again from the same position.
    pub async fn next(&mut self) -> Result<Option<Arc<SharedEvent>>, StoreError> {
        self.begin().await?;
        loop {
            if let Some(event) = self.next_ready() {
                return Ok(Some(event));
            }
            // Marked as seen before the events are looked at, so that what comes after the look wakes the wait.
            let is_closed = self.head.borrow_and_update().is_none();
            if let Some(event) = self.next_stored().await? {
                return Ok(Some(event));
            }
            if is_closed || self.head.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// The next event that passes the filter, if it was committed already; it waits for no writer. Safe to cancel.
    ///
    /// # Errors
    /// As [`Subscription::next`].
    pub async fn next_stored(&mut self) -> Result<Option<Arc<SharedEvent>>, StoreError> {
        self.begin().await?;
        loop {
            if let Some(event) = self.next_ready() {
                return Ok(Some(event));
            }
            let behind = self.bus.newest().saturating_sub(self.position);
            if behind == 0 || self.bus.is_over() {
                return Ok(None);
            }
            self.chunk = Some(self.bus.chunk_after(self.position).await?);
            if behind > chunk::EVENTS_MAX as u64 {
                // A reader that is far behind, or a filter that few events pass, must not keep the thread to itself.
                tokio::task::yield_now().await;
            }
        }
    }

    /// The next event if it is at hand already, without waiting for a writer or the log.
    pub fn next_ready(&mut self) -> Option<Arc<SharedEvent>> {
        self.waiting.take();
        let chunk = self.chunk.as_ref()?;
        if let Some(event) = chunk.next(self.position, &self.filter) {
            self.position = event.event().sequence;
            return Some(event.clone());
        }
        self.position = self.position.max(chunk.last());
        self.chunk = None;
        None
    }

    /// Waits for the next event on a copy of itself, which takes its place then.
    fn wait(&self) -> Next {
        let mut next = Self {
            bus: self.bus.clone(),
            position: self.position,
            filter: self.filter.clone(),
            head: self.head.clone(),
            chunk: self.chunk.clone(),
            undecided_since: self.undecided_since,
            resync: self.resync,
            waiting: Waiting::default(),
            _counted: self.bus.inner.telemetry.subscribed(),
        };
        Box::pin(async move { (next.next().await, next) })
    }
}

impl Stream for Subscription {
    type Item = Result<Arc<SharedEvent>, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut waiting = match self.waiting.take() {
            Some(waiting) => waiting,
            None => match self.next_ready() {
                Some(event) => return Poll::Ready(Some(Ok(event))),
                None => self.wait(),
            },
        };
        match waiting.as_mut().poll(context) {
            Poll::Ready((answer, subscription)) => {
                *self = subscription;
                Poll::Ready(answer.transpose())
            }
            Poll::Pending => {
                self.waiting = Waiting(Mutex::new(Some(waiting)));
                Poll::Pending
            }
        }
    }
}
