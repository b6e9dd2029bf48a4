//! Every list, compared with the memory store's after the same commands.
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use trade_core::command::Command;
use trade_core::memory::MemoryStore;
use trade_core::resource::{CargoStatus, Sequence, Settlement, TradeStatus};
use trade_core::store::{
    CargoFilter, CargoQuery, InventoryQuery, Keys, LedgerPosition, LedgerQuery, StationQuery, Store,
    TimeRange, TradeFilter, TradeQuery,
};
use trade_core::values::{Scope, ShipmentId, Timestamp};

on_every_engine!(
    trades_are_listed_as_the_memory_store_lists_them,
    cargo_is_listed_as_the_memory_store_lists_it,
    the_ledger_is_read_as_the_memory_store_reads_it,
    single_rows_histories_and_stations_are_the_same,
    expired_trades_and_the_log_are_the_same,
    what_is_loaded_is_the_same,
);

const STATIONS: [&str; 4] = ["ceres", "luna", "mars", "vesta"];
/// Opened without stock: all that its ledger lists came by trades.
const NEWCOMER: &str = "eros";
const ITEMS: [&str; 3] = ["fuel", "rice", "tea"];

/// A few hundred commands that use every kind of row, spread over time.
fn commands() -> Vec<(i64, Command)> {
    let mut commands = Vec::new();
    for id in STATIONS {
        commands.push((0, open_station(id, &[("fuel", 10_000), ("rice", 10_000), ("tea", 10_000)])));
    }
    commands.push((0, open_station(NEWCOMER, &[])));
    for n in 0..4_usize {
        let goods = [("rice", 1), ("tea", 2)];
        let trade = sale(&format!("N-{n}"), STATIONS[n], NEWCOMER, &goods[..1 + n % 2]);
        commands.push((0, Command::InitiateTrade(trade)));
    }
    for n in 0..60_usize {
        let time = i64::try_from(n / 4).unwrap() * 1_000;
        let (seller, buyer) = (STATIONS[n % 4], STATIONS[(n + 1 + n % 3) % 4]);
        let goods = [(ITEMS[n % 3], 2), (ITEMS[(n + 1) % 3], 3)];
        let id = format!("T-{n}");
        let mut trade = sale(&id, seller, buyer, &goods[..1 + n / 2 % 2]);
        if n % 2 == 1 {
            trade.settlement = Settlement::OnDelivery;
            trade.expires_at = (n % 3 == 0).then(|| at(1_000_000 + time));
        }
        let shipment = ShipmentId::of_trade(&trade.transaction_id);
        commands.push((time, Command::InitiateTrade(trade)));
        match n % 6 {
            1 => commands.push((time, move_cargo(&shipment, CargoStatus::Cancelled))),
            2 => commands.push((time, move_cargo(&shipment, CargoStatus::InTransit))),
            3 if n % 4 == 3 => {
                commands.push((time, move_cargo(&shipment, CargoStatus::InTransit)));
                commands.push((time, move_cargo(&shipment, CargoStatus::Delivered)));
            }
            4 => {
                commands.push((time, move_cargo(&shipment, CargoStatus::InTransit)));
                commands.push((time, move_cargo(&shipment, CargoStatus::Lost)));
            }
            _ => commands.push((time, adjust(seller, ITEMS[n % 3], 5))),
        }
        if n % 5 == 0 {
            commands.push((time, transfer(&format!("X-{n}"), seller, buyer, &[("tea", 1)])));
        }
    }
    commands
}

async fn stores<S: Site>() -> (S, Vec<Arc<dyn Store>>) {
    let site = S::make().await;
    let stores: Vec<Arc<dyn Store>> = vec![Arc::new(MemoryStore::new()), Arc::new(site.open().await)];
    for store in &stores {
        let (service, clock) = service(store.clone()).await;
        for (time, command) in commands() {
            clock.set(at(time));
            submit(&service, command).await;
        }
        service.shutdown().await;
    }
    (site, stores)
}

/// All pages of a list, and whether each but the last named the next.
macro_rules! walk {
    ($store:expr, $list:ident, $query:expr) => {{
        let (mut all, mut query) = (Vec::new(), $query.clone());
        loop {
            let page = $store.$list(&query).await.unwrap();
            assert!(page.rows.len() <= query.limit);
            all.extend(page.rows);
            match page.next {
                None => break all,
                Some(next) => {
                    assert!(query.before.is_none_or(|before| next < before), "a page must go on");
                    query.before = Some(next);
                }
            }
        }
    }};
}

fn spans() -> Vec<TimeRange> {
    let some = |millis: i64| Some(at(millis));
    vec![
        TimeRange::default(),
        TimeRange { since: some(3_000), until: None },
        TimeRange { since: None, until: some(3_000) },
        TimeRange { since: some(2_999), until: some(9_001) },
        TimeRange { since: some(-5), until: some(-4) },
        TimeRange { since: some(999_999), until: None },
    ]
}

/// One station, two, all, or one that does not exist.
fn scope(narrowed: bool, pick: usize) -> Scope {
    if !narrowed {
        return Scope::All;
    }
    let stations = [&["mars"][..], &["ceres", "vesta", "nowhere"], &STATIONS, &["nowhere"]][pick % 4];
    Scope::of(stations.iter().map(|id| station(id))).unwrap()
}

async fn trades_are_listed_as_the_memory_store_lists_them<S: Site>() {
    let (_site, stores) = stores::<S>().await;
    let mut filters = BTreeSet::new();
    for mask in 0..64_u32 {
        for pick in 0..4_usize {
            filters.insert((mask, pick));
        }
    }
    for (mask, pick) in filters {
        for created in spans() {
            let has = |bit: u32| mask & (1 << bit) != 0;
            let filter = TradeFilter {
                scope: scope(has(5), pick),
                station: has(0).then(|| station(STATIONS[pick])),
                buyer: has(1).then(|| station(STATIONS[(pick + 1) % 4])),
                seller: has(2).then(|| station(STATIONS[pick])),
                status: has(3).then(|| TradeStatus::ALL[pick]),
                item: has(4).then(|| item(ITEMS[pick % 3])),
                created,
            };
            let query = TradeQuery { filter, before: None, limit: 7 };
            let [memory, sqlite] = [walk!(stores[0], trades, query), walk!(stores[1], trades, query)];
            assert_eq!(sqlite, memory, "{query:?}");
        }
    }
}

async fn cargo_is_listed_as_the_memory_store_lists_it<S: Site>() {
    let (_site, stores) = stores::<S>().await;
    for mask in 0..32_u32 {
        for pick in 0..6_usize {
            for created in spans() {
                let has = |bit: u32| mask & (1 << bit) != 0;
                let filter = CargoFilter {
                    scope: scope(has(4), pick),
                    origin: has(0).then(|| station(STATIONS[pick % 4])),
                    destination: has(1).then(|| station(STATIONS[(pick + 1) % 4])),
                    status: has(2).then(|| CargoStatus::ALL[pick]),
                    late_at: has(3).then(|| at(7 * 86_400_000 + 5_000)),
                    created,
                };
                let query = CargoQuery { filter, before: None, limit: 7 };
                let [memory, sqlite] =
                    [walk!(stores[0], cargo_list, query), walk!(stores[1], cargo_list, query)];
                assert_eq!(sqlite, memory, "{query:?}");
            }
        }
    }
}

async fn the_ledger_is_read_as_the_memory_store_reads_it<S: Site>() {
    let (_site, stores) = stores::<S>().await;
    let queries = [(None, 1), (None, 2), (None, 5), (Some("tea"), 5), (Some("nothing"), 5)];
    for id in STATIONS.iter().chain(&[NEWCOMER, "nowhere"]) {
        for (only, limit) in queries {
            let query = LedgerQuery { item: only.map(item), before: None, limit };
            let mut lists = Vec::new();
            for store in &stores {
                let (mut all, mut query) = (Vec::new(), query.clone());
                loop {
                    let page = store.ledger(&station(id), &query).await.unwrap();
                    all.extend(page.rows);
                    match page.next {
                        None => break,
                        next => query.before = next,
                    }
                }
                lists.push(all);
            }
            assert_eq!(lists[1], lists[0], "{id} {query:?}");
        }
    }
    let mut lists = Vec::new();
    for store in &stores {
        let (mut all, mut after) = (Vec::new(), LedgerPosition::default());
        loop {
            let page = store.ledger_after(after, 9).await.unwrap();
            all.extend(page.rows);
            match page.next {
                None => break,
                Some(next) => after = next,
            }
        }
        lists.push(all);
    }
    assert!(lists[0].len() > 80);
    assert_eq!(lists[1], lists[0]);
}

async fn single_rows_histories_and_stations_are_the_same<S: Site>() {
    let (_site, stores) = stores::<S>().await;
    let (memory, sql) = (&stores[0], &stores[1]);
    let shipments = (0..60).map(|n| ShipmentId::of_trade(&trade_id(&format!("T-{n}"))));
    let transfers = (0..13).map(|n| ShipmentId::new(format!("X-{}", n * 5)).unwrap());
    let unknown = ["shipment-T-99", "X-1", "shipment-"].map(|id| ShipmentId::new(id).unwrap());
    for id in shipments.chain(transfers).chain(unknown) {
        assert_eq!(sql.cargo(&id).await.unwrap(), memory.cargo(&id).await.unwrap(), "{id}");
        for (after, limit) in [(0, 100), (0, 1), (50, 2), (u64::MAX >> 1, 5)] {
            let [a, b] = [sql, memory].map(|store| store.cargo_history(&id, after, limit));
            assert_eq!(a.await.unwrap(), b.await.unwrap(), "{id} after {after}");
        }
    }
    for n in 0..61 {
        let id = trade_id(&format!("T-{n}"));
        assert_eq!(sql.trade(&id).await.unwrap(), memory.trade(&id).await.unwrap(), "{id}");
    }
    let narrowed = [vec![], vec![item("tea"), item("fuel"), item("none")]];
    for id in STATIONS.iter().chain(&["nowhere"]) {
        for (items, after, limit) in
            [(0, None, 10), (0, None, 2), (0, Some("fuel"), 1), (1, None, 1), (1, Some("fuel"), 5)]
        {
            let query = InventoryQuery { items: narrowed[items].clone(), after: after.map(item), limit };
            let id = station(id);
            let [a, b] = [sql, memory].map(|store| store.inventory(&id, &query));
            assert_eq!(a.await.unwrap(), b.await.unwrap(), "{id} {query:?}");
        }
    }
    for (before, limit, items_max) in [(None, 10, 100), (None, 3, 2), (Some(3), 3, 1), (None, 2, 0)] {
        let query = StationQuery::all(before, limit, items_max);
        let [a, b] = [sql, memory].map(|store| store.inventory_list(&query));
        assert_eq!(a.await.unwrap(), b.await.unwrap());
    }
}

async fn expired_trades_and_the_log_are_the_same<S: Site>() {
    let (_site, stores) = stores::<S>().await;
    for now in [at(0), at(1_004_000), at(2_000_000)] {
        let mut found = Vec::new();
        for store in &stores {
            let expired = store.expired_trades(now, 100).await.unwrap();
            found.push(expired.into_iter().collect::<BTreeSet<_>>());
        }
        assert_eq!(found[1], found[0], "{now}");
    }
    assert!(!stores[1].expired_trades(at(2_000_000), 100).await.unwrap().is_empty());
    assert_eq!(stores[1].expired_trades(at(2_000_000), 1).await.unwrap().len(), 1);
    let head = stores[1].head().await.unwrap();
    assert_eq!(head, stores[0].head().await.unwrap());
    for after in 0..head.sequence + 2 {
        let records = stores[1].read(after, 3, usize::MAX).await.unwrap();
        assert_eq!(records, stores[0].read(after, 3, usize::MAX).await.unwrap());
    }
    assert_eq!(stores[1].read(0, 100, 0).await.unwrap().len(), 1, "at least one, whatever its size");
    let whole = stores[1].read(0, usize::MAX, usize::MAX).await.unwrap();
    let mut next: Sequence = 1;
    for record in whole {
        assert_eq!(record.first(), next);
        next = record.last + 1;
    }
}

async fn what_is_loaded_is_the_same<S: Site>() {
    let (_site, stores) = stores::<S>().await;
    let mut keys = Keys::default();
    for n in (0..70).step_by(3) {
        keys.trades.insert(trade_id(&format!("T-{n}")));
        keys.cargo.insert(ShipmentId::of_trade(&trade_id(&format!("T-{n}"))));
        keys.cargo.insert(ShipmentId::new(format!("X-{n}")).unwrap());
    }
    for id in STATIONS {
        keys.stations.insert(station(id));
        keys.stock.insert((station(id), item("tea")));
        keys.stock.insert((station(id), item("none")));
    }
    keys.stations.insert(station("nowhere"));
    keys.inventories.insert(station("mars"));
    let [mut memory, mut sql] = [stores[0].load(&keys).await.unwrap(), stores[1].load(&keys).await.unwrap()];
    for loaded in [&mut memory, &mut sql] {
        loaded.trades.sort_by(|a, b| a.transaction_id.cmp(&b.transaction_id));
        loaded.cargo.sort_by(|a, b| a.shipment_id.cmp(&b.shipment_id));
        loaded.stations.sort_by(|a, b| a.station_id.cmp(&b.station_id));
        loaded.stock.sort_by(|a, b| (&a.station_id, &a.item_id).cmp(&(&b.station_id, &b.item_id)));
        loaded.stations.dedup();
        loaded.stock.dedup();
    }
    assert_eq!(sql.head, memory.head);
    assert_eq!(sql.trades, memory.trades);
    assert_eq!(sql.cargo, memory.cargo);
    assert_eq!(sql.stations, memory.stations);
    assert_eq!(sql.stock, memory.stock);
    let epoch = Timestamp::EPOCH;
    assert_eq!(stores[1].prune_receipts(epoch, 10).await.unwrap(), 0);
}
