//! What every store is made of.

use crate::commit::keys::StationKeys;
use crate::driver::Driver;
use crate::lane::Lane;
use crate::replica::Replica;
use std::sync::Arc;
use trade_core::store::{Page, StoreError};

/// The connections of a store, what it knows, and the engine's own.
#[derive(Debug)]
pub struct Parts<D: Driver, S> {
    pub(crate) lanes: Lanes<D>,
    pub(crate) stations: StationKeys,
    pub(crate) state: S,
}

/// Connections, by what they are for.
#[derive(Debug)]
pub(crate) struct Lanes<D: Driver> {
    pub(crate) writer: Lane<D>,
    /// Loads what commands can touch: it waits for nobody who merely reads.
    pub(crate) loader: Lane<D>,
    /// Looks where the log ends.
    pub(crate) watcher: Arc<Lane<D>>,
    /// Single reads, lists, and the log.
    pub(crate) readers: Lane<D>,
    /// Lists, where these are read at a replica.
    pub(crate) replica: Option<Replica<D>>,
}

impl<D: Driver> Lanes<D> {
    /// Reads a list: at the replica where there is one that serves, else where single reads are.
    pub(crate) async fn list<'l, T, P, F>(
        &'l self,
        read: impl Fn(&'l Lane<D>) -> F,
    ) -> Result<Page<T, P>, StoreError>
    where
        F: Future<Output = Result<Page<T, P>, StoreError>>,
    {
        if let Some(replica) = &self.replica
            && let Some(page) = replica.list(&read).await
        {
            return Ok(page);
        }
        read(&self.readers).await
    }
}
