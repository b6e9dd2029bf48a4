use super::*;
use crate::clock::SystemClock;
use crate::event::Actor;
use crate::memory::MemoryStore;
use crate::rules::{Context, Draft};
use crate::store::EventLog;
use crate::testing::FaultyStore;
use crate::testing::faulty::Damage;
use crate::testing::fixtures::{adjust, initiate, log_of, open_station, sale, start_time};
use crate::view::View;
use std::sync::atomic::AtomicUsize;

async fn store_of(log: &[LogRecord]) -> Arc<FaultyStore> {
    let mut draft = Draft::new(View::empty());
    log.iter().for_each(|record| draft.view.evolve_step(&record.step, record.first()));
    draft.log = log.to_vec();
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    store.commit(&draft.commit(Vec::new())).await.expect("it can be stored");
    store
}

/// A store that holds a log, and a bus that knows of none of it and follows it.
async fn behind() -> (Vec<LogRecord>, Arc<FaultyStore>, EventBus) {
    let log = log_of(&[open_station("a", &[]), adjust("a", &[("tea", 1)])], start_time());
    let store = store_of(&log).await;
    let bus = EventBus::new(store.clone(), Head::EMPTY, Arc::new(SystemClock::new()));
    tokio::spawn(bus.clone().follow());
    (log, store, bus)
}

#[test]
fn each_form_of_an_event_is_made_once_and_none_is_taken_for_another() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    struct Number;
    struct Kind;
    impl Encoding for Number {
        fn encode(event: &Event) -> Bytes {
            MADE.fetch_add(1, Ordering::Relaxed);
            event.sequence.to_string().into()
        }
    }
    impl Encoding for Kind {
        fn encode(event: &Event) -> Bytes {
            MADE.fetch_add(1, Ordering::Relaxed);
            event.event_type.as_str().into()
        }
    }
    let log = log_of(&[open_station("a", &[])], start_time());
    let event = SharedEvent::new(log[0].events().remove(0));
    for _ in 0..2 {
        assert_eq!(
            (&event.encoded::<Number>()[..], &event.encoded::<Kind>()[..]),
            (&b"1"[..], &b"inventoryUpdated"[..])
        );
    }
    assert_eq!(MADE.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_committer_hands_over_is_not_read_again() {
    let (log, store, bus) = behind().await;
    let due = bus.expect_handover();
    // A store in memory tells of changes each 50 ms.
    sleep(Duration::from_millis(60)).await;
    assert_eq!((bus.newest(), store.log_reads()), (0, 0), "it is waited for");
    bus.hand_over(log);
    drop(due);
    sleep(Duration::from_millis(10)).await;
    assert_eq!((bus.newest(), store.log_reads()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_handed_over_in_time_is_read() {
    let (log, store, bus) = behind().await;
    let _due = bus.expect_handover();
    sleep(Duration::from_millis(50) + HANDOVER_MAX + Duration::from_millis(5)).await;
    assert_eq!(bus.newest(), 2);
    assert!(store.log_reads() > 0);
    bus.hand_over(log);
    assert_eq!(bus.newest(), 2, "what is known already is passed over");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_read_at_once_though_a_handover_is_due() {
    let (log, _, bus) = behind().await;
    let _due = bus.expect_handover();
    sleep(Duration::from_millis(51)).await;
    bus.publish(log[1..].to_vec());
    sleep(Duration::from_millis(1)).await;
    assert_eq!(bus.newest(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_log_with_a_hole_is_not_read_without_rest_and_followed_once_it_is_whole() {
    for (missing, known) in [(1, 0), (2, 1)] {
        let (_, store, bus) = behind().await;
        store.damage_log(Damage::Missing(missing));
        sleep(Duration::from_secs(10)).await;
        assert_eq!(bus.newest(), known, "nothing is passed by");
        // A store in memory has it looked each 50 ms.
        assert!(store.log_reads() < 80, "{} reads in 10 s", store.log_reads());
        store.heal();
        sleep(Duration::from_secs(1)).await;
        assert_eq!((bus.newest(), bus.is_closed()), (2, false));
    }
}

#[tokio::test(start_paused = true)]
async fn of_another_log_nobody_hears_as_if_it_went_on() {
    let commands = [open_station("a", &[]), open_station("b", &[("tea", 9)]), adjust("a", &[("tea", 1)])];
    let more = |more| [&commands[..], &[more]].concat();
    let known = log_of(&more(adjust("a", &[("tea", 2)])), start_time());
    let sold = initiate(sale("T-1", "b", "a", &[("tea", 1)]));
    let later = start_time().plus(Duration::from_secs(1));
    let others = [
        (log_of(&commands[..2], start_time()), "it is shorter"),
        (log_of(&[&commands[..2], &[sold]].concat(), start_time()), "a step has the end of the other in it"),
        (log_of(&more(adjust("b", &[("tea", 1)])), later), "it is as long"),
    ];
    for (stored, what) in others {
        let store = store_of(&stored).await;
        let bus = EventBus::new(store.clone(), Head::EMPTY, Arc::new(SystemClock::new()));
        bus.publish(known.clone());
        let mut feed = bus.subscribe(None, EventFilter::default());
        tokio::spawn(bus.clone().follow());
        let next = timeout(2 * LOOK_INTERVAL, feed.next()).await.expect("it ends");
        assert!(next.expect("it can be read").is_none(), "{what}");
        assert!(bus.is_closed(), "{what}");
        let mut late = bus.subscribe(Some(0), EventFilter::default());
        assert!(late.next_stored().await.expect("it can be read").is_none(), "{what}");
        assert!(late.next().await.expect("it can be read").is_none(), "{what}");
        // After a start, whoever resumes beyond the end is told so.
        let head = store.head().await.expect("it can be read");
        let started = EventBus::new(store, head, Arc::new(SystemClock::new()));
        let mut resumed = started.subscribe(Some(4), EventFilter::default());
        let resync = resumed.begin().await.expect("it can be read");
        assert_eq!(resync.is_some(), head.sequence < 4, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_goes_on_is_never_taken_for_another() {
    let store = store_of(&[]).await;
    let bus = EventBus::new(store.clone(), Head::EMPTY, Arc::new(SystemClock::new()));
    tokio::spawn(bus.clone().follow());
    let mut draft = Draft::new(View::empty());
    for n in 0..100_u64 {
        let time = start_time().plus(Duration::from_millis(n));
        let context = Context::new(time, Actor::Anonymous);
        let command = if n == 0 { open_station("a", &[]) } else { adjust("a", &[("tea", 1)]) };
        draft.decide(&command, &context).expect("stock may always arrive");
        let records = draft.log.clone();
        store.commit(&draft.commit(Vec::new())).await.expect("it can be stored");
        if n % 2 == 0 {
            bus.publish(records);
        }
        sleep(Duration::from_millis(n * 7)).await;
    }
    sleep(LOOK_INTERVAL).await;
    assert_eq!((bus.newest(), bus.is_closed()), (100, false));
}
