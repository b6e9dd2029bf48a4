//! A network in a MySQL or MariaDB database.
//!
//! One row, the head of the log, is locked by every commit first, and held to its end: so commits have one order,
//! whatever number of servers write, and a sequence becomes visible only after all before it. Transactions are at
//! READ COMMITTED, so that what is read under that lock is what the commit before left; a list, which takes several
//! statements, is read at REPEATABLE READ.
//!
//! Only what both MySQL (from 8.0.19) and MariaDB (from 10.6) document is asked of the server.

mod batch;
mod classify;
mod commit;
#[cfg(test)]
#[path = "../../tests/common/mysql_database.rs"]
mod database;
mod dialect;
mod driver;
mod examine;
#[cfg(test)]
mod faults;
mod migrate;
mod pace;
#[cfg(test)]
mod query_plans;
mod session;

use crate::engine::Engine;
use crate::parts::Parts;
use crate::server::{ServerOptions, open_first, poll};
use crate::store::SqlStore;
use classify::MySql;
use examine::State;
use session::MySqlOptions;
use trade_core::resource::Sequence;
use trade_core::store::{Commit, Head, Held, StoreError};

/// Keeps a network in a MySQL or MariaDB database.
///
/// Several servers may share the database: they are one network, with one order of events. It may hold tables of other
/// applications; those of this store begin with `tn_`.
///
/// # The server
/// MySQL from 8.0.19 or MariaDB from 10.6, with InnoDB. The user needs the rights to select, insert, update and delete
/// in the database, and to create and alter its tables where the schema is made or brought up to date.
///
/// What is acknowledged is durable: a server with `innodb_flush_log_at_trx_commit` other than 1 is refused. Without a
/// binary log (or with `sync_binlog` other than 1) InnoDB shows a commit to other connections a moment before it is
/// durable: a crash of the server within that moment can take back what a server that tails the log has seen, though
/// never what was acknowledged. With the binary log and `sync_binlog = 1` it is durable first.
///
/// `max_allowed_packet` bounds the largest row, or list of keys, as text: a server with less than 16 MB is refused. Under
/// load, a buffer pool and a redo log of 1 GB each keep the server from stalling.
///
/// # The address
/// `mysql://user:password@host:port/database`, or `mariadb://`; of several hosts, `host:port,host:port`, the first that
/// takes writes is connected to. Parameters of the address choose TLS: `ssl-mode`
/// (`disabled`, `preferred`, which is the default, `required`, `verify_ca`, `verify_identity`), `ssl-ca`, `ssl-cert`,
/// `ssl-key`; and `socket` a Unix socket.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use trade_core::store::EventLog;
/// let store = trade_store_sql::MySqlStore::connect("mysql://trade:secret@localhost/trade").await?;
/// println!("the log ends at {}", store.head().await?.sequence);
/// store.close().await;
/// # Ok(())
/// # }
/// ```
pub type MySqlStore = SqlStore<MySql>;

impl MySqlStore {
    /// Connects to the database of an address, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`]: `Unavailable` where the server cannot be reached, or takes no writes for now, `Unsupported` where
    /// the address names no database of it, the user is not let in or may not write, the server is too old, keeps less
    /// than it acknowledges or takes too small messages, or the schema is of a newer program.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, &ServerOptions::default()).await
    }

    /// The same, with other bounds than the usual ones.
    ///
    /// # Errors
    /// As [`Self::connect`]. A replica that cannot be reached may come later.
    pub async fn connect_with(url: &str, options: &ServerOptions) -> Result<Self, StoreError> {
        let primary = MySqlOptions::new(url, options, !options.access.may_write())?;
        let replica =
            options.read_url.as_deref().map(|url| MySqlOptions::new(url, options, true)).transpose()?;
        let writer = if options.access.may_write() { primary.to_write() } else { primary.clone() };
        let mut lanes = options.lanes(&primary, writer);
        let mut lease = lanes.writer.lease(examine::OPERATION).await?;
        let state = examine::examine(&mut lease, options).await?;
        migrate::migrate(&mut lease, options.access).await?;
        lease.give_back();
        open_first(&lanes).await?;
        if let Some(replica) = replica {
            lanes.replica = Some(options.replica(replica, lanes.watcher.clone()).await?);
        }
        Ok(Self::new(lanes, state, options.access))
    }
}

impl Engine for MySql {
    type State = State;

    async fn commit(store: &Parts<Self, State>, commit: &Commit) -> Result<Head, StoreError> {
        commit::commit(store, commit).await
    }

    async fn hold(store: &Parts<Self, State>) -> Result<Box<dyn Held + '_>, StoreError> {
        Ok(Box::new(commit::hold(store).await?))
    }

    async fn changed(store: &Parts<Self, State>, after: Sequence) -> Result<(), StoreError> {
        poll(&store.lanes.watcher, after, store.state.poll_interval).await
    }

    async fn stop(_: &State) {}
}
