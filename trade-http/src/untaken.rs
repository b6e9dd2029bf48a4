//! Large answers that their clients have not taken yet: all of them together take so much memory and no more.

use crate::budget::{Budget, Share};
use crate::problem::Problem;
use crate::reply::REPLAYED;
use axum::body::{Body, HttpBody};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The most bytes of all of them.
const BYTES_MAX: usize = 64 << 20;
/// Smaller ones are not counted.
const COUNTED_BYTES_MIN: usize = 64 * 1024;

/// Room for large answers.
#[derive(Debug, Clone)]
pub(crate) struct Untaken(Budget);

impl Untaken {
    pub(crate) fn new() -> Self {
        Self(Budget::new(BYTES_MAX))
    }

    /// Takes room for an answer, if it is a large one. Where there is none, the answer is refused; but not the first
    /// answer to what was just applied.
    pub(crate) fn count(&self, method: &Method, response: Response) -> (Response, Option<Share>) {
        let bytes = exact_bytes(&response).filter(|bytes| *bytes >= COUNTED_BYTES_MIN);
        let Some(bytes) = bytes else { return (response, None) };
        let mut share = self.0.share();
        if share.take(bytes) {
            return (response, Some(share));
        }
        if method.is_safe() || response.headers().contains_key(REPLAYED) {
            let detail = "too many large answers wait for their clients: try again";
            return (Problem::new("overloaded", detail).into_response(), None);
        }
        (response, None)
    }
}

/// An answer whose room is held until it was taken, and no more of it than the answer takes by now.
pub(crate) fn held(response: Response, share: Option<Share>) -> Response {
    let Some(mut share) = share else { return response };
    if let Some(bytes) = exact_bytes(&response) {
        share.keep(bytes);
    }
    let share = Arc::new(share);
    response.map(|body| Body::new(Counted { body, share }))
}

/// The size of an answer that is known to its end.
pub(crate) fn exact_bytes(response: &Response) -> Option<usize> {
    response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok())
}

/// A body whose bytes are counted wherever they are kept.
struct Counted {
    body: Body,
    share: Arc<Share>,
}

struct CountedBytes {
    bytes: Bytes,
    _share: Arc<Share>,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let share = self.share.clone();
        let counted = |bytes| Bytes::from_owner(CountedBytes { bytes, _share: share });
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(counted))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
