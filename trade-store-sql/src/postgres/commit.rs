//! The one door through which everything is written.
//!
//! Every commit changes the row of the head, and holds its lock to the end: so commits come one after the other over
//! any number of processes, and a sequence is visible only with all before it. Where the head stands where a commit was
//! loaded, nothing was committed since, and every expectation holds. So a commit hopes for that, and is one statement,
//! which is its own transaction and moves the head first: one message to the server. Where the head is elsewhere, that
//! statement changes nothing, and the commit takes the head's lock, checks every expectation, and moves its sequences
//! by as much as the head has.

use super::batch::{Batch, Statement, Texts};
use super::classify::{Postgres, is_definite, occupied_table};
use super::wake::Wake;
use crate::commit::keys::RowKeys;
use crate::commit::tables::{CommitRows, WriteTable, appended, guarded, moved};
use crate::commit::{Defect, OPERATION, RowSet, no_conflict, shift_to, whole};
use crate::dialect::Template;
use crate::driver::Driver;
use crate::errors::{Errors, classify};
use crate::lane::Lease;
use crate::parts::Parts;
use crate::read::log;
use async_trait::async_trait;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use trade_core::store::{Commit, Head, Held, StoreError, StoreErrorKind, Write};

static LOCK: Template = Template::new(
    "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT sequence, time, format FROM tn_head WHERE one = 1 FOR UPDATE",
);
static COMMIT: Template = Template::new("COMMIT");
static ROLLBACK: Template = Template::new("ROLLBACK");

/// What a store keeps beside its connections.
#[derive(Debug)]
pub struct State {
    pub(super) wake: Wake,
    /// Whether no statement may change a table twice.
    pub(super) table_once: bool,
    pub(super) texts: Texts,
}

type Store = Parts<Postgres, State>;

/// The head of the log, locked in a transaction that has written nothing yet. Dropped, its connection is closed, and
/// with it the transaction.
#[derive(Debug)]
pub(super) struct WriteLock<'s> {
    store: &'s Store,
    lease: Lease<'s, Postgres>,
    stored_head: Head,
}

/// Waits for the lock.
pub(super) async fn lock(store: &Store) -> Result<WriteLock<'_>, StoreError> {
    let lease = store.lanes.writer.lease(OPERATION).await?;
    locked(store, lease).await
}

async fn locked<'s>(store: &'s Store, mut lease: Lease<'s, Postgres>) -> Result<WriteLock<'s>, StoreError> {
    let lock = LOCK.of(Postgres::DIALECT);
    let found = match lease.fetch(lock, &[]).await {
        // Nothing was written: on another connection it is asked for once more.
        Err(error) => {
            lease = lease.renew_after(error).await?;
            lease.fetch(lock, &[]).await?
        }
        Ok(found) => found,
    };
    let stored_head = log::head_of::<Postgres>(&found, OPERATION)?;
    Ok(WriteLock { store, lease, stored_head })
}

/// Writes a commit.
pub(super) async fn commit(store: &Store, commit: &Commit) -> Result<Head, StoreError> {
    let mut lease = store.lanes.writer.lease(OPERATION).await?;
    let State { table_once, .. } = store.state;
    if commit.base.time <= commit.time_first() && !(table_once && changes_a_table_twice(commit)) {
        let head = commit.head_after(commit.base);
        match write_alone(&mut lease, store, commit, head).await {
            Ok(true) => return Ok(landed(store, lease, commit, head)),
            Ok(false) => {}
            Err(error) => {
                if error.kind == StoreErrorKind::Conflict {
                    // The statement is undone, and with it its transaction.
                    lease.give_back();
                }
                return Err(error);
            }
        }
    }
    finish(locked(store, lease).await?, commit).await
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
async fn finish(lock: WriteLock<'_>, commit: &Commit) -> Result<Head, StoreError> {
    let WriteLock { store, mut lease, stored_head } = lock;
    let head = match write(&mut lease, store, commit, stored_head).await {
        Ok(head) => head,
        Err(error) => {
            // What failed otherwise may still be running: its connection is closed.
            if error.kind == StoreErrorKind::Conflict
                && lease.execute(ROLLBACK.of(Postgres::DIALECT), &[]).await.is_ok()
            {
                lease.give_back();
            }
            return Err(error);
        }
    };
    let answer_max = lease.answer_max();
    let end = Postgres::execute(&mut lease.connection, COMMIT.of(Postgres::DIALECT), &[]);
    ended(timeout(answer_max, end).await)?;
    Ok(landed(store, lease, commit, head))
}

/// What is left to do once a commit is durable.
fn landed(store: &Store, lease: Lease<'_, Postgres>, commit: &Commit, head: Head) -> Head {
    lease.give_back();
    store.stations.learn_created(commit, head);
    store.state.wake.tell(head.sequence);
    head
}

/// Whether a commit has rows to make and rows to change in one table, which may take two statements (see [`Batch`]).
fn changes_a_table_twice(commit: &Commit) -> bool {
    fn both(mut changed: impl Iterator<Item = bool>) -> bool {
        let first = changed.next();
        changed.any(|changed| Some(changed) != first)
    }
    fn written<K, T>(writes: &[Write<K, T>]) -> impl Iterator<Item = bool> {
        writes.iter().filter(|write| write.value.is_some()).map(|write| write.expected.is_some())
    }
    both(written(&commit.trades))
        || both(written(&commit.cargo))
        || both(written(&commit.stations))
        || both(commit.stock.iter().map(|write| write.listed))
}

/// The commit as a transaction of one statement. `false` where that cannot be, or where the head is not where the commit
/// was loaded; nothing is written then.
async fn write_alone(
    lease: &mut Lease<'_, Postgres>,
    store: &Store,
    commit: &Commit,
    head: Head,
) -> Result<bool, StoreError> {
    // Keys never change: those found now are those of the moment at which the statement finds the head unmoved.
    let keys = match RowKeys::without_looking(&store.stations, commit) {
        Some(keys) => keys,
        None => RowKeys::resolve(lease, &store.stations, commit, 0, true).await?,
    };
    let rows = CommitRows::new(commit, &keys, 0, commit.base).map_err(Defect::in_store::<Postgres>)?;
    let mut statements = statements(store, &rows, guarded().iter().chain(&appended()))?;
    let (Some(statement), []) = (statements.pop(), &statements[..]) else { return Ok(false) };
    let answer_max = lease.answer_max();
    let run = statement.run_alone(&mut lease.connection, &store.state.texts, commit.base, head);
    ended(timeout(answer_max, run).await)
}

/// Everything between the lock and the end.
async fn write(
    lease: &mut Lease<'_, Postgres>,
    store: &Store,
    commit: &Commit,
    stored_head: Head,
) -> Result<Head, StoreError> {
    let shift = shift_to::<Postgres>(stored_head, commit)?;
    let keys = RowKeys::resolve(lease, &store.stations, commit, shift, shift == 0).await?;
    let rows = CommitRows::new(commit, &keys, shift, stored_head).map_err(Defect::in_store::<Postgres>)?;
    for statement in statements(store, &rows, guarded().iter().chain(&appended()).chain(&moved()))? {
        let (expected, answer_max) = (statement.rows(), lease.answer_max());
        let written = timeout(answer_max, statement.run(&mut lease.connection, &store.state.texts)).await;
        let changed = written.map_err(|_| silent(StoreErrorKind::Unavailable))?.map_err(failed)?;
        // A station may be of another version than expected though nobody moved the head, where what the commit was
        // made from was not of one moment.
        whole::<Postgres>(changed, expected, StoreErrorKind::Conflict)?;
    }
    Ok(rows.head)
}

fn statements<'t>(
    store: &Store,
    rows: &CommitRows<'_, '_>,
    tables: impl Iterator<Item = &'t WriteTable<Batch>>,
) -> Result<Vec<Statement>, StoreError> {
    let mut batch = Batch::default();
    for table in tables {
        table(rows, &mut batch).map_err(Defect::in_store::<Postgres>)?;
    }
    Ok(batch.into_statements(store.state.table_once))
}

/// What the answer to the end of a transaction says of it.
fn ended<T>(answer: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, StoreError> {
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_definite(&error) => Err(failed(error)),
        Ok(Err(error)) => {
            let detail = "the connection ended with the commit, which may have been written";
            let unknown = StoreErrorKind::OutcomeUnknown;
            Err(StoreError::new(unknown, Postgres::NAME, OPERATION, detail).caused_by(error))
        }
        Err(_) => Err(silent(StoreErrorKind::OutcomeUnknown)),
    }
}

fn silent(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, Postgres::NAME, OPERATION, "the server did not answer in time")
}

/// What a failed statement says of a commit that it undoes.
fn failed(error: sqlx::Error) -> StoreError {
    /// Their keys begin with sequences past the head.
    const APPENDED: [RowSet; 4] = [RowSet::TradeItems, RowSet::History, RowSet::Ledger, RowSet::Log];
    let past_head =
        occupied_table(&error).is_some_and(|table| APPENDED.iter().any(|set| set.shape().table == table));
    let error = classify::<Postgres>(OPERATION)(error);
    if past_head { no_conflict(error) } else { error }
}
