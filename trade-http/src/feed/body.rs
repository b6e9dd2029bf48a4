//! A stream as the body of an answer.

use super::{Feed, Next, Until, lines};
use axum::Extension;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

/// What goes out at once of that which is at hand, unless a single event is larger.
const PIECE_BYTES: usize = 16 * 1024;

/// A feed, until somebody begins to write it: the body of its answer, or a connection that takes it out of there.
#[derive(Debug, Clone)]
pub(crate) struct Unwritten(Arc<Mutex<Option<Box<Feed>>>>);

impl Unwritten {
    pub(crate) fn take(&self) -> Option<Box<Feed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The body that writes it, unless it was taken by then.
    fn body(&self) -> Body {
        let pieces = stream::unfold((self.clone(), None), |(unwritten, feed)| async move {
            let mut feed: Box<Feed> = match feed {
                Some(feed) => feed,
                None => unwritten.take()?,
            };
            let piece = feed.next_piece().await?;
            Some((Ok::<_, Infallible>(piece), (unwritten, Some(feed))))
        });
        Body::from_stream(pieces)
    }
}

impl IntoResponse for Feed {
    fn into_response(self) -> Response {
        let unwritten = Unwritten(Arc::new(Mutex::new(Some(Box::new(self)))));
        let response = Response::new(unwritten.body());
        // A connection that can write it with less than a body finds it there.
        if cfg!(feature = "takeover") { (Extension(unwritten), response).into_response() } else { response }
    }
}

impl Feed {
    /// What is sent next, with all that is at hand after it; none at the end.
    async fn next_piece(&mut self) -> Option<Bytes> {
        let heartbeat = self.common.heartbeat;
        let event = loop {
            match self.next(Until::TheEnd, heartbeat).await? {
                Next::Event(event) => break event,
                Next::Lines(lines) => return Some(lines),
                Next::CaughtUp => {}
            }
        };
        let first = lines::of(&event);
        let (mut length, mut parts) = (first.len(), vec![first]);
        while length < PIECE_BYTES
            && let Some(event) = self.next_ready()
        {
            let part = lines::of(&event);
            length += part.len();
            parts.push(part);
        }
        match <[Bytes; 1]>::try_from(parts) {
            // Shared by all streams.
            Ok([only]) => Some(only),
            Err(parts) => Some(parts.concat().into()),
        }
    }
}
