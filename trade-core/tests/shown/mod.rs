//! What a session shows: by each of its reads, and by a replay of the log.

use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use trade_core::event::{Event, EventFilter};
use trade_core::memory::MemoryStore;
use trade_core::resource::{Cargo, Trade};
use trade_core::service::{EventQuery, Session};
use trade_core::store::{
    CargoFilter, CargoQuery, InventoryQuery, LedgerQuery, Page, StationQuery, StoreError, TradeFilter,
    TradeQuery,
};
use trade_core::testing::snapshot::{Snapshot, all_cargo, all_trades};
use trade_core::values::Scope;

async fn walk<T, F>(page: impl Fn(Option<u64>) -> F) -> Vec<T>
where
    F: Future<Output = Result<Page<T, u64>, StoreError>>,
{
    let (mut all, mut before) = (Vec::new(), None);
    for _ in 0..1_000 {
        let Page { rows, next, .. } = page(before).await.expect("it is listed");
        all.extend(rows);
        match next {
            Some(next) => before = Some(next),
            None => return all,
        }
    }
    panic!("the pages do not end");
}

pub(crate) fn touches(scope: &Scope, event: &Event) -> bool {
    scope.touches(event.stations().into_iter().flatten())
}

/// Everything that a session shows is what there is, without what is out of a scope.
pub(crate) async fn assert_shows(session: &Session, store: &MemoryStore, scope: &Scope) {
    let all = Snapshot::of(store).await;
    let trades = walk(|before| {
        let session = session.clone();
        async move { session.trades(&TradeQuery { filter: TradeFilter::default(), before, limit: 3 }).await }
    });
    let expected = all_trades(store, &TradeFilter::default(), 100).await;
    let is_shown = |trade: &&Arc<Trade>| scope.touches([&trade.seller, &trade.buyer]);
    assert_eq!(trades.await, expected.iter().filter(is_shown).cloned().collect::<Vec<_>>());
    for trade in &all.trades {
        let found = session.trade(&trade.transaction_id).await.expect("it is read");
        assert_eq!(found.as_ref(), Some(trade).filter(is_shown));
    }
    let cargo = walk(|before| {
        let session = session.clone();
        async move { session.cargo_list(&CargoQuery { filter: CargoFilter::default(), before, limit: 3 }).await }
    });
    let expected = all_cargo(store, &CargoFilter::default(), 100).await;
    let is_shown = |cargo: &&Arc<Cargo>| scope.touches([&cargo.origin, &cargo.destination]);
    assert_eq!(cargo.await, expected.iter().filter(is_shown).cloned().collect::<Vec<_>>());
    for cargo in &all.cargo {
        let id = &cargo.shipment_id;
        assert_eq!(session.cargo(id).await.expect("it is read").as_ref(), Some(cargo).filter(is_shown));
        let history = session.cargo_history(id, 0, 100).await.expect("it is read");
        let told = history.map(|page| page.rows.iter().map(|event| event.sequence).collect::<Vec<_>>());
        assert_eq!(told, all.history.get(id).filter(|_| is_shown(&cargo)).cloned());
    }
    let stations = walk(|before| {
        let session = session.clone();
        async move { session.inventory_list(&StationQuery::all(before, 2, 0)).await }
    });
    let listed: Vec<_> = stations.await.into_iter().map(|inventory| inventory.station_id).collect();
    let ids = all.inventories.iter().map(|inventory| &inventory.station_id);
    assert_eq!(listed, ids.filter(|id| scope.contains(id)).cloned().collect::<Vec<_>>());
    let (items, entries) = (
        InventoryQuery { items: vec![], after: None, limit: 9 },
        LedgerQuery { item: None, before: None, limit: 9 },
    );
    for inventory in &all.inventories {
        let id = &inventory.station_id;
        assert_eq!(session.inventory(id, &items).await.expect("it is read").is_some(), scope.contains(id));
        assert_eq!(session.ledger(id, &entries).await.expect("it is read").is_some(), scope.contains(id));
    }
    let expected: Vec<Event> = all.events().into_iter().filter(|event| touches(scope, event)).collect();
    let query = EventQuery { filter: EventFilter::default(), after: 0, limit: 10_000, examined_max: 10_000 };
    let polled = session.events(&query).await.expect("it is read");
    let some = EventQuery { limit: 1, ..query };
    let one = session.events(&some).await.expect("it is read");
    assert_eq!(one.events, expected[..expected.len().min(1)]);
    assert!(one.events.first().is_none_or(|event| event.sequence == one.last));
    assert_eq!((&polled.events, polled.last), (&expected, all.head));
    let mut replay = session.subscribe(Some(0), EventFilter::default());
    for event in &expected {
        let next = timeout(Duration::from_secs(5), replay.next()).await.expect("in time");
        assert_eq!(next.expect("it is read").expect("it is open").event(), event);
    }
    assert!(replay.next_stored().await.expect("it is read").is_none());
}
