//! The rules: what a command does to the state it finds. Pure: no async, clock, randomness, I/O, or iteration order
//! that varies.
//!
//! [`check`] looks at a command alone, [`decide`] at a command and a [`View`]; both answer the first [`Rejection`] in
//! the order that type documents.

mod cargo;
mod inventory;
mod settlement;
mod shipment;
mod stock;
mod trade;

pub use settlement::DEFAULT_LEAD_TIME;

use crate::cause::Cause;
use crate::command::{Command, InitiateTrade, InitiateTrades, Outcome, Precondition, TradeOutcome};
use crate::event::{Actor, Event};
use crate::policy::{Action, Asker, Denial};
use crate::rejection::Rejection;
use crate::resource::Version;
use crate::step::Step;
use crate::store::{Commit, LogRecord, Receipt};
use crate::values::{StationId, Timestamp};
use crate::view::View;
use std::sync::Arc;

/// When a command is decided, and for whom.
#[derive(Debug, Clone)]
pub struct Context {
    /// Now, by the clock: what expiry is judged by.
    pub now: Timestamp,
    /// The time that is written: now, or that of the newest step where the clock is behind it.
    pub time: Timestamp,
    /// The name in the events.
    pub actor: Actor,
    /// What caused the command.
    pub cause: Option<Arc<Cause>>,
    /// Who asks, under which policy; none where the owner of the network does, who may do everything.
    pub asker: Option<Arc<Asker>>,
    /// The versions that what the command makes may have already. A batch has none, and other commands one of their own.
    pub precondition: Precondition,
}

impl Context {
    /// Now, for the owner of the network.
    pub fn new(now: Timestamp, actor: Actor) -> Self {
        Self { now, time: now, actor, cause: None, asker: None, precondition: Precondition::None }
    }

    /// Now, for somebody under a policy.
    pub fn of(now: Timestamp, asker: Arc<Asker>) -> Self {
        let actor = asker.principal().actor().clone();
        Self { asker: Some(asker), ..Self::new(now, actor) }
    }

    /// Whether who asks may know of what touches these stations.
    fn shows<'s>(&self, stations: impl IntoIterator<Item = &'s StationId>) -> bool {
        self.asker.as_ref().is_none_or(|asker| asker.scope().touches(stations))
    }

    /// Whether who asks may do this.
    fn permit(&self, view: &View, action: &Action<'_>) -> Result<(), Rejection> {
        let Some(asker) = &self.asker else { return Ok(()) };
        asker.check(action, view).map_err(|denial| match denial {
            Denial::Forbidden => Rejection::Forbidden,
            Denial::Because(reason) => Rejection::RefusedByPolicy { reason },
        })
    }

    /// Whether what exists already, of what the command would make, is known to who asks; then its version must fit. Whoever
    /// may not know of it learns that its id is taken only where they may make it.
    fn knows(
        &self,
        (stations, version): ([&StationId; 2], Version),
        view: &View,
        action: &Action<'_>,
    ) -> Result<bool, Rejection> {
        let is_shown = self.shows(stations);
        if is_shown {
            self.provided(version)?
        } else {
            self.permit(view, action)?
        }
        Ok(is_shown)
    }

    /// Whether the version fits that something has which the command makes; 0 where it does not exist.
    fn provided(&self, actual: Version) -> Result<(), Rejection> {
        if self.precondition.allows(actual) { Ok(()) } else { Err(Rejection::VersionMismatch { actual }) }
    }

    /// A refusal as who asks may know it.
    fn told(&self, rejection: Rejection) -> Rejection {
        match (rejection, &self.asker) {
            (Rejection::InsufficientStock(shortages), Some(asker)) => {
                Rejection::InsufficientStock(shortages.shown_to(asker.scope()))
            }
            (Rejection::QuantityOutOfRange { station, item }, Some(asker)) => {
                let station = station.filter(|station| asker.scope().contains(station));
                Rejection::QuantityOutOfRange { station, item }
            }
            (rejection, _) => rejection,
        }
    }
}

/// What a command does: nothing, or one step; and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<O = Outcome> {
    /// The change, none where everything is as asked for already.
    pub step: Option<Step>,
    /// The answer.
    pub outcome: O,
}

impl<O> Decision<O> {
    fn map<P>(self, into: impl FnOnce(O) -> P) -> Decision<P> {
        Decision { step: self.step, outcome: into(self.outcome) }
    }
}

/// Checks what can be told from a command alone.
///
/// # Errors
/// [`Rejection::InvalidRequest`] or [`Rejection::AmountOutOfRange`].
pub fn check(command: &Command) -> Result<(), Rejection> {
    match command {
        Command::CreateStation(command) => inventory::check_create(command),
        Command::InitiateTrade(command) => trade::check(command).map(drop),
        Command::InitiateTrades(InitiateTrades { trades, .. }) => {
            // What is wrong with one trade of a batch is that trade's answer, not the batch's.
            if trades.is_empty() || trades.len() > InitiateTrades::COUNT_MAX {
                return Err(Rejection::invalid("trades", "must hold 1 to 1000 trades"));
            }
            if trades.iter().map(|trade| trade.items.len()).sum::<usize>() > InitiateTrades::LINES_MAX {
                return Err(Rejection::invalid("trades", "must hold at most 50000 lines in all"));
            }
            Ok(())
        }
        Command::CreateTransfer(command) => cargo::check_transfer(command),
        Command::UpdateCargo(command) => cargo::check_update(command),
        Command::AdjustInventory(command) => inventory::check_adjust(command),
        Command::UpdateTrade(_) | Command::ExpireTrade(_) => Ok(()),
    }
}

/// Decides one command, other than a batch: that is decided trade by trade, by [`Draft::decide`].
///
/// # Errors
/// The first [`Rejection`] that applies.
pub fn decide(view: &View, command: &Command, context: &Context) -> Result<Decision, Rejection> {
    let decided = match command {
        Command::CreateStation(command) => {
            inventory::create(view, command, context).map(|decision| decision.map(Outcome::Inventory))
        }
        Command::InitiateTrade(command) => trade::totals(command)
            .and_then(|totals| trade::initiate(view, command, totals, context))
            .map(|decision| decision.map(Outcome::Trade)),
        Command::InitiateTrades(_) => Err(Rejection::invalid("trades", "cannot be decided as one step")),
        Command::UpdateTrade(command) => {
            trade::update(view, command, context).map(|decision| decision.map(Outcome::Trade))
        }
        Command::ExpireTrade(id) => {
            trade::expire(view, id, context).map(|decision| decision.map(Outcome::Trade))
        }
        Command::CreateTransfer(command) => {
            cargo::transfer(view, command, context).map(|decision| decision.map(Outcome::Cargo))
        }
        Command::UpdateCargo(command) => {
            cargo::update(view, command, context).map(|decision| decision.map(Outcome::Cargo))
        }
        Command::AdjustInventory(command) => {
            inventory::adjust(view, command, context).map(|decision| decision.map(Outcome::Inventory))
        }
    };
    decided.map_err(|rejection| context.told(rejection))
}

/// Decides a trade of a batch: as if it came alone, without a precondition.
fn decide_of_batch(
    view: &View,
    trade: &InitiateTrade,
    context: &Context,
) -> Result<Decision<TradeOutcome>, Rejection> {
    trade::check(trade)
        .and_then(|totals| trade::initiate(view, trade, totals, context))
        .map_err(|rejection| context.told(rejection))
}

/// A view, and the steps that were decided on it since it was loaded, or since [`Draft::close`].
#[derive(Debug, Clone)]
pub struct Draft {
    /// The state with the steps applied.
    pub view: View,
    /// The steps, numbered from the view's head.
    pub log: Vec<LogRecord>,
}

impl Draft {
    /// Nothing decided yet.
    pub fn new(view: View) -> Self {
        Self { view, log: Vec::new() }
    }

    /// Decides a command and applies it, so that the next command sees it. A refusal leaves everything as it was.
    ///
    /// # Errors
    /// The first [`Rejection`] that applies.
    pub fn decide(&mut self, command: &Command, context: &Context) -> Result<Outcome, Rejection> {
        let Command::InitiateTrades(batch) = command else {
            let decision = decide(&self.view, command, context)?;
            self.apply(decision.step);
            return Ok(decision.outcome);
        };
        let before = self.log.len();
        if batch.atomic {
            self.view.remember();
        }
        let context = &Context { precondition: Precondition::None, ..context.clone() };
        let mut answers = Vec::with_capacity(batch.trades.len());
        for (index, trade) in batch.trades.iter().enumerate() {
            match decide_of_batch(&self.view, trade, context) {
                Err(rejection) if batch.atomic => {
                    self.view.undo();
                    self.log.truncate(before);
                    return Err(Rejection::InBatch { index, rejection: Box::new(rejection) });
                }
                Err(rejection) => answers.push(Err(rejection)),
                Ok(decision) => {
                    self.apply(decision.step);
                    answers.push(Ok(decision.outcome));
                }
            }
        }
        self.view.keep();
        Ok(Outcome::Trades(answers))
    }

    /// As [`Draft::decide`], where the command, and each trade of a batch, becomes a step. Otherwise nothing is decided,
    /// and everything is as it was.
    pub(crate) fn decide_new(&mut self, command: &Command, context: &Context) -> Option<Outcome> {
        let Command::InitiateTrades(batch) = command else {
            let decision = decide(&self.view, command, context).ok()?;
            self.apply(Some(decision.step?));
            return Some(decision.outcome);
        };
        let before = self.log.len();
        self.view.remember();
        let context = &Context { precondition: Precondition::None, ..context.clone() };
        let mut answers = Vec::with_capacity(batch.trades.len());
        for trade in &batch.trades {
            let decided = decide_of_batch(&self.view, trade, context);
            let Ok(Decision { step: Some(step), outcome }) = decided else {
                self.view.undo();
                self.log.truncate(before);
                return None;
            };
            self.apply(Some(step));
            answers.push(Ok(outcome));
        }
        self.view.keep();
        Some(Outcome::Trades(answers))
    }

    /// Adds a step that was decided.
    pub(crate) fn apply(&mut self, step: Option<Step>) {
        let Some(step) = step else { return };
        let first = self.log.last().map_or(self.view.head().sequence, |record| record.last) + 1;
        self.view.evolve_step(&step, first);
        self.log.push(LogRecord { last: first + step.event_count() - 1, step: Arc::new(step) });
    }

    /// The events of the steps.
    pub fn events(&self) -> Vec<Event> {
        self.log.iter().flat_map(LogRecord::events).collect()
    }

    /// Everything decided so far, as one commit, with its events. The draft goes on from there, as if it were stored.
    pub fn close(&mut self, receipts: Vec<Receipt>) -> (Commit, Vec<Event>) {
        let events = self.events();
        (self.commit(receipts), events)
    }

    /// Everything decided so far, as one commit. The draft goes on from there, as if it were stored.
    pub fn commit(&mut self, receipts: Vec<Receipt>) -> Commit {
        let log = std::mem::take(&mut self.log);
        let time = log.last().map_or(self.view.head().time, |record| record.step.time);
        self.view.commit(time, log, receipts)
    }
}
