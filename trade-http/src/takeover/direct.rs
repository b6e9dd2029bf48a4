//! A stream that writes its own socket.
//!
//! While it is behind it reads the feed at its own pace; once it has caught up, a task that writes to many streams
//! ([`super::live`]) has the socket, and this one only waits for its client to leave, or to fall behind again. A
//! socket without room holds the rest of one frame, and nothing else.

use super::chunk::{self, END, FRAMES_MAX, Frame, Sent};
use super::live::{Joining, Live};
use super::member::Released;
use crate::connection::SENT_BYTES_MAX;
use crate::feed::{Feed, Next, Until};
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

#[derive(Debug)]
struct Direct {
    socket: Arc<TcpStream>,
    feed: Box<Feed>,
    live: Arc<Live>,
    /// Goes out before anything else.
    rest: Bytes,
    /// When something was written last.
    spoke: Instant,
    /// How long the client may take nothing.
    stall: Duration,
    /// Where a writer is to be asked, if there is one.
    until: Until,
}

/// Writes the head of an answer and all that follows, until the client leaves, takes nothing for too long, or the
/// application ends.
pub(super) async fn write(
    (feed, live): (Box<Feed>, Arc<Live>),
    socket: TcpStream,
    head: Vec<u8>,
    stall: Duration,
) -> io::Result<()> {
    // What the system holds for a client that does not read counts, too, where there are thousands of them.
    SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES)?;
    let socket = Arc::new(socket);
    let mut direct = Direct {
        socket: socket.clone(),
        feed,
        live,
        rest: head.into(),
        spoke: Instant::now(),
        stall,
        until: Until::CaughtUp,
    };
    tokio::select! {
        left = left(&socket) => left,
        written = direct.run() => written,
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
        self.live.left();
    }
}

impl Direct {
    async fn run(&mut self) -> io::Result<()> {
        // The opening goes out in one write with the head of the answer, where it is known at once.
        if let Some(Some(Next::Lines(lines))) = self.next().now_or_never() {
            self.rest = [&self.rest[..], &chunk::chunk(&lines)].concat().into();
        }
        loop {
            self.flush().await?;
            match self.next().await {
                Some(Next::Lines(lines)) => self.rest = chunk::chunk(&lines),
                Some(Next::Event(event)) => {
                    self.send(Frame::of(&event))?;
                    // There may be thousands more of it, and of its like.
                    yield_now().await;
                }
                Some(Next::CaughtUp) => self.join().await?,
                None => {
                    self.rest = Bytes::from_static(END);
                    return self.flush().await;
                }
            }
        }
    }

    async fn next(&mut self) -> Option<Next> {
        let silence = self.feed.common.heartbeat.saturating_sub(self.spoke.elapsed());
        self.feed.next(self.until, silence).await
    }

    /// Leaves the stream to a writer, until that gives it back.
    async fn join(&mut self) -> io::Result<()> {
        // Its silence counts anew where it goes.
        if self.spoke.elapsed() > self.feed.common.heartbeat / 3 {
            self.rest = chunk::still_here();
            self.flush().await?;
        }
        let subscription = &mut self.feed.subscription;
        let (released, mut release) = oneshot::channel();
        let joined = self.live.join(Joining {
            socket: self.socket.clone(),
            login: self.feed.ending.login(),
            filter: subscription.filter().clone(),
            position: subscription.position(),
            released,
        });
        if !joined {
            // There is no writer to be had.
            self.until = Until::TheEnd;
            return Ok(());
        }
        let released = tokio::select! {
            biased;
            released = &mut release => released,
            () = self.feed.ending.login_ended() => {
                // Only who writes to the socket knows where in an event that is.
                self.live.left();
                release.await
            }
        };
        match released {
            Ok(Released::Behind { position, rest }) => {
                subscription.seek(position);
                self.rest = rest;
            }
            Ok(Released::Over) => self.feed.end(),
            Ok(Released::Failed(error)) => return Err(error),
            // The writer has ended in the middle of something: what it wrote last is not known.
            Err(_) => return Err(io::Error::other("the writer of streams has ended")),
        }
        Ok(())
    }

    /// Writes a frame, and those that are at hand after it.
    fn send(&mut self, first: Frame) -> io::Result<()> {
        let mut frames = vec![first];
        while frames.len() < FRAMES_MAX
            && let Some(event) = self.feed.subscription.next_ready()
        {
            frames.push(Frame::of(&event));
        }
        if let Sent::Until { position, rest } = chunk::send(&self.socket, &frames)? {
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
