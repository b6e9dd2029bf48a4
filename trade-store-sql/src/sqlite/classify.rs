//! What an error of SQLite asks of the caller, told by its extended result code.
//!
//! <https://www.sqlite.org/rescode.html>

use crate::errors::Errors;
use trade_core::store::{StoreError, StoreErrorKind};

const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const TOOBIG: i32 = 18;
const NOTADB: i32 = 26;
const BUSY_SNAPSHOT: i32 = 517;
const CONSTRAINT_PRIMARYKEY: i32 = 1_555;
const CONSTRAINT_UNIQUE: i32 = 2_067;

/// SQLite, as an engine.
#[derive(Debug)]
pub struct Sqlite;

impl Errors for Sqlite {
    const NAME: &'static str = "sqlite";

    fn meaning(error: &sqlx::Error) -> (StoreErrorKind, &'static str) {
        use StoreErrorKind::{Conflict, Corrupt, Internal, TooLarge, Unavailable, Unsupported};
        let Some(code) = code(error) else {
            return match error {
                sqlx::Error::Configuration(_) => (Unsupported, "the address is not one of an SQLite file"),
                sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
                    (Unavailable, "the file cannot be reached")
                }
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound => {
                    (Corrupt, "a row is not of its form")
                }
                _ => (Internal, "the driver failed"),
            };
        };
        match code {
            BUSY_SNAPSHOT => return (Conflict, "something changed since it was read"),
            CONSTRAINT_PRIMARYKEY | CONSTRAINT_UNIQUE => return (Conflict, "a row of this key exists"),
            _ => {}
        }
        // The low byte is the primary result code.
        match code & 0xff {
            BUSY | LOCKED => (Unavailable, "the file is locked by another process"),
            FULL => (Unavailable, "the disk is full"),
            CANTOPEN => (Unavailable, "the file cannot be opened"),
            IOERR => (Unavailable, "the file cannot be read or written"),
            TOOBIG => (TooLarge, "a value is larger than SQLite takes"),
            READONLY | PERM => (Unsupported, "the file may not be written"),
            CORRUPT => (Corrupt, "the file is damaged"),
            NOTADB => (Corrupt, "the file is no SQLite database"),
            _ => (Internal, "a statement failed"),
        }
    }
}

fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// Whether the disk is full. The write that finds it so is not there as a whole, and the commit mark of a transaction is the
/// last of its writes: so nothing of it landed.
pub(super) fn is_disk_full(error: &StoreError) -> bool {
    let source = error.source.as_deref().and_then(|source| source.downcast_ref());
    source.and_then(code).is_some_and(|code| code & 0xff == FULL)
}

/// Whether another connection is in the way for now.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| matches!(code & 0xff, BUSY | LOCKED))
}

/// Whether the file, or one beside it, could not be opened.
pub(super) fn is_unopened(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code & 0xff == CANTOPEN)
}
