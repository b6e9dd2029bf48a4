//! How much work a command is.

use crate::command::{Command, Outcome};
use crate::hash::HashMap;
use crate::values::StationId;
use std::sync::{Mutex, PoisonError};

/// An answer lists a station's items, which costs as much as a line of a command for so many of them.
const ITEMS_OF_A_LINE: usize = 16;
/// Stations of fewer items weigh nothing.
const ITEMS_MIN: usize = 16 * ITEMS_OF_A_LINE;
/// How many stations are remembered.
const KNOWN_MAX: usize = 10_000;

/// Weighs commands, by their own lines and by the answers that were given before.
#[derive(Debug, Default)]
pub(super) struct Weights(Mutex<HashMap<StationId, u32>>);

impl Weights {
    /// In lines, at least one.
    pub(super) fn of(&self, command: &Command) -> u32 {
        let lines = match command {
            Command::CreateStation(command) => command.items.len(),
            Command::InitiateTrade(command) => command.items.len(),
            Command::InitiateTrades(command) => command.trades.iter().map(|trade| trade.items.len()).sum(),
            Command::CreateTransfer(command) => command.items.len(),
            Command::AdjustInventory(command) => command.adjustments.len(),
            Command::UpdateTrade(_) | Command::ExpireTrade(_) | Command::UpdateCargo(_) => 1,
        };
        let lines = u32::try_from(lines.max(1)).unwrap_or(u32::MAX);
        let Command::AdjustInventory(command) = command else { return lines };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.max(known.get(&command.station_id).copied().unwrap_or(0))
    }

    /// Remembers how much an answer was.
    pub(super) fn learn(&self, outcome: &Outcome) {
        let Outcome::Inventory(inventory) = outcome else { return };
        if inventory.items.len() < ITEMS_MIN {
            return;
        }
        let weight = u32::try_from(inventory.items.len() / ITEMS_OF_A_LINE).unwrap_or(u32::MAX);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX && !known.contains_key(&inventory.station_id) {
            known.clear();
        }
        known.insert(inventory.station_id.clone(), weight);
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
        assert_eq!(weights.of(&adjust("large", &[("item-0", 1)])), 312);
        for station in ["small", "unknown"] {
            assert_eq!(weights.of(&adjust(station, &[("item-0", 1), ("item-1", 1)])), 2, "{station}");
        }
    }
}
