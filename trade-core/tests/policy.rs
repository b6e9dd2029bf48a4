//! Policies and sessions: who may do what, in which order that is checked, and that what is out of scope does not exist.

mod shown;

use futures::future::join_all;
use proptest::prelude::*;
use shown::assert_shows;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use trade_core::command::{
    Command, CreateStation, InitiateTrades, Precondition, Request, UpdateCargo, UpdateTrade,
};
use trade_core::event::{Actor, EventFilter};
use trade_core::memory::MemoryStore;
use trade_core::policy::{Action, AllowAll, Denial, Every, Policy, Principal, State};
use trade_core::rejection::Rejection;
use trade_core::resource::{CargoStatus, TradeStatus};
use trade_core::service::{ServiceError, ServiceOptions, Session, TradeService};
use trade_core::testing::conformance::taken;
use trade_core::testing::fixtures::*;
use trade_core::testing::snapshot::Snapshot;
use trade_core::testing::strategies;
use trade_core::values::{Scope, ShipmentId};

/// Whoever has a role `seller` sells from their own stations, whoever has `clerk` changes what touches them; all see what is
/// theirs.
#[derive(Debug)]
struct Own;

impl Policy for Own {
    fn check(&self, principal: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
        let allowed = match action {
            Action::InitiateTrade(trade) => {
                principal.has_role("seller") && principal.stations().contains(&trade.seller)
            }
            Action::CreateStation(_) => false,
            other => principal.has_role("clerk") && principal.stations().touches(other.stations()),
        };
        if allowed { Ok(()) } else { Err(Denial::Forbidden) }
    }

    fn scope(&self, principal: &Principal) -> Scope {
        principal.stations().clone()
    }
}

/// A station owes at most so many units of the items of an order, in orders that did not arrive yet.
#[derive(Debug)]
struct CreditLimit(u64);

impl Policy for CreditLimit {
    fn check(&self, _: &Principal, action: &Action<'_>, state: &State<'_>) -> Result<(), Denial> {
        let Action::InitiateTrade(trade) = action else { return Ok(()) };
        let ordered: u64 = trade.items.iter().map(|line| line.quantity.units()).sum();
        let of_buyer = state.levels().filter(|(station, ..)| **station == trade.buyer);
        let owed: u64 = of_buyer.map(|(.., level)| level.incoming).sum();
        if owed + ordered > self.0 {
            return Err(Denial::Because(format!("{} owes {owed} units already", trade.buyer)));
        }
        Ok(())
    }

    fn scope(&self, _: &Principal) -> Scope {
        Scope::All
    }
}

async fn network(policy: impl Policy + 'static) -> (Arc<MemoryStore>, TradeService) {
    let store = Arc::new(MemoryStore::new());
    let options = ServiceOptions { policy: Arc::new(policy), ..ServiceOptions::default() };
    let service = TradeService::start_with_options(store.clone(), options).await.expect("it starts");
    for id in ["a", "b", "c"] {
        taken(&service, open_station(id, &[("tea", 100)])).await;
    }
    (store, service)
}

fn principal(roles: &[&str], stations: &[&str]) -> Principal {
    let stations = Scope::of(stations.iter().map(|id| station(id))).expect("a few");
    Principal::new(Actor::User("ada".into())).with_roles(roles.iter().copied()).with_stations(stations)
}

async fn refused(session: &Session, command: Command) -> Rejection {
    match session.submit(Request::new(command)).await {
        Err(ServiceError::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn existence_comes_before_permission_and_permission_before_version_status_and_stock() {
    let (_, service) = network(Own).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 1)]))).await;
    taken(&service, end_trade("T-1", TradeStatus::Cancelled)).await;
    let complete = |id: &str, versions: &[u64]| {
        let precondition = Precondition::OneOf(versions.to_vec());
        Command::UpdateTrade(UpdateTrade {
            precondition,
            ..UpdateTrade::new(trade_id(id), TradeStatus::Completed)
        })
    };
    let of = |roles: &[&str], stations: &[&str]| service.session(principal(roles, stations));
    let (viewer, clerk, stranger) = (of(&[], &["a"]), of(&["clerk"], &["a"]), of(&["clerk"], &["c"]));
    let not_found = |id: &str| Rejection::TradeNotFound(trade_id(id));
    assert_eq!(refused(&viewer, complete("T-9", &[7])).await, not_found("T-9"));
    assert_eq!(refused(&stranger, complete("T-1", &[7])).await, not_found("T-1"));
    assert_eq!(refused(&viewer, complete("T-1", &[7])).await, Rejection::Forbidden);
    assert_eq!(refused(&clerk, complete("T-1", &[7])).await, Rejection::VersionMismatch { actual: 2 });
    let illegal = refused(&clerk, complete("T-1", &[2])).await;
    assert!(matches!(illegal, Rejection::IllegalTradeTransition { .. }), "{illegal:?}");

    let move_on = || {
        let update = UpdateCargo { status: Some(CargoStatus::InTransit), ..track(shipment_of("T-1")) };
        Command::UpdateCargo(UpdateCargo { precondition: Precondition::OneOf(vec![7]), ..update })
    };
    assert_eq!(refused(&stranger, move_on()).await, Rejection::CargoNotFound(shipment_of("T-1")));
    assert_eq!(refused(&viewer, move_on()).await, Rejection::Forbidden);
    assert_eq!(refused(&clerk, move_on()).await, Rejection::VersionMismatch { actual: 2 });

    let take = || adjust("a", &[("tea", -1_000)]);
    assert_eq!(refused(&stranger, take()).await, Rejection::StationNotFound(station("a")));
    assert_eq!(refused(&viewer, take()).await, Rejection::Forbidden);
    assert!(matches!(refused(&clerk, take()).await, Rejection::InsufficientStock(_)));

    // What is to be made is permitted before anything is told of the stations that it names, or of its version.
    let seller = of(&["seller"], &["a"]);
    let nowhere = initiate(sale("T-2", "a", "nowhere", &[("tea", 1)]));
    assert_eq!(refused(&viewer, nowhere.clone()).await, Rejection::Forbidden);
    assert!(matches!(refused(&seller, nowhere).await, Rejection::UnknownStation { .. }));
    assert_eq!(
        refused(&viewer, Command::CreateStation(CreateStation::new(station("a")))).await,
        Rejection::Forbidden
    );
    let transfer = || Command::CreateTransfer(transfer("X-1", "a", "b", &[("tea", 1)]));
    assert_eq!(refused(&viewer, transfer()).await, Rejection::Forbidden);
    let only_if_there = Request::new(transfer()).provided(Precondition::OneOf(vec![1]));
    let told = viewer.submit(only_if_there.clone()).await.expect_err("it is not permitted");
    assert!(matches!(told, ServiceError::Rejected(Rejection::Forbidden)), "{told:?}");
    let told = clerk.submit(only_if_there).await.expect_err("there is none");
    assert!(matches!(told, ServiceError::Rejected(Rejection::VersionMismatch { actual: 0 })), "{told:?}");
}

#[tokio::test]
async fn a_trade_of_others_is_not_told_of_to_whoever_takes_its_id() {
    let (_, service) = network(Own).await;
    taken(&service, initiate(sale("T-1", "a", "b", &[("tea", 1)]))).await;
    let same = || initiate(sale("T-1", "a", "b", &[("tea", 1)]));
    // Whoever may not make it does not even learn that the id is taken.
    let viewer = service.session(principal(&[], &["c"]));
    for command in [same(), initiate(sale("T-9", "a", "b", &[("tea", 1)]))] {
        assert_eq!(refused(&viewer, command).await, Rejection::Forbidden);
    }
    let transfer_of = |id: &str| Command::CreateTransfer(transfer(id, "a", "b", &[("tea", 1)]));
    taken(&service, transfer_of("X-1")).await;
    for id in ["X-1", "X-2"] {
        assert_eq!(refused(&viewer, transfer_of(id)).await, Rejection::Forbidden);
    }
    let same = || initiate(sale("T-1", "c", "b", &[("tea", 1)]));
    taken(&service, initiate(sale("T-1", "a", "b", &[("tea", 1)]))).await;
    let stranger = service.session(principal(&["seller"], &["c"]));
    let only_new = Request::new(same()).provided(Precondition::NoneOf(vec![1]));
    for request in [Request::new(same()), only_new] {
        let told = stranger.submit(request).await.expect_err("it is another's");
        assert!(matches!(told, ServiceError::Rejected(Rejection::TradeExists(_))), "{told:?}");
    }
    // What was made is told again to whoever may see it, whether they might make it now or not.
    let same = || initiate(sale("T-1", "a", "b", &[("tea", 1)]));
    let buyer = service.session(principal(&[], &["b"]));
    let again = buyer.submit(Request::new(same())).await.expect("it is theirs");
    assert!(matches!(again.outcome, trade_core::command::Outcome::Trade(outcome) if !outcome.created));
}

#[tokio::test]
async fn a_denial_leaves_no_trace_and_each_trade_of_a_batch_is_asked_about() {
    let (store, service) = network(Own).await;
    let before = Snapshot::of(&*store).await;
    let session = service.session(principal(&["seller"], &["a"]));
    let trades = || vec![sale("T-1", "a", "b", &[("tea", 1)]), sale("T-2", "b", "a", &[("tea", 1)])];
    let atomic = Request::new(InitiateTrades { trades: trades(), atomic: true });
    let told = session.submit(atomic).await.expect_err("one is not theirs");
    let ServiceError::Rejected(Rejection::InBatch { index: 1, rejection }) = told else { panic!("{told:?}") };
    assert_eq!(*rejection, Rejection::Forbidden);
    assert_eq!(Snapshot::of(&*store).await, before);
    let each = Request::new(InitiateTrades { trades: trades(), atomic: false });
    let answer = session.submit(each).await.expect("each by itself");
    assert!(matches!(&answer.outcome[..], [Ok(_), Err(Rejection::Forbidden)]), "{answer:?}");
    let events = Snapshot::of(&*store).await.events();
    let made = &events[before.events().len()..];
    assert!(made.iter().all(|event| event.actor == Actor::User("ada".into())), "{made:?}");
    assert!(store_has(&store, "T-1").await && !store_has(&store, "T-2").await);
}

/// A policy that fails refuses what it is asked about, and shows nothing; the network goes on.
#[tokio::test]
async fn a_policy_that_panics_is_in_nobody_elses_way() {
    #[derive(Debug)]
    struct Broken;

    impl Policy for Broken {
        fn check(&self, _: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
            panic!("asked about {action:?}")
        }

        fn scope(&self, principal: &Principal) -> Scope {
            if principal.has_role("nobody") { panic!("asked about a scope") } else { Scope::All }
        }
    }

    let (_, service) = network(Broken).await;
    let session = service.session(principal(&[], &["a"]));
    let told = refused(&session, initiate(sale("T-1", "a", "b", &[("tea", 1)]))).await;
    assert_eq!(told, Rejection::RefusedByPolicy { reason: "the policy failed".into() });
    assert_eq!(*service.session(principal(&["nobody"], &["a"])).scope(), Scope::nothing());
    assert!(service.is_working());
    taken(&service, initiate(sale("T-1", "a", "b", &[("tea", 1)]))).await;
}

#[tokio::test]
async fn what_is_the_networks_own_to_do_is_nobody_elses() {
    let (_, service) = network(AllowAll).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 1)]))).await;
    let session = service.session(Principal::new(Actor::Anonymous));
    assert_eq!(refused(&session, Command::ExpireTrade(trade_id("T-1"))).await, Rejection::Forbidden);
}

/// By its own status or by that of its shipment: a policy learns of both alike.
#[tokio::test]
async fn a_policy_sees_a_trade_end_whichever_way_is_asked_for() {
    #[derive(Debug)]
    struct NothingEnds;

    impl Policy for NothingEnds {
        fn check(&self, _: &Principal, action: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
            match action.ends() {
                Some((trade, status)) => {
                    Err(Denial::Because(format!("{} is not to be {status}", trade.transaction_id)))
                }
                None => Ok(()),
            }
        }

        fn scope(&self, _: &Principal) -> Scope {
            Scope::All
        }
    }

    let (_, service) = network(NothingEnds).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 1)]))).await;
    let session = service.session(Principal::new(Actor::Anonymous));
    let to = |status| move_cargo(shipment_of("T-1"), status);
    for (command, status) in [
        (end_trade("T-1", TradeStatus::Cancelled), "cancelled"),
        (to(CargoStatus::Cancelled), "cancelled"),
        (to(CargoStatus::Lost), "failed"),
        (to(CargoStatus::Delivered), "completed"),
    ] {
        let reason = format!("T-1 is not to be {status}");
        assert_eq!(refused(&session, command).await, Rejection::RefusedByPolicy { reason });
    }
    session.submit(Request::new(to(CargoStatus::InTransit))).await.expect("it ends nothing");
}

async fn store_has(store: &MemoryStore, id: &str) -> bool {
    use trade_core::store::TradeRepository;
    store.trade(&trade_id(id)).await.expect("it is read").is_some()
}

#[tokio::test]
async fn shortages_name_levels_only_of_stations_in_scope() {
    let (_, service) = network(Every(vec![Arc::new(AllowAll), Arc::new(Own)])).await;
    let of = |station: &str| service.session(principal(&["clerk"], &[station]));
    let short = |id: &str| Command::CreateTransfer(transfer(id, "a", "b", &[("tea", 101)]));
    for (station, available) in [("a", Some(100)), ("b", None)] {
        let told = refused(&of(station), short("X-1")).await;
        let Rejection::InsufficientStock(shortages) = &told else { panic!("{told:?}") };
        assert_eq!(shortages.listed()[0].available, available, "{station}");
        assert_eq!(told.to_string().contains("100"), available.is_some(), "{told}");
    }
}

/// All of them at once: the policy sees what those before have changed, in the same commit as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_application_holds_whoever_comes_at_once() {
    let (store, service) = network(CreditLimit(10)).await;
    let session = service.session(Principal::new(Actor::Anonymous));
    let orders = (0..40).map(|n| {
        let session = session.clone();
        async move { session.submit(Request::new(order(&format!("T-{n}"), "a", "b", &[("tea", 1)]))).await }
    });
    let answers = join_all(orders).await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(taken, 10);
    for answer in answers.into_iter().filter_map(Result::err) {
        let ServiceError::Rejected(Rejection::RefusedByPolicy { reason }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(reason, "b owes 10 units already");
    }
    assert_eq!(Snapshot::of(&*store).await.trades.len(), 10);
    // The owner asks nobody.
    trade_core::testing::conformance::taken(&service, initiate(order("T-99", "a", "b", &[("tea", 1)]))).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_session_shows_what_touches_its_scope_and_nothing_else(
        commands in strategies::commands(1..40),
        scope in proptest::collection::btree_set(0..5_usize, 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (store, service) = network(Own).await;
            let mut stations = BTreeSet::new();
            for command in commands {
                // What is refused is none of this test.
                let _ = service.submit(Request::new(command)).await;
            }
            for inventory in Snapshot::of(&*store).await.inventories {
                stations.insert(inventory.station_id);
            }
            let stations: Vec<_> = stations.into_iter().collect();
            let picked = scope.iter().filter_map(|place| stations.get(*place)).cloned();
            for scope in [Scope::All, Scope::of(picked).expect("a few")] {
                let session = service.session(Principal::new(Actor::Anonymous).with_stations(scope.clone()));
                assert_shows(&session, &store, &scope).await;
            }
        });
    }
}

#[tokio::test]
async fn a_live_subscription_hears_of_its_scope_alone() {
    let (_, service) = network(Own).await;
    let session = service.session(principal(&[], &["b"]));
    let mut live = session.subscribe(None, EventFilter::default());
    taken(&service, initiate(sale("T-1", "a", "c", &[("tea", 1)]))).await;
    taken(&service, initiate(sale("T-2", "a", "b", &[("tea", 1)]))).await;
    let mut subjects = Vec::new();
    for _ in 0..3 {
        let event = timeout(Duration::from_secs(5), live.next()).await.expect("in time");
        subjects.push(event.expect("it is read").expect("it is open").event().subject());
    }
    assert_eq!(subjects, ["trades/T-2", "cargo/shipment-T-2", "inventory/b"]);
    // A filter that names others' stations opens nothing.
    let filter = EventFilter { stations: vec![station("c")], scope: Scope::All, ..EventFilter::default() };
    assert!(session.subscribe(Some(0), filter).next_stored().await.expect("it is read").is_none());
    assert_eq!(session.cargo(&ShipmentId::of_trade(&trade_id("T-1"))).await.expect("it is read"), None);
}
