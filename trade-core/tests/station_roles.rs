//! Roles and stations: every action, by every role, where its own station is the seller, the buyer, both, another one, all or
//! none; and what each role reads. What is expected stands in the tables of this file.

mod shown;

use shown::{assert_shows, touches};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use trade_core::access::{Right, StationRoles};
use trade_core::command::{AdjustInventory, Command, Request, UpdateCargo};
use trade_core::event::{Actor, Event, EventFilter, EventType};
use trade_core::memory::MemoryStore;
use trade_core::policy::Principal;
use trade_core::rejection::Rejection;
use trade_core::resource::CargoStatus::{self, Cancelled, Delivered, InTransit, Lost, Returned};
use trade_core::resource::TradeStatus;
use trade_core::service::{ServiceError, ServiceOptions, TradeService};
use trade_core::testing::conformance::taken;
use trade_core::testing::fixtures::*;
use trade_core::testing::snapshot::Snapshot;
use trade_core::values::Scope;

const ROLES: [&str; 6] = ["viewer", "trader", "carrier", "stockkeeper", "auditor", "admin"];

/// Who may do what: `s` where the seller, origin or the station itself is their own, `b` where the buyer or destination is,
/// `e` where either is, `*` everywhere, `-` nowhere. In the order of [`ROLES`].
const RULES: &str = "
    initiate a trade                     -  s  -  -  -  *
    initiate a batch                     -  s  -  -  -  *
    complete a trade                     -  -  e  -  -  *
    cancel a trade                       -  e  -  -  -  *
    ask a trade for what it is           -  e  e  -  -  *
    send cargo of a trade                -  -  e  -  -  *
    deliver cargo of a trade             -  -  e  -  -  *
    return cargo of a trade              -  -  e  -  -  *
    lose cargo of a trade                -  -  e  -  -  *
    cancel cargo of a trade              -  e  e  -  -  *
    cancel cargo of a trade and say why  -  -  e  -  -  *
    locate cargo of a trade              -  -  e  -  -  *
    make a transfer                      -  -  -  s  -  *
    send a transfer                      -  -  e  -  -  *
    deliver a transfer                   -  -  e  -  -  *
    cancel a transfer                    -  -  e  s  -  *
    cancel a transfer and delay it       -  -  e  -  -  *
    adjust a station                     -  -  -  s  -  *
    rename a station                     -  -  -  s  -  *
    tell of a station                    -  -  -  s  -  *
    adjust and rename a station          -  -  -  s  -  *
    open a station                       -  -  -  -  -  *
";

/// What a server asks of the network as a whole, as above; `a` for whoever has all stations.
const RULES_OF_SERVERS: &[(Right, &str)] = &[
    (Right::ReadNetwork, "a a a a * *"),
    (Right::ReadAnalytics, "a a a a * *"),
    (Right::ReadAudit, "- - - - * *"),
    (Right::ReadMetrics, "- - - - * *"),
    (Right::ManageKeys, "- - - - - *"),
];

/// What is asked for, after what; and how it is refused to whoever may not know of it, if it exists.
struct Asked {
    before: Vec<Command>,
    command: Command,
    unknown: Option<Rejection>,
    /// Whether it is about one station alone.
    is_of_one: bool,
}

fn asked(name: &str) -> Asked {
    let shipment = || shipment_of("T-1");
    let transfer_of = |id: &str| Command::CreateTransfer(transfer(id, "s", "b", &[("tea", 1)]));
    let update = |update: UpdateCargo| Command::UpdateCargo(update);
    let cancelling = |id| UpdateCargo { status: Some(Cancelled), ..track(id) };
    let station_of = |change: AdjustInventory| Command::AdjustInventory(change);
    let of_trade = |id: &str, status: CargoStatus| match status {
        Cancelled | InTransit => vec![initiate(order(id, "s", "b", &[("tea", 1)]))],
        _ => vec![initiate(order(id, "s", "b", &[("tea", 1)])), move_cargo(shipment_of(id), InTransit)],
    };
    let (before, command) = match name {
        "initiate a trade" => (vec![], initiate(order("T-1", "s", "b", &[("tea", 1)]))),
        "initiate a batch" => (vec![], batch(true, vec![order("T-1", "s", "b", &[("tea", 1)])])),
        "complete a trade" => (of_trade("T-1", Delivered), end_trade("T-1", TradeStatus::Completed)),
        "cancel a trade" => (of_trade("T-1", Cancelled), end_trade("T-1", TradeStatus::Cancelled)),
        "ask a trade for what it is" => {
            (of_trade("T-1", Cancelled), end_trade("T-1", TradeStatus::Initiated))
        }
        "send cargo of a trade" => (of_trade("T-1", InTransit), move_cargo(shipment(), InTransit)),
        "deliver cargo of a trade" => (of_trade("T-1", Delivered), move_cargo(shipment(), Delivered)),
        "return cargo of a trade" => (of_trade("T-1", Returned), move_cargo(shipment(), Returned)),
        "lose cargo of a trade" => (of_trade("T-1", Lost), move_cargo(shipment(), Lost)),
        "cancel cargo of a trade" => (of_trade("T-1", Cancelled), move_cargo(shipment(), Cancelled)),
        "cancel cargo of a trade and say why" => {
            let why = Some(metadata(&[("why", "fog")]));
            (of_trade("T-1", Cancelled), update(UpdateCargo { metadata: why, ..cancelling(shipment()) }))
        }
        "locate cargo of a trade" => {
            let here = UpdateCargo { location: Some(label("Dock 4")), ..track(shipment()) };
            (of_trade("T-1", Cancelled), update(here))
        }
        "make a transfer" => (vec![], transfer_of("X-1")),
        "send a transfer" => (vec![transfer_of("X-1")], move_cargo(shipment_id("X-1"), InTransit)),
        "deliver a transfer" => {
            let sent = move_cargo(shipment_id("X-1"), InTransit);
            (vec![transfer_of("X-1"), sent], move_cargo(shipment_id("X-1"), Delivered))
        }
        "cancel a transfer" => (vec![transfer_of("X-1")], move_cargo(shipment_id("X-1"), Cancelled)),
        "cancel a transfer and delay it" => {
            let eta = Some(time("2027-01-01T00:00:00Z"));
            (vec![transfer_of("X-1")], update(UpdateCargo { eta, ..cancelling(shipment_id("X-1")) }))
        }
        "adjust a station" => (vec![], adjust("s", &[("tea", 1)])),
        "rename a station" => {
            (vec![], station_of(AdjustInventory { name: Some(label("S")), ..adjustment("s", &[]) }))
        }
        "tell of a station" => {
            let told = Some(metadata(&[("kind", "moon")]));
            (vec![], station_of(AdjustInventory { metadata: told, ..adjustment("s", &[]) }))
        }
        "adjust and rename a station" => {
            (vec![], station_of(AdjustInventory { name: Some(label("S")), ..adjustment("s", &[("tea", 1)]) }))
        }
        "open a station" => (vec![], open_station("s-2", &[])),
        other => panic!("{other}"),
    };
    let unknown = match &command {
        Command::UpdateTrade(update) => Some(Rejection::TradeNotFound(update.transaction_id.clone())),
        Command::UpdateCargo(update) => Some(Rejection::CargoNotFound(update.shipment_id.clone())),
        Command::AdjustInventory(change) => Some(Rejection::StationNotFound(change.station_id.clone())),
        _ => None,
    };
    let is_of_one = matches!(command, Command::AdjustInventory(_) | Command::CreateStation(_));
    Asked { before, command, unknown, is_of_one }
}

/// Stations that are somebody's own; of all of them, none are named.
#[derive(Debug, Clone, Copy)]
struct Own(Option<&'static [&'static str]>);

const OWN: [Own; 6] = [
    Own(None),
    Own(Some(&[])),
    Own(Some(&["s"])),
    Own(Some(&["b"])),
    Own(Some(&["b", "s"])),
    Own(Some(&["z"])),
];

impl Own {
    fn has(self, id: &str) -> bool {
        self.0.is_none_or(|stations| stations.contains(&id))
    }

    fn scope(self) -> Scope {
        self.0.map_or(Scope::All, |stations| Scope::of(stations.iter().map(|id| station(id))).expect("a few"))
    }

    fn principal(self, roles: &[&str]) -> Principal {
        let ada = Principal::new(Actor::User("ada".into())).with_roles(roles.iter().copied());
        ada.with_stations(self.scope())
    }

    /// Whether a letter of [`RULES`] lets these in.
    fn fits(self, letter: &str) -> bool {
        match letter {
            "-" => false,
            "*" => true,
            "s" => self.has("s"),
            "b" => self.has("b"),
            "e" => self.has("s") || self.has("b"),
            "a" => self.0.is_none(),
            other => panic!("{other}"),
        }
    }
}

fn known(roles: &[&str]) -> bool {
    roles.iter().any(|role| ROLES.contains(role))
}

fn reads_everything(roles: &[&str]) -> bool {
    roles.contains(&"auditor") || roles.contains(&"admin")
}

fn allowed(letters: &str, roles: &[&str], own: Own) -> bool {
    let letters: Vec<_> = letters.split_whitespace().collect();
    assert_eq!(letters.len(), ROLES.len(), "{letters:?}");
    ROLES.iter().zip(letters).any(|(role, letter)| roles.contains(role) && own.fits(letter))
}

/// Each role, each two roles, none, and one that nobody knows.
fn role_sets() -> BTreeSet<Vec<&'static str>> {
    let pairs = ROLES.iter().flat_map(|one| ROLES.iter().map(move |other| vec![*one, *other]));
    let pairs = pairs.chain([vec![], vec!["owner"], vec!["Admin"], vec!["owner", "viewer"]]);
    pairs.map(|mut roles| (roles.sort_unstable(), roles.dedup(), roles).2).collect()
}

async fn network(policy: StationRoles) -> (Arc<MemoryStore>, TradeService) {
    let store = Arc::new(MemoryStore::new());
    let options = ServiceOptions { policy: Arc::new(policy), ..ServiceOptions::default() };
    let service = TradeService::start_with_options(store.clone(), options).await.expect("it starts");
    for id in ["s", "b", "z"] {
        taken(&service, open_station(id, &[("tea", 100)])).await;
    }
    (store, service)
}

/// How somebody is answered: nothing where it is done.
async fn answer(service: &TradeService, principal: Principal, command: Command) -> Result<(), Rejection> {
    match service.session(principal).submit(Request::new(command)).await {
        Ok(_) => Ok(()),
        Err(ServiceError::Rejected(Rejection::InBatch { index: 0, rejection })) => Err(*rejection),
        Err(ServiceError::Rejected(rejection)) => Err(rejection),
        Err(other) => panic!("{other:?}"),
    }
}

async fn assert_rule(policy: StationRoles, name: &str, letters: &str) {
    for roles in role_sets() {
        for own in OWN {
            let case = format!("{name} as {roles:?} of {own:?}, {policy:?}");
            let (store, service) = network(policy).await;
            let Asked { before, command, unknown, is_of_one } = asked(name);
            for command in before {
                taken(&service, command).await;
            }
            let snapshot = Snapshot::of(&*store).await;
            let answer = answer(&service, own.principal(&roles), command).await;
            let touched = own.has("s") || !is_of_one && own.has("b");
            let is_shown = reads_everything(&roles) || known(&roles) && touched;
            match (allowed(letters, &roles, own), unknown) {
                (true, _) if name == "ask a trade for what it is" => assert_eq!(answer, Ok(()), "{case}"),
                (true, _) => {
                    assert_eq!(answer, Ok(()), "{case}");
                    assert_ne!(Snapshot::of(&*store).await, snapshot, "{case}");
                    continue;
                }
                (false, Some(unknown)) if !is_shown => assert_eq!(answer, Err(unknown), "{case}"),
                (false, _) => assert_eq!(answer, Err(Rejection::Forbidden), "{case}"),
            }
            assert_eq!(Snapshot::of(&*store).await, snapshot, "{case}");
        }
    }
}

#[tokio::test]
async fn each_role_does_what_it_may_where_it_may_and_nothing_else() {
    let rules = RULES.lines().map(str::trim).filter(|rule| !rule.is_empty());
    for rule in rules {
        let (name, letters) = rule.split_once("  ").expect("a name, and letters");
        assert_rule(StationRoles::default(), name.trim(), letters).await;
    }
}

#[tokio::test]
async fn buyers_initiate_where_that_is_set() {
    let policy = StationRoles { buyers_may_initiate: true };
    assert_rule(policy, "initiate a trade", "- e - - - *").await;
    assert_rule(policy, "initiate a batch", "- e - - - *").await;
    assert_rule(policy, "cancel a trade", "- e - - - *").await;
    assert_rule(policy, "make a transfer", "- - - s - *").await;
}

#[test]
fn what_servers_ask_of_the_whole_network_is_answered_by_the_rules() {
    for (right, letters) in RULES_OF_SERVERS {
        for roles in role_sets() {
            for own in OWN {
                let may = StationRoles::default().may(&own.principal(&roles), *right);
                assert_eq!(may, allowed(letters, &roles, own), "{right} as {roles:?} of {own:?}");
            }
        }
    }
    assert!(
        ROLES.iter().all(|role| trade_core::access::Role::ALL.iter().any(|known| known.as_str() == *role))
    );
}

/// Something of every kind, between two stations.
fn history(prefix: &str, seller: &str, buyer: &str) -> Vec<Command> {
    let id = |n: u32| format!("{prefix}-{n}");
    let (ends, mut commands) = ([Delivered, Returned, Lost], vec![]);
    for (n, end) in (1..).zip(ends) {
        commands.push(initiate(order(&id(n), seller, buyer, &[("tea", 1)])));
        commands.push(move_cargo(shipment_of(&id(n)), InTransit));
        commands.push(move_cargo(shipment_of(&id(n)), end));
    }
    commands.push(initiate(sale(&id(9), seller, buyer, &[("tea", 2)])));
    commands.push(end_trade(&id(9), TradeStatus::Cancelled));
    commands.push(Command::CreateTransfer(transfer(&format!("X{prefix}"), seller, buyer, &[("tea", 1)])));
    commands.push(adjust(seller, &[("tea", -1), ("ore", 3)]));
    commands
}

#[tokio::test]
async fn each_role_reads_what_touches_its_stations_and_auditors_and_admins_everything() {
    let (store, service) = network(StationRoles::default()).await;
    let started = Snapshot::of(&*store).await.head;
    let sessions = || role_sets().into_iter().flat_map(|roles| OWN.map(|own| (roles.clone(), own)));
    let mut live = Vec::new();
    for (roles, own) in sessions() {
        let session = service.session(own.principal(&roles));
        live.push((session.subscribe(None, EventFilter::default()), roles, own));
    }
    for (prefix, seller, buyer) in [("T", "s", "b"), ("U", "z", "b"), ("V", "b", "s"), ("W", "z", "s")] {
        for command in history(prefix, seller, buyer) {
            taken(&service, command).await;
        }
    }
    let events = Snapshot::of(&*store).await.events();
    let expected = |roles: &[&str], own: Own| match (reads_everything(roles), known(roles)) {
        (true, _) => Scope::All,
        (false, true) => own.scope(),
        (false, false) => Scope::nothing(),
    };
    for (mut live, roles, own) in live {
        let scope = expected(&roles, own);
        let shown: Vec<&Event> =
            events.iter().filter(|event| event.sequence > started && touches(&scope, event)).collect();
        let kinds: BTreeSet<_> = shown.iter().map(|event| event.event_type).collect();
        assert!(shown.is_empty() || kinds.len() == EventType::ALL.len(), "{roles:?} {own:?}");
        for event in shown {
            let next = timeout(Duration::from_secs(5), live.next()).await.expect("in time");
            assert_eq!(next.expect("it is read").expect("it is open").event(), event, "{roles:?} {own:?}");
        }
        assert!(live.next_stored().await.expect("it is read").is_none(), "{roles:?} {own:?}");
    }
    for (roles, own) in sessions().filter(|(roles, _)| roles.len() < 2) {
        let session = service.session(own.principal(&roles));
        assert_shows(&session, &store, &expected(&roles, own)).await;
        for event_type in EventType::ALL {
            let filter = EventFilter { types: vec![*event_type], ..EventFilter::default() };
            let mut replay = session.subscribe(Some(0), filter);
            let scope = expected(&roles, own);
            for event in events.iter().filter(|e| e.event_type == *event_type && touches(&scope, e)) {
                let next = replay.next_stored().await.expect("it is read").expect("it is there");
                assert_eq!(next.event(), event, "{roles:?} {own:?}");
            }
            assert!(replay.next_stored().await.expect("it is read").is_none(), "{roles:?} {own:?}");
        }
    }
}
