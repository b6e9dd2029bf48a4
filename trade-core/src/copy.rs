//! A copy of a network in an empty store, of another engine if need be, in which nothing is dated ahead.

use crate::access::{ApiKey, KeyStore};
use crate::resource::{Cargo, Inventory, Sequence, Trade};
use crate::rules::Draft;
use crate::step::Step;
use crate::store::{Head, Store, StoreError};
use crate::values::Timestamp;
use crate::view::View;
use std::sync::Arc;

const CHUNK_RECORDS: usize = 512;
const CHUNK_BYTES: usize = 1 << 20;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// The newest sequence: the number of events.
    pub events: u64,
    /// Steps in the log.
    pub steps: u64,
    /// Those of them that were dated later than they may be.
    pub redated: u64,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the stores cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store that is copied into holds events already, this many of them.
    #[error("the store to copy into is not empty: it holds {0} events")]
    NotEmpty(Sequence),
    /// The log that is copied lacks an event.
    #[error("sequence {0} is missing in the log")]
    Missing(Sequence),
}

/// Copies the log of a store, and with it everything that follows from it, into one that is empty. Sequences stay. What is
/// dated after `latest` is dated `latest`: so a log that a wrong clock dated ahead goes on with the right time. Moments that
/// somebody chose or reckoned with (`eta`, `expiresAt`) stay as they are. Receipts are not copied: a request from before is
/// not known again by its key. Neither are API keys: see [`copy_keys`].
///
/// Nobody should write to either store meanwhile. What the network holds is held in memory, the log and the ledger are not.
///
/// # Errors
/// [`CopyError`]; then the copy ends at some step, and is not to be used.
pub async fn copy(from: &dyn Store, into: &dyn Store, latest: Timestamp) -> Result<Copied, CopyError> {
    let begun = into.head().await?;
    if begun != Head::EMPTY {
        return Err(CopyError::NotEmpty(begun.sequence));
    }
    let end = from.head().await?.sequence;
    let (mut draft, mut copied) = (Draft::new(View::empty()), Copied::default());
    while copied.events < end {
        let records = from.read(copied.events, CHUNK_RECORDS, CHUNK_BYTES).await?;
        for record in &records {
            if record.first() != copied.events + 1 {
                return Err(CopyError::Missing(copied.events + 1));
            }
            copied.redated += u64::from(record.step.time > latest);
            draft.apply(Some(dated(&record.step, latest)));
            copied.events = record.last;
            copied.steps += 1;
        }
        if records.is_empty() {
            return Err(CopyError::Missing(copied.events + 1));
        }
        into.commit(&draft.commit(Vec::new())).await?;
    }
    Ok(copied)
}

/// Copies the API keys of a store into another, in which none has the id of one of these: who gets in here gets in there, and
/// whoever was shut out stays so. [`copy`] does not: keys are no part of the log. Answers how many there are. Each begins
/// with version 1 again.
///
/// # Errors
/// [`StoreError`], a [`Conflict`](crate::store::StoreErrorKind::Conflict) where a key of an id is there; then some are
/// copied.
pub async fn copy_keys(from: &dyn KeyStore, into: &dyn KeyStore) -> Result<u64, StoreError> {
    let (mut copied, mut after) = (0, None);
    loop {
        let keys = from.keys(after.as_ref(), CHUNK_RECORDS).await?;
        let Some(last) = keys.last() else { return Ok(copied) };
        after = Some(last.id.clone());
        copied += keys.len() as u64;
        let used = |key: &ApiKey| Some((key.id.clone(), key.last_used_at?));
        let used: Vec<_> = keys.iter().filter_map(used).collect();
        for key in keys {
            into.put_key(&ApiKey { version: 1, ..key }).await?;
        }
        into.note_use(&used).await?;
    }
}

/// The step with no time after `latest`.
fn dated(step: &Step, latest: Timestamp) -> Step {
    let trade = |trade: &Arc<Trade>| {
        let (created_at, updated_at) = (trade.created_at.min(latest), trade.updated_at.min(latest));
        Arc::new(Trade { created_at, updated_at, ..Trade::clone(trade) })
    };
    let cargo = |cargo: &Arc<Cargo>| {
        let (created_at, updated_at) = (cargo.created_at.min(latest), cargo.updated_at.min(latest));
        Arc::new(Cargo { created_at, updated_at, ..Cargo::clone(cargo) })
    };
    let station =
        |station: &Inventory| Inventory { updated_at: station.updated_at.min(latest), ..station.clone() };
    Step {
        time: step.time.min(latest),
        actor: step.actor.clone(),
        cause: step.cause.clone(),
        kinds: step.kinds.clone(),
        trade: step.trade.as_ref().map(trade),
        cargo: step.cargo.as_ref().map(cargo),
        stations: step.stations.iter().map(station).collect(),
        movements: step.movements.clone(),
    }
}
