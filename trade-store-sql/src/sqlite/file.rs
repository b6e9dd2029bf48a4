//! What the file system tells of a file and of what lies beside it.
//!
//! The file itself is not opened for it: closing it lets go of all the locks that this process has on it, SQLite's among
//! them.

use super::classify::Sqlite;
use crate::errors::Errors;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use trade_core::store::{StoreError, StoreErrorKind};

/// How SQLite names the write-ahead log and its index.
const WAL: &str = "-wal";
const SHM: &str = "-shm";

/// A file that nobody has open: all that was committed stands in it, and SQLite can read it without a file beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AtRest {
    file: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl AtRest {
    /// None where another process has it open, or left something beside it.
    pub(super) fn of(path: &Path) -> Option<Self> {
        // What lies beside it has the name that it has itself, not that of a link to it.
        let file = fs::canonicalize(path).ok()?;
        let metadata = fs::metadata(&file).ok()?;
        let left = [size(&file, SHM), size(&file, "-journal"), size(&file, WAL).filter(|bytes| *bytes > 0)];
        if !metadata.is_file() || left.iter().any(Option::is_some) {
            return None;
        }
        Some(Self { file, bytes: metadata.len(), modified: metadata.modified().ok() })
    }

    /// # Errors
    /// `Unavailable` where another process has opened it since.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if Self::of(&self.file).as_ref() == Some(self) {
            return Ok(());
        }
        let detail = "another process has opened the file while it was read: try again";
        Err(StoreError::new(StoreErrorKind::Unavailable, Sqlite::NAME, "read", detail))
    }
}

/// What lies beside a file under its name and a suffix.
fn named(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The size of what lies beside a file.
fn size(file: &Path, suffix: &str) -> Option<u64> {
    fs::metadata(named(file, suffix)).ok().map(|metadata| metadata.len())
}

/// Where the write-ahead log of a file is, which may be named by a link, and the index of the log.
pub(super) fn log_and_index_of(path: &Path) -> Option<[PathBuf; 2]> {
    let file = fs::canonicalize(path).ok()?;
    Some([WAL, SHM].map(|suffix| named(&file, suffix)))
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

/// The file at a path, and its size.
///
/// Its times are not asked for: Linux notes a new one with the next write to a file whose times somebody has seen
/// (<https://docs.kernel.org/filesystems/multigrain-ts.html>), and each sync of the log would write its inode as well.
#[cfg(target_os = "linux")]
pub(super) fn look(path: &Path) -> Option<(FileId, u64)> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::SIZE) {
        Ok(found) => {
            let device = makedev(found.stx_dev_major, found.stx_dev_minor);
            Some((FileId { device, inode: found.stx_ino }, found.stx_size))
        }
        // Where this call is not allowed, another is.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => look_with_times(path),
        Err(_) => None,
    }
}

/// The file at a path, and its size.
#[cfg(not(target_os = "linux"))]
pub(super) fn look(path: &Path) -> Option<(FileId, u64)> {
    look_with_times(path)
}

fn look_with_times(path: &Path) -> Option<(FileId, u64)> {
    let found = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let id = {
        use std::os::unix::fs::MetadataExt;
        FileId { device: found.dev(), inode: found.ino() }
    };
    // Elsewhere, a file that is open is neither deleted nor replaced.
    #[cfg(not(unix))]
    let id = FileId {};
    Some((id, found.len()))
}

/// Whether these are the first bytes of a write-ahead log (<https://sqlite.org/fileformat2.html#walformat>).
pub(super) fn begins_log(bytes: [u8; 4]) -> bool {
    u32::from_be_bytes(bytes) & !1 == 0x377f_0682
}

/// Whether a log has a beginning that is none. SQLite holds no lock on it that would end when it is closed here.
fn is_damaged(log: &Path) -> bool {
    let mut bytes = [0; 4];
    let read = File::open(log).and_then(|mut log| log.read_exact(&mut bytes));
    read.is_ok() && !begins_log(bytes)
}

/// Refuses a file that lacks what was committed to it: the log or its index is left of what a process had open that was
/// killed, and not the whole. Of what that process leaves, the index alone never stays: it is made after the log, and
/// removed before it.
///
/// # Errors
/// `Corrupt`, with what is missing.
pub(super) fn refuse_part(path: &Path) -> Result<(), StoreError> {
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let is_logged = || size(&file, WAL).is_some();
    // Looked for twice: another process may just be opening it.
    let detail = if !is_logged() && size(&file, SHM).is_some() && !is_logged() {
        "beside the file lies the index (-shm) of a write-ahead log (-wal) that is not there, and with it what was \
         committed last: put the log back or restore a backup, or remove the index to go on without"
    } else if size(&file, WAL).is_some_and(|bytes| bytes > 0)
        && size(&file, "").is_none_or(|bytes| bytes == 0)
    {
        "there is a write-ahead log (-wal), and not the file that it belongs to: put the file back or restore a backup, \
         or remove the log to begin anew"
    } else if is_damaged(&named(&file, WAL)) {
        "the write-ahead log (-wal) beside the file was cut short or overwritten, and with it what was committed last: \
         restore a backup, or remove the log to go on without"
    } else {
        return Ok(());
    };
    Err(StoreError::new(StoreErrorKind::Corrupt, Sqlite::NAME, "open", detail))
}

/// Why SQLite cannot open a file, which it does not tell itself.
pub(super) fn why_unopened(path: &Path, may_create: bool) -> &'static str {
    let missing = match may_create {
        true => "the file cannot be made: the user may not write in its folder",
        false => "there is no such file",
    };
    match fs::metadata(path) {
        Ok(found) => why_unopened_though_there(path, &found),
        Err(error) if error.kind() == ErrorKind::NotFound => match path.parent().map(of_folder) {
            Some(Ok(())) | None => missing,
            Some(Err(reason)) => reason,
        },
        Err(error) => of_error(&error),
    }
}

fn why_unopened_though_there(path: &Path, found: &Metadata) -> &'static str {
    if found.is_dir() {
        return "a folder stands where the file should be";
    }
    let is_left = size(path, WAL).is_some_and(|bytes| bytes > 0) && size(path, SHM).is_none();
    if found.is_file() && is_left {
        return "beside the file lies a write-ahead log (-wal) without its index (-shm), which is not to be made where a \
                store is only read: end what has the file open, and open it once where it may be written";
    }
    "the user may not open the file, or what lies beside it"
}

fn of_folder(folder: &Path) -> Result<(), &'static str> {
    // Of a name alone, the folder is that of the process.
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err("what should be its folder is none"),
        Err(error) => Err(of_error(&error)),
    }
}

fn of_error(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "its folder is not there",
        ErrorKind::NotADirectory => "what should be its folder is none",
        ErrorKind::PermissionDenied => "the user may not enter its folder",
        _ => "the file cannot be opened",
    }
}
