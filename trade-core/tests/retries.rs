//! What is tried again: nobody is forgotten who came meanwhile, it ends, and nothing lands after it was refused.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use trade_core::clock::{SystemClock, UuidV7};
use trade_core::command::{Command, Request};
use trade_core::memory::MemoryStore;
use trade_core::rejection::Rejection;
use trade_core::service::{Answer, ServiceError, ServiceOptions, TradeService};
use trade_core::store::Store;
use trade_core::testing::FaultyStore;
use trade_core::testing::audit::audit;
use trade_core::testing::conformance::taken;
use trade_core::testing::faulty::Fault;
use trade_core::testing::fixtures::*;

const A_WHILE: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(100);

type Told = JoinHandle<Result<Answer, ServiceError>>;

fn submit(service: &TradeService, command: Command) -> Told {
    let service = service.clone();
    tokio::spawn(async move { service.submit(Request::new(command)).await })
}

async fn answer(told: Told) -> Result<Answer, ServiceError> {
    timeout(LONG, told).await.expect("nobody is forgotten").expect("it does not panic")
}

/// Groups of few and of many lines, on one processor and on several.
fn options() -> impl Iterator<Item = ServiceOptions> {
    [(true, 2), (true, 4_096), (false, 2), (false, 4_096)].into_iter().map(
        |(one_processor, group_lines_max)| ServiceOptions {
            one_processor,
            group_lines_max,
            ..ServiceOptions::default()
        },
    )
}

/// A service with stations `a` (10 tea) and `b`.
async fn start(options: ServiceOptions) -> (Arc<MemoryStore>, Arc<FaultyStore>, TradeService) {
    let memory = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(UuidV7));
    let service = TradeService::start_with(store.clone(), clock, ids, options).await.expect("it starts");
    taken(&service, open_station("a", &[("tea", 10)])).await;
    taken(&service, open_station("b", &[])).await;
    (memory, store, service)
}

/// One that is refused in a turn, and those that come while it is looked up.
async fn refuse_in_a_turn(store: &FaultyStore, service: &TradeService, others: &[Command]) -> Vec<Told> {
    store.fail_commits([Some(Fault::Conflict)]);
    taken(service, adjust("b", &[("rice", 1)])).await;
    let between = Arc::new(Barrier::new(2));
    store.meet_before_loads([Some(between.clone())]);
    let refused = submit(service, adjust("a", &[("tea", -100)]));
    between.wait().await;
    let others = others.iter().map(|command| submit(service, command.clone())).collect();
    sleep(A_WHILE).await;
    between.wait().await;
    let refused = answer(refused).await;
    let is_short = matches!(refused, Err(ServiceError::Rejected(Rejection::InsufficientStock(_))));
    assert!(is_short, "{refused:?}");
    others
}

#[tokio::test(start_paused = true)]
async fn who_came_while_all_others_of_a_turn_were_refused_is_next() {
    let one_line = || adjust("b", &[("rice", 1)]);
    for options in options() {
        for others in [vec![one_line()], vec![one_line(); 4], vec![adjust("b", &[("rice", 1), ("tea", 1)])]] {
            let (_memory, store, service) = start(options.clone()).await;
            for other in refuse_in_a_turn(&store, &service, &others).await {
                answer(other).await.expect("it is stored");
            }
            taken(&service, one_line()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_finishes_who_came_while_all_others_were_refused() {
    for options in options() {
        let (_memory, store, service) = start(options).await;
        let others = refuse_in_a_turn(&store, &service, &[adjust("b", &[("rice", 1)])]).await;
        timeout(LONG, service.shutdown()).await.expect("it ends");
        for other in others {
            answer(other).await.expect("it was taken before");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_group_that_is_halved_the_second_half_is_tried_though_all_of_the_first_are_refused() {
    for options in options() {
        let (memory, store, service) = start(options).await;
        let held = memory.hold().await.expect("nobody else holds it");
        store.fail_commits([None, Some(Fault::Internal), Some(Fault::Internal)]);
        let mut told = vec![submit(&service, adjust("b", &[("rice", 1)]))];
        sleep(A_WHILE).await;
        let sell = |id, units| initiate(sale(id, "a", "b", &[("tea", units)]));
        for command in [sell("T-1", 10), sell("T-2", 1), sell("T-3", 1), adjust("b", &[("rice", 1)])] {
            told.push(submit(&service, command));
            sleep(A_WHILE).await;
        }
        drop(held);
        for told in told {
            let told = answer(told).await;
            assert!(!matches!(told, Err(ServiceError::Unknown(_))), "{told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_to_be_tried_again_is_next_though_all_who_came_meanwhile_are_refused() {
    for options in options() {
        let (_memory, store, service) = start(options).await;
        let between = Arc::new(Barrier::new(2));
        store.fail_commits([Some(Fault::Lost)]);
        store.meet_before_loads([None, Some(between.clone())]);
        let lost = submit(&service, adjust("b", &[("rice", 1)]));
        sleep(Duration::from_millis(1)).await;
        // It is tried again after two milliseconds, while this one is looked up.
        let refused = submit(&service, adjust("a", &[("tea", -100)]));
        between.wait().await;
        sleep(A_WHILE).await;
        between.wait().await;
        let refused = answer(refused).await;
        assert!(matches!(refused, Err(ServiceError::Rejected(_))), "{refused:?}");
        answer(lost).await.expect("it is tried again");
    }
}

#[tokio::test(start_paused = true)]
async fn conflicts_past_the_bound_are_overload() {
    let (_memory, store, service) = start(ServiceOptions::default()).await;
    store.fail_commits([Some(Fault::Conflict); 10]);
    let sell_all = initiate(sale("T-1", "a", "b", &[("tea", 10)]));
    let told = answer(submit(&service, sell_all.clone())).await;
    assert!(matches!(told, Err(ServiceError::Overloaded)), "{told:?}");
    assert_eq!(store.commits_tried(), 2 + 10, "the attempts are bounded");
    taken(&service, sell_all).await;
    let stored = audit(&*store).await;
    assert_eq!(stored.trades.len(), 1);
    assert_eq!(stored.inventory(&station("b")).expect("b").items[0].level, level(10, 0, 0));
}

/// What arrives and is taken away in one commit, which lands late. The first caller is told that it may have landed; the
/// second is tried again without the first, and there is not enough for it then.
#[tokio::test(start_paused = true)]
async fn what_was_refused_does_not_land_late() {
    for is_keyed in [false, true] {
        let options = ServiceOptions { attempts_max: 2, ..ServiceOptions::default() };
        let (_memory, store, service) = start(options).await;
        let submit = |request: Request| {
            let service = service.clone();
            tokio::spawn(async move { service.submit(request).await })
        };
        store.fail_commits([Some(Fault::Conflict), Some(Fault::Late(Duration::from_secs(1)))]);
        let held = store.hold().await.expect("nobody else holds it");
        let arrives = submit(Request::new(adjust("a", &[("tea", 10)])));
        sleep(Duration::from_millis(1)).await;
        let again = tokio::spawn({
            let store = store.clone();
            async move {
                let _held = store.hold().await.expect("it can be held");
                sleep(Duration::from_millis(20)).await;
            }
        });
        sleep(Duration::from_millis(1)).await;
        drop(held);
        sleep(Duration::from_millis(5)).await;
        let leaves = Request::new(adjust("a", &[("tea", -15)]));
        let leaves = submit(if is_keyed { leaves.once(key(1, 1)) } else { leaves });
        again.await.expect("it ends");
        let arrived = answer(arrives).await;
        assert!(matches!(arrived, Err(ServiceError::Unknown(_))), "{arrived:?}");
        let left = answer(leaves).await;
        let is_short = matches!(left, Err(ServiceError::Rejected(Rejection::InsufficientStock(_))));
        assert!(is_short, "{left:?}");
        store.arrived().await;
        let stored = audit(&*store).await;
        assert_eq!(stored.inventory(&station("a")).expect("a").items[0].level.on_hand, 10);
        assert_eq!(store.commits_tried(), 2 + 3, "the last one only keeps the late one out");
    }
}
