//! Streams of Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! Under any server the answer of a stream has a body that is pulled: nothing is read from the feed before the
//! connection has room for it, so a slow reader costs neither a writer nor memory. Under [`Connections`] the stream
//! takes the socket over instead ([`direct`]) and leaves it, while it keeps up, to a task that writes to many
//! ([`live`]): a task, a timer, a read buffer and a wake-up per stream are what most of its time and memory goes to.
//!
//! [`Connections`]: crate::Connections

mod direct;
mod groups;
mod live;
mod member;
mod wire;

pub(crate) use live::Live;

use crate::call::Context;
use crate::metrics::OpenStream;
use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use live::RETRY_DELAY;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use trade_core::bus::Subscription;
use trade_core::store::StoreError;
use wire::{BYE, HEARTBEAT};

/// What a stream is made of.
#[derive(Debug)]
pub(crate) struct Feed {
    subscription: Subscription,
    /// Whether the client was told where the stream begins.
    opened: bool,
    /// Whether nothing follows.
    over: bool,
    heartbeat: Duration,
    shutdown: watch::Receiver<bool>,
    live: Arc<Live>,
    /// For the log.
    context: Context,
    _open: OpenStream,
}

/// A feed, until somebody begins to write it: the body of its answer, or a connection that takes it out of there.
#[derive(Debug, Clone)]
pub(crate) struct Unwritten(Arc<Mutex<Option<Feed>>>);

impl Unwritten {
    pub(crate) fn take(&self) -> Option<Feed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The body that writes it, unless it was taken by then.
    pub(crate) fn body(&self) -> Body {
        let frames = stream::unfold((self.clone(), None), |(unwritten, feed)| async move {
            let mut feed: Box<Feed> = match feed {
                Some(feed) => feed,
                None => Box::new(unwritten.take()?),
            };
            let chunk = feed.next().await?;
            Some((Ok::<_, Infallible>(wire::content(&chunk)), (unwritten, Some(feed))))
        });
        Body::from_stream(frames)
    }
}

impl Feed {
    /// A stream of a subscription, that says so when the application ends.
    pub(crate) fn new(
        subscription: Subscription,
        live: Arc<Live>,
        context: Context,
        open: OpenStream,
    ) -> Self {
        let (heartbeat, shutdown) = (live.heartbeat(), live.shutdown());
        Self { subscription, opened: false, over: false, heartbeat, shutdown, live, context, _open: open }
    }

    pub(crate) fn unwritten(self) -> Unwritten {
        Unwritten(Arc::new(Mutex::new(Some(self))))
    }

    /// Where the stream begins, or a comment line where the store does not say so in time; none once the application
    /// ends. Any answer but 200 would end a browser's stream for good, so a store that is away is waited for.
    async fn open(&mut self) -> Option<Bytes> {
        let Self { subscription, shutdown, context, .. } = self;
        let begun = async {
            loop {
                match subscription.begin().await {
                    Ok(resync) => return wire::opening(subscription.position(), resync),
                    Err(error) => rest_after(&error, context, subscription).await,
                }
            }
        };
        let opening = tokio::select! {
            biased;
            opening = begun => opening,
            _ = shutdown.wait_for(|begun| *begun) => return None,
            () = sleep(self.heartbeat) => return Some(HEARTBEAT),
        };
        self.opened = true;
        Some(opening)
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if !self.opened {
            let opening = self.open().await;
            self.over = opening.is_none();
            return Some(opening.unwrap_or(BYE));
        }
        // What is at hand needs neither timer nor wake-up; only the end of the application goes before it.
        if !*self.shutdown.borrow()
            && let Some(event) = self.subscription.next_ready()
        {
            return Some(wire::encoded(&event));
        }
        let Self { subscription, shutdown, context, .. } = self;
        let next = async {
            loop {
                match subscription.next().await {
                    Ok(event) => return event,
                    Err(error) => rest_after(&error, context, subscription).await,
                }
            }
        };
        let event = tokio::select! {
            biased;
            _ = shutdown.wait_for(|begun| *begun) => None,
            event = next => event,
            () = sleep(self.heartbeat) => return Some(HEARTBEAT),
        };
        self.over = event.is_none();
        Some(event.map_or(BYE, |event| wire::encoded(&event)))
    }
}

/// Waits a little after the log could not be read.
async fn rest_after(error: &StoreError, context: &Context, subscription: &Subscription) {
    // Whoever follows the log for all streams tells the operator of it.
    let (request_id, position) = (context.request_id(), subscription.position());
    tracing::debug!(%error, request_id, position, "a stream cannot read the log");
    sleep(RETRY_DELAY).await;
}
