//! The way in: commands are queued, grouped, decided and committed here, and their events published.

mod committer;
mod guarded;
mod keys;
mod maintenance;
mod options;
mod readiness;
mod replay;
mod session;
mod task;
mod timekeeper;
mod weight;

pub use options::{ServiceOptions, StartError};
pub use session::{EventPage, EventQuery, Session};

use crate::bus::EventBus;
use crate::clock::{Clock, IdSource, SystemClock, UuidV7};
use crate::command::{Outcome, Request, RequestId, TypedCommand};
use crate::policy::{Asker, Principal};
use crate::rejection::Rejection;
use crate::rules;
use crate::store::{Store, StoreError, StoreErrorKind, StoreReader};
use crate::telemetry;
use crate::values::Timestamp;
use committer::{Committer, Pending, Reply};
use guarded::Guarded;
use readiness::Readiness;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use task::Task;
use timekeeper::Timekeeper;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use weight::{COMMAND_LINES_MAX, Weights};

/// Told to whoever waited for a committer that ended, or lost them.
pub(crate) const COMMITTER_ENDED: &str = "the committer ended before it answered";

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<O = Outcome> {
    /// What it did.
    pub outcome: O,
    /// Whether this is the first answer to the same request, given again.
    pub replayed: bool,
    /// The name of the request that was answered first: this one's, if it is not a replay.
    pub name: Option<String>,
}

/// Why a request was not answered.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The rules refuse it; nothing changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The same request is being worked on.
    #[error("the first request with this idempotency key is still running")]
    InProgress,
    /// Too much is waiting, or others were faster too often; nothing changed.
    #[error("too much is waiting: try again")]
    Overloaded,
    /// The clock of this process is not the store's, or was set to something else: nothing is committed until it is
    /// right. Nothing changed.
    #[error("the clock is off by {seconds} seconds, and nothing is committed until it is right")]
    ClockOff {
        /// How far it is ahead, or behind if negative.
        seconds: i64,
    },
    /// The service was shut down; nothing changed.
    #[error("the service is shut down")]
    Stopped,
    /// The store failed; nothing changed.
    #[error("the store failed")]
    Store(#[source] Arc<StoreError>),
    /// The store failed in the middle of a commit, and did not come back in time to tell whether it landed. The same
    /// request, sent again, is applied once.
    #[error("the store failed, and the request may have been applied")]
    Unknown(#[source] Arc<StoreError>),
}

/// A network of stations: submits commands, reads, subscribes. Cheap to clone.
///
/// It is the handle of the network's owner, who may do everything. For others there is [`TradeService::session`].
///
/// ```
/// use std::sync::Arc;
/// use trade_core::{command::{CreateStation, Request}, memory::MemoryStore, service::TradeService};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = TradeService::start(Arc::new(MemoryStore::new())).await?;
/// let station = CreateStation::new("ceres".try_into()?);
/// service.submit(Request::new(station)).await?;
/// assert_eq!(service.bus().newest(), 1);
/// service.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TradeService {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    bus: EventBus,
    ids: Arc<dyn IdSource>,
    options: ServiceOptions,
    /// None once the service is shut down.
    queue: Mutex<Option<mpsc::UnboundedSender<Pending>>>,
    room: Arc<Semaphore>,
    weights: Weights,
    running: Arc<Mutex<HashSet<RequestId>>>,
    readiness: Arc<Readiness>,
    timekeeper: Arc<Timekeeper>,
    /// Where the log ended when the service started.
    start: Start,
    telemetry: telemetry::Commands,
    tasks: OnceLock<Tasks>,
}

#[derive(Debug)]
struct Tasks {
    committer: Task,
    feed: Task,
    maintenance: Task,
}

/// A service that is dropped without [`TradeService::shutdown`] still finishes what it took, and ends its tasks.
impl Drop for Inner {
    fn drop(&mut self) {
        self.bus.close();
    }
}

impl TradeService {
    /// Starts a service on a store, with the machine's clock and default options. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] if the store cannot be read.
    pub async fn start(store: Arc<dyn Store>) -> Result<Self, StartError> {
        Self::start_with_options(store, ServiceOptions::default()).await
    }

    /// The same with options of one's own.
    ///
    /// # Errors
    /// [`StartError`] if an option is out of its range, or the store cannot be read.
    pub async fn start_with_options(
        store: Arc<dyn Store>,
        options: ServiceOptions,
    ) -> Result<Self, StartError> {
        Self::start_with(store, Arc::new(SystemClock::new()), Arc::new(UuidV7), options).await
    }

    /// Starts a service with a clock, an id source and options of one's own.
    ///
    /// # Errors
    /// [`StartError`] if an option is out of its range, or the store cannot be read.
    pub async fn start_with(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        options: ServiceOptions,
    ) -> Result<Self, StartError> {
        options.check()?;
        let store: Arc<dyn Store> = Arc::new(Guarded::new(store, options.store_call_max));
        let head = store.head().await?;
        let timekeeper = Arc::new(Timekeeper::new(clock.clone()));
        timekeeper.look(&*store).await?;
        timekeeper.judge(head);
        let bus = EventBus::new(store.clone(), head, clock);
        let (sender, receiver) = mpsc::unbounded_channel();
        let readiness = Arc::new(Readiness::default());
        let committer = Committer::new(
            store.clone(),
            bus.clone(),
            timekeeper.clone(),
            ids.clone(),
            options.clone(),
            readiness.clone(),
            receiver,
        );
        let inner = Arc::new(Inner {
            store,
            bus: bus.clone(),
            ids,
            room: Arc::new(Semaphore::new(options.queue_lines_max as usize + COMMAND_LINES_MAX)),
            weights: Weights::default(),
            options,
            queue: Mutex::new(Some(sender)),
            running: Arc::default(),
            readiness,
            timekeeper,
            start: Start { newest: head.time, at: Instant::now() },
            telemetry: telemetry::Commands::new(),
            tasks: OnceLock::new(),
        });
        let service = Self { inner };
        service.inner.tasks.get_or_init(|| Tasks {
            committer: Task::spawn(committer.run()),
            feed: Task::spawn(bus.follow()),
            maintenance: Task::spawn(maintenance::run(Arc::downgrade(&service.inner))),
        });
        Ok(service)
    }

    /// The network as somebody may use it, by the policy of the service ([`ServiceOptions::policy`]).
    pub fn session(&self, principal: Principal) -> Session {
        Session::new(self.clone(), principal)
    }

    /// Applies a command: its step is durable, and its events are published, before this returns.
    ///
    /// A caller that stops waiting does not stop the command.
    ///
    /// # Errors
    /// [`ServiceError`]; only after [`ServiceError::Unknown`] may anything have changed.
    pub async fn submit<C: TypedCommand>(
        &self,
        request: Request<C>,
    ) -> Result<Answer<C::Outcome>, ServiceError> {
        self.submit_for(request, None).await
    }

    pub(crate) async fn submit_for<C: TypedCommand>(
        &self,
        request: Request<C>,
        asker: Option<Arc<Asker>>,
    ) -> Result<Answer<C::Outcome>, ServiceError> {
        let Answer { outcome, replayed, name } = self.submit_any(request.of_any(), asker).await?;
        let outcome = C::outcome(outcome).ok_or_else(|| {
            let detail = "a command was answered as another one is";
            ServiceError::Unknown(Arc::new(self.defect(detail)))
        })?;
        Ok(Answer { outcome, replayed, name })
    }

    async fn submit_any(&self, request: Request, asker: Option<Arc<Asker>>) -> Result<Answer, ServiceError> {
        let answer = self.answer(request, asker).await;
        let telemetry = &self.inner.telemetry;
        let counter = match &answer {
            Ok(Answer { replayed: false, .. }) => &telemetry.applied,
            Ok(_) => &telemetry.replayed,
            Err(ServiceError::Rejected(_)) => &telemetry.refused,
            Err(_) => &telemetry.failed,
        };
        counter.increment(1);
        answer
    }

    async fn answer(&self, request: Request, asker: Option<Arc<Asker>>) -> Result<Answer, ServiceError> {
        rules::check(&request.command)?;
        if let Some(seconds) = self.inner.timekeeper.off_by_seconds() {
            return Err(ServiceError::ClockOff { seconds });
        }
        if let Some(loss) = self.inner.bus.loss() {
            return Err(ServiceError::Store(Arc::new(loss)));
        }
        let guard = match request.idempotency {
            Some(idempotency) => Some(self.claim(idempotency.request)?),
            None => None,
        };
        let weight = self.inner.weights.of(&request.command);
        let room = self.room(weight.in_queue)?;
        let (reply, answer) = oneshot::channel();
        let guard = (guard, room, self.inner.telemetry.taken());
        let pending = Pending::new((request, asker), weight.in_group, reply, guard);
        {
            let queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = queue.as_ref().is_some_and(|queue| queue.send(pending).is_ok());
            if !sent {
                return Err(ServiceError::Stopped);
            }
        }
        // A committer that ends before it answers may have committed before.
        let told = answer.await.map_err(|_| ServiceError::Unknown(Arc::new(self.defect(COMMITTER_ENDED))))?;
        let (reply, _guard) = told;
        let answer = match reply? {
            Reply::Answer(answer) => answer,
            Reply::Kept { receipt, replayed } => {
                let (name, outcome) = replay::answer(&*self.inner.store, &receipt).await?;
                Answer { outcome, replayed, name }
            }
        };
        self.inner.weights.learn(&answer.outcome);
        Ok(answer)
    }

    /// Room for so many lines, where the queue has it, or a quarter of it at most is taken: so a large command need not find
    /// the queue empty, and large ones do not leave small ones without room.
    fn room(&self, lines: u32) -> Result<OwnedSemaphorePermit, ServiceError> {
        let (room, max) = (&self.inner.room, self.inner.options.queue_lines_max as usize);
        let taken = (max + COMMAND_LINES_MAX).saturating_sub(room.available_permits());
        let has_room = taken + lines as usize <= max || taken <= max / 4;
        let room = if has_room { room.clone().try_acquire_many_owned(lines).ok() } else { None };
        room.ok_or(ServiceError::Overloaded)
    }

    fn defect(&self, detail: &'static str) -> StoreError {
        StoreError::new(StoreErrorKind::Internal, self.inner.store.name(), "commit", detail)
    }

    fn corrupt(&self, operation: &'static str, detail: String) -> StoreError {
        StoreError::new(StoreErrorKind::Corrupt, self.inner.store.name(), operation, detail)
    }

    /// Whether the service does its work: not after [`TradeService::shutdown`], nor after a defect ended one of its tasks.
    /// A process whose service no longer works should be restarted.
    pub fn is_working(&self) -> bool {
        let is_open = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let Some(Tasks { committer, feed, maintenance }) = self.inner.tasks.get() else { return false };
        // The feed ends with the bus, which is told of by itself.
        let is_fed = feed.is_running() || self.inner.bus.is_closed();
        is_open && is_fed && committer.is_running() && maintenance.is_running()
    }

    /// Whether the store takes commands now, as far as that shows without one: not while it cannot be read, nor after
    /// commands failed, until something was stored, or some seconds have passed and the head of the log can be held
    /// ([`Store::hold`]). Where commands then fail again, it is longer each time, up to 80 seconds. To be asked now and
    /// then, by whoever sends requests here or elsewhere.
    ///
    /// # Errors
    /// [`ServiceError::Stopped`] where it does not work ([`TradeService::is_working`]), [`ServiceError::ClockOff`],
    /// [`ServiceError::Store`] where the store would not store it.
    pub async fn ready(&self) -> Result<(), ServiceError> {
        if !self.is_working() {
            return Err(ServiceError::Stopped);
        }
        if let Some(seconds) = self.inner.timekeeper.off_by_seconds() {
            return Err(ServiceError::ClockOff { seconds });
        }
        self.inner.readiness.check(&*self.inner.store).await.map_err(ServiceError::Store)
    }

    /// The store, for reading. Its calls return, as [`ServiceOptions::store_call_max`] says.
    pub fn store(&self) -> &dyn StoreReader {
        &*self.inner.store
    }

    /// The live feed.
    pub fn bus(&self) -> &EventBus {
        &self.inner.bus
    }

    /// Now, by the service's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.timekeeper.now()
    }

    /// An id that was never given out before.
    pub fn new_id(&self) -> uuid::Uuid {
        self.inner.ids.next()
    }

    /// Cancels what has expired, and answers how many trades that were. The service does so by itself; tests that move
    /// a clock call it.
    ///
    /// # Errors
    /// [`ServiceError`] of the first trade that could not be cancelled for another reason than a rule.
    pub async fn expire_due(&self) -> Result<usize, ServiceError> {
        maintenance::expire_due(self).await
    }

    /// Takes no further command, finishes those taken, and ends every subscription, once that has handed out what was
    /// committed ([`EventBus::is_closed`]). When this returns, the service calls the store no more, but for subscriptions
    /// that are behind.
    ///
    /// Any number may call it, at once or one after the other, and stop waiting for it: each returns once all is done.
    pub async fn shutdown(&self) {
        self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Tasks { committer, feed, maintenance }) = self.inner.tasks.get() else { return };
        committer.ended().await;
        for task in [feed, maintenance] {
            task.abort();
            task.ended().await;
        }
        self.inner.bus.fill_gap().await;
        self.inner.bus.close();
    }

    fn claim(&self, request: RequestId) -> Result<Claim, ServiceError> {
        let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.insert(request) {
            return Err(ServiceError::InProgress);
        }
        Ok(Claim { running: self.inner.running.clone(), request })
    }
}

/// The log when the service started.
#[derive(Debug)]
struct Start {
    newest: Timestamp,
    at: Instant,
}

/// Keeps a request from being worked on twice at once.
#[derive(Debug)]
struct Claim {
    running: Arc<Mutex<HashSet<RequestId>>>,
    request: RequestId,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.request);
    }
}
