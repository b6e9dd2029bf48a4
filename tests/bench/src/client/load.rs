//! Load over HTTP: keep-alive connections, each with one request after the other, on a thread of their own.

use super::http::{head, head_length};
use crate::report::Failure;
use memchr::memmem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How much longer than asked for a load may take, before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a load is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    /// Requests a second in all, where they are not sent as fast as they are answered.
    pub(crate) pace: Option<f64>,
    /// The status that every answer must have.
    pub(crate) status: u16,
    /// What the body of every answer must hold, and how often.
    pub(crate) holds: Option<(&'static str, usize)>,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) count: u64,
    pub(crate) seconds: f64,
}

impl Answered {
    /// Answers per second.
    pub(crate) fn rate(self) -> f64 {
        self.count as f64 / self.seconds
    }
}

impl Load {
    /// Sends what `make` makes of the numbers of the requests, counted from 0.
    pub(crate) async fn run(
        self,
        make: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> Result<Answered, Failure> {
        let run = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.drive(&make))
        });
        run.await?
    }

    async fn drive(self, make: &impl Fn(u64) -> Vec<u8>) -> Result<Answered, Failure> {
        let mut sockets = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let socket = TcpStream::connect(self.address).await?;
            socket.set_nodelay(true)?;
            sockets.push(socket);
        }
        let (next, begin) = (AtomicU64::new(0), Instant::now());
        let connections = sockets.into_iter().map(|socket| self.connection(socket, begin, &next, make));
        let all = futures::future::try_join_all(connections);
        let counts = timeout_at(begin + self.duration + PATIENCE, all).await;
        let counts = counts.map_err(|_| "requests are not answered")??;
        Ok(Answered { count: counts.iter().sum(), seconds: begin.elapsed().as_secs_f64() })
    }

    async fn connection(
        self,
        mut socket: TcpStream,
        begin: Instant,
        next: &AtomicU64,
        make: &impl Fn(u64) -> Vec<u8>,
    ) -> Result<u64, Failure> {
        let (mut buffer, mut count) = (Vec::with_capacity(16 * 1024), 0);
        while begin.elapsed() < self.duration || self.pace.is_some() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if let Some(pace) = self.pace {
                // All that are due within the time are sent, however late: a server that falls behind takes longer.
                let due = Duration::from_secs_f64(number as f64 / pace);
                if due >= self.duration {
                    break;
                }
                sleep_until(begin + due).await;
            }
            socket.write_all(&make(number)).await?;
            let status = answer(&mut socket, &mut buffer).await?;
            if status != self.status {
                let text = String::from_utf8_lossy(&buffer);
                return Err(format!("status {status}, not {}: {text}", self.status).into());
            }
            if let Some((text, times)) = self.holds {
                let found = memmem::find_iter(&buffer, text).count();
                if found != times {
                    return Err(format!("an answer holds {text} {found} times, not {times} times").into());
                }
            }
            count += 1;
        }
        Ok(count)
    }
}

/// Reads one answer into `buffer`.
async fn answer(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16, Failure> {
    buffer.clear();
    let mut expected = None;
    loop {
        if socket.read_buf(buffer).await? == 0 {
            return Err("the server closed a connection".into());
        }
        if expected.is_none()
            && let Some(length) = head_length(buffer)
        {
            let (status, body) = head(&buffer[..length]).ok_or("an answer is no HTTP")?;
            expected = Some((status, length + body.ok_or("an answer tells no length")?));
        }
        if let Some((status, length)) = expected
            && buffer.len() >= length
        {
            return Ok(status);
        }
    }
}
