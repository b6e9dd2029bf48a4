//! Who asks, and how long they try.

use super::super::chance::Chance;
use super::network::Network;
use super::{Simulation, Surroundings};
use crate::command::{
    CargoOutcome, Command, Fingerprint, Idempotency, Outcome, Request, RequestId, TradeOutcome,
};
use crate::event::Actor;
use crate::policy::Asker;
use crate::resource::Sequence;
use crate::service::{Answer, ServiceError};
use crate::store::{StoreError, StoreErrorKind};
use crate::testing::workload::{Finish, Workload};
use crate::values::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How often a request with a key is sent, before troubles have ended and after.
const TRIES_MAX: usize = 20;
/// One of that many requests is sent again after its answer.
const REPEATED_PER_MILLE: u64 = 100;

/// A request, every answer it got, and where the log ended meanwhile.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) number: usize,
    pub(super) finish: Finish,
    request: Request,
    /// Who asks; none where the owner of the network does.
    pub(super) asker: Option<Asker>,
    /// Where the log ended when it was first asked for, and when it was last answered.
    pub(super) called_at: Sequence,
    pub(super) answered_at: Sequence,
    /// When that was.
    pub(super) times: [Timestamp; 2],
}

impl Asked {
    pub(super) fn is_settled(&self) -> bool {
        let last = self.finish.answers.last();
        last.is_some_and(|answer| matches!(answer, Ok(_) | Err(ServiceError::Rejected(_))))
    }

    pub(super) fn has_key(&self) -> bool {
        self.request.idempotency.is_some()
    }

    /// Asks until there is an answer of certainty; once, without a key.
    async fn ask(&mut self, network: &Network, caller: usize, chance: &Chance) {
        for _ in 0..TRIES_MAX {
            let answer = submit(network, caller, self).await;
            (self.answered_at, self.times[1]) = (network.sea.newest().await, network.now());
            self.finish.answers.push(answer);
            let again = self.is_settled() && chance.happens(REPEATED_PER_MILLE);
            if !self.has_key() || (self.is_settled() && !again) {
                return;
            }
            sleep(Duration::from_millis(chance.below(200))).await;
        }
    }
}

/// Has the callers ask for all commands of the simulation.
pub(super) async fn ask(
    simulation: Simulation,
    surroundings: &Surroundings,
    network: Arc<Network>,
) -> Vec<Asked> {
    let workload = Workload::new(simulation.seed, simulation.commands);
    let commands = workload.commands();
    let opening = commands.len() - simulation.commands;
    let mut requests: VecDeque<_> = commands.into_iter().enumerate().collect();
    let asker = |number| Asker::new(surroundings.principal(number), surroundings.policy.clone());
    let mut done = Vec::new();
    let chance = Chance::apart(simulation.seed, "opening");
    for (number, command) in requests.drain(..opening) {
        let mut asked = first(simulation, &network, (number, command, None), true).await;
        asked.ask(&network, 0, &chance).await;
        done.push(asked);
    }
    let by_somebody = |(number, command)| (number, command, Some(asker(number)));
    let waiting: VecDeque<_> = requests.into_iter().map(by_somebody).collect();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut callers = JoinSet::new();
    for caller in 0..simulation.callers {
        let (network, waiting) = (network.clone(), waiting.clone());
        let chance = Chance::apart(simulation.seed, &format!("caller {caller}"));
        callers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(next) = next else { return done };
                chance.dawdle(30).await;
                let mut asked = first(simulation, &network, next, chance.happens(500)).await;
                asked.ask(&network, caller, &chance).await;
                done.push(asked);
            }
        });
    }
    while let Some(finished) = callers.join_next().await {
        done.extend(finished.expect("a caller finishes"));
    }
    done.sort_by_key(|asked| asked.number);
    done
}

/// Once nothing fails any more: asks again for what has a key and no answer of certainty.
pub(super) async fn ask_again(mut all: Vec<Asked>, network: &Network) -> Vec<Asked> {
    let chance = Chance::new(0);
    for asked in all.iter_mut().filter(|asked| asked.has_key() && !asked.is_settled()) {
        for _ in 0..TRIES_MAX {
            asked.ask(network, asked.number, &chance).await;
            if asked.is_settled() {
                break;
            }
            // A service finds out after some seconds that the clock is right again.
            sleep(Duration::from_secs(1)).await;
        }
    }
    all
}

async fn first(
    simulation: Simulation,
    network: &Network,
    (number, command, asker): (usize, Command, Option<Asker>),
    keyed: bool,
) -> Asked {
    let actor = Actor::Key(format!("request-{number}").into());
    let asker = asker.map(|asker| asker.named(actor.clone()));
    let mut request = Request::new(command.clone()).by(actor.clone());
    if keyed {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        id[8..].copy_from_slice(&simulation.seed.to_le_bytes());
        request = request.once(Idempotency { request: RequestId(id), fingerprint: Fingerprint([1; 16]) });
    }
    let called_at = network.sea.newest().await;
    let finish = Finish { actor, command, answers: Vec::new() };
    Asked { number, finish, request, asker, called_at, answered_at: called_at, times: [network.now(); 2] }
}

/// Asks once. Who asks a process that crashes hears nothing more.
async fn submit(network: &Network, caller: usize, asked: &Asked) -> Result<Answer, ServiceError> {
    let Asked { number, request, asker, .. } = asked;
    let process = network.at(caller);
    let trace = &network.sea.trace;
    trace.note(format_args!("{caller} asks {}: {number} {:?}", process.number, request.command));
    let answer = tokio::select! {
        biased;
        () = process.store.ended() => {
            let error = StoreError::new(StoreErrorKind::OutcomeUnknown, "simulated", "submit", "the process crashed");
            Err(ServiceError::Unknown(Arc::new(error)))
        }
        answer = process.service.submit_for(request.clone(), asker.clone().map(Arc::new)) => answer,
    };
    trace.note(format_args!("{number} is answered by {}: {}", process.number, told(&answer)));
    answer
}

fn told(answer: &Result<Answer, ServiceError>) -> String {
    let Ok(Answer { outcome, replayed, .. }) = answer else { return format!("{answer:?}") };
    let done = match outcome {
        Outcome::Trade(TradeOutcome { trade, created, .. }) => {
            format!("trade {:?}, version {}, created {created}", trade.status, trade.version)
        }
        Outcome::Trades(trades) => format!("{} trades of {}", trades.iter().flatten().count(), trades.len()),
        Outcome::Cargo(CargoOutcome { cargo, created, .. }) => {
            format!("cargo {:?}, version {}, created {created}", cargo.status, cargo.version)
        }
        Outcome::Inventory(inventory) => format!("inventory, version {}", inventory.version),
    };
    format!("{done}, replayed {replayed}")
}
