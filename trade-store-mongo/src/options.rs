//! How a store connects, and how long it waits.

use std::time::Duration;
use trade_core::store::Access;

/// How a store connects, and how long it waits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MongoOptions {
    /// The most connections that read from each server, from 1; the address may name another number (`maxPoolSize`).
    /// Four more write, load what commands touch, and watch the log: these are made first, and kept.
    pub connections_max: u32,
    /// After so long without use a connection that reads is closed; the address may name another time
    /// (`maxIdleTimeMS`).
    pub idle_timeout: Duration,
    /// How long an operation waits for a server that can serve it, and for a new connection; the address may name other
    /// times (`serverSelectionTimeoutMS`, `connectTimeoutMS`).
    pub connect_timeout: Duration,
    /// How long a command may run. The server ends it, and where the server is silent, the client stops waiting a
    /// little later.
    pub operation_timeout: Duration,
    /// How long a commit waits for the head of the log while another server process holds it.
    pub lock_timeout: Duration,
    /// How often the end of the log is looked at for what other processes wrote, while no change stream tells of it.
    pub poll_interval: Duration,
    /// What the store is opened for.
    pub access: Access,
}

impl Default for MongoOptions {
    fn default() -> Self {
        Self {
            connections_max: 16,
            idle_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            operation_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(100),
            access: Access::default(),
        }
    }
}
