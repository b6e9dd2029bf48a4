//! Streams of Server-Sent Events.
//!
//! A [`Feed`] says what a stream holds, from its opening to its end. Under any server the answer of a stream has a
//! [`body`] that is pulled: nothing is read from the feed before the connection has room for it, so a slow reader costs
//! neither a writer nor memory. With the feature `takeover` a plain connection of HTTP/1.1 has another writer
//! ([`crate::takeover`]).

mod body;
mod ending;
pub(crate) mod lines;

#[cfg(feature = "takeover")]
pub(crate) use body::Unwritten;

use crate::access::Lease;
use crate::access::leases::Leases;
use crate::call::Context;
use crate::metrics::OpenStream;
use crate::options::{HttpOptions, Shutdown};
use bytes::Bytes;
use ending::{Bye, Ending};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use trade_core::bus::{SharedEvent, Subscription};
use trade_core::clock::Clock;
use trade_core::store::StoreError;

/// How long a stream waits after its log could not be read.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(250);

/// What the feeds of a router have in common.
#[derive(Debug)]
pub(crate) struct Feeds {
    /// How long a client may hear nothing.
    pub(crate) heartbeat: Duration,
    shutdown: Shutdown,
    leases: Leases,
}

impl Feeds {
    pub(crate) fn new(options: &HttpOptions, clock: Arc<dyn Clock>) -> Self {
        let (heartbeat, shutdown) = (options.heartbeat, options.shutdown.clone());
        Self { heartbeat, shutdown, leases: Leases::new(clock) }
    }
}

/// What a stream holds.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) subscription: Subscription,
    stage: Stage,
    pub(crate) ending: Ending,
    pub(crate) common: Arc<Feeds>,
    /// For the log.
    context: Context,
    _open: OpenStream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The client was not told where the stream begins.
    New,
    Open,
    /// The client is to be told that the stream ends.
    #[cfg(feature = "takeover")]
    Ending,
    Over,
}

/// What comes next in a stream.
#[derive(Debug)]
pub(crate) enum Next {
    Event(Arc<SharedEvent>),
    /// The opening, a comment that shows life, or the end.
    Lines(Bytes),
    /// All that is stored was handed out.
    CaughtUp,
}

/// Where a part of a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Where there is nothing more at this moment.
    #[cfg_attr(not(feature = "takeover"), allow(dead_code, reason = "a body waits"))]
    CaughtUp,
    /// With the application, or the login of its reader.
    TheEnd,
}

impl Feed {
    /// A stream of a subscription, that says so when the application ends, or the lease of its reader.
    pub(crate) fn new(
        subscription: Subscription,
        lease: Lease,
        common: Arc<Feeds>,
        context: Context,
        open: OpenStream,
    ) -> Self {
        let ending = Ending::new(common.shutdown.watch(), common.leases.open(lease));
        Self { subscription, stage: Stage::New, ending, common, context, _open: open }
    }

    /// What comes next; none after the end. `silence` is how long the client may still hear nothing. It may be given up,
    /// and loses nothing by that.
    pub(crate) async fn next(&mut self, until: Until, silence: Duration) -> Option<Next> {
        match self.stage {
            Stage::New => Some(self.open(silence).await),
            Stage::Open => Some(self.follow(until, silence).await),
            #[cfg(feature = "takeover")]
            Stage::Ending => Some(self.bye(self.ending.reached())),
            Stage::Over => None,
        }
    }

    /// An event that needs no waiting.
    fn next_ready(&mut self) -> Option<Arc<SharedEvent>> {
        // Only the end of the stream goes before it.
        if self.stage != Stage::Open || self.ending.reached().is_some() {
            return None;
        }
        self.subscription.next_ready()
    }

    /// The end comes next, whatever follows in the log.
    #[cfg(feature = "takeover")]
    pub(crate) fn end(&mut self) {
        self.stage = Stage::Ending;
    }

    /// Where the stream begins, or a comment where the store does not say so in time. Any answer but 200 would end a
    /// browser's stream for good, so a store that is away is waited for.
    async fn open(&mut self, silence: Duration) -> Next {
        let Self { subscription, ending, context, .. } = self;
        let begun = async {
            loop {
                match subscription.begin().await {
                    Ok(resync) => return lines::opening(subscription.position(), resync),
                    Err(error) => rest_after(&error, context, subscription).await,
                }
            }
        };
        let opening = tokio::select! {
            biased;
            opening = begun => Ok(opening),
            bye = ending.come() => Err(bye),
            () = sleep(silence) => return Next::Lines(lines::STILL_HERE),
        };
        match opening {
            Ok(opening) => {
                self.stage = Stage::Open;
                Next::Lines(opening)
            }
            Err(bye) => self.bye(Some(bye)),
        }
    }

    async fn follow(&mut self, until: Until, silence: Duration) -> Next {
        // What is at hand needs neither timer nor wake-up.
        if until == Until::TheEnd
            && let Some(event) = self.next_ready()
        {
            return Next::Event(event);
        }
        let Self { subscription, ending, context, .. } = self;
        let read = async {
            loop {
                let read = match until {
                    Until::CaughtUp => subscription.next_stored().await,
                    Until::TheEnd => subscription.next().await,
                };
                match read {
                    Ok(event) => return event,
                    Err(error) => rest_after(&error, context, subscription).await,
                }
            }
        };
        let event = tokio::select! {
            biased;
            bye = ending.come() => Err(bye),
            event = read => Ok(event),
            () = sleep(silence) => return Next::Lines(lines::STILL_HERE),
        };
        match event {
            Ok(Some(event)) => Next::Event(event),
            Ok(None) if until == Until::CaughtUp => Next::CaughtUp,
            Ok(None) => self.bye(None),
            Err(bye) => self.bye(Some(bye)),
        }
    }

    /// The last event. Where nothing else is known, the network itself has ended.
    fn bye(&mut self, why: Option<Bye>) -> Next {
        self.stage = Stage::Over;
        Next::Lines(why.unwrap_or(Bye::Shutdown).lines())
    }
}

/// Waits a little after the log could not be read.
async fn rest_after(error: &StoreError, context: &Context, subscription: &Subscription) {
    // Whoever follows the log for all streams tells the operator of it.
    let (request_id, position) = (context.request_id(), subscription.position());
    tracing::debug!(%error, request_id, position, "a stream cannot read the log");
    sleep(RETRY_DELAY).await;
}
