//! Storing by turns with others: the head of the log first, then everyone who came while it was waited for.

use super::group::Group;
use super::queue::{gather, lines, waiting};
use super::{Attempt, Committer, Pending};
use std::pin::pin;
use tokio::sync::mpsc;

/// Commands whose keys are loaded while the head of the log is waited for: fewer cost less under the lock, where what
/// others wrote is asked for anyway.
const EARLY_MIN: usize = 64;

/// Who takes part in a turn.
#[derive(Debug, Default)]
struct Turn {
    /// Those of whom the store was asked.
    asked: Vec<Pending>,
    /// Those of whom it is yet to be.
    unasked: Vec<Pending>,
    /// Those who make something under ids that are taken for free, between stations that are known.
    unseen: Vec<Pending>,
    ids_are_free: bool,
}

impl Turn {
    fn join(&mut self, commands: Vec<Pending>, open: &mut Group) {
        for pending in commands {
            if self.ids_are_free && open.knows_all_but_ids(&pending) {
                self.unseen.push(pending);
            } else {
                self.unasked.push(pending);
            }
        }
    }

    fn into_commands(self) -> Vec<Pending> {
        [self.asked, self.unasked, self.unseen].into_iter().flatten().collect()
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
        let mut room = self.options.group_lines_max.saturating_sub(lines(&commands));
        let mut turn = Turn { ids_are_free: self.novelty.is_assumed(), ..Turn::default() };
        turn.join(commands, &mut self.open);
        let mut hold = pin!(store.hold());
        let held = loop {
            if turn.unasked.len() >= EARLY_MIN {
                // What is known before need not be loaded under the lock. What fails here fails there, and is told.
                let (_, held) = beside(self.catch_up(&turn.unasked), &mut hold).await;
                turn.asked.append(&mut turn.unasked);
                if let Some(held) = held {
                    break held;
                }
            }
            tokio::select! {
                biased;
                held = &mut hold => break held,
                Some(first) = queue.recv(), if room > 0 => {
                    let more = gather(first, queue, room);
                    room = room.saturating_sub(lines(&more));
                    turn.join(more, &mut self.open);
                }
            }
        };
        let attempt = match held {
            Ok(held) => {
                turn.join(waiting(queue, room), &mut self.open);
                turn.asked.append(&mut turn.unasked);
                self.attempt(turn.asked, turn.unseen, Some(held)).await
            }
            Err(error) => Attempt::Again(turn.into_commands(), error),
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
            done = &mut work => return (done, ended),
            result = &mut *other, if ended.is_none() => ended = Some(result),
        }
    }
}
