//! The memory for all bodies that are on their way or being answered.
//!
//! What a large one takes beyond its beginning, small ones need not wait for. Where there is no room for the beginning of
//! one, the one that is waited for longest is given up.

use crate::budget::{Budget, Share};
use crate::problem::Problem;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// How much of each body is its beginning.
const BEGINNING_BYTES: usize = 64 * 1024;
const BEGINNINGS_BYTES_MAX: usize = 16 << 20;
const REST_BYTES_MAX: usize = 48 << 20;
/// How many are given up for one, and how long each may take to notice.
const GIVEN_UP_MAX: usize = 16;
const GIVE_UP_PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    beginnings: Budget,
    rest: Budget,
    /// Those that did not arrive at once, oldest first; a few of them have ended.
    waited_for: Arc<Mutex<VecDeque<Weak<Notify>>>>,
}

impl Bodies {
    pub(crate) fn new() -> Self {
        Self {
            beginnings: Budget::new(BEGINNINGS_BYTES_MAX),
            rest: Budget::new(REST_BYTES_MAX),
            waited_for: Arc::default(),
        }
    }

    /// More of a body is waited for. It is told where it has to be given up.
    fn wait(&self) -> Arc<Notify> {
        let given_up = Arc::new(Notify::new());
        let mut waited_for = self.waited_for.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that ended are taken out before there is more to be kept.
        if waited_for.len() == waited_for.capacity() {
            waited_for.retain(|other| other.strong_count() > 0);
        }
        waited_for.push_back(Arc::downgrade(&given_up));
        given_up
    }

    fn give_up_the_oldest(&self) {
        let mut waited_for = self.waited_for.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = waited_for.pop_front() {
            if let Some(oldest) = oldest.upgrade() {
                oldest.notify_one();
                return;
            }
        }
    }

    /// Takes room for the beginning of a body, whoever has to be given up for it.
    async fn take_beginning(&self, share: &mut Share, bytes: usize) -> bool {
        for _ in 0..GIVEN_UP_MAX {
            if share.take(bytes) {
                return true;
            }
            self.give_up_the_oldest();
            sleep(GIVE_UP_PAUSE).await;
        }
        share.take(bytes)
    }
}

/// What of a body has arrived, and the room that it has until it is answered.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) bytes: BytesMut,
    /// How long it is said to be.
    declared: usize,
    room: Option<(Share, Share)>,
    given_up: Option<Arc<Notify>>,
}

impl Content {
    /// Of a body that is said to be so long, if that is said.
    pub(crate) fn new(declared: Option<usize>) -> Self {
        Self { declared: declared.unwrap_or(0), ..Self::default() }
    }

    /// # Errors
    /// 503 `overloaded` where there is no room.
    pub(crate) async fn add(&mut self, chunk: &Bytes, bodies: &Bodies) -> Result<(), Problem> {
        let (beginning, rest) =
            self.room.get_or_insert_with(|| (bodies.beginnings.share(), bodies.rest.share()));
        let of_beginning = BEGINNING_BYTES.saturating_sub(self.bytes.len()).min(chunk.len());
        let is_taken = rest.take(chunk.len() - of_beginning);
        if !is_taken || !bodies.take_beginning(beginning, of_beginning).await {
            return Err(too_many());
        }
        // One that proves to be large is not moved again as it grows. What is said to come takes no memory before it does.
        if self.bytes.len() >= BEGINNING_BYTES {
            self.bytes.reserve(chunk.len().max(self.declared.saturating_sub(self.bytes.len())));
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// From now on it may be given up for another.
    pub(crate) fn wait(&mut self, bodies: &Bodies) {
        self.given_up.get_or_insert_with(|| bodies.wait());
    }

    /// What is waited for, unless the body is given up meanwhile.
    ///
    /// # Errors
    /// 503 `overloaded`, then.
    pub(crate) async fn unless_given_up<T>(&self, next: impl Future<Output = T>) -> Result<T, Problem> {
        let Some(given_up) = &self.given_up else { return Ok(next.await) };
        tokio::select! {
            next = next => Ok(next),
            () = given_up.notified() => Err(too_many().unread()),
        }
    }
}

fn too_many() -> Problem {
    Problem::new("overloaded", "too many bodies are on their way: try again")
}
