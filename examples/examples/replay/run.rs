//! Driving a plan into a network: stations, then the commands of the file, strictly in its order.
//!
//! One command is under way at a time, so whatever a `kill -9` leaves behind is a prefix of the plan. That is what makes
//! a restart safe: trades answer to their ids, adjustments to their keys, and where a trade after an adjustment is
//! known already the adjustment is not even sent, since a network may forget a key after a day. Speed comes from the
//! size of the batches: each is one commit.

use super::plan::{Action, Plan};
use super::target::{Failure, Made, Reply, Target, patiently};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};
use trade_core::command::{AdjustInventory, InitiateTrade};
use trade_core::values::TransactionId;

/// Stations made at once; among them, order is of no matter.
const STATIONS_AT_ONCE: usize = 32;
/// The size of a batch: large enough that commits do not count, small enough that little is repeated after a crash.
const BATCH_TRADES_MAX: usize = 500;
const BATCH_LINES_MAX: usize = 4_000;
/// What became of a plan.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) stations: Counts,
    pub(crate) trades: Counts,
    pub(crate) trades_back: Counts,
    pub(crate) adjustments: Counts,
    pub(crate) refusals: Vec<Refusal>,
    /// Over trades and adjustments, without stations.
    pub(crate) elapsed: Duration,
}

/// A trade that the network refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Which, and why.
    pub(crate) words: String,
    /// The numbers of its lines.
    pub(crate) lines: Vec<u64>,
}

/// Commands that were applied, now or by an earlier run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) now: u64,
    pub(crate) before: u64,
}

impl Counts {
    fn add(&mut self, made: Made) {
        match made {
            Made::Now => self.now += 1,
            Made::Before => self.before += 1,
        }
    }

    pub(crate) fn total(self) -> u64 {
        self.now + self.before
    }
}

/// Sends everything.
pub(crate) async fn run(plan: &Plan, target: &dyn Target) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    stations(plan, target, &mut outcome).await?;
    for (number, top_up) in plan.top_ups.iter().enumerate() {
        let key = format!("{}-opening-{number}", plan.digest);
        // Part of the opening, and so not counted: only what the file says is.
        adjust(target, top_up, &key, next_trade(&plan.actions)).await?;
    }
    let bar = progress(plan.tally.taken());
    let started = Instant::now();
    let mut rest = &plan.actions[..];
    let mut number = 0;
    while !rest.is_empty() {
        let sent = match batch(rest) {
            0 => {
                if let Some((Action::Adjust(adjustment), after)) = rest.split_first() {
                    let key = format!("{}-adjustment-{number}", plan.digest);
                    outcome.adjustments.add(adjust(target, adjustment, &key, next_trade(after)).await?);
                    bar.inc(adjustment.adjustments.len() as u64);
                    number += 1;
                }
                1
            }
            sent => {
                trades(&rest[..sent], target, &mut outcome, &bar).await?;
                sent
            }
        };
        rest = &rest[sent..];
    }
    outcome.elapsed = started.elapsed();
    bar.finish_and_clear();
    Ok(outcome)
}

async fn stations(plan: &Plan, target: &dyn Target, outcome: &mut Outcome) -> Result<(), Failure> {
    // The first alone: it tells whether this store is ours to write to, before anything is written.
    let (first, others) = plan.stations.split_at(plan.stations.len().min(1));
    for opening in first {
        outcome.stations.add(patiently(|| target.create_station(opening)).await?);
    }
    let made = futures::stream::iter(others)
        .map(|opening| patiently(move || target.create_station(opening)))
        .buffer_unordered(STATIONS_AT_ONCE);
    let mut made = std::pin::pin!(made);
    while let Some(made) = made.next().await {
        outcome.stations.add(made?);
    }
    Ok(())
}

/// How many of the next actions are trades that fit into one batch.
fn batch(actions: &[Action]) -> usize {
    let mut lines = 0;
    let fits = |action: &&Action| match action {
        Action::Adjust(_) => false,
        Action::Trade { trade, .. } => {
            let first = lines == 0;
            lines += trade.items.len();
            first || lines <= BATCH_LINES_MAX
        }
    };
    actions.iter().take(BATCH_TRADES_MAX).take_while(fits).count()
}

fn next_trade(actions: &[Action]) -> Option<&TransactionId> {
    actions.iter().find_map(|action| match action {
        Action::Trade { trade, .. } => Some(&trade.transaction_id),
        Action::Adjust(_) => None,
    })
}

/// Adjusts, unless a trade that comes after it stands already.
async fn adjust(
    target: &dyn Target,
    adjustment: &AdjustInventory,
    key: &str,
    later: Option<&TransactionId>,
) -> Result<Made, Failure> {
    if let Some(later) = later
        && patiently(|| target.knows_trade(later)).await?
    {
        return Ok(Made::Before);
    }
    patiently(|| target.adjust(adjustment, key)).await
}

async fn trades(
    actions: &[Action],
    target: &dyn Target,
    outcome: &mut Outcome,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let trades: Vec<InitiateTrade> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Trade { trade, .. } => Some(trade.clone()),
            Action::Adjust(_) => None,
        })
        .collect();
    let replies = patiently(|| target.trades(&trades)).await?;
    for (action, reply) in actions.iter().zip(replies) {
        let Action::Trade { trade, lines, back } = action else { continue };
        bar.inc(lines.len() as u64);
        outcome.count(trade, lines, *back, reply);
    }
    Ok(())
}

impl Outcome {
    pub(crate) fn refused_lines(&self) -> u64 {
        self.refusals.iter().map(|refusal| refusal.lines.len() as u64).sum()
    }

    fn count(&mut self, trade: &InitiateTrade, lines: &[u64], back: bool, reply: Reply) {
        match reply {
            Ok(made) if back => self.trades_back.add(made),
            Ok(made) => self.trades.add(made),
            Err(why) => {
                let words = format!("{}: {why}", trade.transaction_id);
                self.refusals.push(Refusal { words, lines: lines.to_vec() });
            }
        }
    }
}

fn progress(lines: u64) -> ProgressBar {
    let bar = ProgressBar::new(lines);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} lines, {per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
