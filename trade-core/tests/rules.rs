//! The rules by themselves: every transition, and what holds whatever is asked.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use trade_core::command::{Command, InitiateTrade, Outcome, UpdateCargo};
use trade_core::event::{Actor, Event, EventData, EventType};
use trade_core::record::InvalidRecord;
use trade_core::rejection::Rejection;
use trade_core::resource::{Cargo, CargoStatus, Lines, Place, Settlement, StockLevel, TradeStatus};
use trade_core::rules::{self, Context, Draft};
use trade_core::step::Step;
use trade_core::testing::fixtures::*;
use trade_core::testing::model::{Model, Verdict};
use trade_core::testing::snapshot::Snapshot;
use trade_core::testing::strategies;
use trade_core::values::{Timestamp, UNITS_MAX};
use trade_core::view::View;

fn at(now: Timestamp) -> Context {
    Context::new(now, Actor::Anonymous)
}

fn submit(draft: &mut Draft, command: &Command, now: Timestamp) -> Result<Outcome, Rejection> {
    rules::check(command)?;
    draft.decide(command, &at(now))
}

/// Given what has happened.
fn given(commands: &[Command]) -> Draft {
    let mut draft = Draft::new(View::empty());
    for command in commands {
        submit(&mut draft, command, start_time())
            .unwrap_or_else(|rejection| panic!("{command:?}: {rejection}"));
    }
    draft
}

/// What is stored after the drafted steps, without a store.
fn snapshot(draft: &Draft) -> Snapshot {
    let movements = |event: &Event| match &event.data {
        EventData::Inventory(update) => update.movements.clone(),
        _ => Vec::new(),
    };
    Snapshot {
        head: draft.events().len() as u64,
        trades: draft.view.trades().cloned().collect(),
        cargo: draft.view.all_cargo().cloned().collect(),
        history: BTreeMap::new(),
        inventories: draft
            .view
            .stations()
            .filter_map(|station| draft.view.inventory(&station.station_id))
            .collect(),
        ledger: draft.events().iter().flat_map(movements).collect(),
        log: draft.log.clone(),
    }
}

type Levels = BTreeMap<(String, String), StockLevel>;

fn levels(draft: &Draft) -> Levels {
    let station = |id: &trade_core::values::StationId| {
        let id = id.clone();
        let items: Vec<_> = draft.view.items(&id).collect();
        items
            .into_iter()
            .map(move |(item, level)| ((id.to_string(), item.to_string()), level))
            .collect::<Vec<_>>()
    };
    draft.view.stations().flat_map(|row| station(&row.station_id)).collect()
}

fn moved(to: CargoStatus) -> Command {
    move_cargo(shipment_of("T-1"), to)
}

/// A trade whose shipment is in a status, and the commands that brought it there.
fn trade_in(settlement: Settlement, status: CargoStatus) -> Draft {
    let mut commands = vec![
        open_station("a", &[("tea", 10)]),
        open_station("b", &[("tea", 1)]),
        initiate(deal(settlement, "T-1", "a", "b", &[("tea", 4)])),
    ];
    if !matches!(status, CargoStatus::Pending | CargoStatus::Cancelled) {
        commands.push(moved(CargoStatus::InTransit));
    }
    if !matches!(status, CargoStatus::Pending | CargoStatus::InTransit) {
        commands.push(moved(status));
    }
    given(&commands)
}

/// The whole table of transitions, from the contract.
fn next(status: CargoStatus) -> &'static [CargoStatus] {
    match status {
        CargoStatus::Pending => &[CargoStatus::InTransit, CargoStatus::Cancelled],
        CargoStatus::InTransit => &[CargoStatus::Delivered, CargoStatus::Returned, CargoStatus::Lost],
        _ => &[],
    }
}

fn trade_status(cargo: CargoStatus) -> TradeStatus {
    match cargo {
        CargoStatus::Pending | CargoStatus::InTransit => TradeStatus::Initiated,
        CargoStatus::Delivered => TradeStatus::Completed,
        CargoStatus::Cancelled | CargoStatus::Returned => TradeStatus::Cancelled,
        CargoStatus::Lost => TradeStatus::Failed,
    }
}

/// The levels of seller and buyer, who begin with 10 and 1, when 4 are sold.
fn expected_levels(settlement: Settlement, cargo: CargoStatus) -> (StockLevel, StockLevel) {
    match (settlement, cargo) {
        (Settlement::Immediate, CargoStatus::Pending | CargoStatus::InTransit | CargoStatus::Delivered) => {
            (level(6, 0, 0), level(5, 0, 0))
        }
        (_, CargoStatus::Cancelled | CargoStatus::Returned) => (level(10, 0, 0), level(1, 0, 0)),
        (_, CargoStatus::Lost) => (level(6, 0, 0), level(1, 0, 0)),
        (Settlement::OnDelivery, CargoStatus::Pending) => (level(10, 4, 0), level(1, 0, 4)),
        (Settlement::OnDelivery, CargoStatus::InTransit) => (level(6, 0, 0), level(1, 0, 4)),
        (Settlement::OnDelivery, CargoStatus::Delivered) => (level(6, 0, 0), level(5, 0, 0)),
    }
}

fn assert_state(draft: &Draft, settlement: Settlement, cargo: CargoStatus) {
    let view = &draft.view;
    assert_eq!(view.cargo(&shipment_of("T-1")).map(|stored| stored.status), Some(cargo));
    assert_eq!(
        view.trade(&trade_id("T-1")).map(|stored| stored.status),
        Some(trade_status(cargo)),
        "{cargo}"
    );
    let found = (view.stock(&station("a"), &item("tea")).0, view.stock(&station("b"), &item("tea")).0);
    assert_eq!(found, expected_levels(settlement, cargo), "{settlement} {cargo}");
}

#[test]
fn every_transition_of_a_shipment_is_the_table_s() {
    for settlement in Settlement::ALL {
        for from in CargoStatus::ALL {
            for to in CargoStatus::ALL {
                let mut draft = trade_in(*settlement, *from);
                assert_state(&draft, *settlement, *from);
                let steps = draft.log.len();
                let answer = submit(&mut draft, &moved(*to), start_time());
                if from == to || next(*from).contains(to) {
                    assert!(answer.is_ok(), "{settlement} {from} to {to}: {answer:?}");
                    assert_state(&draft, *settlement, *to);
                    assert_eq!(draft.log.len(), steps + usize::from(from != to));
                } else {
                    let expected = Rejection::IllegalCargoTransition {
                        shipment_id: shipment_of("T-1"),
                        from: *from,
                        to: *to,
                        allowed: next(*from).to_vec(),
                    };
                    assert_eq!(answer, Err(expected));
                    assert_state(&draft, *settlement, *from);
                    assert_eq!(draft.log.len(), steps);
                }
            }
        }
    }
}

#[test]
fn every_transition_of_a_trade_is_the_table_s() {
    for settlement in Settlement::ALL {
        for from in CargoStatus::ALL {
            for to in TradeStatus::ALL {
                let mut draft = trade_in(*settlement, *from);
                let answer = submit(&mut draft, &end_trade("T-1", *to), start_time());
                let ends = match (from, to) {
                    (CargoStatus::Pending, TradeStatus::Cancelled) => CargoStatus::Cancelled,
                    (CargoStatus::InTransit, TradeStatus::Completed) => CargoStatus::Delivered,
                    _ if trade_status(*from) == *to => *from,
                    _ => {
                        let allowed = match from {
                            CargoStatus::Pending => vec![TradeStatus::Cancelled],
                            CargoStatus::InTransit => vec![TradeStatus::Completed],
                            _ => vec![],
                        };
                        let expected = Rejection::IllegalTradeTransition {
                            transaction_id: trade_id("T-1"),
                            from: trade_status(*from),
                            to: *to,
                            allowed,
                            cargo: *from,
                        };
                        assert_eq!(answer, Err(expected), "{settlement} {from} to {to}");
                        assert_state(&draft, *settlement, *from);
                        continue;
                    }
                };
                assert!(answer.is_ok(), "{settlement} {from} to {to}: {answer:?}");
                assert_state(&draft, *settlement, ends);
            }
        }
    }
}

#[test]
fn a_transfer_has_the_transitions_of_an_order() {
    for from in CargoStatus::ALL {
        for to in CargoStatus::ALL {
            let mut commands = vec![open_station("a", &[("tea", 10)]), open_station("b", &[("tea", 1)])];
            commands.push(Command::CreateTransfer(transfer("X-1", "a", "b", &[("tea", 4)])));
            if !matches!(from, CargoStatus::Pending | CargoStatus::Cancelled) {
                commands.push(move_cargo(shipment_id("X-1"), CargoStatus::InTransit));
            }
            if !matches!(from, CargoStatus::Pending | CargoStatus::InTransit) {
                commands.push(move_cargo(shipment_id("X-1"), *from));
            }
            let mut draft = given(&commands);
            let answer = submit(&mut draft, &move_cargo(shipment_id("X-1"), *to), start_time());
            let allowed = from == to || next(*from).contains(to);
            assert_eq!(answer.is_ok(), allowed, "{from} to {to}");
            let found = (
                draft.view.stock(&station("a"), &item("tea")).0,
                draft.view.stock(&station("b"), &item("tea")).0,
            );
            assert_eq!(found, expected_levels(Settlement::OnDelivery, if allowed { *to } else { *from }));
        }
    }
}

#[test]
fn a_final_shipment_is_not_tracked_any_more() {
    for from in CargoStatus::ALL {
        for update in [
            UpdateCargo { eta: Some(time("2030-01-01T00:00:00Z")), ..track(shipment_of("T-1")) },
            UpdateCargo { location: Some(label("here")), ..track(shipment_of("T-1")) },
            UpdateCargo { location: Some(label("here")), status: Some(*from), ..track(shipment_of("T-1")) },
        ] {
            let mut draft = trade_in(Settlement::OnDelivery, *from);
            let answer = submit(&mut draft, &Command::UpdateCargo(update), start_time());
            match answer {
                Ok(_) => assert!(!from.is_final(), "{from}"),
                Err(Rejection::IllegalCargoTransition { from: was, to, allowed, .. }) => {
                    assert!(from.is_final() && was == *from && to == *from && allowed.is_empty());
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn past_its_time_a_pending_trade_can_only_be_cancelled() {
    let expires_at = start_time().plus(Duration::from_secs(10));
    let mut trade = order("T-1", "a", "b", &[("tea", 4)]);
    trade.expires_at = Some(expires_at);
    let draft = given(&[open_station("a", &[("tea", 10)]), open_station("b", &[]), initiate(trade)]);
    for (now, to, fine) in [
        (expires_at.minus(Duration::from_millis(1)), CargoStatus::InTransit, true),
        (expires_at, CargoStatus::InTransit, false),
        (expires_at, CargoStatus::Cancelled, true),
    ] {
        let answer = submit(&mut draft.clone(), &moved(to), now);
        assert_eq!(answer.is_ok(), fine, "{now} {to}: {answer:?}");
        if let Err(Rejection::IllegalCargoTransition { allowed, .. }) = answer {
            assert_eq!(allowed, [CargoStatus::Cancelled]);
        }
    }
    let early = submit(
        &mut draft.clone(),
        &Command::ExpireTrade(trade_id("T-1")),
        expires_at.minus(Duration::from_millis(1)),
    );
    assert!(matches!(early, Ok(Outcome::Trade(outcome)) if outcome.trade.status == TradeStatus::Initiated));
    let due = submit(&mut draft.clone(), &Command::ExpireTrade(trade_id("T-1")), expires_at);
    assert!(matches!(due, Ok(Outcome::Trade(outcome)) if outcome.trade.status == TradeStatus::Cancelled));
}

#[test]
fn an_offer_that_has_ended_is_refused_unless_it_is_known() {
    let expires_at = start_time().plus(Duration::from_secs(10));
    let offer =
        |id| initiate(InitiateTrade { expires_at: Some(expires_at), ..order(id, "a", "b", &[("tea", 4)]) });
    let mut draft = given(&[open_station("a", &[("tea", 10)]), open_station("b", &[]), offer("T-1")]);
    let late = submit(&mut draft, &offer("T-2"), expires_at);
    assert_eq!(late.unwrap_err().to_string(), "expiresAt must be later than now");
    assert!(submit(&mut draft, &offer("T-2"), expires_at.minus(Duration::from_millis(1))).is_ok());
    let again = submit(&mut draft, &offer("T-1"), expires_at.plus(Duration::from_secs(1)));
    assert!(matches!(again, Ok(Outcome::Trade(outcome)) if !outcome.created), "it is a repetition");
}

#[test]
fn what_a_request_says_of_itself_is_checked_first() {
    let check = |command: Command| rules::check(&command).map_err(|rejection| rejection.code());
    let invalid = Err("invalid-request");
    assert_eq!(check(initiate(sale("T-1", "a", "a", &[("tea", 1)]))), invalid);
    let early = InitiateTrade { expires_at: Some(start_time()), ..sale("T-1", "a", "b", &[("tea", 1)]) };
    assert_eq!(check(initiate(early)), invalid);
    assert_eq!(check(batch(true, vec![])), invalid);
    assert_eq!(check(batch(true, vec![sale("T-1", "a", "b", &[("tea", 1)]); 1_001])), invalid);
    assert_eq!(check(batch(true, vec![sale("T-1", "a", "b", &[("tea", 1)]); 1_000])), Ok(()));
    assert_eq!(check(Command::CreateTransfer(transfer("shipment-1", "a", "b", &[("tea", 1)]))), invalid);
    assert_eq!(check(Command::CreateTransfer(transfer("X-1", "a", "a", &[("tea", 1)]))), invalid);
    assert_eq!(check(Command::UpdateCargo(track(shipment_id("X-1")))), invalid);
    assert_eq!(check(adjust("a", &[])), invalid);
    assert_eq!(check(open_station("a", &[("tea", UNITS_MAX), ("tea", 1)])), Err("quantity-out-of-range"));
    let mut dear = sale("T-1", "a", "b", &[("tea", 1)]);
    dear.items = Lines::new(vec![priced("tea", UNITS_MAX, "999999999999")]).unwrap();
    assert_eq!(check(initiate(dear)), Err("amount-out-of-range"));
    let mut much = sale("T-1", "a", "b", &[("tea", 1)]);
    much.items = Lines::new(vec![priced("tea", UNITS_MAX, "0"), line("tea", 1)]).unwrap();
    assert_eq!(check(initiate(much)), Err("quantity-out-of-range"));
}

/// Lives a network through, with time passing, and answers what was drafted.
fn live(commands: &[Command]) -> Draft {
    let mut draft = Draft::new(View::empty());
    let mut now = start_time();
    for command in commands {
        now = now.plus(Duration::from_secs(3));
        // What is refused changes nothing, which the properties below would notice.
        let _ = submit(&mut draft, command, now);
    }
    draft
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_are_the_model_s(commands in strategies::commands(0..80)) {
        let (mut draft, mut model) = (Draft::new(View::empty()), Model::default());
        let mut now = start_time();
        for command in &commands {
            now = now.plus(Duration::from_secs(3));
            let answer = submit(&mut draft, command, now);
            prop_assert_eq!(Verdict::of(&answer), model.apply(command, now), "{:?}", command);
        }
        model.assert_same(&snapshot(&draft));
    }

    #[test]
    fn no_level_ever_leaves_its_range_and_every_item_is_conserved(commands in strategies::commands(0..80)) {
        let draft = live(&commands);
        let mut units: BTreeMap<String, i128> = BTreeMap::new();
        for event in &draft.events() {
            let EventData::Inventory(update) = &event.data else { continue };
            for item in &update.inventory.items {
                let StockLevel { on_hand, reserved, incoming } = item.level;
                prop_assert!(reserved <= on_hand && on_hand + incoming <= UNITS_MAX, "{:?}", item);
            }
            for row in &update.movements {
                let moved = i128::from(row.quantity.units());
                for (place, sign) in [(&row.from, -1), (&row.to, 1)] {
                    if !matches!(place, Place::World) {
                        *units.entry(format!("{place} {}", row.item_id)).or_default() += sign * moved;
                    }
                }
            }
        }
        for (place, units) in &units {
            prop_assert!(*units >= 0, "{} holds {}", place, units);
        }
        for ((station, item), level) in levels(&draft) {
            let booked = units.get(&format!("station/{station} {item}")).copied().unwrap_or_default();
            prop_assert_eq!(i128::from(level.on_hand), booked, "the ledger of {} at {}", item, station);
        }
    }

    #[test]
    fn the_fold_of_the_events_is_the_state(commands in strategies::commands(0..80)) {
        let draft = live(&commands);
        let mut folded = View::empty();
        draft.events().iter().for_each(|event| folded.evolve(event));
        let sequences: Vec<_> = draft.events().iter().map(|event| event.sequence).collect();
        prop_assert_eq!(sequences, (1..=draft.events().len() as u64).collect::<Vec<_>>());
        let folded = Draft { view: folded, ..draft.clone() };
        let sorted = |draft: &Draft| {
            let mut all = snapshot(draft);
            all.trades.sort_by(|a, b| a.transaction_id.cmp(&b.transaction_id));
            all.cargo.sort_by(|a, b| a.shipment_id.cmp(&b.shipment_id));
            all.inventories.sort_by(|a, b| a.station_id.cmp(&b.station_id));
            all
        };
        prop_assert_eq!(sorted(&folded), sorted(&draft));
    }

    #[test]
    fn cancelling_restores_every_level(commands in strategies::commands(0..30), trade in strategies::World::SMALL.initiate_trade(), by_trade: bool) {
        let mut draft = live(&commands);
        let trade = InitiateTrade { transaction_id: trade_id("new"), expires_at: None, ..trade };
        let before = levels(&draft);
        prop_assume!(submit(&mut draft, &initiate(trade), start_time()).is_ok());
        let cancel = if by_trade { end_trade("new", TradeStatus::Cancelled) } else { move_cargo(shipment_of("new"), CargoStatus::Cancelled) };
        prop_assert!(submit(&mut draft, &cancel, start_time()).is_ok());
        let listed = |(place, level): (_, StockLevel)| (level != StockLevel::default()).then_some((place, level));
        let after: Levels = levels(&draft).into_iter().filter_map(listed).collect();
        prop_assert_eq!(after, before.into_iter().filter_map(listed).collect::<Levels>());
    }

    #[test]
    fn the_order_of_lines_does_not_matter(
        (given, shuffled) in prop::collection::vec((0..3_usize, 1..5_u64, prop::option::of(0..2_usize)), 1..12)
            .prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle())),
        settlement in prop::sample::select(Settlement::ALL),
    ) {
        let trade = |given: &[(usize, u64, Option<usize>)]| {
            let line = |(item, units, price): &(usize, u64, Option<usize>)| {
                let id = ["tea", "rice", "salt"][*item];
                price.map_or(line(id, *units), |price| priced(id, *units, ["1", "2.50"][price]))
            };
            let items = Lines::new(given.iter().map(line).collect()).unwrap();
            InitiateTrade { items, ..deal(settlement, "T-1", "a", "b", &[("tea", 1)]) }
        };
        let stations = [open_station("a", &[("tea", 20), ("rice", 20), ("salt", 20)]), open_station("b", &[])];
        let (mut one, mut other) = (self::given(&stations), self::given(&stations));
        let first = submit(&mut one, &initiate(trade(&given)), start_time());
        let second = submit(&mut other, &initiate(trade(&shuffled)), start_time());
        prop_assert_eq!(Verdict::of(&first), Verdict::of(&second));
        prop_assert_eq!(levels(&one), levels(&other));
        if first.is_ok() {
            let again = submit(&mut one, &initiate(trade(&shuffled)), start_time());
            prop_assert!(matches!(again, Ok(Outcome::Trade(outcome)) if !outcome.created), "it is the same trade");
        }
    }

    #[test]
    fn every_step_is_read_back_as_it_was_written(commands in strategies::commands(0..60)) {
        for record in live(&commands).log {
            prop_assert_eq!(&Step::decode(&record.step.encode().unwrap()).unwrap(), &*record.step);
        }
    }

    #[test]
    fn a_step_of_any_values_is_read_back(
        trade in prop::option::of(strategies::trade()),
        cargo in strategies::transfer_cargo(),
        actor in strategies::actor(),
        cause in proptest::option::of(strategies::cause()),
        now in strategies::timestamp(),
    ) {
        let cargo = Cargo { updated_at: now, ..cargo };
        let trade = trade.map(|trade| trade_core::resource::Trade { updated_at: now, ..trade });
        let about = |kind, trade: Option<_>, cargo: Option<_>| Step {
            time: now,
            actor: actor.clone(),
            cause: cause.clone().map(Into::into),
            kinds: vec![kind],
            trade,
            cargo,
            stations: vec![],
            movements: vec![],
        };
        let of_trade = trade.map(|trade| about(EventType::TradeFailed, Some(trade.into()), None));
        for step in of_trade.into_iter().chain([about(EventType::CargoUpdated, None, Some(cargo.into()))]) {
            prop_assert_eq!(&Step::decode(&step.encode().unwrap()).unwrap(), &step);
        }
    }

    #[test]
    fn damaged_records_are_refused_not_panicked_at(
        commands in strategies::commands(1..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        // What can be read at all is read as what it is written as.
        let told = |bytes: &[u8]| match Step::decode(bytes) {
            Ok(step) => assert_eq!(Step::decode(&step.encode().unwrap()), Ok(step)),
            Err(error) => assert!(error.to_string().starts_with("not a log record: "), "{error}"),
        };
        for record in live(&commands).log {
            let whole = record.step.encode().unwrap();
            for length in 0..whole.len() {
                assert!(matches!(Step::decode(&whole[..length]), Err(InvalidRecord::Damaged(_))), "{length}");
            }
            assert!(matches!(Step::decode(&[&whole[..], &[0]].concat()), Err(InvalidRecord::Damaged(_))));
            let newer = [&[whole[0] + 1], &whole[1..]].concat();
            assert_eq!(Step::decode(&newer), Err(InvalidRecord::Newer(whole[0] + 1)));
            let mut bytes = whole;
            for (place, value) in &damage {
                let place = 1 + place.index(bytes.len() - 1);
                bytes[place] = *value;
            }
            told(&bytes);
        }
        for form in 0..=2 {
            told(&[&[form], &noise[..]].concat());
        }
    }

    #[test]
    fn events_are_read_back_from_json(commands in strategies::commands(0..40)) {
        for mut event in live(&commands).events() {
            let text = serde_json::to_string(&event).unwrap();
            // What was asked for stays in the store.
            if let EventData::Cargo(cargo) = &event.data {
                let told = Cargo { requested_eta: None, requested_metadata: None, ..Cargo::clone(cargo) };
                event.data = EventData::Cargo(told.into());
            }
            let read: Event = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &event, "{}", text);
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }
}
