//! Commits seen from between the store and a MySQL or MariaDB server: how many messages they take, and what is said of
//! them where the connection breaks.

#![cfg(feature = "mysql")]
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::mysql::Database;
use common::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trade_core::store::{EventLog, Store, StoreErrorKind};
use trade_store_sql::{MySqlStore, ServerOptions};

/// What is done with the first message that begins with some text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// It does not arrive.
    Before,
    /// It arrives, and its answer does not.
    After,
    /// The same, and nobody notices.
    Silence,
}

/// Between the store and the server.
#[derive(Debug, Default)]
struct Proxy {
    /// Messages that were answered.
    round_trips: AtomicU64,
    cut: Mutex<Option<(&'static [u8], Cut)>>,
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
        let muted = Arc::new(AtomicU64::new(0));
        let mute = muted.clone();
        let answering = std::thread::spawn(move || {
            let (mut from, mut to) = answers;
            let mut bytes = vec![0; 65_536];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                if mute.load(Ordering::SeqCst) == 0 && to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
        self.ask(client, server, &muted);
        let _ = answering.join();
    }

    fn ask(&self, mut from: TcpStream, mut to: TcpStream, muted: &AtomicU64) {
        let mut header = [0; 4];
        while from.read_exact(&mut header).is_ok() {
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
            let mut message = vec![0; usize::try_from(length).unwrap()];
            from.read_exact(&mut message).unwrap();
            // Each answer begins the count anew, so that what goes by in several packets is one message.
            let begins = header[3] == 0;
            self.round_trips.fetch_add(u64::from(begins), Ordering::SeqCst);
            let mut cut = self.cut.lock().unwrap();
            let hit = cut.filter(|(text, _)| message.get(1..).is_some_and(|sent| sent.starts_with(text)));
            if let Some((_, how)) = hit {
                *cut = None;
                muted.store(1, Ordering::SeqCst);
                if how == Cut::Before {
                    break;
                }
            }
            drop(cut);
            to.write_all(&[&header[..], &message].concat()).unwrap();
            match hit {
                Some((_, Cut::After)) => {
                    // Long enough for it to be done.
                    std::thread::sleep(Duration::from_millis(300));
                    break;
                }
                Some((_, Cut::Silence)) => std::thread::sleep(Duration::from_secs(5)),
                _ => {}
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn count(&self) -> u64 {
        self.round_trips.swap(0, Ordering::SeqCst)
    }
}

async fn proxied(options: &ServerOptions) -> (Database, Arc<Proxy>, MySqlStore) {
    let database = Database::create().await;
    let proxy = Arc::new(Proxy::default());
    let port = proxy.clone().start(database.host());
    // What is encrypted cannot be looked at.
    let url = format!("{}&ssl-mode=disabled", database.url_by_way_of(port));
    let store = MySqlStore::connect_with(&url, options).await.unwrap();
    (database, proxy, store)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_commit_of_a_thousand_trades_takes_two_round_trips_and_never_more_than_ten() {
    let (database, proxy, store) = proxied(&ServerOptions::default()).await;
    let ids: Vec<String> = (0..200).map(|n| format!("s-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    store.commit(&opened(&store, at(0), &ids, &["tea", "rice"]).await).await.unwrap();
    let sales = |round: usize| -> Vec<_> {
        let sale = |n: usize| {
            let (seller, buyer) = (ids[n % 199 + 1], ids[(n + 1 + n % 7) % 199 + 1]);
            sale(&format!("T-{round}-{n}"), seller, buyer, &[("tea", 1), ("rice", 2)])
        };
        (0..1_000).map(sale).collect()
    };
    let commit = decided(&store, at(1), &sales(0)).await;
    proxy.count();
    store.commit(&commit).await.unwrap();
    assert_eq!(proxy.count(), 2, "one that finds the head where it was");

    decided(&store, at(1), &sales(1)).await;
    proxy.count();
    let commit = decided(&store, at(1), &sales(1)).await;
    assert_eq!(proxy.count(), 1, "a load whose statement is prepared");
    let other = database.open().await;
    other.commit(&opened(&other, at(1), &["elsewhere"], &[]).await).await.unwrap();
    store.commit(&commit).await.unwrap();
    let count = proxy.count();
    assert!(count <= 10, "{count} round trips where the head has moved");

    let commit = decided(&store, at(2), &sales(2)).await;
    proxy.count();
    store.hold().await.unwrap().commit(&commit).await.unwrap();
    assert_eq!(proxy.count(), 3, "one under the lock of the head");
    let trades = store.head().await.unwrap();
    assert_eq!(trades.sequence, 200 + 1 + 3 * 4_000);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "TRADE_TEST_MYSQL_URL"]
async fn a_commit_whose_connection_breaks_is_told_as_what_it_may_be() {
    // A silence is heard after the time of a statement and two seconds.
    let mut options = ServerOptions::default();
    options.statement_timeout = Duration::from_millis(500);
    let (database, proxy, store) = proxied(&options).await;
    store.commit(&opened(&store, at(0), &["ceres", "luna"], &["tea"]).await).await.unwrap();
    let observer = database.open().await;
    let cases: [(&[u8], Cut, StoreErrorKind, bool); 7] = [
        (b"START TRANSACTION;UPDATE", Cut::Before, StoreErrorKind::Unavailable, false),
        (b"START TRANSACTION;UPDATE", Cut::After, StoreErrorKind::Unavailable, false),
        (b"START TRANSACTION;UPDATE", Cut::Silence, StoreErrorKind::Unavailable, false),
        (b"COMMIT", Cut::Before, StoreErrorKind::OutcomeUnknown, false),
        (b"COMMIT", Cut::After, StoreErrorKind::OutcomeUnknown, true),
        (b"COMMIT", Cut::Silence, StoreErrorKind::OutcomeUnknown, true),
        (b"ROLLBACK", Cut::After, StoreErrorKind::Conflict, false),
    ];
    for (n, (text, cut, kind, landed)) in cases.into_iter().enumerate() {
        let trade = sale(&format!("T-{n}"), "ceres", "luna", &[("tea", 1)]);
        let commit = decided(&store, at(1), std::slice::from_ref(&trade)).await;
        if kind == StoreErrorKind::Conflict {
            observer.commit(&commit).await.unwrap();
        }
        let before = observer.head().await.unwrap().sequence;
        *proxy.cut.lock().unwrap() = Some((text, cut));
        let error = store.commit(&commit).await.unwrap_err();
        assert_eq!(error.kind, kind, "{cut:?} at {}: {error:?}", String::from_utf8_lossy(text));
        assert_eq!(*proxy.cut.lock().unwrap(), None);
        // Who comes next waits for what the server still does for the one that is gone.
        observer.hold().await.unwrap();
        let after = observer.head().await.unwrap().sequence;
        assert_eq!(after > before, landed, "{cut:?} at {}", String::from_utf8_lossy(text));
    }
}
