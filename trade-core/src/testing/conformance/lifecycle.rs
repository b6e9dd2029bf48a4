//! The life of trades, shipments and stock, with the exact levels of every step.

use super::harness::{Harness, of_cargo, of_trade, refused, taken};
use crate::command::{Command, Outcome, Precondition, UpdateCargo, UpdateTrade};
use crate::rejection::Rejection;
use crate::resource::{CargoStatus, MovementReason, Settlement, TradeStatus};
use crate::service::TradeService;
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use crate::testing::snapshot::Snapshot;
use std::time::Duration;

/// A service with a station `a` of 50 tea and 9 rice, and a station `b` of 5 tea.
async fn start(h: &Harness) -> TradeService {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 50), ("rice", 9)])).await;
    taken(&service, open_station("b", &[("tea", 5)])).await;
    service
}

/// Moves the shipment of T-1.
async fn ship(service: &TradeService, status: CargoStatus) -> crate::command::CargoOutcome {
    of_cargo(taken(service, move_cargo(shipment_of("T-1"), status)).await)
}

async fn trade_status(h: &Harness) -> (TradeStatus, u64) {
    let trade = h.store().trade(&trade_id("T-1")).await.unwrap().unwrap();
    (trade.status, trade.version)
}

/// Seller −q and buyer +q when it is initiated; nothing when it departs or arrives.
pub async fn an_immediate_trade_moves_stock_at_once(h: Harness) {
    let service = start(&h).await;
    let made = of_trade(taken(&service, initiate(sale("T-1", "a", "b", &[("tea", 20), ("rice", 9)]))).await);
    assert!(made.created);
    assert_eq!((made.trade.status, made.cargo.status), (TradeStatus::Initiated, CargoStatus::Pending));
    assert_eq!((made.trade.version, made.cargo.version, made.trade.created_at), (1, 1, start_time()));
    assert_eq!(made.cargo.eta, start_time().plus(Duration::from_secs(7 * 24 * 3_600)), "seven days ahead");
    let moved =
        [("a", "tea", 30, 0, 0), ("b", "tea", 25, 0, 0), ("a", "rice", 0, 0, 0), ("b", "rice", 9, 0, 0)];
    h.assert_levels(&moved).await;
    assert_eq!(ship(&service, CargoStatus::InTransit).await.trade, None);
    h.assert_levels(&moved).await;
    let arrived = ship(&service, CargoStatus::Delivered).await;
    assert_eq!(arrived.trade.map(|trade| trade.status), Some(TradeStatus::Completed));
    h.assert_levels(&moved).await;
    assert_eq!(trade_status(&h).await, (TradeStatus::Completed, 2));
    let stored = audit(h.store()).await;
    assert_eq!(
        stored.inventory(&station("a")).unwrap().version,
        2,
        "a step without movement leaves a station alone"
    );
}

/// Reserved and incoming first, then in transit, then on hand at the buyer.
pub async fn an_order_moves_stock_when_it_departs_and_arrives(h: Harness) {
    let service = start(&h).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 20)]))).await;
    h.assert_levels(&[("a", "tea", 50, 20, 0), ("b", "tea", 5, 0, 20)]).await;
    ship(&service, CargoStatus::InTransit).await;
    h.assert_levels(&[("a", "tea", 30, 0, 0), ("b", "tea", 5, 0, 20)]).await;
    ship(&service, CargoStatus::Delivered).await;
    h.assert_levels(&[("a", "tea", 30, 0, 0), ("b", "tea", 25, 0, 0)]).await;
    assert_eq!(trade_status(&h).await, (TradeStatus::Completed, 2));
    let stored = audit(h.store()).await;
    let versions = ["a", "b"].map(|id| stored.inventory(&station(id)).unwrap().version);
    assert_eq!(versions, [3, 3], "departure changes the seller only, arrival the buyer only");
}

/// For both settlements, and by either request, everything is as it was before.
pub async fn cancelling_restores_every_level(h: Harness) {
    let service = start(&h).await;
    let before = [("a", "tea", 50, 0, 0), ("b", "tea", 5, 0, 0), ("a", "rice", 9, 0, 0)];
    for (n, settlement) in [(1, Settlement::Immediate), (2, Settlement::OnDelivery)] {
        for by_trade in [true, false] {
            let id = format!("T-{n}-{by_trade}");
            taken(&service, initiate(deal(settlement, &id, "a", "b", &[("tea", 50), ("rice", 2)]))).await;
            if by_trade {
                let ended = of_trade(taken(&service, end_trade(&id, TradeStatus::Cancelled)).await);
                assert_eq!(ended.cargo.status, CargoStatus::Cancelled);
            } else {
                let ended =
                    of_cargo(taken(&service, move_cargo(shipment_of(&id), CargoStatus::Cancelled)).await);
                assert_eq!(ended.trade.unwrap().status, TradeStatus::Cancelled);
            }
            h.assert_levels(&before).await;
        }
    }
    h.assert_levels(&[("b", "rice", 0, 0, 0)]).await;
    audit(h.store()).await;
}

/// For both settlements the goods are at the seller again, and the trade is cancelled.
pub async fn a_returned_shipment_brings_the_goods_back(h: Harness) {
    for (n, settlement) in Settlement::ALL.iter().enumerate() {
        let service = h.service().await;
        let [a, b, id] = ["a", "b", "T"].map(|name| format!("{name}-{n}"));
        taken(&service, open_station(&a, &[("tea", 50)])).await;
        taken(&service, open_station(&b, &[("tea", 5)])).await;
        taken(&service, initiate(deal(*settlement, &id, &a, &b, &[("tea", 20)]))).await;
        taken(&service, move_cargo(shipment_of(&id), CargoStatus::InTransit)).await;
        let ended = of_cargo(taken(&service, move_cargo(shipment_of(&id), CargoStatus::Returned)).await);
        assert_eq!(ended.trade.unwrap().status, TradeStatus::Cancelled);
        h.assert_levels(&[(&a, "tea", 50, 0, 0), (&b, "tea", 5, 0, 0)]).await;
    }
    audit(h.store()).await;
}

/// For both settlements the goods are nowhere, written off, and the trade has failed.
pub async fn a_lost_shipment_is_written_off(h: Harness) {
    for (n, settlement) in Settlement::ALL.iter().enumerate() {
        let service = h.service().await;
        let [a, b, id] = ["a", "b", "T"].map(|name| format!("{name}-{n}"));
        taken(&service, open_station(&a, &[("tea", 50)])).await;
        taken(&service, open_station(&b, &[("tea", 5)])).await;
        taken(&service, initiate(deal(*settlement, &id, &a, &b, &[("tea", 20)]))).await;
        taken(&service, move_cargo(shipment_of(&id), CargoStatus::InTransit)).await;
        let ended = of_cargo(taken(&service, move_cargo(shipment_of(&id), CargoStatus::Lost)).await);
        assert_eq!(ended.trade.unwrap().status, TradeStatus::Failed);
        h.assert_levels(&[(&a, "tea", 30, 0, 0), (&b, "tea", 5, 0, 0)]).await;
    }
    let lost =
        audit(h.store()).await.ledger.into_iter().filter(|row| row.reason == MovementReason::CargoLost);
    assert_eq!(lost.map(|row| row.quantity.units()).collect::<Vec<_>>(), [20, 20]);
}

/// A transfer reserves, departs and arrives as an order does, without a trade.
pub async fn a_transfer_settles_on_delivery(h: Harness) {
    let service = start(&h).await;
    let made =
        of_cargo(taken(&service, Command::CreateTransfer(transfer("X-1", "a", "b", &[("tea", 7)]))).await);
    assert!(made.created && made.trade.is_none() && made.cargo.transaction_id.is_none());
    h.assert_levels(&[("a", "tea", 50, 7, 0), ("b", "tea", 5, 0, 7)]).await;
    taken(&service, move_cargo(shipment_id("X-1"), CargoStatus::InTransit)).await;
    h.assert_levels(&[("a", "tea", 43, 0, 0), ("b", "tea", 5, 0, 7)]).await;
    taken(&service, move_cargo(shipment_id("X-1"), CargoStatus::Delivered)).await;
    h.assert_levels(&[("a", "tea", 43, 0, 0), ("b", "tea", 12, 0, 0)]).await;
    audit(h.store()).await;
}

/// The other ends of a transfer.
pub async fn a_transfer_can_be_cancelled_returned_and_lost(h: Harness) {
    let service = start(&h).await;
    for (id, end) in
        [("X-1", CargoStatus::Cancelled), ("X-2", CargoStatus::Returned), ("X-3", CargoStatus::Lost)]
    {
        taken(&service, Command::CreateTransfer(transfer(id, "a", "b", &[("tea", 7)]))).await;
        if end != CargoStatus::Cancelled {
            taken(&service, move_cargo(shipment_id(id), CargoStatus::InTransit)).await;
        }
        let ended = of_cargo(taken(&service, move_cargo(shipment_id(id), end)).await);
        assert_eq!(
            (ended.cargo.status, ended.cargo.version),
            (end, if end == CargoStatus::Cancelled { 2 } else { 3 })
        );
    }
    h.assert_levels(&[("a", "tea", 43, 0, 0), ("b", "tea", 5, 0, 0)]).await;
    audit(h.store()).await;
}

/// A trade and its cargo end together, whichever is asked for.
pub async fn completing_a_trade_delivers_its_cargo(h: Harness) {
    let service = start(&h).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 20)]))).await;
    ship(&service, CargoStatus::InTransit).await;
    let ended = of_trade(taken(&service, end_trade("T-1", TradeStatus::Completed)).await);
    assert_eq!((ended.trade.status, ended.cargo.status), (TradeStatus::Completed, CargoStatus::Delivered));
    assert_eq!((ended.trade.version, ended.cargo.version), (2, 3));
    h.assert_levels(&[("a", "tea", 30, 0, 0), ("b", "tea", 25, 0, 0)]).await;
    assert_eq!(h.store().cargo(&shipment_of("T-1")).await.unwrap().unwrap(), ended.cargo);
}

/// Location and ETA change while it is under way, and not afterwards.
pub async fn a_shipment_is_tracked_until_it_is_final(h: Harness) {
    let service = start(&h).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 20)]))).await;
    let seen = |place: &str| {
        Command::UpdateCargo(UpdateCargo { location: Some(label(place)), ..track(shipment_of("T-1")) })
    };
    let late = time("2027-01-01T00:00:00Z");
    assert_eq!(of_cargo(taken(&service, seen("dock 4")).await).cargo.version, 2);
    assert_eq!(of_cargo(taken(&service, seen("dock 4")).await).cargo.version, 2, "nothing new");
    h.clock.advance(Duration::from_secs(60));
    let both =
        UpdateCargo { status: Some(CargoStatus::InTransit), eta: Some(late), ..track(shipment_of("T-1")) };
    let moved = of_cargo(taken(&service, Command::UpdateCargo(both)).await).cargo;
    assert_eq!((moved.version, moved.eta, moved.status), (3, late, CargoStatus::InTransit));
    assert_eq!(moved.location, Some(label("dock 4")), "what is not named stays");
    assert_eq!(
        (moved.created_at, moved.updated_at),
        (start_time(), start_time().plus(Duration::from_secs(60)))
    );
    ship(&service, CargoStatus::Delivered).await;
    let refusal = refused(&service, seen("the moon")).await;
    assert!(
        matches!(&refusal, Rejection::IllegalCargoTransition { from, to, allowed, .. }
            if from == to && *from == CargoStatus::Delivered && allowed.is_empty()),
        "{refusal:?}"
    );
    let stored = h.store().cargo(&shipment_of("T-1")).await.unwrap().unwrap();
    assert_eq!((stored.location.clone(), stored.eta, stored.version), (Some(label("dock 4")), late, 4));
    audit(h.store()).await;
}

/// Asking again is answered with what is, and leaves no trace.
pub async fn the_status_it_is_in_already_changes_nothing(h: Harness) {
    let service = start(&h).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 20)]))).await;
    for (status, ended) in [
        (CargoStatus::Pending, None),
        (CargoStatus::InTransit, None),
        (CargoStatus::Delivered, Some(TradeStatus::Completed)),
    ] {
        ship(&service, status).await;
        let before = Snapshot::of(h.store()).await;
        assert_eq!(ship(&service, status).await.cargo.status, status);
        taken(&service, end_trade("T-1", ended.unwrap_or(TradeStatus::Initiated))).await;
        assert_eq!(Snapshot::of(h.store()).await, before);
    }
}

/// An illegal step is refused with both states and what is allowed, and nothing is different afterwards.
pub async fn what_the_status_does_not_allow_is_refused_and_changes_nothing(h: Harness) {
    let service = start(&h).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 20)]))).await;
    let before = Snapshot::of(h.store()).await;
    let refusal = refused(&service, move_cargo(shipment_of("T-1"), CargoStatus::Delivered)).await;
    let expected = Rejection::IllegalCargoTransition {
        shipment_id: shipment_of("T-1"),
        from: CargoStatus::Pending,
        to: CargoStatus::Delivered,
        allowed: vec![CargoStatus::InTransit, CargoStatus::Cancelled],
    };
    assert_eq!(refusal, expected);
    let refusal = refused(&service, end_trade("T-1", TradeStatus::Completed)).await;
    assert_eq!(refusal.code(), "illegal-transition");
    assert_eq!(refused(&service, end_trade("T-9", TradeStatus::Completed)).await.code(), "trade-not-found");
    assert_eq!(
        refused(&service, move_cargo(shipment_id("X-9"), CargoStatus::Lost)).await.code(),
        "cargo-not-found"
    );
    assert_eq!(refused(&service, adjust("z", &[("tea", 1)])).await.code(), "station-not-found");
    assert_eq!(refused(&service, open_station("a", &[])).await.code(), "station-exists");
    assert_eq!(
        refused(&service, initiate(sale("T-2", "a", "z", &[("tea", 1)]))).await.code(),
        "unknown-station"
    );
    assert_eq!(Snapshot::of(h.store()).await, before);
}

/// Every reason, inwards and outwards, all lines in one step.
pub async fn adjustments_move_stock_in_and_out_of_the_world(h: Harness) {
    let service = start(&h).await;
    let Outcome::Inventory(after) =
        taken(&service, adjust("a", &[("tea", -8), ("tea", 3), ("gold", 4)])).await
    else {
        panic!("an inventory")
    };
    assert_eq!(
        after.items.iter().map(|i| (i.item_id.as_str(), i.level.on_hand)).collect::<Vec<_>>(),
        [("gold", 4), ("rice", 9), ("tea", 45)]
    );
    assert_eq!((after.version, after.quantity, after.item_count), (2, 58, 3));
    h.assert_levels(&[("a", "tea", 45, 0, 0), ("a", "gold", 4, 0, 0)]).await;
    let stored = audit(h.store()).await;
    assert_eq!(stored.ledger.len(), 3 + 3, "one row for each line, sum or not");
}

/// A caller that knows an older version is told the one there is.
pub async fn a_stale_precondition_is_refused(h: Harness) {
    let service = start(&h).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 20)]))).await;
    let with = |versions: &[u64]| Precondition::OneOf(versions.to_vec());
    let cancel = |precondition| {
        Command::UpdateTrade(UpdateTrade {
            transaction_id: trade_id("T-1"),
            status: TradeStatus::Cancelled,
            precondition,
        })
    };
    assert_eq!(refused(&service, cancel(with(&[2, 3]))).await, Rejection::VersionMismatch { actual: 1 });
    let count = |precondition| {
        Command::AdjustInventory(crate::command::AdjustInventory {
            precondition,
            ..adjustment("a", &[("tea", 1)])
        })
    };
    assert_eq!(refused(&service, count(with(&[1]))).await, Rejection::VersionMismatch { actual: 2 });
    taken(&service, count(with(&[7, 2]))).await;
    let without = |versions: &[u64]| Precondition::NoneOf(versions.to_vec());
    assert_eq!(refused(&service, count(without(&[3]))).await, Rejection::VersionMismatch { actual: 3 });
    taken(&service, count(without(&[2, 4]))).await;
    taken(&service, cancel(with(&[1]))).await;
    audit(h.store()).await;
}
