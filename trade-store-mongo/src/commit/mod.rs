//! The one door through which everything is written.
//!
//! Every commit is one transaction, confirmed by a majority and journaled, and changes the document of the head first.
//! MongoDB lets nobody else change a document that a transaction has changed, and a transaction change none that was
//! changed since it began: so commits come one after the other over any number of processes, and a sequence is visible
//! only with all before it. Where the head stands where a commit was loaded, nothing was committed since, and every
//! expectation holds. Where it has moved, every expectation is read in the same transaction, and the commit's sequences
//! move by as much as the head has.
//!
//! Nobody waits for a document at the server: whoever comes second is refused at once. So a commit asks for the head
//! again after short pauses (`turn`), and lets go of nothing else meanwhile. Who was killed in the middle of a commit
//! still has the head as far as the server knows, for a minute: such a transaction is ended by whoever waits for it
//! (`orphans`).
//!
//! A commit is tried once. Until its end is sent nothing has landed, whatever fails. Then it is asked for again, a few
//! times, where the answer is lost or no majority confirmed it in time; what is still not known then is for the service
//! to find out by the receipts. It holds the head for that, and so whatever was on its way has either landed, or never
//! will: as long as the other transaction is open it has the head, at this primary; at another primary it is gone.

mod expected;
mod orphans;
pub(crate) mod receipts;
mod statements;
mod turn;
mod writes;

pub(crate) use turn::{OPERATION, hold};

use crate::classify::{NAME, nothing_landed, undone};
use crate::documents::{date, head, stored};
use crate::link::Link;
use crate::schema::HEAD;
use async_trait::async_trait;
use mongodb::bson::rawdoc;
use statements::{Sort, Statements};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use trade_core::store::{Commit, Head, Held, StoreError, StoreErrorKind};
use turn::Turn;

/// How often the end of a transaction is asked for, where nobody knows what became of it.
const ENDS_MAX: u32 = 3;
const END_PAUSE: Duration = Duration::from_millis(50);

/// Writes a commit.
pub(crate) async fn commit(link: &Link, commit: &Commit) -> Result<Head, StoreError> {
    // Most often the head is where the commit was loaded, and so may move at once.
    finish(turn::take(link, Some(commit)).await?, commit).await
}

#[async_trait]
impl Held for Turn<'_> {
    fn head(&self) -> Option<Head> {
        Some(self.stored_head)
    }

    async fn commit(self: Box<Self>, commit: &Commit) -> Result<Head, StoreError> {
        finish(*self, commit).await
    }
}

/// Writes a commit while its head is held, and lets go.
async fn finish(mut turn: Turn<'_>, commit: &Commit) -> Result<Head, StoreError> {
    let head = match write(&mut turn, commit).await {
        Ok(head) => head,
        Err(error) => {
            turn.let_go().await;
            return Err(error);
        }
    };
    end(&mut turn).await?;
    turn.link.seen.learn(&turn.session);
    Ok(head)
}

/// Everything between the head and the end.
async fn write(turn: &mut Turn<'_>, commit: &Commit) -> Result<Head, StoreError> {
    let stored_head = turn.stored_head;
    let conflict = |detail| StoreError::new(StoreErrorKind::Conflict, NAME, OPERATION, detail);
    let shift = commit.shift_to(stored_head).map_err(conflict)?;
    let is_proven = stored_head == commit.base;
    if !is_proven {
        expected::check(turn, commit).await?;
    }
    let head = commit.head_after(stored_head);
    let mut all = Vec::new();
    if !turn.is_moved {
        let mut moved = Statements::new(HEAD, Sort::Update);
        let set = rawdoc! { "sequence": stored(head.sequence), "time": date(head.time) };
        moved.update(rawdoc! { "_id": head::ID }, rawdoc! { "$set": set });
        all.push(moved);
    }
    all.extend(writes::of(commit, shift, is_proven)?);
    for statements in all {
        statements.run(turn).await?;
    }
    Ok(head)
}

/// Ends the transaction.
async fn end(turn: &mut Turn<'_>) -> Result<(), StoreError> {
    let unknown = |detail: &str| StoreError::new(StoreErrorKind::OutcomeUnknown, NAME, OPERATION, detail);
    let deadline = Instant::now() + turn.link.options.operation_timeout;
    let mut ends_left = ENDS_MAX;
    loop {
        let answer = turn.link.answered(OPERATION, turn.session.commit_transaction()).await;
        let error = match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) if nothing_landed(&error) => return Err(undone(OPERATION)(error)),
            Ok(Err(error)) => unknown("the commit may have been written").caused_by(error),
            Err(_) => unknown("the server did not answer, and may have written the commit"),
        };
        ends_left -= 1;
        if ends_left == 0 || Instant::now() >= deadline {
            return Err(error);
        }
        sleep(END_PAUSE).await;
    }
}
