//! How a session is opened, and what is set in it.

use super::classify::Postgres;
use crate::driver::Columns;
use crate::errors::{Errors, classify};
use crate::hosts::{Hosts, each_address, takes_no_writes};
use crate::server::{ServerOptions, refuse_misread};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
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
const PARAMETERS: [&str; 19] = [
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
    ATTRIBUTES,
];

/// What is asked of a host: of libpq, and read here.
const ATTRIBUTES: &str = "target_session_attrs";

/// A server, a database, a user, and what is set in every session.
#[derive(Clone)]
pub struct PostgresOptions {
    hosts: Hosts<PgConnectOptions>,
    /// Whether a host that takes no writes is passed over.
    to_write: bool,
    session: Arc<str>,
}

/// Without the password, and the other things that only the server should know.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hosts, to_write, session } = self;
        let place = |connect: &PgConnectOptions| (connect.get_host().to_owned(), connect.get_port());
        f.debug_struct("PostgresOptions")
            .field("hosts", &hosts.each().iter().map(place).collect::<Vec<_>>())
            .field("database", &hosts.each().first().and_then(PgConnectOptions::get_database))
            .field("to_write", to_write)
            .field("session", session)
            .finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// Those of an address.
    pub(super) fn new(url: &str, options: &ServerOptions, read_only: bool) -> Result<Self, StoreError> {
        let refused =
            |detail| StoreError::new(StoreErrorKind::Unsupported, Postgres::NAME, "connect", detail);
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(refused("the address does not begin with postgres://"));
        }
        refuse_misread::<Postgres>(url, &PARAMETERS)?;
        let (url, attributes) = without_attributes(url);
        let is_asked_for = match attributes {
            None | Some("any") => false,
            Some("read-write" | "primary") => true,
            Some(_) => return Err(refused("target_session_attrs must be any, read-write or primary")),
        };
        let each = each_address::<Postgres>(&url)?;
        let to_write = is_asked_for || (each.len() > 1 && !read_only);
        let each: Result<_, _> = each.iter().map(|url| connect_options(url)).collect();
        let hosts = Hosts::new(each.map_err(classify::<Postgres>("connect"))?, options.connect_timeout);
        Ok(Self { hosts, to_write, session: session(options, read_only).into() })
    }

    /// What the listener connects by: the only host, or that which others would connect to now.
    pub(super) async fn driver_options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        if let [only] = self.hosts.each() {
            return Ok(only.clone());
        }
        let found = self.hosts.first::<Postgres, _, _>(async |host| {
            self.connect(host).await?.close().await?;
            Ok(host)
        });
        found.await.cloned()
    }

    /// Connects to a host.
    async fn connect(&self, host: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
        let mut connection = host.connect().await?;
        if self.to_write {
            // Asked before the session is told to read alone.
            let row = connection.fetch_one(sqlx::raw_sql("SHOW transaction_read_only")).await?;
            if row.text(0)? == Some("on") {
                return Err(takes_no_writes());
            }
        }
        Ok(connection)
    }

    pub(super) async fn open(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.hosts.first::<Postgres, _, _>(|host| self.connect(host)).await?;
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

fn connect_options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let connect: PgConnectOptions = url.parse()?;
    let connect = match connect.get_application_name() {
        Some(_) => connect,
        None => connect.application_name("trade-network"),
    };
    // No column is a float, and poolers refuse a startup that names a setting which they do not know.
    let connect = connect.extra_float_digits(None).statement_cache_capacity(STATEMENTS_MAX);
    Ok(connect.disable_statement_logging())
}

/// An address without what it asks of a host, and that.
fn without_attributes(url: &str) -> (String, Option<&str>) {
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let is_asked = |part: &&str| part.split('=').next() == Some(ATTRIBUTES);
    let asked =
        query.split('&').rfind(is_asked).map(|part| part.split_once('=').map_or("", |(_, value)| value));
    let others: Vec<_> = query.split('&').filter(|part| !is_asked(part)).collect();
    (format!("{address}?{}", others.join("&")), asked)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, read_only: bool) -> Result<PostgresOptions, StoreError> {
        PostgresOptions::new(url, &ServerOptions::default(), read_only)
    }

    #[test]
    fn of_several_hosts_who_writes_wants_one_that_takes_writes_and_others_where_the_address_says_so() {
        let wants = |url: &str, read_only| of(url, read_only).unwrap().to_write;
        for (query, may_read, may_write) in [
            ("", false, true),
            ("?target_session_attrs=any&sslmode=prefer", false, true),
            ("?sslmode=prefer&target_session_attrs=read-write", true, true),
            ("?target_session_attrs=primary", true, true),
        ] {
            let url = format!("postgres://u@a,b:5433/d{query}");
            assert_eq!((wants(&url, true), wants(&url, false)), (may_read, may_write), "{query}");
        }
        // A single host that takes no writes is refused with a reason of its own.
        assert!(
            !wants("postgres://u@a/d", false) && wants("postgres://u@a/d?target_session_attrs=primary", true)
        );
        let refused = of("postgres://u@a,b/d?target_session_attrs=standby", true).unwrap_err();
        assert!(refused.detail.contains("read-write or primary"), "{refused}");
    }

    #[test]
    fn the_password_stands_in_no_debug_output() {
        let shown = format!("{:?}", of("postgres://u:s3cret@a,b:5433/d", false).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains(r#"[("a", 5432), ("b", 5433)]"#) && shown.contains(r#"Some("d")"#), "{shown}");
    }
}
