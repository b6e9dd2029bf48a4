//! A store whose calls panic, or never return: the service goes on, and every answer is true.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use trade_core::clock::{Clock, IdSource, ManualClock, UuidV7};
use trade_core::command::{Command, InitiateTrade, Request};
use trade_core::event::EventFilter;
use trade_core::memory::MemoryStore;
use trade_core::resource::TradeStatus;
use trade_core::service::{ServiceError, ServiceOptions, TradeService};
use trade_core::store::{StoreErrorKind, TradeRepository};
use trade_core::testing::FaultyStore;
use trade_core::testing::audit::audit;
use trade_core::testing::conformance::taken;
use trade_core::testing::faulty::{Fault, Mishap};
use trade_core::testing::fixtures::*;
use trade_core::values::Timestamp;

const MISHAPS: [Mishap; 2] = [Mishap::Hangs, Mishap::Panics];
/// Longer than a few calls that never return are waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// A service over a store that fails by plan, with station `a` (10 tea).
async fn start() -> (Arc<FaultyStore>, TradeService) {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let service = TradeService::start(store.clone()).await.expect("it starts");
    taken(&service, open_station("a", &[("tea", 10)])).await;
    (store, service)
}

async fn on_hand(store: &FaultyStore) -> u64 {
    audit(store).await.inventory(&station("a")).expect("a").items[0].level.on_hand
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_never_returns_or_panics_is_settled_as_one_of_unknown_outcome() {
    for mishap in MISHAPS {
        for when in ["commit", "landed"] {
            for by_turns in [false, true] {
                let (store, service) = start().await;
                if by_turns {
                    store.fail_commits([Some(Fault::Conflict)]);
                    taken(&service, adjust("a", &[("wool", 1)])).await;
                }
                let before = store.faults();
                store.strike(when, mishap);
                let request = Request::new(adjust("a", &[("tea", -6)]));
                let answer = timeout(PATIENCE, service.submit(request)).await.expect("it is answered");
                assert!(!answer.expect("it is settled").replayed);
                assert_eq!((store.faults() - before, on_hand(&store).await), (1, 4), "{mishap:?} {when}");
                assert!(service.is_working());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_before_the_commit_that_never_returns_or_panics_fails_its_command_alone() {
    for (mishap, kind) in
        [(Mishap::Hangs, StoreErrorKind::Unavailable), (Mishap::Panics, StoreErrorKind::Internal)]
    {
        for operation in ["load", "hold"] {
            let (store, service) = start().await;
            if operation == "hold" {
                // From then on the head is held first.
                store.fail_commits([Some(Fault::Conflict)]);
                taken(&service, adjust("a", &[("wool", 1)])).await;
            }
            store.strike(operation, mishap);
            let request = Request::new(adjust("a", &[("tea", -6)]));
            let answer = timeout(PATIENCE, service.submit(request)).await.expect("it is answered");
            assert!(
                matches!(&answer, Err(ServiceError::Store(error)) if error.kind == kind),
                "{mishap:?} {operation}: {answer:?}"
            );
            taken(&service, adjust("a", &[("tea", -1)])).await;
            assert_eq!(on_hand(&store).await, 9);
            service.ready().await.expect("it can be asked, and takes commands");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_feed_goes_on_after_a_call_that_never_returns_or_panics() {
    for mishap in MISHAPS {
        for operation in ["changed", "read", "head"] {
            let (store, here) = start().await;
            let there = TradeService::start(Arc::new(store.another())).await.expect("it starts");
            let mut feed = here.bus().subscribe(None, EventFilter::default());
            store.strike(operation, mishap);
            let before = store.faults();
            for _ in 0..3 {
                taken(&there, adjust("a", &[("tea", 1)])).await;
                let event = timeout(PATIENCE, feed.next()).await.expect("it is heard of");
                event.expect("it can be read").expect("the bus is open");
                sleep(Duration::from_secs(10)).await;
            }
            assert_eq!(store.faults() - before, 1, "{mishap:?} {operation}");
            assert!(here.is_working());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn expiry_goes_on_after_a_call_that_never_returns_or_panics() {
    for mishap in MISHAPS {
        for operation in ["expired_trades", "clock", "prune_receipts"] {
            let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
            let clock = Arc::new(ManualClock::new(start_time()));
            store.strike(operation, mishap);
            let options = ServiceOptions::default();
            let started = TradeService::start_with(store.clone(), clock.clone(), Arc::new(UuidV7), options);
            let service = started.await.expect("it starts");
            taken(&service, open_station("a", &[("tea", 10)])).await;
            taken(&service, open_station("b", &[])).await;
            let expires_at = Some(start_time().plus(Duration::from_secs(1)));
            let offer = InitiateTrade { expires_at, ..order("T-1", "a", "b", &[("tea", 1)]) };
            taken(&service, initiate(offer)).await;
            clock.advance(Duration::from_secs(2));
            let is_cancelled = async {
                while store.trade(&trade_id("T-1")).await.unwrap().unwrap().status != TradeStatus::Cancelled {
                    sleep(Duration::from_secs(1)).await;
                }
            };
            timeout(PATIENCE, is_cancelled).await.expect("it is cancelled");
            assert_eq!(store.faults(), 1, "{mishap:?} {operation}");
            assert!(service.is_working());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_the_store_is_answered_whatever_its_calls_do() {
    for (mishap, kind) in
        [(Mishap::Hangs, StoreErrorKind::Unavailable), (Mishap::Panics, StoreErrorKind::Internal)]
    {
        let (store, service) = start().await;
        store.strike("trade", mishap);
        let id = trade_id("T-1");
        let read = timeout(PATIENCE, service.store().trade(&id)).await.expect("it returns");
        assert_eq!(read.expect_err("it is struck").kind, kind);
        assert_eq!(service.store().trade(&id).await.expect("it can be read"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_does_not_start_on_a_store_that_never_returns_or_panics() {
    for mishap in MISHAPS {
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        store.strike("head", mishap);
        let started = timeout(PATIENCE, TradeService::start(store.clone())).await.expect("it returns");
        started.expect_err("it cannot be read");
        TradeService::start(store).await.expect("now it can");
    }
}

/// A clock and a source of ids, each of which panics once it is told to.
#[derive(Debug, Default)]
struct Defect(AtomicBool);

impl Defect {
    fn strike(&self) {
        if self.0.load(Ordering::SeqCst) {
            resume_unwind(Box::new("it panics by plan"));
        }
    }
}

impl Clock for Defect {
    fn now(&self) -> Timestamp {
        self.strike();
        start_time()
    }

    fn moved(&self) -> Option<i64> {
        None
    }
}

impl IdSource for Defect {
    fn next(&self) -> uuid::Uuid {
        self.strike();
        UuidV7.next()
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_lost_a_task_to_a_defect_says_so() {
    let commands: [Option<Command>; 2] = [Some(open_station("a", &[])), None];
    for command in commands {
        // The clock is looked at by whoever cancels what has expired, the ids are used by the committer.
        let (clock, ids) = (Arc::new(Defect::default()), Arc::new(Defect::default()));
        let store = Arc::new(MemoryStore::new());
        let started =
            TradeService::start_with(store, clock.clone(), ids.clone(), ServiceOptions::default()).await;
        let service = started.expect("it starts");
        sleep(Duration::from_secs(5)).await;
        service.ready().await.expect("nothing is wrong");
        if let Some(command) = command {
            ids.0.store(true, Ordering::SeqCst);
            let answer = service.submit(Request::new(command)).await;
            assert!(matches!(answer, Err(ServiceError::Unknown(_))), "{answer:?}");
        } else {
            clock.0.store(true, Ordering::SeqCst);
            sleep(Duration::from_secs(5)).await;
        }
        assert!(!service.is_working());
        assert!(matches!(service.ready().await, Err(ServiceError::Stopped)));
        timeout(PATIENCE, service.shutdown()).await.expect("it can be shut down all the same");
    }
}
