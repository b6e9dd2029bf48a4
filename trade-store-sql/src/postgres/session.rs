//! How a session is opened, and what is set in it.

use super::Postgres;
use crate::engine::{Engine, classify};
use crate::server::{ServerOptions, refuse_misread};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use trade_core::store::{StoreError, StoreErrorKind};

/// Statements that a connection keeps prepared: each combination of tables that commits write has its own.
const STATEMENTS_MAX: usize = 256;

/// A plan is kept, and the tables grow: so rows are found by their indexes, however few there were when it was made. A
/// statement ends when nobody waits for it any more, and a client whose machine is gone is noticed. What a server does
/// not know, it is not asked for.
const TUNING: &str = "\
    SELECT set_config(s.name, v.value, false) FROM pg_settings s JOIN (VALUES \
    ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), \
    ('join_collapse_limit', '1'), ('jit', 'off'), ('max_parallel_workers_per_gather', '0'), \
    ('client_connection_check_interval', '1000'), ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), \
    ('tcp_keepalives_count', '3')) v (name, value) ON s.name = v.name";

/// What is acknowledged must be durable, whatever the database is set to.
const DURABLE: &str = "\
    SELECT set_config(s.name, 'on', false) FROM pg_settings s \
    WHERE s.name = 'synchronous_commit' AND s.setting = 'off'";

/// What the driver reads of an address.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// A server, a database, a user, and what is set in every session.
#[derive(Clone)]
pub struct PostgresOptions {
    connect: PgConnectOptions,
    session: Arc<str>,
}

/// Without the password, and the other things that only the server should know.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connect, session } = self;
        f.debug_struct("PostgresOptions")
            .field("host", &connect.get_host())
            .field("port", &connect.get_port())
            .field("database", &connect.get_database())
            .field("session", session)
            .finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// Those of an address.
    pub(super) fn new(url: &str, options: &ServerOptions, read_only: bool) -> Result<Self, StoreError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            let detail = "the address does not begin with postgres://";
            return Err(StoreError::new(StoreErrorKind::Unsupported, Postgres::NAME, "connect", detail));
        }
        refuse_misread::<Postgres>(url, &PARAMETERS)?;
        let connect: PgConnectOptions = url.parse().map_err(classify::<Postgres>("connect"))?;
        let connect = match connect.get_application_name() {
            Some(_) => connect,
            None => connect.application_name("trade-network"),
        };
        Ok(Self {
            // No column is a float, and poolers refuse a startup that names a setting which they do not know.
            connect: connect
                .extra_float_digits(None)
                .statement_cache_capacity(STATEMENTS_MAX)
                .disable_statement_logging(),
            session: session(options, read_only).into(),
        })
    }

    /// What the listener connects by.
    pub(super) fn driver_options(&self) -> PgConnectOptions {
        self.connect.clone()
    }

    pub(super) async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.connect.connect().await?;
        // Not as parameters of the startup, which poolers refuse.
        sqlx::raw_sql(AssertSqlSafe(self.session.clone())).execute(&mut connection).await?;
        sqlx::raw_sql(DURABLE).execute(&mut connection).await?;
        match sqlx::raw_sql(TUNING).execute(&mut connection).await {
            // A server that speaks the protocol but has other settings, or none to set, works without.
            Ok(_) | Err(sqlx::Error::Database(_)) => Ok(connection),
            Err(error) => Err(error),
        }
    }
}

/// Timeouts, and the isolation that the statements are made for. Whoever goes silent while holding the head of the log
/// is let go of.
fn session(options: &ServerOptions, read_only: bool) -> String {
    // 0 would be no limit.
    let millis = |duration: Duration| duration.as_millis().clamp(1, i32::MAX.unsigned_abs().into());
    let (statement, lock) = (millis(options.statement_timeout), millis(options.lock_timeout));
    let read_only = if read_only { "; SET default_transaction_read_only = on" } else { "" };
    format!(
        "SET statement_timeout = {statement}; SET lock_timeout = {lock}; \
         SET idle_in_transaction_session_timeout = {statement}; \
         SET default_transaction_isolation = 'read committed'{read_only}"
    )
}
