//! The stock ledger: double entry, in order.

use super::harness::{Harness, taken};
use crate::command::{AdjustmentReason, Command};
use crate::resource::{CargoStatus, LedgerEntry, MovementReason, Place, Settlement};
use crate::store::{LedgerPosition, LedgerQuery};
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use crate::testing::snapshot::Snapshot;
use crate::values::{ItemId, StationId};

/// The ledger of a station, walked in pages.
async fn walk(
    h: &Harness,
    station_id: &StationId,
    item_id: Option<ItemId>,
    limit: usize,
) -> Vec<LedgerEntry> {
    let mut query = LedgerQuery { item: item_id, before: None, limit };
    let mut rows = Vec::new();
    loop {
        let page = h.store().ledger(station_id, &query).await.unwrap();
        assert!(page.rows.len() <= limit);
        rows.extend(page.rows);
        let Some(next) = page.next else { return rows };
        assert!(query.before.is_none_or(|before| next < before), "the pages go on");
        query.before = Some(next);
    }
}

/// Trades of every settlement and end between three stations.
async fn world(h: &Harness) {
    let service = h.service().await;
    for id in ["a", "b", "c"] {
        taken(&service, open_station(id, &[("tea", 100), ("rice", 100)])).await;
    }
    let ends = [CargoStatus::Delivered, CargoStatus::Returned, CargoStatus::Lost];
    for (n, end) in ends.into_iter().cycle().take(12).enumerate() {
        let id = format!("T-{n}");
        let (seller, buyer) = (["a", "b", "c"][n % 3], ["b", "c", "a"][n % 3]);
        let settlement = Settlement::ALL[n % 2];
        taken(&service, initiate(deal(settlement, &id, seller, buyer, &[("tea", 2), ("rice", 1)]))).await;
        taken(&service, move_cargo(shipment_of(&id), CargoStatus::InTransit)).await;
        taken(&service, move_cargo(shipment_of(&id), end)).await;
        taken(&service, adjust(seller, &[("tea", 3), ("tea", -1)])).await;
    }
}

/// Each movement names where it left, where it went, why, when and for whom; and both stations list it.
pub async fn every_movement_is_a_row_of_both_its_stations(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 10)])).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, initiate(sale("T-1", "a", "b", &[("tea", 4)]))).await;
    taken(&service, initiate(order("T-2", "a", "b", &[("tea", 3)]))).await;
    taken(&service, move_cargo(shipment_of("T-2"), CargoStatus::InTransit)).await;
    taken(&service, move_cargo(shipment_of("T-2"), CargoStatus::Delivered)).await;
    taken(&service, adjust("b", &[("tea", -2)])).await;
    let [a, b] = ["a", "b"].map(|id| Place::Station(station(id)));
    let row = |sequence, quantity_moved, from: &Place, to: &Place, reason, trade: Option<&str>| LedgerEntry {
        sequence,
        time: start_time(),
        item_id: item("tea"),
        quantity: quantity(quantity_moved),
        from: from.clone(),
        to: to.clone(),
        reason,
        transaction_id: trade.map(trade_id),
        shipment_id: trade.map(shipment_of),
    };
    // Sequences: 1 and 2 the stations; 3 to 6 T-1; 7 to 10 T-2; 11, 12 departure; 13 to 15 arrival; 16 adjustment.
    let expected = [
        row(1, 10, &Place::World, &a, MovementReason::Opening, None),
        row(5, 4, &a, &b, MovementReason::TradeInitiated, Some("T-1")),
        row(12, 3, &a, &Place::Transit, MovementReason::CargoDeparted, Some("T-2")),
        row(15, 3, &Place::Transit, &b, MovementReason::CargoDelivered, Some("T-2")),
        row(16, 2, &b, &Place::World, MovementReason::Correction, None),
    ];
    assert_eq!(Snapshot::of(h.store()).await.ledger, expected);
    let of = |places: &[usize]| places.iter().map(|n| expected[*n].clone()).collect::<Vec<_>>();
    assert_eq!(walk(&h, &station("a"), None, 10).await, of(&[2, 1, 0]));
    assert_eq!(walk(&h, &station("b"), None, 10).await, of(&[4, 3, 1]));
    audit(h.store()).await;
}

/// The rows that leave or enter a station, and what was lost on its way there.
async fn of_station(h: &Harness, all: &[LedgerEntry], id: &StationId) -> Vec<LedgerEntry> {
    let here = Place::Station(id.clone());
    let mut rows = Vec::new();
    for row in all {
        let lost_on_its_way = match (&row.from, &row.to, &row.shipment_id) {
            (Place::Transit, Place::World, Some(shipment)) => {
                h.store().cargo(shipment).await.unwrap().unwrap().destination == *id
            }
            _ => false,
        };
        if row.from == here || row.to == here || lost_on_its_way {
            rows.push(row.clone());
        }
    }
    rows
}

/// Pages of any size give the station's rows of the whole ledger, newest first, none twice.
pub async fn the_ledger_of_a_station_is_paged_newest_first(h: Harness) {
    world(&h).await;
    let all = audit(h.store()).await.ledger;
    for id in ["a", "b", "c"] {
        let mut expected = of_station(&h, &all, &station(id)).await;
        expected.reverse();
        for limit in [1, 2, 3, 1_000] {
            assert_eq!(walk(&h, &station(id), None, limit).await, expected, "{id} in pages of {limit}");
        }
    }
    assert!(walk(&h, &station("nowhere"), None, 5).await.is_empty());
}

/// Of one item only.
pub async fn the_ledger_is_narrowed_by_item(h: Harness) {
    world(&h).await;
    let all = Snapshot::of(h.store()).await.ledger;
    let here = of_station(&h, &all, &station("a")).await;
    for name in ["tea", "rice", "salt"] {
        let mine = here.iter().rev().filter(|row| row.item_id == item(name));
        assert_eq!(walk(&h, &station("a"), Some(item(name)), 2).await, mine.cloned().collect::<Vec<_>>());
    }
}

/// Every row once, in the order of the log, whatever the size of a page; and the order within an event is kept.
pub async fn the_whole_ledger_is_walked_oldest_first(h: Harness) {
    world(&h).await;
    let events = Snapshot::of(h.store()).await.events();
    let expected: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.data {
            crate::event::EventData::Inventory(update) => Some(update.movements.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    for limit in [1, 3, 1_000] {
        let mut rows = Vec::new();
        let mut after = LedgerPosition::default();
        loop {
            let page = h.store().ledger_after(after, limit).await.unwrap();
            assert!(page.rows.len() <= limit);
            rows.extend(page.rows);
            let Some(next) = page.next else { break };
            after = next;
        }
        assert_eq!(rows, expected, "in pages of {limit}");
    }
}

/// All seven reasons of adjustments.
pub async fn every_reason_is_kept(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[])).await;
    for reason in AdjustmentReason::ALL {
        let mut command = adjustment("a", &[("tea", 1)]);
        command.adjustments[0].reason = reason;
        taken(&service, Command::AdjustInventory(command)).await;
    }
    let reasons: Vec<_> = audit(h.store()).await.ledger.iter().map(|row| row.reason).collect();
    assert_eq!(reasons, AdjustmentReason::ALL.map(AdjustmentReason::movement));
}
