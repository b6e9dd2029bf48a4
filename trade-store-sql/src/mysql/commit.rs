//! The one door through which everything is written.
//!
//! Every commit locks the head of the log first, and holds it to its end. Most find it where they were loaded: then
//! nothing was committed since, and every expectation holds. So a commit hopes for that, and is one text, which moves
//! the head if it is there and runs no further if it is not, and a `COMMIT`, sent only once it is known what the text
//! did. No session that writes commits by itself ([`session`](super::session)), and the text ends with a look at the head:
//! so whatever a server, or a proxy that sends a text again, makes of a part of it, no part is committed alone. Where the
//! head has moved, everything that the commit expects is checked under the lock, and its sequences move
//! by as much.

use super::batch::{Failure, Script};
use super::classify::MySql;
use super::examine::State;
use crate::commit::keys::RowKeys;
use crate::commit::tables::{CommitRows, appended, guarded};
use crate::commit::{Defect, OPERATION, shift_to};
use crate::dialect::Template;
use crate::driver::Driver;
use crate::lane::Lease;
use crate::parts::Parts;
use crate::read::log;
use async_trait::async_trait;
use tokio::time::Instant;
use trade_core::store::{Commit, Head, Held, StoreError, StoreErrorKind};

static BEGIN: Template =
    Template::new("START TRANSACTION; SELECT sequence, time, format FROM tn_head WHERE one = 1 FOR UPDATE");
static LOCK: Template = Template::new("SELECT sequence, time, format FROM tn_head WHERE one = 1 FOR UPDATE");
static ROLLBACK: Template = Template::new("ROLLBACK");
static COMMIT: Template = Template::new("COMMIT");

type Store = Parts<MySql, State>;

/// The head's lock, in a transaction that has written nothing yet. Dropped, its connection is closed, and with it the
/// transaction.
#[derive(Debug)]
pub(super) struct HeldHead<'s> {
    store: &'s Store,
    lease: Lease<'s, MySql>,
    stored_head: Head,
    begun: Instant,
}

pub(super) async fn hold(store: &Store) -> Result<HeldHead<'_>, StoreError> {
    store.state.keep_pace().await;
    lock(store, store.lanes.writer.lease(OPERATION).await?, &BEGIN).await
}

async fn lock<'s>(
    store: &'s Store,
    mut lease: Lease<'s, MySql>,
    sql: &'static Template,
) -> Result<HeldHead<'s>, StoreError> {
    let begun = Instant::now();
    let locked = match lease.fetch(sql.of(MySql::DIALECT), &[]).await {
        Ok(found) => log::head_of::<MySql>(&found, OPERATION),
        Err(error) => Err(error),
    };
    match locked {
        Ok(stored_head) => {
            store.state.pace.iter().for_each(|pace| pace.found(stored_head));
            Ok(HeldHead { store, lease, stored_head, begun })
        }
        Err(error) => Err(undo(lease, error).await),
    }
}

/// Writes a commit.
pub(super) async fn commit(store: &Store, commit: &Commit) -> Result<Head, StoreError> {
    store.state.keep_pace().await;
    let begun = Instant::now();
    let outcome = write_hopefully(store, commit).await;
    store.state.pace.iter().for_each(|pace| pace.ended(&outcome, begun));
    outcome
}

async fn write_hopefully(store: &Store, commit: &Commit) -> Result<Head, StoreError> {
    let lease = store.lanes.writer.lease(OPERATION).await?;
    let held = if commit.base.time <= commit.time_first() {
        match write_at_once(store, lease, commit).await? {
            AtOnce::Written(head) => return Ok(head),
            // Its transaction is open, and has done nothing.
            AtOnce::Moved(lease) => lock(store, lease, &LOCK).await?,
        }
    } else {
        lock(store, lease, &BEGIN).await?
    };
    finish(held, commit).await
}

/// What came of the hope that the head is where the commit was loaded.
enum AtOnce<'s> {
    Written(Head),
    Moved(Lease<'s, MySql>),
}

async fn write_at_once<'s>(
    store: &'s Store,
    mut lease: Lease<'s, MySql>,
    commit: &Commit,
) -> Result<AtOnce<'s>, StoreError> {
    // A key never changes, so it may be looked up before the lock is taken.
    let keys = match keys(store, &mut lease, commit, 0, true).await {
        Ok(keys) => keys,
        Err(error) => return Err(undo(lease, error).await),
    };
    let rows = match CommitRows::new(commit, &keys, 0, commit.base) {
        Ok(rows) => rows,
        Err(defect) => return Err(undo(lease, defect.in_store::<MySql>()).await),
    };
    let script = Script::moving(&store.state, commit.base, rows.head);
    // It stays where it was moved to.
    match write(&mut lease, script, &rows, rows.head).await {
        Ok(()) => end(store, lease, commit, rows.head).await.map(AtOnce::Written),
        Err(Failure::Moved(_)) => Ok(AtOnce::Moved(lease)),
        Err(Failure::Other(error)) => Err(undo_from(commit.base, lease, error).await),
    }
}

#[async_trait]
impl Held for HeldHead<'_> {
    fn head(&self) -> Option<Head> {
        Some(self.stored_head)
    }

    async fn commit(self: Box<Self>, commit: &Commit) -> Result<Head, StoreError> {
        let (pace, begun) = (&self.store.state.pace, self.begun);
        let outcome = finish(*self, commit).await;
        pace.iter().for_each(|pace| pace.ended(&outcome, begun));
        outcome
    }
}

/// Writes a commit under the lock, and lets go.
async fn finish(held: HeldHead<'_>, commit: &Commit) -> Result<Head, StoreError> {
    let HeldHead { store, mut lease, stored_head, .. } = held;
    match write_after(store, &mut lease, commit, stored_head).await {
        Ok(head) => end(store, lease, commit, head).await,
        Err(error) => Err(undo_from(stored_head, lease, error).await),
    }
}

async fn write_after(
    store: &Store,
    lease: &mut Lease<'_, MySql>,
    commit: &Commit,
    stored_head: Head,
) -> Result<Head, StoreError> {
    let shift = shift_to::<MySql>(stored_head, commit)?;
    let keys = keys(store, lease, commit, shift, shift == 0).await?;
    let rows = CommitRows::new(commit, &keys, shift, stored_head).map_err(Defect::in_store::<MySql>)?;
    write(lease, Script::new(&store.state), &rows, stored_head).await?;
    Ok(rows.head)
}

async fn keys<'c>(
    store: &Store,
    lease: &mut Lease<'_, MySql>,
    commit: &'c Commit,
    shift: u64,
    proven: bool,
) -> Result<RowKeys<'c>, StoreError> {
    if proven && let Some(keys) = RowKeys::without_looking(&store.stations, commit) {
        return Ok(keys);
    }
    RowKeys::resolve(lease, &store.stations, commit, shift, proven).await
}

/// Writes every table, and then the head, which is at `from` by then.
async fn write(
    lease: &mut Lease<'_, MySql>,
    mut script: Script,
    rows: &CommitRows<'_, '_>,
    from: Head,
) -> Result<(), Failure> {
    for table in guarded().iter().chain(&appended()) {
        table(rows, &mut script).map_err(|defect: Defect| Failure::Other(defect.in_store::<MySql>()))?;
    }
    script.close(from, rows.head);
    script.run(lease).await
}

/// Commits. What the server says of a lock that it could not get is certain; whatever else comes instead of its
/// acknowledgement may have come after the commit was written.
async fn end(
    store: &Store,
    mut lease: Lease<'_, MySql>,
    commit: &Commit,
    head: Head,
) -> Result<Head, StoreError> {
    match lease.execute(COMMIT.of(MySql::DIALECT), &[]).await {
        Ok(_) => {
            lease.give_back();
            store.stations.learn_created(commit, head);
            Ok(head)
        }
        Err(error) if error.kind == StoreErrorKind::Conflict => Err(undo(lease, error).await),
        Err(mut error) => {
            error.kind = StoreErrorKind::OutcomeUnknown;
            error.detail = format!("the end of the commit was not acknowledged: {}", error.detail);
            Err(error)
        }
    }
}

/// Rolls back what is open, and looks what became of the head. Rows past it are damage only where it stayed: a node of a
/// Galera cluster ends a transaction that stands in the way of another node's, and may tell by no more than that the rest
/// of a text finds the other's rows.
async fn undo_from(from: Head, mut lease: Lease<'_, MySql>, mut error: StoreError) -> StoreError {
    if error.kind == StoreErrorKind::Corrupt
        && lease.execute(ROLLBACK.of(MySql::DIALECT), &[]).await.is_ok()
        && let Ok(found) = lease.fetch(log::HEAD_SQL.of(MySql::DIALECT), &[]).await
        && log::head_of::<MySql>(&found, OPERATION).is_ok_and(|head| head != from)
    {
        error.kind = StoreErrorKind::Conflict;
        error.detail = "the server ended the transaction half-way".into();
    }
    undo(lease, error).await
}

/// Rolls back what is open. A connection that may be of no use is closed instead, which comes to the same.
async fn undo(mut lease: Lease<'_, MySql>, error: StoreError) -> StoreError {
    if error.kind != StoreErrorKind::Unavailable
        && lease.execute(ROLLBACK.of(MySql::DIALECT), &[]).await.is_ok()
    {
        lease.give_back();
    }
    error
}
