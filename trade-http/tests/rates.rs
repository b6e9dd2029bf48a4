//! Limits of requests: by address before login, by actor after it, and what is told of them.
#![allow(clippy::unwrap_used)]

mod common;

use axum::Extension;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use common::guarded::{Guarded, bearer};
use common::sse::{serve, serve_directly};
use common::{Got, Network};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use trade_core::access::Role;
use trade_core::event::Actor;
use trade_core::policy::Principal;
use trade_http::access::Authenticator;
use trade_http::{HttpOptions, TrustedProxies};

/// What the tests below take at most until a caller has nothing left, however slowly they run.
const MANY: usize = 5_000;

async fn limited(rate_limit: &str) -> Network {
    with(HttpOptions { rate_limit: Some(rate_limit.parse().unwrap()), ..HttpOptions::default() }).await
}

async fn with(options: HttpOptions) -> Network {
    Network::with(options).await
}

fn from(address: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer = SocketAddr::new(address.parse().unwrap(), 4711);
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// Asks until nothing is left, and answers how often that went well, with the refusal.
async fn exhaust(network: &Network, request: impl Fn() -> Request<Body>) -> (usize, Got) {
    for served in 0..MANY {
        let got = network.send(request()).await;
        if got.status == 429 {
            return (served, got);
        }
    }
    panic!("{MANY} requests were served");
}

#[tokio::test]
async fn one_address_has_nothing_left_while_another_is_served() {
    let network = limited("1/30").await;
    let _recorded = network.record();
    let ask = |address: &str| from(address, "/api/trades", &[]);
    let first = network.send(ask("192.0.2.1")).await;
    first.expect(200);
    assert_eq!(first.header("ratelimit-policy"), "\"requests\";q=30;w=30");
    assert_eq!(first.header("ratelimit"), "\"requests\";r=29;t=1");
    let second = network.send(ask("192.0.2.1")).await;
    assert!(second.header("ratelimit").starts_with("\"requests\";r=2"), "{}", second.header("ratelimit"));

    let (served, refused) = exhaust(&network, || ask("192.0.2.1")).await;
    assert!(served >= 28, "{served}");
    refused.problem(429, "rate-limited");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "\"requests\";r=0;t=1");
    assert_eq!(refused.header("ratelimit-policy"), "\"requests\";q=30;w=30");
    network.send(ask("192.0.2.2")).await.expect(200);
    assert!(network.recorder.handle().render().contains("status=\"429\""));

    // Another address of the same network is the same caller.
    exhaust(&network, || ask("2001:db8::1")).await;
    exhaust(&network, || ask("2001:db8::2")).await;
    network.send(ask("2001:db8:0:1::1")).await.expect(200);
}

#[tokio::test]
async fn everything_counts_but_the_health_of_the_server() {
    let network = limited("1/30").await;
    // On no path, too, and by no known address.
    let (served, _) = exhaust(&network, || Request::get("/nowhere").body(Body::empty()).unwrap()).await;
    assert!(served >= 30, "{served}");
    for path in ["/api/nowhere", "/api//trades", "/metrics", "/openapi.json"] {
        let (served, refused) = exhaust(&network, || Request::get(path).body(Body::empty()).unwrap()).await;
        assert!(served < 20, "{path}: {served}");
        refused.problem(429, "rate-limited");
    }
    for _ in 0..100 {
        let health = network.get("/health/live").await;
        assert_eq!((health.status.as_u16(), health.header("ratelimit")), (200, ""));
    }
}

#[tokio::test]
async fn nothing_is_limited_or_told_where_no_limit_is_set() {
    let network = Network::new().await;
    for _ in 0..1_000 {
        let got = network.get("/api/trades").await;
        assert_eq!((got.status.as_u16(), got.header("ratelimit-policy")), (200, ""));
    }
}

#[tokio::test]
async fn whoever_has_logged_in_is_a_caller_of_their_own_wherever_they_are() {
    let network = limited("1/30").await;
    let of = |actor: Actor| Network {
        router: network.router.clone().layer(Extension(Principal::new(actor))),
        service: network.service.clone(),
        shutdown: network.shutdown.clone(),
        recorder: network.recorder,
    };
    let ada = of(Actor::User("ada".into()));
    let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    let turn = std::cell::Cell::new(0);
    let ask = |address: &str| from(address, "/api/trades", &[]);
    let (served, _) = exhaust(&ada, || {
        turn.set((turn.get() + 1) % addresses.len());
        ask(addresses[turn.get()])
    })
    .await;
    assert!(served >= 30, "{served}");
    // A key of the same name is somebody else, and so are those who share an address.
    of(Actor::Key("ada".into())).send(ask("192.0.2.1")).await.expect(200);
    of(Actor::User("bob".into())).send(ask("192.0.2.1")).await.expect(200);
    of(Actor::Anonymous).send(ask("192.0.2.1")).await.expect(200);
    // Where an address has nothing left, nobody is asked who they are.
    let eve = of(Actor::User("eve".into()));
    for attempt in 0.. {
        exhaust(&network, || ask("192.0.2.9")).await;
        if eve.send(ask("192.0.2.9")).await.status == 429 {
            break;
        }
        // A second may have passed between the two.
        assert!(attempt < 20, "it is served");
    }
}

#[tokio::test]
async fn who_guesses_keeps_nobody_out_whom_the_server_knows() {
    let guarded = Guarded::new().await;
    let access = Some(Authenticator::new().with_keys(guarded.keys.clone()));
    let rate_limit = Some("1/30".parse().unwrap());
    let options = HttpOptions { access, rate_limit, ..HttpOptions::default() };
    let network = Network::of(guarded.network.service.clone(), options);
    let ask = async |authorization: &str| {
        network.send(from("192.0.2.1", "/api/trades", &[("authorization", authorization)])).await
    };
    let [known, other] = [guarded.key(Role::Admin).await, guarded.key(Role::Admin).await];
    ask(&bearer(&known)).await.expect(200);
    let mut guesses = Vec::new();
    for _ in 0..4 {
        guesses.push(ask("Bearer tn_guessed").await.status.as_u16());
    }
    assert_eq!(guesses, [401, 401, 429, 429], "each costs twenty");
    ask(&bearer(&known)).await.expect(200);
    ask(&bearer(&other)).await.problem(429, "rate-limited");
    // Whoever has no credential guesses nothing.
    for _ in 0..20 {
        network.send(from("192.0.2.2", "/api/trades", &[])).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_who_asks_it_and_nobody_else_does() {
    let trusted_proxies = TrustedProxies::none().and("10.0.0.0/8").unwrap();
    let rate_limit = Some("1/30".parse().unwrap());
    let network = with(HttpOptions { rate_limit, trusted_proxies, ..HttpOptions::default() }).await;
    let ask = |peer: &str, forwarded: &str| from(peer, "/api/trades", &[("x-forwarded-for", forwarded)]);
    exhaust(&network, || ask("10.0.0.1", "198.51.100.7")).await;
    exhaust(&network, || ask("10.0.0.2", "203.0.113.1, 198.51.100.7")).await;
    network.send(ask("10.0.0.1", "198.51.100.8")).await.expect(200);
    // Whoever is not trusted is who they are, whatever they say.
    let turn = std::cell::Cell::new(0);
    let (served, _) = exhaust(&network, || {
        turn.set(turn.get() + 1);
        ask("192.0.2.1", &format!("198.51.100.{}", turn.get() % 200))
    })
    .await;
    assert!(served >= 30, "{served}");
}

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends a request on a connection that is kept, and reads its answer.
async fn ask(socket: &mut TcpStream) -> String {
    let body = "{\"status\":\"cancelled\"}";
    let head = "PATCH /api/trades/T-9 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let length = body.len();
    let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if length.is_some_and(|length| length.parse() == Ok(body.len())) {
                return text;
            }
        }
        assert!(socket.read_buf(&mut answer).await.unwrap() > 0, "it is closed: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_http_1_1_outlasts_a_refusal_and_is_limited_by_its_peer() {
    let network = limited("2/40").await;
    let directly = serve_directly(network.router.clone()).await;
    let mut first = connect("127.0.0.2", directly).await;
    let mut served = 0;
    let refused = loop {
        let answer = ask(&mut first).await;
        if !answer.starts_with("HTTP/1.1 404") {
            break answer;
        }
        served += 1;
        assert!(served < MANY, "{answer}");
    };
    assert!(served >= 40 && refused.starts_with("HTTP/1.1 429"), "{served}: {refused}");
    assert!(refused.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{refused}");
    let mut second = connect("127.0.0.3", directly).await;
    assert!(ask(&mut second).await.starts_with("HTTP/1.1 404"));
    // The first one is served again after a while, on the same connection.
    let begin = Instant::now();
    while !ask(&mut first).await.starts_with("HTTP/1.1 404") {
        assert!(begin.elapsed() < Duration::from_secs(20), "it is never served again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // An axum server that does not tell the peer has one allowance for all.
    let untold = serve(network.router.clone()).await;
    assert!(ask(&mut connect("127.0.0.4", untold).await).await.starts_with("HTTP/1.1 404"));
}
