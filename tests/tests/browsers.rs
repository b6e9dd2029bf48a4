//! What browsers do. Over HTTP/1.1 one has six connections to a server, and as many streams; over HTTP/2 it has one
//! connection, and follows in any number of tabs.

use hyper::Method;
use serde_json::json;
use std::collections::BTreeSet;
use tests::api::one_unit;
use tests::browser::{Page, addresses_of};
use tests::connection::{Connection, Protocol};
use tests::server::Server;
use tests::tls::Files;
use tests::world::World;

const TABS: usize = 8;

/// What every tab does, and a request beside them.
fn script(url: &str) -> String {
    format!(
        "for (let tab = 0; tab < {TABS}; tab++) {{
            const source = new EventSource('{url}/api/updates/real-time');
            source.addEventListener('message', (event) => tell(`${{tab}} greeted at ${{event.lastEventId}}`));
            source.addEventListener('tradeInitiated', (event) => tell(`${{tab}} told of ${{event.lastEventId}}`));
        }}
        async function ask() {{
            const answer = await fetch('{url}/api/trades?limit=1');
            tell('asked ' + (await answer.json()).trades.length);
        }}"
    )
}

async fn trade(url: &str, id: &str) {
    let mut connection = Connection::open(url, Protocol::Http2).await;
    let (status, body) =
        connection.send(Method::POST, "/api/trades", Some(&one_unit(id, "a", "b", "fuel"))).await;
    assert_eq!(status, 201, "{body}");
}

/// Asserts that every tab tells one thing, in any order.
async fn all_tell(page: &mut Page, what: &str) {
    let mut told = BTreeSet::new();
    for _ in 0..TABS {
        told.insert(page.next().await);
    }
    assert_eq!(told, (0..TABS).map(|tab| format!("{tab} {what}")).collect());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Chromium"]
async fn eight_tabs_follow_over_http2_and_across_a_restart() {
    let world = World::new();
    let files = Files::new(&world);
    let server = Server::start_with_tls(&world.sqlite(), &files).await;
    let url = server.url().to_owned();
    let mut connection = Connection::open(&url, Protocol::Http2).await;
    for station in ["a", "b"] {
        let body = json!({"stationId": station, "items": [{"itemId": "fuel", "quantity": 10}]});
        assert_eq!(connection.send(Method::POST, "/api/inventory", Some(&body)).await.0, 201);
    }
    let script = script(&url);
    let greeted = "addEventListener('load', () => setTimeout(ask, 3000));";
    let mut page = Page::open_trusting(&format!("{script}\n{greeted}")).await;
    all_tell(&mut page, "greeted at 2").await;
    // With as many streams open, a connection of HTTP/1.1 would not be had.
    assert_eq!(page.next().await, "asked 0");
    trade(&url, "T-1").await;
    all_tell(&mut page, "told of 3").await;
    drop(connection);
    assert!(server.stop("TERM").await.success());
    let again = Server::start_with_tls_at(&url, &world.sqlite(), &files).await;
    // Of what happened meanwhile each tab is told once it is back.
    trade(&url, "T-2").await;
    let mut told = BTreeSet::new();
    while told.len() < TABS {
        let line = page.next().await;
        if let Some((tab, event)) = line.split_once(" told of ") {
            assert_eq!(event, "7");
            assert!(told.insert(tab.to_owned()), "{line} twice");
        }
    }
    drop(again);
}

#[tokio::test]
#[ignore = "starts Chromium"]
async fn the_page_of_the_description_loads_nothing_from_elsewhere() {
    let server = Server::start("memory:").await;
    let addresses = addresses_of(&format!("{}/docs", server.url())).await;
    for path in ["/docs", "/docs/page.js", "/docs/rapidoc-min.js", "/openapi.json"] {
        assert!(addresses.contains(&format!("{}{path}", server.url())), "{path} of {addresses:?}");
    }
    let is_ours = |address: &String| address.starts_with(server.url());
    assert!(addresses.iter().all(is_ours), "{addresses:?}");
}
