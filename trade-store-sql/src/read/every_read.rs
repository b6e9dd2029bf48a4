//! Every statement that reads, for those who look at how an engine runs them.

use super::ends::{self, BOUGHT, End, RECEIVED, SENT, SOLD};
use super::{cargo, inventory, ledger, list, load, log, receipts, trades};
use crate::api_keys;
use crate::commit::keys;
use crate::dialect::Template;
use crate::plan::Plan;
use trade_core::resource::{CargoStatus, TradeStatus};
use trade_core::store::{CargoFilter, TradeFilter};
use trade_core::values::{StationId, Timestamp};

/// Their templates: lists with every combination of filters, and all others.
pub(crate) fn every_read() -> Vec<String> {
    let others: [&Template; 21] = [
        &ends::KEYS_SQL,
        &trades::ONE_SQL,
        &trades::EXPIRED_SQL,
        &list::LAST_BEFORE_SQL,
        &cargo::ONE_SQL,
        &cargo::HISTORY_SQL,
        &inventory::STATION_SQL,
        &inventory::STATIONS_SQL,
        &inventory::SCOPED_STATIONS_SQL,
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
        &api_keys::ONE_SQL,
        &api_keys::LIST_SQL,
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
        both(&plan, &trades::walk(plan.walk), trades::page_sql)
    });
    pages.flatten().chain(of_scopes(&[SOLD, BOUGHT].concat(), trades::page_sql)).collect()
}

/// A page, and how far its walk came.
fn both<N>(plan: &Plan<N>, walk: &str, page_sql: fn(&Plan<N>, &str) -> String) -> [String; 2] {
    [page_sql(plan, walk), list::examined_sql(walk)]
}

/// Pages of scopes: of one station, and of as many as are merged; and what tells which these are.
fn of_scopes<N>(ends: &[End], page_sql: fn(&Plan<N>, &str) -> String) -> Vec<String> {
    let plan = Plan { walk: None, checks: Vec::new() };
    let keys: Vec<i64> = (1..=20).collect();
    let pages = [&keys[..1], &keys].map(|keys| both(&plan, &ends::of_all(ends, keys), page_sql));
    let mut all = pages.concat();
    all.push(ends::heads_sql(ends, &keys));
    all
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
        both(&plan, &cargo::walk(plan.walk), cargo::page_sql)
    });
    pages.flatten().chain(of_scopes(&[SENT, RECEIVED].concat(), cargo::page_sql)).collect()
}
