//! Many subscribers of a live stream, on one thread: that each gets every event once and in order is checked as the
//! events come in.

use super::Peer;
use super::connection::Connection;
use super::http2::Streams;
use super::parser::Parser;
use super::progress::Progress;
use super::reader::Reader;
use crate::report::Failure;
use mio::{Events, Interest, Poll, Token, Waker};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Subscribers that connect at once.
const CONNECTING_MAX: usize = 128;
const BUFFER_BYTES: usize = 64 * 1024;
const NAME: &str = "subscribers";
const STOP: Token = Token(usize::MAX);

/// The moments at which events were sent, in nanoseconds of a clock of their own.
#[derive(Debug)]
pub(crate) struct Sent {
    epoch: Instant,
    first: u64,
    at_ns: Vec<AtomicU64>,
}

impl Sent {
    /// Room for so many events from a sequence on.
    pub(crate) fn new(first: u64, events: usize) -> Arc<Self> {
        let at_ns = std::iter::repeat_with(AtomicU64::default).take(events).collect();
        Arc::new(Self { epoch: Instant::now(), first, at_ns })
    }

    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Remembers that an event is about to be sent.
    pub(crate) fn mark(&self, sequence: u64) -> Result<(), Failure> {
        let index = usize::try_from(sequence.checked_sub(self.first).ok_or("an event before the first")?)?;
        self.at_ns.get(index).ok_or("more events than planned")?.store(self.now_ns(), Ordering::Release);
        Ok(())
    }

    pub(super) fn microseconds_since(&self, sequence: u64, now_ns: u64) -> Result<u32, String> {
        let index = sequence.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let at = index.and_then(|index| self.at_ns.get(index)).map_or(0, |at| at.load(Ordering::Acquire));
        if at == 0 {
            return Err(format!("event {sequence} came before it was sent"));
        }
        Ok(u32::try_from(now_ns.saturating_sub(at) / 1_000).unwrap_or(u32::MAX))
    }
}

/// What the subscribers shall see.
#[derive(Debug, Clone)]
pub(crate) enum Expect {
    /// Every event after a sequence.
    All { after: u64 },
    /// The same, with the time each took.
    Timed { after: u64, sent: Arc<Sent> },
    /// Some events after a sequence, which are kept.
    Some { after: u64 },
}

impl Expect {
    pub(super) fn after(&self) -> u64 {
        match self {
            Self::All { after } | Self::Timed { after, .. } | Self::Some { after } => *after,
        }
    }
}

/// What a subscriber got.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The sequences, where they were to be kept.
    pub(crate) sequences: Vec<u64>,
    /// Microseconds from sending to receipt, where they were to be taken.
    pub(crate) latencies_us: Vec<u32>,
}

/// Running subscribers. They hang up when this is dropped.
#[derive(Debug)]
pub(crate) struct Fleet {
    progress: Arc<Progress>,
    stop: Stop,
    thread: Option<JoinHandle<Vec<Received>>>,
}

/// What ends the thread.
#[derive(Debug)]
enum Stop {
    Wake(Waker),
    HangUp(Option<oneshot::Sender<Infallible>>),
}

impl Fleet {
    /// Connects one subscriber for each request.
    pub(crate) fn start(
        peer: impl Into<Peer>,
        requests: Vec<String>,
        expect: Expect,
    ) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let stop = Stop::Wake(Waker::new(poll.registry(), STOP)?);
        let progress = Arc::new(Progress::default());
        let (peer, subscribers) = (peer.into(), Vec::new());
        let crew = Crew { poll, peer, requests, expect, progress: progress.clone(), subscribers };
        let thread = std::thread::Builder::new().name(NAME.to_owned()).spawn(move || crew.run())?;
        Ok(Self { progress, stop, thread: Some(thread) })
    }

    /// Connects subscribers that share connections of HTTP/2. What they got is checked and counted, and not kept.
    pub(crate) fn start_http2(streams: Streams, expect: Expect) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let progress = Arc::new(Progress::default());
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let told = progress.clone();
        let run = move || {
            let read = streams.read(expect, told.clone());
            let ended = runtime.block_on(async {
                tokio::select! {
                    ended = read => ended,
                    _ = stopped => Ok(()),
                }
            });
            if let Err(failure) = ended {
                told.fail(format!("a stream fails: {failure}"));
            }
            Vec::new()
        };
        let thread = std::thread::Builder::new().name(NAME.to_owned()).spawn(run)?;
        Ok(Self { progress, stop: Stop::HangUp(Some(stop)), thread: Some(thread) })
    }

    /// Waits until so many streams are open.
    pub(crate) fn opened(&self, count: usize, most: Duration) -> Result<(), Failure> {
        self.progress.opened(count, most)
    }

    /// Waits until so many events were delivered in all.
    pub(crate) fn delivered(&self, count: u64, most: Duration) -> Result<u64, Failure> {
        self.progress.delivered(count, most)
    }

    /// Hangs up, and answers what each subscriber got.
    pub(crate) fn finish(mut self) -> Result<Vec<Received>, Failure> {
        let received = self.stop().ok_or("the subscribers' thread ended early")?;
        match self.progress.fault() {
            Some(fault) => Err(fault.into()),
            None => Ok(received),
        }
    }

    fn stop(&mut self) -> Option<Vec<Received>> {
        let thread = self.thread.take()?;
        match &mut self.stop {
            Stop::Wake(waker) => waker.wake().ok()?,
            Stop::HangUp(sender) => drop(sender.take()),
        }
        thread.join().ok()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
struct Subscriber {
    connection: Connection,
    asked: bool,
    reader: Reader,
}

/// The thread's side.
struct Crew {
    poll: Poll,
    peer: Peer,
    requests: Vec<String>,
    expect: Expect,
    progress: Arc<Progress>,
    subscribers: Vec<Subscriber>,
}

impl Crew {
    fn run(mut self) -> Vec<Received> {
        if let Err(error) = self.work() {
            self.progress.fail(format!("a stream fails: {error}"));
        }
        self.subscribers.into_iter().map(|subscriber| subscriber.reader.received).collect()
    }

    fn work(&mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut opened = 0;
        loop {
            while self.subscribers.len() < self.requests.len()
                && self.subscribers.len() < opened + CONNECTING_MAX
            {
                self.connect()?;
            }
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            let (before, mut delivered) = (opened, 0);
            for event in &events {
                if event.token() == STOP {
                    return Ok(());
                }
                let Some(subscriber) = self.subscribers.get_mut(event.token().0) else { continue };
                let was_open = subscriber.reader.is_open();
                if !subscriber.asked {
                    subscriber.asked = subscriber.connection.send(&self.requests[event.token().0])?;
                }
                delivered += subscriber.read(&mut buffer, &self.expect, event.is_read_closed())?;
                opened += usize::from(!was_open && subscriber.reader.is_open());
            }
            self.progress.tell(opened - before, delivered);
        }
    }

    fn connect(&mut self) -> std::io::Result<()> {
        let mut connection = Connection::new(&self.peer)?;
        let token = Token(self.subscribers.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut connection.socket, token, interest)?;
        let reader = Reader::new(Parser::new(), &self.expect);
        self.subscribers.push(Subscriber { connection, asked: false, reader });
        Ok(())
    }
}

impl Subscriber {
    fn read(&mut self, buffer: &mut [u8], expect: &Expect, closed: bool) -> std::io::Result<u64> {
        let (reader, mut delivered) = (&mut self.reader, 0);
        self.connection.read(buffer, closed, &mut |bytes| {
            delivered += reader.take(bytes, expect).map_err(std::io::Error::other)?;
            Ok(())
        })?;
        Ok(delivered)
    }
}
