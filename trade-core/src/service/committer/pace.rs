//! How commands are stored: learned from how it went before.
//!
//! A commit hopes to be first, and presumes that ids which nobody has asked about are free; either costs less than to
//! make sure, as long as it holds. Where it did not, the next groups make sure.

use crate::resource::Sequence;
use crate::store::Head;

/// Groups that take turns with others after a conflict with them, and after every group before which others wrote.
const TURNS: u32 = 8;
/// Groups that ask about every id after one was taken; four times as many after each further time.
const ASKED_FIRST: u32 = 8;
const ASKED_MAX: u32 = 1 << 11;

/// What the next group does.
#[derive(Debug)]
pub(super) struct Pace {
    /// For how many groups still the head of the log is held before anything is decided.
    turns_left: u32,
    /// Where the log ended after the newest group.
    newest: Sequence,
    /// For how many groups still every id is asked about.
    asked_left: u32,
    /// For how many after the next disappointment. Halved by as many groups that were right.
    asked_next: u32,
    /// Groups that were right to presume since it last changed.
    right: u32,
    /// A commit that conflicted with something, it is not known yet with what.
    unexplained: Option<Conflict>,
}

#[derive(Debug)]
struct Conflict {
    /// Where the log was known to end before.
    known: Head,
    presumes_new: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { turns_left: 0, newest: 0, asked_left: 0, asked_next: ASKED_FIRST, right: 0, unexplained: None }
    }
}

impl Pace {
    /// Whether the next group holds the head of the log before anything is decided.
    pub(super) fn takes_turns(&self) -> bool {
        self.turns_left > 0 || self.unexplained.is_some()
    }

    /// Whether ids are presumed to be free before the store has been asked about them.
    pub(super) fn presumes_new(&self) -> bool {
        self.asked_left == 0
    }

    /// A group is on its way.
    pub(super) fn launched(&mut self) {
        self.asked_left = self.asked_left.saturating_sub(1);
    }

    /// A group is stored, the log ending at `head`.
    pub(super) fn stored(&mut self, head: Head, presumed_new: bool) {
        self.newest = head.sequence;
        self.right += u32::from(presumed_new);
        if self.right >= self.asked_next {
            self.asked_next = (self.asked_next / 2).max(ASKED_FIRST);
            self.right = 0;
        }
    }

    /// A group was not stored, since something was otherwise than its base, which was of where the log ended at `known`.
    pub(super) fn conflicted(&mut self, known: Head, presumes_new: bool) {
        self.unexplained = Some(Conflict { known, presumes_new });
    }

    /// The head is held, and is there. Whoever was in the way of a commit before has moved it, unless it was an id that was
    /// taken already.
    pub(super) fn found(&mut self, head: Head) {
        match self.unexplained.take() {
            Some(Conflict { known, presumes_new: true }) if known == head => self.was_wrong(),
            Some(_) => self.turns_left = TURNS,
            None => {}
        }
        if self.turns_left > 0 {
            self.turns_left = if head.sequence == self.newest { self.turns_left - 1 } else { TURNS };
            self.newest = head.sequence;
        }
    }

    /// To have asked would have cost less than to presume.
    pub(super) fn was_wrong(&mut self) {
        if self.asked_left > 0 {
            // It was said of the same group before.
            return;
        }
        self.asked_left = self.asked_next;
        self.right = 0;
        self.asked_next = self.asked_next.saturating_mul(4).min(ASKED_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: Sequence) -> Head {
        Head { sequence, ..Head::EMPTY }
    }

    fn groups_that_ask(pace: &mut Pace) -> usize {
        let ask = std::iter::repeat_with(|| {
            let presumes_new = pace.presumes_new();
            pace.launched();
            presumes_new
        });
        ask.take_while(|presumes_new| !presumes_new).count()
    }

    #[test]
    fn the_more_often_an_id_was_taken_the_longer_the_store_is_asked() {
        let mut pace = Pace::default();
        assert_eq!(groups_that_ask(&mut pace), 0);
        let take_an_id = |pace: &mut Pace| {
            pace.conflicted(head(7), true);
            pace.found(head(7));
        };
        for asked in [8, 32, 128, 512, 2048, 2048] {
            take_an_id(&mut pace);
            assert_eq!(groups_that_ask(&mut pace), asked);
        }
        (0..100).for_each(|_| pace.stored(head(7), true));
        take_an_id(&mut pace);
        assert_eq!(groups_that_ask(&mut pace), 2048, "a few that were right do not make up for it");
        (0..2 * 2048).for_each(|_| pace.stored(head(7), true));
        take_an_id(&mut pace);
        assert_eq!(groups_that_ask(&mut pace), 8);
        assert!(!pace.takes_turns(), "nobody else wrote");
    }

    #[test]
    fn a_conflict_with_others_leads_to_turns_until_nobody_wrote_between_them_for_some() {
        let mut pace = Pace::default();
        pace.found(head(10));
        assert!(!pace.takes_turns());
        pace.conflicted(head(10), true);
        // Others write: 20 is not where this one left the log.
        for newest in [20, 30, 40] {
            pace.found(head(newest));
            assert_eq!(pace.turns_left, TURNS);
            pace.stored(head(newest + 4), false);
        }
        for turn in 1..=TURNS {
            assert!(pace.takes_turns());
            pace.found(head(44 + u64::from(turn) - 1));
            pace.stored(head(44 + u64::from(turn)), false);
        }
        assert!(!pace.takes_turns());
        assert_eq!(groups_that_ask(&mut pace), 0, "no id was taken");
    }
}
