//! The file of a store that writes: whether it still stands where it was opened, and the moves of what was committed from
//! the write-ahead log into it.
//!
//! SQLite goes on with files that were deleted, renamed or replaced, and with a log that was cut short: it would write to
//! where nobody finds it again. So before a commit, and before it is acknowledged, the files are looked for at their
//! paths. One connection is kept all the time: as long as there is one, SQLite makes no other log.
//!
//! Who copies the file alone should find in it what was committed. So the log is moved into it once nothing was committed
//! for a moment, by the connection that is kept, in nobody's way.

use super::Sqlite;
use super::file::{self, FileId};
use crate::engine::{Engine, classify};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use trade_core::store::{StoreError, StoreErrorKind};

/// Nothing was committed for so long: what is in the log is moved.
const QUIET: Duration = Duration::from_secs(1);
/// What was committed is moved after so long, however much follows it.
const MOVE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Bytes of the log before its first page, and before each page.
const LOG_HEAD_BYTES: u64 = 32;
const PAGE_HEAD_BYTES: u64 = 24;

/// A file and its write-ahead log, as they were opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    id: FileId,
    log_path: PathBuf,
    log_id: FileId,
    /// The log had so many bytes.
    log_bytes: AtomicU64,
}

impl OpenFile {
    /// Of a path at which a connection has opened both.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let lost = || fault("open", "the file was deleted or renamed while it was opened");
        let log_path = file::log_of(path).ok_or_else(lost)?;
        let (id, _) = file::look(path).ok_or_else(lost)?;
        let (log_id, bytes) = file::look(&log_path).ok_or_else(lost)?;
        Ok(Self { path: path.to_owned(), id, log_path, log_id, log_bytes: bytes.into() })
    }

    /// How short the log is, where it is shorter than it was.
    ///
    /// # Errors
    /// `Unavailable` where a path no longer leads to what was opened there.
    pub(super) fn look(&self) -> Result<Option<u64>, StoreError> {
        // Read first: what is written meanwhile makes the log longer.
        let known = self.log_bytes.load(Ordering::Acquire);
        if file::look(&self.path).is_none_or(|(id, _)| id != self.id) {
            return Err(fault(
                "look",
                "the file was deleted, renamed or replaced beneath the store: put it back",
            ));
        }
        let Some((_, bytes)) = file::look(&self.log_path).filter(|(id, _)| *id == self.log_id) else {
            let detail =
                "the write-ahead log (-wal) was deleted, renamed or replaced beneath the store: start again";
            return Err(fault("look", detail));
        };
        self.log_bytes.fetch_max(bytes, Ordering::AcqRel);
        Ok((bytes < known).then_some(bytes))
    }
}

fn fault(operation: &'static str, detail: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, Sqlite::NAME, operation, detail)
}

/// The upkeep of a file. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Upkeep {
    kept: Arc<Kept>,
    written: watch::Sender<()>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Kept {
    file: Arc<OpenFile>,
    /// None once it is closed.
    connection: Mutex<Option<SqliteConnection>>,
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upkeep {
    /// Begins, by a connection of its own.
    pub(super) fn start(file: Arc<OpenFile>, connection: SqliteConnection) -> Self {
        let kept = Arc::new(Kept { file, connection: Mutex::new(Some(connection)) });
        let written = watch::Sender::new(());
        let task = tokio::spawn(keep(kept.clone(), written.subscribe()));
        Self { kept, written, task }
    }

    /// Something was written, or could not be: there may be something to move, and room to be made by that.
    pub(super) fn written(&self) {
        self.written.send_replace(());
    }

    /// Looks for the files.
    ///
    /// # Errors
    /// `Unavailable` where another stands in the place of one, or none; `Corrupt` where the log was cut short.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        self.kept.check().await
    }

    /// Ends it, and closes its connection. Where that is the last one, SQLite moves all of the log, and removes it.
    pub(super) async fn close(&self) {
        self.task.abort();
        if let Some(connection) = self.kept.connection.lock().await.take() {
            // What could not be moved stays in the log.
            let _ = connection.close().await;
        }
    }
}

impl Kept {
    async fn check(&self) -> Result<(), StoreError> {
        let Some(bytes) = self.file.look()? else { return Ok(()) };
        // Another program may have emptied it in order, once all of it was moved: SQLite knows how much has to be there.
        let mut connection = self.connection.lock().await;
        let Some(connection) = connection.as_mut() else { return Ok(()) };
        let (pages, _) = checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)").await?;
        let page_bytes: i64 =
            sqlx::query_scalar("PRAGMA page_size").fetch_one(connection).await.map_err(failed)?;
        if pages > 0 && bytes < LOG_HEAD_BYTES + pages * (PAGE_HEAD_BYTES + page_bytes.unsigned_abs()) {
            let detail = "the write-ahead log (-wal) was cut short beneath the store: what it held is lost, restore a backup";
            return Err(StoreError::new(StoreErrorKind::Corrupt, Sqlite::NAME, "look", detail));
        }
        self.file.log_bytes.store(bytes, Ordering::Release);
        Ok(())
    }

    /// Moves what is in the log. Answers whether that was all of it.
    async fn move_log(&self) -> bool {
        // What is left of a log that was cut short would make a mixture of the file.
        if self.check().await.is_err_and(|error| error.kind == StoreErrorKind::Corrupt) {
            return false;
        }
        let mut connection = self.connection.lock().await;
        let Some(connection) = connection.as_mut() else { return true };
        move_log(connection).await.unwrap_or(false)
    }
}

/// Moves what is in the log of a file into it, as far as nobody reads what stood there before. Answers whether that was
/// all.
pub(super) async fn move_log(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let (in_log, moved) = checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
    Ok(in_log == moved)
}

/// How many pages are in the log, and how many of those were moved.
async fn checkpoint(
    connection: &mut SqliteConnection,
    pragma: &'static str,
) -> Result<(u64, u64), StoreError> {
    let (_, in_log, moved): (i64, i64, i64) =
        sqlx::query_as(pragma).fetch_one(connection).await.map_err(failed)?;
    Ok((in_log.unsigned_abs(), moved.unsigned_abs()))
}

fn failed(error: sqlx::Error) -> StoreError {
    classify::<Sqlite>("checkpoint")(error)
}

async fn keep(kept: Arc<Kept>, mut written: watch::Receiver<()>) {
    // A network that has just begun is in the file at once.
    let mut is_first = true;
    while written.changed().await.is_ok() {
        let begun = Instant::now();
        while !is_first && begun.elapsed() < MOVE_PAUSE_MAX {
            match timeout(QUIET, written.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
        is_first = false;
        if !kept.move_log().await {
            written.mark_changed();
        }
    }
}
