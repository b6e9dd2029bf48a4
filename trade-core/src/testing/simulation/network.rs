//! Processes over one store, and what befalls them.

use super::super::chance::Chance;
use super::clock::{Counted, SimulatedClock};
use super::reader::Reader;
use super::unsteady::{Sea, Unsteady};
use super::{Simulation, Surroundings};
use crate::clock::{Clock, IdSource};
use crate::policy::{Policy, Principal};
use crate::service::{ServiceOptions, TradeService};
use crate::store::Store;
use crate::values::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// How often a process tries to start while the store fails.
const STARTS_MAX: usize = 1_000;
/// Longer than any commit takes that was to land late, and than others take to hear of it.
const REST: Duration = Duration::from_secs(20);
/// What expires is cancelled long after the last request. So often it is waited for that this is heard of too.
const RESTS_MAX: usize = 10;

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) number: usize,
    pub(super) service: TradeService,
    pub(super) store: Arc<Unsteady>,
    clock: Arc<SimulatedClock>,
}

/// Several processes over one store.
#[derive(Debug)]
pub(super) struct Network {
    simulation: Simulation,
    policy: Arc<dyn Policy>,
    principals: Vec<Principal>,
    pub(super) sea: Arc<Sea>,
    ids: Arc<dyn IdSource>,
    clock: SimulatedClock,
    processes: Mutex<Vec<Arc<Process>>>,
    started: Mutex<usize>,
}

impl Network {
    pub(super) async fn start(simulation: Simulation, surroundings: &Surroundings, sea: Arc<Sea>) -> Self {
        let network = Self {
            simulation,
            policy: surroundings.policy.clone(),
            principals: surroundings.principals.clone(),
            sea,
            ids: Arc::new(Counted::default()),
            clock: SimulatedClock::new(),
            processes: Mutex::default(),
            started: Mutex::default(),
        };
        for _ in 0..simulation.services {
            let process = network.process().await;
            network.processes().push(process);
        }
        network
    }

    fn processes(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Process>>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process.
    async fn process(&self) -> Arc<Process> {
        let number = {
            let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
            *started += 1;
            *started
        };
        let chance = Chance::apart(self.simulation.seed, &format!("process {number}"));
        let options = ServiceOptions {
            group_lines_max: *chance.pick(&[4, 32, 4_096]),
            expiry_interval: Duration::from_millis(40),
            one_processor: chance.happens(250),
            store_call_max: Duration::from_secs(2),
            policy: self.policy.clone(),
            ..ServiceOptions::default()
        };
        for _ in 0..STARTS_MAX {
            let store = Arc::new(Unsteady::new(self.sea.clone(), number));
            let clock = Arc::new(self.clock.another());
            let started =
                TradeService::start_with(store.clone(), clock.clone(), self.ids.clone(), options.clone());
            if let Ok(service) = started.await {
                self.sea.trace.note(format_args!("{number} has started, {options:?}"));
                return Arc::new(Process { number, service, store, clock });
            }
        }
        panic!("process {number} did not start in {STARTS_MAX} attempts");
    }

    /// The process that somebody asks who always asks the same, as long as it is there.
    pub(super) fn at(&self, place: usize) -> Arc<Process> {
        let processes = self.processes();
        processes[place % processes.len()].clone()
    }

    /// The right time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A subscriber at each process, from the beginning: its owner, or one of the principals. Of several, the order in which
    /// they are woken is anybody's guess.
    pub(super) fn subscribe(self: &Arc<Self>) -> Vec<Reader> {
        let chance = Chance::apart(self.simulation.seed, "readers");
        let principal = || (!chance.happens(500)).then(|| chance.pick(&self.principals).clone());
        (0..self.simulation.services).map(|place| Reader::start(self.clone(), place, principal())).collect()
    }

    /// Has befall the processes what the seed draws.
    pub(super) async fn trouble(self: Arc<Self>) {
        let chance = Chance::apart(self.simulation.seed, "operator");
        let troubles = self.simulation.troubles;
        for _ in 0..chance.below(6) {
            sleep(Duration::from_millis(chance.below(60))).await;
            let place = usize::try_from(chance.below(self.simulation.services as u64)).unwrap_or(0);
            match chance.below(4) {
                0 if troubles.crashes => self.replace(place, true).await,
                1 if troubles.restarts => self.replace(place, false).await,
                2 if troubles.outages => self.cut_off(place, &chance).await,
                3 if troubles.clocks => self.set_clock(place, &chance).await,
                _ => {}
            }
        }
    }

    async fn replace(&self, place: usize, crashes: bool) {
        let process = self.at(place);
        if crashes {
            self.sea.trace.note(format_args!("{} crashes", process.number));
            process.store.crash();
        } else {
            self.sea.trace.note(format_args!("{} is to stop", process.number));
            process.service.shutdown().await;
            self.sea.trace.note(format_args!("{} has stopped", process.number));
        }
        drop(process);
        let next = self.process().await;
        self.processes()[place] = next;
    }

    async fn cut_off(&self, place: usize, chance: &Chance) {
        let process = self.at(place);
        self.sea.trace.note(format_args!("{} is cut off", process.number));
        process.store.set_offline(true);
        sleep(Duration::from_millis(chance.below(6_000))).await;
        process.store.set_offline(false);
        self.sea.trace.note(format_args!("{} is reached again", process.number));
    }

    async fn set_clock(&self, place: usize, chance: &Chance) {
        let process = self.at(place);
        let millis = *chance.pick(&[-86_400_000, -3_600_000, -20_000, 20_000, 3_600_000, 315_000_000_000]);
        self.sea.trace.note(format_args!("the clock of {} is set by {millis} ms", process.number));
        process.clock.set(millis);
        sleep(Duration::from_millis(chance.below(12_000))).await;
        process.clock.set(0);
    }

    /// Lets everything arrive that is on its way.
    ///
    /// # Panics
    /// If something is written ever again.
    pub(super) async fn rest(&self, store: &dyn Store) {
        let end = || async { store.head().await.expect("the store itself works") };
        let mut known = end().await;
        for _ in 0..RESTS_MAX {
            sleep(REST).await;
            let now = end().await;
            if std::mem::replace(&mut known, now) == now {
                return;
            }
        }
        panic!("something is written ever again");
    }
}
