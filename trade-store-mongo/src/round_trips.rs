//! How many messages a commit and a load cost, by the driver's own count.

use crate::connect::{client_options, open_by};
use crate::testing::database::Database;
use crate::testing::world::{decided, keys_of, open_stations, sales};
use crate::{MongoOptions, MongoStore};
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use std::sync::{Arc, Mutex};
use trade_core::store::{Keys, Store};
use trade_core::testing::fixtures::sale;

type Sent = Arc<Mutex<Vec<String>>>;

/// A store that notes the name of each command it sends.
async fn watched(database: &Database) -> (MongoStore, Sent) {
    let (options, sent) = (MongoOptions::default(), Sent::default());
    let mut client_options = client_options(&database.url(), &options).await.unwrap();
    let noted = sent.clone();
    client_options.command_event_handler = Some(EventHandler::callback(move |event| {
        if let CommandEvent::Started(event) = event {
            // The change stream runs beside everything else: it waits for what is new, and its cursors are its own.
            let collection = event.command.get_str("collection").unwrap_or_default();
            let is_stream = event.command.get("maxTimeMS").is_none() && collection == "head";
            if !(is_stream || event.command_name == "killCursors") {
                noted.lock().unwrap().push(event.command_name);
            }
        }
    }));
    (MongoStore::new(open_by(client_options, &options).await.unwrap()), sent)
}

/// What was sent since this was last asked.
fn taken(sent: &Sent) -> Vec<String> {
    std::mem::take(&mut *sent.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MONGODB_URL"]
async fn a_thousand_trades_cost_a_dozen_messages_and_a_load_one() {
    let database = Database::new();
    let (store, sent) = watched(&database).await;
    open_stations(&store, 102).await;
    // The change stream begins beside everything else.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let trades = sales("T", 1_000, 100);
    taken(&sent);
    store.load(&keys_of(&trades)).await.unwrap();
    assert_eq!(taken(&sent), ["aggregate"]);
    let mut keys = keys_of(&trades);
    keys.inventories = std::mem::take(&mut keys.stations);
    store.load(&keys).await.unwrap();
    assert_eq!(taken(&sent), ["aggregate"]);
    store.load(&Keys::default()).await.unwrap();
    assert_eq!(taken(&sent), ["aggregate"]);

    let commit = decided(&store, &trades).await;
    taken(&sent);
    store.commit(&commit).await.unwrap();
    let messages = taken(&sent);
    assert!(messages.len() <= 12, "{messages:?}");
    assert_eq!(messages.first().map(String::as_str), Some("findAndModify"));
    assert_eq!(messages.last().map(String::as_str), Some("commitTransaction"));

    // Nor are there more where others wrote first.
    let behind = decided(&store, &sales("U", 1_000, 100)).await;
    let elsewhere = sale("X-1", "s-100", "s-101", &[("tea", 1)]);
    store.commit(&decided(&store, &[elsewhere]).await).await.unwrap();
    taken(&sent);
    store.commit(&behind).await.unwrap();
    let messages = taken(&sent);
    assert!(messages.len() <= 12, "{messages:?}");
    store.close().await;
}
