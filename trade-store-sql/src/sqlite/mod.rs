//! A network in one SQLite file.
//!
//! The file is in write-ahead-log mode with `synchronous=FULL`: what was committed survives a power cut, and readers
//! never wait for the writer. There is one writing connection a process, and SQLite's own lock between processes;
//! a commit takes that lock before it reads anything (`BEGIN IMMEDIATE`), so what it reads holds until it ends.

mod batch;
mod cargo;
mod classify;
mod commit;
#[cfg(test)]
mod faults;
mod inventory;
mod lane;
mod ledger;
mod load;
mod log;
mod migrate;
mod open;
#[cfg(test)]
mod query_plans;
mod resolve;
mod snapshot;
mod sql;
mod trades;

use async_trait::async_trait;
use lane::Lane;
use resolve::StationKeys;
use trade_core::resource::Sequence;
use trade_core::store::{Commit, EventLog, Head, Held, Keys, Loaded, LogRecord, Store, StoreError};
use trade_core::values::Timestamp;

/// Keeps a network in an SQLite file.
///
/// Several processes may open the same file: they are one network, with one order of events. The file may hold tables
/// of other applications; those of this store begin with `tn_`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("network.db");
/// # let url = format!("sqlite://{}", file.display());
/// use trade_core::store::EventLog;
/// let store = trade_store_sql::SqliteStore::open(&url).await?;
/// assert_eq!(store.head().await?.sequence, 0);
/// store.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    writer: Lane,
    /// Loads what commands can touch. They do not queue behind those who merely read.
    loader: Lane,
    /// Looks where the log ends.
    watcher: Lane,
    readers: Lane,
    stations: StationKeys,
}

impl SqliteStore {
    fn new(writer: Lane, loader: Lane, watcher: Lane, readers: Lane) -> Self {
        Self { writer, loader, watcher, readers, stations: StationKeys::default() }
    }

    /// Opens the file of an address, `sqlite://relative/path.db` or `sqlite:///absolute/path.db`, makes it where it is
    /// missing, and brings its schema up to date. `?mode=rw` opens only what is there.
    ///
    /// # Errors
    /// [`StoreError`], with the file left as it was: `Unavailable` where it cannot be reached or is locked,
    /// `Unsupported` where the address names no file, the file may not be written, or its schema is of a newer
    /// program, `Corrupt` where it is damaged or no database.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        open::open(url).await
    }

    /// Closes the file. Operations that run end in order, those that come after are refused as `Unavailable`.
    pub async fn close(&self) {
        for lane in [&self.watcher, &self.loader, &self.readers] {
            lane.close().await;
        }
        self.writer.close().await;
    }
}

#[async_trait]
impl EventLog for SqliteStore {
    async fn head(&self) -> Result<Head, StoreError> {
        log::head(&self.watcher, "head").await
    }

    async fn read(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, StoreError> {
        log::read(&self.readers, after, records_max, bytes_max).await
    }

    async fn changed(&self, after: Sequence) -> Result<(), StoreError> {
        log::changed(&self.watcher, after).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn name(&self) -> &'static str {
        classify::NAME
    }

    async fn load(&self, keys: &Keys) -> Result<Loaded, StoreError> {
        load::load(&self.loader, keys).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Head, StoreError> {
        commit::commit(&self.writer, &self.stations, commit).await
    }

    async fn hold(&self) -> Result<Box<dyn Held + '_>, StoreError> {
        Ok(Box::new(commit::lock(&self.writer, &self.stations).await?))
    }

    async fn prune_receipts(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        log::prune_receipts(&self.writer, before, limit).await
    }
}
