//! The whole: log, rows and ledger tell the same story, whatever was asked.

use super::harness::Harness;
use crate::command::Request;
use crate::resource::{Place, Sequence};
use crate::rules;
use crate::service::ServiceError;
use crate::testing::audit::audit;
use crate::testing::model::{Model, Verdict};
use crate::testing::snapshot::Snapshot;
use crate::testing::workload::Workload;
use crate::values::ItemId;
use crate::view::View;
use std::collections::BTreeMap;
use std::time::Duration;

async fn worked(h: &Harness, seed: u64) -> Snapshot {
    let service = h.service().await;
    Workload::new(seed, 150).run(&[service]).await;
    Snapshot::of(h.store()).await
}

/// [`View::evolve`] over all events, from nothing, gives the stored trades, shipments and levels.
pub async fn the_fold_of_the_log_is_what_is_stored(h: Harness) {
    let stored = worked(&h, 1).await;
    let mut view = View::empty();
    let mut expected: Sequence = 0;
    for event in stored.events() {
        expected += 1;
        assert_eq!(event.sequence, expected);
        view.evolve(&event);
    }
    assert_eq!(stored.head, expected);
    assert_eq!(view.trades().count(), stored.trades.len());
    assert_eq!(view.all_cargo().count(), stored.cargo.len());
    assert_eq!(view.stations().count(), stored.inventories.len());
    for trade in &stored.trades {
        assert_eq!(view.trade(&trade.transaction_id), Some(trade));
    }
    for cargo in &stored.cargo {
        assert_eq!(view.cargo(&cargo.shipment_id), Some(cargo));
    }
    for inventory in &stored.inventories {
        assert_eq!(view.inventory(&inventory.station_id).as_ref(), Some(inventory));
    }
}

/// Per item: what is at stations and in transit is what the world gave less what it took.
pub async fn every_item_is_conserved(h: Harness) {
    let stored = worked(&h, 2).await;
    let mut units: BTreeMap<ItemId, i128> = BTreeMap::new();
    let mut transit: BTreeMap<ItemId, i128> = BTreeMap::new();
    for row in &stored.ledger {
        let moved = i128::from(row.quantity.units());
        for (place, sign) in [(&row.from, -1), (&row.to, 1)] {
            match place {
                Place::World => *units.entry(row.item_id.clone()).or_default() -= sign * moved,
                Place::Transit => *transit.entry(row.item_id.clone()).or_default() += sign * moved,
                Place::Station(_) => {}
            }
        }
    }
    for (item, given) in units {
        let levels = stored.inventories.iter().flat_map(|inventory| &inventory.items);
        let on_hand: i128 =
            levels.filter(|level| level.item_id == item).map(|level| i128::from(level.level.on_hand)).sum();
        let in_transit = transit.get(&item).copied().unwrap_or_default();
        assert!(in_transit >= 0);
        assert_eq!(on_hand + in_transit, given, "{item}");
    }
}

/// Command by command, the answers are the reference model's; and in the end so is what is stored.
pub async fn the_store_holds_what_the_model_does(h: Harness) {
    let service = h.service().await;
    let mut model = Model::default();
    for command in Workload::new(3, 200).commands() {
        h.clock.advance(Duration::from_secs(2));
        let expected = model.apply(&command, service.now());
        let answer = match service.submit(Request::new(command.clone())).await {
            Ok(answer) => Ok(answer.outcome),
            Err(ServiceError::Rejected(rejection)) => Err(rejection),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(Verdict::of(&answer), expected, "{command:?} {:?}", rules::check(&command));
    }
    model.assert_same(&audit(h.store()).await);
}

/// Every answer that eight callers at once got is true.
pub async fn everyone_is_told_the_truth_under_load(h: Harness) {
    let service = h.service().await;
    let finished = Workload::new(4, 200).run(std::slice::from_ref(&service)).await;
    let (taken, refused, uncertain) = finished.counts();
    assert!(taken > 20 && refused > 20, "the workload is worth its name: {taken} {refused}");
    assert_eq!(uncertain, 0, "a store that does not fail leaves nobody in the dark");
    finished.assert_true(h.store()).await;
}

/// The same with two services over one store.
pub async fn two_services_under_load_are_one_network(h: Harness) {
    let services = [h.service().await, h.service_on(h.reopened().await).await];
    let finished = Workload::new(5, 200).run(&services).await;
    finished.assert_true(h.store()).await;
    for service in services {
        service.shutdown().await;
    }
}
