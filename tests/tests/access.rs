//! Who gets in, at a running server: API keys of its store, and what they may do and see.

use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tests::server::{Server, run};
use tests::sse::Stream;
use trade_core::access::{ApiKeys, NewKey, Role, Token};
use trade_core::clock::{Clock, SystemClock};
use trade_core::store::Access;
use trade_core::values::{Scope, StationId, Timestamp};
use trade_network::store::{Opened, StoreOptions};

/// A store in a file, with its keys.
struct Site {
    _folder: tempfile::TempDir,
    url: String,
    opened: Opened,
    keys: ApiKeys,
}

fn now() -> Timestamp {
    SystemClock::new().now()
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("network.db").display());
        let opened = Opened::open(&url, Access::Migrate, &StoreOptions::default()).await.expect("a store");
        let keys = ApiKeys::new(opened.keys());
        Self { _folder: folder, url, opened, keys }
    }

    async fn key(&self, role: Role, stations: &[&str]) -> Token {
        let ids = stations.iter().map(|id| StationId::new(*id).expect("an id"));
        let scope = if stations == ["*"] { Scope::All } else { Scope::of(ids).expect("few stations") };
        self.keys.create(NewKey::new([role], scope), now()).await.expect("a key").1
    }
}

struct Caller<'s> {
    server: &'s Server,
    authorization: Option<String>,
}

impl<'s> Caller<'s> {
    fn new(server: &'s Server, token: &Token) -> Self {
        Self { server, authorization: Some(format!("Bearer {}", token.reveal())) }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let method = method.parse().expect("a method");
        let mut request = client.request(method, format!("{}{path}", self.server.url()));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, None).await
    }

    /// A stream of events, by a ticket.
    async fn stream(&self) -> Stream {
        let (status, given) = self.ask("POST", "/api/updates/ticket", None).await;
        assert_eq!(status, 201, "{given}");
        let ticket = given["ticket"].as_str().expect("a ticket");
        let mut stream =
            Stream::open(self.server.url(), &format!("/api/updates/real-time?ticket={ticket}"), None).await;
        stream.next().await.expect("a greeting");
        stream
    }
}

fn station(id: &str) -> Option<Value> {
    Some(json!({"stationId": id, "items": [{"itemId": "fuel", "quantity": 100}]}))
}

fn trade(id: &str, seller: &str, buyer: &str) -> Option<Value> {
    Some(json!({"transactionId": id, "seller": seller, "buyer": buyer, "items": ["fuel"]}))
}

#[tokio::test]
async fn whoever_has_no_key_gets_nothing_and_others_what_is_theirs() {
    let site = Site::new().await;
    let admin = site.key(Role::Admin, &["*"]).await;
    let (trader, viewer) =
        (site.key(Role::Trader, &["ceres"]).await, site.key(Role::Viewer, &["luna"]).await);
    let server = Server::start_with(&site.url, &["--auth", "required"]).await;
    let nobody = Caller { server: &server, authorization: None };
    for path in ["/api/trades", "/api/nowhere", "/api/updates/real-time", "/metrics"] {
        let (status, told) = nobody.get(path).await;
        assert_eq!((status, &told["code"]), (401, &json!("unauthenticated")), "{path}");
    }
    for path in ["/health/live", "/health/ready", "/openapi.json"] {
        assert_eq!(nobody.get(path).await.0, 200, "{path}");
    }
    let [admin, trader, viewer] = [&admin, &trader, &viewer].map(|token| Caller::new(&server, token));
    for id in ["ceres", "vesta", "luna"] {
        assert_eq!(trader.ask("POST", "/api/inventory", station(id)).await.0, 403);
        assert_eq!(admin.ask("POST", "/api/inventory", station(id)).await.0, 201);
    }
    assert_eq!(trader.ask("POST", "/api/trades", trade("T-1", "ceres", "vesta")).await.0, 201);
    assert_eq!(trader.ask("POST", "/api/trades", trade("T-2", "vesta", "ceres")).await.0, 403);
    assert_eq!(viewer.ask("POST", "/api/trades", trade("T-3", "luna", "vesta")).await.0, 403);
    assert_eq!((trader.get("/api/trades/T-1").await.0, viewer.get("/api/trades/T-1").await.0), (200, 404));
    assert_eq!(viewer.get("/api/trades").await.1["trades"], json!([]));
    assert_eq!((viewer.get("/metrics").await.0, trader.get("/metrics").await.0), (403, 403));
    // A name that nobody allowed is no matter here.
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer =
        client.get(format!("{}/health/live", server.url())).header("host", "trade.example").send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let (_, events) = admin.get("/api/updates?type=tradeInitiated").await;
    assert!(events["events"][0]["actor"].as_str().expect("an actor").starts_with("key:"), "{events}");
    site.opened.close().await;
}

#[tokio::test]
async fn a_stream_ends_within_five_seconds_of_its_keys_revocation_at_every_server() {
    let site = Site::new().await;
    let (revoked, kept) = (site.key(Role::Auditor, &["*"]).await, site.key(Role::Admin, &["*"]).await);
    let first = Server::start_with(&site.url, &["--auth", "required"]).await;
    let second = Server::start_with(&site.url, &["--auth", "required"]).await;
    let mut streams = Vec::new();
    for server in [&first, &second] {
        streams.push(Caller::new(server, &revoked).stream().await);
    }
    let mut other = Caller::new(&second, &kept).stream().await;
    let began = Instant::now();
    site.keys.revoke(revoked.id(), now()).await.expect("it is revoked");
    for stream in &mut streams {
        let last = stream.next().await.expect("a last event");
        assert_eq!((last.event.as_deref(), &*last.data), (Some("bye"), "{\"reason\":\"revoked\"}"));
        assert_eq!(stream.next().await, None);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    for server in [&first, &second] {
        assert_eq!(Caller::new(server, &revoked).get("/api/trades").await.0, 401);
    }
    assert_eq!(Caller::new(&first, &kept).ask("POST", "/api/inventory", station("ceres")).await.0, 201);
    assert_eq!(other.next().await.expect("it goes on").event.as_deref(), Some("inventoryUpdated"));
    site.opened.close().await;
}

#[tokio::test]
async fn a_server_that_nobody_could_get_into_says_how_and_does_not_start() {
    let site = Site::new().await;
    let start = ["--listen", "127.0.0.1:0", "--store", &site.url, "--auth", "required"];
    let revoked = site.key(Role::Admin, &["*"]).await;
    site.keys.revoke(revoked.id(), now()).await.expect("it is revoked");
    for exposed in ["127.0.0.1:0", "0.0.0.0:0"] {
        let mut start = start;
        start[1] = exposed;
        let output = run(&start).await;
        let error = String::from_utf8(output.stderr).expect("errors are text");
        let line = error.lines().last().expect("a line");
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(line.contains("keys create") && line.contains("--jwks"), "{error}");
    }
    let absent = run(&[&start[..], &["--jwks", "/nowhere/jwks.json"]].concat()).await;
    let error = String::from_utf8(absent.stderr).expect("errors are text");
    assert!(!absent.status.success() && error.contains("/nowhere/jwks.json"), "{error}");
    site.opened.close().await;
}

#[tokio::test]
async fn no_log_of_whatever_level_holds_a_secret() {
    let site = Site::new().await;
    let admin = site.key(Role::Admin, &["*"]).await;
    let log = tempfile::NamedTempFile::new().expect("a file");
    let to = Stdio::from(log.reopen().expect("it opens again"));
    let server = Server::start_tracing(&site.url, &["--auth", "required"], to).await;
    let caller = Caller::new(&server, &admin);
    assert_eq!(caller.ask("POST", "/api/inventory", station("ceres")).await.0, 201);
    let (_, given) = caller.ask("POST", "/api/updates/ticket", None).await;
    let ticket = given["ticket"].as_str().expect("a ticket").to_owned();
    let path = format!("/api/updates/real-time?ticket={ticket}");
    drop(Stream::open(server.url(), &path, None).await);
    assert!(Stream::try_open(server.url(), &path, None).await.is_err());
    let guessed = Token::generate(admin.id().clone()).expect("random numbers");
    assert_eq!(Caller::new(&server, &guessed).get("/api/trades").await.0, 401);
    let jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzZWNyZXQtb2YtYWRhIn0.c2VjcmV0";
    let by_jwt = Caller { server: &server, authorization: Some(format!("Bearer {jwt}")) };
    assert_eq!(by_jwt.get("/api/trades").await.0, 401);
    let (_, metrics) = caller.get("/metrics").await;
    server.stop("TERM").await;
    let told = std::fs::read_to_string(log.path()).expect("a log") + &metrics.to_string();
    assert!(told.contains("DEBUG") && told.contains("/api/updates/real-time"), "it tells everything");
    let secret = |token: &Token| token.reveal().rsplit('_').next().expect("a secret").to_owned();
    for secret in [secret(&admin), secret(&guessed), ticket, jwt.to_owned(), "c2VjcmV0".into()] {
        assert!(!told.contains(&secret), "a secret is in the log");
    }
    site.opened.close().await;
}
