//! Readers of the feed: each sees every event once and in order, and what many want is read once.

use futures::{FutureExt, StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use trade_core::bus::{EventBus, Subscription};
use trade_core::event::{EventFilter, EventType, Topic};
use trade_core::memory::MemoryStore;
use trade_core::resource::Sequence;
use trade_core::service::TradeService;
use trade_core::testing::FaultyStore;
use trade_core::testing::conformance::taken;
use trade_core::testing::fixtures::*;
use trade_core::values::Scope;

const STATIONS: usize = 7;
const TRADES: usize = 500;

/// Writes stations and trades among them, and answers the newest sequence.
async fn write(service: &TradeService, name: &str, trades: usize) -> Sequence {
    let places: Vec<_> = (0..STATIONS).map(|n| format!("s-{n}")).collect();
    let sales = (0..trades).map(|n| {
        let (from, to) = (n % STATIONS, (n + 1 + n / STATIONS % (STATIONS - 1)) % STATIONS);
        sale(&format!("{name}-{n}"), &places[from], &places[to], &[("tea", 1)])
    });
    let mut sales = sales.peekable();
    while sales.peek().is_some() {
        taken(service, batch(true, sales.by_ref().take(50).collect())).await;
    }
    service.bus().newest()
}

/// A service that starts over a log as another one left it: nothing of that is in its memory.
async fn restarted() -> (Arc<FaultyStore>, TradeService, Sequence) {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let before = TradeService::start(store.clone()).await.expect("it starts");
    for n in 0..STATIONS {
        taken(&before, open_station(&format!("s-{n}"), &[("tea", 10_000)])).await;
    }
    let newest = write(&before, "before", TRADES).await;
    before.shutdown().await;
    let service = TradeService::start(store.clone()).await.expect("it starts again");
    (store, service, newest)
}

async fn from(bus: &EventBus, position: Sequence, filter: &EventFilter) -> Subscription {
    bus.subscribe(Some(position), filter.clone())
}

/// The sequences of what is stored.
async fn read_all(mut reader: Subscription) -> Vec<Sequence> {
    let mut seen = Vec::new();
    while let Some(event) = reader.next_stored().await.expect("the log can be read") {
        seen.push(event.event().sequence);
    }
    seen
}

// The clock stands still: what the service reads by itself now and then does not count.
#[tokio::test(start_paused = true)]
async fn what_many_readers_resume_from_is_read_once() {
    let (store, service, newest) = restarted().await;
    let before = store.log_reads();
    let readers: Vec<_> = (0..300)
        .map(|n| {
            let bus = service.bus().clone();
            tokio::spawn(async move { read_all(from(&bus, n, &EventFilter::default()).await).await })
        })
        .collect();
    for (n, reader) in (0..).zip(readers) {
        assert_eq!(reader.await.expect("it reads"), (n + 1..=newest).collect::<Vec<_>>());
    }
    let reads = store.log_reads() - before;
    assert!(reads <= 3 * (newest / 512 + 1), "{reads} reads of {newest} events for 300 readers");
}

#[tokio::test]
async fn a_narrowed_reader_sees_what_passes_and_nothing_else() {
    let (_, service, _) = restarted().await;
    // Part of it from the log, part of it from memory, in small pieces and large ones.
    for n in 0..5 {
        write(&service, &format!("after-{n}"), 1 + n * 70).await;
    }
    let mut all = Vec::new();
    let mut reader = from(service.bus(), 0, &EventFilter::default()).await;
    while let Some(event) = reader.next_stored().await.expect("the log can be read") {
        all.push(event);
    }
    assert_eq!(all.len() as u64, service.bus().newest());
    for (stations, topics, types) in [
        (&["s-3"][..], &[][..], &[][..]),
        (&["s-6", "s-0"], &[], &[]),
        (&["s-1"], &[Topic::Cargo], &[]),
        (&["s-2", "nowhere"], &[], &[EventType::InventoryUpdated]),
        (&["nowhere"], &[], &[]),
        (&[], &[Topic::Trade], &[]),
    ] {
        let stations: Vec<_> = stations.iter().map(|id| station(id)).collect();
        let (topics, types) = (topics.to_vec(), types.to_vec());
        let scope = Scope::of(stations.iter().cloned()).expect("a few");
        let narrow = EventFilter { topics, types, stations, ..EventFilter::default() };
        let scoped = EventFilter { stations: Vec::new(), scope: scope.clone(), ..narrow.clone() };
        for filter in [narrow.clone(), scoped, EventFilter { scope, ..narrow }] {
            let passing = all.iter().map(|event| event.event()).filter(|event| filter.matches(event));
            let expected: Vec<_> = passing.map(|event| event.sequence).collect();
            for position in [0, 1, 511, 512, 513, 2_100] {
                let later = |sequence: &u64| *sequence > position;
                let expected: Vec<_> = expected.iter().copied().filter(later).collect();
                let found = read_all(from(service.bus(), position, &filter).await).await;
                assert_eq!(found, expected, "{filter:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_reader_goes_on_where_the_store_failed_it() {
    let (store, service, newest) = restarted().await;
    let mut reader = from(service.bus(), 0, &EventFilter::default()).await;
    let (mut seen, mut failed) = (Vec::new(), 0);
    while seen.len() as u64 != newest {
        store.set_offline(true);
        match reader.next().await {
            Ok(event) => seen.push(event.expect("the bus is open").event().sequence),
            Err(_) => {
                failed += 1;
                store.set_offline(false);
                seen.push(reader.next().await.expect("it is back").expect("it is open").event().sequence);
            }
        }
    }
    assert_eq!(seen, (1..=newest).collect::<Vec<_>>());
    assert!(failed > 2, "the log was read {failed} times");
}

#[tokio::test]
async fn a_reader_that_is_sent_back_is_given_the_same_again() {
    let (_, service, newest) = restarted().await;
    let mut reader = from(service.bus(), 0, &EventFilter::default()).await;
    for position in [newest - 3, 5, 700, 0] {
        reader.seek(position);
        let event = reader.next_stored().await.expect("the log can be read").expect("there is more");
        assert_eq!(event.event().sequence, position + 1);
    }
    reader.seek(newest);
    assert!(reader.next_stored().await.expect("the log can be read").is_none());
}

#[tokio::test]
async fn a_subscription_is_a_stream_that_ends_with_the_service() {
    let (_, service, newest) = restarted().await;
    let live = tokio::spawn({
        let feed = from(service.bus(), newest, &EventFilter::default()).await;
        feed.map_ok(|event| event.event().sequence).try_collect::<Vec<_>>()
    });
    let stored = from(service.bus(), 0, &EventFilter::default()).await;
    let stored: Vec<_> = stored
        .take(1_000)
        .map_ok(|event| event.event().sequence)
        .try_collect()
        .await
        .expect("the log can be read");
    assert_eq!(stored, (1..=1_000).collect::<Vec<_>>());
    let end = write(&service, "live", 3).await;
    service.shutdown().await;
    let live = live.await.expect("no panic").expect("the log can be read");
    assert_eq!(live, (newest + 1..=end).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_is_left_while_it_waits_loses_nothing() {
    let (store, service, newest) = restarted().await;
    let mut feed = from(service.bus(), newest, &EventFilter::default()).await;
    assert!(StreamExt::next(&mut feed).now_or_never().is_none(), "there is nothing yet");
    taken(&service, adjust("s-0", &[("tea", 1)])).await;
    taken(&service, adjust("s-1", &[("tea", 1)])).await;
    let event = feed.next().await.expect("the log can be read").expect("an event");
    assert_eq!((event.event().sequence, feed.position()), (newest + 1, newest + 1));
    let event = StreamExt::next(&mut feed).await.expect("an event").expect("the log can be read");
    assert_eq!(event.event().sequence, newest + 2);
    assert!(StreamExt::next(&mut feed).now_or_never().is_none(), "that was all");
    feed.seek(newest);
    let again = timeout(Duration::from_secs(10), StreamExt::next(&mut feed)).await.expect("it is there");
    let event = again.expect("an event").expect("the log can be read");
    assert_eq!(event.event().sequence, newest + 1);

    // The log cannot be read, and then it can.
    let mut feed = from(service.bus(), 0, &EventFilter::default()).await;
    store.set_offline(true);
    StreamExt::next(&mut feed).await.expect("the stream goes on").expect_err("the store is away");
    store.heal();
    let event = StreamExt::next(&mut feed).await.expect("an event").expect("the log can be read");
    assert_eq!(event.event().sequence, 1);
}
