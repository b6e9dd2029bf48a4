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
mod dialect;
mod driver;
mod examine;
#[cfg(test)]
mod faults;
mod migrate;
#[cfg(test)]
mod query_plans;
mod session;
mod wake;

use crate::engine::Engine;
use crate::parts::Parts;
use crate::rights;
use crate::server::{ServerOptions, judge_replica, open_first};
use crate::store::SqlStore;
use batch::Texts;
pub(crate) use classify::Postgres;
use commit::State;
use migrate::Server;
use session::PostgresOptions;
use trade_core::resource::Sequence;
use trade_core::store::{Commit, Head, Held, StoreError};
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

impl Engine for Postgres {
    type State = State;

    async fn commit(store: &Parts<Self, State>, commit: &Commit) -> Result<Head, StoreError> {
        commit::commit(store, commit).await
    }

    async fn hold(store: &Parts<Self, State>) -> Result<Box<dyn Held + '_>, StoreError> {
        Ok(Box::new(commit::lock(store).await?))
    }

    async fn changed(store: &Parts<Self, State>, after: Sequence) -> Result<(), StoreError> {
        store.state.wake.changed(&store.lanes.watcher, after).await
    }

    async fn stop(state: &State) {
        state.wake.stop();
    }
}
