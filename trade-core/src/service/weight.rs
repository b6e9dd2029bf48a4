//! How much work a command is.

use crate::command::{Command, InitiateTrade, InitiateTrades, Outcome};
use crate::hash::HashMap;
use crate::values::{Metadata, StationId};
use std::sync::{Mutex, PoisonError};

/// A group reads and writes what its commands have in common once: an answer that lists a station's items costs it as much
/// as a line for so many of them.
const ITEMS_OF_A_LINE: u32 = 16;
/// Stations of fewer items weigh nothing.
const ITEMS_MIN: usize = 256;
/// How many stations are remembered.
const KNOWN_MAX: usize = 10_000;

/// The most that a command weighs: as much as the largest batch.
pub(super) const COMMAND_LINES_MAX: usize = InitiateTrades::LINES_MAX;

/// In lines: 1 to [`COMMAND_LINES_MAX`] each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weight {
    /// Of a group.
    pub(super) in_group: u32,
    /// Of the queue, in which whoever comes later waits for it.
    pub(super) in_queue: u32,
}

/// Weighs commands, by their own lines and by the answers that were given before.
#[derive(Debug, Default)]
pub(super) struct Weights(Mutex<HashMap<StationId, u32>>);

impl Weights {
    pub(super) fn of(&self, command: &Command) -> Weight {
        let told = |metadata: &Option<Metadata>| Metadata::lines(metadata.as_ref());
        let of_trade = |trade: &InitiateTrade| trade.items.len() + told(&trade.metadata);
        let lines = match command {
            Command::CreateStation(command) => command.items.len() + told(&command.metadata),
            Command::InitiateTrade(command) => of_trade(command),
            Command::InitiateTrades(command) => command.trades.iter().map(of_trade).sum(),
            Command::CreateTransfer(command) => command.items.len() + told(&command.metadata),
            Command::AdjustInventory(command) => command.adjustments.len() + told(&command.metadata),
            Command::UpdateCargo(command) => told(&command.metadata),
            Command::UpdateTrade(_) | Command::ExpireTrade(_) => 1,
        };
        let lines = u32::try_from(lines.clamp(1, COMMAND_LINES_MAX)).unwrap_or(u32::MAX);
        let listed = match command {
            Command::AdjustInventory(command) => self.listed(&command.station_id),
            _ => 0,
        };
        Weight { in_group: lines.max(listed / ITEMS_OF_A_LINE), in_queue: lines.max(listed) }
    }

    /// How many items of a station an answer lists, where those are many.
    fn listed(&self, station: &StationId) -> u32 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(station).copied().unwrap_or(0)
    }

    /// Remembers how much an answer was.
    pub(super) fn learn(&self, outcome: &Outcome) {
        let Outcome::Inventory(inventory) = outcome else { return };
        if inventory.items.len() < ITEMS_MIN {
            return;
        }
        let listed = u32::try_from(inventory.items.len().min(COMMAND_LINES_MAX)).unwrap_or(u32::MAX);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX && !known.contains_key(&inventory.station_id) {
            known.clear();
        }
        known.insert(inventory.station_id.clone(), listed);
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use crate::service::{Request, TradeService};
    use crate::testing::fixtures::{adjust, open_station};
    use std::sync::Arc;

    #[tokio::test]
    async fn an_adjustment_of_a_station_weighs_what_its_answer_lists() {
        let service = TradeService::start(Arc::new(MemoryStore::new())).await.unwrap();
        let weights = Weights::default();
        let items: Vec<_> = (0..5_000).map(|n| format!("item-{n}")).collect();
        for (station, count) in [("large", 5_000), ("small", 255)] {
            let stock: Vec<_> = items[..count].iter().map(|item| (item.as_str(), 1)).collect();
            let answer = service.submit(Request::new(open_station(station, &stock))).await.unwrap();
            weights.learn(&answer.outcome);
        }
        let of_large = Weight { in_group: 312, in_queue: 5_000 };
        assert_eq!(weights.of(&adjust("large", &[("item-0", 1)])), of_large);
        for station in ["small", "unknown"] {
            let weight = weights.of(&adjust(station, &[("item-0", 1), ("item-1", 1)]));
            assert_eq!(weight, Weight { in_group: 2, in_queue: 2 }, "{station}");
        }
    }
}
