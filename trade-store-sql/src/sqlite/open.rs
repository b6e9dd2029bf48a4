//! How a file is opened: looked at first, and changed only once it is known to be ours to change.

use super::classify::{Sqlite, is_busy, is_unopened};
use super::driver::SqliteOptions;
use super::file::{AtRest, refuse_part, why_unopened};
use super::migrate;
use super::open_file::OpenFile;
use super::state::State;
use super::upkeep::{Upkeep, move_log};
use crate::errors::{Errors, classify};
use crate::lane::{Lane, Patience, Rank};
use crate::parts::Lanes;
use crate::places::Places;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use trade_core::store::{Access, StoreError, StoreErrorKind};

const OPERATION: &str = "open";
/// How long a statement waits for another process to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, and how far apart, the switch to write-ahead logging is tried; SQLite does not wait for it by itself.
const SWITCH_TRIES: u32 = 50;
const SWITCH_PAUSE: Duration = Duration::from_millis(100);
/// Readers beside the one writer.
pub(super) const READERS_MAX: usize = 4;
/// Pages the writer keeps in memory: negative is KiB. Enough for the largest of usual commits and the upper levels of every
/// tree; more costs more than it saves, since SQLite passes over all of them at the end of most commits.
const WRITER_CACHE: &str = "-16384";
const READER_CACHE: &str = "-16384";
/// Statements the writer keeps prepared: those of every table in each of its shapes, and many of small commits.
const WRITER_STATEMENTS: usize = 256;
/// Bytes of a page, in a file that is made. A commit changes a few rows each of very many pages, and writes all of those
/// pages; smaller ones than SQLite's 4 096 are less to write, and still hold the larger rows.
const PAGE_BYTES: u32 = 2_048;
/// Pages of write-ahead log (128 MB) before a commit moves them into the database. Many commits change the same pages,
/// and the more of them share one move, the less is written.
const CHECKPOINT_PAGES: &str = "64000";

/// Opens the file of an address.
pub(super) async fn open(url: &str, access: Access) -> Result<(Lanes<Sqlite>, State), StoreError> {
    let options = options(url)?;
    let path = options.get_filename().to_owned();
    refuse_part(&path)?;
    let opened = match access {
        Access::ReadOnly => open_to_read(url, options).await,
        Access::Existing => open_to_write(options.create_if_missing(false), access).await,
        Access::Migrate => open_to_write(options, access).await,
    };
    opened.map_err(|mut error| {
        let is_unopened =
            error.source.as_deref().and_then(|source| source.downcast_ref()).is_some_and(is_unopened);
        if is_unopened || path.is_dir() {
            error.detail = why_unopened(&path, access.may_migrate()).into();
        }
        error
    })
}

/// Opens a file as it is, without a trace.
///
/// SQLite would make files beside one that is in write-ahead-log mode. It does not where it is told that nobody writes
/// to it, which is true of a file at rest for as long as nobody opens it; and not where the index of the write-ahead log
/// is there, and only to be read: then it follows whoever writes, or makes an index of its own in memory.
async fn open_to_read(
    url: &str,
    options: SqliteConnectOptions,
) -> Result<(Lanes<Sqlite>, State), StoreError> {
    let path = options.get_filename().to_owned();
    let options = options.create_if_missing(false).read_only(true);
    let at_rest = AtRest::of(&path);
    let options = match at_rest {
        Some(_) => options.immutable(true),
        // An address that says more of this than the mode is taken at its word.
        None if ["vfs=", "immutable="].iter().any(|said| url.contains(said)) => options,
        None => options.filename(format!("file:{}?readonly_shm=1", percent_encoded(&path)?)),
    };
    let lanes = lanes(options.clone(), options, None);
    let mut lease = lanes.writer.lease(OPERATION).await?;
    migrate::refuse_other(&mut lease.connection, Access::ReadOnly).await?;
    lease.give_back();
    Ok((lanes, State { at_rest, upkeep: None }))
}

/// A path as SQLite reads it in an address (<https://sqlite.org/uri.html>).
pub(super) fn percent_encoded(path: &Path) -> Result<String, StoreError> {
    let path = path.to_str().ok_or_else(|| refused("the path is not UTF-8"))?;
    let mut encoded = String::new();
    for byte in path.bytes() {
        // Writing to a string cannot fail.
        let _ = match byte {
            b'/' | b'.' | b'-' | b'_' => write!(encoded, "{}", char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => write!(encoded, "{}", char::from(byte)),
            _ => write!(encoded, "%{byte:02X}"),
        };
    }
    Ok(encoded)
}

/// Opens a file to be written to, and brings its schema up to date where that is asked for.
async fn open_to_write(
    options: SqliteConnectOptions,
    access: Access,
) -> Result<(Lanes<Sqlite>, State), StoreError> {
    let mut connection = options.connect().await.map_err(classify::<Sqlite>(OPERATION))?;
    migrate::refuse_other(&mut connection, access).await?;
    switch_to_write_ahead_log(&mut connection).await?;
    migrate::migrate(&mut connection).await?;
    // A file without its log is not taken for another one, or for none.
    move_log(&mut connection).await?;
    let options = options.create_if_missing(false);
    let page_bytes = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut connection).await;
    let page_bytes: u32 = page_bytes.map_err(classify::<Sqlite>(OPERATION))?;
    let file = Arc::new(OpenFile::of(options.get_filename(), page_bytes.into())?);
    let writer_options =
        options.clone().pragma("cache_size", WRITER_CACHE).pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
    // An upsert of many rows journals the pages it touches, to undo itself alone: not by way of a file.
    let writer_options =
        writer_options.pragma("temp_store", "MEMORY").statement_cache_capacity(WRITER_STATEMENTS);
    let lanes = lanes(writer_options, options.read_only(true), Some(file.clone()));
    let upkeep = Some(Upkeep::start(file, connection));
    Ok((lanes, State { at_rest: None, upkeep }))
}

fn lanes(
    writer: SqliteConnectOptions,
    readers: SqliteConnectOptions,
    file: Option<Arc<OpenFile>>,
) -> Lanes<Sqlite> {
    let readers = readers.pragma("cache_size", READER_CACHE).row_buffer_size(256);
    let lane = |options: SqliteConnectOptions, connections_max| {
        let options = SqliteOptions { connect: options, file: file.clone() };
        Lane::new(options, Patience::BOUNDLESS, Places::new(connections_max), Rank::Equal)
    };
    let writer = lane(writer, 1);
    let lane = |connections_max| lane(readers.clone(), connections_max);
    let (loader, watcher, readers) = (lane(1), Arc::new(lane(1)), lane(READERS_MAX));
    Lanes { writer, loader, watcher, readers, replica: None }
}

fn refused(detail: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unsupported, Sqlite::NAME, OPERATION, detail)
}

fn options(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    let address =
        url.strip_prefix("sqlite:").ok_or_else(|| refused("the address does not begin with sqlite:"))?;
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let path = path.trim_start_matches("//");
    if path.is_empty() || path == ":memory:" || query.contains("mode=memory") {
        return Err(refused("the address names no file; a store in memory is trade_core::memory's"));
    }
    if query.split('&').any(|part| part == "cache=shared") {
        return Err(refused("each connection has a cache of its own: leave cache=shared out of the address"));
    }
    let options: SqliteConnectOptions = url.parse().map_err(classify::<Sqlite>(OPERATION))?;
    let options = if query.contains("mode=") { options } else { options.create_if_missing(true) };
    Ok(options
        .busy_timeout(BUSY_TIMEOUT)
        .synchronous(SqliteSynchronous::Full)
        .page_size(PAGE_BYTES)
        // Nothing is ever deleted but receipts, and a commit names every row by key.
        .foreign_keys(false)
        .shared_cache(false)
        .disable_statement_logging())
}

async fn switch_to_write_ahead_log(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut tries = 0;
    let mode: String = loop {
        tries += 1;
        match sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(&mut *connection).await {
            Err(error) if is_busy(&error) && tries < SWITCH_TRIES => tokio::time::sleep(SWITCH_PAUSE).await,
            result => break result.map_err(classify::<Sqlite>(OPERATION))?,
        }
    };
    if mode != "wal" {
        let detail = "the file does not allow a write-ahead log: it may not be written, or its file system cannot share memory";
        return Err(StoreError::new(StoreErrorKind::Unsupported, Sqlite::NAME, OPERATION, detail));
    }
    Ok(())
}
