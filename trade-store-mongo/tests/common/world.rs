//! Commits to store.

use trade_core::command::{Command, InitiateTrade};
use trade_core::event::Actor;
use trade_core::rules::{Context, Draft};
use trade_core::store::{Commit, Keys, Store};
use trade_core::testing::fixtures::{open_station, sale, start_time, station};
use trade_core::values::{ShipmentId, Timestamp};
use trade_core::view::View;

/// The commit of commands that touch what is stored under some keys.
pub(crate) async fn decided_on(
    store: &dyn Store,
    keys: &Keys,
    time: Timestamp,
    commands: &[Command],
) -> Commit {
    let mut draft = Draft::new(View::new(keys, store.load(keys).await.unwrap()));
    let context = Context::new(time, Actor::Anonymous);
    for command in commands {
        draft.decide(command, &context).unwrap();
    }
    draft.close(Vec::new()).0
}

/// Everything that sales between some stations touch.
pub(crate) fn keys_of(sales: &[InitiateTrade]) -> Keys {
    let mut keys = Keys::default();
    for sale in sales {
        keys.trades.insert(sale.transaction_id.clone());
        keys.cargo.insert(ShipmentId::of_trade(&sale.transaction_id));
        for id in [&sale.seller, &sale.buyer] {
            keys.stations.insert(id.clone());
            keys.stock.extend(sale.items.iter().map(|line| (id.clone(), line.item_id.clone())));
        }
    }
    keys
}

/// The commit of some sales, decided on what is stored now.
pub(crate) async fn decided(store: &dyn Store, sales: &[InitiateTrade]) -> Commit {
    let commands: Vec<_> = sales.iter().cloned().map(Command::InitiateTrade).collect();
    decided_on(store, &keys_of(sales), start_time(), &commands).await
}

/// Opens stations `s-0` … with a million units of tea and rice each.
pub(crate) async fn open_stations(store: &dyn Store, count: usize) {
    let ids: Vec<_> = (0..count).map(|n| format!("s-{n}")).collect();
    let keys = Keys { stations: ids.iter().map(|id| station(id)).collect(), ..Keys::default() };
    let stock = [("tea", 1_000_000), ("rice", 1_000_000)];
    let commands: Vec<_> = ids.iter().map(|id| open_station(id, &stock)).collect();
    let commit = decided_on(store, &keys, start_time(), &commands).await;
    store.commit(&commit).await.unwrap();
}

/// So many sales of a unit each, between some stations.
pub(crate) fn sales(prefix: &str, count: usize, stations: usize) -> Vec<InitiateTrade> {
    let sale_of = |n: usize| {
        let (seller, buyer) = (n % stations, (n + 1) % stations);
        let item = if n.is_multiple_of(2) { "tea" } else { "rice" };
        sale(&format!("{prefix}-{n:05}"), &format!("s-{seller}"), &format!("s-{buyer}"), &[(item, 1)])
    };
    (0..count).map(sale_of).collect()
}
