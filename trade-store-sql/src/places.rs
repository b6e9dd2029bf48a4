//! Places for the connections of a lane, and the connections that nobody uses now.

use crate::driver::Driver;
use crate::telemetry;
use metrics::Gauge;
use sqlx::Connection;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot, watch};
use tokio::time::timeout;

/// After so long one place more is tried, where the server had no room for all of them.
const WIDEN_PAUSE: Duration = Duration::from_secs(5);
/// How long the end of a connection that is given up may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// So many places. Whoever has one uses a connection that nobody uses now, or makes one.
#[derive(Debug)]
pub(crate) struct Places<E: Driver> {
    most: usize,
    free: Semaphore,
    state: Mutex<State<E>>,
    /// Told each time that not even one connection can be had.
    lack: watch::Sender<()>,
    telemetry: Gauge,
}

#[derive(Debug)]
struct State<E: Driver> {
    /// Connections that nobody uses, and since when. The one that was used last is the last.
    idle: Vec<(E::Connection, Instant)>,
    /// How many are used.
    used: usize,
    /// How many places there are: fewer than at most where the server has no room for as many connections, never none.
    width: usize,
    /// When that last changed.
    changed_at: Instant,
    /// Who waits for a connection to be given up.
    wanted: Vec<oneshot::Sender<Option<E::Connection>>>,
}

/// A place, and the use of a connection at it. Dropped, both end.
#[derive(Debug)]
pub(crate) struct Used<'p, E: Driver> {
    places: &'p Places<E>,
    _place: SemaphorePermit<'p>,
}

impl<E: Driver> Drop for Used<'_, E> {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.used -= 1;
        self.places.telemetry.decrement(1);
        // Whether it came back or not, it is no longer used.
        if let Some(wanted) = state.wanted.pop() {
            let _ = wanted.send(None);
        }
    }
}

impl<E: Driver> Places<E> {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let state =
            State { idle: Vec::new(), used: 0, width: most, changed_at: Instant::now(), wanted: Vec::new() };
        Arc::new(Self {
            most,
            free: Semaphore::new(most),
            state: Mutex::new(state),
            lack: watch::Sender::new(()),
            telemetry: telemetry::used(E::NAME),
        })
    }

    /// Waits for a place, first come, first served. None once they are closed.
    pub(crate) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        self.widen();
        self.free.acquire().await.ok()
    }

    /// A place, if one is free.
    pub(crate) fn try_take(&self) -> Option<SemaphorePermit<'_>> {
        self.free.try_acquire().ok()
    }

    /// Notes that a connection is used at a place.
    pub(crate) fn used<'p>(&'p self, place: SemaphorePermit<'p>) -> Used<'p, E> {
        self.state().used += 1;
        self.telemetry.increment(1);
        Used { places: self, _place: place }
    }

    /// The connection that was used last, and when that was.
    pub(crate) fn pop(&self) -> Option<(E::Connection, Instant)> {
        self.state().idle.pop()
    }

    /// A connection that nobody uses any more, and when it was used last.
    pub(crate) fn push(&self, mut connection: E::Connection, used_at: Instant) {
        let mut state = self.state();
        while let Some(wanted) = state.wanted.pop() {
            match wanted.send(Some(connection)) {
                Ok(()) => return,
                Err(unwanted) => match unwanted {
                    Some(unwanted) => connection = unwanted,
                    None => return,
                },
            }
        }
        if !self.free.is_closed() {
            state.idle.push((connection, used_at));
        }
    }

    /// Forgets the connections that nobody uses: their server was gone.
    pub(crate) fn clear(&self) {
        self.state().idle.clear();
    }

    /// Closes the connection that was not used for longest, if for so long. Nobody waits for that.
    pub(crate) fn close_unused(&self, since: Duration) {
        let unused = {
            let mut state = self.state();
            let is_unused = state.idle.first().is_some_and(|(_, used_at)| used_at.elapsed() >= since);
            is_unused.then(|| state.idle.remove(0))
        };
        if let Some((connection, _)) = unused {
            tokio::spawn(close::<E>(connection));
        }
    }

    /// Tells that not even one connection can be had.
    pub(crate) fn tell_lack(&self) {
        self.lack.send_replace(());
    }

    /// Hears when that is told.
    #[cfg(feature = "postgres")]
    pub(crate) fn lack(&self) -> watch::Receiver<()> {
        self.lack.subscribe()
    }

    /// Whether there is one place only.
    pub(crate) fn is_single(&self) -> bool {
        self.state().width == 1
    }

    /// The server has no room for a connection at this place: it is given up, unless it is the only one, and with it all
    /// others without a connection.
    pub(crate) fn abandon(&self, place: SemaphorePermit<'_>) {
        let mut state = self.state();
        if state.width > 1 {
            state.width -= 1;
            place.forget();
        }
        self.narrow(&mut state);
    }

    /// Gives up a connection where there are more than `kept`, waiting for one that is used where that has to be, and its
    /// place, unless it is the only one. Answers whether there was a connection to give up.
    pub(crate) async fn make_room(&self, kept: usize) -> bool {
        let (unused, waiting) = {
            let mut state = self.state();
            if state.idle.len() + state.used <= kept {
                return false;
            }
            let mut waiting = None;
            let unused = if state.idle.is_empty() { None } else { Some(state.idle.remove(0).0) };
            if unused.is_none() && state.used > 0 {
                let (wanted, given) = oneshot::channel();
                state.wanted.push(wanted);
                waiting = Some(given);
            }
            (unused, waiting)
        };
        let (found, unused) = match waiting {
            None => (unused.is_some(), unused),
            Some(given) => (true, given.await.ok().flatten()),
        };
        if let Some(connection) = unused {
            close::<E>(connection).await;
        }
        self.narrow(&mut self.state());
        found
    }

    /// Refuses whoever still waits, and closes what nobody uses; what is used is closed when it comes back.
    pub(crate) async fn close(&self) {
        self.free.close();
        let idle = std::mem::take(&mut self.state().idle);
        for (connection, _) in idle {
            close::<E>(connection).await;
        }
    }

    /// Gives up the places that nobody has, and that have no connection; all but one of all.
    fn narrow(&self, state: &mut State<E>) {
        state.changed_at = Instant::now();
        let empty = self.free.available_permits().saturating_sub(state.idle.len());
        state.width -= self.free.forget_permits(empty.min(state.width - 1));
    }

    fn widen(&self) {
        let mut state = self.state();
        if state.width < self.most && state.changed_at.elapsed() >= WIDEN_PAUSE {
            state.width += 1;
            state.changed_at = Instant::now();
            self.free.add_permits(1);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close<E: Driver>(connection: E::Connection) {
    // It holds nothing that could be lost.
    let _ = timeout(CLOSE_MAX, connection.close()).await;
}
