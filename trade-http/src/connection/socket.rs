//! How long a connection waits: for a request, and for its client to take an answer.
//!
//! A request is waited for longer until its first byte than, from then on, to the end of its head. A proxy keeps idle
//! connections for a minute, and must not be the one who finds out that they are closed; a head that comes byte by byte is
//! to be given up earlier. hyper has one limit for both, so the socket counts by itself. An answer that its client does
//! not take is held in memory, which hyper does not limit at all.

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// What a client of HTTP/2 sends first (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that are read of a connection before it is known what it speaks. Most heads are not larger.
const FIRST_BYTES: usize = 512;

/// What a client may send into a stream of events.
pub(crate) const SENT_BYTES_MAX: usize = 64 * 1024;

/// How long what is waited for may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Until the first byte of a request.
    pub(crate) idle: Duration,
    /// From there to the end of its head.
    pub(crate) head: Duration,
    /// Until the client takes more of an answer.
    pub(crate) stall: Duration,
}

/// Whose turn it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Turn>);

#[derive(Debug, Default)]
struct Turn {
    /// Heads that were read and answers that ended. While it is even, the next head is waited for.
    count: AtomicUsize,
    /// Whether the answer is a stream of events, after which nothing follows.
    is_stream: AtomicBool,
}

impl Turns {
    /// A head was read. The answer goes on until this is dropped.
    pub(crate) fn answering(&self) -> Answering {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }

    fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(crate) struct Answering(Turns);

impl Answering {
    /// The answer is a stream of events.
    pub(super) fn streams(&self) {
        self.0.0.is_stream.store(true, Ordering::Relaxed);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.is_stream.store(false, Ordering::Relaxed);
        self.0.0.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The body of an answer, which ends with it.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    body: Body,
    _answering: Answering,
}

impl AnswerBody {
    pub(crate) fn new(body: Body, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that gives up waiting.
#[derive(Debug)]
pub(crate) struct RequestSocket<S> {
    socket: TokioIo<S>,
    /// Read already, and not handed out yet.
    ahead: Bytes,
    has_written: bool,
    /// Whether requests overlap. Then who reads them counts the time until the next one.
    is_http2: bool,
    turns: Turns,
    limits: Limits,
    /// The turn in which something was read last.
    read_in: Option<usize>,
    /// Runs out for a turn, in which the head has begun or not.
    timer: Option<Pin<Box<Sleep>>>,
    timed: Option<(usize, bool)>,
    /// Runs out for something to be written, which the client does not take.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Whether there was no room when something was written last.
    is_full: bool,
    /// Bytes that the client sent into a stream of events.
    sent: usize,
}

impl<S> RequestSocket<S> {
    pub(crate) fn new(socket: S, limits: Limits) -> Self {
        Self {
            socket: TokioIo::new(socket),
            ahead: Bytes::new(),
            has_written: false,
            is_http2: false,
            turns: Turns::default(),
            limits,
            read_in: None,
            timer: None,
            timed: None,
            stalled: None,
            is_full: false,
            sent: 0,
        }
    }

    /// The socket. What was read of it and not handed out is lost.
    #[cfg(feature = "takeover")]
    pub(crate) fn into_inner(self) -> S {
        self.socket.into_inner()
    }

    /// Whether anything was written.
    #[cfg(feature = "takeover")]
    pub(crate) fn has_written(&self) -> bool {
        self.has_written
    }

    pub(super) fn turns(&self) -> Turns {
        self.turns.clone()
    }

    /// Resolves when nothing came for too long.
    fn poll_expired(&mut self, turn: usize, context: &mut Context<'_>) -> Poll<()> {
        let begun = self.read_in == Some(turn);
        if self.timed != Some((turn, begun)) {
            self.timed = Some((turn, begun));
            let deadline = Instant::now() + if begun { self.limits.head } else { self.limits.idle };
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => self.timer = Some(Box::pin(sleep_until(deadline))),
            }
        }
        self.timer.as_mut().map_or(Poll::Pending, |timer| timer.as_mut().poll(context))
    }

    /// The same for bytes of an answer.
    fn written(&mut self, written: Poll<Result<usize>>, context: &mut Context<'_>) -> Poll<Result<usize>> {
        if written.is_pending() {
            self.is_full = true;
            return self.patiently(written, context);
        }
        self.has_written = true;
        // The next request is waited for from here.
        self.timed = None;
        // TLS takes as much as it has room for itself: only room after there was none shows that the client took something.
        // So does that all of it went out, of which a flush tells.
        if std::mem::take(&mut self.is_full) {
            self.stalled = None;
        }
        written
    }

    /// What came of writing, or an error where that has waited for too long.
    fn patiently<T>(&mut self, written: Poll<Result<T>>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limits.stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }
}

impl<S: AsyncRead + Unpin> RequestSocket<S> {
    /// Passes over what the client sends into a stream of events, which has no meaning.
    ///
    /// # Errors
    /// Where it is too much, and where the client has left.
    fn pass_over(&mut self, context: &mut Context<'_>) -> Result<()> {
        if !self.turns.0.is_stream.load(Ordering::Relaxed) {
            return Ok(());
        }
        loop {
            let mut bytes = [0; 1024];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(context, buffer.unfilled()) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => read?,
            }
            if buffer.filled().is_empty() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            self.sent += buffer.filled().len();
            if self.sent > SENT_BYTES_MAX {
                return Err(Error::other("the client sends into its stream"));
            }
        }
    }

    /// Whether the client speaks HTTP/2, by its first bytes. They are read again later.
    ///
    /// # Errors
    /// Those of reading, and where no first byte came in time.
    pub(super) async fn begins_http2(&mut self) -> Result<bool> {
        let (mut bytes, mut count) = (vec![0; FIRST_BYTES], 0);
        while count < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(&bytes[..count]) {
            let read = poll_fn(|context| {
                let mut buffer = ReadBuf::new(&mut bytes[count..]);
                ready!(Pin::new(&mut *self).poll_read(context, buffer.unfilled()))?;
                Poll::Ready(Ok::<_, Error>(buffer.filled().len()))
            });
            match read.await? {
                0 => break,
                more => count += more,
            }
        }
        bytes.truncate(count);
        self.is_http2 = bytes.starts_with(HTTP2_PREFACE);
        self.ahead = bytes.into();
        Ok(self.is_http2)
    }
}

impl<S: AsyncRead + Unpin> Read for RequestSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let turn = self.turns.count();
        match Pin::new(&mut self.socket).poll_read(context, buffer) {
            Poll::Ready(read) => {
                self.read_in = Some(turn);
                Poll::Ready(read)
            }
            // What comes during an answer is its request's body, which others time. Its last bytes may still be on their
            // way after its end.
            Poll::Pending if self.is_http2 || turn % 2 == 1 || self.stalled.is_some() => Poll::Pending,
            Poll::Pending => {
                ready!(self.poll_expired(turn, context));
                Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "no request came in time")))
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for RequestSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.pass_over(context)?;
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(context);
        self.patiently(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let shut_down = Pin::new(&mut self.socket).poll_shutdown(context);
        self.patiently(shut_down, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.pass_over(context)?;
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.written(written, context)
    }
}

#[cfg(test)]
mod tests {
    use crate::Connections;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::{get, post};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Whose answers are one byte.
    fn connections() -> Connections {
        let slow = || async {
            sleep(seconds(200)).await;
            "x"
        };
        let routes = get(|| async { "x" });
        Connections::new(
            Router::new()
                .route("/slow", get(slow))
                .route("/large", get(|| async { vec![b'x'; 1 << 20] }))
                .route("/", routes.merge(post(|body: String| async { body }))),
        )
    }

    /// A client of a connection of its own.
    fn connected(connections: Connections) -> DuplexStream {
        let (client, socket) = duplex(1 << 16);
        let peer = ([127, 0, 0, 1], 1).into();
        tokio::spawn(async move { connections.serve(socket, peer, true, std::future::pending()).await });
        client
    }

    async fn answered(client: &mut DuplexStream) {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nx") {
            answer.push(client.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }

    /// Seconds until the connection ends, without another word.
    async fn seconds_to_the_end(client: &mut DuplexStream) -> u64 {
        let begin = Instant::now();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(String::from_utf8(rest).unwrap(), "");
        begin.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept_longer_than_proxies_keep_theirs() {
        let mut client = connected(connections());
        assert_eq!(seconds_to_the_end(&mut client).await, 75);
        let mut client = connected(connections());
        for _ in 0..3 {
            client.write_all(GET).await.unwrap();
            answered(&mut client).await;
            sleep(seconds(74)).await;
        }
        client.write_all(GET).await.unwrap();
        answered(&mut client).await;
        assert_eq!(seconds_to_the_end(&mut client).await, 75);
        let mut client = connected(connections().idle_timeout(seconds(5)));
        assert_eq!(seconds_to_the_end(&mut client).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_begun_must_end_soon() {
        let mut client = connected(connections());
        // Late for the first byte, and in time for the rest.
        for _ in 0..2 {
            sleep(seconds(74)).await;
            client.write_all(&GET[..5]).await.unwrap();
            sleep(seconds(29)).await;
            client.write_all(&GET[5..]).await.unwrap();
            answered(&mut client).await;
        }
        // More of it wins no time.
        client.write_all(&GET[..5]).await.unwrap();
        sleep(seconds(20)).await;
        client.write_all(&GET[5..10]).await.unwrap();
        assert_eq!(seconds_to_the_end(&mut client).await, 10);
        let mut client = connected(connections().head_timeout(seconds(5)));
        client.write_all(b"G").await.unwrap();
        assert_eq!(seconds_to_the_end(&mut client).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up_and_a_slow_reader_is_not() {
        const ASK: &[u8] = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
        // More than fits between the two.
        let mut client = connected(connections());
        client.write_all(ASK).await.unwrap();
        sleep(seconds(61)).await;
        let mut taken = Vec::new();
        client.read_to_end(&mut taken).await.unwrap();
        assert!(taken.len() < 1 << 20, "{} bytes", taken.len());
        let mut client = connected(connections());
        client.write_all(ASK).await.unwrap();
        let (mut taken, mut some) = (0, [0; 1 << 15]);
        while taken < 1 << 20 {
            sleep(seconds(59)).await;
            let more = client.read(&mut some).await.unwrap();
            assert!(more > 0, "it ended after {taken} bytes");
            taken += more;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_in_beneath_is_not_taken_by_the_client() {
        // As TLS does, it has room for much that the client does not take.
        let (mut client, socket) = duplex(64);
        let socket = BufWriter::with_capacity(1 << 16, socket);
        let drip = || async {
            Body::from_stream(futures::stream::unfold((), |()| async {
                sleep(seconds(10)).await;
                Some((Ok::<_, std::convert::Infallible>("x"), ()))
            }))
        };
        let connections = Connections::new(Router::new().route("/", get(drip)));
        client.write_all(GET).await.unwrap();
        let begin = Instant::now();
        let peer = ([127, 0, 0, 1], 1).into();
        assert!(connections.serve(socket, peer, true, std::future::pending()).await.is_err());
        assert_eq!(begin.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn neither_a_slow_body_nor_a_slow_answer_is_an_idle_connection() {
        let mut client = connected(connections());
        client.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        answered(&mut client).await;
        client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n").await.unwrap();
        sleep(seconds(200)).await;
        client.write_all(b"x").await.unwrap();
        answered(&mut client).await;
        assert_eq!(seconds_to_the_end(&mut client).await, 75);
    }
}
