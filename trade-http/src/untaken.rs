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
const COUNTED_BYTES_MIN: u64 = 64 * 1024;

/// Room for large answers.
#[derive(Debug, Clone)]
pub(crate) struct Untaken(Budget);

impl Untaken {
    pub(crate) fn new() -> Self {
        Self(Budget::new(BYTES_MAX))
    }

    /// Counts an answer until it was taken. Where there is no room, it is refused; but not the first answer to what was
    /// just applied.
    pub(crate) fn count(&self, method: &Method, response: Response) -> Response {
        let bytes = response.body().size_hint().exact().filter(|bytes| *bytes >= COUNTED_BYTES_MIN);
        let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) else { return response };
        let mut share = self.0.share();
        if share.take(bytes) {
            let share = Arc::new(share);
            return response.map(|body| Body::new(Counted { body, share }));
        }
        if method.is_safe() || response.headers().contains_key(REPLAYED) {
            let detail = "too many large answers wait for their clients: try again";
            return Problem::new("overloaded", detail).into_response();
        }
        response
    }
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
