//! One client that takes all it can get, and what others feel of it.

use super::Setup;
use super::server::address;
use crate::client::answer_length;
use crate::report::{Bound, Failure, Figure, Row, quantile};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::api::{Api, one_unit};
use tests::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What others may feel at the most, and what the server may take.
const ANSWER_MS_MAX: f64 = 250.0;
const RESIDENT_MIB_MAX: f64 = 512.0;
/// Between two requests of one of the others, and two looks at the memory.
const PAUSE: Duration = Duration::from_millis(20);
/// The share of the others' requests that may be refused.
const REFUSED_MAX: f64 = 0.01;
const MIB: usize = 1 << 20;
const ITEMS: usize = 5_000;
const LARGE_TRADES: usize = 60;

/// What a connection does once its request is sent.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// Reads the answer, and asks again.
    Read,
    /// Keeps its last byte, if it has a body, and reads nothing.
    Wait,
    /// Sends more, without an end.
    Pour,
}

/// One way of taking all.
#[derive(Debug)]
struct Demand {
    name: &'static str,
    work: &'static str,
    connections: usize,
    method: &'static str,
    path: fn() -> String,
    body: fn() -> String,
    then: Then,
}

const DEMANDS: [Demand; 10] = [
    Demand {
        name: "refused-batch",
        work: "batches of 1 000 trades × 50 lines without stock, with keys",
        connections: 2,
        method: "POST",
        path: || "/api/trades/batch".to_owned(),
        body: batch_without_stock,
        then: Then::Read,
    },
    Demand {
        name: "deep-json",
        work: "bodies of 16 MiB, arrays 120 deep",
        connections: 4,
        method: "POST",
        path: || "/api/trades/batch".to_owned(),
        body: || arrays(&format!("{}{},", "[".repeat(120), "]".repeat(120))),
        then: Then::Read,
    },
    Demand {
        name: "wide-json",
        work: "bodies of 16 MiB, millions of arrays",
        connections: 4,
        method: "POST",
        path: || "/api/trades/batch".to_owned(),
        body: || arrays("[0],"),
        then: Then::Read,
    },
    Demand {
        name: "unended-bodies",
        work: "100 bodies of 16 MiB less one byte",
        connections: 100,
        method: "POST",
        path: || "/api/trades/batch".to_owned(),
        body: || " ".repeat(16 * MIB),
        then: Then::Wait,
    },
    Demand {
        name: "long-parameter",
        work: "polls for one station, named 30 000 times",
        connections: 8,
        method: "GET",
        path: || format!("/api/updates?station={}", vec!["c"; 30_000].join(",")),
        body: String::new,
        then: Then::Read,
    },
    Demand {
        name: "large-pages",
        work: "lists of trades of 5 000 lines",
        connections: 60,
        method: "GET",
        path: || "/api/trades?seller=large&limit=500".to_owned(),
        body: String::new,
        then: Then::Read,
    },
    Demand {
        name: "unread-pages",
        work: "the same, of which nothing is read",
        connections: 100,
        method: "GET",
        path: || "/api/trades?seller=large&limit=500".to_owned(),
        body: String::new,
        then: Then::Wait,
    },
    Demand {
        name: "keyed-adjustments",
        work: "adjustments of one item of 5 000, with keys",
        connections: 64,
        method: "PATCH",
        path: || "/api/inventory/large".to_owned(),
        body: adjustment,
        then: Then::Read,
    },
    Demand {
        name: "silent-readers",
        work: "2 000 streams of which nothing is read",
        connections: 2_000,
        method: "GET",
        path: || "/api/updates/real-time?lastEventId=0".to_owned(),
        body: String::new,
        then: Then::Wait,
    },
    Demand {
        name: "talking-readers",
        work: "bytes sent into 4 streams as fast as they are taken",
        connections: 4,
        method: "GET",
        path: || "/api/updates/real-time".to_owned(),
        body: String::new,
        then: Then::Pour,
    },
];

pub(super) async fn clients(setup: &Setup) -> Result<Vec<Row>, Failure> {
    let place = setup.arguments.engine.place().await?;
    let server = Server::start(&place.url).await;
    prepare(&Api::new(server.url())).await?;
    drop(server);
    let mut rows = Vec::new();
    for demand in &DEMANDS {
        let (mut late, mut resident) = (Vec::new(), Vec::new());
        for round in 0..setup.arguments.rounds {
            let server = Server::start(&place.url).await;
            let felt = beside(&server, demand, round, setup.arguments.duration).await?;
            late.push(felt.late_ms);
            resident.push(felt.resident_mib);
        }
        let row = |what: &str, figure, most| Row {
            name: format!("greedy/{}{what}", demand.name),
            work: demand.work.to_owned(),
            ours: figure,
            reference: None,
            bound: Some(Bound::AtMost(most)),
        };
        let figure = Figure::new("p99 of others' probe, read or trade, the worst", "ms", late)?;
        rows.push(row("", figure, ANSWER_MS_MAX));
        rows.push(row("-memory", Figure::new("the server's most", "MiB", resident)?, RESIDENT_MIB_MAX));
    }
    Ok(rows)
}

/// Stations, one of them with as many items as an answer lists, and trades with as many lines as one may have.
async fn prepare(api: &Api) -> Result<(), Failure> {
    let items: Vec<_> = (0..ITEMS).map(item).collect();
    let stock: Vec<_> = items.iter().map(|id| json!({"itemId": id, "quantity": 1_000_000})).collect();
    made(api, "/api/inventory", json!({"stationId": "large", "items": stock})).await?;
    for id in ["a", "b"] {
        api.station(id, "fuel", 1_000_000).await;
    }
    for _ in 0..LARGE_TRADES {
        made(api, "/api/trades", json!({"seller": "large", "buyer": "b", "items": items})).await?;
    }
    Ok(())
}

async fn made(api: &Api, path: &str, body: Value) -> Result<(), Failure> {
    let reply = api.post(path, &body).await;
    if reply.status == 201 { Ok(()) } else { Err(format!("{path}: {}", reply.body).into()) }
}

struct Felt {
    late_ms: f64,
    resident_mib: f64,
}

/// What others feel while one client does as it likes.
async fn beside(
    server: &Server,
    demand: &'static Demand,
    round: usize,
    time: Duration,
) -> Result<Felt, Failure> {
    let mut greed = JoinSet::new();
    let taker = Arc::new(Taker::new(address(server)?, demand));
    for _ in 0..demand.connections {
        let taker = taker.clone();
        greed.spawn(async move { taker.take().await });
    }
    let begun = Instant::now();
    let url = server.url();
    let trade = async |n| {
        let body = one_unit(&format!("T-{}-{round}-{n}", demand.name), "a", "b", "fuel");
        Api::new(url)
            .send(Method::POST, "/api/trades", Some(&body))
            .await
            .is_ok_and(|reply| reply.status == 201)
    };
    let read =
        async |path| Api::new(url).send(Method::GET, path, None).await.is_ok_and(|reply| reply.status == 200);
    let memory = async {
        let mut most = 0;
        while begun.elapsed() < time {
            most = most.max(server.resident_bytes());
            tokio::time::sleep(PAUSE).await;
        }
        most
    };
    let (live, one, traded, most) = tokio::join!(
        probe(begun, time, async |_| read("/health/live").await),
        probe(begun, time, async |_| read("/api/inventory/a").await),
        probe(begun, time, trade),
        memory,
    );
    greed.shutdown().await;
    let late_ms = live?.max(one?).max(traded?);
    Ok(Felt { late_ms, resident_mib: most as f64 / MIB as f64 })
}

/// The p99, in milliseconds, of what is asked again and again.
async fn probe(begun: Instant, time: Duration, ask: impl AsyncFn(u64) -> bool) -> Result<f64, Failure> {
    let (mut latencies, mut refused) = (Vec::new(), 0.0);
    while begun.elapsed() < time {
        let asked = Instant::now();
        refused += f64::from(u8::from(!ask(latencies.len() as u64).await));
        latencies.push(asked.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    if refused > REFUSED_MAX * latencies.len() as f64 {
        return Err(format!("{refused} of {} requests of others are refused", latencies.len()).into());
    }
    latencies.sort();
    let late = quantile(&latencies, 0.99).ok_or("nothing was asked")?;
    Ok(late.as_secs_f64() * 1e3)
}

/// Who does as it likes.
struct Taker {
    address: SocketAddr,
    head: String,
    body: String,
    then: Then,
    next: AtomicU64,
}

impl Taker {
    fn new(address: SocketAddr, demand: &Demand) -> Self {
        let body = (demand.body)();
        let mut head = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", demand.method, (demand.path)());
        if !body.is_empty() {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        Self { address, head, body, then: demand.then, next: AtomicU64::new(0) }
    }

    /// On one connection after the other, where the server ends them.
    async fn take(&self) {
        loop {
            // It may have no room for it.
            let _ = self.take_once().await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn take_once(&self) -> std::io::Result<()> {
        let mut socket = TcpStream::connect(self.address).await?;
        loop {
            socket.write_all(self.head.as_bytes()).await?;
            if self.body.is_empty() {
                socket.write_all(b"\r\n").await?;
            } else {
                let (pid, number) = (std::process::id(), self.next.fetch_add(1, Ordering::Relaxed));
                socket.write_all(format!("Idempotency-Key: g-{pid}-{number}\r\n\r\n").as_bytes()).await?;
            }
            match self.then {
                Then::Read => {
                    socket.write_all(self.body.as_bytes()).await?;
                    read_answer(&mut socket).await?;
                }
                Then::Wait => {
                    socket.write_all(&self.body.as_bytes()[..self.body.len().saturating_sub(1)]).await?;
                    std::future::pending().await
                }
                Then::Pour => loop {
                    socket.write_all(&[b'x'; 64 * 1024]).await?;
                },
            }
        }
    }
}

async fn read_answer(socket: &mut TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        if answer_length(&bytes).is_some_and(|length| bytes.len() >= length) {
            return Ok(());
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn item(n: usize) -> String {
    format!("item-{n:055}")
}

fn adjustment() -> String {
    json!({"adjustments": [{"itemId": item(0), "delta": 1, "reason": "received"}]}).to_string()
}

/// A body of 16 MiB of a value, again and again.
fn arrays(value: &str) -> String {
    format!("{{\"trades\":[{}0]}}", value.repeat((16 * MIB - 20) / value.len()))
}

fn batch_without_stock() -> String {
    let lines: Vec<_> = (0..50).map(|n| json!({"itemId": format!("none-{n:040}"), "quantity": 7})).collect();
    json!({"trades": vec![json!({"seller": "a", "buyer": "b", "items": lines}); 1_000]}).to_string()
}
