//! What receipts keep of large answers, and whether these are the same when they are given again.

use std::sync::Arc;
use std::time::Duration;
use trade_core::clock::{Clock, ManualClock, UuidV7};
use trade_core::command::{Command, InitiateTrade, Outcome, Request, RequestId};
use trade_core::memory::MemoryStore;
use trade_core::rejection::Rejection;
use trade_core::service::{ServiceError, ServiceOptions, TradeService};
use trade_core::store::{EventLog, Keys, Store};
use trade_core::testing::FaultyStore;
use trade_core::testing::faulty::{Damage, Fault};
use trade_core::testing::fixtures::*;

const ITEMS: usize = 5_200;

struct World {
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    service: TradeService,
}

impl World {
    /// A network with a station that holds more items than an answer lists.
    async fn new() -> Self {
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(ManualClock::new(start_time())));
        let service = start(&store, &clock).await;
        let names: Vec<_> = (0..ITEMS).map(name).collect();
        for part in names.chunks(2_600) {
            let part: Vec<_> = part.iter().map(|name| (name.as_str(), 100)).collect();
            let command =
                if part[0].0 == names[0] { open_station("a", &part) } else { adjust("a", &signed(&part)) };
            service.submit(Request::new(command)).await.expect("it is taken");
        }
        Self { store, clock, service }
    }

    async fn submit(&self, number: u8, command: Command) -> Result<(bool, Outcome), ServiceError> {
        let answer = self.service.submit(Request::new(command).once(key(number, 1))).await?;
        Ok((answer.replayed, answer.outcome))
    }

    /// The bytes that a receipt keeps.
    async fn kept(&self, number: u8) -> usize {
        let keys = Keys { requests: [request(number)].into(), ..Keys::default() };
        let receipts = self.store.load(&keys).await.expect("it is loaded").receipts;
        receipts[0].answer.as_ref().expect("an answer is kept").len()
    }
}

async fn start(store: &Arc<MemoryStore>, clock: &Arc<ManualClock>) -> TradeService {
    let ids = Arc::new(UuidV7);
    let store: Arc<dyn Store> = store.clone();
    TradeService::start_with(store, clock.clone(), ids, ServiceOptions::default()).await.expect("it starts")
}

fn name(number: usize) -> String {
    format!("item-{number:05}")
}

fn signed<'n>(items: &[(&'n str, u64)]) -> Vec<(&'n str, i64)> {
    items.iter().map(|(name, units)| (*name, i64::try_from(*units).expect("few units"))).collect()
}

fn request(number: u8) -> RequestId {
    key(number, 1).request
}

/// Some adjustments: of items that are listed, of some past those that are, of new ones before all others, of many.
fn adjustments() -> Vec<Command> {
    let many: Vec<_> = (100..1_500).map(name).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), 3)).collect();
    vec![
        adjust("a", &[("item-00007", 5)]),
        adjust("a", &[("item-00008", -4), ("item-05100", 9)]),
        adjust("a", &[("a-new-one", 1), ("b-new-one", 2)]),
        adjust("a", &many),
        adjust("a", &[("item-00007", -1), ("item-00100", 1)]),
    ]
}

#[tokio::test]
async fn answers_of_a_large_station_are_kept_once_and_given_again_as_they_were() {
    let World { store, clock, service } = World::new().await;
    let mut world = World { store, clock, service };
    let mut first = Vec::new();
    for (command, number) in adjustments().into_iter().zip(1..) {
        world.clock.advance(Duration::from_secs(60));
        let (replayed, outcome) = world.submit(number, command).await.unwrap();
        assert!(!replayed);
        first.push(outcome);
    }
    let mut kept = Vec::new();
    for number in 1..=5 {
        kept.push(world.kept(number).await);
    }
    assert!(kept[0] > 300_000, "{kept:?}");
    assert!(kept[1..4].iter().all(|kept| *kept < 500), "what differs, less what the step tells: {kept:?}");
    assert!((50_000..150_000).contains(&kept[4]), "what was adjusted before: {kept:?}");
    for restart in [false, true] {
        if restart {
            world.service.shutdown().await;
            world.service = start(&world.store, &world.clock).await;
        }
        for ((command, outcome), number) in adjustments().into_iter().zip(&first).zip(1..) {
            let (replayed, again) = world.submit(number, command).await.unwrap();
            assert!(replayed);
            assert_eq!(again, *outcome, "{number}");
        }
    }
    let next = 6;
    world.submit(next, adjust("a", &[("item-00001", 1)])).await.unwrap();
    assert!(world.kept(next).await > 300_000, "after a restart nothing is known to refer to");
}

#[tokio::test]
async fn many_adjustments_of_other_items_each_keep_little() {
    let world = World::new().await;
    let mut kept = 0;
    for number in 1..=200 {
        world.submit(number, adjust("a", &[(&name(25 * usize::from(number)), 1)])).await.unwrap();
        kept += world.kept(number).await;
    }
    // A whole one has some 395 000 bytes.
    assert!(kept / 200 < 12_000, "{} bytes a receipt", kept / 200);
}

#[tokio::test]
async fn many_large_stations_in_turn_keep_little() {
    let world = World::new().await;
    let names: Vec<_> = (0..100).map(name).collect();
    let items: Vec<_> = names.iter().map(|name| (name.as_str(), 100)).collect();
    let stations: Vec<_> = (0..100).map(|n| format!("s-{n}")).collect();
    for station in &stations {
        world.service.submit(Request::new(open_station(station, &items))).await.unwrap();
    }
    for (number, station) in (1..).zip(&stations).chain((101..).zip(&stations)) {
        world.submit(number, adjust(station, &[("item-00001", 1)])).await.unwrap();
    }
    assert!(world.kept(1).await > 5_000);
    for number in 101..=200 {
        assert!(world.kept(number).await < 300, "{number}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_made_again_does_not_say_that_nothing_changed() {
    let memory = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let service = TradeService::start(store.clone()).await.unwrap();
    service.submit(Request::new(open_station("a", &[("tea", 1)]))).await.unwrap();
    let adjust = || Request::new(adjust("a", &[("tea", 1)])).once(key(1, 1));
    store.fail_commits([Some(Fault::Unanswered)]);
    store.damage_log(Damage::Unreadable);
    let answer = service.submit(adjust()).await;
    assert!(matches!(answer, Err(ServiceError::Unknown(_))), "{answer:?}");
    assert_eq!(memory.head().await.unwrap().sequence, 2, "it landed");
    store.heal();
    assert!(service.submit(adjust()).await.unwrap().replayed);
    assert_eq!(memory.head().await.unwrap().sequence, 2);
}

#[tokio::test]
async fn a_base_is_not_referred_to_for_longer_than_an_hour() {
    let world = World::new().await;
    for (number, minutes) in [(1, 0), (2, 59), (3, 2)] {
        world.clock.advance(Duration::from_secs(60 * minutes));
        world.submit(number, adjust("a", &[("item-00001", 1)])).await.unwrap();
    }
    assert!(world.kept(2).await < 300);
    assert!(world.kept(3).await > 300_000);
}

#[tokio::test]
async fn an_answer_whose_base_is_gone_is_not_given_and_nothing_is_applied_again() {
    let world = World::new().await;
    world.submit(1, adjust("a", &[("item-00001", 1)])).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let time = world.clock.now();
    world.submit(2, adjust("a", &[("item-00001", 1)])).await.unwrap();
    while world.store.prune_receipts(time, 100).await.unwrap() > 0 {}
    let head = world.store.head().await.unwrap();
    let again = world.submit(2, adjust("a", &[("item-00001", 1)])).await;
    assert!(matches!(again, Err(ServiceError::Rejected(Rejection::RequestReused))), "{again:?}");
    assert_eq!(world.store.head().await.unwrap(), head);
}

#[tokio::test]
async fn a_batch_keeps_of_its_trades_what_their_steps_do_not_tell() {
    let world = World::new().await;
    let known = || {
        let eta = Some(time("2027-01-01T00:00:00Z"));
        InitiateTrade { eta, ..order("T-1", "a", "b", &[("item-00001", 1)]) }
    };
    for command in [open_station("b", &[]), initiate(known())] {
        world.service.submit(Request::new(command)).await.unwrap();
    }
    let batch = || {
        let trades = (0..500).map(|n| match n {
            7 => known(),
            9 => sale("T-x", "a", "b", &[("item-00002", 1_000)]),
            _ => sale(&format!("T-{n:03}"), "a", "b", &[(&name(n), 1), (&name(n + 1), 1)]),
        });
        batch(false, trades.collect())
    };
    let (_, first) = world.submit(1, batch()).await.unwrap();
    assert!(world.kept(1).await < 12_000, "{}", world.kept(1).await);
    let (replayed, again) = world.submit(1, batch()).await.unwrap();
    assert!(replayed);
    assert_eq!(again, first);
}
