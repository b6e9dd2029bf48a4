//! A reader of the feed.

use super::chunk::{self, Chunk};
use super::end::Moment;
use super::{EventBus, SharedEvent};
use crate::event::EventFilter;
use crate::resource::Sequence;
use crate::store::StoreError;
use std::sync::Arc;
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
}

impl Subscription {
    pub(super) fn new(
        bus: EventBus,
        position: Sequence,
        filter: EventFilter,
        undecided_since: Option<Moment>,
    ) -> Self {
        let head = bus.head();
        Self { bus, position, filter, head, chunk: None, undecided_since, resync: None }
    }

    /// Makes sure that the log reaches as far as the position asked for, and otherwise goes to its end and says so.
    /// The store is asked only where the bus does not know, and once for all subscriptions that wait to hear it;
    /// reading begins so by itself. Safe to cancel.
    ///
    /// # Errors
    /// [`StoreError`] if the end of the log cannot be read; a call after a quarter of a second tries again.
    pub async fn begin(&mut self) -> Result<Option<Resync>, StoreError> {
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
        let chunk = self.chunk.as_ref()?;
        if let Some(event) = chunk.next(self.position, &self.filter) {
            self.position = event.event().sequence;
            return Some(event.clone());
        }
        self.position = self.position.max(chunk.last());
        self.chunk = None;
        None
    }
}
