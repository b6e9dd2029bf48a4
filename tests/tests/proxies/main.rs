//! Behind a real proxy, with the file that users are given, a browser's stream goes on over a restart of the server.

mod reverse_proxy;

use axum::Router;
use axum::routing::get;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use reverse_proxy::{Product, ReverseProxy};
use std::time::Duration;
use tests::api::{Api, one_unit};
use tests::browser::Page;
use tests::server::{Server, root};
use tests::world::World;
use tokio::net::TcpListener;
use tokio::time::timeout;

const PATH: &str = "/api/updates/real-time";
const TYPES: &str = r#"["tradeInitiated", "cargoCreated", "inventoryUpdated"]"#;
/// Events of an immediate trade.
const EVENTS: u64 = 4;

/// A plain EventSource, which tells events as `type id` and errors as `error state`.
fn plain(url: &str) -> String {
    format!(
        "const source = new EventSource('{url}{PATH}');
        for (const type of ['message', ...{TYPES}])
            source.addEventListener(type, (event) => tell(type + ' ' + event.lastEventId));
        source.onerror = () => tell('error ' + source.readyState);"
    )
}

/// The page that the README of the proxies shows, over an EventSource that tells its errors.
fn followed(url: &str) -> String {
    let readme = std::fs::read_to_string(root().join("examples/proxies/README.md")).expect("it is there");
    let (_, code) = readme.split_once("```js\n").expect("it shows a page");
    let (code, _) = code.split_once("```").expect("it shows a page");
    format!(
        "const Plain = EventSource;
        EventSource = class extends Plain {{
            constructor(url) {{
                super(url);
                this.addEventListener('error', () => tell('error ' + this.readyState));
            }}
        }};
        EventSource.CLOSED = Plain.CLOSED;
        {code}
        follow('{url}{PATH}', {TYPES}, (event) => tell(event.type + ' ' + event.lastEventId));"
    )
}

async fn trades(api: &Api, names: std::ops::Range<u64>) {
    for name in names {
        let reply = api.post("/api/trades", &one_unit(&format!("T-{name}"), "a", "b", "fuel")).await;
        assert_eq!(reply.status, 201, "{:?}", reply.body);
    }
}

/// Asserts that the page is told the next events, each once and in order. Greetings say where a stream goes on from.
async fn goes_on(page: &mut Page, position: &mut u64, count: u64) {
    let last = *position + count;
    while *position < last {
        let line = page.next().await;
        let (kind, number) = line.split_once(' ').expect("a kind and a number");
        let number: u64 = number.parse().expect("ids are sequences");
        match kind {
            "error" => assert_eq!(number, 0, "the stream has ended for good"),
            "message" => assert_eq!(number, *position, "{line}"),
            _ => {
                *position += 1;
                assert_eq!(number, *position, "{line}");
            }
        }
    }
}

/// The errors that the page tells of, of which the first is the loss of its stream, and a later one what the proxy
/// answered in the server's place.
async fn errors(page: &mut Page, count: usize) -> Vec<String> {
    let mut errors = Vec::new();
    while errors.len() < count {
        let line = page.next().await;
        assert!(line.starts_with("error "), "{line}");
        errors.push(line);
    }
    errors
}

/// A proxy before a server with two stations, and a page behind it.
struct Site {
    world: World,
    server: Server,
    address: String,
    proxy: ReverseProxy,
}

impl Site {
    async fn new(product: Product, change: impl Fn(String) -> String) -> Self {
        let world = World::new();
        let server = Server::start(&world.sqlite()).await;
        let address = server.url().to_owned();
        let api = Api::new(&address);
        api.station("a", "fuel", 1_000).await;
        api.station("b", "fuel", 0).await;
        let proxy = ReverseProxy::start(product, &address, change).await;
        Self { world, server, address, proxy }
    }

    /// Ends the server, and starts it again once the page has told of so many errors.
    async fn restart(self, signal: &str, page: &mut Page, count: usize) -> (Self, Vec<String>) {
        self.server.stop(signal).await;
        let errors = errors(page, count).await;
        let server = Server::start_at(&self.address, &self.world.sqlite()).await;
        (Self { server, ..self }, errors)
    }
}

async fn a_stream_goes_on_over_restarts(product: Product) {
    let mut site = Site::new(product, |text| text).await;
    let api = Api::new(&site.address);
    let mut page = Page::open(&plain(site.proxy.url())).await;
    let mut position = 2;
    assert_eq!(page.next().await, "message 2");
    trades(&api, 0..2).await;
    goes_on(&mut page, &mut position, 2 * EVENTS).await;
    let mut errors;
    for (round, signal) in [(1, "TERM"), (2, "KILL")] {
        (site, errors) = site.restart(signal, &mut page, 2).await;
        assert_eq!(errors, ["error 0", "error 0"], "{signal}");
        trades(&api, 10 * round..10 * round + 2).await;
        goes_on(&mut page, &mut position, 2 * EVENTS).await;
    }
    // Whoever reads no stream is told the truth.
    let client = Api::new(site.proxy.url());
    assert_eq!(client.get("/api/trades/none").await.status, 404);
    site.server.stop("TERM").await;
    let status = client.get("/api/trades/T-1").await.status.as_u16();
    assert!([502, 503, 504].contains(&status), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts nginx and Chromium"]
async fn behind_nginx_a_browsers_stream_goes_on_over_restarts() {
    a_stream_goes_on_over_restarts(Product::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts haproxy and Chromium"]
async fn behind_haproxy_a_browsers_stream_goes_on_over_restarts() {
    a_stream_goes_on_over_restarts(Product::Haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Caddy and Chromium"]
async fn behind_caddy_a_browsers_stream_goes_on_over_restarts() {
    a_stream_goes_on_over_restarts(Product::Caddy).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts nginx and Chromium"]
async fn a_page_that_makes_a_new_source_goes_on_where_the_proxy_ended_the_old_one() {
    // As most files are that one finds: while the server is away, the stream is 502.
    let without = |text: String| {
        text.lines().filter(|line| !line.contains("error_page")).collect::<Vec<_>>().join("\n")
    };
    let site = Site::new(Product::Nginx, without).await;
    let api = Api::new(&site.address);
    let mut page = Page::open(&followed(site.proxy.url())).await;
    let mut position = 2;
    assert_eq!(page.next().await, "message 2");
    trades(&api, 0..2).await;
    goes_on(&mut page, &mut position, 2 * EVENTS).await;
    let (_site, errors) = site.restart("TERM", &mut page, 2).await;
    assert_eq!(errors, ["error 0", "error 2"], "a 502 ends a stream for good");
    trades(&api, 10..12).await;
    goes_on(&mut page, &mut position, 2 * EVENTS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts nginx, haproxy and Caddy"]
async fn a_stream_that_the_server_refuses_for_now_is_empty_and_nothing_else_is() {
    let refusing = Router::new()
        .route("/health/ready", get(async || "ready"))
        .fallback(async || (StatusCode::SERVICE_UNAVAILABLE, "{}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = format!("http://{}", listener.local_addr().expect("its address"));
    tokio::spawn(async move { axum::serve(listener, refusing).await });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for product in [Product::Nginx, Product::Haproxy, Product::Caddy] {
        let proxy = ReverseProxy::start(product, &server, |text| text).await;
        let get = |path: &str| client.get(format!("{}{path}", proxy.url())).send();
        for path in [PATH, "/api/updates/real-time/?lastEventId=3"] {
            let stream = get(path).await.expect("an answer");
            assert_eq!(stream.status(), StatusCode::OK, "{product:?}");
            assert_eq!(stream.headers()[CONTENT_TYPE], "text/event-stream", "{product:?}");
            assert_eq!(stream.headers()[CACHE_CONTROL], "no-store", "{product:?}");
            assert_eq!(stream.text().await.expect("a body"), "retry: 2000\n\n", "{product:?}");
        }
        for path in ["/api/trades", "/api/updates"] {
            let answer = get(path).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{product:?} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts haproxy"]
async fn haproxy_that_compresses_holds_no_event_back() {
    let compressing =
        |text: String| text.replace("    timeout connect", "    compression algo gzip\n    timeout connect");
    let site = Site::new(Product::Haproxy, compressing).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get =
        |path: &str| client.get(format!("{}{path}", site.proxy.url())).header(ACCEPT_ENCODING, "gzip").send();
    let listed = get("/api/inventory").await.expect("an answer");
    assert_eq!(listed.headers()[CONTENT_ENCODING], "gzip", "it does compress");
    let mut stream = get(PATH).await.expect("an answer");
    assert_eq!(stream.headers().get(CONTENT_ENCODING), None);
    trades(&Api::new(&site.address), 0..1).await;
    let mut text = String::new();
    while !text.contains("id: 6\n") {
        let chunk = timeout(Duration::from_secs(5), stream.chunk()).await.expect("it is not held back");
        text += std::str::from_utf8(&chunk.expect("it can be read").expect("it goes on")).expect("text");
    }
}
