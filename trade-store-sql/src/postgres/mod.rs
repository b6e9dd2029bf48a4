//! A network in a PostgreSQL database.
//!
//! Any number of processes may share one database: they are one network, with one order of events. Reads are at READ
//! COMMITTED, each one statement or one snapshot; a commit is ordered by the lock on the head of the log, and checks
//! what it depends on under it.
//!
//! Nothing is asked of the server but what is documented SQL, without triggers, advisory locks or deferred constraints,
//! so what speaks its protocol may serve as well. The tests run PostgreSQL alone; what is known of others:
//!
//! - CockroachDB knows no LISTEN, and is polled (`wake`); its texts compare by bytes without `COLLATE "C"`, which its
//!   migrations leave out (`migrate`); it changes a table once a statement (`batch`). Its SERIALIZABLE is as good as the
//!   READ COMMITTED that is asked for: what it refuses with 40001 is a conflict like any other.
//! - YugabyteDB needs `yb_enable_read_committed_isolation`, without which it takes READ COMMITTED for a stronger level.
//! - A pooler in front must keep a session for a client (PgBouncer's `pool_mode = session`), and is refused where it does
//!   not (`examine`).

mod batch;
mod classify;
mod commit;
mod examine;
#[cfg(test)]
mod faults;
mod migrate;
#[cfg(test)]
mod query_plans;
mod session;
mod wake;

use crate::dialect::{Dialect, Rendered};
use crate::engine::{Engine, Param};
use crate::rights;
use crate::rows::Columns;
use crate::server::{ServerOptions, judge_replica, open_first};
use crate::store::SqlStore;
use batch::Texts;
use migrate::Server;
use session::PostgresOptions;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Executor, Row};
use std::time::Duration;
use trade_core::resource::Sequence;
use trade_core::store::{Commit, Head, Held, StoreError, StoreErrorKind};
use wake::Wake;

/// Keeps a network in a PostgreSQL database.
///
/// Several processes may open the same database: they are one network, with one order of events. The database may hold
/// tables of other applications; those of this store begin with `tn_`, and stand in the first schema of the user's
/// search path.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use trade_core::store::EventLog;
/// let url = "postgres://trade:secret@db.example/trade?sslmode=verify-full";
/// let store = trade_store_sql::PostgresStore::connect(url).await?;
/// assert_eq!(store.head().await?.sequence, 0);
/// store.close().await;
/// # Ok(())
/// # }
/// ```
pub type PostgresStore = SqlStore<Postgres>;

impl PostgresStore {
    /// Connects to the database of an address, `postgres://user:password@host:port/database`, and brings its schema up
    /// to date. The parameters of the address are libpq's: `sslmode`, `sslrootcert`, `options` and others. Of several hosts,
    /// `host:port,host:port`, the first that takes writes is connected to.
    ///
    /// # Errors
    /// [`StoreError`], with the database left as it was: `Unavailable` where the server cannot be reached,
    /// `Unsupported` where the address is of another kind, the server refuses the user, there is no such database, it
    /// may not be written or lacks characters, a pooler in front keeps no sessions, or its schema is of a newer program,
    /// `Corrupt` where its tables are damaged.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, &ServerOptions::default()).await
    }

    /// The same with settings.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, options: &ServerOptions) -> Result<Self, StoreError> {
        let ServerOptions { access, read_url, .. } = options;
        let primary = PostgresOptions::new(url, options, !access.may_write())?;
        let replica = read_url.as_deref().map(|url| PostgresOptions::new(url, options, true)).transpose()?;
        let mut lanes = options.lanes::<Postgres>(&primary, primary.clone());
        examine::sessions(&lanes).await?;
        let mut lease = lanes.writer.lease(examine::OPERATION).await?;
        if access.may_write() {
            examine::encoding(&mut lease).await?;
        }
        let server = migrate::migrate(&mut lease.connection, *access).await?;
        rights::prove(&mut lease, *access).await?;
        lease.give_back();
        open_first(&lanes).await?;
        if let Some(replica) = replica {
            judge_replica(examine::sessions(&options.lanes(&replica, replica.clone())).await)?;
            lanes.replica = Some(options.replica(replica, lanes.watcher.clone()).await?);
        }
        let wake = Wake::start(primary, lanes.readers.places(), options.poll_interval);
        let table_once = server == Server::Cockroach;
        Ok(Self::new(lanes, State { wake, table_once, texts: Texts::default() }, *access))
    }
}

/// What a store keeps beside its connections.
#[derive(Debug)]
pub struct State {
    wake: Wake,
    /// Whether no statement may change a table twice.
    table_once: bool,
    texts: Texts,
}

/// PostgreSQL, as an engine.
#[derive(Debug)]
pub struct Postgres;

impl Engine for Postgres {
    type Connection = PgConnection;
    type Options = PostgresOptions;
    type Row = PgRow;
    type State = State;

    const NAME: &'static str = "postgres";
    const DIALECT: Dialect = Dialect::Postgres;
    const IDLE_MAX: Option<Duration> = Some(Duration::from_secs(1));
    const CLOCK: Option<&'static str> = Some("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint");

    async fn connect(options: &PostgresOptions) -> Result<PgConnection, sqlx::Error> {
        options.open().await
    }

    async fn fetch(
        connection: &mut PgConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let sql = AssertSqlSafe(text.text.clone());
        match parameters {
            // Not prepared, and so possibly several statements.
            [] => connection.fetch_all(sqlx::raw_sql(sql)).await,
            _ => sqlx::query_with(sql, arguments(parameters)?).fetch_all(connection).await,
        }
    }

    async fn execute(
        connection: &mut PgConnection,
        text: &Rendered,
        parameters: &[Param<'_>],
    ) -> Result<u64, sqlx::Error> {
        let sql = AssertSqlSafe(text.text.clone());
        let done = match parameters {
            [] => connection.execute(sqlx::raw_sql(sql)).await,
            _ => sqlx::query_with(sql, arguments(parameters)?).execute(connection).await,
        };
        Ok(done?.rows_affected())
    }

    fn meaning(error: &sqlx::Error) -> (StoreErrorKind, &'static str) {
        classify::meaning(error)
    }

    fn is_full(error: &sqlx::Error) -> bool {
        classify::is_full(error)
    }

    async fn commit(store: &SqlStore<Self>, commit: &Commit) -> Result<Head, StoreError> {
        commit::commit(store, commit).await
    }

    async fn hold(store: &SqlStore<Self>) -> Result<Box<dyn Held + '_>, StoreError> {
        Ok(Box::new(commit::lock(store).await?))
    }

    async fn changed(store: &SqlStore<Self>, after: Sequence) -> Result<(), StoreError> {
        wake::changed(store, after).await
    }

    async fn stop(state: &State) {
        state.wake.stop();
    }
}

fn arguments(parameters: &[Param<'_>]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for parameter in parameters {
        let added = match parameter {
            Param::Int(number) => arguments.add(number),
            Param::Text(text) => arguments.add(text),
            Param::Texts(texts) => arguments.add(texts),
            Param::Pairs(pairs) => {
                arguments.add(pairs.iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>())
            }
            Param::Ints(numbers) => arguments.add(numbers),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

impl Columns for PgRow {
    fn number(&self, at: usize) -> Result<Option<i64>, sqlx::Error> {
        // Of any width.
        self.try_get_unchecked(at)
    }

    fn text(&self, at: usize) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(at)
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, sqlx::Error> {
        self.try_get(at)
    }
}
