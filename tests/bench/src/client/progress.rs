//! How far subscribers have come, for those who wait for them.

use crate::report::Failure;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug, Default)]
struct State {
    opened: usize,
    delivered: u64,
    /// The counts at which those who wait are woken.
    wake_opened: usize,
    wake_delivered: u64,
    fault: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    moved: Condvar,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many streams are open.
    pub(super) fn opened(&self, count: usize, most: Duration) -> Result<(), Failure> {
        self.state().wake_opened = count;
        self.wait(|state| state.opened >= count, most).map(|_| ())
    }

    /// Waits until so many events were delivered in all.
    pub(super) fn delivered(&self, count: u64, most: Duration) -> Result<u64, Failure> {
        self.state().wake_delivered = count;
        self.wait(|state| state.delivered >= count, most)
    }

    fn wait(&self, done: impl Fn(&State) -> bool, most: Duration) -> Result<u64, Failure> {
        let waiting =
            self.moved.wait_timeout_while(self.state(), most, |state| state.fault.is_none() && !done(state));
        let (state, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        match &state.fault {
            Some(fault) => Err(fault.clone().into()),
            None if done(&state) => Ok(state.delivered),
            None => Err(format!(
                "after {most:?} {} of {} streams are open, and {} of {} events delivered",
                state.opened, state.wake_opened, state.delivered, state.wake_delivered
            )
            .into()),
        }
    }

    /// Counts more of both. Those who wait are woken only for what they wait for: a wake-up costs the server its processor.
    pub(super) fn tell(&self, opened: usize, delivered: u64) {
        let mut state = self.state();
        state.opened += opened;
        state.delivered += delivered;
        if state.opened >= state.wake_opened && state.delivered >= state.wake_delivered {
            drop(state);
            self.moved.notify_all();
        }
    }

    /// Something is wrong: whoever waits is told. The first fault counts.
    pub(super) fn fail(&self, fault: String) {
        self.state().fault.get_or_insert(fault);
        self.moved.notify_all();
    }

    /// What is wrong, if anything.
    pub(super) fn fault(&self) -> Option<String> {
        self.state().fault.take()
    }
}
