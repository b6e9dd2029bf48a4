//! A TCP proxy that disturbs, in front of a database server.
//!
//! It is told what to do by a [`Strike`]: on which connection (the first on which a word is sent, such as the statement
//! that begins a transaction, or one that was sent it before, as prepared statements are), after how much (packets, as
//! the proxy reads them, or bytes) in which direction, and what happens then. A strike happens once. Beside that the whole
//! way can be closed, or held up, for as long as one likes.

mod link;

use link::Link;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How long connections may take to end.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Both sides see a reset; what was under way is lost.
    Reset,
    /// Both sides see an orderly end; what was under way is lost.
    Close,
    /// The receiver sees an orderly end, and nothing more comes through in this direction; the other goes on.
    HalfClose,
    /// The client sees a reset at once; what it sent arrives at the server later.
    Late(Duration),
    /// What is under way in this direction arrives later, and the connection goes on.
    Delay(Duration),
    /// Nothing comes through any more in either direction, and nobody is told.
    Silence,
}

/// Which connection is meant: the first whose client sends a packet …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meant {
    /// … with a word in it, in whatever case.
    Sends(&'static str),
    /// … after it has sent the word of [`Proxy::remember`] at some time.
    Remembered,
}

/// When a strike happens, counted from the packet that makes out the connection, that one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum After {
    /// So many packets of the direction have come through whole.
    Packets(u64),
    /// So many bytes of the direction have come through.
    Bytes(u64),
}

/// One disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Strike {
    pub meant: Meant,
    pub direction: Direction,
    pub after: After,
    pub fault: Fault,
}

/// Whether the way is open at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Connections are taken, and nothing comes through; it does once the way is open again.
    Held,
    /// Connections are reset, those that are there and those that come.
    Shut,
}

/// What connections and the test share.
#[derive(Debug)]
struct Shared {
    plan: Mutex<Plan>,
    way: watch::Sender<Way>,
}

#[derive(Debug, Default)]
struct Plan {
    strike: Option<Strike>,
    /// The connection that is meant, once it is made out.
    meant: Option<u64>,
    /// The word to remember, and the connections on which it was sent.
    word: Option<&'static str>,
    remembered: HashSet<u64>,
    /// Packets and bytes that came through since, by direction.
    packets: [u64; 2],
    bytes: [u64; 2],
    strikes: u64,
    connections: u64,
    /// Connections that have not ended.
    open: u64,
}

/// What is to be done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    /// So many bytes of it come through first.
    Strike {
        pass: usize,
        fault: Fault,
    },
}

impl Plan {
    /// Judges a packet of a connection.
    fn judge(&mut self, connection: u64, direction: Direction, packet: &[u8]) -> Verdict {
        if direction == Direction::ToServer && self.word.is_some_and(|word| holds(packet, word)) {
            self.remembered.insert(connection);
        }
        let Some(strike) = self.strike else { return Verdict::Pass };
        let is_meant = match strike.meant {
            Meant::Sends(word) => holds(packet, word),
            Meant::Remembered => self.remembered.contains(&connection),
        };
        if self.meant.is_none() && direction == Direction::ToServer && is_meant {
            self.meant = Some(connection);
        }
        if self.meant != Some(connection) {
            return Verdict::Pass;
        }
        let way = direction as usize;
        let pass = match strike.after {
            _ if direction != strike.direction => None,
            After::Packets(count) => (self.packets[way] >= count).then_some(0),
            After::Bytes(count) => {
                let left = usize::try_from(count.saturating_sub(self.bytes[way])).unwrap_or(usize::MAX);
                (left < packet.len()).then_some(left)
            }
        };
        match pass {
            Some(pass) => {
                self.strike = None;
                self.strikes += 1;
                Verdict::Strike { pass, fault: strike.fault }
            }
            None => {
                self.packets[way] += 1;
                self.bytes[way] += packet.len() as u64;
                Verdict::Pass
            }
        }
    }
}

/// Whether a packet holds a word, in whatever case.
fn holds(packet: &[u8], word: &str) -> bool {
    packet.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A proxy on a port of its own. Its connections end with it.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of a host and port.
    pub async fn start(upstream: (String, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared { plan: Mutex::default(), way: watch::Sender::new(Way::Open) });
        let accepting = tokio::spawn(accept(listener, upstream, shared.clone()));
        Self { port, shared, accepting }
    }

    /// Its port on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Arms a strike, instead of one that is armed still.
    pub fn arm(&self, strike: Strike) {
        let mut plan = self.shared.plan();
        plan.strike = Some(strike);
        plan.meant = None;
        (plan.packets, plan.bytes) = ([0; 2], [0; 2]);
    }

    /// Remembers from now on which connections have sent a word, in whatever case.
    pub fn remember(&self, word: &'static str) {
        self.shared.plan().word = Some(word);
    }

    /// Takes a strike back that has not happened; answers whether there was one.
    pub fn disarm(&self) -> bool {
        self.shared.plan().strike.take().is_some()
    }

    /// How many strikes have happened.
    pub fn strikes(&self) -> u64 {
        self.shared.plan().strikes
    }

    /// How many connections were taken.
    pub fn connections(&self) -> u64 {
        self.shared.plan().connections
    }

    /// Waits until no connection is left: then nothing is on its way to the server any more.
    pub async fn idle(&self) {
        let idle = async {
            while self.shared.plan().open > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(IDLE_MAX, idle).await.expect("the connections end");
    }

    /// Opens, holds or shuts the way for all connections.
    pub fn set_way(&self, way: Way) {
        self.shared.way.send_replace(way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: (String, u16), shared: Arc<Shared>) {
    // Ended when this is dropped.
    let mut links = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while links.try_join_next().is_some() {}
        let number = {
            let mut plan = shared.plan();
            plan.connections += 1;
            plan.open += 1;
            plan.connections
        };
        let (upstream, shared) = (upstream.clone(), shared.clone());
        links.spawn(async move {
            connect(client, upstream, number, shared.clone()).await;
            let mut plan = shared.plan();
            plan.open -= 1;
            plan.remembered.remove(&number);
        });
    }
}

async fn connect(client: TcpStream, upstream: (String, u16), number: u64, shared: Arc<Shared>) {
    let mut way = shared.way.subscribe();
    let is_shut = |way: &Way| *way == Way::Shut;
    // A client whose server cannot be reached is reset as well.
    let server = tokio::select! {
        biased;
        _ = way.wait_for(is_shut) => None,
        server = TcpStream::connect(upstream) => server.ok(),
    };
    match server {
        Some(server) => Link::new(number, client, server, shared).run().await,
        None => drop(client.set_zero_linger()),
    }
}

#[cfg(test)]
mod tests;
