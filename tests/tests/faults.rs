//! A store that fails before, during and after its commits, on top of each engine: every answer is true.

use std::sync::Arc;
use tests::engine::Site;
use trade_core::service::TradeService;
use trade_core::testing::FaultyStore;
use trade_core::testing::workload::Workload;

/// Faults of every kind, at random, while eight callers ask two services.
async fn every_answer_of_two_services_is_true_in_a_storm_of_faults(site: Site) {
    let mut handles = Vec::new();
    let mut stores = Vec::new();
    let mut services = Vec::new();
    for seed in 0..2 {
        let opened = site.open().await;
        let store = Arc::new(FaultyStore::new(opened.store()));
        services.push(TradeService::start(store.clone()).await.expect("it starts"));
        store.fail_by_seed(seed, 300, 50);
        stores.push(store);
        handles.push(opened);
    }
    let finished = Workload::new(7, 200).run(&services).await;
    stores.iter().for_each(|store| store.heal());
    // What the services do by themselves must not meet the audit.
    for service in services {
        service.shutdown().await;
    }
    for store in &stores {
        store.arrived().await;
    }
    finished.assert_true(&*handles[0].store()).await;
    assert!(stores.iter().map(|store| store.faults()).sum::<u64>() > 5, "the storm is one");
    for opened in handles {
        opened.close().await;
    }
}

tests::on_every_engine!(every_answer_of_two_services_is_true_in_a_storm_of_faults);
