//! Loading: exactly what is asked for, and the head and receipts with it.

use super::harness::{Harness, receipt};
use crate::command::{Command, RequestId};
use crate::resource::Settlement;
use crate::store::{
    CargoFilter, Head, InventoryQuery, Keys, LedgerPosition, LedgerQuery, Receipt, Span, TradeFilter,
};
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use crate::testing::snapshot::{Snapshot, all_cargo, all_stations, all_trades};
use crate::values::ShipmentId;

fn world() -> Vec<Command> {
    vec![
        open_station("a", &[("tea", 50), ("rice", 7)]),
        open_station("b", &[]),
        open_station("c", &[("tea", 1)]),
        initiate(sale("T-1", "a", "b", &[("tea", 3)])),
        initiate(order("T-2", "a", "b", &[("tea", 4), ("rice", 2)])),
        Command::CreateTransfer(transfer("X-1", "c", "b", &[("tea", 1)])),
    ]
}

/// An empty store has no head, no rows, no receipts.
pub async fn nothing_is_found_in_an_empty_store(h: Harness) {
    let keys = Keys {
        trades: [trade_id("T-1")].into(),
        cargo: [shipment_of("T-1")].into(),
        stations: [station("a")].into(),
        stock: [(station("a"), item("tea"))].into(),
        inventories: [station("a")].into(),
        requests: [RequestId([7; 16])].into(),
    };
    let loaded = h.store().load(&keys).await.unwrap();
    assert_eq!(loaded.head, Head::EMPTY);
    assert!(loaded.trades.is_empty() && loaded.cargo.is_empty() && loaded.stations.is_empty());
    assert!(loaded.stock.is_empty() && loaded.receipts.is_empty());
    assert_eq!(h.store().head().await.unwrap(), Head::EMPTY);
    assert_eq!(h.store().trade(&trade_id("T-1")).await.unwrap(), None);
    assert_eq!(h.store().cargo(&shipment_of("T-1")).await.unwrap(), None);
    let all = InventoryQuery { items: vec![], after: None, limit: 5 };
    assert_eq!(h.store().inventory(&station("a"), &all).await.unwrap(), None);
    assert!(h.store().cargo_history(&shipment_of("T-1"), 0, 5).await.unwrap().is_empty());
    let ledger =
        h.store().ledger(&station("a"), &LedgerQuery { item: None, before: None, limit: 5 }).await.unwrap();
    assert_eq!((ledger.rows.len(), ledger.next), (0, None));
    let ledger = h.store().ledger_after(LedgerPosition::default(), 5).await.unwrap();
    assert_eq!((ledger.rows.len(), ledger.next), (0, None));
    assert!(h.store().expired_trades(time("9999-01-01T00:00:00Z"), 5).await.unwrap().is_empty());
    assert!(h.store().read(0, 5, 1 << 20).await.unwrap().is_empty());
    assert_eq!(Snapshot::of(h.store()).await, Snapshot::default());
}

/// Each kind of key brings its own rows and no others.
pub async fn what_is_asked_for_is_found_and_nothing_else(h: Harness) {
    h.write(&world()).await;
    let keys = Keys { trades: [trade_id("T-2"), trade_id("T-9")].into(), ..Keys::default() };
    let loaded = h.store().load(&keys).await.unwrap();
    assert_eq!(loaded.trades.iter().map(|t| t.transaction_id.as_str()).collect::<Vec<_>>(), ["T-2"]);
    assert!(loaded.cargo.is_empty() && loaded.stations.is_empty() && loaded.stock.is_empty());
    let keys =
        Keys { cargo: [shipment_id("X-1"), shipment_of("T-1"), shipment_id("no")].into(), ..Keys::default() };
    let mut found: Vec<_> =
        h.store().load(&keys).await.unwrap().cargo.iter().map(|c| c.shipment_id.clone()).collect();
    found.sort();
    found.dedup();
    assert_eq!(found, [shipment_id("X-1"), shipment_of("T-1")]);
    let keys = Keys {
        stations: [station("b"), station("no")].into(),
        stock: [(station("b"), item("tea")), (station("b"), item("gold")), (station("c"), item("rice"))]
            .into(),
        ..Keys::default()
    };
    let loaded = h.store().load(&keys).await.unwrap();
    assert!(loaded.stations.iter().all(|s| s.station_id == station("b")) && !loaded.stations.is_empty());
    assert!(!loaded.stock.is_empty());
    for row in &loaded.stock {
        assert_eq!((&row.station_id, &row.item_id, row.level), (&station("b"), &item("tea"), level(3, 0, 5)));
    }
    assert!(loaded.trades.is_empty() && loaded.cargo.is_empty());
}

/// `inventories` brings every item of a station, not only those named.
pub async fn a_whole_inventory_is_loaded_with_all_its_items(h: Harness) {
    h.write(&world()).await;
    let keys = Keys {
        stations: [station("a")].into(),
        inventories: [station("a")].into(),
        stock: [(station("a"), item("tea"))].into(),
        ..Keys::default()
    };
    let loaded = h.store().load(&keys).await.unwrap();
    let mut rows: Vec<_> = loaded.stock.iter().map(|row| (row.item_id.as_str(), row.level)).collect();
    rows.sort_by_key(|(item, _)| *item);
    rows.dedup();
    assert_eq!(rows, [("rice", level(7, 2, 0)), ("tea", level(47, 4, 0))]);
}

/// The rows under the keys are those of single reads and of lists.
pub async fn what_is_loaded_is_what_the_repositories_show(h: Harness) {
    h.write(&world()).await;
    let keys = Keys {
        trades: [trade_id("T-1"), trade_id("T-2")].into(),
        cargo: [shipment_of("T-1"), shipment_of("T-2"), shipment_id("X-1")].into(),
        stations: [station("a"), station("b"), station("c")].into(),
        ..Keys::default()
    };
    let mut loaded = h.store().load(&keys).await.unwrap();
    assert_eq!(loaded.head, h.store().head().await.unwrap());
    for trade in &loaded.trades {
        assert_eq!(h.store().trade(&trade.transaction_id).await.unwrap().as_ref(), Some(trade));
    }
    for cargo in &loaded.cargo {
        assert_eq!(h.store().cargo(&cargo.shipment_id).await.unwrap().as_ref(), Some(cargo));
    }
    loaded.trades.sort_by(|a, b| b.transaction_id.cmp(&a.transaction_id));
    assert_eq!(all_trades(h.store(), &TradeFilter::default(), 10).await, loaded.trades);
    assert_eq!(all_cargo(h.store(), &CargoFilter::default(), 10).await.len(), loaded.cargo.len());
    for listed in all_stations(h.store(), 10, 10).await {
        let station = loaded.stations.iter().find(|s| s.station_id == listed.station_id).unwrap();
        let total: u64 = listed.items.iter().map(|item| item.level.on_hand).sum();
        assert_eq!(station.on_hand_total, u128::from(total));
        assert_eq!((station.item_count, station.version), (listed.item_count, listed.version));
        assert_eq!((&station.name, station.updated_at), (&listed.name, listed.updated_at));
    }
    let requested = time("2027-01-01T00:00:00Z");
    let mut asked = deal(Settlement::OnDelivery, "T-3", "a", "b", &[("tea", 1)]);
    asked.eta = Some(requested);
    h.write(&[initiate(asked)]).await;
    let keys = Keys { cargo: [shipment_of("T-3")].into(), ..Keys::default() };
    let cargo = h.store().load(&keys).await.unwrap().cargo[0].clone();
    assert_eq!((cargo.eta, cargo.requested_eta), (requested, Some(requested)), "what was asked for is kept");
}

/// A group of commands names thousands of rows; no limit of an engine on parameters or on the size of a query shows.
pub async fn thousands_of_keys_are_loaded_at_once(h: Harness) {
    const COUNT: usize = 3_000;
    let names: Vec<_> = (0..COUNT).map(|n| format!("item-{n:05}")).collect();
    let stock: Vec<_> = names.iter().map(|name| (name.as_str(), 5)).collect();
    h.write(&[open_station("a", &stock), open_station("b", &[])]).await;
    let trades = (0..COUNT).map(|n| trade_id(&format!("T-{n}")));
    let keys = Keys {
        cargo: trades.clone().map(|id| ShipmentId::of_trade(&id)).collect(),
        trades: trades.collect(),
        stations: (0..COUNT)
            .map(|n| station(&format!("s-{n}")))
            .chain([station("a"), station("b")])
            .collect(),
        stock: names.iter().flat_map(|name| ["a", "b"].map(|s| (station(s), item(name)))).collect(),
        inventories: [station("a"), station("b")].into(),
        requests: (0..COUNT as u128).map(|n| RequestId(n.to_be_bytes())).collect(),
    };
    let mut loaded = h.store().load(&keys).await.unwrap();
    assert!(loaded.trades.is_empty() && loaded.cargo.is_empty() && loaded.receipts.is_empty());
    loaded.stock.sort_by(|a, b| a.item_id.cmp(&b.item_id));
    loaded.stock.dedup();
    assert_eq!(loaded.stock.len(), COUNT, "the stock of a; b lists nothing");
    assert!(loaded.stock.iter().all(|row| row.station_id == station("a") && row.level == level(5, 0, 0)));
}

/// A receipt comes back with its fingerprint, its time and its answer, or without one.
pub async fn a_receipt_is_loaded_as_it_was_kept(h: Harness) {
    let mut commit = h.prepare(&[open_station("a", &[])]).await;
    let with_answer = receipt(1, start_time());
    let without = Receipt { answer: None, ..receipt(2, start_time()) };
    let large = Receipt { answer: Some(vec![0xA5; 300_000]), ..receipt(3, start_time()) };
    commit.receipts = vec![with_answer.clone(), without.clone(), large.clone()];
    h.store().commit(&commit).await.unwrap();
    let keys = Keys { requests: (1..=4).map(|n| RequestId([n; 16])).collect(), ..Keys::default() };
    let mut receipts = h.store().load(&keys).await.unwrap().receipts;
    receipts.sort_by_key(|receipt| receipt.request);
    assert_eq!(receipts, [with_answer, without, large]);
}

/// A receipt names its steps where they landed, also where the log had moved on; those that name some are listed.
pub async fn a_receipt_names_its_steps_where_they_landed(h: Harness) {
    h.write(&[open_station("a", &[("tea", 5)])]).await;
    let mut commit = h.prepare(&[adjust("a", &[("tea", 1)]), adjust("a", &[("tea", 2)])]).await;
    let named = |request, first, last| {
        let steps = Some(Span { first, last });
        Receipt { steps, answer: Some(vec![request; 2_000_000]), ..receipt(request, commit.time) }
    };
    let [both, second] = [named(1, 2, 3), named(3, 3, 3)];
    commit.receipts = vec![both.clone(), receipt(2, commit.time), second.clone()];
    h.write(&[open_station("b", &[]), open_station("c", &[])]).await;
    h.store().commit(&commit).await.unwrap();
    let moved = |receipt: Receipt| {
        let steps = receipt.steps.map(|steps| steps.shifted(2));
        Receipt { steps, ..receipt }
    };
    let keys = Keys { requests: [both.request, second.request].into(), ..Keys::default() };
    let mut loaded = h.store().load(&keys).await.unwrap().receipts;
    loaded.sort_by_key(|receipt| receipt.request);
    assert_eq!(
        loaded.iter().map(|receipt| receipt.steps).collect::<Vec<_>>(),
        [Some(Span { first: 4, last: 5 }), Some(Span { first: 5, last: 5 })]
    );
    let listed = [both, second].map(|receipt| Receipt { answer: None, ..moved(receipt) });
    assert_eq!(h.store().receipts(None, 9).await.unwrap(), listed);
    assert_eq!(h.store().receipts(None, 1).await.unwrap(), listed[..1]);
    assert_eq!(h.store().receipts(Some(listed[0].request), 1).await.unwrap(), listed[1..]);
    assert_eq!(h.store().receipts(Some(listed[1].request), 9).await.unwrap(), []);
    audit(h.store()).await;
}
