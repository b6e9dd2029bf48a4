//! Lists: their order, their filters, and their pages.

use super::harness::{Harness, taken};
use crate::command::{Command, UpdateCargo};
use crate::resource::{Cargo, CargoStatus, Settlement, Trade, TradeStatus};
use crate::service::TradeService;
use crate::store::{CargoFilter, CargoQuery, StationQuery, TimeRange, TradeFilter, TradeQuery};
use crate::testing::fixtures::*;
use crate::testing::snapshot::{Snapshot, Walk, all_cargo, all_stations, all_trades};
use crate::values::{Scope, StationId, Timestamp};
use std::sync::Arc;
use std::time::Duration;

const STATIONS: [&str; 4] = ["a", "b", "c", "d"];
const ITEMS: [&str; 3] = ["tea", "rice", "salt"];

fn minute(n: u64) -> Timestamp {
    start_time().plus(Duration::from_secs(60 * n))
}

/// Sixty trades and twenty transfers between four stations, one a minute, in every status.
async fn world(h: &Harness) -> TradeService {
    let service = h.service().await;
    for id in STATIONS {
        taken(&service, open_station(id, &[("tea", 1_000), ("rice", 1_000), ("salt", 1_000)])).await;
    }
    for n in 0..60_usize {
        h.clock.set(minute(n as u64));
        let (seller, buyer) = (STATIONS[n % 4], STATIONS[(n + 1 + n / 4 % 3) % 4]);
        let settlement = Settlement::ALL[n / 2 % 2];
        let goods = [(ITEMS[n % 3], 2), (ITEMS[n / 3 % 3], 1)];
        let id = format!("T-{n}");
        taken(&service, initiate(deal(settlement, &id, seller, buyer, &goods))).await;
        advance(&service, crate::values::ShipmentId::of_trade(&trade_id(&id)), n).await;
        if n % 3 == 0 {
            let id = format!("X-{n}");
            taken(&service, Command::CreateTransfer(transfer(&id, buyer, seller, &goods))).await;
            advance(&service, shipment_id(&id), n / 3).await;
        }
    }
    service
}

/// Takes a shipment some way, by a number.
async fn advance(service: &TradeService, id: crate::values::ShipmentId, n: usize) {
    if n % 5 == 4 {
        let late = UpdateCargo { eta: Some(minute(30)), ..track(id.clone()) };
        taken(service, Command::UpdateCargo(late)).await;
    }
    let way: &[CargoStatus] = match n % 7 {
        0 | 1 => &[],
        2 => &[CargoStatus::Cancelled],
        3 => &[CargoStatus::InTransit],
        4 => &[CargoStatus::InTransit, CargoStatus::Delivered],
        5 => &[CargoStatus::InTransit, CargoStatus::Returned],
        _ => &[CargoStatus::InTransit, CargoStatus::Lost],
    };
    for status in way {
        taken(service, move_cargo(id.clone(), *status)).await;
    }
}

fn ids(trades: &[Arc<Trade>]) -> Vec<&str> {
    trades.iter().map(|trade| trade.transaction_id.as_str()).collect()
}

/// Whether a trade passes, from the words of the contract and apart from the store's own code.
fn trade_passes(filter: &TradeFilter, trade: &Trade) -> bool {
    if !in_scope(&filter.scope, &[&trade.buyer, &trade.seller])
        || filter.station.as_ref().is_some_and(|id| trade.buyer != *id && trade.seller != *id)
        || filter.buyer.as_ref().is_some_and(|id| trade.buyer != *id)
        || filter.seller.as_ref().is_some_and(|id| trade.seller != *id)
        || filter.status.is_some_and(|status| trade.status != status)
        || filter.item.as_ref().is_some_and(|id| !trade.items.iter().any(|line| line.item_id == *id))
    {
        return false;
    }
    in_span(filter.created, trade.created_at)
}

fn cargo_passes(filter: &CargoFilter, cargo: &Cargo) -> bool {
    let open = matches!(cargo.status, CargoStatus::Pending | CargoStatus::InTransit);
    if !in_scope(&filter.scope, &[&cargo.origin, &cargo.destination])
        || filter.origin.as_ref().is_some_and(|id| cargo.origin != *id)
        || filter.destination.as_ref().is_some_and(|id| cargo.destination != *id)
        || filter.status.is_some_and(|status| cargo.status != status)
        || filter.late_at.is_some_and(|now| !open || cargo.eta >= now)
    {
        return false;
    }
    in_span(filter.created, cargo.created_at)
}

fn in_scope(scope: &Scope, ends: &[&StationId]) -> bool {
    match scope {
        Scope::All => true,
        Scope::Of(set) => set.as_slice().iter().any(|station| ends.contains(&station)),
    }
}

fn in_span(span: TimeRange, at: Timestamp) -> bool {
    !(span.since.is_some_and(|since| at < since) || span.until.is_some_and(|until| at >= until))
}

fn spans() -> [TimeRange; 4] {
    let span = |since: Option<u64>, until: Option<u64>| TimeRange {
        since: since.map(minute),
        until: until.map(minute),
    };
    [span(None, None), span(Some(10), Some(45)), span(Some(50), None), span(None, Some(7))]
}

/// None, and each of some values.
fn or_none<T: Clone>(values: &[T]) -> impl Iterator<Item = Option<T>> {
    std::iter::once(None).chain(values.iter().cloned().map(Some))
}

/// The order of a list is that of creation, newest first; changes do not move a row.
pub async fn trades_are_listed_newest_first(h: Harness) {
    world(&h).await;
    let expected: Vec<_> = (0..60).rev().map(|n| format!("T-{n}")).collect();
    for limit in [1, 7, 60, 500] {
        let all = all_trades(h.store(), &TradeFilter::default(), limit).await;
        assert_eq!(ids(&all), expected, "in pages of {limit}");
    }
    let page = h
        .store()
        .trades(&TradeQuery { filter: TradeFilter::default(), before: None, limit: 7 })
        .await
        .unwrap();
    assert_eq!(page.rows.len(), 7, "a page of an unfiltered list is full");
    let all = h
        .store()
        .trades(&TradeQuery { filter: TradeFilter::default(), before: None, limit: 60 })
        .await
        .unwrap();
    assert_eq!((all.rows.len(), all.next), (60, None), "no next page where nothing follows");
}

/// Every combination, walked to its end, against all trades looked at one by one.
pub async fn trades_are_narrowed_by_every_combination_of_filters(h: Harness) {
    world(&h).await;
    let all = all_trades(h.store(), &TradeFilter::default(), 500).await;
    assert!(TradeStatus::ALL.iter().all(|status| all.iter().any(|trade| trade.status == *status)));
    let mut combinations = 0;
    for seller in or_none(&[station("a")]) {
        for buyer in or_none(&[station("b")]) {
            for party in or_none(&[station("a"), station("c")]) {
                for status in or_none(&[TradeStatus::Initiated, TradeStatus::Cancelled]) {
                    for goods in or_none(&[item("tea")]) {
                        for created in spans() {
                            let filter = TradeFilter {
                                scope: Scope::All,
                                station: party.clone(),
                                buyer: buyer.clone(),
                                seller: seller.clone(),
                                status,
                                item: goods.clone(),
                                created,
                            };
                            let found = all_trades(h.store(), &filter, 4).await;
                            let expected: Vec<_> =
                                all.iter().filter(|trade| trade_passes(&filter, trade)).cloned().collect();
                            assert_eq!(ids(&found), ids(&expected), "{filter:?}");
                            combinations += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(combinations, 2 * 2 * 3 * 3 * 2 * 4);
    for status in TradeStatus::ALL {
        let filter = TradeFilter { status: Some(*status), ..TradeFilter::default() };
        assert!(all_trades(h.store(), &filter, 3).await.iter().all(|trade| trade.status == *status));
    }
}

/// The same for shipments, those of trades and those of their own.
pub async fn cargo_is_narrowed_by_every_combination_of_filters(h: Harness) {
    world(&h).await;
    let all = all_cargo(h.store(), &CargoFilter::default(), 500).await;
    assert_eq!(all.len(), 80);
    let mut late = 0;
    for origin in or_none(&[station("a"), station("d")]) {
        for destination in or_none(&[station("b")]) {
            for status in or_none(CargoStatus::ALL) {
                for late_at in or_none(&[minute(30), minute(31), minute(60 * 24 * 30)]) {
                    for created in spans() {
                        let filter = CargoFilter {
                            scope: Scope::All,
                            origin: origin.clone(),
                            destination: destination.clone(),
                            status,
                            late_at,
                            created,
                        };
                        let found = all_cargo(h.store(), &filter, 4).await;
                        let expected: Vec<_> =
                            all.iter().filter(|cargo| cargo_passes(&filter, cargo)).cloned().collect();
                        assert_eq!(found, expected, "{filter:?}");
                        late += usize::from(late_at == Some(minute(31))) * found.len();
                    }
                }
            }
        }
    }
    assert!(late > 0, "something is late");
}

fn scope_of(stations: &[&str]) -> Scope {
    Scope::of(stations.iter().map(|id| station(id))).expect("a few stations")
}

/// A scope alone, and with each other filter: what touches none of its stations is not there, what touches two is there
/// once, and of an empty one nothing is.
pub async fn lists_are_narrowed_to_a_scope(h: Harness) {
    world(&h).await;
    let trades = all_trades(h.store(), &TradeFilter::default(), 500).await;
    let cargo = all_cargo(h.store(), &CargoFilter::default(), 500).await;
    let stations = all_stations(h.store(), 500, 1).await;
    let mut found_any = 0;
    for scope in [
        scope_of(&[]),
        scope_of(&["a"]),
        scope_of(&["nowhere"]),
        scope_of(&["b", "d", "nowhere"]),
        scope_of(&STATIONS),
    ] {
        let filter = TradeFilter { scope: scope.clone(), ..TradeFilter::default() };
        for filter in [
            filter.clone(),
            TradeFilter { seller: Some(station("b")), ..filter.clone() },
            TradeFilter { buyer: Some(station("c")), ..filter.clone() },
            TradeFilter { station: Some(station("a")), ..filter.clone() },
            TradeFilter { status: Some(TradeStatus::Cancelled), ..filter.clone() },
            TradeFilter { item: Some(item("tea")), ..filter.clone() },
            TradeFilter { created: spans()[1], ..filter.clone() },
        ] {
            for limit in [3, 100] {
                let found = all_trades(h.store(), &filter, limit).await;
                let expected: Vec<_> =
                    trades.iter().filter(|trade| trade_passes(&filter, trade)).cloned().collect();
                assert_eq!(ids(&found), ids(&expected), "{filter:?}");
                found_any += found.len();
            }
        }
        let filter = CargoFilter { scope: scope.clone(), ..CargoFilter::default() };
        for filter in [
            filter.clone(),
            CargoFilter { origin: Some(station("b")), ..filter.clone() },
            CargoFilter { destination: Some(station("c")), ..filter.clone() },
            CargoFilter { status: Some(CargoStatus::Lost), ..filter.clone() },
            CargoFilter { late_at: Some(minute(31)), ..filter.clone() },
            CargoFilter { created: spans()[1], ..filter.clone() },
        ] {
            for limit in [3, 100] {
                let found = all_cargo(h.store(), &filter, limit).await;
                let expected: Vec<_> =
                    cargo.iter().filter(|cargo| cargo_passes(&filter, cargo)).cloned().collect();
                assert_eq!(found, expected, "{filter:?}");
                found_any += found.len();
            }
        }
        for limit in [1, 500] {
            let mut walk = Walk::new(limit);
            while walk.take(
                h.store()
                    .inventory_list(&StationQuery {
                        scope: scope.clone(),
                        ..StationQuery::all(walk.before, limit, 1)
                    })
                    .await,
            ) {}
            let expected: Vec<_> = stations
                .iter()
                .filter(|inventory| in_scope(&scope, &[&inventory.station_id]))
                .cloned()
                .collect();
            assert_eq!(walk.rows, expected, "{scope:?}");
        }
    }
    assert!(found_any > 0, "something is in scope");
}

/// The same of as many stations as a scope can have, of which few trade, and some all the time.
pub async fn a_scope_of_a_thousand_stations_shows_what_is_theirs(h: Harness) {
    let id = |n: usize| format!("s-{n}");
    let stations: Vec<_> = (0..1_100).map(|n| open_station(&id(n), &[("tea", 1_000)])).collect();
    for some in stations.chunks(100) {
        h.write(some).await;
    }
    // Every third trade is of the busy ones; the others go around.
    let ends = |n: usize| match n % 3 {
        0 => (n % 2, 2),
        1 => (n * 7 % 1_100, n * 7 % 1_100 + 1),
        _ => (1_000 + n % 100, 1_000 + (n + 50) % 100),
    };
    let goods = [("tea", 1)];
    for some in (0..600_usize).collect::<Vec<_>>().chunks(100) {
        h.clock.set(minute(some[0] as u64));
        let commands: Vec<_> = some
            .iter()
            .flat_map(|n| {
                let (from, to) = ends(*n);
                let (from, to) = (id(from), id(to % 1_100));
                let deal = deal(Settlement::ALL[n / 2 % 2], &format!("T-{n}"), &from, &to, &goods);
                let back = (n % 5 == 0).then(|| transfer(&format!("X-{n}"), &to, &from, &goods));
                std::iter::once(initiate(deal)).chain(back.map(Command::CreateTransfer))
            })
            .collect();
        let service = h.service().await;
        for command in commands {
            taken(&service, command).await;
        }
        service.shutdown().await;
    }
    let (trades, cargo) = (
        all_trades(h.store(), &TradeFilter::default(), 500).await,
        all_cargo(h.store(), &CargoFilter::default(), 500).await,
    );
    assert_eq!(cargo.len(), 720);
    let wide = Scope::of((0..1_000).map(|n| station(&id(n)))).expect("a thousand");
    let sparse =
        Scope::of((0..1_000).filter(|n| n % 4 > 0 && *n > 3).map(|n| station(&id(n)))).expect("less");
    let created = TimeRange { since: Some(minute(150)), until: Some(minute(450)) };
    for scope in [wide, sparse] {
        let filter = TradeFilter { scope: scope.clone(), ..TradeFilter::default() };
        for (filter, limit) in [
            (filter.clone(), 7),
            (filter.clone(), 500),
            (TradeFilter { status: Some(TradeStatus::Initiated), ..filter.clone() }, 300),
            (TradeFilter { item: Some(item("tea")), created, ..filter.clone() }, 40),
            (TradeFilter { seller: Some(station("s-1")), ..filter.clone() }, 40),
        ] {
            let expected: Vec<_> =
                trades.iter().filter(|trade| trade_passes(&filter, trade)).cloned().collect();
            assert_eq!(ids(&all_trades(h.store(), &filter, limit).await), ids(&expected), "{limit}");
        }
        let query = TradeQuery { filter, before: None, limit: 50 };
        let page = h.store().trades(&query).await.expect("a page");
        assert_eq!(page.rows.len(), 50, "the first page is full");
        let filter = CargoFilter { scope, ..CargoFilter::default() };
        for (filter, limit) in [
            (filter.clone(), 7),
            (filter.clone(), 500),
            (CargoFilter { status: Some(CargoStatus::Pending), created, ..filter.clone() }, 300),
            (CargoFilter { late_at: Some(minute(1_000_000)), ..filter.clone() }, 40),
            (CargoFilter { origin: Some(station("s-2")), ..filter }, 40),
        ] {
            let expected: Vec<_> =
                cargo.iter().filter(|cargo| cargo_passes(&filter, cargo)).cloned().collect();
            assert_eq!(all_cargo(h.store(), &filter, limit).await, expected, "{limit}");
        }
    }
}

/// `since` is included, `until` is not, to the millisecond; spans that are empty or turned around hold nothing.
pub async fn spans_of_time_include_their_start_and_not_their_end(h: Harness) {
    world(&h).await;
    let count = async |since: Option<Timestamp>, until: Option<Timestamp>| {
        let created = TimeRange { since, until };
        let trades =
            all_trades(h.store(), &TradeFilter { created, ..TradeFilter::default() }, 50).await.len();
        let cargo = all_cargo(h.store(), &CargoFilter { created, ..CargoFilter::default() }, 50).await;
        assert_eq!(cargo.iter().filter(|cargo| cargo.transaction_id.is_some()).count(), trades);
        trades
    };
    let milli = Duration::from_millis(1);
    assert_eq!(count(Some(minute(20)), Some(minute(21))).await, 1);
    assert_eq!(count(Some(minute(20)), Some(minute(20).plus(milli))).await, 1);
    assert_eq!(count(Some(minute(20).plus(milli)), Some(minute(21))).await, 0);
    assert_eq!(count(Some(minute(20)), Some(minute(20))).await, 0);
    assert_eq!(count(Some(minute(21)), Some(minute(20))).await, 0);
    assert_eq!(count(Some(minute(59)), None).await, 1);
    assert_eq!(count(Some(minute(60)), None).await, 0);
    assert_eq!(count(None, Some(start_time())).await, 0);
    assert_eq!(count(Some(time("0000-01-01T00:00:00Z")), Some(time("9999-12-31T23:59:59.999Z"))).await, 60);
}

/// What was there when a walk began is seen once, whatever is added or changed meanwhile.
pub async fn a_walk_is_not_disturbed_by_what_is_added(h: Harness) {
    let service = world(&h).await;
    let filter = TradeFilter { station: Some(station("a")), ..TradeFilter::default() };
    for filter in [TradeFilter::default(), filter] {
        let expected = all_trades(h.store(), &filter, 500).await;
        let mut walk = Walk::new(5);
        loop {
            let page =
                h.store().trades(&TradeQuery { filter: filter.clone(), before: walk.before, limit: 5 }).await;
            if !walk.take(page) {
                break;
            }
            let head = h.store().head().await.unwrap().sequence;
            for n in 0..3 {
                taken(&service, initiate(sale(&format!("N-{head}-{n}"), "a", "b", &[("salt", 1)]))).await;
            }
        }
        let found = walk.rows;
        assert_eq!(ids(&found), ids(&expected));
    }
}

/// Unknown stations, items: empty lists, not errors.
pub async fn a_filter_of_something_unknown_finds_nothing(h: Harness) {
    world(&h).await;
    let unknown = Some(station("nowhere"));
    for filter in [
        TradeFilter { station: unknown.clone(), ..TradeFilter::default() },
        TradeFilter { buyer: unknown.clone(), ..TradeFilter::default() },
        TradeFilter {
            seller: unknown.clone(),
            status: Some(TradeStatus::Initiated),
            ..TradeFilter::default()
        },
        TradeFilter { item: Some(item("unobtainium")), ..TradeFilter::default() },
    ] {
        assert!(all_trades(h.store(), &filter, 5).await.is_empty(), "{filter:?}");
    }
    let filter = CargoFilter { origin: unknown.clone(), destination: unknown, ..CargoFilter::default() };
    let page = h.store().cargo_list(&CargoQuery { filter, before: None, limit: 5 }).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (0, None));
}

/// A trade is in the list of the status it has, and in no other.
pub async fn a_changed_status_moves_a_trade_between_lists(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 9)])).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 1)]))).await;
    let lists = async || {
        let mut found = Vec::new();
        for status in TradeStatus::ALL {
            let filter = TradeFilter { status: Some(*status), ..TradeFilter::default() };
            found.extend(all_trades(h.store(), &filter, 5).await.iter().map(|trade| (*status, trade.status)));
        }
        let mut cargo = Vec::new();
        for status in CargoStatus::ALL {
            let filter = CargoFilter { status: Some(*status), ..CargoFilter::default() };
            cargo.extend(all_cargo(h.store(), &filter, 5).await.iter().map(|cargo| (*status, cargo.status)));
        }
        (found, cargo)
    };
    for (status, trade) in [
        (CargoStatus::Pending, TradeStatus::Initiated),
        (CargoStatus::InTransit, TradeStatus::Initiated),
        (CargoStatus::Lost, TradeStatus::Failed),
    ] {
        taken(&service, move_cargo(shipment_of("T-1"), status)).await;
        assert_eq!(lists().await, (vec![(trade, trade)], vec![(status, status)]));
        assert_eq!(
            h.store().trade(&trade_id("T-1")).await.unwrap().unwrap().status,
            trade,
            "and so it is read alone"
        );
        assert_eq!(h.store().cargo(&shipment_of("T-1")).await.unwrap().unwrap().status, status);
    }
}

/// Several trades of one millisecond, and of one commit, keep the order in which they were made.
pub async fn order_is_that_of_creation_not_of_the_clock(h: Harness) {
    h.write(&[open_station("a", &[("tea", 99)]), open_station("b", &[])]).await;
    let trades: Vec<_> = ["z", "b", "y", "a"].map(|id| initiate(sale(id, "a", "b", &[("tea", 1)]))).into();
    h.write(&trades).await;
    h.write(&[initiate(sale("m", "a", "b", &[("tea", 1)]))]).await;
    assert_eq!(ids(&all_trades(h.store(), &TradeFilter::default(), 2).await), ["m", "a", "y", "b", "z"]);
    let by_item = TradeFilter { item: Some(item("tea")), ..TradeFilter::default() };
    assert_eq!(ids(&all_trades(h.store(), &by_item, 2).await), ["m", "a", "y", "b", "z"]);
}

/// A shipment's history is what the log says of it, oldest first, in pages.
pub async fn cargo_history_holds_every_event_of_a_shipment(h: Harness) {
    world(&h).await;
    let stored = Snapshot::of(h.store()).await;
    let events = stored.events();
    for cargo in &stored.cargo {
        let subject = format!("cargo/{}", cargo.shipment_id);
        let expected: Vec<_> =
            events.iter().filter(|event| event.subject() == subject).map(|event| event.sequence).collect();
        assert_eq!(expected.len() as u64, cargo.version);
        let mut found = Vec::new();
        while let Some(next) = h
            .store()
            .cargo_history(&cargo.shipment_id, found.last().copied().unwrap_or(0), 1)
            .await
            .unwrap()
            .first()
        {
            found.push(*next);
        }
        assert_eq!(found, expected, "{subject}, one at a time");
        assert_eq!(
            h.store().cargo_history(&cargo.shipment_id, 0, 2).await.unwrap(),
            expected[..expected.len().min(2)]
        );
        assert_eq!(stored.history[&cargo.shipment_id], expected);
    }
}
