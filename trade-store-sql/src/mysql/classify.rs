//! What an error of MySQL or MariaDB asks of the caller, told by its number.
//!
//! <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>

use crate::errors::Errors;
use crate::server::{NO_TLS, is_tls};
use sqlx::mysql::MySqlDatabaseError;
use trade_core::store::{StoreError, StoreErrorKind};

const DUPLICATE_COLUMN: u16 = 1_060;
const DUPLICATE_ENTRY: u16 = 1_062;
/// A `CHECK` is not met: of MySQL, and of MariaDB, which MySQL gives another meaning and another SQLSTATE.
const CHECK_VIOLATED: u16 = 3_819;
const CONSTRAINT_FAILED: u16 = 4_025;

/// Of the server, and of a user: MySQL's word and MariaDB's.
const NO_CONNECTION_LEFT: [u16; 3] = [1_040, 1_203, 1_226];

/// MySQL and MariaDB, as an engine.
#[derive(Debug)]
pub struct MySql;

impl Errors for MySql {
    const NAME: &'static str = "mysql";

    fn meaning(error: &sqlx::Error) -> (StoreErrorKind, &'static str) {
        use StoreErrorKind::{Corrupt, Internal, Unavailable, Unsupported};
        match error {
            sqlx::Error::Database(_) => meaning_of_number(number(error).unwrap_or_default()),
            sqlx::Error::Configuration(_) => {
                (Unsupported, "the address is not one of a MySQL or MariaDB database")
            }
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

    /// Whether the server has no connection left, or none for this user.
    fn is_full(error: &sqlx::Error) -> bool {
        number(error).is_some_and(|number| NO_CONNECTION_LEFT.contains(&number))
    }
}

fn meaning_of_number(number: u16) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Conflict, Corrupt, Internal, TooLarge, Unavailable, Unsupported};
    match number {
        1_213 => (Conflict, "two transactions waited for each other"),
        1_205 => (Conflict, "another process holds the head of the log for too long"),
        1_020 => (Conflict, "something changed since it was read"),
        3_101 => (Conflict, "another member of the group was in the way"),
        DUPLICATE_ENTRY | 1_022 | 1_586 => (Conflict, "a row of this key exists"),
        CHECK_VIOLATED | CONSTRAINT_FAILED => (Internal, "a row is not as the schema demands"),
        1_153 => (TooLarge, "a message is larger than the server's max_allowed_packet"),
        1_197 => (TooLarge, "the transaction is larger than the server's max_binlog_cache_size"),
        1_206 => (TooLarge, "the transaction takes more locks than the server's buffer pool has room for"),
        1_461 => {
            (Unavailable, "the server keeps no more prepared statements: raise its max_prepared_stmt_count")
        }
        _ if NO_CONNECTION_LEFT.contains(&number) => (Unavailable, "the server has no connection left"),
        1_053 | 1_077 | 1_079 => (Unavailable, "the server is shutting down"),
        1_927 | 3_169 | 4_031 | 1_317 => (Unavailable, "the server ended the connection or the statement"),
        1_969 | 3_024 => (Unavailable, "the statement took too long"),
        1_021 | 1_114 => (Unavailable, "the server's disk is full"),
        1_037 | 1_038 | 1_041 | 1_135 => (Unavailable, "the server is out of memory"),
        1_047 => (Unavailable, "the server is not ready"),
        1_129 | 1_152 | 1_158..=1_161 | 1_184 | 2_002 | 2_003 | 2_006 | 2_013 => {
            (Unavailable, "the server cannot be reached")
        }
        1_290 | 1_792 | 1_836 | 1_874 => {
            (Unavailable, "the server takes no writes: it is a replica, or was set read-only")
        }
        1_665 => (
            Unsupported,
            "the server's binary log takes no such transactions: set its binlog_format to ROW or MIXED",
        ),
        1_044 | 1_049 | 1_046 => (
            Unsupported,
            "there is no such database on the server, or the user has no right to it: create it first",
        ),
        1_045 | 1_130 | 1_251 | 1_524 | 1_698 | 1_862 | 3_118 => (
            Unsupported,
            "the server does not let this user in: check name, password (percent-encoded in the address) and host",
        ),
        1_142 | 1_143 | 1_227 | 1_370 => {
            (Unsupported, "the user lacks a privilege on the database or its tables")
        }
        1_064 | 1_193 | 1_235 | 1_286 | 1_295 | 1_305 => {
            (Unsupported, "the server does not support a statement of this store")
        }
        1_034 | 1_054 | 1_146 | 1_194 | 1_195 | 1_712 | 1_932 => {
            (Corrupt, "tables are missing, altered or damaged")
        }
        _ => (Internal, "a statement failed"),
    }
}

fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// Whether a `CHECK` of a table is not met.
pub(super) fn is_check(error: &sqlx::Error) -> bool {
    matches!(number(error), Some(CHECK_VIOLATED | CONSTRAINT_FAILED))
}

/// Whether a statement was to add a column that is there.
pub(super) fn is_added(error: &StoreError) -> bool {
    let driver = error.source.as_deref().and_then(|source| source.downcast_ref::<sqlx::Error>());
    driver.and_then(number) == Some(DUPLICATE_COLUMN)
}

/// Whether a row of the same key stands already.
pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    number(error) == Some(DUPLICATE_ENTRY)
}
