//! Whether stock adds up: what every station holds against what the file says, and against the stock ledger.

use super::plan::Plan;
use super::target::{Failure, Target, patiently};
use futures::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use trade_core::values::{ItemId, StationId};

const STATIONS_AT_ONCE: usize = 8;
/// Differences that are shown in words; all are counted.
const DIFFERENCES_SHOWN: usize = 10;

/// What was compared, and what was not as it should be.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) stations: usize,
    pub(crate) levels: usize,
    pub(crate) items: usize,
    pub(crate) units: u128,
    pub(crate) differences: usize,
    pub(crate) shown: Vec<String>,
}

impl Checked {
    fn differ(&mut self, difference: String) {
        self.differences += 1;
        if self.shown.len() < DIFFERENCES_SHOWN {
            self.shown.push(difference);
        }
    }
}

/// What a station holds, and what it got from outside.
type Held = (BTreeMap<ItemId, u64>, BTreeMap<ItemId, i128>);

/// Reads every station of the plan back, and compares.
pub(crate) async fn check(plan: &Plan, target: &dyn Target) -> Result<Checked, Failure> {
    let read = async |station: StationId| -> Result<(StationId, Held), Failure> {
        let held = patiently(|| target.on_hand(&station)).await?;
        let from_world = patiently(|| target.brought_in(&station)).await?;
        Ok((station, (held, from_world)))
    };
    let stations: Vec<_> = plan.expected.keys().cloned().collect();
    let stations = futures::stream::iter(stations).map(read).buffer_unordered(STATIONS_AT_ONCE);
    let stored: BTreeMap<StationId, Held> = stations.try_collect().await?;
    Ok(compare(plan, &stored))
}

fn compare(plan: &Plan, stored: &BTreeMap<StationId, Held>) -> Checked {
    let mut checked = Checked { stations: stored.len(), ..Checked::default() };
    let mut on_hand: BTreeMap<&ItemId, i128> = BTreeMap::new();
    let mut from_world: BTreeMap<&ItemId, i128> = BTreeMap::new();
    let none = BTreeMap::new();
    for (station, (held, brought)) in stored {
        let expected = plan.expected.get(station).unwrap_or(&none);
        let items: BTreeSet<_> = expected.keys().chain(held.keys()).collect();
        for item in items {
            let (wanted, found) = (expected.get(item).unwrap_or(&0), held.get(item).unwrap_or(&0));
            if wanted != found {
                checked.differ(format!("{item} at {station}: {found} on hand, {wanted} by the file"));
            }
            checked.levels += 1;
            checked.units += u128::from(*found);
            *on_hand.entry(item).or_default() += i128::from(*found);
        }
        brought.iter().for_each(|(item, units)| *from_world.entry(item).or_default() += units);
    }
    let items: BTreeSet<_> = on_hand.keys().chain(from_world.keys()).copied().collect();
    checked.items = items.len();
    for item in items {
        let sum = |sums: &BTreeMap<&ItemId, i128>| sums.get(item).copied().unwrap_or(0);
        if sum(&on_hand) != sum(&from_world) {
            let (held, brought) = (sum(&on_hand), sum(&from_world));
            checked.differ(format!("{item}: {held} on hand in all, {brought} by the ledger"));
        }
    }
    checked
}
