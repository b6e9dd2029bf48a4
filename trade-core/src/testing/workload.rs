//! Many callers at once, from a seed, and the proof that every answer they got was true.
//!
//! Every request of a workload has an actor of its own, which its events carry; so for each request it is known
//! exactly what of it landed, how often, and whether that is what its caller was told.

use super::audit::audit;
use super::snapshot::Snapshot;
use super::strategies::World;
use crate::command::{Command, Fingerprint, Idempotency, Outcome, Request, RequestId, TradeOutcome};
use crate::event::{Actor, Event, EventData};
use crate::resource::{Cargo, Inventory, Trade, Version};
use crate::service::{Answer, ServiceError, TradeService};
use crate::step::Step;
use crate::store::Store;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is asked of a network, the same for the same seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// What the commands are made from.
    pub seed: u64,
    /// How many commands, beside those that open the stations.
    pub commands: usize,
    /// How many callers ask at once.
    pub callers: usize,
    /// What the commands are about.
    pub world: World,
    /// How often a request with a key is sent again while it gets no answer of certainty. Every second has a key.
    pub tries_max: usize,
}

impl Workload {
    /// So many commands over [`World::SMALL`], by eight callers.
    pub fn new(seed: u64, commands: usize) -> Self {
        Self { seed, commands, callers: 8, world: World::SMALL, tries_max: 5 }
    }

    /// The commands, those that open the stations first.
    pub fn commands(&self) -> Vec<Command> {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let tree = self.world.commands(self.commands).new_tree(&mut runner);
        tree.expect("commands").current()
    }

    /// Has the callers ask, in turn over the services.
    ///
    /// # Panics
    /// If `services` is empty.
    pub async fn run(&self, services: &[TradeService]) -> Finished {
        let commands = self.commands();
        let opening = commands.len() - self.commands;
        let mut requests: VecDeque<_> = commands.into_iter().enumerate().collect();
        let mut done = Vec::new();
        for (number, command) in requests.drain(..opening) {
            done.push(self.ask(&services[0], number, command).await);
        }
        let waiting = Arc::new(Mutex::new(requests));
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..self.callers {
            let (workload, waiting) = (*self, waiting.clone());
            let service = services[caller % services.len()].clone();
            callers.spawn(async move {
                let mut done = Vec::new();
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((number, command)) = next else { return done };
                    done.push(workload.ask(&service, number, command).await);
                }
            });
        }
        while let Some(finished) = callers.join_next().await {
            done.extend(finished.expect("a caller finishes"));
        }
        Finished { requests: done }
    }

    async fn ask(&self, service: &TradeService, number: usize, command: Command) -> Finish {
        let actor = Actor::Key(format!("request-{number}").into());
        let mut request = Request::new(command.clone()).by(actor.clone());
        let keyed = number.is_multiple_of(2);
        if keyed {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(number as u64).to_le_bytes());
            id[8..].copy_from_slice(&self.seed.to_le_bytes());
            request = request.once(Idempotency { request: RequestId(id), fingerprint: Fingerprint([1; 16]) });
        }
        let mut answers = Vec::new();
        loop {
            let answer = service.submit(request.clone()).await;
            let settled = matches!(answer, Ok(_) | Err(ServiceError::Rejected(_) | ServiceError::Stopped));
            answers.push(answer);
            if settled || !keyed || answers.len() >= self.tries_max {
                return Finish { actor, command, answers };
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// One request, and every answer it got.
#[derive(Debug)]
pub struct Finish {
    /// Who asked; no other request has this actor.
    pub actor: Actor,
    /// What for.
    pub command: Command,
    /// The answers, one a try; only the last can be one of certainty.
    pub answers: Vec<Result<Answer, ServiceError>>,
}

/// What came of a workload.
#[derive(Debug)]
pub struct Finished {
    /// Every request, in no particular order.
    pub requests: Vec<Finish>,
}

impl Finished {
    /// How many requests were taken, refused, and left without an answer of certainty.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |is: fn(&Result<Answer, ServiceError>) -> bool| {
            self.requests.iter().filter(|finish| finish.answers.last().is_some_and(is)).count()
        };
        let taken = count(Result::is_ok);
        let refused = count(|answer| matches!(answer, Err(ServiceError::Rejected(_))));
        (taken, refused, self.requests.len() - taken - refused)
    }

    /// Asserts that the store agrees with its log, and that every caller was told the truth: what was acknowledged is
    /// there, once, as it was told; what was refused is not. Answers what is stored.
    ///
    /// # Panics
    /// With what differs.
    pub async fn assert_true(&self, store: &dyn Store) -> Snapshot {
        let stored = audit(store).await;
        let told = Told::of(&stored);
        for finish in &self.requests {
            told.check(finish);
        }
        stored
    }
}

/// The log, by who caused a step, and by resource and version.
struct Told<'a> {
    steps: HashMap<&'a Actor, Vec<&'a Step>>,
    events: BTreeMap<(String, Version), Event>,
}

impl<'a> Told<'a> {
    fn of(stored: &'a Snapshot) -> Self {
        let mut steps: HashMap<&Actor, Vec<&Step>> = HashMap::new();
        for record in &stored.log {
            steps.entry(&record.step.actor).or_default().push(&record.step);
        }
        let mut events = BTreeMap::new();
        for event in stored.events() {
            let version = match &event.data {
                EventData::Trade(trade) => trade.version,
                EventData::Cargo(cargo) => cargo.version,
                EventData::Inventory(update) => update.inventory.version,
            };
            let known = events.insert((event.subject(), version), event);
            assert!(known.is_none(), "one version of a resource is told twice: {known:?}");
        }
        Self { steps, events }
    }

    fn check(&self, finish: &Finish) {
        let landed = self.steps.get(&finish.actor).map_or(&[][..], Vec::as_slice);
        let most = if let Command::InitiateTrades(batch) = &finish.command { batch.trades.len() } else { 1 };
        assert!(landed.len() <= most, "a request is applied at most once: {finish:?} {landed:?}");
        let uncertain = finish.answers.iter().any(|answer| matches!(answer, Err(ServiceError::Unknown(_))));
        match finish.answers.last() {
            Some(Ok(answer)) => self.check_outcome(finish, &answer.outcome, landed),
            // A refusal, with a key, comes after the receipts were searched for every try before it.
            Some(Err(ServiceError::Rejected(_))) => {
                assert!(landed.is_empty(), "what was refused has not landed: {finish:?} {landed:?}");
            }
            _ if uncertain => {}
            _ => assert!(landed.is_empty(), "what has surely failed has not landed: {finish:?} {landed:?}"),
        }
    }

    fn check_outcome(&self, finish: &Finish, outcome: &Outcome, landed: &[&Step]) {
        let expected = match outcome {
            Outcome::Trade(outcome) => {
                self.check_trade_outcome(finish, outcome);
                self.landed_if(outcome.created, finish, landed)
            }
            Outcome::Trades(answers) => {
                let taken = answers.iter().flatten();
                taken.clone().for_each(|outcome| self.check_trade_outcome(finish, outcome));
                taken.filter(|outcome| outcome.created).count()
            }
            Outcome::Cargo(outcome) => {
                self.check_cargo(finish, &outcome.cargo);
                if let Some(trade) = &outcome.trade {
                    self.check_trade(finish, trade);
                }
                self.landed_if(outcome.created, finish, landed)
            }
            Outcome::Inventory(inventory) => {
                self.check_inventory(finish, inventory);
                assert!(
                    landed.iter().all(|step| step.stations[0].version == inventory.version),
                    "{finish:?} {landed:?}"
                );
                // A station that is called what it is called already is left as it is.
                let moves_nothing = matches!(&finish.command, Command::AdjustInventory(adjust) if adjust.adjustments.is_empty());
                if moves_nothing { landed.len() } else { 1 }
            }
        };
        assert_eq!(landed.len(), expected, "what was acknowledged has landed: {finish:?} {landed:?}");
    }

    /// How many steps an update has left: none where everything was as asked for. What it made, it made once.
    fn landed_if(&self, created: bool, finish: &Finish, landed: &[&Step]) -> usize {
        let makes = matches!(finish.command, Command::InitiateTrade(_) | Command::CreateTransfer(_));
        if makes { usize::from(created) } else { landed.len() }
    }

    fn check_trade_outcome(&self, finish: &Finish, outcome: &TradeOutcome) {
        self.check_trade(finish, &outcome.trade);
        self.check_cargo(finish, &outcome.cargo);
    }

    fn event(&self, finish: &Finish, subject: String, version: Version) -> &EventData {
        let found = self.events.get(&(subject, version));
        &found.unwrap_or_else(|| panic!("what was acknowledged is not in the log: {finish:?}")).data
    }

    fn check_trade(&self, finish: &Finish, trade: &Arc<Trade>) {
        let told = self.event(finish, format!("trades/{}", trade.transaction_id), trade.version);
        assert_eq!(*told, EventData::Trade(trade.clone()), "the answer is what is stored: {finish:?}");
    }

    fn check_cargo(&self, finish: &Finish, cargo: &Arc<Cargo>) {
        let told = self.event(finish, format!("cargo/{}", cargo.shipment_id), cargo.version);
        assert_eq!(*told, EventData::Cargo(cargo.clone()), "the answer is what is stored: {finish:?}");
    }

    fn check_inventory(&self, finish: &Finish, inventory: &Inventory) {
        let told = self.event(finish, format!("inventory/{}", inventory.station_id), inventory.version);
        let EventData::Inventory(told) = told else { panic!("not inventory: {told:?}") };
        let told = &told.inventory;
        assert!(
            told.items.iter().all(|item| inventory.items.contains(item)),
            "the answer has the levels that are stored: {told:?} {finish:?}"
        );
        let told = Inventory { items: inventory.items.clone(), ..told.clone() };
        assert_eq!(told, *inventory, "the answer is what is stored: {finish:?}");
    }
}
