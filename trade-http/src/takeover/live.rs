//! The streams that have caught up: a few writers send each event to all of them.
//!
//! With a task for each stream, an event wakes thousands of them, and most of its cost is theirs. Here a writer has
//! one subscription for all its streams, and writes what passes a filter to those that share it: a delivery is one
//! system call on a socket. A socket without room is handed back at once, with the position it has come to, to the
//! task of its stream; so nobody waits for a slow reader.
//!
//! A writer has a thread of its own. As a task it would either keep a worker of the runtime from everyone else for as
//! long as an event has readers, or yield every few writes, and then change threads at most of them.

use super::chunk::{FRAMES_MAX, Frame};
use super::groups::Groups;
use super::member::{Member, Released};
use crate::access::leases::LeaseState;
use crate::feed::RETRY_DELAY;
use crate::options::{HttpOptions, Shutdown};
use bytes::Bytes;
use std::collections::VecDeque;
use std::num::NonZero;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};
use trade_core::bus::{EventBus, SharedEvent, Subscription};
use trade_core::event::EventFilter;
use trade_core::resource::Sequence;

/// Writers at most. There is one for two processors: commits and readers on this machine need the other.
const WRITERS_MAX: usize = 8;
/// Events that are kept for those who join a moment later.
const RECENT: usize = 256;
/// Parts of the heartbeat after which silent streams are looked for.
const TICKS: u32 = 4;
/// Messages that are taken at a time.
const MESSAGES_MAX: usize = 32;

/// A stream that has caught up.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) socket: Arc<TcpStream>,
    /// Ends before the application does, perhaps.
    pub(super) login: Option<LeaseState>,
    pub(super) filter: EventFilter,
    /// Everything up to here was written.
    pub(super) position: Sequence,
    /// Told when the stream has to go on by itself. Closed once nobody waits for it.
    pub(super) released: oneshot::Sender<Released>,
}

#[derive(Debug)]
enum Message {
    Join(Joining),
    /// Somebody has left, or is to.
    Left,
}

/// The writers of a router.
#[derive(Debug)]
pub(crate) struct Live {
    bus: EventBus,
    heartbeat: Duration,
    shutdown: Shutdown,
    /// Started with the first stream: a router may be made outside a runtime.
    writers: OnceLock<Vec<mpsc::UnboundedSender<Message>>>,
    joined: AtomicUsize,
}

impl Live {
    pub(crate) fn new(bus: EventBus, options: &HttpOptions) -> Self {
        let (heartbeat, shutdown) = (options.heartbeat, options.shutdown.clone());
        Self { bus, heartbeat, shutdown, writers: OnceLock::new(), joined: AtomicUsize::new(0) }
    }

    /// Hands a stream over, to the writers in turn; false where that writer could not start, or has failed.
    pub(super) fn join(&self, stream: Joining) -> bool {
        let writers = self.writers.get_or_init(|| self.start());
        let turn = self.joined.fetch_add(1, Ordering::Relaxed) % writers.len();
        writers[turn].send(Message::Join(stream)).is_ok()
    }

    /// Says that a stream that was handed over has nobody left, or nobody who may read it.
    pub(super) fn left(&self) {
        for writer in self.writers.get().into_iter().flatten() {
            let _ = writer.send(Message::Left);
        }
    }

    fn start(&self) -> Vec<mpsc::UnboundedSender<Message>> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let writers = processors.div_ceil(2).min(WRITERS_MAX);
        (0..writers).map(|_| self.start_one()).collect()
    }

    fn start_one(&self) -> mpsc::UnboundedSender<Message> {
        let (sender, messages) = mpsc::unbounded_channel();
        let (bus, heartbeat, shutdown) = (&self.bus, self.heartbeat, self.shutdown.clone());
        let writer = Writer::new(bus.subscribe(None, EventFilter::default()));
        let write = writer.run(messages, heartbeat, shutdown);
        let runtime = Handle::current();
        let thread = std::thread::Builder::new().name("streams".into());
        if let Err(error) = thread.spawn(move || runtime.block_on(write)) {
            tracing::error!(%error, "streams have no thread to be written by");
        }
        sender
    }
}

#[derive(Debug)]
struct Writer {
    /// Of everything: what it hands out is sorted by [`Groups`].
    subscription: Subscription,
    /// The newest events it handed out.
    recent: VecDeque<Arc<SharedEvent>>,
    groups: Groups,
    tick: u64,
}

impl Writer {
    fn new(subscription: Subscription) -> Self {
        Self { subscription, recent: VecDeque::new(), groups: Groups::default(), tick: u64::from(TICKS) }
    }

    /// Writes until the application ends, and answers until nobody can ask any more.
    async fn run(
        mut self,
        mut messages: mpsc::UnboundedReceiver<Message>,
        heartbeat: Duration,
        shutdown: Shutdown,
    ) {
        let mut ticks = interval((heartbeat / TICKS).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut arrived = Vec::new();
        let mut ended = pin!(shutdown.begun());
        loop {
            tokio::select! {
                // Where the runtime ends, so did those who could send a message: its timers are not asked any more.
                biased;
                () = &mut ended => break,
                count = messages.recv_many(&mut arrived, MESSAGES_MAX) => {
                    if count == 0 {
                        return;
                    }
                    self.take(arrived.drain(..));
                }
                _ = ticks.tick() => {
                    self.tick += 1;
                    let silent_since = self.tick.saturating_sub(u64::from(TICKS));
                    self.groups.show_life(self.subscription.position(), silent_since, self.tick);
                }
                event = self.subscription.next() => match event {
                    Ok(Some(event)) => self.write(event),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the writer of streams cannot read the log");
                        sleep(RETRY_DELAY).await;
                    }
                },
            }
        }
        self.groups.end();
        while let Some(message) = messages.recv().await {
            if let Message::Join(stream) = message {
                let _ = stream.released.send(Released::Over);
            }
        }
    }

    fn take(&mut self, messages: impl Iterator<Item = Message>) {
        let mut left = false;
        for message in messages {
            match message {
                Message::Join(stream) => self.welcome(stream),
                Message::Left => left = true,
            }
        }
        if left {
            self.groups.sweep();
        }
    }

    /// Makes a stream a member, with what was written to the others since it set out. Too much of that it reads by
    /// itself.
    fn welcome(&mut self, stream: Joining) {
        let Joining { socket, login, filter, position, released } = stream;
        let missed = self.subscription.position().saturating_sub(position);
        let known = usize::try_from(missed).ok().and_then(|missed| self.recent.len().checked_sub(missed));
        let frames: Option<Vec<_>> = known.map(|known| {
            let missed = self.recent.range(known..).filter(|event| filter.matches(event.event()));
            missed.map(|event| Frame::of(event)).collect()
        });
        let mut member = Member { socket, login, released, from: position, spoke: self.tick };
        let welcome = match frames {
            Some(frames) if frames.len() <= FRAMES_MAX => member.write(&frames, self.tick),
            _ => Err(Released::Behind { position, rest: Bytes::new() }),
        };
        match welcome {
            Ok(()) => self.groups.add(filter, member),
            Err(why) => member.release(why),
        }
    }

    /// Writes an event, and those that are at hand after it.
    fn write(&mut self, first: Arc<SharedEvent>) {
        let before = self.recent.len();
        self.recent.push_back(first);
        while self.recent.len() < before + FRAMES_MAX
            && let Some(event) = self.subscription.next_ready()
        {
            self.recent.push_back(event);
        }
        self.groups.write(self.recent.range(before..), self.tick);
        let surplus = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..surplus);
    }
}
