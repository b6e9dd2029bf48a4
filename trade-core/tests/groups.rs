//! Who is stored together, and in which order those are decided.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use trade_core::clock::{SystemClock, UuidV7};
use trade_core::command::Command;
use trade_core::memory::MemoryStore;
use trade_core::service::{ServiceOptions, TradeService};
use trade_core::store::Store;
use trade_core::testing::FaultyStore;
use trade_core::testing::audit::audit;
use trade_core::testing::conformance::taken;
use trade_core::testing::fixtures::*;

/// Long enough for whatever can go on to have gone on.
const A_WHILE: Duration = Duration::from_millis(60);

fn sell(id: &str) -> Command {
    initiate(sale(id, "a", "b", &[("tea", 1)]))
}

/// How many commits it takes to store what one caller asks for, what others do while that is stored, and what the first
/// asks for as soon as it is answered.
async fn commits_of_one_that_comes_again(processors: usize) -> u64 {
    let memory = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let processors = NonZeroUsize::new(processors).expect("at least one");
    let options = ServiceOptions { processors, ..ServiceOptions::default() };
    let started =
        TradeService::start_with(store.clone(), Arc::new(SystemClock), Arc::new(UuidV7), options).await;
    let service = started.expect("it starts");
    taken(&service, open_station("a", &[("tea", 10)])).await;
    taken(&service, open_station("b", &[])).await;
    let before = store.commits_tried();
    let held = memory.hold().await.expect("nobody else holds it");
    let again = service.clone();
    let first = tokio::spawn(async move {
        taken(&again, sell("T-1")).await;
        taken(&again, sell("T-2")).await;
    });
    tokio::time::sleep(A_WHILE).await;
    let others = ["T-3", "T-4"].map(|id| {
        let service = service.clone();
        tokio::spawn(async move { taken(&service, sell(id)).await })
    });
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(store.commits_tried(), before + 1, "the others wait for the first");
    drop(held);
    first.await.expect("it ends");
    for other in others {
        other.await.expect("it ends");
    }
    assert_eq!(audit(&*memory).await.trades.len(), 4);
    store.commits_tried() - before
}

#[tokio::test]
async fn on_one_processor_who_comes_again_is_stored_with_those_who_waited() {
    assert_eq!(commits_of_one_that_comes_again(1).await, 2);
    assert_eq!(
        commits_of_one_that_comes_again(2).await,
        3,
        "with two, those who waited are not kept waiting"
    );
}
