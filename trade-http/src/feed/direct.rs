//! A stream that writes its own socket.
//!
//! While it is behind it reads the feed at its own pace; once it has caught up, a task that writes to many streams
//! ([`super::live`]) has the socket, and this one only waits for its client to leave, or to fall behind again. A
//! socket without room holds the rest of one frame, and nothing else.

use super::live::Joining;
use super::member::Released;
use super::wire::{self, BYE, END, FRAMES_MAX, Frame, HEARTBEAT, Sent};
use super::{Feed, rest_after};
use bytes::{Buf, Bytes};
use futures::FutureExt;
use socket2::SockRef;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

/// What the system holds of a stream that its client does not read, at most about twice this.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// What a client may send into its stream.
const SENT_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
struct Direct {
    socket: Arc<TcpStream>,
    feed: Feed,
    /// Goes out before anything else.
    rest: Bytes,
    /// When something was written last.
    spoke: Instant,
    /// How long the client may take nothing.
    stall: Duration,
}

impl Feed {
    /// Writes the head of an answer and all that follows, until the client leaves, takes nothing for too long, or the
    /// application ends.
    pub(crate) async fn write(self, socket: TcpStream, head: Vec<u8>, stall: Duration) -> io::Result<()> {
        // What the system holds for a client that does not read counts, too, where there are thousands of them.
        SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES)?;
        let socket = Arc::new(socket);
        let mut direct =
            Direct { socket: socket.clone(), feed: self, rest: head.into(), spoke: Instant::now(), stall };
        tokio::select! {
            left = left(&socket) => left,
            written = direct.run() => written,
        }
    }
}

/// Resolves once the client has closed its side. What it sends has no meaning any more, and there may be more of it than
/// anyone has time for.
async fn left(socket: &TcpStream) -> io::Result<()> {
    let mut sent = 0;
    loop {
        socket.readable().await?;
        match socket.try_read(&mut [0; 256]) {
            Ok(0) => return Ok(()),
            Ok(more) => {
                sent += more;
                if sent > SENT_BYTES_MAX {
                    return Err(io::Error::other("the client sends into its stream"));
                }
                yield_now().await;
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) => {}
        }
    }
}

/// However it ends, aborted too: a writer that has the socket lets go of it.
impl Drop for Direct {
    fn drop(&mut self) {
        self.feed.live.left();
    }
}

impl Direct {
    async fn run(&mut self) -> io::Result<()> {
        self.open().await?;
        loop {
            self.catch_up().await?;
            if self.is_over() {
                self.rest = [&BYE[..], END].concat().into();
                return self.flush().await;
            }
            // Its silence counts anew where it goes.
            if self.spoke.elapsed() > self.feed.heartbeat / 3 {
                self.rest = HEARTBEAT;
                continue;
            }
            let subscription = &mut self.feed.subscription;
            let (released, release) = oneshot::channel();
            let joined = self.feed.live.join(Joining {
                socket: self.socket.clone(),
                filter: subscription.filter().clone(),
                position: subscription.position(),
                released,
            });
            if !joined {
                return self.write_alone().await;
            }
            match release.await {
                Ok(Released::Behind { position, rest }) => {
                    subscription.seek(position);
                    self.rest = rest;
                }
                Ok(Released::Over) => self.feed.over = true,
                Ok(Released::Failed(error)) => return Err(error),
                // The writer has ended in the middle of something: what it wrote last is not known.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Says where the stream begins, in one write with the head of the answer where that is known at once.
    async fn open(&mut self) -> io::Result<()> {
        if let Some(opening) = self.feed.open().now_or_never().flatten() {
            self.rest = [&self.rest[..], &opening].concat().into();
        }
        while !self.feed.opened && !self.is_over() {
            self.flush().await?;
            self.rest = self.feed.open().await.unwrap_or_default();
        }
        Ok(())
    }

    /// Writes all that follows, where there is no writer to be had.
    async fn write_alone(&mut self) -> io::Result<()> {
        while let Some(chunk) = self.feed.next().await {
            self.rest = chunk;
            self.flush().await?;
        }
        self.rest = Bytes::from_static(END);
        self.flush().await
    }

    fn is_over(&self) -> bool {
        self.feed.over || *self.feed.shutdown.borrow()
    }

    /// Writes everything that is committed already, as far as the application goes on.
    async fn catch_up(&mut self) -> io::Result<()> {
        loop {
            self.flush().await?;
            if self.is_over() {
                return Ok(());
            }
            let silent = self.feed.heartbeat.saturating_sub(self.spoke.elapsed());
            if silent.is_zero() {
                self.rest = HEARTBEAT;
                continue;
            }
            let Feed { subscription, shutdown, .. } = &mut self.feed;
            let next = tokio::select! {
                biased;
                _ = shutdown.wait_for(|begun| *begun) => continue,
                next = timeout(silent, subscription.next_stored()) => next,
            };
            match next {
                Ok(Ok(Some(event))) => {
                    self.send(Frame::of(&event))?;
                    // There may be thousands more of it, and of its like.
                    yield_now().await;
                }
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => rest_after(&error, &self.feed.context, &self.feed.subscription).await,
                Err(_) => {}
            }
        }
    }

    /// Writes a frame, and those that are at hand after it.
    fn send(&mut self, first: Frame) -> io::Result<()> {
        let mut frames = vec![first];
        while frames.len() < FRAMES_MAX
            && let Some(event) = self.feed.subscription.next_ready()
        {
            frames.push(Frame::of(&event));
        }
        if let Sent::Until { position, rest } = wire::send(&self.socket, &frames)? {
            self.feed.subscription.seek(position);
            self.rest = rest;
        }
        self.spoke = Instant::now();
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            match self.socket.try_write(&self.rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.rest.advance(written);
                    self.spoke = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let stalled =
                        |_| io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its stream");
                    timeout(self.stall, self.socket.writable()).await.map_err(stalled)??;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
