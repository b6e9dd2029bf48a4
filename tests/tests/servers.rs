//! Several servers over one database are one network.

use futures::future::join_all;
use reqwest::Method;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::api::{Api, one_unit};
use tests::engine::Site;
use tests::server::{Server, assert_verified};
use tests::sse::{Frame, Stream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PATH: &str = "/api/updates/real-time";
const STATIONS: u64 = 8;
/// How long the readers may take to catch up at the end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything that is stored, by polling.
async fn polled(api: &Api) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let page = api.get(&format!("/api/updates?limit=500&after={}", events.len())).await;
        let page = page.body["events"].as_array().expect("events are listed").clone();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

async fn two_busy_servers_starve_nobody_and_tell_the_same_story(site: Site) {
    const WRITERS: u64 = 12;
    const TRADES: u64 = 25;
    let servers = [Server::start(site.url()).await, Server::start(site.url()).await];
    let apis = servers.each_ref().map(|server| Api::new(server.url()));
    apis[0].station("a", "fuel", 1_000_000).await;
    apis[0].station("b", "fuel", 0).await;
    let mut streams = Vec::new();
    for server in &servers {
        let mut stream = Stream::open(server.url(), PATH, Some(0)).await;
        stream.next().await.expect("a greeting");
        streams.push(stream);
    }
    // Every writer on the same pair of stations, so that every commit of one server is in the way of the other's.
    let writers = (0..WRITERS).map(|writer| {
        let api = apis[usize::from(writer % 2 == 0)].clone();
        async move {
            for number in 0..TRADES {
                let body = one_unit(&format!("T-{writer}-{number}"), "a", "b", "fuel");
                let reply = api.post("/api/trades", &body).await;
                assert_eq!(reply.status, 201, "{:?}", reply.body);
            }
        }
    });
    join_all(writers).await;
    let newest = 2 + 4 * WRITERS * TRADES;
    let stored = polled(&apis[1]).await;
    assert_eq!(stored.len() as u64, newest);
    for stream in &mut streams {
        for event in &stored {
            let live = stream.next().await.expect("every event arrives");
            assert_eq!(serde_json::from_str::<Value>(&live.data).expect("JSON"), *event);
        }
    }
    assert_verified(site.url()).await;
}

/// Reads a server's stream from behind a position until it has read the last event, or the server is gone.
async fn tail(url: String, from: u64, mut last: watch::Receiver<u64>) -> Vec<Frame> {
    let mut stream = Stream::open(&url, PATH, Some(from)).await;
    assert_eq!(stream.next().await.expect("a greeting").id, Some(from));
    let (mut frames, mut position) = (Vec::new(), from);
    loop {
        let frame = tokio::select! {
            frame = stream.next() => frame,
            _ = last.wait_for(|last| *last <= position) => return frames,
        };
        let Some(frame) = frame else { return frames };
        position += 1;
        assert_eq!(frame.id, Some(position), "after {} events", frames.len());
        frames.push(frame);
    }
}

/// Writers at one server, until they are told to stop or it is gone: the trades they were told of.
fn write(server: &Server, name: &str, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<Vec<String>>> {
    const WRITERS: u64 = 32;
    let one = |writer| {
        let (api, name, stop) = (Api::new(server.url()), name.to_owned(), stop.clone());
        tokio::spawn(async move {
            let mut told = Vec::new();
            for number in 0.. {
                let (seller, buyer) = ((writer + number) % STATIONS, (writer + 3 * number + 1) % STATIONS);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                if seller == buyer {
                    continue;
                }
                let id = format!("T-{name}-{writer}-{number}");
                let body = one_unit(&id, &format!("s{seller}"), &format!("s{buyer}"), "fuel");
                match api.send(Method::POST, "/api/trades", Some(&body)).await {
                    Ok(reply) if reply.status == 201 => told.push(id),
                    // Busy: it may be told so, but nothing else.
                    Ok(reply) => assert_eq!(reply.code(), "overloaded", "{:?}", reply.body),
                    Err(_) => break,
                }
            }
            told
        })
    };
    (0..WRITERS).map(one).collect()
}

async fn all_of<T>(tasks: Vec<JoinHandle<Vec<T>>>) -> Vec<T> {
    let done = tokio::time::timeout(PATIENCE, join_all(tasks)).await.expect("they end in time");
    done.into_iter().flat_map(|task| task.expect("nothing is wrong")).collect()
}

async fn every_reader_sees_one_order_while_one_server_is_killed_and_another_joins(site: Site) {
    const PHASE: Duration = Duration::from_millis(1_200);
    let (stop, last) = (Arc::default(), watch::Sender::new(u64::MAX));
    let follow = |server: &Server, from| tokio::spawn(tail(server.url().to_owned(), from, last.subscribe()));
    let (doomed, witness) = (Server::start(site.url()).await, Server::start(site.url()).await);
    for station in 0..STATIONS {
        Api::new(doomed.url()).station(&format!("s{station}"), "fuel", 1_000_000).await;
    }
    let (of_doomed, of_witness) = (follow(&doomed, 0), follow(&witness, 0));
    let mut writers = write(&doomed, "doomed", &stop);
    writers.extend(write(&witness, "witness", &stop));
    tokio::time::sleep(PHASE).await;
    let newcomer = Server::start(site.url()).await;
    let of_newcomer = follow(&newcomer, 0);
    writers.extend(write(&newcomer, "newcomer", &stop));
    tokio::time::sleep(PHASE).await;
    doomed.kill().await;
    let mut of_doomed = of_doomed.await.expect("it saw an order without a gap");
    // Who read there goes on elsewhere, from where it was.
    let resumed = follow(&newcomer, of_doomed.len() as u64);
    tokio::time::sleep(PHASE).await;
    stop.store(true, Ordering::Relaxed);
    let told = all_of(writers).await;
    let api = Api::new(witness.url());
    last.send_replace(api.newest().await);
    of_doomed.extend(all_of(vec![resumed]).await);
    let of_witness = all_of(vec![of_witness]).await;
    assert_eq!(of_witness, of_doomed);
    assert_eq!(of_witness, all_of(vec![of_newcomer]).await);
    assert_told_once(&told, &of_witness, &polled(&api).await);
    assert_verified(site.url()).await;
}

/// Asserts that what the readers saw is what is stored, and holds every trade that was acknowledged, once.
fn assert_told_once(told: &[String], seen: &[Frame], stored: &[Value]) {
    let seen: Vec<Value> = seen.iter().map(|f| serde_json::from_str(&f.data).expect("JSON")).collect();
    assert!(seen == stored, "what is streamed is what is stored");
    let mut initiated = HashSet::new();
    for event in stored.iter().filter(|event| event["type"] == "tradeInitiated") {
        let subject = event["subject"].as_str().expect("a subject");
        assert!(initiated.insert(subject.trim_start_matches("trades/")), "{subject} is told twice");
    }
    let missing: Vec<_> = told.iter().filter(|id| !initiated.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "acknowledged, and not there: {missing:?}");
    for server in ["doomed", "witness", "newcomer"] {
        assert!(told.iter().any(|id| id.contains(server)), "{server} took no trade");
    }
}

tests::on_every_engine!(
    two_busy_servers_starve_nobody_and_tell_the_same_story,
    every_reader_sees_one_order_while_one_server_is_killed_and_another_joins,
);
