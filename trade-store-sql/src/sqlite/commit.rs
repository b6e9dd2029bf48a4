//! The one door through which everything is written.
//!
//! A commit takes SQLite's write lock first, so that what it then reads holds until it ends. Where the head of the
//! log stands where the commit was loaded, nothing was committed since, and every expectation holds; where it has
//! moved, all are checked, and the sequences move by as much. Rows go in by the order of their keys, appended rows
//! thus to the end of their tables, and the head last — but for a small commit, which hopes to find the head where it
//! was, and moves it first.

use super::batch::Script;
use super::classify::{Sqlite, is_disk_full};
use super::state::State;
use crate::commit::keys::RowKeys;
use crate::commit::tables::{CommitRows, WriteTable, appended, guarded, moved};
use crate::commit::{Defect, OPERATION, no_conflict, shift_to, whole};
use crate::dialect::Template;
use crate::driver::Driver;
use crate::errors::{Errors, classify};
use crate::lane::Lease;
use crate::parts::Parts;
use crate::read::log;
use async_trait::async_trait;
use futures::future::join;
use sqlx::sqlite::SqliteConnection;
use trade_core::store::{Commit, Head, Held, StoreError, StoreErrorKind};

static BEGIN: Template =
    Template::new("BEGIN IMMEDIATE; SELECT sequence, time, format FROM tn_head WHERE one = 1");
type Store = Parts<Sqlite, State>;

/// A commit of more rows has its own statements prepared more often than it saves.
const SMALL_ROWS_MAX: usize = 48;

/// SQLite's write lock, in a transaction that has written nothing yet. Dropped, its connection is closed, and with it
/// the transaction.
#[derive(Debug)]
pub(super) struct WriteLock<'s> {
    lease: Lease<'s, Sqlite>,
    store: &'s Store,
    stored_head: Head,
}

pub(super) async fn lock(store: &Store) -> Result<WriteLock<'_>, StoreError> {
    store.state.check().await?;
    locked(store.lanes.writer.lease(OPERATION).await?, store).await
}

async fn locked<'s>(mut lease: Lease<'s, Sqlite>, store: &'s Store) -> Result<WriteLock<'s>, StoreError> {
    let found = lease.fetch(BEGIN.of(Sqlite::DIALECT), &[]).await?;
    let stored_head = log::head_of::<Sqlite>(&found, OPERATION)?;
    Ok(WriteLock { lease, store, stored_head })
}

/// Writes a commit.
pub(super) async fn commit(store: &Store, commit: &Commit) -> Result<Head, StoreError> {
    store.state.check().await?;
    let mut lease = store.lanes.writer.lease(OPERATION).await?;
    if is_small(commit)
        && commit.base.time <= commit.time_first()
        && let Some(keys) = RowKeys::without_looking(&store.stations, commit)
    {
        match write_at_once(&mut lease.connection, &keys, commit).await {
            Ok(head) => return ended(lease, store, commit, head).await,
            // It was not as hoped. Whatever it was: taken step by step, it is told exactly.
            Err((error, true)) => lease = undone(lease).await.ok_or_else(|| not_undone(error))?,
            Err((error, false)) => return Err(error),
        }
    }
    finish(locked(lease, store).await?, commit).await
}

#[async_trait]
impl Held for WriteLock<'_> {
    fn head(&self) -> Option<Head> {
        Some(self.stored_head)
    }

    async fn commit(self: Box<Self>, commit: &Commit) -> Result<Head, StoreError> {
        finish(*self, commit).await
    }
}

/// Writes a commit under the lock, and lets go.
pub(super) async fn finish(lock: WriteLock<'_>, commit: &Commit) -> Result<Head, StoreError> {
    let WriteLock { mut lease, store, stored_head } = lock;
    let head = match write(&mut lease, store, commit, stored_head).await {
        Ok(head) => head,
        Err(error) => {
            roll_back(lease).await;
            store.state.written();
            return Err(error);
        }
    };
    end(lease, store, commit, head).await
}

async fn end(
    mut lease: Lease<'_, Sqlite>,
    store: &Store,
    commit: &Commit,
    head: Head,
) -> Result<Head, StoreError> {
    match sqlx::query("COMMIT").execute(&mut lease.connection).await {
        Ok(_) => ended(lease, store, commit, head).await,
        Err(error) => Err(commit_failed(lease, error).await),
    }
}

/// What was written to a file that is no longer at its path is not acknowledged: it may be put back, or not.
async fn ended(
    lease: Lease<'_, Sqlite>,
    store: &Store,
    commit: &Commit,
    head: Head,
) -> Result<Head, StoreError> {
    lease.give_back();
    store.state.written();
    store.state.check().await.map_err(maybe_written)?;
    store.stations.learn_created(commit, head);
    Ok(head)
}

/// Rolls back what is open. Where that is not certain, the connection is closed, and nothing of it is left either.
async fn undone(mut lease: Lease<'_, Sqlite>) -> Option<Lease<'_, Sqlite>> {
    sqlx::query("ROLLBACK").execute(&mut lease.connection).await.ok().map(|_| lease)
}

/// Answers whether the transaction was still open, and is now undone.
async fn roll_back(lease: Lease<'_, Sqlite>) -> bool {
    let undone = undone(lease).await;
    let open = undone.is_some();
    undone.into_iter().for_each(Lease::give_back);
    open
}

/// A `COMMIT` that fails and leaves its transaction open, as one that finds the file busy does, can be undone. After
/// any other failure SQLite has ended the transaction by itself; the commit mark may have reached the write-ahead log
/// before, and then a crash would bring it to life.
async fn commit_failed(lease: Lease<'_, Sqlite>, error: sqlx::Error) -> StoreError {
    let error = classify::<Sqlite>(OPERATION)(error);
    if roll_back(lease).await { error } else { not_undone(error) }
}

/// What SQLite ended by itself.
fn not_undone(error: StoreError) -> StoreError {
    if is_disk_full(&error) { error } else { maybe_written(error) }
}

fn maybe_written(error: StoreError) -> StoreError {
    let detail = "the end of the commit failed, and may have been written";
    StoreError::new(StoreErrorKind::OutcomeUnknown, Sqlite::NAME, OPERATION, detail).caused_by(error)
}

/// Everything between `BEGIN` and `COMMIT`.
async fn write(
    lease: &mut Lease<'_, Sqlite>,
    store: &Store,
    commit: &Commit,
    stored_head: Head,
) -> Result<Head, StoreError> {
    store.state.check().await?;
    let shift = shift_to::<Sqlite>(stored_head, commit)?;
    let keys = RowKeys::resolve(lease, &store.stations, commit, shift, shift == 0).await?;
    let rows = CommitRows::new(commit, &keys, shift, stored_head).map_err(Defect::in_store::<Sqlite>)?;
    let connection = &mut lease.connection;
    // A station may be of another version than expected though nobody moved the head, where what the commit was made
    // from was not of one moment.
    run(connection, &rows, &guarded(), StoreErrorKind::Conflict).await?;
    run(connection, &rows, &appended(), StoreErrorKind::Internal).await.map_err(no_conflict)?;
    run(connection, &rows, &moved(), StoreErrorKind::Internal).await?;
    Ok(rows.head)
}

/// A small commit in one message to the connection's thread, `BEGIN` and `COMMIT` included: it holds only where the
/// head stands where the commit was loaded. An error comes with whether the transaction had begun.
pub(super) async fn write_at_once(
    connection: &mut SqliteConnection,
    keys: &RowKeys<'_>,
    commit: &Commit,
) -> Result<Head, (StoreError, bool)> {
    let defect = |defect: Defect| (defect.in_store::<Sqlite>(), false);
    let rows = CommitRows::new(commit, keys, 0, commit.base).map_err(defect)?;
    let mut script = Script::transaction(commit.base, rows.head);
    for table in guarded().iter().chain(&appended()) {
        table(&rows, &mut script).map_err(defect)?;
    }
    let run = script.run_whole(connection).await;
    run.map_err(|(error, begun)| (classify::<Sqlite>(OPERATION)(error), begun))?;
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
    rows: &CommitRows<'_, '_>,
    tables: &[WriteTable<Script>],
    short: StoreErrorKind,
) -> Result<(), StoreError> {
    let script = |table: &WriteTable<Script>| {
        let mut script = Script::new();
        table(rows, &mut script).map(|()| script)
    };
    let mut scripts = tables.iter().map(script);
    let mut next = scripts.next();
    while let Some(script) = next {
        let script = script.map_err(Defect::in_store::<Sqlite>)?;
        let (written, following) = join(script.run(connection), async { scripts.next() }).await;
        let (changed, expected) = written.map_err(classify::<Sqlite>(OPERATION))?;
        whole::<Sqlite>(changed, expected, short)?;
        next = following;
    }
    Ok(())
}
