//! Servers that are killed, the network's own and the database's, lose nothing that was acknowledged, apply nothing
//! twice, and call nothing refused that landed.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tests::api::{Api, Reply, one_unit};
use tests::database_server::{DatabaseServer, Product};
use tests::engine::Site;
use tests::server::{Server, assert_verified};
use tests::sse::Stream;

const KILLS: u64 = 20;
const DATABASE_KILLS: u64 = 4;
const WRITERS: u64 = 8;
const STATIONS: u64 = 6;
/// How long a server may take to take trades, also after its database was away.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// What the clients were told, by trade.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<HashMap<String, Value>>>);

impl Told {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many more trades were acknowledged: a strike at idle servers shows nothing.
    async fn more(&self, count: usize) {
        let (begin, enough) = (Instant::now(), self.lock().len() + count);
        while self.lock().len() < enough {
            assert!(begin.elapsed() < RECOVERY_MAX, "trades are not acknowledged");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Asserts that everything is stored as it was told, or as a later step left it.
    async fn assert_kept(&self, api: &Api) {
        let told = std::mem::take(&mut *self.lock());
        for (id, trade) in told {
            let stored = api.get(&format!("/api/trades/{id}")).await.body["trade"].clone();
            // A cancellation that was not answered may still have landed.
            let version = |trade: &Value| trade["version"].as_u64().unwrap_or(0);
            assert!(stored == trade || version(&stored) > version(&trade), "told {trade}, stored {stored}");
        }
    }
}

async fn open_stations(api: &Api) {
    for station in 0..STATIONS {
        api.station(&format!("s{station}"), "fuel", 1_000_000).await;
    }
}

/// Sends a request; none when the server is gone. While its store is away, that is all that it may say: there is stock
/// for every trade, so that a refusal would be one of something that landed.
async fn send(api: &Api, method: Method, path: &str, body: &Value) -> Option<Reply> {
    let reply = api.send(method, path, Some(body)).await.ok()?;
    match reply.status {
        StatusCode::CREATED | StatusCode::OK => {}
        StatusCode::SERVICE_UNAVAILABLE => tokio::time::sleep(Duration::from_millis(5)).await,
        status => panic!("{status}: {}", reply.body),
    }
    Some(reply)
}

/// Writes trades, and moves some of their shipments on, until the server is gone or it is told to stop.
async fn write(api: Api, told: Told, stop: Arc<AtomicBool>, round: u64, writer: u64) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("T-{round}-{writer}-{number}");
        let (seller, buyer) = (number % STATIONS, (number + 1 + writer % (STATIONS - 1)) % STATIONS);
        let mut body = one_unit(&id, &format!("s{seller}"), &format!("s{buyer}"), "fuel");
        if number % 2 == 0 {
            body["settlement"] = json!("on_delivery");
        }
        let Some(reply) = send(&api, Method::POST, "/api/trades", &body).await else { return };
        if reply.status != StatusCode::CREATED {
            continue;
        }
        told.lock().insert(id.clone(), reply.body["trade"].clone());
        if number % 3 == 0 {
            let cancel = json!({"status": "cancelled"});
            let Some(reply) = send(&api, Method::PATCH, &format!("/api/trades/{id}"), &cancel).await else {
                return;
            };
            if reply.status == StatusCode::OK {
                told.lock().insert(id, reply.body["trade"].clone());
            }
        }
    }
}

/// A moment to strike at, different in every round.
fn moment(round: u64) -> Duration {
    Duration::from_millis(round * 7_919 % 280)
}

async fn every_answer_survives_twenty_kills_at_different_moments(site: Site) {
    let told = Told::default();
    for round in 0..KILLS {
        let server = Server::start(site.url()).await;
        let api = Api::new(server.url());
        if round == 0 {
            open_stations(&api).await;
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(api.clone(), told.clone(), Arc::default(), round, writer)))
            .collect();
        told.more(10).await;
        tokio::time::sleep(moment(round)).await;
        server.kill().await;
        for writer in writers {
            writer.await.expect("a writer ends with its server");
        }
        assert_verified(site.url()).await;
    }
    let server = Server::start(site.url()).await;
    told.assert_kept(&Api::new(server.url())).await;
}

tests::on_every_engine!(every_answer_survives_twenty_kills_at_different_moments);

/// Waits until the server takes trades again.
async fn recovered(api: &Api, id: &str) {
    let begin = Instant::now();
    let body = one_unit(id, "s0", "s1", "fuel");
    while send(api, Method::POST, "/api/trades", &body).await.is_none_or(|reply| !reply.status.is_success()) {
        assert!(begin.elapsed() < RECOVERY_MAX, "the server does not notice that its database is back");
    }
}

/// Reads the stream from the first event to one that may be yet to come, every sequence once and in order. A server whose
/// log is away may end a stream, or refuse one: then again, from where it was.
async fn follow(url: &str, to: u64) {
    let mut position = 0;
    while position < to {
        let stream = Stream::try_open(url, "/api/updates/real-time", Some(position)).await;
        let Ok(mut stream) = stream else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        assert_eq!(stream.next().await.expect("a greeting").id, Some(position));
        while position < to {
            match stream.next().await {
                Some(frame) if frame.event.as_deref() == Some("bye") => break,
                Some(frame) => assert_eq!(frame.id, Some(position + 1)),
                None => break,
            }
            position += 1;
        }
    }
}

/// The database is killed again and again under a server that is not restarted.
async fn every_answer_survives_kills_of_the_database(product: Product) {
    let mut database = DatabaseServer::start(product);
    let url = database.url();
    let server = Server::start_silent(&url).await;
    let api = Api::new(server.url());
    open_stations(&api).await;
    let (told, stop) = (Told::default(), Arc::<AtomicBool>::default());
    let reader = {
        let url = server.url().to_owned();
        tokio::spawn(async move { follow(&url, STATIONS + 400).await })
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(api.clone(), told.clone(), stop.clone(), 0, writer)))
        .collect();
    for round in 0..DATABASE_KILLS {
        told.more(40).await;
        tokio::time::sleep(moment(round)).await;
        database.kill();
        let ready = api.get("/health/ready").await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", ready.body);
        database.restart();
        recovered(&api, &format!("R-{round}")).await;
    }
    told.more(40).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer stops");
    }
    let heard = tokio::time::timeout(RECOVERY_MAX, reader).await.expect("the reader hears of everything");
    heard.expect("nothing is missing or twice");
    let newest = api.newest().await;
    tokio::time::timeout(RECOVERY_MAX, follow(server.url(), newest)).await.expect("all is told once more");
    told.assert_kept(&api).await;
    drop(server);
    assert_verified(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts PostgreSQL"]
async fn every_answer_survives_kills_of_postgres() {
    every_answer_survives_kills_of_the_database(Product::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts MariaDB"]
async fn every_answer_survives_kills_of_mariadb() {
    every_answer_survives_kills_of_the_database(Product::Mariadb).await;
}
