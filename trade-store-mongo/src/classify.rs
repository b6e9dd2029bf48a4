//! What an error of the driver asks of the caller, told by its kind, its code and its labels, never by its text.
//!
//! <https://github.com/mongodb/mongo/blob/r6.0.5/src/mongo/base/error_codes.yml>

use mongodb::error::{
    Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};
use trade_core::store::{StoreError, StoreErrorKind};

/// The store's name in errors.
pub(crate) const NAME: &str = "mongodb";

/// A key that is taken.
pub(crate) const DUPLICATE_KEY: i32 = 11000;
/// A collection that is there already.
pub(crate) const NAMESPACE_EXISTS: i32 = 48;
const WRITE_CONFLICT: i32 = 112;
const NO_SUCH_TRANSACTION: i32 = 251;
/// The server is starting, stopping, or no longer the primary; the driver looks for another.
const STATE_CHANGES: [i32; 9] = [11600, 11602, 10107, 13435, 13436, 10058, 189, 91, 262];
/// The server lost its way to another, or has not yet what a snapshot needs.
const PASSING: [i32; 8] = [6, 7, 89, 9001, 133, 134, 239, 246];

/// Turns a driver's error of an operation into the store's.
pub(crate) fn classify(operation: &'static str) -> impl Fn(Error) -> StoreError + Copy {
    move |error| {
        let (kind, detail) = meaning(&error);
        StoreError::new(kind, NAME, operation, detail).caused_by(error)
    }
}

/// What an error is, where no transaction has anything to do with it.
pub(crate) fn meaning(error: &Error) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Corrupt, Internal, Unavailable, Unsupported};
    match &*error.kind {
        // Another operation was not let in, or this one before the driver tried it again; that is told by the text alone.
        ErrorKind::ConnectionPoolCleared { message, .. } | ErrorKind::ServerSelection { message, .. }
            if message.contains("SCRAM failure") =>
        {
            (Unsupported, "the server does not let this user in: check name, password and authSource")
        }
        ErrorKind::ServerSelection { .. } => {
            (Unavailable, "no server that can serve this was found in time: is there a primary?")
        }
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::DnsResolve { .. } => {
            (Unavailable, "the server cannot be reached")
        }
        ErrorKind::Shutdown => (Unavailable, "the store is closed"),
        ErrorKind::Authentication { .. } => {
            (Unsupported, "the server does not let this user in: check name, password and authSource")
        }
        ErrorKind::InvalidTlsConfig { .. } => (Unsupported, "the files for TLS cannot be used"),
        ErrorKind::IncompatibleServer { .. } => {
            (Unsupported, "the server is too old for this driver: use MongoDB 6.0 or newer")
        }
        ErrorKind::SessionsNotSupported => {
            (Unsupported, "the server knows no sessions: use a replica set or a sharded cluster")
        }
        ErrorKind::InvalidResponse { .. } | ErrorKind::BsonDeserialization(_) | ErrorKind::Bson(_) => {
            (Corrupt, "an answer of the server cannot be read")
        }
        _ => match code(error) {
            Some(code) => meaning_of_code(code),
            None => (Internal, "the driver failed"),
        },
    }
}

pub(crate) fn meaning_of_code(code: i32) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind::{Conflict, Corrupt, Internal, TooLarge, Unavailable, Unsupported};
    match code {
        WRITE_CONFLICT | 24 | 225 | 244 | 251 | 267 => (Conflict, "another transaction was in the way"),
        DUPLICATE_KEY => (Conflict, "a document of this key exists"),
        50 | 262 => (Unavailable, "the command took too long"),
        64 | 79 | 100 => (Unavailable, "no majority of the servers confirmed it in time"),
        13 | 8000 => (
            Unsupported,
            "the user lacks a privilege: it needs the role readWrite on the database, and dbAdmin to bring one of an older version up to date",
        ),
        11 | 18 => (Unsupported, "the server does not let this user in: check name, password and authSource"),
        20 | 263 => (Unsupported, "the server has no transactions: use a replica set or a sharded cluster"),
        59 | 115 | 72 | 323 => (Unsupported, "the server does not support a command of this store"),
        121 => (Internal, "a document would break what its collection's validator demands"),
        10334 | 17419 | 17420 | 257 => {
            (TooLarge, "a document or a transaction is larger than the server takes")
        }
        388 => (
            TooLarge,
            "the transaction does not fit into the server's cache: give it a larger one (--wiredTigerCacheSizeGB)",
        ),
        26 | 85 | 86 | 2 => (Corrupt, "collections or indexes are missing or altered"),
        14031 | 365 => (Unavailable, "the server is out of disk space, or of room in its cache"),
        136 | 286 | 280 => (Unavailable, "the change stream ended"),
        _ if STATE_CHANGES.contains(&code) || PASSING.contains(&code) => {
            (Unavailable, "the server is starting, stopping, or no longer the primary")
        }
        11601 | 237 | 43 => (Unavailable, "the command was interrupted"),
        _ => (Internal, "a command failed"),
    }
}

/// The server's code in an error.
pub(crate) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
        _ => None,
    }
}

/// Whether the connection or the server's role was lost: on another connection a read may succeed.
pub(crate) fn is_passing(error: &Error) -> bool {
    is_of_network(error)
        || code(error).is_some_and(|code| STATE_CHANGES.contains(&code) || PASSING.contains(&code))
}

/// Whether the way to the server broke, so that nobody knows whether the command arrived.
pub(crate) fn is_of_network(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. })
}

/// Whether the server undid a transaction because of another, or of its own state: it may be tried again at once.
pub(crate) fn is_transient(error: &Error) -> bool {
    code(error).is_some() && error.contains_label(TRANSIENT_TRANSACTION_ERROR)
}

/// What a command that failed within a transaction, before its end, says of it: nothing landed.
pub(crate) fn undone(operation: &'static str) -> impl Fn(Error) -> StoreError + Copy {
    move |error| {
        if is_transient(&error) {
            let detail = "the server undid the transaction";
            return StoreError::new(StoreErrorKind::Conflict, NAME, operation, detail).caused_by(error);
        }
        classify(operation)(error)
    }
}

/// Whether an error, as the answer to what ends a transaction, says that nothing landed, nor will.
///
/// Only that there is no such transaction says so. The server adds the label of a passing error to it once it is certain,
/// in the eyes of a majority, that the transaction did not commit. Other errors with that label leave the transaction
/// open (a lock that was not had in time while the primary steps down), and an earlier request for its end, the driver's
/// own among them, may still be on its way to it.
pub(crate) fn nothing_landed(error: &Error) -> bool {
    code(error) == Some(NO_SUCH_TRANSACTION)
        && is_transient(error)
        && !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
}
