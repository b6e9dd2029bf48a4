//! Working ahead: a group is decided while the one before it is being stored, on a view that is kept. Every answer is as
//! true as if each had waited for the other.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use trade_core::clock::{Clock, ManualClock, SystemClock, UuidV7};
use trade_core::command::{Command, InitiateTrade, Outcome, Request};
use trade_core::memory::MemoryStore;
use trade_core::rejection::Rejection;
use trade_core::resource::{CargoStatus, TradeStatus};
use trade_core::service::{Answer, ServiceError, ServiceOptions, TradeService};
use trade_core::store::{Store, StoreErrorKind};
use trade_core::testing::FaultyStore;
use trade_core::testing::audit::audit;
use trade_core::testing::conformance::taken;
use trade_core::testing::faulty::Fault;
use trade_core::testing::fixtures::*;

/// Long enough for whatever can go on to have gone on.
const A_WHILE: Duration = Duration::from_millis(60);

/// A store with stations `a` (10 tea) and `b`, and so many services on it.
async fn start<const N: usize>() -> (Arc<MemoryStore>, [TradeService; N]) {
    let store = Arc::new(MemoryStore::new());
    let mut services = Vec::new();
    for _ in 0..N {
        services.push(TradeService::start(store.clone()).await.expect("it starts"));
    }
    taken(&services[0], open_station("a", &[("tea", 10)])).await;
    taken(&services[0], open_station("b", &[])).await;
    (store, services.try_into().expect("as many as were started"))
}

fn submit(service: &TradeService, command: Command) -> JoinHandle<Result<Answer, ServiceError>> {
    let service = service.clone();
    tokio::spawn(async move { service.submit(Request::new(command)).await })
}

fn sell(id: &str, units: u64) -> Command {
    initiate(sale(id, "a", "b", &[("tea", units)]))
}

fn sales(atomic: bool, of: &[(&str, u64)]) -> Command {
    batch(atomic, of.iter().map(|(id, units)| sale(id, "a", "b", &[("tea", *units)])).collect())
}

fn is_short(answer: &Result<Answer, ServiceError>) -> bool {
    matches!(answer, Err(ServiceError::Rejected(Rejection::InsufficientStock(_))))
}

#[tokio::test]
async fn what_rests_on_a_group_that_is_being_stored_waits_for_it() {
    let (store, [service]) = start().await;
    let held = store.hold().await.expect("nobody else holds it");
    let first = submit(&service, sell("T-1", 10));
    tokio::time::sleep(A_WHILE).await;
    let refused = submit(&service, sell("T-2", 1));
    let moved = submit(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit));
    let again = submit(&service, sell("T-1", 10));
    tokio::time::sleep(A_WHILE).await;
    assert!(
        [&first, &refused, &moved, &again].iter().all(|answer| !answer.is_finished()),
        "nothing is stored yet"
    );
    drop(held);
    first.await.expect("answered").expect("there was stock enough");
    assert!(is_short(&refused.await.expect("answered")), "the first took all");
    moved.await.expect("answered").expect("the shipment of the first exists by now");
    again.await.expect("answered").expect("the same trade is told again");
    assert_eq!(audit(&*store).await.trades.len(), 1);
}

#[tokio::test]
async fn what_was_decided_ahead_is_decided_again_where_others_were_faster() {
    let (store, [service, other]) = start().await;
    let held = store.hold().await.expect("nobody else holds it");
    let first = submit(&service, sell("T-1", 10));
    tokio::time::sleep(A_WHILE).await;
    let second = submit(&service, adjust("a", &[("tea", 5)]));
    // It waits behind the first in the store; which of them is faster is the store's affair.
    let rival = submit(&other, sell("R-1", 8));
    tokio::time::sleep(A_WHILE).await;
    drop(held);
    let (first, rival) = (first.await.expect("answered"), rival.await.expect("answered"));
    second.await.expect("answered").expect("stock may always arrive");
    let sold = [&first, &rival].iter().filter(|answer| answer.is_ok()).count();
    let stored = audit(&*store).await;
    assert_eq!(stored.trades.len(), sold);
    assert!((1..=2).contains(&sold), "{first:?} {rival:?}");
}

#[tokio::test]
async fn a_level_that_another_service_changed_is_not_remembered() {
    let (store, [here, there]) = start().await;
    // Both know the levels by now.
    taken(&here, sell("T-1", 1)).await;
    taken(&there, sell("T-2", 1)).await;
    taken(&here, sell("T-3", 1)).await;
    taken(&there, adjust("a", &[("tea", -7)])).await;
    assert!(is_short(&submit(&here, sell("T-4", 1)).await.expect("answered")), "nothing is left");
    taken(&there, adjust("a", &[("tea", 3)])).await;
    taken(&here, sell("T-5", 3)).await;
    assert!(is_short(&submit(&there, sell("T-6", 1)).await.expect("answered")), "nothing is left");
    assert_eq!(audit(&*store).await.trades.len(), 4);
}

#[tokio::test]
async fn what_another_service_made_is_not_remembered_as_absent() {
    let (store, [here, there]) = start().await;
    let unknown = submit(&here, initiate(sale("T-1", "a", "c", &[("tea", 1)]))).await.expect("answered");
    assert!(matches!(unknown, Err(ServiceError::Rejected(Rejection::UnknownStation { .. }))), "{unknown:?}");
    taken(&there, open_station("c", &[])).await;
    taken(&here, initiate(sale("T-1", "a", "c", &[("tea", 1)]))).await;
    // One trade, whichever of the two makes it.
    taken(&there, sell("T-2", 2)).await;
    taken(&here, sell("T-2", 2)).await;
    let other = submit(&here, sell("T-2", 3)).await.expect("answered");
    assert!(matches!(other, Err(ServiceError::Rejected(Rejection::TradeExists(_)))), "{other:?}");
    assert_eq!(audit(&*store).await.trades.len(), 2);
}

#[tokio::test]
async fn an_atomic_batch_that_is_refused_leaves_no_trace_in_what_follows() {
    let (store, [service]) = start().await;
    let held = store.hold().await.expect("nobody else holds it");
    let first = submit(&service, adjust("b", &[("rice", 1)]));
    tokio::time::sleep(A_WHILE).await;
    // Decided on one view, one after the other, while the first is being stored.
    let refused = submit(&service, sales(true, &[("T-1", 6), ("T-2", 6)]));
    let whole = submit(&service, sales(true, &[("T-3", 6), ("T-4", 4)]));
    let partly = submit(&service, sales(false, &[("T-5", 1)]));
    tokio::time::sleep(A_WHILE).await;
    drop(held);
    first.await.expect("answered").expect("stock may always arrive");
    let refused = refused.await.expect("answered");
    assert!(
        matches!(&refused, Err(ServiceError::Rejected(Rejection::InBatch { index: 1, .. }))),
        "the second is short: {refused:?}"
    );
    whole.await.expect("answered").expect("both fit");
    partly.await.expect("answered").expect("what is refused in it is told in it");
    let stored = audit(&*store).await;
    assert_eq!(stored.trades.len(), 2);
    assert_eq!(stored.inventory(&station("a")).expect("a").items[0].level.on_hand, 0);
}

#[tokio::test]
async fn what_landed_is_told_so_though_the_next_attempt_of_its_group_fails() {
    let (memory, [other]) = start().await;
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let service = TradeService::start(store.clone()).await.expect("it starts");
    let held = memory.hold().await.expect("nobody else holds it");
    let before = submit(&service, adjust("b", &[("salt", 1)]));
    tokio::time::sleep(A_WHILE).await;
    // A group of three: the second is refused because of the first.
    let first = submit(&service, sell("T-1", 10));
    let second = submit(&service, sell("T-2", 1));
    let third = submit(&service, adjust("b", &[("rice", 1)]));
    tokio::time::sleep(A_WHILE).await;
    // It lands, but its answer is lost, and it takes a while until it can be asked for. Meanwhile the second becomes
    // possible; the commit for it alone fails at first.
    store.fail_commits([Some(Fault::Unanswered), Some(Fault::Conflict)]);
    store.fail_loads([true; 5]);
    drop(held);
    before.await.expect("answered").expect("it landed before");
    tokio::time::sleep(Duration::from_millis(20)).await;
    taken(&other, adjust("a", &[("tea", 1)])).await;
    first.await.expect("answered").expect("it landed");
    second.await.expect("answered").expect("there is stock again");
    third.await.expect("answered").expect("it landed");
    let stored = audit(&*memory).await;
    assert_eq!(stored.trades.len(), 2);
    let rice = stored.inventory(&station("b")).expect("b").items[0].clone();
    assert_eq!((rice.item_id, rice.level.on_hand), (item("rice"), 1), "once");
}

#[tokio::test]
async fn what_was_loaded_before_a_load_failed_is_not_remembered() {
    let (memory, [there]) = start().await;
    taken(&there, open_station("c", &[("tea", 10)])).await;
    taken(&there, initiate(order("T-0", "c", "b", &[("tea", 1)]))).await;
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let here = TradeService::start(store.clone()).await.expect("it starts");
    // A group of two, whose second load, for what the shipment carries, fails.
    store.fail_loads([false, true]);
    let sold = submit(&here, sell("T-1", 1));
    let moved = submit(&here, move_cargo(shipment_of("T-0"), CargoStatus::InTransit));
    assert!(sold.await.expect("answered").is_err() && moved.await.expect("answered").is_err());
    taken(&there, adjust("a", &[("tea", 100)])).await;
    taken(&here, sell("T-2", 50)).await;
    let stored = audit(&*memory).await;
    assert_eq!(stored.inventory(&station("a")).expect("a").items[0].level.on_hand, 60);
}

#[tokio::test]
async fn what_may_have_been_in_time_is_not_refused_as_too_late() {
    let (memory, [there]) = start().await;
    there.shutdown().await;
    let clock = Arc::new(ManualClock::new(start_time().plus(Duration::from_secs(60))));
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let options = ServiceOptions { expiry_interval: Duration::from_secs(3_600), ..ServiceOptions::default() };
    let started = TradeService::start_with(store.clone(), clock.clone(), Arc::new(UuidV7), options).await;
    let service = started.expect("it starts");
    let expires_at = Some(clock.now().plus(Duration::from_secs(1)));
    taken(&service, initiate(InitiateTrade { expires_at, ..order("T-1", "a", "b", &[("tea", 1)]) })).await;
    // It lands, but late; and by the time it is asked for the trade has expired.
    store.fail_commits([Some(Fault::Late(Duration::from_millis(40)))]);
    let moved = submit(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit));
    while store.faults() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(10));
    moved.await.expect("answered").expect("it was in time");
    store.arrived().await;
    let stored = audit(&*memory).await;
    assert!(stored.cargo.iter().any(|cargo| cargo.status == CargoStatus::InTransit));
}

#[tokio::test]
async fn refusals_alone_leave_nothing_behind() {
    let (memory, [rival]) = start().await;
    for id in ["c", "d"] {
        taken(&rival, open_station(id, &[("tea", 10)])).await;
    }
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let options = ServiceOptions { group_lines_max: 4, ..ServiceOptions::default() };
    let started =
        TradeService::start_with(store.clone(), Arc::new(SystemClock::new()), Arc::new(UuidV7), options)
            .await;
    let service = started.expect("it starts");
    for round in 0..20 {
        let unknown =
            (0..4).map(|n| submit(&service, end_trade(&format!("T-{round}-{n}"), TradeStatus::Cancelled)));
        for answer in unknown.collect::<Vec<_>>() {
            let answer = answer.await.expect("answered");
            assert!(matches!(answer, Err(ServiceError::Rejected(Rejection::TradeNotFound(_)))), "{answer:?}");
        }
    }
    // Another service makes one of them between the load and the commit of the next sale, and is in nobody's way.
    let held = memory.hold().await.expect("nobody else holds it");
    let made = submit(&rival, initiate(sale("T-0-0", "c", "d", &[("tea", 1)])));
    tokio::time::sleep(A_WHILE).await;
    let tried = store.commits_tried();
    let sold = submit(&service, sell("T-1", 1));
    tokio::time::sleep(A_WHILE).await;
    drop(held);
    made.await.expect("answered").expect("there is stock enough");
    sold.await.expect("answered").expect("there is stock enough");
    assert_eq!(store.commits_tried(), tried + 1, "the commit depends on nothing that was only refused");
    audit(&*memory).await;
}

/// A service on a store that counts and fails on demand; it knows stations `a` (9 tea) and `b`, and has sold `T-0`.
async fn start_knowing() -> (Arc<MemoryStore>, Arc<FaultyStore>, TradeService) {
    let memory = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let service = TradeService::start(store.clone()).await.expect("it starts");
    taken(&service, open_station("a", &[("tea", 10)])).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, sell("T-0", 1)).await;
    (memory, store, service)
}

#[tokio::test(start_paused = true)]
async fn a_new_trade_between_known_stations_asks_the_store_nothing_for_a_while() {
    let (memory, store, service) = start_knowing().await;
    store.fail_loads([true]);
    taken(&service, sell("T-1", 1)).await;
    taken(&service, sales(false, &[("T-2", 1), ("T-3", 1)])).await;
    taken(&service, Command::CreateTransfer(transfer("X-1", "a", "b", &[("tea", 1)]))).await;
    assert_eq!(store.faults(), 0, "nothing was loaded");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let failed = submit(&service, sell("T-4", 1)).await.expect("answered");
    assert!(matches!(failed, Err(ServiceError::Store(_))), "by now others may have written: {failed:?}");
    taken(&service, sell("T-4", 1)).await;
    assert_eq!(audit(&*memory).await.trades.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_known_id_is_told_what_is_stored_though_it_was_taken_for_free() {
    let (memory, store, service) = start_knowing().await;
    let tried = store.commits_tried();
    taken(&service, sell("T-0", 1)).await;
    assert_eq!(
        store.commits_tried(),
        tried + 1,
        "the commit found out, and there was nothing to commit then"
    );
    let other = submit(&service, sell("T-0", 2)).await.expect("answered");
    assert!(matches!(other, Err(ServiceError::Rejected(Rejection::TradeExists(_)))), "{other:?}");
    assert_eq!(store.commits_tried(), tried + 1, "now the store is asked first");
    // With others in its group, those are none the worse for it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for round in 0..20 {
        let answers =
            [sell("T-0", 1), sell(&format!("N-{round}"), 1)].map(|command| submit(&service, command));
        for answer in answers {
            let answer = answer.await.expect("answered");
            assert!(answer.is_ok() || is_short(&answer), "{answer:?}");
        }
    }
    let stored = audit(&*memory).await;
    assert_eq!(stored.trades.len(), 10, "ten units were sold, one a trade");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_rests_on_what_is_stored_and_not_on_what_is_remembered() {
    let (memory, _, here) = start_knowing().await;
    let there = TradeService::start(memory.clone()).await.expect("it starts");
    taken(&there, adjust("a", &[("tea", 100)])).await;
    taken(&here, sell("T-1", 50)).await;
    taken(&there, adjust("a", &[("tea", 100)])).await;
    taken(&here, sales(true, &[("T-2", 60), ("T-3", 90)])).await;
    let stored = audit(&*memory).await;
    assert_eq!(stored.inventory(&station("a")).expect("a").items[0].level.on_hand, 9);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_all_new_is_looked_up_whole() {
    let (memory, store, service) = start_knowing().await;
    let tried = store.commits_tried();
    let mixed = sales(false, &[("T-1", 2), ("T-0", 1), ("T-2", 100), ("T-3", 1)]);
    let Outcome::Trades(answers) = taken(&service, mixed).await else { panic!("a batch is answered") };
    let created: Vec<_> = answers.iter().map(|answer| answer.as_ref().ok().map(|it| it.created)).collect();
    assert_eq!(created, [Some(true), Some(false), None, Some(true)]);
    assert_eq!(
        store.commits_tried(),
        tried + 1,
        "what the first try took for free is not remembered as free"
    );
    taken(&service, sales(false, &[("T-1", 2), ("T-3", 1), ("T-4", 1)])).await;
    let refused = submit(&service, sales(true, &[("T-5", 2), ("T-4", 2)])).await.expect("answered");
    assert!(
        matches!(refused, Err(ServiceError::Rejected(Rejection::InBatch { index: 1, .. }))),
        "{refused:?}"
    );
    taken(&service, sales(true, &[("T-5", 2), ("T-6", 1)])).await;
    let stored = audit(&*memory).await;
    assert_eq!(stored.trades.len(), 6);
    assert_eq!(stored.inventory(&station("a")).expect("a").items[0].level.on_hand, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_busy_services_at_the_same_stations_follow_each_other() {
    const ROUNDS: usize = 6;
    const CALLERS: usize = 300;
    let (store, services) = start::<2>().await;
    taken(&services[0], adjust("a", &[("tea", 100_000), ("salt", 5)])).await;
    // Nothing is left for it by the time it is asked for again.
    let done = initiate(sale("R-1", "a", "b", &[("salt", 5)]));
    taken(&services[0], done.clone()).await;
    for round in 0..ROUNDS {
        // Long enough that many wait while the head is held.
        let held = store.hold().await.expect("nobody else holds it for long");
        let (mut sold, mut short) = (Vec::new(), Vec::new());
        for n in 0..CALLERS {
            for (at, service) in services.iter().enumerate() {
                sold.push(submit(service, sell(&format!("T-{round}-{at}-{n}"), 1)));
                // Those that both are asked for, and those for which there is too little.
                if n == CALLERS / 2 {
                    sold.push(submit(service, sell(&format!("T-{round}-both"), 1)));
                    sold.push(submit(service, done.clone()));
                    short.push(submit(service, sell(&format!("S-{round}-{at}"), 1_000_000)));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(held);
        for answer in sold {
            answer.await.expect("answered").expect("there is stock enough");
        }
        for answer in short {
            assert!(is_short(&answer.await.expect("answered")));
        }
    }
    let stored = audit(&*store).await;
    let sold = (2 * CALLERS + 1) * ROUNDS;
    assert_eq!(stored.trades.len(), sold + 1);
    let left = stored.inventory(&station("a")).expect("a");
    let left = left.items.iter().find(|stock| stock.item_id == item("tea")).expect("it is listed");
    assert_eq!(left.level.on_hand, 100_010 - sold as u64);
}

/// A service that knows stations `a` and `b`, beside another on the same store that has sold `R-1` since, from a third.
async fn start_behind() -> (Arc<FaultyStore>, TradeService, TradeService) {
    let (memory, store, here) = start_knowing().await;
    let there = TradeService::start(memory).await.expect("it starts");
    taken(&there, open_station("c", &[("tea", 5)])).await;
    taken(&there, initiate(order("R-1", "c", "b", &[("tea", 1)]))).await;
    (store, here, there)
}

/// Adjusts a station here together with a shipment, while the other service does so between the loads of both: the first
/// tells that others wrote, and what the shipment carries, the second of the rest. Answers what both were told.
async fn adjust_behind(
    command: Command,
    meanwhile: Command,
    is_keyed: bool,
) -> [Result<Answer, ServiceError>; 2] {
    let (store, here, there) = start_behind().await;
    let between = Arc::new(Barrier::new(2));
    store.meet_before_loads([None, Some(between.clone())]);
    let request = |command| {
        let request = Request::new(command);
        if is_keyed { request.once(key(1, 1)) } else { request }
    };
    let moved = submit(&here, move_cargo(shipment_of("R-1"), CargoStatus::InTransit));
    let adjusted = tokio::spawn({
        let (here, request) = (here.clone(), request(command));
        async move { here.submit(request).await }
    });
    between.wait().await;
    let first = there.submit(request(meanwhile)).await;
    between.wait().await;
    moved.await.expect("answered").expect("nothing is in its way");
    let second = adjusted.await.expect("answered");
    audit(&*store).await;
    [first, second]
}

#[tokio::test]
async fn what_landed_while_a_view_followed_is_not_refused() {
    let all = adjust("a", &[("tea", -9)]);
    let [first, again] = adjust_behind(all.clone(), all, true).await;
    let (first, again) = (first.expect("there is enough"), again.expect("the same request has landed"));
    assert!(again.replayed && !first.replayed);
    assert_eq!(again.outcome, first.outcome);
}

#[tokio::test]
async fn an_inventory_names_what_came_while_a_view_followed() {
    let [_, answer] = adjust_behind(adjust("a", &[("tea", 1)]), adjust("a", &[("rice", 1)]), false).await;
    let Ok(Answer { outcome: Outcome::Inventory(inventory), .. }) = answer else { panic!("{answer:?}") };
    let items: Vec<_> = inventory.items.iter().map(|item| item.item_id.as_str()).collect();
    assert_eq!((items, inventory.item_count), (vec!["rice", "tea"], 2));
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_took_for_free_in_vain_is_in_nobodys_way() {
    let (memory, store, service) = start_knowing().await;
    let held = memory.hold().await.expect("nobody else holds it");
    let tried = store.commits_tried();
    // The second of one group is known to be free from then on, as long as the group is being stored.
    let arrived = submit(&service, adjust("b", &[("rice", 1)]));
    let refused = submit(&service, sell("T-2", 100));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let batch = submit(&service, sales(false, &[("T-1", 1), ("T-2", 1), ("T-3", 100)]));
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(held);
    arrived.await.expect("answered").expect("stock may always arrive");
    assert!(is_short(&refused.await.expect("answered")));
    batch.await.expect("answered").expect("what is refused in it is told in it");
    assert_eq!(store.commits_tried(), tried + 2, "each group landed at once");
    assert_eq!(audit(&*memory).await.trades.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_told_of_in_time_and_to_all_who_wait() {
    let (memory, store, service) = start_knowing().await;
    store.fall_silent(Duration::from_secs(5));
    let begun = tokio::time::Instant::now();
    let answers = ["T-1", "T-2", "T-3"].map(|id| submit(&service, sell(id, 1)));
    let mut uncertain = 0;
    for answer in answers {
        match answer.await.expect("answered") {
            Err(ServiceError::Unknown(_)) => uncertain += 1,
            Err(ServiceError::Store(error)) => assert_eq!(error.kind, StoreErrorKind::Unavailable),
            other => panic!("{other:?}"),
        }
    }
    assert!(uncertain >= 1, "one commit was on its way");
    assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    store.heal();
    taken(&service, sell("T-1", 1)).await;
    assert_eq!(audit(&*memory).await.trades.len(), 2);
}
