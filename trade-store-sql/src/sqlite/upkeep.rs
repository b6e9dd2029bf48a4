//! The file of a store that writes: whether it still stands where it was opened, and the moves of what was committed from
//! the write-ahead log into it.
//!
//! SQLite goes on with files that were deleted, renamed or replaced, and with a log that was cut short: it would write to
//! where nobody finds it again. So before a commit, and before it is acknowledged, the files are looked for at their
//! paths. One connection is kept all the time: as long as there is one, SQLite makes no other log.
//!
//! Who copies the file alone should find in it what was committed. So the log is moved into it once nothing was committed
//! for a moment, by the connection that is kept, in nobody's way.

use super::classify::Sqlite;
use super::open_file::OpenFile;
use crate::errors::classify;
use futures::FutureExt;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use trade_core::store::{StoreError, StoreErrorKind};

/// Nothing was committed for so long: what is in the log is moved.
const QUIET: Duration = Duration::from_secs(1);
/// What was committed is moved after so long, however much follows it.
const MOVE_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How often a log is found too short before it was cut.
const LOOKS: usize = 4;

/// The upkeep of a file. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Upkeep {
    kept: Arc<Kept>,
    written: Arc<Notify>,
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
        let written = Arc::new(Notify::new());
        let task = tokio::spawn(keep(kept.clone(), written.clone()));
        Self { kept, written, task }
    }

    /// Something was written, or could not be: there may be something to move, and room to be made by that.
    pub(super) fn written(&self) {
        self.written.notify_one();
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
        // It looks for what is lost.
        let _ = self.kept.move_log().await;
        let is_cut = self.kept.is_cut().await;
        if let Some(connection) = self.kept.connection.lock().await.take() {
            if is_cut {
                // SQLite moves the log when its last connection is closed, and would fill the file with what is left of it.
                std::mem::forget(connection);
            } else {
                // What could not be moved stays in the log.
                let _ = connection.close().await;
            }
        }
    }
}

impl Kept {
    async fn check(&self) -> Result<(), StoreError> {
        if self.file.look()?.is_none() {
            return Ok(());
        }
        // Another program may have emptied it in order, once all of it was moved: SQLite knows how much has to be there. It
        // may do so between the two looks as well.
        let mut connection = self.connection.lock().await;
        let Some(connection) = connection.as_mut() else { return Ok(()) };
        for _ in 0..LOOKS {
            let (pages, _) = checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)").await?;
            let Some(bytes) = self.file.look()? else { return Ok(()) };
            if bytes >= self.file.log_bytes_of(pages) {
                self.file.know(bytes);
                return Ok(());
            }
        }
        Err(self.file.cut())
    }

    async fn is_cut(&self) -> bool {
        self.check().await.is_err_and(|error| error.kind == StoreErrorKind::Corrupt)
    }

    /// Moves what is in the log. Answers whether that was all of it.
    async fn move_log(&self) -> Result<bool, StoreError> {
        if self.is_cut().await {
            return Ok(false);
        }
        let mut connection = self.connection.lock().await;
        let Some(connection) = connection.as_mut() else { return Ok(true) };
        // What is left of a log that was cut short would make a mixture of the file. Another process may just have begun
        // it anew: so it is looked at twice.
        for _ in 0..2 {
            let (in_log, moved) = checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)").await?;
            if self.file.has_pages(moved..in_log) {
                return move_log(connection).await;
            }
        }
        self.file.lacks_pages();
        Ok(false)
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
    let numbers = sqlx::query_as(pragma).fetch_one(connection).await;
    let (_, in_log, moved): (i64, i64, i64) = numbers.map_err(classify::<Sqlite>("checkpoint"))?;
    // A file in another mode has no log, and -1 pages of it.
    Ok((in_log.max(0).unsigned_abs(), moved.max(0).unsigned_abs()))
}

async fn keep(kept: Arc<Kept>, written: Arc<Notify>) {
    // A network that has just begun is in the file at once.
    let mut is_first = true;
    loop {
        written.notified().await;
        let begun = Instant::now();
        while !is_first && begun.elapsed() < MOVE_PAUSE_MAX {
            // It sleeps through what is written meanwhile, so that no commit has to wake it.
            sleep(QUIET).await;
            if written.notified().now_or_never().is_none() {
                break;
            }
        }
        is_first = false;
        if !kept.move_log().await.unwrap_or(false) {
            written.notify_one();
        }
    }
}
