//! How a file is opened: looked at first, and changed only once it is known to be ours to change.

use super::classify::is_busy;
use super::{Sqlite, SqliteStore, migrate};
use crate::engine::{Engine, classify};
use crate::lane::{Lane, Patience, Rank};
use crate::places::Places;
use crate::store::Lanes;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use std::time::Duration;
use trade_core::store::{StoreError, StoreErrorKind};

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

/// Opens the file of an address, and brings its schema up to date.
pub(super) async fn open(url: &str) -> Result<SqliteStore, StoreError> {
    let options = options(url)?;
    let writer_options =
        options.clone().pragma("cache_size", WRITER_CACHE).pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
    // An upsert of many rows journals the pages it touches, to undo itself alone: not by way of a file.
    let writer_options =
        writer_options.pragma("temp_store", "MEMORY").statement_cache_capacity(WRITER_STATEMENTS);
    let writer = Lane::new(writer_options, Patience::BOUNDLESS, Places::new(1), Rank::Equal);
    let mut lease = writer.lease(OPERATION).await?;
    migrate::refuse_newer(&mut lease.connection).await?;
    switch_to_write_ahead_log(&mut lease.connection).await?;
    migrate::migrate(&mut lease.connection).await?;
    lease.give_back();
    let reader_options = options
        .create_if_missing(false)
        .read_only(true)
        .pragma("cache_size", READER_CACHE)
        .row_buffer_size(256);
    let lane = |connections_max| {
        Lane::new(reader_options.clone(), Patience::BOUNDLESS, Places::new(connections_max), Rank::Equal)
    };
    let (loader, watcher, readers) = (lane(1), lane(1), lane(READERS_MAX));
    Ok(SqliteStore::new(Lanes { writer, loader, watcher, readers, replica: None }, ()))
}

fn options(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    let refused =
        |detail: &str| StoreError::new(StoreErrorKind::Unsupported, Sqlite::NAME, OPERATION, detail);
    let address =
        url.strip_prefix("sqlite:").ok_or_else(|| refused("the address does not begin with sqlite:"))?;
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let path = path.trim_start_matches("//");
    if path.is_empty() || path == ":memory:" || query.contains("mode=memory") {
        return Err(refused("the address names no file; a store in memory is trade_core::memory's"));
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
