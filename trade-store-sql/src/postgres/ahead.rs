//! The steps that others are about to commit, told ahead.
//!
//! Servers that write to the same rows take turns: whoever waits for the head of the log has nothing to do meanwhile,
//! and once it holds the head, must know what was written before it can decide. So whoever holds the head tells the
//! others what it is about to write, beside writing it, and they have received and decoded that when it is their turn.
//!
//! A hint, and no more. What was told may never have been committed, and something else in its place; so it is taken
//! for the log only where the log is found to hold the very same: whoever asks for the head asks for a digest of the
//! newest records as well, instead of the records. Whatever was not told, or is not so, is read from the log.

use super::PostgresStore;
use super::told::{Stretch, Told};
use crate::read::log;
use crate::rows::{self, Columns};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use trade_core::resource::Sequence;
use trade_core::store::{LogRecord, StoreError};

/// Fewer records are read from the log as soon as told.
pub(super) const RECORDS_MIN: usize = 16;
/// Records that are compared, and how long they may be: where there are others, the log is read.
const COMPARED_MAX: usize = 2_048;
const COMPARED_BYTES_MAX: usize = 4_096;
/// Bytes of records that are kept, and stretches.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;
const KEPT_MAX: usize = 64;

/// What was told, and what the log was found to hold.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    kept: Mutex<Kept>,
    heard: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    /// What others told, the newest last.
    told: VecDeque<Stretch>,
    /// The newest step that was written here: what others write begins behind it.
    own: Option<LogRecord>,
    /// Whether it is likely that something told is to be compared: not after that was of no use, until more is told.
    is_of_use: bool,
    found: Option<Found>,
}

/// What the held log holds after a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    after: Sequence,
    count: usize,
    last: Sequence,
    /// SHA-256 of the records, one after the other, in hexadecimal digits. Each tells where it ends, and so where the next
    /// begins.
    digest: String,
}

impl Found {
    /// None where there is nothing.
    fn read(after: Sequence, answer: &impl Columns) -> Option<Self> {
        let (count, last) = (rows::count(answer, 0).ok()?.try_into().ok()?, rows::count(answer, 1).ok()?);
        Some(Self { after, count, last, digest: answer.text(2).ok()??.to_owned() })
    }
}

impl Ahead {
    /// Keeps what others told.
    pub(super) fn hear(&self, stretch: Stretch) {
        self.kept().keep(stretch);
        self.heard.notify_waiters();
    }

    /// Notes what was written here last, which ends with a sequence.
    pub(super) fn note_own(&self, log: &[LogRecord], last: Sequence) {
        if let Some(record) = log.last() {
            self.kept().own = Some(LogRecord { last, ..record.clone() });
        }
    }

    /// Waits for what follows a sequence.
    pub(super) async fn foretold(&self, after: Sequence) -> Vec<LogRecord> {
        loop {
            let mut heard = pin!(self.heard.notified());
            // What is heard from here on is not missed.
            heard.as_mut().enable();
            if let Some(next) = self.kept().told.iter().rev().find(|stretch| stretch.after == after) {
                return next.records.iter().map(|told| told.record.clone()).collect();
            }
            heard.await;
        }
    }

    /// After which sequence the log is to be asked about once it is held; none where that is of no use.
    pub(super) fn question(&self) -> Option<Sequence> {
        let mut kept = self.kept();
        let is_of_use = std::mem::take(&mut kept.is_of_use);
        kept.own.as_ref().filter(|_| is_of_use).map(|own| own.first() - 1)
    }

    /// Takes the answer, for as long as the log is held.
    pub(super) fn take_answer(&self, after: Sequence, answer: &impl Columns) {
        self.kept().found = Found::read(after, answer);
    }

    /// The log is no longer held.
    pub(super) fn let_go(&self) {
        self.kept().found = None;
    }

    /// Forgets everything: it may be of another log.
    pub(super) fn forget(&self) {
        *self.kept() = Kept::default();
    }

    /// What the held log holds after a sequence, where it is what was told, and within bounds.
    pub(super) fn recall(
        &self,
        after: Sequence,
        records_max: usize,
        bytes_max: usize,
    ) -> Option<Vec<LogRecord>> {
        let mut kept = self.kept();
        let found = kept.found.as_ref()?;
        let own = kept.own.as_ref().and_then(|own| Stretch::of(std::slice::from_ref(own)));
        let told = kept.chain(own.as_ref(), found.after, found.last)?;
        let bytes: usize = told.iter().map(|told| told.encoded.len()).sum();
        let begins = found.after <= after && after < told.first()?.record.last;
        if !begins || told.len() > records_max || bytes > bytes_max {
            return None;
        }
        let mut digest = Sha256::new();
        told.iter().for_each(|told| digest.update(&told.encoded));
        if (told.len(), format!("{:x}", digest.finalize())) != (found.count, found.digest.clone()) {
            return None;
        }
        let records = told.iter().map(|told| told.record.clone()).collect();
        kept.is_of_use = true;
        Some(records)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, stretch: Stretch) {
        self.is_of_use = true;
        self.told.push_back(stretch);
        let mut bytes: usize = self.told.iter().map(Stretch::bytes).sum();
        while (bytes > KEPT_BYTES_MAX || self.told.len() > KEPT_MAX)
            && let Some(oldest) = self.told.pop_front()
        {
            bytes -= oldest.bytes();
        }
    }

    /// What was told, or written here, of the steps between two sequences. Of two that begin at one place, the newer is
    /// more likely to have come true.
    fn chain<'k>(
        &'k self,
        own: Option<&'k Stretch>,
        after: Sequence,
        last: Sequence,
    ) -> Option<Vec<&'k Told>> {
        let (mut chain, mut end) = (Vec::new(), after);
        while end < last {
            let mut known = self.told.iter().rev().chain(own);
            let next = known.find(|next| next.after == end && next.last() > end)?;
            chain.extend(&next.records);
            end = next.last();
        }
        (end == last).then_some(chain)
    }
}

/// Reads the log as [`log::read`] does, what was told ahead without its bytes.
pub(super) async fn read_to_commit(
    store: &PostgresStore,
    after: Sequence,
    records_max: usize,
    bytes_max: usize,
) -> Result<Vec<LogRecord>, StoreError> {
    match store.state.wake.ahead.recall(after, records_max, bytes_max) {
        Some(records) => Ok(records),
        None => log::read(&store.lanes.loader, after, records_max, bytes_max).await,
    }
}

/// Asks, once the log is held, for what [`Ahead::take_answer`] takes: of bounded length, however far the log goes on.
pub(super) fn question_sql(after: Sequence) -> String {
    format!(
        "SELECT count(*), max(last), encode(sha256(string_agg(record, '')), 'hex') FROM \
         (SELECT last, record FROM tn_log WHERE last > {after} ORDER BY last LIMIT {COMPARED_MAX}) newest \
         WHERE length(record) <= {COMPARED_BYTES_MAX}"
    )
}
