//! Whether what commands make is presumed to be new before the store has been asked about its ids.

use crate::store::{StoreError, StoreErrorKind};

/// Groups for which the store is asked first after that was wrong; four times as many after each further time.
const ASKED_FIRST: u32 = 8;
const ASKED_MAX: u32 = 1 << 11;

/// What became of what was presumed to be new.
///
/// A commit that finds an id taken is decided again by itself, which costs more than having asked; so does asking under
/// the head of the log about many that were presumed in vain. Where requests are repeated again and again, or many want
/// what is sold out, asking first is right.
#[derive(Debug)]
pub(super) struct Novelty {
    /// For how many groups still the store is asked.
    asked_left: u32,
    /// For how many it is asked after the next disappointment. Halved by as many groups that were right.
    asked_next: u32,
    /// Groups that were right since it last changed.
    right: u32,
}

impl Default for Novelty {
    fn default() -> Self {
        Self { asked_left: 0, asked_next: ASKED_FIRST, right: 0 }
    }
}

impl Novelty {
    /// Whether it is presumed of the next group.
    pub(super) fn is_presumed(&mut self) -> bool {
        let presumed = self.asked_left == 0;
        self.asked_left = self.asked_left.saturating_sub(1);
        presumed
    }

    /// A group was stored in which it was presumed, or not.
    pub(super) fn held(&mut self, presumed: bool) {
        self.right += u32::from(presumed);
        if self.right >= self.asked_next {
            self.asked_next = (self.asked_next / 2).max(ASKED_FIRST);
            self.right = 0;
        }
    }

    /// A group was not.
    pub(super) fn met(&mut self, error: &StoreError, presumed: bool) {
        if presumed && error.kind == StoreErrorKind::Conflict {
            self.was_wrong();
        }
    }

    /// Asking first would have cost less.
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

    fn groups_asked(novelty: &mut Novelty) -> usize {
        std::iter::repeat_with(|| novelty.is_presumed()).take_while(|presumed| !presumed).count()
    }

    #[test]
    fn the_more_often_an_id_was_taken_the_longer_the_store_is_asked() {
        let mut novelty = Novelty::default();
        let conflict = StoreError::new(StoreErrorKind::Conflict, "test", "commit", "");
        assert_eq!(groups_asked(&mut novelty), 0);
        novelty.met(&conflict, false);
        novelty.met(&StoreError::new(StoreErrorKind::Unavailable, "test", "commit", ""), true);
        assert_eq!(groups_asked(&mut novelty), 0, "nothing was refuted");
        for asked in [8, 32, 128, 512, 2048, 2048] {
            novelty.met(&conflict, true);
            assert_eq!(groups_asked(&mut novelty), asked);
        }
        (0..100).for_each(|_| novelty.held(true));
        novelty.met(&conflict, true);
        assert_eq!(groups_asked(&mut novelty), 2048, "a few that were right do not make up for it");
        (0..2 * 2048).for_each(|_| novelty.held(true));
        novelty.met(&conflict, true);
        assert_eq!(groups_asked(&mut novelty), 8);
    }
}
