//! One connection through the proxy: two pumps, and how they end.

use super::{Direction, Fault, Shared, Verdict, Way};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const PACKET_BYTES_MAX: usize = 64 << 10;
/// How long an end waits for the other side to end as well.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// A client's connection, and the one to the server that was made for it.
pub(super) struct Link {
    number: u64,
    client: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
}

/// How both directions end at once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Reset,
    Close,
    /// The client is reset, and this arrives at the server later.
    Late {
        packet: Vec<u8>,
        delay: Duration,
    },
    Silence,
}

/// One direction.
struct Pump<'a> {
    number: u64,
    direction: Direction,
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    shared: &'a Shared,
    fate: &'a watch::Sender<Option<Fate>>,
}

impl Link {
    pub(super) fn new(number: u64, client: TcpStream, server: TcpStream, shared: Arc<Shared>) -> Self {
        // A delay is what a strike asks for, and nothing else.
        for socket in [&client, &server] {
            let _ = socket.set_nodelay(true);
        }
        Self { number, client, server, shared }
    }

    /// Pumps until both directions have ended, or the connection has met its fate.
    pub(super) async fn run(self) {
        let Self { number, client, server, shared } = self;
        let fate = watch::Sender::new(None);
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.into_split();
        let pump = |direction, from, to| Pump { number, direction, from, to, shared: &shared, fate: &fate };
        let mut up = pump(Direction::ToServer, client_read, server_write);
        let mut down = pump(Direction::ToClient, server_read, client_write);
        tokio::join!(up.run(), down.run());
        let met = fate.borrow().clone();
        let (mut client, mut server) = (whole(up.from, down.to), whole(down.from, up.to));
        match met {
            // Both have ended by themselves.
            None => {}
            Some(Fate::Reset) => reset([client, server]),
            Some(Fate::Close) => {
                let _ = tokio::join!(client.shutdown(), server.shutdown());
                tokio::join!(drain(&mut client), drain(&mut server));
            }
            Some(Fate::Silence) => {
                let _ = shared.way.subscribe().wait_for(|way| *way == Way::Shut).await;
                reset([client, server]);
            }
            Some(Fate::Late { packet, delay }) => {
                reset([client]);
                sleep(delay).await;
                let _ = server.write_all(&packet).await;
                let _ = server.shutdown().await;
                drain(&mut server).await;
            }
        }
    }
}

/// A socket from its halves: dropped by itself, a half to write to would say an orderly end.
fn whole(read: OwnedReadHalf, write: OwnedWriteHalf) -> TcpStream {
    read.reunite(write).expect("they are of one socket")
}

/// Ends sockets by a reset.
fn reset<const N: usize>(sockets: [TcpStream; N]) {
    for socket in sockets {
        // The other side may have ended it already.
        let _ = socket.set_zero_linger();
    }
}

/// Reads on until the other side ends: a socket that is closed with something unread is reset.
async fn drain(from: &mut TcpStream) {
    let mut rest = [0; 4_096];
    let read_all = async { while matches!(from.read(&mut rest).await, Ok(1..)) {} };
    let _ = timeout(FAREWELL_MAX, read_all).await;
}

impl Pump<'_> {
    async fn run(&mut self) {
        let mut ended = self.fate.subscribe();
        let mut way = self.shared.way.subscribe();
        let fate = self.fate;
        tokio::select! {
            _ = ended.wait_for(Option::is_some) => {}
            _ = way.wait_for(|way| *way == Way::Shut) => meet(fate, Fate::Reset),
            pumped = self.pump() => if pumped.is_err() {
                meet(fate, Fate::Reset);
            },
        }
    }

    /// Forwards until this direction ends.
    async fn pump(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        let mut way = self.shared.way.subscribe();
        loop {
            let count = self.from.read(&mut buffer).await?;
            // While this waits, the sender's packets pile up in the kernel.
            let _ = way.wait_for(|way| *way == Way::Open).await;
            let packet = &buffer[..count];
            if packet.is_empty() {
                return self.to.shutdown().await;
            }
            let verdict = self.shared.plan().judge(self.number, self.direction, packet);
            match verdict {
                Verdict::Pass => self.to.write_all(packet).await?,
                Verdict::Strike { pass, fault } => {
                    self.to.write_all(&packet[..pass]).await?;
                    if self.suffer(fault, &packet[pass..]).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Does to this connection what was planned; answers whether this direction has ended by it.
    async fn suffer(&mut self, fault: Fault, rest: &[u8]) -> io::Result<bool> {
        match fault {
            Fault::Reset => meet(self.fate, Fate::Reset),
            Fault::Close => meet(self.fate, Fate::Close),
            Fault::Late(delay) => {
                let packet = if self.direction == Direction::ToServer { rest.to_vec() } else { Vec::new() };
                meet(self.fate, Fate::Late { packet, delay });
            }
            Fault::HalfClose => {
                self.to.shutdown().await?;
                let mut ignored = [0; 4_096];
                while self.from.read(&mut ignored).await? > 0 {}
            }
            Fault::Delay(delay) => {
                sleep(delay).await;
                self.to.write_all(rest).await?;
                return Ok(false);
            }
            Fault::Silence => meet(self.fate, Fate::Silence),
        }
        Ok(true)
    }
}

fn meet(fate: &watch::Sender<Option<Fate>>, met: Fate) {
    // The first word counts: a reset that a fate brings about is not another one.
    fate.send_if_modified(|fate| {
        let is_first = fate.is_none();
        fate.get_or_insert(met);
        is_first
    });
}
