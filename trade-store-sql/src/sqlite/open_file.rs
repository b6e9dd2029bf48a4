//! A file and its write-ahead log, as a process has them open: whether they still stand at their paths, and whether the
//! log is whole.
//!
//! The log has a head of 32 bytes, and 24 bytes before each page; those of its pages repeat 8 bytes of its head
//! (<https://sqlite.org/fileformat2.html#walformat>). What is cut off, and written behind, reads as zeros. SQLite holds no
//! lock on the log that would end when another handle of it is closed.

use super::classify::Sqlite;
use super::file::{self, FileId};
use crate::errors::Errors;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use trade_core::store::{StoreError, StoreErrorKind};

const HEAD_BYTES: u64 = 32;
const PAGE_HEAD_BYTES: u64 = 24;
/// Where the bytes that pages repeat stand in the head of the log, and in that of a page.
const SALT_AT: u64 = 16;
const PAGE_SALT_AT: u64 = 8;

#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    id: FileId,
    page_bytes: u64,
    log_path: PathBuf,
    log_id: FileId,
    log: File,
    /// Its index, on which the locks of all processes are: with another one they would not exclude each other any more.
    index_path: PathBuf,
    index_id: FileId,
    /// The log had so many bytes.
    log_bytes: AtomicU64,
    lacks_pages: AtomicBool,
}

impl OpenFile {
    /// Of a path at which a connection has opened both.
    ///
    /// # Errors
    /// `Unavailable` where they are no longer there.
    pub(super) fn of(path: &Path, page_bytes: u64) -> Result<Self, StoreError> {
        let lost = || gone("the file was deleted or renamed while it was opened");
        let [log_path, index_path] = file::log_and_index_of(path).ok_or_else(lost)?;
        let (id, _) = file::look(path).ok_or_else(lost)?;
        let log = File::open(&log_path).map_err(|error| lost().caused_by(error))?;
        let (log_id, bytes) = file::look(&log_path).ok_or_else(lost)?;
        let (index_id, _) = file::look(&index_path).ok_or_else(lost)?;
        Ok(Self {
            path: path.to_owned(),
            id,
            page_bytes,
            log_path,
            log_id,
            log,
            index_path,
            index_id,
            log_bytes: bytes.into(),
            lacks_pages: AtomicBool::new(false),
        })
    }

    /// How short the log is, where it is shorter than it was.
    ///
    /// # Errors
    /// `Unavailable` where a path no longer leads to what was opened there; `Corrupt` where the log was cut short and
    /// written on.
    pub(super) fn look(&self) -> Result<Option<u64>, StoreError> {
        // Read first: what is written meanwhile makes the log longer.
        let known = self.log_bytes.load(Ordering::Acquire);
        if file::look(&self.path).is_none_or(|(id, _)| id != self.id) {
            return Err(gone(
                "the file was deleted, renamed or replaced beneath the store: put it back, or start again",
            ));
        }
        let Some((_, bytes)) = file::look(&self.log_path).filter(|(id, _)| *id == self.log_id) else {
            let detail =
                "the write-ahead log (-wal) was deleted, renamed or replaced beneath the store: start again";
            return Err(gone(detail));
        };
        if file::look(&self.index_path).is_none_or(|(id, _)| id != self.index_id) {
            return Err(gone(
                "the index of the write-ahead log (-shm) was deleted, renamed or replaced beneath the store: start again",
            ));
        }
        let has_head = bytes < HEAD_BYTES || self.read(0).is_none_or(file::begins_log);
        if !has_head || self.lacks_pages.load(Ordering::Acquire) {
            return Err(self.cut());
        }
        self.log_bytes.fetch_max(bytes, Ordering::AcqRel);
        Ok((bytes < known).then_some(bytes))
    }

    /// The log has so many bytes.
    pub(super) fn know(&self, bytes: u64) {
        self.log_bytes.store(bytes, Ordering::Release);
    }

    /// How many bytes a log of so many pages has at least.
    pub(super) fn log_bytes_of(&self, pages: u64) -> u64 {
        match pages {
            0 => 0,
            pages => HEAD_BYTES + pages * (PAGE_HEAD_BYTES + self.page_bytes),
        }
    }

    /// Whether these pages stand in the log. What cannot be read is not told of.
    pub(super) fn has_pages(&self, pages: Range<u64>) -> bool {
        let salt: Option<[u8; 8]> = self.read(SALT_AT);
        let page_salt =
            |page| self.read(HEAD_BYTES + page * (PAGE_HEAD_BYTES + self.page_bytes) + PAGE_SALT_AT);
        pages.map(page_salt).all(|found: Option<[u8; 8]>| found == salt)
    }

    /// Notes that pages of the log are lost.
    pub(super) fn lacks_pages(&self) {
        self.lacks_pages.store(true, Ordering::Release);
    }

    pub(super) fn cut(&self) -> StoreError {
        let detail = "the write-ahead log (-wal) was cut short beneath the store, and what was committed last is lost: \
                      stop the server, and restore a backup or remove the log to go on without";
        StoreError::new(StoreErrorKind::Corrupt, Sqlite::NAME, LOOK, detail)
    }

    /// Reads from the log; None where there is nothing.
    #[cfg(unix)]
    fn read<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        use std::os::unix::fs::FileExt;
        let mut bytes = [0; N];
        self.log.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
    }

    /// Elsewhere, what is open cannot be cut.
    #[cfg(not(unix))]
    fn read<const N: usize>(&self, _at: u64) -> Option<[u8; N]> {
        None
    }
}

const LOOK: &str = "look for the file";

fn gone(detail: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, Sqlite::NAME, LOOK, detail)
}
