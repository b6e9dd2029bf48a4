//! The end of a service: what was taken is finished, and what was acknowledged is heard.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::time::{sleep, timeout};
use trade_core::bus::Subscription;
use trade_core::command::{Command, Request};
use trade_core::event::EventFilter;
use trade_core::memory::MemoryStore;
use trade_core::resource::Sequence;
use trade_core::service::{Answer, ServiceError, TradeService};
use trade_core::testing::FaultyStore;
use trade_core::testing::audit::audit;
use trade_core::testing::conformance::taken;
use trade_core::testing::faulty::Damage;
use trade_core::testing::fixtures::*;

async fn start() -> (Arc<FaultyStore>, TradeService) {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let service = TradeService::start(store.clone()).await.expect("it starts");
    taken(&service, open_station("a", &[("tea", 10)])).await;
    (store, service)
}

fn submit(service: &TradeService, command: Command) -> tokio::task::JoinHandle<Result<Answer, ServiceError>> {
    let service = service.clone();
    tokio::spawn(async move { service.submit(Request::new(command)).await })
}

fn shutdown(service: &TradeService) -> tokio::task::JoinHandle<()> {
    let service = service.clone();
    tokio::spawn(async move { service.shutdown().await })
}

/// The sequences that are handed out until the subscription ends.
async fn heard(mut reader: Subscription) -> Vec<Sequence> {
    let mut heard = Vec::new();
    while let Some(event) = reader.next().await.expect("the log can be read") {
        heard.push(event.event().sequence);
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_given_up_is_gone_on_with_by_the_next_and_several_wait_together() {
    let (store, service) = start().await;
    let barrier = Arc::new(Barrier::new(2));
    store.meet_before_loads([Some(barrier.clone())]);
    let running = submit(&service, adjust("a", &[("tea", -1)]));
    let waiting = submit(&service, adjust("a", &[("tea", -2)]));
    barrier.wait().await;
    timeout(Duration::from_secs(1), service.shutdown()).await.expect_err("a command is running");
    let several = [shutdown(&service), shutdown(&service)];
    sleep(Duration::from_secs(1)).await;
    assert!(several.iter().all(|shutdown| !shutdown.is_finished()), "a command is running");
    assert!(!service.bus().is_closed() && !service.is_working());
    let refused = service.submit(Request::new(adjust("a", &[("tea", -4)]))).await;
    assert!(matches!(refused, Err(ServiceError::Stopped)), "{refused:?}");
    barrier.wait().await;
    for shutdown in several {
        timeout(Duration::from_secs(60), shutdown).await.expect("it ends").expect("it does not panic");
    }
    for command in [running, waiting] {
        assert!(command.is_finished(), "it was finished before");
        command.await.expect("it is answered").expect("it was taken");
    }
    assert!(service.bus().is_closed());
    service.shutdown().await;
    assert_eq!(audit(&*store).await.inventory(&station("a")).expect("a").items[0].level.on_hand, 7);
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_the_store_is_called_no_more() {
    let (store, service) = start().await;
    let is_called = async || {
        let before = (store.log_reads(), store.heads_asked());
        sleep(Duration::from_secs(60)).await;
        before != (store.log_reads(), store.heads_asked())
    };
    assert!(is_called().await, "the feed looks now and then");
    service.shutdown().await;
    assert!(!is_called().await);
}

#[tokio::test(start_paused = true)]
async fn at_a_shutdown_each_subscription_hands_out_what_was_acknowledged() {
    let (_, service) = start().await;
    let subscribe = |after| service.bus().subscribe(after, EventFilter::default());
    // One waits for the next event, one has read nothing, one is far behind, and one comes when all is over.
    let waiting = tokio::spawn(heard(subscribe(None)));
    let unread = subscribe(None);
    let behind = subscribe(Some(0));
    for _ in 0..9_000 {
        taken(&service, adjust("a", &[("tea", 1)])).await;
    }
    let last = submit(&service, adjust("a", &[("tea", 1)]));
    tokio::task::yield_now().await;
    service.shutdown().await;
    last.await.expect("it is answered").expect("it was taken");
    let newest = service.bus().newest();
    assert_eq!(newest, 9_002);
    let all: Vec<_> = (1..=newest).collect();
    assert_eq!(heard(unread).await, all[1..]);
    assert_eq!(waiting.await.expect("it ends"), all[1..]);
    assert_eq!(heard(behind).await, all);
    assert_eq!(heard(subscribe(Some(newest - 3))).await, all[all.len() - 3..]);
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_handed_out_also_where_others_wrote_before_it() {
    let (store, here) = start().await;
    taken(&here, open_station("b", &[])).await;
    let there = TradeService::start(Arc::new(store.another())).await.expect("it starts");
    let reader = here.bus().subscribe(None, EventFilter::default());
    // Nobody here has heard yet of what is written there, and the sale is of stations that are known here.
    taken(&there, open_station("c", &[])).await;
    store.damage_log(Damage::Unreadable);
    taken(&here, initiate(sale("T-1", "a", "b", &[("tea", 1)]))).await;
    assert_eq!(here.bus().newest(), 2, "what is written there is missing here");
    let ending = shutdown(&here);
    sleep(Duration::from_secs(1)).await;
    store.heal();
    ending.await.expect("it does not panic");
    assert_eq!(heard(reader).await, [3, 4, 5, 6, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_cannot_read_what_is_left_ends_all_the_same() {
    let (store, before) = start().await;
    for _ in 0..10 {
        taken(&before, adjust("a", &[("tea", 1)])).await;
    }
    before.shutdown().await;
    let service = TradeService::start(store.clone()).await.expect("it starts again");
    let mut reader = service.bus().subscribe(Some(0), EventFilter::default());
    store.set_offline(true);
    service.shutdown().await;
    let ended = async {
        let mut failed = 0;
        loop {
            match reader.next().await {
                Ok(None) => return failed,
                Ok(Some(event)) => panic!("nothing can be read: {event:?}"),
                Err(_) => failed += 1,
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    let failed = timeout(Duration::from_secs(60), ended).await.expect("it ends");
    assert!(failed > 0, "it is read for a while");
    assert_eq!(reader.position(), 0, "where to go on is known");
}
