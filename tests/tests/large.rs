//! The largest request there is.

use tests::engine::Site;
use tests::load::all_made;
use trade_core::command::{Command, CreateStation, InitiateTrade, InitiateTrades, Request};
use trade_core::resource::{Line, Lines};
use trade_core::service::TradeService;
use trade_core::testing::conformance::taken;
use trade_core::testing::fixtures::{key, money, open_station, quantity, station, trade_id};
use trade_core::values::ItemId;

const TRADES: usize = InitiateTrades::COUNT_MAX;
const LINES: usize = InitiateTrades::LINES_MAX / TRADES;
/// The items that a station opens with.
const ITEMS: usize = 5_000;

fn item(number: usize) -> ItemId {
    ItemId::new(format!("item-{:0>115}", number % ITEMS)).expect("an id")
}

/// A batch of as many trades and lines as one may have, each as long as it may be: some 10 MiB as JSON.
fn batch() -> Command {
    let price = Some(money("123456789012.1234", "EUR"));
    let line = |number| Line { item_id: item(number), quantity: quantity(1), unit_price: price };
    let trade = |number: usize| {
        let items = (number * LINES..(number + 1) * LINES).map(line).collect();
        let items = Lines::new(items).expect("lines");
        InitiateTrade::new(trade_id(&format!("T-{number}")), station("luna"), station("ceres"), items)
    };
    Command::InitiateTrades(InitiateTrades { trades: (0..TRADES).map(trade).collect(), atomic: false })
}

/// Its answer, which the receipt keeps, is about twice as large.
async fn the_largest_batch_is_stored_once_and_answered_the_same_again(site: Site) {
    let opened = site.open().await;
    let service = TradeService::start(opened.store()).await.expect("the store can be read");
    let items = (0..ITEMS).map(|number| (item(number), quantity(1_000))).collect();
    let ceres = CreateStation { items, ..CreateStation::new(station("ceres")) };
    taken(&service, Command::CreateStation(ceres)).await;
    taken(&service, open_station("luna", &[])).await;
    let submit = || service.submit(Request::new(batch()).once(key(1, 1)));
    let first = submit().await.expect("it is taken");
    assert!(all_made(&first) && !first.replayed);
    let newest = service.bus().newest();
    let again = submit().await.expect("it is known");
    assert!(again.replayed);
    let json = |answer| serde_json::to_vec(answer).expect("an answer is JSON");
    let (first, again) = (json(&first.outcome), json(&again.outcome));
    assert!(first.len() > 16 * 1024 * 1024, "{} bytes", first.len());
    assert!(first == again, "word for word");
    assert_eq!(service.bus().newest(), newest, "nothing was applied again");
    service.shutdown().await;
    opened.close().await;
}

tests::on_every_engine!(the_largest_batch_is_stored_once_and_answered_the_same_again);
