//! Stations and their items, in pages.

use super::harness::{Harness, taken};
use crate::resource::Inventory;
use crate::store::{InventoryQuery, StationQuery};
use crate::testing::fixtures::*;
use crate::testing::snapshot::all_stations;

fn names(inventory: &Inventory) -> Vec<&str> {
    inventory.items.iter().map(|item| item.item_id.as_str()).collect()
}

async fn world(h: &Harness) {
    let items: Vec<_> = (0..25).map(|n| format!("item-{n:02}")).collect();
    let stock: Vec<_> = items.iter().zip(1..).map(|(id, units)| (id.as_str(), units)).collect();
    h.write(&[open_station("a", &stock), open_station("b", &[]), open_station("c", &stock[..3])]).await;
}

/// Pages ascend by item, and the last one names no next.
pub async fn a_station_is_paged_by_item(h: Harness) {
    world(&h).await;
    for limit in [1, 4, 5, 24, 25, 26, 5_000] {
        let mut query = InventoryQuery { items: vec![], after: None, limit };
        let mut all = Vec::new();
        loop {
            let page = h.store().inventory(&station("a"), &query).await.unwrap().unwrap();
            assert!(page.inventory.items.len() <= limit);
            all.extend(
                page.inventory.items.iter().map(|item| (item.item_id.to_string(), item.level.on_hand)),
            );
            let Some(next) = page.next else { break };
            assert_eq!(page.inventory.items.len(), limit);
            assert_eq!(next, page.inventory.items.last().unwrap().item_id);
            query.after = Some(next);
        }
        assert_eq!(
            all,
            (0..25).map(|n| (format!("item-{n:02}"), n + 1)).collect::<Vec<_>>(),
            "in pages of {limit}"
        );
    }
    let empty =
        h.store().inventory(&station("b"), &InventoryQuery { items: vec![], after: None, limit: 5 }).await;
    let empty = empty.unwrap().unwrap();
    assert_eq!((empty.inventory.items.len(), empty.next), (0, None));
}

/// Named items only, those that are not held left out, and paged as well.
pub async fn items_narrow_a_station(h: Harness) {
    world(&h).await;
    let items = ["item-20", "nothing", "item-03", "item-11", "item-03"].map(item).to_vec();
    let query = InventoryQuery { items: items.clone(), after: None, limit: 5 };
    let page = h.store().inventory(&station("a"), &query).await.unwrap().unwrap();
    assert_eq!(names(&page.inventory), ["item-03", "item-11", "item-20"]);
    assert_eq!(page.next, None);
    assert_eq!(
        (page.inventory.item_count, page.inventory.quantity),
        (25, 325),
        "the totals are the station's"
    );
    let query = InventoryQuery { items: items.clone(), after: None, limit: 2 };
    let page = h.store().inventory(&station("a"), &query).await.unwrap().unwrap();
    assert_eq!(
        (names(&page.inventory), page.next.clone()),
        (vec!["item-03", "item-11"], Some(item("item-11")))
    );
    let query = InventoryQuery { items, after: page.next, limit: 2 };
    let page = h.store().inventory(&station("a"), &query).await.unwrap().unwrap();
    assert_eq!((names(&page.inventory), page.next), (vec!["item-20"], None));
    let query = InventoryQuery { items: vec![item("nothing")], after: None, limit: 2 };
    let page = h.store().inventory(&station("a"), &query).await.unwrap().unwrap();
    assert_eq!((page.inventory.items.len(), page.next), (0, None));
    let many = (0..3_000).map(|n| item(&format!("item-{n:02}"))).collect();
    let query = InventoryQuery { items: many, after: None, limit: 5_000 };
    assert_eq!(h.store().inventory(&station("a"), &query).await.unwrap().unwrap().inventory.items.len(), 25);
}

/// Newest first, each with the first `items_max` of its items.
pub async fn stations_are_listed_newest_first_with_their_first_items(h: Harness) {
    world(&h).await;
    for limit in [1, 2, 3, 100] {
        let all = all_stations(h.store(), limit, 4).await;
        assert_eq!(all.iter().map(|s| s.station_id.as_str()).collect::<Vec<_>>(), ["c", "b", "a"]);
        assert_eq!(names(&all[0]), ["item-00", "item-01", "item-02"]);
        assert!(names(&all[1]).is_empty());
        assert_eq!(names(&all[2]), ["item-00", "item-01", "item-02", "item-03"]);
    }
    assert!(all_stations(h.store(), 10, 0).await.iter().all(|station| station.items.is_empty()));
    let page = h.store().inventory_list(&StationQuery::all(None, 3, 1)).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (3, None));
}

/// `quantity`, `itemCount` and `version` are the station's, whatever a page lists; and they follow each change.
pub async fn totals_count_what_a_page_leaves_out(h: Harness) {
    world(&h).await;
    let service = h.service().await;
    taken(&service, adjust("a", &[("item-00", 9), ("item-24", -5), ("new", 1)])).await;
    let query = InventoryQuery { items: vec![], after: None, limit: 1 };
    let page = h.store().inventory(&station("a"), &query).await.unwrap().unwrap().inventory;
    assert_eq!((page.quantity, page.item_count, page.version), (330, 26, 2));
    assert_eq!(page.items[0].level, level(10, 0, 0));
    let listed = all_stations(h.store(), 10, 1).await;
    assert_eq!(listed[2], page);
}
