//! Waiting for the head of the log, and holding it.

use super::orphans;
use crate::classify::{NAME, is_of_network, is_transient, undone};
use crate::documents::{date, failed, head, stored};
use crate::link::Link;
use crate::read::log::no_head;
use crate::schema::HEAD;
use mongodb::ClientSession;
use mongodb::bson::{Document, RawDocumentBuf, rawdoc};
use mongodb::error::Error;
use mongodb::options::{Acknowledgment, ReadConcern, TransactionOptions, WriteConcern};
use std::fmt;
use std::time::Duration;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep, timeout};
use trade_core::store::{Commit, Head, StoreError, StoreErrorKind};

pub(crate) const OPERATION: &str = "commit";
/// The pause before the head is asked for again; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(8);
/// How long letting go may take; the server does it by itself otherwise.
const LET_GO_MAX: Duration = Duration::from_secs(1);

/// The head of the log, changed by a transaction that is open. Dropped, the driver ends the transaction.
pub(crate) struct Turn<'s> {
    pub(super) link: &'s Link,
    pub(super) session: ClientSession,
    /// The head as this transaction found it.
    pub(super) stored_head: Head,
    /// Whether it stands already where a commit leaves it.
    pub(super) is_moved: bool,
    /// Dropped last.
    _turn: MutexGuard<'s, ()>,
}

impl fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("stored_head", &self.stored_head).finish_non_exhaustive()
    }
}

/// Waits for the head, and holds it.
pub(crate) async fn hold(link: &Link) -> Result<Turn<'_>, StoreError> {
    take(link, None).await
}

fn too_long() -> StoreError {
    let detail = "another process holds the head of the log for too long";
    StoreError::new(StoreErrorKind::Conflict, NAME, OPERATION, detail)
}

/// Waits for the head, and moves it where a commit leaves it, if one is named.
pub(super) async fn take<'s>(link: &'s Link, commit: Option<&Commit>) -> Result<Turn<'s>, StoreError> {
    let (begun, patience) = (Instant::now(), link.options.lock_timeout);
    let turn = timeout(patience, link.turn.lock()).await.map_err(|_| too_long())?;
    let (mut pause, mut renewed) = (PAUSE_FIRST, false);
    let mut watch = orphans::Watch::begin();
    loop {
        let mut session = link.session(OPERATION).await?;
        let touched = link.answered(OPERATION, touch(link, &mut session, commit)).await?;
        match touched {
            Ok(reply) => {
                link.seen.learn(&session);
                let stored_head = found(&reply)?;
                return Ok(Turn { link, session, stored_head, is_moved: commit.is_some(), _turn: turn });
            }
            Err(error) if is_transient(&error) => {
                if begun.elapsed() >= patience {
                    return Err(too_long().caused_by(error));
                }
                let_go(&mut session).await;
                watch.look(link).await;
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            // Nothing was written: on another connection it is asked for once more.
            Err(error) if is_of_network(&error) && !renewed => {
                let_go(&mut session).await;
                renewed = true;
            }
            Err(error) => return Err(undone(OPERATION)(error)),
        }
    }
}

fn options(link: &Link) -> TransactionOptions {
    let durable = WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .w_timeout(link.options.operation_timeout)
        .build();
    TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(durable)
        .max_commit_time(link.options.operation_timeout)
        .build()
}

/// Begins a transaction by changing the head, and answers it as it was.
async fn touch(link: &Link, session: &mut ClientSession, commit: Option<&Commit>) -> Result<Document, Error> {
    session.start_transaction().with_options(options(link)).await?;
    let command = rawdoc! {
        "findAndModify": HEAD,
        "query": { "_id": head::ID },
        "update": update(commit),
        "new": false,
        "maxTimeMS": link.millis_max(),
    };
    link.database.run_raw_command(command).session(session).await
}

fn update(commit: Option<&Commit>) -> RawDocumentBuf {
    match commit.map(|commit| (commit, commit.event_count())) {
        None | Some((_, 0)) => rawdoc! { "$inc": { "commits": 1_i64 } },
        Some((commit, events)) => rawdoc! {
            "$inc": { "commits": 1_i64, "sequence": stored(events) },
            "$set": { "time": date(commit.time) },
        },
    }
}

fn found(reply: &Document) -> Result<Head, StoreError> {
    let document = reply.get_document("value").map_err(|_| no_head(OPERATION))?;
    let document = crate::read::raw(OPERATION, document)?;
    head::read(&document).map_err(failed(OPERATION))
}

impl Turn<'_> {
    /// Ends the transaction with nothing written.
    pub(super) async fn let_go(mut self) {
        let_go(&mut self.session).await;
    }
}

/// Ends a transaction with nothing written. Most often the server has done so already.
async fn let_go(session: &mut ClientSession) {
    // It ends by itself where this fails.
    let _ = timeout(LET_GO_MAX, session.abort_transaction()).await;
}
