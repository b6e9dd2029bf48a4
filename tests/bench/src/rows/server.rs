//! The server under measurement, with its stations.

use crate::certificate::Certificate;
use crate::client::Peer;
use crate::client::load::Load;
use crate::client::publisher::Publisher;
use crate::engine::{Engine, Place, STATIONS};
use crate::report::Failure;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tests::load::Shape;
use tests::server::Server;

/// The processor that servers are pinned to, where they are.
pub(super) const PROCESSOR: usize = 0;

/// What the answer to a batch holds for every trade that was made.
const MADE: &str = r#"{"status":201,"#;

/// A server on a new store with a thousand stations.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
    pub(super) shape: Shape,
    next: Arc<AtomicU64>,
    pub(super) place: Place,
}

impl Served {
    /// Starts it, on one processor where that is asked for.
    pub(super) async fn start(engine: Engine, pinned: bool) -> Result<Self, Failure> {
        let place = engine.place().await?;
        let server = match pinned {
            true => Server::start_on(PROCESSOR, &place.url).await,
            false => Server::start(&place.url).await,
        };
        let peer = address(&server)?.into();
        Self::opened(place, server, &peer)
    }

    /// Starts it over TLS alone, and answers how it is spoken to.
    pub(super) async fn start_with_tls(
        engine: Engine,
        certificate: &Certificate,
    ) -> Result<(Self, Peer), Failure> {
        let place = engine.place().await?;
        let server = Server::start_with_tls(&place.url, &certificate.files).await;
        let peer = certificate.peer(address(&server)?);
        Ok((Self::opened(place, server, &peer)?, peer))
    }

    fn opened(place: Place, server: Server, peer: &Peer) -> Result<Self, Failure> {
        let shape = Shape::spread(STATIONS);
        let mut publisher = Publisher::connect(peer.clone())?;
        for station in 0..STATIONS {
            publisher.send("POST", "/api/inventory", &shape.opening_body(station))?;
        }
        Ok(Self { server, address: peer.address, shape, next: Arc::default(), place })
    }

    /// A load of single trades.
    pub(super) async fn trades(
        &self,
        connections: usize,
        duration: Duration,
        pace: Option<f64>,
    ) -> Result<f64, Failure> {
        let load = Load { address: self.address, connections, duration, pace, status: 201, holds: None };
        let (shape, next) = (self.shape, self.next.clone());
        let answered = load.run(move |_| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            crate::client::request("POST", "/api/trades", &shape.trade_body(number))
        });
        Ok(answered.await?.rate())
    }

    /// A load of batches of so many trades: trades per second.
    pub(super) async fn batches(
        &self,
        connections: usize,
        duration: Duration,
        trades: u64,
    ) -> Result<f64, Failure> {
        let holds = Some((MADE, usize::try_from(trades)?));
        let load = Load { address: self.address, connections, duration, pace: None, status: 200, holds };
        let (shape, next) = (self.shape, self.next.clone());
        let answered = load.run(move |_| {
            let first = next.fetch_add(trades, Ordering::Relaxed);
            crate::client::request("POST", "/api/trades/batch", &batch_body(shape, first, trades))
        });
        Ok(answered.await?.rate() * trades as f64)
    }

    /// Settles so many trades in batches.
    pub(super) fn settle(&self, trades: u64) -> Result<(), Failure> {
        let mut publisher = Publisher::connect(self.address)?;
        let last = self.next.load(Ordering::Relaxed) + trades;
        loop {
            let first = self.next.load(Ordering::Relaxed);
            let count = last.saturating_sub(first).min(1_000);
            if count == 0 {
                return Ok(());
            }
            let body = publisher.send("POST", "/api/trades/batch", &batch_body(self.shape, first, count))?;
            if memchr::memmem::find_iter(body, MADE).count() as u64 != count {
                return Err("a trade of a batch was refused".into());
            }
            self.next.fetch_add(count, Ordering::Relaxed);
        }
    }
}

fn batch_body(shape: Shape, first: u64, trades: u64) -> String {
    let bodies: Vec<_> = (first..first + trades).map(|number| shape.trade_body(number)).collect();
    format!(r#"{{"trades":[{}]}}"#, bodies.join(","))
}

/// Where a server listens.
pub(super) fn address(server: &Server) -> Result<SocketAddr, Failure> {
    let (_, address) = server.url().split_once("://").ok_or("the server tells no URL")?;
    Ok(address.parse()?)
}
