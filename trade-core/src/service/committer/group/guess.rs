//! Deciding on what others are about to store, before the log shows whether they have.

use super::super::pending::Pending;
use super::{FOLLOWED_EVENTS_MAX, Group};
use crate::store::{Head, LogRecord, Store};
use crate::values::Timestamp;
use crate::view::{Missing, Remembered};

/// What others are about to store, learned as if it were.
#[derive(Debug)]
pub(super) struct Guess {
    /// Where the log ends before it.
    pub(super) behind: Head,
    pub(super) records: Vec<LogRecord>,
    /// Since when the group decides on it.
    pub(super) decided: Option<Remembered>,
}

impl Group {
    /// Loads the stations and levels of what may be presumed to be new, where the log still ends where the view does, and
    /// nothing is guessed yet.
    pub(in crate::service::committer) async fn load_all_but_ids(
        &mut self,
        store: &dyn Store,
        commands: &[Pending],
    ) {
        let mut missing = Missing::default();
        for pending in commands {
            self.touch_all_but_ids(pending, &mut missing);
        }
        if missing.is_empty() || self.guess.is_some() {
            return;
        }
        let wanted = missing.into_keys();
        // What is not known, or fails, here is asked for again.
        if let Ok(loaded) = store.load(&wanted).await
            && loaded.head == self.draft.view.head()
        {
            self.draft.view.add(&wanted, loaded);
        }
    }

    /// Learns what others are about to store, behind what the view knows, as if it were. Gives back what was decided
    /// without it, and `false` where the view is of no use any more.
    pub(in crate::service::committer) fn learn_ahead(
        &mut self,
        records: Vec<LogRecord>,
    ) -> (Vec<Pending>, bool) {
        let back = self.take_back();
        let behind = self.draft.view.head();
        let head = records.last().map_or(behind, LogRecord::head);
        let learned = self.draft.view.follow(&records, head) && !records.is_empty();
        let guess = self.guess.get_or_insert(Guess { behind, records: Vec::new(), decided: None });
        guess.records.extend(records);
        let far = head.sequence.saturating_sub(guess.behind.sequence);
        (back, learned && far <= u64::from(FOLLOWED_EVENTS_MAX))
    }

    /// Decides commands on what was learned ahead, in the order in which they came, up to the first that does not make
    /// something new. Gives back the others: before anyone is refused, or the store asked, the log must be read.
    pub(in crate::service::committer) fn decide_ahead(
        &mut self,
        commands: Vec<Pending>,
        now: Timestamp,
    ) -> Vec<Pending> {
        let Some(guess) = &mut self.guess else { return commands };
        guess.decided.get_or_insert_with(|| self.draft.view.remember());
        let mut commands = commands.into_iter();
        while let Some(pending) = commands.next() {
            let left = match pending.presumed_new {
                Some(_) => self.decide_if_new(pending, now),
                None => Some(pending),
            };
            if let Some(left) = left {
                return std::iter::once(left).chain(commands).collect();
            }
        }
        Vec::new()
    }

    /// Takes back what was decided ahead.
    pub(in crate::service::committer) fn take_back(&mut self) -> Vec<Pending> {
        let Some(since) = self.guess.as_mut().and_then(|guess| guess.decided.take()) else {
            return Vec::new();
        };
        self.draft.view.undo(since);
        self.draft.log.clear();
        self.receipts.clear();
        self.unkeyed.clear();
        (self.lines, self.presumes_new) = (0, false);
        std::mem::take(&mut self.decided).into_iter().map(|decided| decided.pending).collect()
    }

    /// Whether it rests on what others have told, and may not have stored.
    pub(in crate::service::committer) fn guesses(&self) -> bool {
        self.guess.is_some()
    }
}
