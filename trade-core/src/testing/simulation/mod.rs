//! A network with all that may befall it, under one seed: what is asked, who is served first, when a timer rings, and what
//! fails.
//!
//! Services, committers, feeds and callers run on one thread, on a clock that jumps from one timer to the next, so that
//! minutes pass in milliseconds. Whoever asks the store waits a time that the seed draws, and what was waiting is so met
//! in ever other orders. Processes crash in the middle of a commit and are started again, the store fails before, during
//! and after commits, and clocks are set to something else. At the end an auditor proves what always holds:
//!
//! - the store agrees with its log, every unit is conserved, nothing is negative (see [`audit`](super::audit));
//! - what was acknowledged is there, once, as it was told; what was refused, or surely failed, has left no trace;
//! - a request with a key that was repeated until it was answered was answered with certainty;
//! - no command that was taken is forgotten;
//! - an answer before a call is before it in the log too;
//! - what landed was right at its place in the log, and what was refused was wrong at one between call and answer: the
//!   policy is asked again;
//! - every subscriber, whatever it was cut off from, has every event of its scope, once, in order.
//!
//! The same seed does the same, to the letter: see [`Simulation::trace`].
//!
//! ```
//! use trade_core::testing::simulation::Simulation;
//!
//! Simulation::of_seed(7).assert_holds();
//! ```
//!
//! A store and a policy of one's own run under it as ours do: see [`Surroundings`]. It shows that the network keeps to the
//! policy, whatever befalls it; not that the policy says what it should.

mod callers;
mod clock;
mod judge;
mod network;
mod reader;
mod surroundings;
mod trace;
mod unsteady;

use super::chance::Chance;
use network::Network;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
pub use surroundings::Surroundings;
use trace::Trace;
use unsteady::Sea;

/// What befalls a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Troubles {
    /// The store fails before, during and after commits, and when it is read; calls of it never return, or panic.
    pub faults: bool,
    /// Processes crash, and others take their place.
    pub crashes: bool,
    /// Processes are stopped in order, and others take their place.
    pub restarts: bool,
    /// A process cannot reach the store for a while.
    pub outages: bool,
    /// The clock of a process is set to something else for a while.
    pub clocks: bool,
}

impl Troubles {
    /// All of it.
    pub const ALL: Self = Self { faults: true, crashes: true, restarts: true, outages: true, clocks: true };
    /// None of it.
    pub const NONE: Self =
        Self { faults: false, crashes: false, restarts: false, outages: false, clocks: false };
}

/// A network, what is asked of it, and what befalls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simulation {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many processes there are over the store.
    pub services: usize,
    /// How many callers ask at once.
    pub callers: usize,
    /// How many commands are asked for, beside those that open the stations.
    pub commands: usize,
    /// What befalls it.
    pub troubles: Troubles,
}

impl Simulation {
    /// One to three processes, and all that may befall them.
    pub fn of_seed(seed: u64) -> Self {
        let chance = Chance::apart(seed, "size");
        let number = |below| usize::try_from(chance.below(below)).unwrap_or(0);
        Self {
            seed,
            services: 1 + number(3),
            callers: 1 + number(8),
            commands: 8 + number(32),
            troubles: Troubles::ALL,
        }
    }

    /// Runs on a memory store, under a policy that refuses some of it.
    ///
    /// # Panics
    /// With what does not hold, how to repeat it, and the least that it takes, where that is less.
    pub fn assert_holds(self) {
        self.assert_holds_in(&Surroundings::default());
    }

    /// Runs on a store, and under a policy, of one's own.
    ///
    /// # Panics
    /// As [`Simulation::assert_holds`].
    pub fn assert_holds_in(self, surroundings: &Surroundings) {
        let Err((_, fault)) = self.run(surroundings) else { return };
        let (least, fault, trace) = self.shrink(surroundings, fault);
        panic!(
            "{fault}\n\n{trace}\nwhich is the least found, {least:?}, of {self:?}: `.assert_holds()` does it again"
        );
    }

    /// What happens, a line each. The same simulation has the same trace.
    ///
    /// # Panics
    /// With what does not hold.
    pub fn trace(self) -> String {
        match self.run(&Surroundings::default()) {
            Ok(trace) => trace,
            Err((trace, fault)) => panic!("{fault}\n\n{trace}\nwhich is {self:?}"),
        }
    }

    /// The trace, and what does not hold.
    fn run(self, surroundings: &Surroundings) -> Result<String, (String, String)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let trace = runtime.block_on(async { Trace::new() });
        let play = || runtime.block_on(self.play(surroundings, trace.clone()));
        let ran = catch_unwind(AssertUnwindSafe(play));
        match ran {
            Ok(()) => Ok(trace.text()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
                Err((trace.text(), text.unwrap_or_else(|| "it panicked without a word".to_owned())))
            }
        }
    }

    async fn play(self, surroundings: &Surroundings, trace: Trace) {
        let store = (surroundings.open)();
        let chance = Chance::apart(self.seed, "store");
        let sea = Arc::new(Sea::new(store.clone(), chance, trace, self.troubles));
        let network = Arc::new(Network::start(self, surroundings, sea.clone()).await);
        let readers = network.subscribe();
        let operator = tokio::spawn(network.clone().trouble());
        let asked = callers::ask(self, surroundings, network.clone()).await;
        operator.await.expect("the operator's work ends");
        sea.calm_down();
        let asked = callers::ask_again(asked, &network).await;
        network.rest(&*store).await;
        judge::judge(&*store, asked, readers).await;
    }

    /// The least that still does not hold, as far as it is found by leaving out one thing after the other.
    fn shrink(self, surroundings: &Surroundings, fault: String) -> (Self, String, String) {
        let (mut least, mut newest) = (self, (fault, String::new()));
        let mut is_less = true;
        while is_less {
            is_less = false;
            for simpler in least.simpler() {
                if let Err((trace, fault)) = simpler.run(surroundings) {
                    (least, newest, is_less) = (simpler, (fault, trace), true);
                    break;
                }
            }
        }
        if newest.1.is_empty() {
            newest.1 = self.run(surroundings).err().map_or_else(String::new, |(trace, _)| trace);
        }
        (least, newest.0, newest.1)
    }

    /// The same with something less of it, the least first.
    fn simpler(self) -> Vec<Self> {
        let with = |change: fn(&mut Self)| {
            let mut simpler = self;
            change(&mut simpler);
            simpler
        };
        let mut all = vec![
            with(|simpler| simpler.commands /= 4),
            with(|simpler| simpler.commands /= 2),
            with(|simpler| simpler.commands = simpler.commands * 3 / 4),
            with(|simpler| simpler.commands = simpler.commands.saturating_sub(1)),
            with(|simpler| simpler.services = 1),
            with(|simpler| simpler.services = simpler.services.saturating_sub(1).max(1)),
            with(|simpler| simpler.callers = 1),
            with(|simpler| simpler.callers = simpler.callers.saturating_sub(1).max(1)),
            with(|simpler| simpler.troubles.faults = false),
            with(|simpler| simpler.troubles.crashes = false),
            with(|simpler| simpler.troubles.restarts = false),
            with(|simpler| simpler.troubles.outages = false),
            with(|simpler| simpler.troubles.clocks = false),
        ];
        all.retain(|simpler| *simpler != self);
        all
    }
}
