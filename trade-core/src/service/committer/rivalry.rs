//! Whether others write to the same rows.

use crate::resource::Sequence;
use crate::store::{Head, StoreError, StoreErrorKind};

/// Groups that are stored by turns after a conflict, and after every group that others wrote before.
const TURNS: u32 = 8;

/// What is known of others that write to the same store.
#[derive(Debug, Default)]
pub(super) struct Rivalry {
    /// For how many groups still the head of the log is held first.
    turns_left: u32,
    /// Where the log ended after the newest group that was stored by turns.
    newest: Sequence,
}

impl Rivalry {
    /// Whether the head of the log is to be held before anything is loaded.
    pub(super) fn takes_turns(&self) -> bool {
        self.turns_left > 0
    }

    /// A commit failed.
    pub(super) fn met(&mut self, error: &StoreError) {
        if error.kind == StoreErrorKind::Conflict {
            self.turns_left = TURNS;
        }
    }

    /// A group was loaded, the log ending at `head`.
    pub(super) fn loaded(&mut self, head: Head) {
        if self.takes_turns() {
            let alone = head.sequence == self.newest;
            self.turns_left = if alone { self.turns_left - 1 } else { TURNS };
            self.newest = head.sequence;
        }
    }

    /// A group was stored.
    pub(super) fn committed(&mut self, head: Head) {
        self.newest = head.sequence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: Sequence) -> Head {
        Head { sequence, ..Head::EMPTY }
    }

    fn error(kind: StoreErrorKind) -> StoreError {
        StoreError::new(kind, "test", "commit", "")
    }

    #[test]
    fn a_conflict_leads_to_turns_until_nobody_wrote_between_them_for_some() {
        let mut rivalry = Rivalry::default();
        rivalry.loaded(head(10));
        rivalry.met(&error(StoreErrorKind::Unavailable));
        assert!(!rivalry.takes_turns());
        rivalry.met(&error(StoreErrorKind::Conflict));
        // Others write: 20 is not where this one left the log.
        for newest in [20, 30, 40] {
            rivalry.loaded(head(newest));
            assert_eq!(rivalry.turns_left, TURNS);
            rivalry.committed(head(newest + 4));
        }
        for turn in 1..=TURNS {
            assert!(rivalry.takes_turns());
            rivalry.loaded(head(44 + u64::from(turn) - 1));
            rivalry.committed(head(44 + u64::from(turn)));
        }
        assert!(!rivalry.takes_turns());
    }
}
