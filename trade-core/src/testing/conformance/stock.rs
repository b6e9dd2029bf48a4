//! Stock: never below zero, and every refusal complete.

use super::harness::{Harness, refused, taken};
use crate::command::Command;
use crate::rejection::{Rejection, Shortage};
use crate::resource::{Lines, TradeStatus};
use crate::testing::audit::audit;
use crate::testing::fixtures::*;
use crate::testing::snapshot::Snapshot;

fn short(station_id: &str, item_id: &str, requested: u64, available: u64) -> Shortage {
    Shortage {
        station_id: station(station_id),
        item_id: item(item_id),
        requested,
        available: Some(available),
    }
}

/// All short lines are named, also of items never held; those that would do are not; and nothing moves.
pub async fn every_short_line_is_listed_and_nothing_changes(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 5), ("rice", 2), ("salt", 9)])).await;
    taken(&service, open_station("b", &[])).await;
    let before = Snapshot::of(h.store()).await;
    let goods = [("tea", 6), ("salt", 9), ("rice", 3), ("gold", 1)];
    let expected = vec![short("a", "gold", 1, 0), short("a", "rice", 3, 2), short("a", "tea", 6, 5)];
    for command in [
        initiate(sale("T-1", "a", "b", &goods)),
        initiate(order("T-1", "a", "b", &goods)),
        Command::CreateTransfer(transfer("X-1", "a", "b", &goods)),
        adjust("a", &[("tea", -6), ("salt", -9), ("rice", -3), ("gold", -1)]),
    ] {
        let Rejection::InsufficientStock(short) = refused(&service, command).await else { panic!("short") };
        let mut lines = short.listed().to_vec();
        lines.sort_by(|x, y| x.item_id.cmp(&y.item_id));
        assert_eq!(lines, expected);
    }
    assert_eq!(Snapshot::of(h.store()).await, before);
}

/// However many lines are short: so many are listed, and all counted.
pub async fn of_many_short_lines_the_first_are_listed(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[])).await;
    taken(&service, open_station("b", &[])).await;
    let names: Vec<_> = (0..250).map(|n| format!("item-{n:03}")).collect();
    let goods: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let refusal = refused(&service, initiate(sale("T-1", "a", "b", &goods))).await;
    let Rejection::InsufficientStock(short) = refusal else { panic!("{refusal:?}") };
    assert_eq!((short.listed().len(), short.total()), (100, 250));
    assert_eq!(short.listed()[99].item_id.as_str(), "item-099");
}

/// What is promised to one cannot be sold to another, nor adjusted away.
pub async fn reserved_units_are_not_available(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 10)])).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 8)]))).await;
    for command in [initiate(sale("T-2", "a", "b", &[("tea", 3)])), adjust("a", &[("tea", -3)])] {
        assert_eq!(
            refused(&service, command).await,
            Rejection::InsufficientStock([short("a", "tea", 3, 2)].into_iter().collect())
        );
    }
    let incoming = initiate(sale("T-3", "b", "a", &[("tea", 1)]));
    assert_eq!(
        refused(&service, incoming).await,
        Rejection::InsufficientStock([short("b", "tea", 1, 0)].into_iter().collect())
    );
    taken(&service, end_trade("T-1", TradeStatus::Cancelled)).await;
    taken(&service, initiate(sale("T-2", "a", "b", &[("tea", 10)]))).await;
    h.assert_levels(&[("a", "tea", 0, 0, 0), ("b", "tea", 10, 0, 0)]).await;
}

/// With zeros, and counted.
pub async fn an_item_once_held_stays_listed(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 5)])).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, initiate(order("T-1", "a", "b", &[("tea", 5)]))).await;
    taken(&service, end_trade("T-1", TradeStatus::Cancelled)).await;
    taken(&service, adjust("a", &[("tea", -5)])).await;
    let stored = audit(h.store()).await;
    for id in ["a", "b"] {
        let inventory = stored.inventory(&station(id)).unwrap();
        assert_eq!((inventory.items.len(), inventory.item_count, inventory.quantity), (1, 1, 0), "{id}");
        assert_eq!(inventory.items[0].level, level(0, 0, 0));
    }
}

/// Two lines of one item at two prices take from one level.
pub async fn lines_of_one_item_count_together(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 5)])).await;
    taken(&service, open_station("b", &[])).await;
    let mut trade = order("T-1", "a", "b", &[("tea", 1)]);
    trade.items = Lines::new(vec![priced("tea", 3, "2"), priced("tea", 3, "3")]).unwrap();
    assert_eq!(
        refused(&service, initiate(trade.clone())).await,
        Rejection::InsufficientStock([short("a", "tea", 6, 5)].into_iter().collect())
    );
    trade.items = Lines::new(vec![priced("tea", 2, "2"), priced("tea", 3, "3")]).unwrap();
    taken(&service, initiate(trade)).await;
    h.assert_levels(&[("a", "tea", 5, 5, 0), ("b", "tea", 0, 0, 5)]).await;
    audit(h.store()).await;
}

/// An immediate trade cannot be cancelled once the buyer has sold the goods.
pub async fn goods_that_were_sold_on_cannot_be_taken_back(h: Harness) {
    let service = h.service().await;
    taken(&service, open_station("a", &[("tea", 5)])).await;
    taken(&service, open_station("b", &[])).await;
    taken(&service, open_station("c", &[])).await;
    taken(&service, initiate(sale("T-1", "a", "b", &[("tea", 5)]))).await;
    taken(&service, initiate(sale("T-2", "b", "c", &[("tea", 2)]))).await;
    let before = Snapshot::of(h.store()).await;
    let refusal = refused(&service, end_trade("T-1", TradeStatus::Cancelled)).await;
    assert_eq!(refusal, Rejection::InsufficientStock([short("b", "tea", 5, 3)].into_iter().collect()));
    assert_eq!(Snapshot::of(h.store()).await, before);
    taken(&service, end_trade("T-2", TradeStatus::Cancelled)).await;
    taken(&service, end_trade("T-1", TradeStatus::Cancelled)).await;
    h.assert_levels(&[("a", "tea", 5, 0, 0), ("b", "tea", 0, 0, 0), ("c", "tea", 0, 0, 0)]).await;
}
