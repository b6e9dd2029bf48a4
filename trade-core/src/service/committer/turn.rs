//! Storing by turns with others: the head of the log first, then everyone who came while it was waited for.

use super::group::Group;
use super::queue::{gather, lines, waiting};
use super::settle::Attempt;
use super::{Committer, Pending};
use std::pin::pin;
use tokio::sync::mpsc;

/// Commands whose keys are loaded while the head of the log is waited for: fewer cost less under the lock, where what
/// others wrote is asked for anyway.
pub(super) const EARLY_MIN: usize = 64;

/// Who takes part in a turn, in the order in which they came.
#[derive(Debug, Default)]
struct Turn {
    commands: Vec<Pending>,
    /// How many of them the store was asked about, as far as it has to be.
    asked: usize,
    presumes_new: bool,
}

impl Turn {
    fn join(&mut self, mut commands: Vec<Pending>, open: &mut Group) {
        if self.presumes_new {
            open.presume_new(&mut commands);
        }
        self.commands.append(&mut commands);
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
        let mut room = self.options.group_lines_max.saturating_sub(lines(&commands));
        let mut turn = Turn { presumes_new: self.novelty.is_presumed(), ..Turn::default() };
        turn.join(commands, &mut self.open);
        let mut hold = pin!(store.hold());
        let held = loop {
            if let Some(unasked) = turn.many_unasked() {
                // What is known before need not be loaded under the lock. What fails here fails there, and is told.
                let (_, held) = beside(self.catch_up(unasked, None), &mut hold).await;
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
                self.attempt(turn.commands, Some(held)).await
            }
            Err(error) => Attempt::Again(turn.commands, error),
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
            biased;
            done = &mut work => return (done, ended),
            result = &mut *other, if ended.is_none() => ended = Some(result),
        }
    }
}
