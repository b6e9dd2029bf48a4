//! How an answer is taken in HTTP/2: as fast as its client makes room, and not at all for only so long.
//!
//! Of each answer one piece is on its way. The next one, or the end, follows once that was written. So what a client
//! does not take is one piece, the task that answers is there until all was taken, and ending it resets the answer.

use axum::body::{Body, HttpBody};
use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

tokio::task_local! {
    /// That of the request whose task this is.
    static TAKING: Arc<Taking>;
}

/// Runs a request, with its answer, until it is done, or its client takes nothing for too long.
pub(super) async fn patiently(request: impl Future<Output = ()>, limit: Duration) {
    let taking = Arc::<Taking>::default();
    tokio::select! {
        biased;
        () = TAKING.scope(taking.clone(), request) => {}
        () = taking.stalled(limit) => tracing::debug!("a client takes nothing of its answer"),
    }
}

/// What became of the piece of an answer that is on its way.
#[derive(Debug, Default)]
struct Taking(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since when nothing of it was taken; none without a piece.
    waits_since: Option<Instant>,
    /// To be told once all of it was.
    next: Option<Waker>,
}

impl Taking {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(self: &Arc<Self>, bytes: Bytes) -> Piece {
        self.moved();
        Piece { bytes, taking: self.clone() }
    }

    fn moved(&self) {
        self.state().waits_since = Some(Instant::now());
    }

    fn taken(&self) {
        let mut state = self.state();
        state.waits_since = None;
        let next = state.next.take();
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }

    /// Resolves when no piece is on its way.
    fn poll_taken(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.waits_since.is_none() {
            return Poll::Ready(());
        }
        state.next = Some(context.waker().clone());
        Poll::Pending
    }

    /// Resolves when nothing was taken of a piece for so long.
    async fn stalled(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let waits_since = self.state().waits_since;
            let until = waits_since.unwrap_or(now) + limit;
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// Bytes of an answer, on their way.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    taking: Arc<Taking>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.taking.moved();
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.taking.taken();
    }
}

/// The body of an answer, a piece at a time. It holds on to something until all was taken.
#[derive(Debug)]
pub(super) struct TakenBody<H> {
    body: Body,
    taking: Arc<Taking>,
    has_begun: bool,
    _held: H,
}

impl<H> TakenBody<H> {
    /// Made by the task of its request.
    pub(super) fn new(body: Body, held: H) -> Self {
        let taking = TAKING.try_with(Arc::clone).unwrap_or_default();
        Self { body, taking, has_begun: false, _held: held }
    }
}

impl<H: Unpin> HttpBody for TakenBody<H> {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        ready!(self.taking.poll_taken(context));
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.has_begun = true;
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| self.taking.send(bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        // The end goes by itself, after what was sent was taken.
        !self.has_begun && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::future::poll_fn;
    use tokio::time::sleep;

    const LIMIT: Duration = Duration::from_secs(60);

    async fn piece(body: &mut TakenBody<()>) -> Option<Piece> {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        frame.unwrap().into_data().ok()
    }

    #[tokio::test]
    async fn the_end_follows_what_was_sent_once_that_was_taken() {
        let mut body = TakenBody::new(Body::from("x"), ());
        assert!(!body.is_end_stream());
        let first = piece(&mut body).await.unwrap();
        assert!(!body.is_end_stream() && piece(&mut body).now_or_never().is_none());
        drop(first);
        assert!(piece(&mut body).await.is_none());
        assert!(TakenBody::new(Body::empty(), ()).is_end_stream(), "there is nothing to be taken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_of_which_nothing_is_taken_ends_its_request() {
        let begin = Instant::now();
        let request = async {
            let mut body = TakenBody::new(Body::from("xyz"), ());
            // Long before there is an answer, and slowly.
            sleep(LIMIT * 3).await;
            let mut piece = piece(&mut body).await.unwrap();
            sleep(LIMIT - Duration::from_secs(1)).await;
            piece.advance(1);
            sleep(LIMIT * 9).await;
        };
        patiently(request, LIMIT).await;
        assert_eq!(begin.elapsed().as_secs(), 180 + 59 + 60);
    }
}
