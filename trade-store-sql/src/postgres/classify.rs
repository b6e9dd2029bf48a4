//! What an error of PostgreSQL asks of the caller, told by its SQLSTATE.
//!
//! <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use crate::errors::Errors;
use crate::server::{NO_TLS, is_tls};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use trade_core::store::StoreErrorKind;

const UNIQUE_VIOLATION: &str = "23505";
const TOO_MANY_CONNECTIONS: &str = "53300";
const STATEMENT_COMPLETION_UNKNOWN: &str = "40003";

/// PostgreSQL, as an engine.
#[derive(Debug)]
pub struct Postgres;

impl Errors for Postgres {
    const NAME: &'static str = "postgres";

    fn meaning(error: &sqlx::Error) -> (StoreErrorKind, &'static str) {
        use StoreErrorKind::{Corrupt, Internal, Unavailable, Unsupported};
        match error {
            sqlx::Error::Database(error) => meaning_of_code(error.code().as_deref().unwrap_or_default()),
            sqlx::Error::Configuration(_) => (Unsupported, "the address is not one of a PostgreSQL database"),
            error if is_tls(error) => (Unavailable, NO_TLS),
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                (Unavailable, "the server cannot be reached")
            }
            // A proxy that takes a connection and has no server for it, say.
            sqlx::Error::Protocol(_) => (Unavailable, "what was reached does not answer as the server does"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound => {
                (Corrupt, "a row is not of its form")
            }
            _ => (Internal, "the driver failed"),
        }
    }

    /// Whether the server, the database or the role has no connection left.
    fn is_full(error: &sqlx::Error) -> bool {
        error.as_database_error().and_then(DatabaseError::code).as_deref() == Some(TOO_MANY_CONNECTIONS)
    }
}

fn meaning_of_code(code: &str) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Conflict, Corrupt, Internal, TooLarge, Unavailable, Unsupported};
    match code {
        "40001" => (Conflict, "another transaction was in the way"),
        "40P01" => (Conflict, "two transactions waited for each other"),
        UNIQUE_VIOLATION => (Conflict, "a row of this key exists"),
        // What a commit's own statement does where it finds fewer rows than it should: see `batch`.
        "22012" => (Conflict, "a row was not as the commit expects it"),
        "55P03" => (Conflict, "another process holds the head of the log for too long"),
        TOO_MANY_CONNECTIONS => (Unavailable, "the server has no connection left"),
        "57014" => (Unavailable, "the statement took too long"),
        "25P03" => (Unavailable, "the transaction was idle for too long"),
        "25006" => (Unavailable, "the server takes no writes: it is a replica, or was set read-only"),
        "3D000" => (Unsupported, "there is no such database on the server: create it first"),
        "3F000" => (Unsupported, "the user has no schema to create tables in"),
        "42501" => (Unsupported, "the user lacks a privilege on the database or its tables"),
        "42P01" | "42703" | "XX001" | "XX002" => (Corrupt, "tables are missing, altered or damaged"),
        _ => match code.get(..2).unwrap_or_default() {
            "57" => (Unavailable, "the server is shutting down, starting, or out of reach"),
            // A pooler says so of all that it refuses, lasting or not.
            "08" => (Unavailable, "the connection is refused, by the server or by a pooler in front of it"),
            "53" => (Unavailable, "the server is out of memory or disk space"),
            "54" => (TooLarge, "a statement is more than the server takes"),
            "58" => (Unavailable, "the server's machine failed it"),
            "28" => (
                Unsupported,
                "the server does not let this user in: check name, password (percent-encoded in the address) and pg_hba.conf",
            ),
            "0A" => (Unsupported, "the server does not support a statement of this store"),
            _ => (Internal, "a statement failed"),
        },
    }
}

/// Whether an error, as the answer to what ends a transaction, says that nothing landed.
///
/// Where the connection breaks, or the server ends the session or itself, that may have been before or after the commit
/// was written.
pub(super) fn is_definite(error: &sqlx::Error) -> bool {
    match error {
        // Nothing was sent.
        sqlx::Error::Encode(_) => true,
        sqlx::Error::Database(error) => is_definite_answer(&**error),
        _ => false,
    }
}

fn is_definite_answer(error: &dyn DatabaseError) -> bool {
    let Some(error) = error.try_downcast_ref::<PgDatabaseError>() else { return false };
    let code = error.code();
    let ends = ["08", "57P", "58", "XX"].iter().any(|class| code.starts_with(class));
    error.severity() == PgSeverity::Error && !ends && code != STATEMENT_COMPLETION_UNKNOWN
}

/// The table in which a row of the same key stands already.
pub(super) fn occupied_table(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    if error.code() == UNIQUE_VIOLATION { error.table() } else { None }
}

/// Whether a migration failed because another process was at the same one.
pub(super) fn is_race(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // What two `CREATE TABLE` of one name, or two first rows of one version, do to each other; and `XX000`, "tuple
    // concurrently updated", where they meet in the catalogs.
    matches!(code.as_deref(), Some(UNIQUE_VIOLATION | "42P07" | "42710" | "40001" | "40P01" | "XX000"))
}
