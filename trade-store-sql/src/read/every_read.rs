//! Every statement that reads, for those who look at how an engine runs them.

use super::{cargo, inventory, ledger, load, log, receipts, trades};
use crate::commit::keys;
use crate::dialect::Template;
use crate::plan::Plan;
use trade_core::resource::{CargoStatus, TradeStatus};
use trade_core::store::{CargoFilter, TradeFilter};
use trade_core::values::{StationId, Timestamp};

/// Their templates: lists with every combination of filters, and all others.
pub(crate) fn every_read() -> Vec<String> {
    let others: [&Template; 17] = [
        &trades::ONE_SQL,
        &trades::EXPIRED_SQL,
        &trades::LAST_BEFORE_SQL,
        &cargo::ONE_SQL,
        &cargo::HISTORY_SQL,
        &inventory::STATION_SQL,
        &inventory::STATIONS_SQL,
        &inventory::ITEMS_SQL,
        &inventory::NAMED_ITEMS_SQL,
        &inventory::FIRST_ITEMS_SQL,
        &ledger::STATION_SQL,
        &ledger::STATION_ITEM_SQL,
        &ledger::EXAMINED_SQL,
        &ledger::AFTER_SQL,
        &log::READ_SQL,
        &receipts::PIECES_SQL,
        &receipts::LIST_SQL,
    ];
    let others = others
        .into_iter()
        .chain(&load::PARTS)
        .chain(&keys::KEYS_PARTS)
        .map(|template| template.text().to_owned());
    lists_of_trades().into_iter().chain(lists_of_cargo()).chain(others).collect()
}

fn lists_of_trades() -> Vec<String> {
    let id: StationId = "ceres".try_into().unwrap();
    let pages = (0..32_u32).map(|mask| {
        let has = |bit: u32| mask & (1 << bit) != 0;
        let plan = Plan::of_trades(&TradeFilter {
            station: has(0).then(|| id.clone()),
            buyer: has(1).then(|| id.clone()),
            seller: has(2).then(|| id.clone()),
            status: has(3).then_some(TradeStatus::Initiated),
            item: has(4).then(|| "tea".try_into().unwrap()),
            ..TradeFilter::default()
        });
        [trades::page_sql(&plan), trades::examined_sql(trades::walk(plan.walk))]
    });
    pages.flatten().collect()
}

fn lists_of_cargo() -> Vec<String> {
    let id: StationId = "ceres".try_into().unwrap();
    let pages = (0..16_u32).map(|mask| {
        let has = |bit: u32| mask & (1 << bit) != 0;
        let plan = Plan::of_cargo(&CargoFilter {
            origin: has(0).then(|| id.clone()),
            destination: has(1).then(|| id.clone()),
            status: has(2).then_some(CargoStatus::Pending),
            late_at: has(3).then_some(Timestamp::EPOCH),
            ..CargoFilter::default()
        });
        [cargo::page_sql(&plan), trades::examined_sql(cargo::walk(plan.walk))]
    });
    pages.flatten().collect()
}
