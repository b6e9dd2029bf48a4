//! Who is stored together, in which order those are decided, and what the store is asked about them.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use trade_core::clock::{SystemClock, UuidV7};
use trade_core::command::{AdjustInventory, Command, Outcome, Precondition, Request};
use trade_core::event::EventFilter;
use trade_core::memory::MemoryStore;
use trade_core::rejection::Rejection;
use trade_core::service::{Answer, ServiceError, ServiceOptions, TradeService};
use trade_core::store::{Store, StoreErrorKind};
use trade_core::testing::FaultyStore;
use trade_core::testing::audit::audit;
use trade_core::testing::conformance::taken;
use trade_core::testing::faulty::{Damage, Fault};
use trade_core::testing::fixtures::*;

/// Long enough for whatever can go on to have gone on.
const A_WHILE: Duration = Duration::from_millis(60);

fn sell(id: &str, units: u64) -> Command {
    initiate(sale(id, "a", "b", &[("tea", units)]))
}

fn submit(service: &TradeService, request: Request) -> JoinHandle<Result<Answer, ServiceError>> {
    let service = service.clone();
    tokio::spawn(async move { service.submit(request).await })
}

fn is_short(answer: &Result<Answer, ServiceError>) -> bool {
    matches!(answer, Err(ServiceError::Rejected(Rejection::InsufficientStock(_))))
}

/// How many commits it takes to store what one caller asks for, what others do while that is stored, and what the first
/// asks for as soon as it is answered.
async fn commits_of_one_that_comes_again(one_processor: bool) -> u64 {
    let memory = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let options = ServiceOptions { one_processor, ..ServiceOptions::default() };
    let started =
        TradeService::start_with(store.clone(), Arc::new(SystemClock::new()), Arc::new(UuidV7), options)
            .await;
    let service = started.expect("it starts");
    taken(&service, open_station("a", &[("tea", 10)])).await;
    taken(&service, open_station("b", &[])).await;
    let before = store.commits_tried();
    let held = memory.hold().await.expect("nobody else holds it");
    let again = service.clone();
    let first = tokio::spawn(async move {
        taken(&again, sell("T-1", 1)).await;
        taken(&again, sell("T-2", 1)).await;
    });
    tokio::time::sleep(A_WHILE).await;
    let others = ["T-3", "T-4"].map(|id| {
        let service = service.clone();
        tokio::spawn(async move { taken(&service, sell(id, 1)).await })
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
    assert_eq!(commits_of_one_that_comes_again(true).await, 2);
    let more = commits_of_one_that_comes_again(false).await;
    assert_eq!(more, 3, "with more, those who waited are not kept waiting");
}

#[tokio::test(start_paused = true)]
async fn on_one_processor_nobody_waits_for_long_for_those_who_come() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let options = ServiceOptions { one_processor: true, ..ServiceOptions::default() };
    let started =
        TradeService::start_with(store.clone(), Arc::new(SystemClock::new()), Arc::new(UuidV7), options)
            .await;
    let service = started.expect("it starts");
    taken(&service, open_station("a", &[("tea", 100)])).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, sell("T-0", 1)).await;
    // One after the other comes while the one before it is looked up, which takes a millisecond.
    let between = Arc::new(Barrier::new(2));
    store.meet_before_loads((0..50).map(|_| Some(between.clone())));
    let keyed = |n: u8| Request::new(sell(&format!("K-{n}"), 1)).once(key(n, n));
    let tried = store.commits_tried();
    let mut answers = vec![submit(&service, keyed(1))];
    for n in 2..50 {
        between.wait().await;
        answers.push(submit(&service, keyed(n)));
        tokio::time::sleep(Duration::from_millis(1)).await;
        between.wait().await;
        tokio::task::yield_now().await;
        if store.commits_tried() > tried {
            break;
        }
    }
    assert!(answers.len() <= 8, "{} came before the first was stored", answers.len());
    let pass = tokio::spawn(async move {
        loop {
            between.wait().await;
        }
    });
    for answer in answers {
        answer.await.expect("answered").expect("there is stock enough");
    }
    pass.abort();
}

/// A service that knows stations `a` (10 tea) and `b`, and has sold `T-0` and `T-00`.
async fn start() -> (Arc<MemoryStore>, Arc<FaultyStore>, TradeService) {
    let memory = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultyStore::new(memory.clone()));
    let service = TradeService::start(store.clone()).await.expect("it starts");
    taken(&service, open_station("a", &[("tea", 12)])).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, sell("T-0", 1)).await;
    taken(&service, sell("T-00", 1)).await;
    (memory, store, service)
}

/// Makes a service store by turns for its next groups, as one does that others were faster than. It knows both stations
/// then, where one unit arrives at each.
async fn lead_to_turns(store: &FaultyStore, service: &TradeService) {
    store.fail_commits([Some(Fault::Conflict)]);
    taken(service, adjust("a", &[("tea", 1)])).await;
    taken(service, adjust("b", &[("tea", 1)])).await;
}

/// Submits commands one by one while the head is held, by someone else at first. Answers what they were told, in order,
/// and how many ids were asked for while the head was waited for, and then.
async fn in_one_turn(
    store: &FaultyStore,
    service: &TradeService,
    requests: impl IntoIterator<Item = Request>,
) -> (Vec<Result<Answer, ServiceError>>, [u64; 2]) {
    let held = store.hold().await.expect("nobody else holds it for long");
    let asked = store.ids_asked();
    let mut answers = Vec::new();
    for request in requests {
        answers.push(submit(service, request));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(A_WHILE).await;
    assert!(answers.iter().all(|answer| !answer.is_finished()), "the head is waited for");
    let early = store.ids_asked() - asked;
    drop(held);
    let mut told = Vec::new();
    for answer in answers {
        told.push(answer.await.expect("answered"));
    }
    (told, [early, store.ids_asked() - asked - early])
}

fn once(command: Command) -> Request {
    Request::new(command).once(key(7, 7))
}

#[tokio::test(start_paused = true)]
async fn by_turns_commands_are_decided_in_the_order_in_which_they_came() {
    let (memory, store, service) = start().await;
    lead_to_turns(&store, &service).await;
    let requests = [once(sell("T-1", 9)), Request::new(sell("T-2", 9))];
    let (told, _) = in_one_turn(&store, &service, requests).await;
    assert!(told[0].is_ok() && is_short(&told[1]), "{told:?}");
    // Time and again, for as long as there are others.
    for round in 0..20 {
        lead_to_turns(&store, &service).await;
        let version = audit(&*memory).await.inventory(&station("a")).expect("a").version;
        let precondition = Precondition::OneOf(vec![version]);
        let adjust = AdjustInventory { precondition, ..adjustment("a", &[("tea", 5)]) };
        let requests = [Command::AdjustInventory(adjust), sell(&format!("N-{round}"), 1)].map(Request::new);
        let (told, _) = in_one_turn(&store, &service, requests).await;
        assert!(told.iter().all(Result::is_ok), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn commands_that_came_together_are_decided_in_the_order_in_which_they_came() {
    let (memory, store, service) = start().await;
    let between = Arc::new(Barrier::new(2));
    store.meet_before_loads([Some(between.clone())]);
    let before = submit(&service, Request::new(adjust("b", &[("salt", 1)])));
    between.wait().await;
    let first = submit(&service, once(sell("T-1", 9)));
    tokio::time::sleep(A_WHILE).await;
    let second = submit(&service, Request::new(sell("T-2", 9)));
    tokio::time::sleep(A_WHILE).await;
    between.wait().await;
    before.await.expect("answered").expect("stock may always arrive");
    first.await.expect("answered").expect("there is stock enough");
    assert!(is_short(&second.await.expect("answered")), "the first took all but one");
    audit(&*memory).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_stored_is_answered_however_long_it_takes_to_look_others_up() {
    let (memory, store, service) = start().await;
    let between = Arc::new(Barrier::new(2));
    let held = memory.hold().await.expect("nobody else holds it");
    let stored = submit(&service, Request::new(sell("T-1", 1)));
    tokio::time::sleep(A_WHILE).await;
    store.meet_before_loads([Some(between.clone())]);
    let looked_up = submit(&service, Request::new(adjust("b", &[("salt", 1)])));
    between.wait().await;
    let feed = &mut service.bus().subscribe(None, EventFilter::default());
    drop(held);
    stored.await.expect("answered").expect("there is stock enough");
    feed.next().await.expect("it can be read").expect("the bus is open");
    assert!(!looked_up.is_finished());
    between.wait().await;
    looked_up.await.expect("answered").expect("stock may always arrive");
    audit(&*memory).await;
}

/// The items that the answer to an adjustment lists.
async fn listed(service: &TradeService, command: Command) -> Vec<String> {
    match taken(service, command).await {
        Outcome::Inventory(inventory) => {
            inventory.items.iter().map(|item| item.item_id.as_str().to_owned()).collect()
        }
        other => panic!("{other:?} is not a station"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_inventory_is_asked_for_once_and_again_after_others_listed_an_item() {
    let (memory, [store, _], [here, there]) = start_two().await;
    taken(&here, open_station("c", &[("tea", 1)])).await;
    let before = store.inventories_asked();
    for _ in 0..3 {
        assert_eq!(listed(&here, adjust("c", &[("tea", 1)])).await, ["tea"]);
    }
    assert_eq!(listed(&here, adjust("c", &[("salt", 1)])).await, ["salt", "tea"]);
    assert_eq!(store.inventories_asked() - before, 1);
    taken(&there, adjust("c", &[("tea", 1)])).await;
    assert_eq!(listed(&here, adjust("c", &[("tea", 1)])).await, ["salt", "tea"]);
    assert_eq!(store.inventories_asked() - before, 1, "their record told all");
    taken(&there, adjust("c", &[("rice", 1)])).await;
    assert_eq!(listed(&here, adjust("c", &[("tea", 1)])).await, ["rice", "salt", "tea"]);
    assert_eq!(store.inventories_asked() - before, 2);
    audit(&*memory).await;
}

#[tokio::test(start_paused = true)]
async fn by_turns_nothing_is_asked_about_what_is_new() {
    let (memory, store, service) = start().await;
    lead_to_turns(&store, &service).await;
    let new = (1..=10).map(|n| Request::new(sell(&format!("T-{n}"), 1)));
    let (told, asked) = in_one_turn(&store, &service, new).await;
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    assert_eq!(asked, [0, 0]);
    // One that is not new is found out by the commit, and then the store is asked first for a while.
    let tried = store.commits_tried();
    let (told, _) = in_one_turn(&store, &service, [Request::new(sell("T-0", 1))]).await;
    assert!(told[0].is_ok(), "{told:?}");
    assert_eq!(store.commits_tried(), tried + 1);
    let (told, asked) = in_one_turn(&store, &service, [Request::new(sell("T-00", 1))]).await;
    assert!(told[0].is_ok(), "{told:?}");
    assert_eq!((asked, store.commits_tried()), ([0, 2], tried + 1), "a trade and its shipment");
    audit(&*memory).await;
}

#[tokio::test(start_paused = true)]
async fn others_do_not_wait_for_all_who_want_what_is_sold_out() {
    const MANY: u64 = 200;
    let (memory, store, service) = start().await;
    lead_to_turns(&store, &service).await;
    let wanted = |round: u64| (0..MANY).map(move |n| Request::new(sell(&format!("T-{round}-{n}"), 100)));
    let (told, asked) = in_one_turn(&store, &service, wanted(1)).await;
    assert!(told.iter().all(is_short), "{told:?}");
    assert_eq!(asked, [0, 2 * MANY], "the first time they are presumed to be new");
    let (told, [early, late]) = in_one_turn(&store, &service, wanted(2)).await;
    assert!(told.iter().all(is_short), "{told:?}");
    assert_eq!(early + late, 2 * MANY);
    assert!(late < 2 * 64, "fewer than are worth a load of their own: {late}");
    assert_eq!(audit(&*memory).await.trades.len(), 2);
}

/// Two services that store by turns, the second of them over the answered handle.
async fn start_two() -> (Arc<MemoryStore>, [Arc<FaultyStore>; 2], [TradeService; 2]) {
    let (memory, store, here) = start().await;
    let another = Arc::new(store.another());
    let there = TradeService::start(another.clone()).await.expect("it starts");
    taken(&there, adjust("a", &[("tea", 1_000)])).await;
    for (store, service) in [(&another, &there), (&store, &here)] {
        lead_to_turns(store, service).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    (memory, [store, another], [here, there])
}

/// What both are asked for while someone holds the head, first there and then here, is told to all who asked.
async fn sell_at_both(
    stores: &[Arc<FaultyStore>; 2],
    [here, there]: &[TradeService; 2],
    at_there: &[&str],
    at_here: &[&str],
) {
    let held = stores[0].hold().await.expect("nobody else holds it");
    let mut answers = Vec::new();
    for (service, ids) in [(there, at_there), (here, at_here)] {
        answers.extend(ids.iter().map(|id| submit(service, Request::new(sell(id, 1)))));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(held);
    for answer in answers {
        answer.await.expect("answered").expect("there is stock enough");
    }
}

#[tokio::test(start_paused = true)]
async fn by_turns_an_id_that_others_have_just_taken_is_known() {
    let (memory, stores, services) = start_two().await;
    let tried = stores[0].commits_tried();
    sell_at_both(&stores, &services, &["T-1"], &["T-1", "T-2", "T-3"]).await;
    assert_eq!(stores[0].commits_tried(), tried + 1, "no commit had to find out");
    assert_eq!(audit(&*memory).await.trades.len(), 5);
}

/// How often the log is read within a second in which something is done.
async fn reads_of_a_second(store: &FaultyStore, work: impl Future<Output = ()>) -> u64 {
    let (begun, reads) = (Instant::now(), store.log_reads());
    work.await;
    tokio::time::sleep_until(begun + Duration::from_secs(1)).await;
    store.log_reads() - reads
}

#[tokio::test(start_paused = true)]
async fn by_turns_what_others_wrote_is_read_once_for_the_commit_and_the_feed() {
    let (_, stores, services) = start_two().await;
    let bus = services[0].bus();
    let mut feed = bus.subscribe(None, EventFilter::default());
    // A store in memory has it looked from time to time whether others wrote.
    let looks = reads_of_a_second(&stores[0], async {}).await;
    let newest = bus.newest();
    let sold = sell_at_both(&stores, &services, &["T-1", "T-2"], &["T-3"]);
    let reads = reads_of_a_second(&stores[0], sold).await;
    assert_eq!(reads, looks, "one for the commit, and one look less");
    assert_eq!(bus.newest(), newest + 3 * 4);
    // While the head is waited for, it is given time to be handed what comes.
    let waits = async {
        let held = stores[0].hold().await.expect("nobody else holds it");
        let answer = submit(&services[0], Request::new(sell("T-4", 1)));
        tokio::time::sleep(Duration::from_millis(900)).await;
        drop(held);
        answer.await.expect("answered").expect("there is stock enough");
    };
    assert!(reads_of_a_second(&stores[0], waits).await < looks);
    for sequence in newest + 1..=newest + 3 * 4 {
        let event = feed.next().await.expect("it can be read").expect("the bus is open");
        assert_eq!(event.event().sequence, sequence);
    }
}

#[tokio::test(start_paused = true)]
async fn by_turns_everyone_is_told_the_truth_where_a_load_fails() {
    use StoreErrorKind::{Conflict, Corrupt, Internal, TooLarge, Unavailable, Unsupported};
    for kind in [Unavailable, Conflict, TooLarge, Corrupt, Internal, Unsupported] {
        for script in [vec![Some(kind)], vec![None, Some(kind)]] {
            let (memory, store, service) = start().await;
            lead_to_turns(&store, &service).await;
            let failed = store.faults() + 1;
            store.fail_loads_as(script);
            // The second load is for those that are presumed to be new in vain.
            let commands = [adjust("b", &[("rice", 1)]), sell("T-1", 2), sell("T-2", 100), sell("T-1", 2)];
            let (told, _) = in_one_turn(&store, &service, commands.map(Request::new)).await;
            assert_eq!(store.faults(), failed, "{kind:?}");
            let made = audit(&*memory).await.trades.len() - 2;
            assert_eq!(made, usize::from(told[1].is_ok()), "{kind:?}: {told:?}");
            for (at, answer) in told.iter().enumerate() {
                match answer {
                    Ok(_) => {}
                    Err(ServiceError::Store(error)) => assert_eq!(error.kind, kind),
                    refused => assert!(is_short(refused) && at == 2, "{kind:?}: {told:?}"),
                }
            }
            if kind == Conflict {
                assert!(told[1].is_ok() && is_short(&told[2]) && told[3].is_ok(), "{told:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_presumed_on_a_view_that_is_gone_rests_on_what_is_stored() {
    let (memory, [store, another], [here, there]) = start_two().await;
    taken(&there, open_station("d", &[])).await;
    taken(&here, open_station("c", &[])).await;
    taken(&here, adjust("a", &[("salt", 1)])).await;
    lead_to_turns(&another, &there).await;
    lead_to_turns(&store, &here).await;
    taken(&here, adjust("c", &[("tea", 1)])).await;
    let held = store.hold().await.expect("nobody else holds it");
    // A sum that is capped does not tell the total, so that the view cannot follow.
    let capped = submit(&there, Request::new(adjust("c", &[("gold", 9_007_199_254_740_990)])));
    tokio::time::sleep(A_WHILE).await;
    // The first two have all loaded again that the third depends on, but the level at `b` that it adds to.
    let answers = [
        Request::new(initiate(sale("T-1", "a", "d", &[("tea", 1)]))).once(key(1, 1)),
        Request::new(initiate(sale("T-2", "a", "b", &[("salt", 1)]))).once(key(2, 2)),
        Request::new(sell("T-3", 1)),
    ]
    .map(|request| submit(&here, request));
    tokio::time::sleep(A_WHILE).await;
    drop(held);
    capped.await.expect("answered").expect("there is room for it");
    for answer in answers {
        answer.await.expect("answered").expect("there is stock enough");
    }
    assert_eq!(audit(&*memory).await.trades.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_view_that_was_made_anew_says_nothing_of_what_is_new() {
    let (memory, [store, another], [here, there]) = start_two().await;
    lead_to_turns(&another, &there).await;
    lead_to_turns(&store, &here).await;
    taken(&here, open_station("c", &[("tea", 1)])).await;
    let sales = |round| (0..100).map(move |n| Request::new(sell(&format!("T-{round}-{n}"), 1)));
    let held = store.hold().await.expect("nobody else holds it");
    // A sum that is capped does not tell the total, so that the view cannot follow.
    let capped = submit(&there, Request::new(adjust("c", &[("gold", 9_007_199_254_740_991)])));
    tokio::time::sleep(A_WHILE).await;
    let asked = store.ids_asked();
    let answers: Vec<_> = sales(1).map(|request| submit(&here, request)).collect();
    tokio::time::sleep(A_WHILE).await;
    drop(held);
    capped.await.expect("answered").expect("there is room for it");
    for answer in answers {
        answer.await.expect("answered").expect("there is stock enough");
    }
    assert_eq!(store.ids_asked() - asked, 200, "the view was made anew");
    let (told, asked) = in_one_turn(&store, &here, sales(2)).await;
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    assert_eq!(asked, [0, 0]);
    audit(&*memory).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_in_nobodys_way_who_does_not_need_it() {
    let (memory, [store, _], [here, there]) = start_two().await;
    taken(&there, sell("T-1", 1)).await;
    store.damage_log(Damage::Unreadable);
    for id in ["T-2", "T-3"] {
        taken(&here, sell(id, 1)).await;
    }
    store.heal();
    assert_eq!(audit(&*memory).await.trades.len(), 5);
}
