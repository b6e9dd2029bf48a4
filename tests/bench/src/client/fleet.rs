//! Many subscribers of a live stream, on one thread: that each gets every event once and in order is checked as the
//! events come in.

use super::parser::Parser;
use crate::report::Failure;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Subscribers that connect at once.
const CONNECTING_MAX: usize = 128;
const BUFFER_BYTES: usize = 64 * 1024;
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

    fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Remembers that an event is about to be sent.
    pub(crate) fn mark(&self, sequence: u64) -> Result<(), Failure> {
        let index = usize::try_from(sequence.checked_sub(self.first).ok_or("an event before the first")?)?;
        self.at_ns.get(index).ok_or("more events than planned")?.store(self.now_ns(), Ordering::Release);
        Ok(())
    }

    fn microseconds_since(&self, sequence: u64, now_ns: u64) -> Result<u32, String> {
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
    fn after(&self) -> u64 {
        match self {
            Self::All { after } | Self::Timed { after, .. } | Self::Some { after } => *after,
        }
    }
}

#[derive(Debug, Default)]
struct Progress {
    opened: usize,
    delivered: u64,
    /// The counts at which those who wait are woken.
    wake_opened: usize,
    wake_delivered: u64,
    fault: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    progress: Mutex<Progress>,
    moved: Condvar,
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, done: impl Fn(&Progress) -> bool, most: Duration) -> Result<u64, Failure> {
        let waiting = self.moved.wait_timeout_while(self.progress(), most, |progress| {
            progress.fault.is_none() && !done(progress)
        });
        let (progress, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        match &progress.fault {
            Some(fault) => Err(fault.clone().into()),
            None if done(&progress) => Ok(progress.delivered),
            None => Err(format!(
                "after {most:?} {} of {} streams are open, and {} of {} events delivered",
                progress.opened, progress.wake_opened, progress.delivered, progress.wake_delivered
            )
            .into()),
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
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<Vec<Received>>>,
}

impl Fleet {
    /// Connects one subscriber for each request.
    pub(crate) fn start(address: SocketAddr, requests: Vec<String>, expect: Expect) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), STOP)?;
        let shared = Arc::new(Shared::default());
        let crew = Crew { poll, address, requests, expect, shared: shared.clone(), subscribers: Vec::new() };
        let thread = std::thread::Builder::new().name("subscribers".to_owned()).spawn(move || crew.run())?;
        Ok(Self { shared, waker, thread: Some(thread) })
    }

    /// Waits until so many streams are open.
    pub(crate) fn opened(&self, count: usize, most: Duration) -> Result<(), Failure> {
        self.shared.progress().wake_opened = count;
        self.shared.wait(|progress| progress.opened >= count, most).map(|_| ())
    }

    /// Waits until so many events were delivered in all.
    pub(crate) fn delivered(&self, count: u64, most: Duration) -> Result<u64, Failure> {
        self.shared.progress().wake_delivered = count;
        self.shared.wait(|progress| progress.delivered >= count, most)
    }

    /// Hangs up, and answers what each subscriber got.
    pub(crate) fn finish(mut self) -> Result<Vec<Received>, Failure> {
        let received = self.stop().ok_or("the subscribers' thread ended early")?;
        match self.shared.progress().fault.take() {
            Some(fault) => Err(fault.into()),
            None => Ok(received),
        }
    }

    fn stop(&mut self) -> Option<Vec<Received>> {
        let thread = self.thread.take()?;
        self.waker.wake().ok()?;
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
    socket: TcpStream,
    parser: Parser,
    asked: bool,
    last: u64,
    received: Received,
}

/// The thread's side.
struct Crew {
    poll: Poll,
    address: SocketAddr,
    requests: Vec<String>,
    expect: Expect,
    shared: Arc<Shared>,
    subscribers: Vec<Subscriber>,
}

impl Crew {
    fn run(mut self) -> Vec<Received> {
        if let Err(fault) = self.work() {
            self.shared.progress().fault.get_or_insert(fault);
            self.shared.moved.notify_all();
        }
        self.subscribers.into_iter().map(|subscriber| subscriber.received).collect()
    }

    fn work(&mut self) -> Result<(), String> {
        let told = |error: std::io::Error| format!("a stream fails: {error}");
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut opened = 0;
        loop {
            while self.subscribers.len() < self.requests.len()
                && self.subscribers.len() < opened + CONNECTING_MAX
            {
                self.connect().map_err(told)?;
            }
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.map_err(told)?,
            }
            let mut delivered = 0;
            for event in &events {
                if event.token() == STOP {
                    return Ok(());
                }
                let Some(subscriber) = self.subscribers.get_mut(event.token().0) else { continue };
                let was_open = subscriber.parser.is_open();
                if !subscriber.asked {
                    let request = &self.requests[event.token().0];
                    subscriber.ask(request).map_err(told)?;
                }
                delivered += subscriber.read(&mut buffer, &self.expect, event.is_read_closed())?;
                opened += usize::from(!was_open && subscriber.parser.is_open());
            }
            self.tell(opened, delivered);
        }
    }

    fn connect(&mut self) -> std::io::Result<()> {
        let mut socket = TcpStream::connect(self.address)?;
        let token = Token(self.subscribers.len());
        self.poll.registry().register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let (parser, received) = (Parser::new(), Received::default());
        self.subscribers.push(Subscriber {
            socket,
            parser,
            asked: false,
            last: self.expect.after(),
            received,
        });
        Ok(())
    }

    /// Those who wait are woken only for what they wait for: a wake-up costs the server its processor.
    fn tell(&self, opened: usize, delivered: u64) {
        let mut progress = self.shared.progress();
        progress.opened = opened;
        progress.delivered += delivered;
        let (opened, delivered) = (progress.wake_opened, progress.wake_delivered);
        if progress.opened >= opened && progress.delivered >= delivered {
            drop(progress);
            self.shared.moved.notify_all();
        }
    }
}

impl Subscriber {
    /// Sends the request, once the connection stands.
    fn ask(&mut self, request: &str) -> std::io::Result<()> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.write(request.as_bytes()) {
            Ok(written) if written == request.len() => {
                self.asked = true;
                Ok(())
            }
            Ok(_) => Err(std::io::Error::other("a request is sent in part only")),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads what there is. A read that does not fill the buffer has emptied the socket.
    fn read(&mut self, buffer: &mut [u8], expect: &Expect, closed: bool) -> Result<u64, String> {
        let mut delivered = 0;
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Err("the server closed a stream".to_owned()),
                Ok(read) => {
                    delivered += self.take(&buffer[..read], expect)?;
                    if read < buffer.len() && !closed {
                        return Ok(delivered);
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(delivered);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("a stream fails: {error}")),
            }
        }
    }

    fn take(&mut self, bytes: &[u8], expect: &Expect) -> Result<u64, String> {
        let Self { parser, last, received, .. } = self;
        let now_ns = if let Expect::Timed { sent, .. } = expect { sent.now_ns() } else { 0 };
        let mut delivered = 0;
        parser.feed(bytes, &mut |sequence| {
            match expect {
                Expect::Some { .. } if sequence > *last => received.sequences.push(sequence),
                Expect::All { .. } | Expect::Timed { .. } if sequence == *last + 1 => {}
                _ => return Err(format!("event {sequence} came after event {last}")),
            }
            if let Expect::Timed { sent, .. } = expect {
                received.latencies_us.push(sent.microseconds_since(sequence, now_ns)?);
            }
            *last = sequence;
            delivered += 1;
            Ok(())
        })?;
        Ok(delivered)
    }
}
