//! Commits seen from between the store and a PostgreSQL server: how many messages they take, and what is said of them
//! where the connection breaks.

#![cfg(feature = "postgres")]
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::postgres::Database;
use common::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trade_core::store::{Commit, EventLog, Keys, Store, StoreErrorKind};
use trade_store_sql::{PostgresStore, ServerOptions};

/// What is done where some text is sent: with its message, or where that only prepares a statement, with its first run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// It does not arrive.
    Before,
    /// What it asks for is done, and the answer does not arrive.
    After,
    /// The same, and nobody notices.
    Silence,
}

/// Between the store and the server.
#[derive(Debug, Default)]
struct Proxy {
    /// Messages that wait for an answer.
    round_trips: AtomicU64,
    cut: Mutex<Option<(&'static str, Cut)>>,
}

impl Proxy {
    /// Answers the port to connect to.
    fn start(self: Arc<Self>, server: String) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (proxy, server) = (self.clone(), TcpStream::connect(&server).unwrap());
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                }
                std::thread::spawn(move || proxy.serve(client, server));
            }
        });
        port
    }

    fn serve(&self, client: TcpStream, server: TcpStream) {
        let answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let muted = Arc::new(AtomicBool::new(false));
        let mute = muted.clone();
        let answering = std::thread::spawn(move || {
            let (mut from, mut to) = answers;
            let mut bytes = vec![0; 65_536];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                if !mute.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
        self.ask(client, server, &muted);
        let _ = answering.join();
    }

    fn ask(&self, mut from: TcpStream, mut to: TcpStream, muted: &AtomicBool) {
        let mut stage = Stage::Waiting;
        // The first message has no kind.
        let mut message = read(&mut from, false);
        while let Some((kind, bytes)) = message {
            // A simple query, and the end of a group of messages.
            self.round_trips.fetch_add(u64::from(matches!(kind, b'Q' | b'S')), Ordering::SeqCst);
            let cut = self.cut(&mut stage, kind, &bytes);
            if cut.is_some() {
                muted.store(true, Ordering::SeqCst);
            }
            if cut == Some(Cut::Before) {
                break;
            }
            to.write_all(&bytes).unwrap();
            match cut {
                // Long enough for it to be done.
                Some(Cut::After) => std::thread::sleep(Duration::from_millis(500)),
                Some(_) => std::thread::sleep(Duration::from_secs(5)),
                None => {
                    message = read(&mut from, true);
                    continue;
                }
            }
            break;
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn cut(&self, stage: &mut Stage, kind: u8, bytes: &[u8]) -> Option<Cut> {
        let mut cut = self.cut.lock().unwrap();
        let (text, how) = (*cut)?;
        let holds = bytes.windows(text.len()).any(|part| part == text.as_bytes());
        *stage = match (kind, *stage) {
            (b'P', _) if holds => Stage::Prepared,
            (b'E', Stage::Prepared) => Stage::Run,
            (_, stage) => stage,
        };
        let reached = match kind {
            b'Q' => holds,
            b'E' => *stage == Stage::Run && how == Cut::Before,
            b'S' => *stage == Stage::Run,
            _ => false,
        };
        if reached {
            *cut = None;
        }
        reached.then_some(how)
    }

    fn count(&self) -> u64 {
        self.round_trips.swap(0, Ordering::SeqCst)
    }
}

/// How far a connection is with the statement that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Prepared,
    Run,
}

/// The kind of a message, and all of it.
fn read(from: &mut TcpStream, has_kind: bool) -> Option<(u8, Vec<u8>)> {
    let mut bytes = vec![0; usize::from(has_kind) + 4];
    from.read_exact(&mut bytes).ok()?;
    let head = bytes.len();
    let length = u32::from_be_bytes(bytes[head - 4..].try_into().unwrap());
    bytes.resize(head + usize::try_from(length).unwrap() - 4, 0);
    from.read_exact(&mut bytes[head..]).ok()?;
    Some((if has_kind { bytes[0] } else { 0 }, bytes))
}

async fn proxied(options: &ServerOptions) -> (Database, Arc<Proxy>, PostgresStore) {
    let database = Database::create().await;
    let proxy = Arc::new(Proxy::default());
    let port = proxy.clone().start(database.host());
    // What is encrypted cannot be looked at.
    let url = format!("{}&sslmode=disable", database.url_by_way_of(port));
    let store = PostgresStore::connect_with(&url, options).await.unwrap();
    (database, proxy, store)
}

/// Options by which nothing but what is counted is sent.
fn quiet() -> ServerOptions {
    let mut options = ServerOptions::default();
    options.poll_interval = Duration::from_secs(60);
    options
}

/// Trades among two hundred stations.
fn sales(round: usize) -> Vec<trade_core::command::InitiateTrade> {
    let sale = |n: usize| {
        let (seller, buyer) = (format!("s-{}", n % 199 + 1), format!("s-{}", (n + 1 + n % 7) % 199 + 1));
        sale(&format!("T-{round}-{n}"), &seller, &buyer, &[("tea", 1), ("rice", 2)])
    };
    (0..1_000).map(sale).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_commit_of_a_thousand_trades_takes_one_round_trip_and_never_more_than_ten() {
    let (database, proxy, store) = proxied(&quiet()).await;
    let ids: Vec<String> = (0..200).map(|n| format!("s-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    store.commit(&opened(&store, at(0), &ids, &["tea", "rice"]).await).await.unwrap();
    let mut counts = Vec::new();
    for round in 0..4 {
        let commit = decided(&store, at(1), &sales(round)).await;
        // In the pause what is told of the commit before is sent, and counted with nothing.
        tokio::time::sleep(Duration::from_millis(100)).await;
        // A connection that was idle for long is tried before it is used.
        store.prune_receipts(at(0), 1).await.unwrap();
        proxy.count();
        store.commit(&commit).await.unwrap();
        counts.push(proxy.count());
    }
    // The first one has its statement prepared; a notification that was late may be counted with one of the others.
    assert!(counts[0] <= 4 && counts[1..].contains(&1), "{counts:?} round trips");
    let commit = decided(&store, at(1), &sales(4)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let keys = keys_of(&sales(4));
    store.load(&Keys::default()).await.unwrap();
    proxy.count();
    store.load(&keys).await.unwrap();
    assert_eq!(proxy.count(), 1, "a load whose statement is prepared");
    let other = database.open().await;
    other.commit(&opened(&other, at(1), &["elsewhere"], &[]).await).await.unwrap();
    store.commit(&commit).await.unwrap();
    let count = proxy.count();
    assert!(count <= 10, "{count} round trips where the head has moved");
    let commit = decided(&store, at(2), &sales(5)).await;
    proxy.count();
    store.hold().await.unwrap().commit(&commit).await.unwrap();
    let count = proxy.count();
    assert!(count <= 5, "{count} round trips under the lock of the head");
    assert_eq!(store.head().await.unwrap().sequence, 200 + 1 + 6 * 4_000);
}

/// The two ways of a commit.
#[derive(Debug, Clone, Copy)]
enum Way {
    Alone,
    Held,
}

async fn commit_by(way: Way, store: &PostgresStore, commit: &Commit) -> Option<StoreErrorKind> {
    let outcome = match way {
        Way::Alone => store.commit(commit).await,
        Way::Held => match store.hold().await {
            Ok(held) => held.commit(commit).await,
            Err(error) => Err(error),
        },
    };
    outcome.err().map(|error| error.kind)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_POSTGRES_URL"]
async fn a_commit_whose_connection_breaks_is_told_as_what_it_may_be() {
    use StoreErrorKind::{OutcomeUnknown, Unavailable};
    // A silence is heard after the time of a statement and two seconds.
    let mut options = quiet();
    options.statement_timeout = Duration::from_millis(500);
    let (database, proxy, store) = proxied(&options).await;
    store.commit(&opened(&store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    let observer = database.open().await;
    let cases = [
        (Way::Alone, "WITH head", Cut::Before, OutcomeUnknown, false),
        (Way::Alone, "WITH head", Cut::After, OutcomeUnknown, true),
        (Way::Alone, "WITH head", Cut::Silence, OutcomeUnknown, true),
        (Way::Held, "BEGIN", Cut::Before, Unavailable, false),
        (Way::Held, "BEGIN", Cut::After, Unavailable, false),
        (Way::Held, "WITH w0", Cut::Before, Unavailable, false),
        (Way::Held, "WITH w0", Cut::After, Unavailable, false),
        (Way::Held, "WITH w0", Cut::Silence, Unavailable, false),
        (Way::Held, "COMMIT\0", Cut::Before, OutcomeUnknown, false),
        (Way::Held, "COMMIT\0", Cut::After, OutcomeUnknown, true),
        (Way::Held, "COMMIT\0", Cut::Silence, OutcomeUnknown, true),
    ];
    for (n, (way, text, cut, kind, landed)) in cases.into_iter().enumerate() {
        let trade = sale(&format!("T-{n}"), "ceres", "luna", &[("tea", 1)]);
        let commit = decided(&store, at(1), std::slice::from_ref(&trade)).await;
        let before = observer.head().await.unwrap().sequence;
        *proxy.cut.lock().unwrap() = Some((text, cut));
        assert_eq!(commit_by(way, &store, &commit).await, Some(kind), "{cut:?} at {text}");
        assert_eq!(*proxy.cut.lock().unwrap(), None);
        // Who comes next waits for what the server still does for the one that is gone.
        observer.hold().await.unwrap();
        let after = observer.head().await.unwrap().sequence;
        assert_eq!(after, before + if landed { 4 } else { 0 }, "{cut:?} at {text}");
    }
}
