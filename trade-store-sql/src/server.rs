//! What the stores of a server share: how they connect, how long they wait, how they learn what others wrote.

use crate::engine::Engine;
use crate::lane::{Lane, Patience};
use crate::store::Lanes;
use std::time::Duration;
#[cfg(feature = "mysql")]
use {
    crate::read::log, crate::store::SqlStore, trade_core::resource::Sequence, trade_core::store::StoreError,
};

/// How a store of a server connects, and how long it waits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The most connections that serve reads, from 1. One more writes, one loads what commands touch, one watches the
    /// log; a replica has as many again.
    pub readers_max: usize,
    /// How long an operation waits for a connection that is free, and for a new one to be made.
    pub connect_timeout: Duration,
    /// How long a statement may run. The server ends it, and where the server is silent, the client stops waiting
    /// a little later.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock that another server process holds.
    pub lock_timeout: Duration,
    /// How often the end of the log is looked at for what other processes wrote.
    pub poll_interval: Duration,
    /// The address of a replica that may lag behind, from which lists are read: never single resources, the feed, or
    /// what commands are decided on.
    pub read_url: Option<String>,
    /// Whether a schema that is missing or older is brought up to date. Otherwise it is refused as `Unsupported`: for
    /// users who may change rows, and no tables.
    pub migrate: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            readers_max: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(100),
            read_url: None,
            migrate: true,
        }
    }
}

/// By how much the client outwaits the server, which tells more exactly what happened.
const OUTWAIT: Duration = Duration::from_secs(2);

impl ServerOptions {
    /// The connections of a store: all to one server, but lists to its replica.
    pub(crate) fn lanes<E: Engine>(&self, primary: &E::Options, replica: Option<E::Options>) -> Lanes<E> {
        let patience = Patience {
            connection: self.connect_timeout,
            answer: self.statement_timeout.saturating_add(OUTWAIT),
        };
        let lane = |connections_max| Lane::new(primary.clone(), connections_max, patience);
        Lanes {
            writer: lane(1),
            loader: lane(1),
            watcher: lane(1),
            readers: lane(self.readers_max.max(1)),
            replica: replica.map(|options| Lane::new(options, self.readers_max.max(1), patience)),
        }
    }
}

/// Looks at the end of the log, again and again, until it lies behind `after`.
#[cfg(feature = "mysql")]
pub(crate) async fn poll<E: Engine>(
    store: &SqlStore<E>,
    after: Sequence,
    interval: Duration,
) -> Result<(), StoreError> {
    while log::head(&store.lanes.watcher, "watch the log").await?.sequence <= after {
        tokio::time::sleep(interval).await;
    }
    Ok(())
}
