//! What stores tell each other before they commit, and what becomes of it.

use super::PostgresStore;
use super::ahead::RECORDS_MIN;
use super::query_plans::database::Database;
use sqlx::Executor;
use std::time::Duration;
use tokio::time::timeout;
use trade_core::command::Command;
use trade_core::event::Actor;
use trade_core::resource::Sequence;
use trade_core::rules::{Context, Draft};
use trade_core::store::{Commit, EventLog, Keys, LogRecord, Store, StoreErrorKind};
use trade_core::testing::fixtures::{open_station, start_time};
use trade_core::values::StationId;
use trade_core::view::View;

const PATIENCE: Duration = Duration::from_secs(10);

/// A commit that opens so many stations.
async fn opening(store: &PostgresStore, name: &str, count: usize) -> Commit {
    let ids: Vec<String> = (0..count).map(|n| format!("{name}-{n}")).collect();
    let keys = Keys {
        stations: ids.iter().map(|id| StationId::new(id.as_str()).unwrap()).collect(),
        ..Keys::default()
    };
    let mut draft = Draft::new(View::new(&keys, store.load(&keys).await.unwrap()));
    for id in &ids {
        let command: Command = open_station(id, &[("tea", 1)]);
        let context = Context { now: start_time(), time: start_time(), actor: Actor::Anonymous };
        draft.decide(&command, &context).unwrap();
    }
    draft.commit(Vec::new())
}

/// Two stores of one network, the first of which has written by turns, and where the log ends.
async fn two() -> (Database, [PostgresStore; 2], Sequence) {
    let database = Database::create().await;
    let here = PostgresStore::connect(&database.url()).await.unwrap();
    let there = PostgresStore::connect(&database.url()).await.unwrap();
    for store in [&here, &there] {
        is_listening(&database, store).await;
    }
    let mut end = 0;
    for n in 0..2 {
        let commit = opening(&here, &format!("own-{n}"), 3).await;
        end = here.hold().await.unwrap().commit(&commit).await.unwrap().sequence;
    }
    (database, [here, there], end)
}

/// Waits until a store hears what others tell: it begins to listen while it is in use.
async fn is_listening(database: &Database, store: &PostgresStore) {
    let mut connection = database.connection().await;
    let mut heard = store.state.wake.heard.clone();
    let told = async {
        loop {
            connection.execute("NOTIFY tn_public, '1'").await.unwrap();
            if timeout(Duration::from_millis(50), heard.wait_for(|&newest| newest > 0)).await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, told).await.unwrap();
}

/// What is known of the log after the last step before `end` while it is held, without reading it; and what it holds.
async fn known_and_held(store: &PostgresStore, end: Sequence) -> (Option<Vec<LogRecord>>, Vec<LogRecord>) {
    let held = store.hold().await.unwrap();
    let known = store.state.wake.ahead.recall(end - 1, 1_000, 1 << 20);
    let read = store.read_to_commit(end - 1, 1_000, 1 << 20).await.unwrap();
    for (records_max, bytes_max) in [(read.len() - 1, 1 << 20), (1_000, 1)] {
        assert_eq!(
            store.state.wake.ahead.recall(end - 1, records_max, bytes_max),
            None,
            "more is known than asked for"
        );
    }
    drop(held);
    assert_eq!(store.state.wake.ahead.recall(end - 1, 1_000, 1 << 20), None, "what is not held may go on");
    assert_eq!(read, store.read(end - 1, 1_000, 1 << 20).await.unwrap());
    (known, read)
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn what_was_told_and_written_is_known_when_the_head_is_had() {
    let (_database, [here, there], end) = two().await;
    let (mut told, mut after) = (Vec::new(), end);
    for name in ["their", "more"] {
        let commit = opening(&there, name, RECORDS_MIN).await;
        let head = there.hold().await.unwrap().commit(&commit).await.unwrap();
        let heard = timeout(PATIENCE, here.foretold(after)).await.unwrap();
        assert_eq!(heard, commit.log);
        (after, _) = (head.sequence, told.extend(heard));
    }
    let (known, read) = known_and_held(&here, end).await;
    assert_eq!(known.as_ref(), Some(&read));
    assert_eq!(read[1..], told);
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn what_was_told_and_never_written_is_not_taken_for_the_log() {
    let (database, [here, there], end) = two().await;
    let told = opening(&there, "told", RECORDS_MIN).await;
    // Somebody takes one of its ids, and nothing of it is written.
    let mut connection = database.connection().await;
    let taken = "INSERT INTO tn_station (sequence, item_count, updated_at, version, id, on_hand_total) \
         VALUES (900000, 0, 0, 1, 'told-7', '0')";
    connection.execute(taken).await.unwrap();
    let error = there.hold().await.unwrap().commit(&told).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Conflict);
    assert_eq!(timeout(PATIENCE, here.foretold(end)).await.unwrap(), told.log);
    let (known, read) = known_and_held(&here, end).await;
    assert_eq!((known.as_ref(), read.len()), (Some(&read), 1), "it ends as it did");
    // As many steps in its place, of which nobody told.
    there.commit(&opening(&there, "true", RECORDS_MIN).await).await.unwrap();
    let (known, read) = known_and_held(&here, end).await;
    assert_eq!((known, read.len()), (None, 1 + RECORDS_MIN));
    assert_eq!(read.last().unwrap().last, told.log.last().unwrap().last);
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn few_steps_or_a_network_without_a_secret_are_told_to_nobody() {
    let (database, [here, there], end) = two().await;
    let few = opening(&there, "few", RECORDS_MIN - 1).await;
    let end = there.hold().await.unwrap().commit(&few).await.map(|head| (end, head.sequence)).unwrap();
    // What another user may not read is not used.
    database.connection().await.execute("ALTER TABLE tn_secret RENAME TO tn_hidden").await.unwrap();
    let mute = PostgresStore::connect(&database.url()).await.unwrap();
    let many = opening(&mute, "many", RECORDS_MIN).await;
    mute.hold().await.unwrap().commit(&many).await.unwrap();
    let (known, read) = known_and_held(&here, end.0).await;
    assert_eq!((known, read.len()), (None, 2 * RECORDS_MIN));
    for after in [end.0, end.1] {
        assert!(timeout(Duration::from_millis(100), here.foretold(after)).await.is_err());
    }
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_server_that_cannot_compare_is_read_from() {
    let (database, [_, there], end) = two().await;
    // A function of the user's own comes before the server's.
    let url = format!("{}&options=-c%20search_path%3Dpublic,pg_catalog", database.url());
    let here = PostgresStore::connect(&url).await.unwrap();
    is_listening(&database, &here).await;
    let own = opening(&here, "own", 1).await;
    let after = here.hold().await.unwrap().commit(&own).await.unwrap().sequence;
    assert!(after > end);
    let failing = "CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'not here'; END $$";
    database.connection().await.execute(failing).await.unwrap();
    there.hold().await.unwrap().commit(&opening(&there, "their", RECORDS_MIN).await).await.unwrap();
    timeout(PATIENCE, here.foretold(after)).await.unwrap();
    let (known, read) = known_and_held(&here, after).await;
    assert_eq!((known, read.len()), (None, 1 + RECORDS_MIN));
}

#[tokio::test]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn nothing_is_asked_once_it_was_of_no_use() {
    let (_database, [here, there], end) = two().await;
    let ahead = &here.state.wake.ahead;
    assert_eq!(ahead.question(), None, "nobody has told anything");
    for name in ["their", "more"] {
        there.hold().await.unwrap().commit(&opening(&there, name, RECORDS_MIN).await).await.unwrap();
    }
    timeout(PATIENCE, here.foretold(end + RECORDS_MIN as u64)).await.unwrap();
    // What is compared is likely to be so the next time.
    for _ in 0..3 {
        let (known, read) = known_and_held(&here, end).await;
        assert_eq!(known, Some(read));
    }
    drop(here.hold().await.unwrap());
    assert_eq!(ahead.question(), None);
    // Where the log ends with what was written here is known however it was written.
    here.commit(&opening(&here, "own", 2).await).await.unwrap();
    let end = here.head().await.unwrap().sequence;
    there.hold().await.unwrap().commit(&opening(&there, "last", RECORDS_MIN).await).await.unwrap();
    timeout(PATIENCE, here.foretold(end)).await.unwrap();
    assert_eq!(ahead.question(), Some(end - 1));
}
