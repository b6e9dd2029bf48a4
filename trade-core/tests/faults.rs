//! A store that fails before, during and after its commits: nothing acknowledged is lost, nothing is applied twice, and
//! nobody is told "refused" about something that landed.

use std::sync::Arc;
use std::time::Duration;
use trade_core::command::{Command, Outcome, Request};
use trade_core::memory::MemoryStore;
use trade_core::rejection::Rejection;
use trade_core::resource::CargoStatus;
use trade_core::service::{Answer, ServiceError, TradeService};
use trade_core::store::{Store, StoreErrorKind};
use trade_core::testing::FaultyStore;
use trade_core::testing::audit::audit;
use trade_core::testing::conformance::taken;
use trade_core::testing::faulty::{Damage, Fault};
use trade_core::testing::fixtures::*;
use trade_core::testing::strategies::World;
use trade_core::testing::workload::Workload;

/// A service over a store that fails by plan, with stations `a` (10 tea) and `b`.
async fn start() -> (Arc<FaultyStore>, TradeService) {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let service = TradeService::start(store.clone()).await.expect("it starts");
    taken(&service, open_station("a", &[("tea", 10)])).await;
    taken(&service, open_station("b", &[])).await;
    (store, service)
}

fn sell_all() -> Request {
    Request::new(initiate(sale("T-1", "a", "b", &[("tea", 10)])))
}

async fn assert_sold_once(store: &FaultyStore) {
    let stored = audit(store).await;
    assert_eq!(stored.trades.len(), 1);
    assert_eq!(stored.inventory(&station("b")).expect("b").items[0].level, level(10, 0, 0));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_acknowledged_and_applied_once() {
    for keyed in [false, true] {
        let (store, service) = start().await;
        store.fail_commits([Some(Fault::Unanswered)]);
        let request = if keyed { sell_all().once(key(1, 1)) } else { sell_all() };
        let answer = service.submit(request).await.expect("it landed");
        assert!(!answer.replayed, "its caller asked once");
        assert_sold_once(&store).await;
        assert_eq!(store.faults(), 1);
    }
}

#[tokio::test]
async fn an_adjustment_whose_answer_is_lost_is_applied_once() {
    // An adjustment has no id of its own: only its receipt tells that it landed.
    let (store, service) = start().await;
    store.fail_commits([Some(Fault::Unanswered), Some(Fault::Unanswered)]);
    taken(&service, adjust("a", &[("tea", -6)])).await;
    let stored = audit(&*store).await;
    assert_eq!(stored.inventory(&station("a")).expect("a").items[0].level.on_hand, 4);
}

#[tokio::test]
async fn a_commit_that_was_lost_on_its_way_is_decided_again() {
    let (store, service) = start().await;
    store.fail_commits([Some(Fault::Lost), Some(Fault::Lost), Some(Fault::Conflict)]);
    service.submit(sell_all()).await.expect("it is tried again");
    assert_sold_once(&store).await;
    assert_eq!(store.commits_tried(), 2 + 4);
}

#[tokio::test]
async fn a_commit_that_lands_late_is_not_applied_beside_its_repetition() {
    for delay in [0, 1, 2, 3, 5] {
        let (store, service) = start().await;
        store.fail_commits([Some(Fault::Late(Duration::from_millis(delay)))]);
        taken(&service, adjust("a", &[("tea", -6)])).await;
        store.arrived().await;
        let stored = audit(&*store).await;
        assert_eq!(stored.inventory(&station("a")).expect("a").items[0].level.on_hand, 4, "after {delay} ms");
    }
}

#[tokio::test]
async fn the_answer_is_that_of_the_attempt_that_landed() {
    // The first attempt lands late, while the second is lost: the second one's answer tells of a moment that never was.
    let (store, service) = start().await;
    store.fail_commits([Some(Fault::Late(Duration::from_millis(4))), Some(Fault::Lost)]);
    let Outcome::Inventory(answer) = taken(&service, adjust("a", &[("tea", -6)])).await else {
        panic!("an inventory")
    };
    store.arrived().await;
    let stored = audit(&*store).await;
    assert_eq!(*answer, *stored.inventory(&station("a")).expect("a"));
}

#[tokio::test]
async fn nobody_is_told_refused_about_something_that_landed() {
    // The commit that sells all has landed; on the state it left, the same sale would be refused.
    let (store, service) = start().await;
    store.fail_commits([Some(Fault::Unanswered)]);
    taken(&service, adjust("a", &[("tea", -10)])).await;
    // The same where the receipts cannot be read at first.
    store.fail_commits([Some(Fault::Unanswered)]);
    store.fail_loads([false, true, true]);
    taken(&service, adjust("a", &[("tea", 10)])).await;
    store.fail_commits([Some(Fault::Unanswered)]);
    store.fail_loads([false, true]);
    taken(&service, adjust("a", &[("tea", -10)])).await;
    let stored = audit(&*store).await;
    assert_eq!(stored.inventory(&station("a")).expect("a").items[0].level.on_hand, 0);
}

#[tokio::test]
async fn the_second_step_of_a_shipment_is_not_refused_because_of_its_own_first_attempt() {
    let (store, service) = start().await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 10)]))).await;
    store.fail_commits([Some(Fault::Unanswered)]);
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit)).await;
    store.fail_commits([Some(Fault::Unanswered)]);
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::Lost)).await;
    audit(&*store).await;
}

#[tokio::test]
async fn an_unavailable_store_is_told_as_such_and_nothing_changes() {
    let (store, service) = start().await;
    let before = audit(&*store).await;
    store.fail_commits([Some(Fault::Unavailable)]);
    let error = service.submit(sell_all()).await.expect_err("the store is away");
    assert!(
        matches!(&error, ServiceError::Store(error) if error.kind == StoreErrorKind::Unavailable),
        "{error:?}"
    );
    store.fail_loads([true]);
    let error = service.submit(sell_all()).await.expect_err("the store is away");
    assert!(
        matches!(&error, ServiceError::Store(error) if error.kind == StoreErrorKind::Unavailable),
        "{error:?}"
    );
    store.set_offline(true);
    assert!(matches!(service.submit(sell_all()).await, Err(ServiceError::Store(_))));
    store.heal();
    assert_eq!(audit(&*store).await, before);
    service.submit(sell_all()).await.expect("it is back");
    assert_sold_once(&store).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_is_ready_again_once_something_could_be_stored() {
    let is_away = |answer: Result<(), ServiceError>| matches!(answer, Err(ServiceError::Store(error)) if error.kind == StoreErrorKind::Unavailable);
    let (store, service) = start().await;
    service.ready().await.expect("nothing failed yet");
    // A commit may fail where all that can be asked beforehand goes well.
    store.fail_commits([Some(Fault::Unavailable)]);
    service.submit(sell_all()).await.expect_err("the store is away");
    assert!(is_away(service.ready().await));
    tokio::time::sleep(Duration::from_secs(6)).await;
    service.ready().await.expect("another one may land, though nobody tried");
    store.fail_commits([Some(Fault::Unavailable)]);
    service.submit(sell_all()).await.expect_err("the store is away");
    assert!(is_away(service.ready().await));
    service.submit(sell_all()).await.expect("it is back");
    service.ready().await.expect("at once");
    // It can be read, and the head of its log cannot be had.
    store.fall_silent(Duration::from_millis(100));
    service.submit(Request::new(adjust("a", &[("tea", 1)]))).await.expect_err("the store is silent");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(is_away(service.ready().await));
    }
    store.heal();
    service.ready().await.expect("the head can be held again");
    // What one command is refused for says nothing of the next.
    store.take_at_most(0);
    service.submit(Request::new(adjust("a", &[("tea", 1)]))).await.expect_err("it is too large");
    service.ready().await.expect("the store is there");
    store.heal();
    store.fail_loads_as([Some(StoreErrorKind::Corrupt)]);
    service.submit(Request::new(adjust("a", &[("tea", 1)]))).await.expect_err("a row is damaged");
    service.ready().await.expect("the log is not");
    store.fail_loads_as([Some(StoreErrorKind::Corrupt)]);
    service.submit(Request::new(adjust("a", &[("tea", 1)]))).await.expect_err("a row is damaged");
    store.damage_log(Damage::Unreadable);
    assert!(
        matches!(service.ready().await, Err(ServiceError::Store(error)) if error.kind == StoreErrorKind::Corrupt)
    );
    store.heal();
    store.fail_loads_as([Some(StoreErrorKind::Unsupported)]);
    service.submit(Request::new(adjust("a", &[("tea", 1)]))).await.expect_err("it may not be written");
    assert!(matches!(service.ready().await, Err(ServiceError::Store(_))));
    taken(&service, adjust("a", &[("tea", 1)])).await;
    store.set_offline(true);
    assert!(is_away(service.ready().await));
    service.shutdown().await;
    assert!(matches!(service.ready().await, Err(ServiceError::Stopped)));
}

/// Whether a service becomes ready within so many seconds.
async fn is_ready_within(service: &TradeService, seconds: u64) -> bool {
    for _ in 0..seconds {
        if service.ready().await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    service.ready().await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_commits_fail_again_is_trusted_ever_later() {
    // As on a disk that is full: it can be read, the head can be held, and no commit lands.
    let (store, service) = start().await;
    for doubt in [5, 10, 20, 40, 80, 80] {
        // The second one fails before anybody trusted the store again.
        store.fail_commits([Some(Fault::Unavailable), Some(Fault::Unavailable)]);
        service.submit(sell_all()).await.expect_err("nothing is stored");
        service.submit(sell_all()).await.expect_err("nothing is stored");
        assert!(!is_ready_within(&service, doubt - 1).await, "{doubt}");
        assert!(is_ready_within(&service, 1).await, "{doubt}");
    }
    taken(&service, adjust("a", &[("tea", 1)])).await;
    store.fail_commits([Some(Fault::Unavailable)]);
    service.submit(sell_all()).await.expect_err("nothing is stored");
    assert!(is_ready_within(&service, 5).await, "what was stored ended it");
}

#[tokio::test(start_paused = true)]
async fn failures_without_a_known_cause_count_once_they_come_in_a_row() {
    let (store, service) = start().await;
    let fail = async |times| {
        store.fail_commits(vec![Some(Fault::Internal); times]);
        for _ in 0..times {
            service.submit(Request::new(adjust("a", &[("tea", 1)]))).await.expect_err("nothing is stored");
        }
    };
    fail(4).await;
    service.ready().await.expect("it may be the commands");
    taken(&service, adjust("a", &[("tea", 1)])).await;
    fail(4).await;
    service.ready().await.expect("something was stored between");
    fail(1).await;
    assert!(matches!(service.ready().await, Err(ServiceError::Store(_))), "it is the store");
    taken(&service, adjust("a", &[("tea", 1)])).await;
    service.ready().await.expect("at once");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_have_landed_is_told_so_and_can_be_sent_again() {
    for first in [Fault::Lost, Fault::Unanswered] {
        let (store, service) = start().await;
        store.fail_commits([Some(first)]);
        store.fail_loads([false].into_iter().chain([true; 20]));
        let request = Request::new(adjust("a", &[("tea", -6)])).once(key(1, 1));
        let error = service.submit(request.clone()).await.expect_err("the store does not come back in time");
        assert!(matches!(error, ServiceError::Unknown(_)), "{error:?}");
        store.heal();
        tokio::task::yield_now().await;
        let answer: Answer = service.submit(request).await.expect("it is settled");
        assert_eq!(answer.replayed, first == Fault::Unanswered);
        let stored = audit(&*store).await;
        assert_eq!(stored.inventory(&station("a")).expect("a").items[0].level.on_hand, 4, "{first:?}");
    }
}

#[tokio::test]
async fn what_the_store_cannot_take_does_not_harm_the_commands_beside_it() {
    let (store, service) = start().await;
    // The first group holds one command, so that the others gather behind it and are committed together.
    store.fail_commits([None, Some(Fault::Internal), None, Some(Fault::Internal), None]);
    let submit = |request: Command| {
        let service = service.clone();
        tokio::spawn(async move { service.submit(Request::new(request)).await })
    };
    let requests: Vec<_> = ["c", "d", "e", "f"].map(|id| submit(open_station(id, &[]))).into();
    let mut failed = 0;
    for request in requests {
        failed += usize::from(matches!(request.await.expect("it is answered"), Err(ServiceError::Store(_))));
    }
    assert!(failed <= 1, "{failed} of four suffered");
    assert_eq!(audit(&*store).await.inventories.len(), 6 - failed);
}

#[tokio::test]
async fn only_who_asks_for_more_than_the_store_takes_at_once_is_told_so() {
    let (store, service) = start().await;
    store.take_at_most(2);
    let sales =
        |count: usize| (0..count).map(move |n| sale(&format!("B-{count}-{n}"), "a", "b", &[("tea", 1)]));
    // The first is on its way alone, so that the others gather behind it: together they are too much.
    let commands = [
        open_station("c", &[]),
        initiate(sale("T-1", "a", "b", &[("tea", 1)])),
        batch(false, sales(3).collect()),
        initiate(sale("T-2", "a", "b", &[("tea", 1)])),
        batch(true, sales(2).collect()),
    ];
    let submitted = commands.map(|command| {
        let service = service.clone();
        tokio::spawn(async move { service.submit(Request::new(command)).await })
    });
    for (at, answer) in submitted.into_iter().enumerate() {
        match answer.await.expect("it is answered") {
            Err(ServiceError::Store(error)) => assert_eq!((at, error.kind), (2, StoreErrorKind::TooLarge)),
            answer => assert!(answer.is_ok() && at != 2, "{at}: {answer:?}"),
        }
    }
    assert_eq!(
        store.faults(),
        4,
        "all together, the later half, the one that is too large alone, those behind it"
    );
    assert_eq!(audit(&*store).await.trades.len(), 4);
    // In parts it is taken.
    for part in sales(3) {
        taken(&service, initiate(part)).await;
    }
    assert_eq!(audit(&*store).await.trades.len(), 7);
}

#[tokio::test]
async fn a_load_that_the_store_cannot_take_does_not_harm_the_commands_beside_it() {
    for kind in [StoreErrorKind::TooLarge, StoreErrorKind::Internal] {
        let (store, service) = start().await;
        store.fail_loads_as([Some(kind)]);
        let requests = ["c", "d", "e", "f"].map(|id| {
            let service = service.clone();
            tokio::spawn(async move { service.submit(Request::new(open_station(id, &[]))).await })
        });
        // All four wait before the committer, on the same thread, takes the first.
        for request in requests {
            request.await.expect("it is answered").expect("alone it is no trouble");
        }
        assert_eq!(store.faults(), 1);
    }
}

/// Submits a station each of so many names, all of which wait before the committer, on the same thread, takes the first,
/// and a batch that the store cannot take behind the first so many. Answers how many failed.
async fn stations_around_a_batch(service: &TradeService, count: usize, before: usize) -> usize {
    let sales = (0..300).map(|n| sale(&format!("B-{n}"), "a", "b", &[("tea", 1)]));
    let mut commands: Vec<_> = (0..count).map(|n| open_station(&format!("s-{n}"), &[])).collect();
    commands.insert(before, batch(true, sales.collect()));
    let submitted: Vec<_> = commands
        .into_iter()
        .map(|command| {
            let service = service.clone();
            tokio::spawn(async move { service.submit(Request::new(command)).await })
        })
        .collect();
    let mut failed = 0;
    for answer in submitted {
        failed += usize::from(answer.await.expect("it is answered").is_err());
    }
    failed
}

#[tokio::test]
async fn one_command_among_many_that_the_store_cannot_take_is_found_by_halves() {
    let (store, service) = start().await;
    taken(&service, adjust("a", &[("tea", 300)])).await;
    store.take_at_most(299);
    let tried = store.commits_tried();
    assert_eq!(stations_around_a_batch(&service, 255, 85).await, 1);
    let tried = store.commits_tried() - tried;
    assert!(
        (3..=1 + 2 * 8).contains(&tried),
        "all together, then two for each time they are halved: {tried}"
    );
    assert_eq!(audit(&*store).await.inventories.len(), 2 + 255);
}

#[tokio::test]
async fn one_that_is_too_large_is_found_also_behind_others_that_the_store_stumbled_over() {
    let (store, service) = start().await;
    taken(&service, adjust("a", &[("tea", 300)])).await;
    store.take_at_most(299);
    // The first half is tried whole, in parts, and one by one.
    store.fail_commits([Some(Fault::Internal); 9]);
    assert_eq!(stations_around_a_batch(&service, 9, 8).await, 5 + 1);
    assert_eq!(audit(&*store).await.inventories.len(), 2 + 4);
}

#[tokio::test]
async fn what_cannot_be_one_commands_fault_is_tried_once() {
    let (store, service) = start().await;
    taken(&service, adjust("a", &[("tea", 300)])).await;
    let tried = store.commits_tried();
    store.fail_commits(std::iter::repeat_n(Some(Fault::Unsupported), 300));
    assert_eq!(stations_around_a_batch(&service, 255, 85).await, 256);
    assert_eq!(store.commits_tried() - tried, 1, "as where the password was changed");
}

#[tokio::test]
async fn a_refusal_that_saw_a_step_which_did_not_land_is_decided_again() {
    // Both are decided together: the second is refused because of the first. The first then does not land.
    let (store, service) = start().await;
    store.fail_commits([None, Some(Fault::Unavailable)]);
    let submit = |request: Command| {
        let service = service.clone();
        tokio::spawn(async move { service.submit(Request::new(request)).await })
    };
    let warm = submit(adjust("b", &[("rice", 1)]));
    let first = submit(initiate(sale("T-1", "a", "b", &[("tea", 10)])));
    let second = submit(initiate(sale("T-2", "a", "b", &[("tea", 10)])));
    warm.await.expect("answered").expect("taken");
    let answers = [first.await.expect("answered"), second.await.expect("answered")];
    let stored = audit(&*store).await;
    let refused = answers
        .iter()
        .any(|answer| matches!(answer, Err(ServiceError::Rejected(Rejection::InsufficientStock(_)))));
    assert!(!refused || stored.trades.len() == 1, "a refusal stands on what is stored: {answers:?}");
}

/// A handle of a store; by the seed one that takes turns at the head with those before it.
fn handle(before: &[Arc<FaultyStore>], inner: &Arc<MemoryStore>, seed: u64) -> FaultyStore {
    match before.first() {
        Some(first) if seed.is_multiple_of(2) => first.another(),
        _ => FaultyStore::new(inner.clone()),
    }
}

/// Faults of every kind, at random, while eight callers ask; and every answer is true.
async fn storm(seed: u64, services: usize) {
    let inner = Arc::new(MemoryStore::new());
    let mut stores = Vec::new();
    let mut running = Vec::new();
    for n in 0..services as u64 {
        let store = Arc::new(handle(&stores, &inner, seed / 100));
        running.push(TradeService::start(store.clone()).await.expect("it starts"));
        store.fail_by_seed(seed + n, 300, 50);
        stores.push(store);
    }
    let finished = Workload::new(seed, 200).run(&running).await;
    stores.iter().for_each(|store| store.heal());
    // What the services do by themselves must not meet the audit.
    for service in running {
        service.shutdown().await;
    }
    for store in &stores {
        store.arrived().await;
    }
    finished.assert_true(&*inner).await;
    assert!(stores.iter().map(|store| store.faults()).sum::<u64>() > 5, "the storm is one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_true_in_a_storm_of_faults() {
    for seed in 0..6 {
        storm(seed * 100, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_two_services_is_true_in_a_storm_of_faults() {
    for seed in 6..10 {
        storm(seed * 100, 2).await;
    }
}

/// Takes turns at the head of a log, so that commits wait for it, and groups gather behind them.
async fn stand_in_the_way(store: Arc<MemoryStore>) {
    loop {
        let held = store.hold().await.expect("it can be held");
        tokio::time::sleep(Duration::from_millis(1)).await;
        drop(held);
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_true_where_groups_gather_behind_slow_commits() {
    let world = World { trades: 40, transfers: 20, units_max: 3, ..World::SMALL };
    for seed in 0..6 {
        let memory = Arc::new(MemoryStore::new());
        let (mut stores, mut running) = (Vec::new(), Vec::new());
        for n in 0..1 + seed % 3 {
            let store = Arc::new(handle(&stores, &memory, seed / 3));
            running.push(TradeService::start(store.clone()).await.expect("it starts"));
            store.fail_by_seed(seed * 7 + n, 60, 20);
            stores.push(store);
        }
        let in_the_way = tokio::spawn(stand_in_the_way(memory.clone()));
        let workload = Workload { world, callers: 24, ..Workload::new(seed, 400) };
        let finished = workload.run(&running).await;
        in_the_way.abort();
        stores.iter().for_each(|store| store.heal());
        for service in running {
            service.shutdown().await;
        }
        for store in &stores {
            store.arrived().await;
        }
        finished.assert_true(&*memory).await;
        let tried: u64 = stores.iter().map(|store| store.commits_tried()).sum();
        assert!(tried < workload.commands as u64, "groups gather: {tried} commits");
    }
}
