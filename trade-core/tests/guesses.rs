//! What is decided while the head of the log is waited for, on what whoever holds it tells, rests on what is stored.

use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use trade_core::clock::{ManualClock, UuidV7};
use trade_core::command::{Command, Outcome, Request};
use trade_core::event::Actor;
use trade_core::memory::MemoryStore;
use trade_core::rejection::Rejection;
use trade_core::rules::{Context, Draft};
use trade_core::service::{Answer, ServiceError, ServiceOptions, TradeService};
use trade_core::store::{Commit, Keys, Store, StoreErrorKind};
use trade_core::testing::FaultyStore;
use trade_core::testing::audit::audit;
use trade_core::testing::conformance::taken;
use trade_core::testing::faulty::Fault;
use trade_core::testing::fixtures::*;
use trade_core::values::Timestamp;
use trade_core::view::View;

/// Long enough for whatever can go on to have gone on.
const A_WHILE: Duration = Duration::from_millis(60);

/// A service that stores by turns, over one of two handles of a store, and knows stations `a` (10 tea) and `b`, but not
/// `c` (9 tea).
struct Turns {
    memory: Arc<MemoryStore>,
    here: Arc<FaultyStore>,
    there: FaultyStore,
    clock: Arc<ManualClock>,
    service: TradeService,
}

impl Turns {
    async fn start() -> Self {
        let memory = Arc::new(MemoryStore::new());
        let here = Arc::new(FaultyStore::new(memory.clone()));
        let there = here.another();
        let clock = Arc::new(ManualClock::new(start_time()));
        let options = ServiceOptions::default();
        let start = |store| TradeService::start_with(store, clock.clone(), Arc::new(UuidV7), options.clone());
        let before = start(memory.clone()).await.expect("it starts");
        taken(&before, open_station("a", &[("tea", 9)])).await;
        taken(&before, open_station("b", &[])).await;
        taken(&before, open_station("c", &[("tea", 9)])).await;
        before.shutdown().await;
        let service = start(here.clone()).await.expect("it starts");
        here.fail_commits([Some(Fault::Conflict)]);
        taken(&service, adjust("a", &[("tea", 1)])).await;
        taken(&service, adjust("b", &[("tea", 1)])).await;
        Self { memory, here, there, clock, service }
    }

    /// Sets the clock to so many milliseconds after the start.
    fn at(&self, millis: u64) -> Timestamp {
        let now = start_time().plus(Duration::from_millis(millis));
        self.clock.set(now);
        now
    }

    /// Somebody else's commit, which is not made yet.
    async fn drafted(&self, commands: &[Command]) -> Commit {
        let tea = |name| (station(name), item("tea"));
        let keys = Keys {
            stations: [station("a"), station("b")].into(),
            stock: [tea("a"), tea("b")].into(),
            ..Keys::default()
        };
        let loaded = self.memory.load(&keys).await.expect("it can be read");
        let now = loaded.head.time;
        let mut draft = Draft::new(View::new(&keys, loaded));
        for command in commands {
            let context = Context { now, time: now, actor: Actor::Anonymous };
            draft.decide(command, &context).expect("it may be done");
        }
        draft.commit(Vec::new())
    }

    fn submit(&self, request: impl Into<Request>) -> JoinHandle<Result<Answer, ServiceError>> {
        let (service, request) = (self.service.clone(), request.into());
        tokio::spawn(async move { service.submit(request).await })
    }
}

fn sell(id: &str, units: u64) -> Command {
    initiate(sale(id, "a", "b", &[("tea", units)]))
}

fn is_short(answer: &Result<Answer, ServiceError>) -> bool {
    matches!(answer, Err(ServiceError::Rejected(Rejection::InsufficientStock(_))))
}

/// When the trade of an answer was made.
fn made_at(answer: Result<Answer, ServiceError>) -> Timestamp {
    match answer.expect("there is stock enough").outcome {
        Outcome::Trade(made) => made.trade.created_at,
        other => panic!("not a trade: {other:?}"),
    }
}

async fn ended(answer: JoinHandle<Result<Answer, ServiceError>>) -> Result<Answer, ServiceError> {
    answer.await.expect("answered")
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_decided_on_what_was_told_and_stored_with_it() {
    let turns = Turns::start().await;
    let theirs = turns.drafted(&[adjust("a", &[("tea", 5)])]).await;
    let held = turns.there.hold().await.expect("nobody else holds it");
    let early = turns.at(5_000);
    // Of eleven units ten are there now.
    let unknown = turns.submit(Request::new(initiate(sale("T-0", "c", "b", &[("tea", 9)]))));
    tokio::time::sleep(A_WHILE).await;
    let first = turns.submit(Request::new(sell("T-1", 11)));
    tokio::time::sleep(A_WHILE).await;
    turns.there.tell(theirs.log.clone());
    tokio::time::sleep(A_WHILE).await;
    let second = turns.submit(Request::new(sell("T-2", 4)));
    tokio::time::sleep(A_WHILE).await;
    turns.memory.commit(&theirs).await.expect("nobody wrote before");
    turns.at(9_000);
    let (loads, reads) = (turns.here.ids_asked(), turns.here.log_reads());
    drop(held);
    assert_eq!(made_at(ended(unknown).await), early);
    assert_eq!(made_at(ended(first).await), early);
    assert_eq!(made_at(ended(second).await), early);
    assert_eq!(turns.here.ids_asked(), loads, "nothing had to be asked");
    assert!(turns.here.log_reads() > reads, "but the log was");
    assert_eq!(audit(&*turns.memory).await.trades.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_and_never_stored_is_believed_by_nobody() {
    // Units that never came, and such as never went.
    for (told, units, sold) in [(5, 11, false), (-5, 10, true)] {
        for with_another in [false, true] {
            let turns = Turns::start().await;
            let theirs = turns.drafted(&[adjust("a", &[("tea", told)])]).await;
            let another = turns.drafted(&[adjust("b", &[("tea", 7)])]).await;
            let held = turns.there.hold().await.expect("nobody else holds it");
            turns.at(5_000);
            let answer = turns.submit(Request::new(sell("T-1", units)));
            let beside = turns.submit(Request::new(sell("T-2", 1)));
            tokio::time::sleep(A_WHILE).await;
            turns.there.tell(theirs.log);
            tokio::time::sleep(A_WHILE).await;
            if with_another {
                // It ends where the other would have, at the same time.
                turns.memory.commit(&another).await.expect("nobody wrote before");
            }
            drop(held);
            let answer = ended(answer).await;
            assert_eq!(answer.is_ok(), sold, "{answer:?}");
            assert_eq!(is_short(&answer), !sold);
            let beside = ended(beside).await;
            assert_eq!(is_short(&beside), sold, "{beside:?}");
            assert_eq!(audit(&*turns.memory).await.trades.len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_more_was_stored_than_was_told_all_of_it_counts() {
    let turns = Turns::start().await;
    let theirs = turns.drafted(&[adjust("a", &[("tea", 5)])]).await;
    let held = turns.there.hold().await.expect("nobody else holds it");
    turns.at(5_000);
    let (first, second) =
        (turns.submit(Request::new(sell("T-1", 9))), turns.submit(Request::new(sell("T-2", 2))));
    tokio::time::sleep(A_WHILE).await;
    turns.there.tell(theirs.log.clone());
    tokio::time::sleep(A_WHILE).await;
    turns.memory.commit(&theirs).await.expect("nobody wrote before");
    let more = turns.drafted(&[adjust("a", &[("tea", -5)])]).await;
    turns.memory.commit(&more).await.expect("nobody wrote before");
    let late = turns.at(9_000);
    let asked = turns.here.ids_asked();
    drop(held);
    assert_eq!(made_at(ended(first).await), late);
    assert!(is_short(&ended(second).await));
    assert_eq!(turns.here.ids_asked(), asked + 2, "a trade that is refused, and its shipment");
    audit(&*turns.memory).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_decided_ahead_takes_back_nothing_but_itself() {
    let turns = Turns::start().await;
    let theirs = turns.drafted(&[adjust("b", &[("tea", 5)])]).await;
    for atomic in [true, false] {
        let held = turns.there.hold().await.expect("nobody else holds it");
        let id = |n| format!("T-{atomic}-{n}");
        let first = turns.submit(Request::new(sell(&id(1), 3)));
        tokio::time::sleep(A_WHILE).await;
        let trades = vec![sale(&id(2), "a", "b", &[("tea", 1)]), sale(&id(3), "a", "b", &[("tea", 9)])];
        let second = turns.submit(Request::new(batch(atomic, trades)));
        tokio::time::sleep(A_WHILE).await;
        turns.there.tell(theirs.log.clone());
        tokio::time::sleep(A_WHILE).await;
        if atomic {
            turns.memory.commit(&theirs).await.expect("nobody wrote before");
        }
        drop(held);
        ended(first).await.expect("there is stock enough");
        assert_eq!(ended(second).await.is_ok(), !atomic);
        let trades = audit(&*turns.memory).await.trades.len();
        assert_eq!(trades, if atomic { 1 } else { 3 });
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_who_tell_the_last_is_who_is_decided_behind() {
    let turns = Turns::start().await;
    let held = turns.there.hold().await.expect("nobody else holds it");
    let third = turns.here.another();
    let commands = [adjust("a", &[("tea", -5)]), adjust("a", &[("tea", 6)])];
    let both = turns.drafted(&commands).await;
    turns.at(4_000);
    let trades = vec![sale("T-1", "a", "b", &[("tea", 4)])];
    let batch = turns.submit(Request::new(batch(false, trades)));
    tokio::time::sleep(A_WHILE).await;
    let rest = turns.submit(Request::new(sell("T-2", 7)));
    tokio::time::sleep(A_WHILE).await;
    turns.there.tell(both.log[..1].to_vec());
    tokio::time::sleep(A_WHILE).await;
    let early = turns.at(5_000);
    third.tell(both.log[1..].to_vec());
    tokio::time::sleep(A_WHILE).await;
    turns.memory.commit(&both).await.expect("nobody wrote before");
    turns.at(9_000);
    // Only a receipt tells that this one landed.
    turns.here.fail_commits([Some(Fault::Unanswered)]);
    drop(held);
    match ended(batch).await.expect("it is taken").outcome {
        Outcome::Trades(made) => {
            let made = made[0].as_ref().expect("there is stock enough");
            assert!(made.created);
            assert_eq!(made.trade.created_at, early);
        }
        other => panic!("not a batch: {other:?}"),
    }
    assert_eq!(made_at(ended(rest).await), early);
    audit(&*turns.memory).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_has_a_key_waits_for_the_log_and_so_do_those_behind_it() {
    let turns = Turns::start().await;
    let theirs = turns.drafted(&[adjust("b", &[("tea", 5)])]).await;
    let held = turns.there.hold().await.expect("nobody else holds it");
    let early = turns.at(5_000);
    let requests = [
        Request::new(sell("T-1", 1)),
        Request::new(sell("T-2", 4)).once(key(2, 2)),
        Request::new(sell("T-3", 9)),
        Request::new(sell("T-4", 5)),
        Request::new(sell("T-5", 1)),
    ];
    let mut answers = Vec::new();
    for request in requests {
        answers.push(turns.submit(request));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(A_WHILE).await;
    turns.there.tell(theirs.log.clone());
    tokio::time::sleep(A_WHILE).await;
    turns.memory.commit(&theirs).await.expect("nobody wrote before");
    let late = turns.at(9_000);
    drop(held);
    let mut told = Vec::new();
    for answer in answers {
        told.push(ended(answer).await);
    }
    let [first, keyed, refused, last, too_late] = <[_; 5]>::try_from(told).expect("all five");
    assert_eq!([made_at(first), made_at(keyed), made_at(last)], [early, late, late]);
    assert!(is_short(&refused) && is_short(&too_late));
    audit(&*turns.memory).await;
}

#[tokio::test(start_paused = true)]
async fn who_was_decided_on_a_guess_is_not_forgotten_where_the_head_cannot_be_had() {
    let turns = Turns::start().await;
    let theirs = turns.drafted(&[adjust("a", &[("tea", 5)])]).await;
    turns.here.fall_silent(Duration::from_millis(200));
    let answer = turns.submit(Request::new(sell("T-1", 11)));
    tokio::time::sleep(A_WHILE).await;
    turns.there.tell(theirs.log);
    tokio::time::sleep(A_WHILE).await;
    let answer = ended(answer).await.expect_err("the head cannot be had");
    assert!(
        matches!(&answer, ServiceError::Store(error) if error.kind == StoreErrorKind::Unavailable),
        "{answer:?}"
    );
    turns.here.heal();
    assert!(is_short(&ended(turns.submit(Request::new(sell("T-2", 11)))).await));
    taken(&turns.service, sell("T-3", 10)).await;
    assert_eq!(audit(&*turns.memory).await.trades.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_decided_ahead_is_answered_where_a_load_fails_or_what_is_told_leads_nowhere() {
    for leads_nowhere in [false, true] {
        let turns = Turns::start().await;
        let steps = [-1, -1, -1].map(|units| adjust("b", &[("tea", units)]));
        let theirs = turns.drafted(&[adjust("b", &[("tea", 5)])]).await;
        let held = turns.there.hold().await.expect("nobody else holds it");
        let first = turns.submit(Request::new(sell("T-1", 1)));
        tokio::time::sleep(A_WHILE).await;
        turns.there.tell(theirs.log.clone());
        tokio::time::sleep(A_WHILE).await;
        let keyed = turns.submit(Request::new(sell("T-2", 1)).once(key(2, 2)));
        tokio::time::sleep(A_WHILE).await;
        turns.memory.commit(&theirs).await.expect("nobody wrote before");
        if leads_nowhere {
            let mut log = turns.drafted(&steps).await.log;
            log.remove(1);
            turns.there.tell(log);
            tokio::time::sleep(A_WHILE).await;
        } else {
            turns.here.fail_loads_as([Some(StoreErrorKind::Conflict)]);
        }
        drop(held);
        let first = ended(first).await;
        assert!(first.as_ref().is_ok_and(|answer| !answer.replayed), "{leads_nowhere} {first:?}");
        assert!(ended(keyed).await.is_ok());
        assert_eq!(audit(&*turns.memory).await.trades.len(), 2);
    }
}

/// Submits so many sales, at once.
fn sales(turns: &Turns, round: u8, count: u8, keyed: bool) -> Vec<JoinHandle<Result<Answer, ServiceError>>> {
    let request = |n| {
        let request = Request::new(sell(&format!("T-{round}-{n}"), 1));
        if keyed { request.once(key(n, round)) } else { request }
    };
    (0..count).map(|n| turns.submit(request(n))).collect()
}

#[tokio::test]
async fn what_leads_nowhere_is_not_tried_again_and_again() {
    let commands = [
        // The sum of a station does not tell its total any more.
        vec![adjust("b", &[("rice", 9_007_199_254_740_991)])],
        vec![adjust("b", &[("tea", 1)]), adjust("b", &[("tea", 2)])],
    ];
    for (commands, is_whole) in commands.iter().zip([true, false]) {
        let turns = Turns::start().await;
        taken(&turns.service, adjust("a", &[("tea", 1_000)])).await;
        let theirs = turns.drafted(commands).await;
        let held = turns.there.hold().await.expect("nobody else holds it");
        let asked = turns.here.ids_asked();
        let mut told = theirs.log.clone();
        if !is_whole {
            // It ends before it begins.
            told[1].last = 1;
        }
        turns.there.tell(told);
        let answers = sales(&turns, 0, 100, true);
        tokio::time::sleep(A_WHILE).await;
        assert!(turns.here.ids_asked() - asked <= 400, "{}", turns.here.ids_asked() - asked);
        turns.memory.commit(&theirs).await.expect("nobody wrote before");
        drop(held);
        for answer in answers {
            ended(answer).await.expect("there is stock enough");
        }
        audit(&*turns.memory).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_guess_says_nothing_of_what_is_new() {
    let turns = Turns::start().await;
    taken(&turns.service, adjust("a", &[("tea", 1_000)])).await;
    for round in 0..3 {
        let theirs = turns.drafted(&[adjust("b", &[("tea", 5)])]).await;
        let held = turns.there.hold().await.expect("nobody else holds it");
        let asked = turns.here.ids_asked();
        let answers = sales(&turns, round, 100, false);
        tokio::time::sleep(A_WHILE).await;
        if round == 0 {
            turns.there.tell(theirs.log);
            tokio::time::sleep(A_WHILE).await;
        } else {
            turns.memory.commit(&theirs).await.expect("nobody wrote before");
        }
        drop(held);
        for answer in answers {
            ended(answer).await.expect("there is stock enough");
        }
        assert_eq!(turns.here.ids_asked() - asked, if round == 0 { 200 } else { 0 });
    }
}
