//! A stream of Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! It is pulled: nothing is read from the feed before the connection has room for it, so a slow reader costs neither a
//! writer nor memory. A frame is made once per event and shared by all streams.

use crate::call::Context;
use crate::metrics::OpenStream;
use bytes::Bytes;
use futures::{Stream, stream};
use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use trade_core::bus::{Resync, Subscription};
use trade_core::event::Event;

/// How long a stream waits after its log could not be read.
const RETRY_DELAY: Duration = Duration::from_millis(250);
const HEARTBEAT: Bytes = Bytes::from_static(b": still here\n\n");
const BYE: Bytes = Bytes::from_static(b"event: bye\ndata: {\"reason\":\"shutdown\"}\n\n");

/// What a stream is made of.
#[derive(Debug)]
pub(crate) struct Feed {
    subscription: Subscription,
    /// Told first.
    opening: Option<Bytes>,
    /// Whether nothing follows.
    over: bool,
    heartbeat: Duration,
    shutdown: watch::Receiver<bool>,
    /// For the log.
    context: Context,
    _open: OpenStream,
}

impl Feed {
    /// A stream of a subscription, that says so when the application ends.
    pub(crate) fn new(
        subscription: Subscription,
        heartbeat: Duration,
        shutdown: watch::Receiver<bool>,
        context: Context,
        open: OpenStream,
    ) -> Self {
        let opening = Some(opening(&subscription));
        Self { subscription, opening, over: false, heartbeat, shutdown, context, _open: open }
    }

    /// The frames, one by one.
    pub(crate) fn frames(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut feed| async move {
            let frame = feed.next().await?;
            Some((Ok(frame), feed))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        // What is at hand needs neither timer nor wake-up; only the end of the application goes before it.
        if !*self.shutdown.borrow()
            && let Some(event) = self.subscription.next_ready()
        {
            return Some(event.encoded(encode));
        }
        let silent_until = Instant::now() + self.heartbeat;
        loop {
            let next = tokio::select! {
                biased;
                _ = self.shutdown.wait_for(|begun| *begun) => Ok(None),
                next = self.subscription.next() => next,
                () = sleep_until(silent_until) => return Some(HEARTBEAT),
            };
            match next {
                Ok(Some(event)) => return Some(event.encoded(encode)),
                Ok(None) => {
                    self.over = true;
                    return Some(BYE);
                }
                Err(error) => {
                    let (request_id, position) = (self.context.request_id(), self.subscription.position());
                    tracing::warn!(%error, request_id, position, "a stream cannot read the log");
                    sleep(RETRY_DELAY).await;
                }
            }
        }
    }
}

fn opening(subscription: &Subscription) -> Bytes {
    let position = subscription.position();
    let mut text = format!("retry: 2000\nid: {position}\ndata: Connection established\n\n");
    if let Some(Resync { oldest, newest }) = subscription.resync() {
        let data = format!("{{\"oldest\":{oldest},\"newest\":{newest}}}");
        text += &format!("id: {newest}\nevent: resync\ndata: {data}\n\n");
    }
    text.into()
}

fn encode(event: &Event) -> Bytes {
    let mut frame = Vec::new();
    let head = write!(frame, "id: {}\nevent: {}\ndata: ", event.sequence, event.event_type.as_str());
    // JSON without white space is a single line.
    let written = head.map_err(serde_json::Error::io).and_then(|()| serde_json::to_writer(&mut frame, event));
    if let Err(error) = written {
        tracing::error!(%error, sequence = event.sequence, "an event cannot be written");
        return HEARTBEAT;
    }
    frame.extend_from_slice(b"\n\n");
    frame.shrink_to_fit();
    frame.into()
}
