//! A network in one SQLite file.
//!
//! The file is in write-ahead-log mode with `synchronous=FULL`: what was committed survives a power cut, and readers
//! never wait for the writer. There is one writing connection a process, and SQLite's own lock between processes;
//! a commit takes that lock before it reads anything (`BEGIN IMMEDIATE`), so what it reads holds until it ends.

mod batch;
mod classify;
mod commit;
mod dialect;
mod driver;
#[cfg(test)]
mod faults;
mod file;
mod migrate;
mod open;
mod open_file;
#[cfg(test)]
mod query_plans;
mod state;
mod upkeep;

use crate::engine::Engine;
use crate::parts::Parts;
use crate::read::log;
use crate::store::SqlStore;
use classify::Sqlite;
use state::State;
use std::path::Path;
use std::time::Duration;
use trade_core::resource::Sequence;
use trade_core::store::{Access, Commit, Head, Held, StoreError};

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
pub type SqliteStore = SqlStore<Sqlite>;

impl SqliteStore {
    /// Opens the file of an address, `sqlite://relative/path.db` or `sqlite:///absolute/path.db`, makes it where it is
    /// missing, and brings its schema up to date. `?mode=rw` opens only what is there. In an address `%`, `?` and `#` are
    /// written percent-encoded: a path goes to [`open_file`](Self::open_file) as it is.
    ///
    /// # Errors
    /// [`StoreError`], with the file left as it was: `Unavailable` where it cannot be reached or is locked,
    /// `Unsupported` where the address names no file, the file may not be written, or its schema is of a newer
    /// program, `Corrupt` where it is damaged or no database.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Access::default()).await
    }

    /// The same, of a path.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_file(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open(&format!("sqlite://{}", open::percent_encoded(path.as_ref())?)).await
    }

    /// As [`open`](Self::open), for what is said.
    ///
    /// To be read alone, a file is opened wherever it lies, on a read-only medium too, and neither it nor its folder is
    /// changed. Where no process has it open it is taken for one that nobody writes to; once another opens it,
    /// [`head`](trade_core::store::EventLog::head) fails as `Unavailable`, and what was read since the one before may be
    /// of no one moment.
    ///
    /// # Errors
    /// As [`open`](Self::open); `Unsupported` as well where the file holds no network, or an older schema, and must not
    /// be changed.
    pub async fn open_with(url: &str, access: Access) -> Result<Self, StoreError> {
        let (lanes, state) = open::open(url, access).await?;
        Ok(Self::new(lanes, state, access))
    }
}

/// How often the head is looked at for what other processes wrote: they leave no sign but the file itself.
const POLL_PAUSE: Duration = Duration::from_millis(100);

impl Engine for Sqlite {
    type State = State;

    async fn commit(store: &Parts<Self, State>, commit: &Commit) -> Result<Head, StoreError> {
        commit::commit(store, commit).await
    }

    async fn hold(store: &Parts<Self, State>) -> Result<Box<dyn Held + '_>, StoreError> {
        Ok(Box::new(commit::lock(store).await?))
    }

    async fn changed(store: &Parts<Self, State>, after: Sequence) -> Result<(), StoreError> {
        while log::head(&store.lanes.watcher, "watch the log").await?.sequence <= after {
            store.state.check().await?;
            tokio::time::sleep(POLL_PAUSE).await;
        }
        Ok(())
    }

    async fn check(state: &State) -> Result<(), StoreError> {
        state.check().await
    }

    async fn stop(state: &State) {
        state.stop().await
    }
}
