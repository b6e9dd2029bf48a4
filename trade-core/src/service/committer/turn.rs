//! Storing by turns with others: the head of the log first, then everyone who came while it was waited for.
//!
//! Where whoever holds the head tells what it is about to store, commands are decided meanwhile, as if that were stored.
//! Once the head is held here, the log is read, and shows whether it was.

use super::group::Group;
use super::queue::{gather, lines, waiting};
use super::settle::Attempt;
use super::{Committer, Pending};
use crate::store::{Head, LogRecord, StoreError};
use std::pin::pin;
use tokio::sync::mpsc;

/// Commands whose keys are loaded while the head of the log is waited for: fewer cost less under the lock, where what
/// others wrote is asked for anyway.
pub(super) const EARLY_MIN: usize = 64;

/// Who takes part in a turn, in the order in which they came.
#[derive(Debug, Default)]
struct Turn {
    /// Those who are not decided yet.
    commands: Vec<Pending>,
    /// For how many lines more there is room.
    room: u32,
    /// How many of them the store was asked about, as far as it has to be.
    asked: usize,
    presumes_new: bool,
    /// Whether what was told led nowhere: what is told next may be the same.
    guessed_in_vain: bool,
}

impl Turn {
    fn join(&mut self, mut commands: Vec<Pending>, open: &mut Group) {
        self.room = self.room.saturating_sub(lines(&commands));
        if self.presumes_new {
            open.presume_new(&mut commands);
        }
        self.commands.append(&mut commands);
    }

    /// These come before the others, and are to be decided with them.
    fn decide_first(&mut self, mut commands: Vec<Pending>) {
        commands.append(&mut self.commands);
        (self.commands, self.asked) = (commands, 0);
    }

    /// Those of whom the store is yet to be asked, once they are many.
    fn many_unasked(&mut self) -> Option<&[Pending]> {
        let unasked = &self.commands[self.asked..];
        let many = unasked.iter().filter(|pending| pending.presumed_new.is_none()).count() >= EARLY_MIN;
        many.then(|| {
            self.asked = self.commands.len();
            unasked
        })
    }
}

impl Committer {
    /// Holds the head of the log, and then decides and stores commands with those that came meanwhile.
    pub(super) async fn take_turn(
        &mut self,
        commands: Vec<Pending>,
        queue: &mut mpsc::UnboundedReceiver<Pending>,
    ) {
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let handover_due = bus.expect_handover();
        let room = self.options.group_lines_max;
        let mut turn = Turn { room, presumes_new: self.novelty.is_presumed(), ..Turn::default() };
        turn.join(commands, &mut self.open);
        let attempt = match self.wait(pin!(store.hold()), &mut turn, queue).await {
            Ok(held) => {
                turn.join(waiting(queue, turn.room), &mut self.open);
                self.compare(held.head(), &mut turn).await;
                self.attempt(turn.commands, Some(held)).await
            }
            Err(error) => {
                if self.open.guesses() {
                    turn.decide_first(self.start_over());
                }
                Attempt::Again(turn.commands, error)
            }
        };
        // What follows may take long.
        drop(handover_due);
        match attempt {
            Attempt::Done => {}
            Attempt::Again(again, error) | Attempt::Failed(again, error) => {
                self.settle(again, Some(error)).await;
            }
        }
    }

    /// Waits for the head, with those who come meanwhile, and does for them what can be done without it.
    async fn wait<H>(
        &mut self,
        mut hold: impl Future<Output = H> + Unpin,
        turn: &mut Turn,
        queue: &mut mpsc::UnboundedReceiver<Pending>,
    ) -> H {
        let store = self.store.clone();
        loop {
            if !self.open.guesses()
                && let Some(unasked) = turn.many_unasked()
            {
                // What is known before need not be loaded under the lock. What fails here fails there, and is told.
                let ((nobody, _), held) = beside(self.catch_up(unasked, None), &mut hold).await;
                debug_assert!(nobody.is_empty(), "nothing was decided");
                if let Some(held) = held {
                    return held;
                }
            }
            tokio::select! {
                biased;
                held = &mut hold => return held,
                told = store.foretold(self.open.draft.view.head().sequence),
                    if self.landed.is_some() && !turn.guessed_in_vain =>
                {
                    if let ((), Some(held)) = beside(self.guess(told, turn), &mut hold).await {
                        return held;
                    }
                }
                Some(first) = queue.recv(), if turn.room > 0 => {
                    let is_ahead = turn.commands.is_empty();
                    turn.join(gather(first, queue, turn.room), &mut self.open);
                    if is_ahead {
                        self.decide_ahead(turn);
                    }
                }
            }
        }
    }

    /// Decides who takes part as if what others have told were stored.
    async fn guess(&mut self, told: Vec<LogRecord>, turn: &mut Turn) {
        if turn.presumes_new {
            self.open.load_all_but_ids(&*self.store, &turn.commands).await;
            self.open.presume_new(&mut turn.commands);
        }
        let (again, is_known) = self.open.learn_ahead(told);
        turn.decide_first(again);
        if is_known {
            self.decide_ahead(turn);
        } else {
            turn.guessed_in_vain = true;
            turn.decide_first(self.start_over());
        }
    }

    fn decide_ahead(&mut self, turn: &mut Turn) {
        let now = self.timekeeper.now();
        turn.commands = self.open.decide_ahead(std::mem::take(&mut turn.commands), now);
    }

    /// Once the head is held: finds out whether the log holds what was guessed. Who was decided on it is to be decided
    /// again where it does not, or holds more.
    async fn compare(&mut self, head: Option<Head>, turn: &mut Turn) {
        if !self.open.guesses() {
            return;
        }
        if let Ok(true) = self.compare_to(head, turn).await {
            self.landed = Some(self.open.draft.view.head());
        } else {
            // What could not be read is asked for again.
            turn.decide_first(self.start_over());
        }
    }

    async fn compare_to(&mut self, head: Option<Head>, turn: &mut Turn) -> Result<bool, StoreError> {
        let head = match head {
            Some(head) => head,
            None => self.store.head().await?,
        };
        if head != self.open.draft.view.head() {
            turn.decide_first(self.open.take_back());
        }
        self.open.follow(&*self.store, &self.bus, head).await
    }
}

/// Runs `work` to its end, and `other` beside it: what that came to, if it has ended by then.
async fn beside<W, T>(
    work: impl Future<Output = W>,
    other: &mut (impl Future<Output = T> + Unpin),
) -> (W, Option<T>) {
    let mut work = pin!(work);
    let mut ended = None;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return (done, ended),
            result = &mut *other, if ended.is_none() => ended = Some(result),
        }
    }
}
