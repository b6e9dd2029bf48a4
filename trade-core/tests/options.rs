//! What a service starts with, and how much it takes.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use trade_core::clock::{SystemClock, UuidV7};
use trade_core::command::{Command, InitiateTrades, Request};
use trade_core::memory::MemoryStore;
use trade_core::service::{Answer, ServiceError, ServiceOptions, StartError, TradeService};
use trade_core::store::Store;
use trade_core::testing::FaultyStore;
use trade_core::testing::conformance::taken;
use trade_core::testing::fixtures::*;

async fn start(store: Arc<dyn Store>, options: ServiceOptions) -> Result<TradeService, StartError> {
    TradeService::start_with(store, Arc::new(SystemClock::new()), Arc::new(UuidV7), options).await
}

#[tokio::test]
async fn an_option_out_of_its_range_is_refused_by_name() {
    type Change = fn(&mut ServiceOptions);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let nonsense: [(&str, Change); 14] = [
        ("queue_lines_max", |options| options.queue_lines_max = 0),
        ("queue_lines_max", |options| options.queue_lines_max = u32::MAX),
        ("group_lines_max", |options| options.group_lines_max = 0),
        ("group_lines_max", |options| options.group_lines_max = u32::MAX),
        ("attempts_max", |options| options.attempts_max = 0),
        ("attempts_max", |options| options.attempts_max = 1_001),
        ("expiry_interval", |options| options.expiry_interval = Duration::ZERO),
        ("expiry_interval", |options| options.expiry_interval = Duration::MAX),
        ("receipts_kept", |options| options.receipts_kept = Duration::ZERO),
        ("receipts_kept", |options| options.receipts_kept = DAY - Duration::from_millis(1)),
        ("receipts_kept", |options| options.receipts_kept = 3_651 * DAY),
        ("store_call_max", |options| options.store_call_max = Duration::ZERO),
        ("store_call_max", |options| options.store_call_max = Duration::from_millis(999)),
        ("store_call_max", |options| options.store_call_max = Duration::MAX),
    ];
    for (name, change) in nonsense {
        let mut options = ServiceOptions::default();
        change(&mut options);
        let error = start(Arc::new(MemoryStore::new()), options).await.expect_err(name);
        assert!(matches!(&error, StartError::Option { option, .. } if *option == name), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let least = ServiceOptions {
        queue_lines_max: 1,
        group_lines_max: 1,
        attempts_max: 1,
        expiry_interval: Duration::from_millis(1),
        receipts_kept: DAY,
        one_processor: true,
        store_call_max: Duration::from_secs(1),
        ..ServiceOptions::default()
    };
    let service = start(Arc::new(MemoryStore::new()), least).await.expect("it starts");
    taken(&service, open_station("a", &[("tea", 1), ("wool", 1)])).await;
}

fn submit(service: &TradeService, command: Command) -> tokio::task::JoinHandle<Result<Answer, ServiceError>> {
    let service = service.clone();
    tokio::spawn(async move { service.submit(Request::new(command)).await })
}

#[tokio::test]
async fn a_command_of_more_lines_than_the_queue_is_taken_beside_others_and_then_the_queue_is_full() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let options = ServiceOptions { queue_lines_max: 4, ..ServiceOptions::default() };
    let service = start(store.clone(), options).await.expect("it starts");
    taken(&service, open_station("a", &[("tea", 1_000)])).await;
    taken(&service, open_station("b", &[])).await;
    let barrier = Arc::new(Barrier::new(2));
    store.meet_before_loads([Some(barrier.clone())]);
    let first = submit(&service, adjust("a", &[("tea", 1)]));
    barrier.wait().await;
    // One line is under way, and more than the queue has come on top.
    let many = (0..10).map(|n| sale(&format!("T-{n}"), "a", "b", &[("tea", 1)])).collect();
    let large = submit(&service, batch(true, many));
    tokio::task::yield_now().await;
    for _ in 0..3 {
        let refused = service.submit(Request::new(adjust("a", &[("tea", 1)]))).await;
        assert!(matches!(refused, Err(ServiceError::Overloaded)), "{refused:?}");
    }
    barrier.wait().await;
    first.await.expect("answered").expect("taken");
    large.await.expect("answered").expect("taken");
    taken(&service, adjust("a", &[("tea", 1)])).await;
}

#[tokio::test]
async fn the_largest_command_is_taken_beside_others_by_default() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let service = start(store.clone(), ServiceOptions::default()).await.expect("it starts");
    taken(&service, open_station("a", &[])).await;
    taken(&service, open_station("b", &[])).await;
    let barrier = Arc::new(Barrier::new(2));
    store.meet_before_loads([Some(barrier.clone())]);
    let goods: Vec<_> = (0..5_000).map(|n| format!("good-{n}")).collect();
    let goods: Vec<_> = goods.iter().map(|good| (good.as_str(), 1)).collect();
    let count = InitiateTrades::LINES_MAX / goods.len();
    let of = |name: &str, count: usize| {
        let trades = (0..count).map(|n| sale(&format!("{name}-{n}"), "a", "b", &goods)).collect();
        batch(true, trades)
    };
    let first = submit(&service, of("T", 3));
    barrier.wait().await;
    let second = submit(&service, of("U", count));
    tokio::task::yield_now().await;
    barrier.wait().await;
    for answer in [first, second] {
        // There is nothing to sell: it was decided.
        let answer = answer.await.expect("answered");
        assert!(matches!(answer, Err(ServiceError::Rejected(_))), "it was decided");
    }
}

#[tokio::test]
async fn large_commands_leave_room_for_small_ones() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let options = ServiceOptions { queue_lines_max: 64, ..ServiceOptions::default() };
    let service = start(store.clone(), options).await.expect("it starts");
    taken(&service, open_station("a", &[("tea", 1_000)])).await;
    taken(&service, open_station("b", &[])).await;
    let barrier = Arc::new(Barrier::new(2));
    store.meet_before_loads([Some(barrier.clone())]);
    let mut answers = vec![submit(&service, adjust("a", &[("tea", 1)]))];
    barrier.wait().await;
    let large = |name: char| {
        batch(true, (0..20).map(|n| sale(&format!("{name}-{n}"), "a", "b", &[("tea", 1)])).collect())
    };
    answers.extend(['T', 'U', 'V'].map(|name| submit(&service, large(name))));
    tokio::task::yield_now().await;
    // 61 of 64 lines are taken.
    let refused = service.submit(Request::new(large('W'))).await;
    assert!(matches!(refused, Err(ServiceError::Overloaded)), "{refused:?}");
    answers.extend([1, 2, 3].map(|units| submit(&service, adjust("a", &[("tea", units)]))));
    tokio::task::yield_now().await;
    let refused = service.submit(Request::new(adjust("a", &[("tea", 1)]))).await;
    assert!(matches!(refused, Err(ServiceError::Overloaded)), "{refused:?}");
    barrier.wait().await;
    for answer in answers {
        answer.await.expect("answered").expect("taken");
    }
}
