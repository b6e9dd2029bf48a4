//! The one door through which everything is written.
//!
//! A commit takes SQLite's write lock first, so that what it then reads holds until it ends. Where the head of the
//! log stands where the commit was loaded, nothing was committed since, and every expectation holds; where it has
//! moved, all are checked, and the sequences move by as much. Rows go in by the order of their keys, appended rows
//! thus to the end of their tables, and the head last — but for a small commit, which hopes to find the head where it
//! was, and moves it first.

mod tables;

use super::batch::{Script, Written};
use super::classify::{NAME, classify};
use super::lane::{Lane, Lease};
use super::log::head_after;
use super::resolve::{RowKeys, StationKeys};
use async_trait::async_trait;
use futures::future::join;
use sqlx::sqlite::SqliteConnection;
use tables::{APPENDED, GUARDED, MOVED, Rows, WriteTable};
use trade_core::store::{Commit, Head, Held, StoreError, StoreErrorKind};

#[cfg(test)]
pub(super) use tables::{CHANGED_CARGO, CHANGED_STATIONS, CHANGED_TRADES, HEAD};

pub(super) const OPERATION: &str = "commit";
const BEGIN: &str = "BEGIN IMMEDIATE; SELECT sequence, time FROM tn_head WHERE one = 1";
/// A commit of more rows has its own statements prepared more often than it saves.
const SMALL_ROWS_MAX: usize = 48;

/// SQLite's write lock, in a transaction that has written nothing yet. Dropped, its connection is closed, and with it
/// the transaction.
#[derive(Debug)]
pub(super) struct WriteLock<'s> {
    lease: Lease<'s>,
    known: &'s StationKeys,
    stored_head: Head,
}

pub(super) async fn lock<'s>(writer: &'s Lane, known: &'s StationKeys) -> Result<WriteLock<'s>, StoreError> {
    let lease = writer.lease(OPERATION).await?;
    locked(lease, known).await
}

async fn locked<'s>(mut lease: Lease<'s>, known: &'s StationKeys) -> Result<WriteLock<'s>, StoreError> {
    let stored_head = head_after(&mut lease.connection, BEGIN, OPERATION).await?;
    Ok(WriteLock { lease, known, stored_head })
}

/// Writes a commit.
pub(super) async fn commit(writer: &Lane, known: &StationKeys, commit: &Commit) -> Result<Head, StoreError> {
    let mut lease = writer.lease(OPERATION).await?;
    if is_small(commit)
        && commit.base.time <= commit.time_first()
        && let Some(keys) = RowKeys::without_looking(known, commit)
    {
        let written = write_at_once(&mut lease.connection, &keys, commit).await;
        match written {
            Ok(head) => return end(lease, known, commit, head).await,
            // It was not as hoped. Whatever it was: taken step by step, it is told exactly.
            Err(error) => lease = undone(lease).await.ok_or(error)?,
        }
    }
    finish(locked(lease, known).await?, commit).await
}

#[async_trait]
impl Held for WriteLock<'_> {
    async fn commit(self: Box<Self>, commit: &Commit) -> Result<Head, StoreError> {
        finish(*self, commit).await
    }
}

/// Writes a commit under the lock, and lets go.
pub(super) async fn finish(lock: WriteLock<'_>, commit: &Commit) -> Result<Head, StoreError> {
    let WriteLock { mut lease, known, stored_head } = lock;
    let head = match write(&mut lease.connection, known, commit, stored_head).await {
        Ok(head) => head,
        Err(error) => {
            roll_back(lease).await;
            return Err(error);
        }
    };
    end(lease, known, commit, head).await
}

async fn end(
    mut lease: Lease<'_>,
    known: &StationKeys,
    commit: &Commit,
    head: Head,
) -> Result<Head, StoreError> {
    match sqlx::query("COMMIT").execute(&mut lease.connection).await {
        Ok(_) => {
            lease.give_back();
            known.learn_created(commit, head);
            Ok(head)
        }
        Err(error) => Err(commit_failed(lease, error).await),
    }
}

/// Rolls back what is open. Where that is not certain, the connection is closed, and nothing of it is left either.
async fn undone(mut lease: Lease<'_>) -> Option<Lease<'_>> {
    sqlx::query("ROLLBACK").execute(&mut lease.connection).await.ok().map(|_| lease)
}

/// Answers whether the transaction was still open, and is now undone.
async fn roll_back(lease: Lease<'_>) -> bool {
    let undone = undone(lease).await;
    let open = undone.is_some();
    undone.into_iter().for_each(Lease::give_back);
    open
}

/// A `COMMIT` that fails and leaves its transaction open, as one that finds the file busy does, can be undone. After
/// any other failure SQLite has ended the transaction by itself; the commit mark may have reached the write-ahead log
/// before, and then a crash would bring it to life.
async fn commit_failed(lease: Lease<'_>, error: sqlx::Error) -> StoreError {
    if roll_back(lease).await {
        return classify(OPERATION)(error);
    }
    let detail = "the end of the commit failed, and may have been written";
    StoreError::new(StoreErrorKind::OutcomeUnknown, NAME, OPERATION, detail).caused_by(error)
}

/// Everything between `BEGIN` and `COMMIT`.
async fn write(
    connection: &mut SqliteConnection,
    known: &StationKeys,
    commit: &Commit,
    stored_head: Head,
) -> Result<Head, StoreError> {
    if stored_head.time > commit.time_first() {
        let detail =
            format!("the log is at {} already, the commit at {}", stored_head.time, commit.time_first());
        return Err(StoreError::new(StoreErrorKind::Conflict, NAME, OPERATION, detail));
    }
    let Some(shift) = stored_head.sequence.checked_sub(commit.base.sequence) else {
        let detail = "the log is shorter than it was when the commit was loaded";
        return Err(StoreError::new(StoreErrorKind::Conflict, NAME, OPERATION, detail));
    };
    let keys = RowKeys::resolve(connection, known, commit, shift, shift == 0).await?;
    let rows = Rows { commit, keys: &keys, shift, head: head_of(commit, stored_head) };
    // A station may be of another version than expected though nobody moved the head, where what the commit was made
    // from was not of one moment.
    run(connection, &rows, &GUARDED, StoreErrorKind::Conflict).await?;
    run(connection, &rows, &APPENDED, StoreErrorKind::Internal).await.map_err(no_conflict)?;
    run(connection, &rows, &MOVED, StoreErrorKind::Internal).await?;
    Ok(rows.head)
}

/// The head after a commit.
fn head_of(commit: &Commit, stored_head: Head) -> Head {
    // A commit of receipts alone adds no step, and so no newer time.
    let time = if commit.event_count() > 0 { commit.time } else { stored_head.time };
    Head { sequence: stored_head.sequence + commit.event_count(), time }
}

/// A small commit in one message to the connection's thread, `BEGIN` included: it holds only where the head stands where
/// the commit was loaded.
async fn write_at_once(
    connection: &mut SqliteConnection,
    keys: &RowKeys<'_>,
    commit: &Commit,
) -> Result<Head, StoreError> {
    let rows = Rows { commit, keys, shift: 0, head: head_of(commit, commit.base) };
    let mut script = Script::joined("BEGIN IMMEDIATE;");
    rows.write_head_from_base(&mut script);
    for table in GUARDED.iter().chain(&APPENDED) {
        table(&rows, &mut script)?;
    }
    whole(script.run(connection).await, StoreErrorKind::Conflict)?;
    Ok(rows.head)
}

/// Whether a commit has so few rows that preparing its own text costs less than sending it table by table.
fn is_small(commit: &Commit) -> bool {
    let Commit { trades, cargo, stations, stock, ledger, history, log, receipts, .. } = commit;
    let rows = trades.len() + cargo.len() + stations.len() + stock.len() + ledger.len();
    rows + history.len() + log.len() + receipts.len() <= SMALL_ROWS_MAX
}

/// Writes tables one after the other: while the connection's thread is at one, the next is put together. `short` is what
/// it means if a row finds nothing to change.
async fn run(
    connection: &mut SqliteConnection,
    rows: &Rows<'_, '_>,
    tables: &[WriteTable],
    short: StoreErrorKind,
) -> Result<(), StoreError> {
    let script = |table: &WriteTable| {
        let mut script = Script::new();
        table(rows, &mut script).map(|()| script)
    };
    let mut scripts = tables.iter().map(script);
    let mut next = scripts.next();
    while let Some(script) = next {
        let (written, following) = join(script?.run(connection), async { scripts.next() }).await;
        whole(written, short)?;
        next = following;
    }
    Ok(())
}

fn whole(written: Result<Written, sqlx::Error>, short: StoreErrorKind) -> Result<(), StoreError> {
    let Written { changed, expected } = written.map_err(classify(OPERATION))?;
    if changed == expected {
        return Ok(());
    }
    let detail = format!("{changed} rows were written instead of {expected}");
    Err(StoreError::new(short, NAME, OPERATION, detail))
}

/// A key past the head that is taken is no other commit's: that one would have moved the head.
fn no_conflict(mut error: StoreError) -> StoreError {
    if error.kind == StoreErrorKind::Conflict {
        error.kind = StoreErrorKind::Corrupt;
        error.detail = "there are rows past the head of the log".into();
    }
    error
}
