//! What the source's documents become, without a server.

use super::deal::{Deal, cargo_alone, trade};
use super::finding::{Odd, Read, Refused};
use super::levels::{Levels, StationPlan};
use super::source::Joined;
use super::station::{Holding, inventory};
use super::times::note;
use mongodb::bson::{Bson, DateTime, Document, doc};
use std::collections::BTreeMap;
use trade_core::command::Command;
use trade_core::resource::CargoStatus;
use trade_core::store::{Access, StationQuery};
use trade_core::values::Timestamp;
use trade_network::store::Opened;

fn older_trade(status: &str) -> Document {
    doc! { "transactionId": "T-1", "buyer": "vesta", "seller": "ceres", "items": ["fuel"], "status": status, "__v": 0 }
}

fn older_cargo(status: &str) -> Document {
    let eta = DateTime::from_millis(1_700_000_000_000);
    doc! { "shipmentId": "shipment-T-1", "origin": "ceres", "destination": "vesta", "items": ["fuel"],
    "status": status, "ETA": eta, "__v": 0 }
}

fn with(mut document: Document, field: &str, value: impl Into<Bson>) -> Document {
    document.insert(field, value);
    document
}

fn odd<T>(read: &Read<T>) -> Vec<Odd> {
    read.odd.iter().map(|oddity| oddity.kind).collect()
}

fn refused<T>(read: &Read<T>) -> Option<(Refused, &str)> {
    read.value.as_ref().err().map(|refusal| (refusal.kind, &*refusal.detail))
}

fn taken(read: Read<Deal>) -> Deal {
    read.value.unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

fn lines(deal: &Deal) -> Vec<(String, u64)> {
    deal.items.iter().map(|line| (line.item_id.to_string(), line.quantity.units())).collect()
}

#[test]
fn what_an_older_network_writes_is_taken_over_and_nothing_is_odd() {
    let read = trade(&older_trade("initiated"), Some(&older_cargo("pending")));
    assert_eq!(odd(&read), []);
    let deal = taken(read);
    assert_eq!((deal.shipment.as_str(), deal.fate), ("shipment-T-1", CargoStatus::Pending));
    let Command::InitiateTrade(command) = &deal.command else { panic!("{deal:?}") };
    assert_eq!((command.buyer.as_str(), command.seller.as_str()), ("vesta", "ceres"));
    assert_eq!(command.eta, Timestamp::from_millis(1_700_000_000_000).ok());
    assert_eq!(lines(&deal), [("fuel".to_owned(), 1)]);
}

#[test]
fn items_are_text_numbers_and_objects_that_say_how_many() {
    let items = Bson::Array(vec![
        "fuel".into(),
        7.into(),
        doc! { "itemId": "ore", "quantity": 40.0 }.into(),
        doc! { "name": "tea", "qty": "3", "_id": 1, "unitPrice": { "amount": "2.50", "currency": "GBP" } }
            .into(),
    ]);
    let read = trade(&with(older_trade("initiated"), "items", items.clone()), None);
    assert_eq!(odd(&read), [Odd::TradeWithoutCargo]);
    let deal = taken(read);
    let expected = [("fuel", 1), ("7", 1), ("ore", 40), ("tea", 3)];
    assert_eq!(lines(&deal), expected.map(|(item, units)| (item.to_owned(), units)));
    assert_eq!(
        deal.items[3].unit_price.as_ref().map(|price| price.amount.to_string()).as_deref(),
        Some("2.50")
    );
}

#[test]
fn what_an_object_says_beside_item_quantity_and_price_is_told_of() {
    let item = doc! { "itemId": "ore", "colour": "red", "unitPrice": 5 };
    let read = trade(&with(older_trade("initiated"), "items", vec![item]), Some(&older_cargo("pending")));
    let left = read.odd.iter().find(|oddity| oddity.kind == Odd::FieldsLeft).expect("it is told");
    assert_eq!(left.detail, "items[0] ore: colour: \"red\", unitPrice: 5");
}

#[test]
fn an_item_that_is_listed_twice_is_two() {
    let twice = with(older_trade("initiated"), "items", vec!["fuel", "fuel"]);
    let cargo = with(older_cargo("pending"), "items", vec!["fuel", "fuel"]);
    let read = trade(&twice, Some(&cargo));
    assert_eq!(odd(&read), [Odd::RepeatedItem]);
    assert_eq!(lines(&taken(read)), [("fuel".to_owned(), 2)]);
}

#[test]
fn a_trade_whose_items_the_network_refuses_is_not_taken_over() {
    for (items, reason) in [
        (Bson::Null, "items must hold 1 to 5000 lines"),
        (Bson::Array(vec![]), "items must hold 1 to 5000 lines"),
        ("fuel".into(), "items is no list"),
        (Bson::Array(vec!["iron ore".into()]), "items[0]: \"iron ore\" must be 1 to 128 characters"),
        (Bson::Array(vec![true.into()]), "items[0]: true names no item"),
        (Bson::Array(vec![doc! { "colour": "red" }.into()]), "items[0]: names no item"),
        (Bson::Array(vec![doc! { "itemId": "ore", "quantity": -2 }.into()]), "items[0]: ore: quantity -2"),
        (Bson::Array(vec![doc! { "itemId": "ore", "quantity": 0.5 }.into()]), "items[0]: ore: quantity 0.5"),
    ] {
        let read = trade(&with(older_trade("initiated"), "items", items), None);
        let (kind, detail) = refused(&read).expect(reason);
        assert!(kind == Refused::BadItems && detail.starts_with(reason), "{detail}");
    }
}

#[test]
fn a_document_whose_ids_the_network_refuses_is_not_taken_over() {
    for (field, value, kind) in [
        ("transactionId", Bson::Null, Refused::NoId),
        ("transactionId", "T 1".into(), Refused::BadId),
        ("transactionId", 5.into(), Refused::BadId),
        ("transactionId", "x".repeat(120).into(), Refused::BadId),
        ("buyer", Bson::Null, Refused::BadStation),
        ("seller", "Mars Base".into(), Refused::BadStation),
        ("buyer", "ceres".into(), Refused::ByRule),
    ] {
        let read = trade(&with(older_trade("initiated"), field, value), None);
        assert_eq!(refused(&read).map(|(kind, _)| kind), Some(kind), "{field}");
    }
    let read = cargo_alone(&with(older_cargo("pending"), "shipmentId", Bson::Null));
    assert_eq!(refused(&read), Some((Refused::NoId, "shipmentId is missing")));
    let read = inventory(&doc! { "stationId": "a\nb", "items": [] });
    let (kind, detail) = refused(&read).expect("a bad id");
    assert!(kind == Refused::BadId && !detail.contains('\n'), "{detail}");
}

#[test]
fn a_status_that_nobody_knows_is_refused_and_one_that_is_missing_is_the_first() {
    let read = trade(&older_trade("lent"), Some(&older_cargo("pending")));
    assert_eq!(refused(&read), Some((Refused::UnknownStatus, "status \"lent\"")));
    let read = trade(&with(older_trade("x"), "status", Bson::Null), Some(&older_cargo("pending")));
    assert_eq!(odd(&read), [Odd::StatusMissing]);
    assert_eq!(taken(read).fate, CargoStatus::Pending);
    let read = trade(&older_trade("In Transit"), None);
    assert_eq!(odd(&read), [Odd::StatusSpelled, Odd::TradeWithoutCargo]);
    assert_eq!(taken(read).fate, CargoStatus::InTransit);
    let read = trade(&older_trade("completed"), Some(&older_cargo("eaten")));
    assert_eq!(odd(&read), [Odd::CargoStatusUnknown]);
    assert_eq!(taken(read).fate, CargoStatus::Delivered);
    let read = cargo_alone(&older_cargo("eaten"));
    assert_eq!(refused(&read), Some((Refused::UnknownStatus, "status \"eaten\"")));
}

#[test]
fn what_has_ended_by_the_word_of_trade_or_cargo_has_and_the_trade_s_counts_where_both_have() {
    use CargoStatus::{Cancelled, Delivered, InTransit, Lost, Pending, Returned};
    for (of_trade, of_cargo, fate, agree) in [
        ("initiated", "pending", Pending, true),
        ("initiated", "in_transit", InTransit, true),
        ("completed", "delivered", Delivered, true),
        ("cancelled", "cancelled", Cancelled, true),
        ("cancelled", "returned", Returned, true),
        ("failed", "lost", Lost, true),
        ("initiated", "delivered", Delivered, false),
        ("initiated", "lost", Lost, false),
        ("completed", "pending", Delivered, false),
        ("cancelled", "in_transit", Cancelled, false),
        ("cancelled", "delivered", Cancelled, false),
        ("failed", "delivered", Lost, false),
    ] {
        let read = trade(&older_trade(of_trade), Some(&older_cargo(of_cargo)));
        let told = if agree { vec![] } else { vec![Odd::StatusesDisagree] };
        assert_eq!((odd(&read), taken(read).fate), (told, fate), "{of_trade}, {of_cargo}");
    }
}

#[test]
fn a_cargo_that_differs_from_its_trade_is_told_of_and_the_trade_is_taken() {
    let cargo = with(with(older_cargo("pending"), "destination", "pallas"), "items", vec!["ore"]);
    let read = trade(&older_trade("initiated"), Some(&cargo));
    assert_eq!(odd(&read), [Odd::CargoDiffers]);
    assert_eq!(read.odd[0].detail, "destination \"pallas\", items");
    assert_eq!(taken(read).destination.as_str(), "vesta");
}

#[test]
fn an_eta_is_read_from_a_date_or_a_text_and_otherwise_left_out() {
    let eta = |value: Bson| {
        let read = cargo_alone(&with(with(older_cargo("pending"), "shipmentId", "S-1"), "ETA", value));
        let told = odd(&read);
        let Command::CreateTransfer(transfer) = taken(read).command else { panic!("no transfer") };
        (told, transfer.eta.map(Timestamp::millis))
    };
    assert_eq!(eta(DateTime::from_millis(5).into()), (vec![], Some(5)));
    assert_eq!(eta("1970-01-01T00:00:01Z".into()), (vec![], Some(1_000)));
    assert_eq!(eta(Bson::Null), (vec![], None));
    assert_eq!(eta("soon".into()), (vec![Odd::EtaUnreadable], None));
}

#[test]
fn times_that_cannot_be_read_or_held_are_told_and_what_was_taken_instead() {
    let now = Timestamp::from_millis(1_800_000_000_000).unwrap();
    let told = |document: Document, made, changed, by_id| {
        let time = Option::<i64>::unwrap_or(made, by_id);
        let mut odd = Vec::new();
        note(&Joined { document, partners: vec![], time, made, changed, by_id }, now, &mut odd);
        odd.into_iter().map(|oddity| (oddity.kind, oddity.detail)).collect::<Vec<_>>()
    };
    let date = |millis| Bson::DateTime(DateTime::from_millis(millis));
    let good = doc! { "createdAt": date(5), "updatedAt": "1970-01-01T00:00:00.007Z" };
    assert_eq!(told(good, Some(5), Some(7), 0), []);
    assert_eq!(told(doc! { "updatedAt": null }, None, None, 0), []);
    let unread = told(doc! { "createdAt": "yesterday", "updatedAt": 7 }, None, None, 5);
    assert_eq!(unread.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [Odd::TimeUnreadable; 2]);
    assert_eq!(unread[0].1, "createdAt \"yesterday\": the time in its _id was taken, if any");
    assert_eq!(unread[1].1, "updatedAt 7: the time of creation was taken");
    let ahead = 1_800_000_000_001;
    let document = doc! { "createdAt": date(5), "updatedAt": date(ahead) };
    let (kind, detail) = &told(document, Some(5), Some(ahead), 0)[0];
    assert!(
        *kind == Odd::TimeAhead && detail.starts_with("updatedAt ") && detail.contains("2027-01-15"),
        "{detail}"
    );
    assert_eq!(told(doc! { "_id": "1" }, None, None, ahead), [(Odd::TimeAhead, "_id \"1\"".into())]);
    let document = doc! { "createdAt": date(i64::MIN), "updatedAt": date(7) };
    assert_eq!(told(document, Some(i64::MIN), Some(7), 0)[0].0, Odd::TimeBeforeYear0);
    let document = doc! { "createdAt": date(7), "updatedAt": date(5) };
    assert_eq!(told(document, Some(7), Some(5), 0)[0].0, Odd::ChangedBeforeMade);
}

#[test]
fn times_that_are_not_taken_are_told() {
    let time = DateTime::from_millis(5);
    let timed = |document| with(with(document, "createdAt", time), "updatedAt", time);
    let left = |odd: &[super::finding::Oddity]| {
        let left = odd.iter().filter(|oddity| oddity.kind == Odd::FieldsLeft);
        left.map(|oddity| oddity.detail.matches("edAt").count()).sum::<usize>()
    };
    assert_eq!(left(&trade(&timed(older_trade("initiated")), Some(&older_cargo("pending"))).odd), 0);
    assert_eq!(left(&trade(&older_trade("initiated"), Some(&timed(older_cargo("pending")))).odd), 2);
    assert_eq!(left(&cargo_alone(&timed(older_cargo("pending"))).odd), 1);
    assert_eq!(left(&inventory(&timed(doc! { "stationId": "ceres", "items": [] })).odd), 1);
}

#[test]
fn whole_numbers_are_read_in_every_type_and_spelling() {
    let decimal = |text: &str| Bson::Decimal128(text.parse().unwrap());
    for (quantity, units) in [
        (decimal("9.00"), 9),
        (decimal("1E+3"), 1_000),
        (Bson::Int32(9), 9),
        (Bson::Int64(9), 9),
        (Bson::Double(9.0), 9),
        ("9.0".into(), 9),
        (" 1e3 ".into(), 1_000),
    ] {
        let item = doc! { "itemId": "ore", "quantity": quantity.clone() };
        let read = inventory(&doc! { "stationId": "ceres", "quantity": quantity.clone(), "items": [item] });
        assert_eq!(odd(&read), [], "{quantity}");
        let held: Vec<_> = read.value.unwrap().stock.values().map(|quantity| quantity.units()).collect();
        assert_eq!(held, [units], "{quantity}");
    }
    for quantity in [decimal("9.5"), decimal("NaN"), decimal("1E+6000"), Bson::Double(9.5), "9,0".into()] {
        let item = doc! { "itemId": "ore", "quantity": quantity.clone() };
        let read = inventory(&doc! { "stationId": "ceres", "quantity": 0, "items": [item] });
        assert_eq!(odd(&read), [Odd::ItemLeft], "{quantity}");
    }
}

#[test]
fn a_cargo_of_a_trade_that_is_gone_brings_the_trade_with_it_and_another_is_a_transfer() {
    let read = cargo_alone(&older_cargo("delivered"));
    assert_eq!(odd(&read), [Odd::CargoWithoutTrade]);
    let deal = taken(read);
    assert!(
        deal.is_trade() && deal.shipment.as_str() == "shipment-T-1" && deal.fate == CargoStatus::Delivered
    );
    let read = cargo_alone(&with(older_cargo("pending"), "shipmentId", "S-9"));
    assert_eq!(odd(&read), []);
    assert!(!taken(read).is_trade());
}

#[test]
fn a_station_holds_its_items_whatever_its_quantity_says() {
    let read = inventory(&doc! { "stationId": "ceres", "quantity": 2, "items": ["fuel", "ore"], "__v": 0 });
    assert_eq!(odd(&read), []);
    for quantity in [Bson::Int64(1_000_000_000), Bson::Int32(-3), Bson::Null, "many".into()] {
        let read = inventory(&doc! { "stationId": "ceres", "quantity": quantity, "items": ["fuel", "fuel"] });
        assert_eq!(odd(&read), [Odd::RepeatedItem, Odd::QuantityDiffers]);
        let holding = read.value.unwrap();
        assert_eq!(holding.stock.values().map(|quantity| quantity.units()).collect::<Vec<_>>(), [2]);
    }
}

#[test]
fn an_item_that_cannot_be_taken_over_does_not_keep_its_station_from_it() {
    let read =
        inventory(&doc! { "stationId": "ceres", "quantity": 1, "items": ["fuel", "iron ore", { "a": 1 }] });
    assert_eq!(odd(&read), [Odd::ItemLeft, Odd::ItemLeft]);
    assert_eq!(read.value.unwrap().stock.len(), 1);
}

/// Stations with what they hold now: `("ceres", [("fuel", 3)])`.
fn levels(held: &[(&str, &[(&str, u64)])]) -> Levels {
    let mut levels = Levels::default();
    for (station, stock) in held {
        let items = stock
            .iter()
            .map(|(item, units)| doc! { "itemId": *item, "quantity": i64::try_from(*units).unwrap() });
        let read = inventory(&doc! { "stationId": *station, "items": items.collect::<Vec<_>>() });
        levels.hold(read.value.unwrap());
    }
    levels
}

fn deal(id: &str, items: &str, fate: &str) -> Deal {
    let document = with(with(older_cargo(fate), "shipmentId", id), "items", vec![items]);
    taken(cargo_alone(&document))
}

/// What the rules make of a plan and its history: on hand by station and item, in the end.
fn played(plans: &[StationPlan], history: &[(bool, &Deal)]) -> BTreeMap<String, u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let opened = Opened::open("memory:", Access::Migrate, &Default::default()).await.unwrap();
        let target = super::Target::start(&opened).await.map_err(|_| "a target").unwrap();
        for corrections in [false, true] {
            for plan in plans {
                target.settle(plan, corrections).await.unwrap();
            }
            for (is_end, deal) in history.iter().filter(|_| !corrections) {
                if *is_end { target.lead(deal).await.unwrap() } else { target.make(deal).await.unwrap() }
            }
        }
        let stations = opened.store().inventory_list(&StationQuery::all(None, 50, 6_000)).await.unwrap().rows;
        target.stop().await;
        let levels = stations.iter().flat_map(|station| {
            station
                .items
                .iter()
                .map(|item| (format!("{}/{}", station.station_id, item.item_id), item.level.on_hand))
        });
        levels.collect()
    })
}

/// Plans a history, plays it by the rules, and says what every station holds then.
fn taken_over(held: &[(&str, &[(&str, u64)])], history: &[(bool, &Deal)]) -> BTreeMap<String, u64> {
    let mut levels = levels(held);
    for (is_end, deal) in history {
        if *is_end { levels.finish(deal) } else { levels.start(deal).unwrap() }
    }
    let mut on_hand = played(&levels.plan(), history);
    on_hand.retain(|_, units| *units > 0);
    on_hand
}

fn expected(levels: &[(&str, u64)]) -> BTreeMap<String, u64> {
    levels.iter().map(|(level, units)| ((*level).to_owned(), *units)).collect()
}

#[test]
fn every_station_ends_with_what_it_holds_now_whatever_was_traded() {
    for fate in ["pending", "in_transit", "delivered", "cancelled", "returned", "lost"] {
        let (first, second) = (deal("shipment-1", "fuel", fate), deal("shipment-2", "fuel", fate));
        let history = [(false, &first), (false, &second), (true, &second), (true, &first)];
        // As if the source had it listed once, not at all, or where it came from.
        for held in [
            &[("vesta", &[("fuel", 1)][..])][..],
            &[],
            &[("ceres", &[("fuel", 9), ("ore", 2)]), ("vesta", &[("fuel", 1)])],
        ] {
            let now = held.iter().flat_map(|(station, stock)| {
                stock.iter().map(move |(item, units)| (format!("{station}/{item}"), *units))
            });
            let now = now.collect::<BTreeMap<_, _>>();
            assert_eq!(taken_over(held, &history), now, "{fate}");
        }
    }
}

#[test]
fn a_transfer_ends_as_a_trade_does_and_reserves_what_is_still_to_be_sent() {
    for fate in ["in_transit", "delivered", "cancelled", "returned", "lost"] {
        let transfer = deal("S-1", "fuel", fate);
        let on_hand = taken_over(&[("ceres", &[("fuel", 4)])], &[(false, &transfer), (true, &transfer)]);
        assert_eq!(on_hand, expected(&[("ceres/fuel", 4)]), "{fate}");
    }
    let waiting = deal("S-1", "fuel", "pending");
    let on_hand = taken_over(&[("ceres", &[("fuel", 1)])], &[(false, &waiting), (true, &waiting)]);
    assert_eq!(on_hand, expected(&[("ceres/fuel", 1)]));
}

#[test]
fn a_transfer_of_what_its_origin_does_not_hold_any_more_is_not_taken_over() {
    let (first, second) = (deal("S-1", "fuel", "pending"), deal("S-2", "fuel", "pending"));
    let mut levels = levels(&[("ceres", &[("fuel", 1)])]);
    levels.start(&first).unwrap();
    let refusal = levels.start(&second).unwrap_err();
    assert_eq!(
        (refusal.kind, &*refusal.detail),
        (Refused::NotHeld, "1 of fuel from ceres, which has 0 to send")
    );
}

#[test]
fn a_trade_of_more_than_the_network_counts_is_not_taken_over() {
    let items = vec![doc! { "itemId": "ore", "quantity": 1_i64 << 52 }];
    let much = taken(trade(&with(older_trade("initiated"), "items", items), None));
    let refusal = Levels::default().start(&much).unwrap_err();
    assert_eq!((refusal.kind, &*refusal.detail), (Refused::TooMuch, "of ore at ceres"));
}

#[test]
fn stations_are_made_in_the_order_of_their_inventories_and_then_those_that_have_none() {
    let mut levels = levels(&[("vesta", &[]), ("pallas", &[])]);
    levels.start(&deal("shipment-1", "fuel", "pending")).unwrap();
    let plans = levels.plan();
    let order: Vec<_> = plans.iter().map(|plan| (plan.station.as_str(), plan.is_held)).collect();
    assert_eq!(order, [("vesta", true), ("pallas", true), ("ceres", false)]);
    assert_eq!(
        plans[2].opening.iter().map(|(item, units)| (item.as_str(), *units)).collect::<Vec<_>>(),
        [("fuel", 1)]
    );
    assert_eq!(
        plans[0].excess.iter().map(|(item, units)| (item.as_str(), *units)).collect::<Vec<_>>(),
        [("fuel", 1)]
    );
}

#[test]
fn more_items_than_one_step_holds_are_made_in_several() {
    let items: Vec<_> = (0..5_001).map(|number| format!("i{number}")).collect();
    let read = inventory(&doc! { "stationId": "ceres", "quantity": 5_001, "items": items });
    let mut levels = Levels::default();
    levels.hold(read.value.unwrap() as Holding);
    let on_hand = played(&levels.plan(), &[]);
    assert_eq!(on_hand.len(), 5_001);
    assert!(on_hand.values().all(|units| *units == 1));
}
