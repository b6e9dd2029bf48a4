//! How a session is opened, what is set in it, and what the server must be.

use super::classify::MySql;
use crate::driver::Columns;
use crate::errors::{Errors, classify};
use crate::hosts::{Hosts, each_address, takes_no_writes};
use crate::server::{ServerOptions, refuse_misread};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use trade_core::store::{StoreError, StoreErrorKind};

const OPERATION: &str = "connect";
/// Statements that a connection keeps prepared: lists have one for each combination of their filters.
const STATEMENTS_MAX: usize = 256;
/// Whoever goes silent while holding the head of the log is let go of after so long.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// What the driver reads of an address.
const PARAMETERS: [&str; 13] = [
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "charset",
    "statement-cache-capacity",
    "socket",
    "timezone",
    "time-zone",
];

/// A server, a database, a user, and what is set in every session.
#[derive(Clone)]
pub struct MySqlOptions {
    hosts: Hosts<MySqlConnectOptions>,
    /// Whether a host that takes no writes is passed over.
    to_write: bool,
    session: Arc<str>,
    /// Whether nothing is committed but by a `COMMIT`.
    commits_itself: bool,
}

/// Without the password, and the other things that only the server should know.
impl fmt::Debug for MySqlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, to_write, session, commits_itself } = self;
        let place = |connect: &MySqlConnectOptions| (connect.get_host().to_owned(), connect.get_port());
        f.debug_struct("MySqlOptions")
            .field("hosts", &hosts.each().iter().map(place).collect::<Vec<_>>())
            .field("database", &hosts.each().first().and_then(MySqlConnectOptions::get_database))
            .field("to_write", to_write)
            .field("session", session)
            .field("commits_itself", commits_itself)
            .finish_non_exhaustive()
    }
}

impl MySqlOptions {
    /// Those of an address.
    pub(super) fn new(url: &str, options: &ServerOptions, read_only: bool) -> Result<Self, StoreError> {
        let refused = |detail| StoreError::new(StoreErrorKind::Unsupported, MySql::NAME, OPERATION, detail);
        let address = ["mysql://", "mariadb://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let address =
            address.ok_or_else(|| refused("the address does not begin with mysql:// or mariadb://"))?;
        refuse_misread::<MySql>(url, &PARAMETERS)?;
        let each = each_address::<MySql>(&format!("mysql://{address}"))?;
        let to_write = each.len() > 1 && !read_only;
        let each: Result<Vec<_>, _> = each.iter().map(|url| connect_options(url)).collect();
        let each = each.map_err(classify::<MySql>(OPERATION))?;
        if each.iter().any(|connect| connect.get_database().is_none_or(str::is_empty)) {
            return Err(refused("the address names no database"));
        }
        let (hosts, session) = (Hosts::new(each, options.connect_timeout), session(options, read_only));
        Ok(Self { hosts, to_write, session: session.into(), commits_itself: false })
    }

    /// The same for a session that writes, in which nothing is committed but by a `COMMIT`.
    ///
    /// A commit is one text of many statements. Where the server ends the transaction of such a text half-way, as a node
    /// of a Galera cluster does for another node's commit, it may go on with the rest of the text. With `autocommit` on,
    /// each of these statements would then be committed by itself.
    pub(super) fn to_write(&self) -> Self {
        Self { commits_itself: true, ..self.clone() }
    }

    /// Connects to a host.
    async fn connect(&self, host: &MySqlConnectOptions) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = host.connect().await?;
        let is_replica = "SHOW GLOBAL VARIABLES \
                          WHERE Variable_name IN ('read_only', 'innodb_read_only') AND Value <> 'OFF'";
        if self.to_write && connection.fetch_optional(sqlx::raw_sql(is_replica)).await?.is_some() {
            return Err(takes_no_writes());
        }
        Ok(connection)
    }

    pub(super) async fn open(&self) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = self.hosts.first::<MySql, _, _>(|host| self.connect(host)).await?;
        sqlx::raw_sql(AssertSqlSafe(self.session.clone())).execute(&mut connection).await?;
        match sqlx::raw_sql(SYNCHRONOUS).execute(&mut connection).await {
            // A server that is never a node of a cluster does not know it.
            Ok(_) | Err(sqlx::Error::Database(_)) => {}
            Err(error) => return Err(error),
        }
        if self.commits_itself {
            connection.execute(sqlx::raw_sql("SET SESSION autocommit = 0")).await?;
            let row = connection.fetch_one(sqlx::raw_sql("SELECT @@SESSION.autocommit")).await?;
            if row.number(0)? != Some(0) {
                let detail = "what stands before the server does not let a session turn autocommit off";
                return Err(sqlx::Error::Protocol(detail.into()));
            }
        }
        Ok(connection)
    }
}

fn connect_options(url: &str) -> Result<MySqlConnectOptions, sqlx::Error> {
    let connect: MySqlConnectOptions = url.parse()?;
    // All that is set in a session is set by one text, ours.
    let connect =
        connect.set_names(false).timezone(None).pipes_as_concat(false).no_engine_substitution(false);
    Ok(connect.statement_cache_capacity(STATEMENTS_MAX).disable_statement_logging())
}

/// Timeouts, and all that the statements are made for, whatever the server's own defaults: some of them leave rows out
/// of an answer, refuse a statement, or pass over what the schema demands.
///
/// What only one of the two servers knows stands in a comment that the other one does not read: MariaDB passes over
/// those of MySQL's versions from 5.7 on.
fn session(options: &ServerOptions, read_only: bool) -> String {
    // 0 would be no limit. Locks are waited for by the second.
    let millis = options.statement_timeout.as_millis().clamp(1, i32::MAX.unsigned_abs().into());
    let lock = options.lock_timeout.as_millis().div_ceil(1_000).clamp(1, 1_000_000);
    let silence = options.statement_timeout.max(SILENCE_MAX).as_secs();
    let read_only = if read_only { ", READ ONLY" } else { "" };
    format!(
        "SET NAMES utf8mb4, SESSION autocommit = 1, SESSION completion_type = 0, \
         SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
         SESSION sql_select_limit = 18446744073709551615, SESSION sql_big_selects = 1, SESSION sql_safe_updates = 0, \
         SESSION sort_buffer_size = GREATEST(@@sort_buffer_size, {SORT_BYTES_MIN}), \
         SESSION innodb_lock_wait_timeout = {lock} \
         /*M! , SESSION check_constraint_checks = 1, SESSION max_statement_time = {}.{:03}, SESSION idle_transaction_timeout = {silence} */ \
         /*!80000 , SESSION max_execution_time = {millis}, SESSION wait_timeout = {silence} */; \
         SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED{read_only}",
        millis / 1_000,
        millis % 1_000,
    )
}

/// A node of a Galera cluster may be behind the others. What it is asked waits until it has what they had by then: a command
/// is decided on the end of the log, wherever it was written, and a read sees what was answered before
/// (<https://galeracluster.com/library/documentation/mysql-wsrep-options.html>, `wsrep_sync_wait`).
const SYNCHRONOUS: &str = "SET SESSION wsrep_sync_wait = 7";

/// What the longest rows need to be sorted. It is MySQL's default; MariaDB's is more.
const SORT_BYTES_MIN: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_stands_in_no_debug_output() {
        let options = MySqlOptions::new("mariadb://u:s3cret@h/d", &ServerOptions::default(), false).unwrap();
        assert!(!format!("{options:?}").contains("s3cret"));
        assert!(format!("{options:?}").contains("\"h\""));
    }

    #[test]
    fn an_address_that_names_no_database_is_refused() {
        for url in ["mysql://u@h", "mysql://u@h/", "postgres://u@h/d", "mysql:u@h/d", "mysql://"] {
            let error = MySqlOptions::new(url, &ServerOptions::default(), false).unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Unsupported, "{url}");
        }
    }
}
