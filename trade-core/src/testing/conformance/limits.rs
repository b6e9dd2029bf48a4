//! The ends of every range, in storage and back.

use super::harness::{Harness, of_trade, refused, taken};
use crate::command::{
    AdjustInventory, Command, CreateStation, CreateTransfer, InitiateTrade, Outcome, Request, UpdateCargo,
};
use crate::event::Actor;
use crate::rejection::Rejection;
use crate::resource::{CargoStatus, Lines, TradeStatus};
use crate::store::{CargoFilter, LedgerQuery, TradeFilter};
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use crate::testing::snapshot::{all_cargo, all_trades};
use crate::values::{Metadata, StationId, UNITS_MAX};

/// The largest trade there is, through its whole life.
pub async fn five_thousand_lines_are_one_trade(h: Harness) {
    let service = h.service().await;
    let names: Vec<_> = (0..5_000).map(|n| format!("item-{n:04}")).collect();
    let goods: Vec<_> = names.iter().map(|name| (name.as_str(), 2)).collect();
    taken(&service, open_station("a", &goods)).await;
    taken(&service, open_station("b", &[])).await;
    let made = of_trade(taken(&service, initiate(order("T-1", "a", "b", &goods))).await);
    assert_eq!(made.trade.items.len(), 5_000);
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit)).await;
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::Delivered)).await;
    let Outcome::Inventory(all) = taken(&service, adjust("b", &[("zinc", 1)])).await else {
        panic!("an inventory")
    };
    assert_eq!(
        (all.items.len(), all.item_count, all.quantity),
        (5_000, 5_001, 10_001),
        "an answer lists the first 5 000"
    );
    let stored = audit(h.store()).await;
    assert_eq!(stored.trade(&trade_id("T-1")).unwrap().items, made.trade.items);
    assert_eq!(stored.ledger.len(), 3 * 5_000 + 1);
    h.assert_levels(&[("a", "item-0000", 0, 0, 0), ("b", "item-4999", 2, 0, 0)]).await;
}

/// 2^53 − 1 units, reserved, sent and received, to the unit.
pub async fn the_largest_quantity_survives(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", UNITS_MAX), ("rice", UNITS_MAX - 1)])).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", UNITS_MAX), ("rice", UNITS_MAX - 2)]))).await;
    h.assert_levels(&[("a", "tea", UNITS_MAX, UNITS_MAX, 0), ("b", "tea", 0, 0, UNITS_MAX)]).await;
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit)).await;
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::Delivered)).await;
    h.assert_levels(&[("a", "tea", 0, 0, 0), ("b", "tea", UNITS_MAX, 0, 0)]).await;
    h.assert_levels(&[("a", "rice", 1, 0, 0), ("b", "rice", UNITS_MAX - 2, 0, 0)]).await;
    let stored = audit(h.store()).await;
    assert!(stored.ledger.iter().any(|row| row.quantity.units() == UNITS_MAX - 2));
}

/// On hand plus incoming of an item never passes the range.
pub async fn a_level_past_the_range_is_refused(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", UNITS_MAX)])).await;
    taken(&service, open_station("b", &[("tea", 1)])).await;
    let refusal = Rejection::QuantityOutOfRange { station: Some(station("b")), item: item("tea") };
    assert_eq!(refused(&service, initiate(order("T-1", "a", "b", &[("tea", UNITS_MAX)]))).await, refusal);
    assert_eq!(refused(&service, initiate(sale("T-1", "a", "b", &[("tea", UNITS_MAX)]))).await, refusal);
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", UNITS_MAX - 1)]))).await;
    assert_eq!(
        refused(&service, adjust("b", &[("tea", 1)])).await,
        refusal,
        "what was agreed can be delivered"
    );
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::InTransit)).await;
    taken(&service, move_cargo(shipment_of("T-1"), CargoStatus::Delivered)).await;
    h.assert_levels(&[("a", "tea", 1, 0, 0), ("b", "tea", UNITS_MAX, 0, 0)]).await;
    audit(h.store()).await;
}

/// The sum over a station's items passes 2^64: it is shown capped, kept exact, and comes back exact.
pub async fn a_total_past_the_range_is_capped_and_comes_back(h: Harness) {
    const ITEMS: usize = 2_100;
    let service = h.service().await;
    let names: Vec<_> = (0..ITEMS).map(|n| format!("item-{n:04}")).collect();
    let goods: Vec<_> = names.iter().map(|name| (name.as_str(), UNITS_MAX)).collect();
    taken(&service, open_station("a", &goods)).await;
    let keys = crate::store::Keys { stations: [station("a")].into(), ..Default::default() };
    let total = h.store().load(&keys).await.unwrap().stations[0].on_hand_total;
    assert!(total > u128::from(u64::MAX));
    assert_eq!(total, u128::from(UNITS_MAX) * ITEMS as u128);
    let stored = audit(h.store()).await;
    assert_eq!(stored.inventory(&station("a")).unwrap().quantity, UNITS_MAX);
    let largest = i64::try_from(UNITS_MAX).unwrap();
    let away: Vec<_> = names.iter().skip(1).map(|name| (name.as_str(), -largest)).collect();
    taken(&service, adjust("a", &away)).await;
    taken(&service, adjust("a", &[(&names[0], -1)])).await;
    let stored = audit(h.store()).await;
    assert_eq!(
        stored.inventory(&station("a")).unwrap().quantity,
        UNITS_MAX - 1,
        "nothing was lost above the cap"
    );
}

/// `T-1` is not `t-1`: stations, items, trades and shipments, in rows, filters and locks.
pub async fn ids_that_differ_in_case_stay_apart(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("Depot", &[("Tea", 10), ("tea", 20)])).await;
    taken(&service, open_station("depot", &[("TEA", 30)])).await;
    taken(&service, initiate(sale("T-1", "Depot", "depot", &[("Tea", 1)]))).await;
    taken(&service, initiate(sale("t-1", "Depot", "depot", &[("tea", 2)]))).await;
    taken(&service, Command::CreateTransfer(transfer("X-1", "depot", "Depot", &[("TEA", 3)]))).await;
    taken(&service, Command::CreateTransfer(transfer("x-1", "depot", "Depot", &[("TEA", 4)]))).await;
    h.assert_levels(&[("Depot", "Tea", 9, 0, 0), ("Depot", "tea", 18, 0, 0), ("Depot", "TEA", 0, 0, 7)])
        .await;
    h.assert_levels(&[("depot", "Tea", 1, 0, 0), ("depot", "tea", 2, 0, 0), ("depot", "TEA", 30, 7, 0)])
        .await;
    assert!(
        h.store().trade(&trade_id("T-1")).await.unwrap().is_some_and(|t| t.items[0].item_id == item("Tea"))
    );
    assert_eq!(h.store().cargo(&shipment_id("x-1")).await.unwrap().unwrap().items[0].quantity.units(), 4);
    let of_item = TradeFilter { item: Some(item("tea")), ..TradeFilter::default() };
    let found = all_trades(h.store(), &of_item, 10).await;
    assert_eq!(found.iter().map(|t| t.transaction_id.as_str()).collect::<Vec<_>>(), ["t-1"]);
    let by_seller = TradeFilter { seller: Some(station("depot")), ..TradeFilter::default() };
    assert!(all_trades(h.store(), &by_seller, 10).await.is_empty());
    let from = CargoFilter { origin: Some(station("Depot")), ..CargoFilter::default() };
    assert_eq!(all_cargo(h.store(), &from, 10).await.len(), 2);
    let query = LedgerQuery { item: Some(item("TEA")), before: None, limit: 10 };
    assert_eq!(h.store().ledger(&station("Depot"), &query).await.unwrap().rows.len(), 0);
    assert_eq!(h.store().ledger(&station("depot"), &query).await.unwrap().rows.len(), 1);
    audit(h.store()).await;
}

/// By bytes, not by a language's rules: punctuation, digits, capitals, small letters.
pub async fn ids_are_ordered_by_bytes(h: Harness) {
    let service = h.service().await;
    let ordered = [
        "-", ".-", "0", "10", "2", ":", "A", "Aa", "B", "Z", "_", "a", "a-", "a.", "a0", "aA", "aa", "b", "z",
    ];
    let mut shuffled: Vec<_> = ordered.iter().map(|id| (*id, 1)).collect();
    shuffled.rotate_left(7);
    shuffled.reverse();
    taken(&service, open_station("a", &shuffled)).await;
    let stored = audit(h.store()).await;
    let listed: Vec<_> = stored.inventories[0].items.iter().map(|item| item.item_id.as_str()).collect();
    assert_eq!(listed, ordered);
}

/// Ids of 128 characters (119 of a trade) are kept whole.
pub async fn the_longest_ids_are_kept(h: Harness) {
    let service = h.service().await;
    let [a, b] = ["a", "b"].map(|end| format!("{}{end}", "S".repeat(StationId::LENGTH_MAX - 1)));
    let items = ["x", "y"].map(|end| format!("{}{end}", "i".repeat(127)));
    let trades = ["1", "2"].map(|end| format!("{}{end}", "T".repeat(118)));
    taken(&service, open_station(&a, &[(&items[0], 5), (&items[1], 7)])).await;
    taken(&service, open_station(&b, &[])).await;
    for (trade, item_id) in trades.iter().zip(&items) {
        taken(&service, initiate(order(trade, &a, &b, &[(item_id, 5)]))).await;
    }
    taken(&service, Command::CreateTransfer(transfer(&"X".repeat(128), &a, &b, &[(&items[1], 1)]))).await;
    h.assert_levels(&[(&a, &items[0], 5, 5, 0), (&a, &items[1], 7, 6, 0), (&b, &items[1], 0, 0, 6)]).await;
    audit(h.store()).await;
}

/// Every script, emoji, combining marks, and 200 characters of four bytes each.
pub async fn labels_of_any_script_are_kept(h: Harness) {
    let service = h.service().await;
    let labels = [
        "Zürich Hauptbahnhof",
        "東京駅",
        "Ελληνικά",
        "עברית ו-العربية",
        "e\u{301} is not é",
        "👩\u{200D}🚀 𝔘𝔫𝔦",
        "quotes ' \" ` and \\ and % and _ and $1 and {\"$ne\":1}",
        "  spaces  ",
        &"🚀".repeat(200),
    ];
    taken(&service, open_station("depot", &[("tea", 1)])).await;
    taken(&service, open_station("port", &[])).await;
    taken(&service, Command::CreateTransfer(transfer("X-1", "depot", "port", &[("tea", 1)]))).await;
    for (n, text) in labels.iter().enumerate() {
        let id = station(&format!("s-{n}"));
        let create = CreateStation { name: Some(label(text)), ..CreateStation::new(id.clone()) };
        taken(&service, Command::CreateStation(create)).await;
        taken(&service, adjust(id.as_str(), &[("tea", 1)])).await;
        let seen = UpdateCargo { location: Some(label(text)), ..track(shipment_id("X-1")) };
        taken(&service, Command::UpdateCargo(seen)).await;
        assert_eq!(h.store().cargo(&shipment_id("X-1")).await.unwrap().unwrap().location, Some(label(text)));
    }
    let stored = audit(h.store()).await;
    for (n, text) in labels.iter().enumerate() {
        assert_eq!(stored.inventory(&station(&format!("s-{n}"))).unwrap().name, Some(label(text)));
    }
}

/// As much of it as there may be, on everything that has it, and what takes its place.
pub async fn metadata_is_kept_and_replaced_as_a_whole(h: Harness) {
    let service = h.service().await;
    let names: Vec<String> = (0..20).map(|n| format!("{n:.<40}")).collect();
    let texts = ["🚀".repeat(500), "quotes ' \" ` \\ and {\"$ne\":1} and $1".into(), String::new()];
    let members = names.iter().zip(texts.iter().cycle());
    let much = Some(Metadata::new(members).unwrap());
    let little = Some(metadata(&[("a.b", "c"), ("-", "")]));
    let none = Some(Metadata::default());
    let opened = CreateStation { metadata: much.clone(), ..CreateStation::new(station("a")) };
    taken(&service, Command::CreateStation(opened)).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, adjust("a", &[("tea", 10)])).await;
    let trade = InitiateTrade { metadata: much.clone(), ..order("T-1", "a", "b", &[("tea", 1)]) };
    taken(&service, initiate(trade.clone())).await;
    let other = InitiateTrade { metadata: little.clone(), ..trade };
    assert_eq!(refused(&service, initiate(other)).await.code(), "trade-exists");
    let moved = CreateTransfer { metadata: little.clone(), ..transfer("X-1", "a", "b", &[("tea", 1)]) };
    taken(&service, Command::CreateTransfer(moved)).await;
    let made = CreateTransfer { metadata: little.clone(), ..transfer("X-1", "a", "b", &[("tea", 1)]) };
    let bare = transfer("X-2", "a", "b", &[("tea", 1)]);
    taken(&service, Command::CreateTransfer(bare.clone())).await;
    for told in [&much, &little, &much] {
        for id in ["X-1", "X-2"] {
            let seen = UpdateCargo { metadata: told.clone(), ..track(shipment_id(id)) };
            taken(&service, Command::UpdateCargo(seen)).await;
        }
        // What was asked for when it was made counts, not what it became.
        for again in [&made, &bare] {
            let Outcome::Cargo(again) = taken(&service, Command::CreateTransfer(again.clone())).await else {
                panic!("a shipment is answered")
            };
            assert_eq!((again.created, &again.cargo.metadata), (false, told));
        }
        let other = CreateTransfer { metadata: much.clone(), ..bare.clone() };
        assert_eq!(refused(&service, Command::CreateTransfer(other)).await.code(), "cargo-exists");
    }
    for told in [&much, &little, &none] {
        let seen = UpdateCargo { metadata: told.clone(), ..track(shipment_of("T-1")) };
        taken(&service, Command::UpdateCargo(seen)).await;
        let renamed = AdjustInventory { metadata: told.clone(), ..adjustment("b", &[]) };
        taken(&service, Command::AdjustInventory(renamed)).await;
        let stored = audit(h.store()).await;
        assert_eq!(&stored.cargo(&shipment_of("T-1")).unwrap().metadata, told);
        assert_eq!(&stored.inventory(&station("b")).unwrap().metadata, told);
    }
    let named = AdjustInventory { name: Some(label("Port")), ..adjustment("b", &[("tea", 1)]) };
    taken(&service, Command::AdjustInventory(named)).await;
    taken(&service, end_trade("T-1", TradeStatus::Cancelled)).await;
    let stored = audit(h.store()).await;
    assert_eq!(stored.trade(&trade_id("T-1")).unwrap().metadata, much);
    assert_eq!(stored.cargo(&shipment_id("X-1")).unwrap().metadata, much);
    assert_eq!(stored.inventory(&station("a")).unwrap().metadata, much);
    let port = stored.inventory(&station("b")).unwrap();
    assert_eq!((&port.name, &port.metadata), (&Some(label("Port")), &none));
}

/// `2.50` is written back as `2.50`, totals are exact, and the largest price and total fit.
pub async fn prices_keep_their_scale(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", UNITS_MAX)])).await;
    taken(&service, open_station("b", &[])).await;
    let mut trade = order("T-1", "a", "b", &[("tea", 1)]);
    let mut goods = vec![
        priced("tea", 3, "2.50"),
        priced("tea", 1, "2.5"),
        priced("tea", 1_000_000_000, "999999999999.999999"),
        priced("tea", 2, "0"),
        line("tea", 5),
    ];
    goods[3].unit_price = Some(money("0.000001", "DOGECOIN"));
    trade.items = Lines::new(goods).unwrap();
    let made = of_trade(taken(&service, initiate(trade)).await);
    let written: Vec<_> =
        made.trade.items.iter().map(|line| line.unit_price.map(|price| price.amount.to_string())).collect();
    assert_eq!(
        written.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [Some("2.50"), Some("2.5"), Some("999999999999.999999"), Some("0.000001"), None]
    );
    let totals: Vec<_> =
        made.trade.totals.iter().map(|total| format!("{} {}", total.amount, total.currency)).collect();
    assert_eq!(totals, ["0.000002 DOGECOIN", "999999999999999999010.000000 GBP"]);
    let stored = h.store().trade(&trade_id("T-1")).await.unwrap().unwrap();
    assert_eq!(stored, made.trade);
    let kept: Vec<_> =
        stored.totals.iter().map(|total| format!("{} {}", total.amount, total.currency)).collect();
    assert_eq!(kept, totals, "as they are written");
    audit(h.store()).await;
}

/// From year 0 to 9999, to the millisecond.
pub async fn times_of_any_year_are_kept(h: Harness) {
    h.clock.set(time("0000-01-01T00:00:00.000Z"));
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 9)])).await;
    taken(&service, open_station("b", &[])).await;
    for (n, text) in ["0000-01-01T00:00:00.001Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"]
        .iter()
        .enumerate()
    {
        let mut trade = order(&format!("T-{n}"), "a", "b", &[("tea", 1)]);
        trade.eta = Some(time(text));
        trade.expires_at = Some(time(text));
        taken(&service, initiate(trade)).await;
        let stored = h.store().trade(&trade_id(&format!("T-{n}"))).await.unwrap().unwrap();
        assert_eq!(stored.expires_at.unwrap().to_string(), *text);
        let stored = h.store().cargo(&stored.shipment_id).await.unwrap().unwrap();
        assert_eq!((stored.eta.to_string().as_str(), stored.requested_eta), (*text, Some(time(text))));
    }
    audit(h.store()).await;
}

/// Whoever caused a step is named in its events, in any script and at any reasonable length.
pub async fn names_of_actors_are_kept(h: Harness) {
    let service = h.service().await;
    let names = ["ops", "key:user:ops", "Łukasz 🚀", &"n".repeat(1_000)];
    for (n, name) in names.iter().enumerate() {
        for (kind, actor) in [("k", Actor::Key((*name).into())), ("u", Actor::User((*name).into()))] {
            let request = Request::new(open_station(&format!("{kind}-{n}"), &[])).by(actor);
            service.submit(request).await.unwrap();
        }
    }
    let actors: Vec<_> =
        audit(h.store()).await.log.into_iter().map(|record| record.step.actor.clone()).collect();
    let expected: Vec<_> =
        names.iter().flat_map(|name| [Actor::Key((*name).into()), Actor::User((*name).into())]).collect();
    assert_eq!(actors, expected);
}
