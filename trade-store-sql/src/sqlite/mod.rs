//! A network in one SQLite file.
//!
//! The file is in write-ahead-log mode with `synchronous=FULL`: what was committed survives a power cut, and readers
//! never wait for the writer. There is one writing connection a process, and SQLite's own lock between processes;
//! a commit takes that lock before it reads anything (`BEGIN IMMEDIATE`), so what it reads holds until it ends.

mod batch;
mod classify;
mod commit;
#[cfg(test)]
mod faults;
mod file;
mod migrate;
mod open;
mod open_file;
#[cfg(test)]
mod query_plans;
mod upkeep;

use crate::dialect::{Dialect, Rendered};
use crate::engine::{Engine, Param};
use crate::read::log;
use crate::rows::Columns;
use crate::store::SqlStore;
use file::AtRest;
use open::SqliteOptions;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteQueryResult, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, Sqlite as Driver};
use std::time::Duration;
use trade_core::resource::Sequence;
use trade_core::store::{Access, Commit, Head, Held, StoreError, StoreErrorKind};
use upkeep::Upkeep;

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
    /// missing, and brings its schema up to date. `?mode=rw` opens only what is there.
    ///
    /// # Errors
    /// [`StoreError`], with the file left as it was: `Unavailable` where it cannot be reached or is locked,
    /// `Unsupported` where the address names no file, the file may not be written, or its schema is of a newer
    /// program, `Corrupt` where it is damaged or no database.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, Access::default()).await
    }

    /// The same, for what is said.
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
        open::open(url, access).await
    }
}

/// What a store keeps beside its connections.
#[derive(Debug)]
pub struct State {
    /// The file, where it was opened as one that nobody writes to.
    at_rest: Option<AtRest>,
    /// The upkeep of one that is written.
    upkeep: Option<Upkeep>,
}

impl State {
    /// Something was written, or could not be.
    fn written(&self) {
        if let Some(upkeep) = &self.upkeep {
            upkeep.written();
        }
    }
}

/// SQLite, as an engine.
#[derive(Debug)]
pub struct Sqlite;

/// How often the head is looked at for what other processes wrote: they leave no sign but the file itself.
const POLL_PAUSE: Duration = Duration::from_millis(100);

impl Engine for Sqlite {
    type Connection = SqliteConnection;
    type Options = SqliteOptions;
    type Row = SqliteRow;
    type State = State;

    const NAME: &'static str = "sqlite";
    const DIALECT: Dialect = Dialect::Sqlite;
    const IDLE_MAX: Option<Duration> = None;
    const CLOCK: Option<&'static str> = None;

    async fn connect(options: &SqliteOptions) -> Result<SqliteConnection, sqlx::Error> {
        options.open().await
    }

    async fn fetch(
        connection: &mut SqliteConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        query(text, parameters)?.fetch_all(connection).await
    }

    async fn execute(
        connection: &mut SqliteConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<u64, sqlx::Error> {
        query(text, parameters)?.execute(connection).await.map(|done: SqliteQueryResult| done.rows_affected())
    }

    fn meaning(error: &sqlx::Error) -> (StoreErrorKind, &'static str) {
        classify::meaning(error)
    }

    async fn commit(store: &SqlStore<Self>, commit: &Commit) -> Result<Head, StoreError> {
        commit::commit(store, commit).await
    }

    async fn hold(store: &SqlStore<Self>) -> Result<Box<dyn Held + '_>, StoreError> {
        Ok(Box::new(commit::lock(store).await?))
    }

    async fn changed(store: &SqlStore<Self>, after: Sequence) -> Result<(), StoreError> {
        while log::head(&store.lanes.watcher, "watch the log").await?.sequence <= after {
            Self::check(&store.state).await?;
            tokio::time::sleep(POLL_PAUSE).await;
        }
        Ok(())
    }

    async fn check(state: &State) -> Result<(), StoreError> {
        state.at_rest.as_ref().map_or(Ok(()), AtRest::check)?;
        match &state.upkeep {
            Some(upkeep) => upkeep.check().await,
            None => Ok(()),
        }
    }

    async fn stop(state: &State) {
        if let Some(upkeep) = &state.upkeep {
            upkeep.close().await;
        }
    }
}

fn query(
    text: &Rendered,
    parameters: &[Param<'_>],
) -> Result<sqlx::query::Query<'static, Driver, SqliteArguments>, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for parameter in parameters {
        let added = match parameter {
            Param::Int(number) => arguments.add(number),
            Param::Text(text) => arguments.add(text.map(str::to_owned)),
            list => arguments.add(list.json()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(text.text.clone()), arguments))
}

impl Columns for SqliteRow {
    fn number(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(at)
    }

    fn text(&self, at: usize) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(at)
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        self.try_get(at)
    }
}
