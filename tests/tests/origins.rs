//! A page of another origin in a browser: it may do what the server is told to allow, and nothing else.

use serde_json::Value;
use tests::api::{Api, one_unit};
use tests::browser::{Origin, Page};
use tests::server::Server;

/// What a page does at a server. It tells what came of each step.
const ATTEMPT: &str = r#"
    async function step(name, doing) {
        try { await tell(name + ' ' + await doing()); } catch { await tell(name + ' refused'); }
    }
    function send(path, method, body, more) {
        const headers = {
            'Content-Type': 'application/json', 'Authorization': 'Bearer x', 'Idempotency-Key': method,
            'X-Request-Id': 'page', ...more,
        };
        return fetch(server + path, {method, headers, body: JSON.stringify(body)});
    }
    async function attempt() {
        const source = new EventSource(server + '/api/updates/real-time');
        const event = (type) => new Promise((done, failed) => {
            source.addEventListener(type, (event) => done(event.lastEventId));
            source.addEventListener('error', failed);
        });
        const initiated = event('tradeInitiated');
        await step('greeting', () => event('message'));
        await step('trade', async () => {
            const answer = await send('/api/trades', 'POST', trade);
            const names = ['etag', 'location', 'x-request-id'];
            return [answer.status, ...names.map((name) => answer.headers.get(name))].join(' ');
        });
        await step('event', () => initiated);
        source.close();
        await step('cancelled', async () => {
            const answer = await send('/api/trades/T-1', 'PATCH', {status: 'cancelled'}, {'If-Match': '*'});
            return answer.status;
        });
        await step('problem', async () => (await (await fetch(server + '/api/trades/none')).json()).code);
        await step('resumed', async () => {
            const headers = {'Last-Event-ID': '2'};
            const answer = await fetch(server + '/api/updates/real-time', {headers});
            const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
            let text = '';
            while (!text.includes('id: 3\n')) text += (await reader.read()).value;
            return (await reader.cancel(), 'from 3');
        });
        // It may send this without being asked, and is kept from the answer (Cross-Origin-Resource-Policy).
        await step('unread', () => fetch(server + '/api/trades', {method: 'POST', mode: 'no-cors', body: JSON.stringify(trade)}));
    }
    attempt();"#;

async fn server(more: &[&str]) -> (Server, Api) {
    let server = Server::start_with("memory:", more).await;
    let api = Api::new(server.url());
    api.station("a", "fuel", 10).await;
    api.station("b", "fuel", 0).await;
    (server, api)
}

/// What a page tells in seven steps.
async fn told(origin: Origin, server: &Server) -> Vec<String> {
    let trade = one_unit("T-1", "a", "b", "fuel");
    let script = format!("const server = '{}', trade = {trade};\n{ATTEMPT}", server.url());
    let mut page = Page::open_at(origin, &script).await;
    let mut told = Vec::new();
    for _ in 0..7 {
        told.push(page.next().await);
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Chromium"]
async fn a_page_of_an_allowed_origin_trades_and_follows() {
    let origin = Origin::new().await;
    let (server, api) = server(&["--cors-origin", &format!("https://app.example,{}", origin.url())]).await;
    let told = told(origin, &server).await;
    let expected = [
        "greeting 2",
        "trade 201 \"1\" trades/T-1 page",
        "event 3",
        "cancelled 200",
        "problem trade-not-found",
        "resumed from 3",
        "unread refused",
    ];
    assert_eq!(told, expected);
    assert_eq!(api.get("/api/trades/T-1").await.body["trade"]["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Chromium"]
async fn a_page_of_another_origin_can_do_nothing() {
    for more in [&[][..], &["--cors-origin", "https://app.example"]] {
        let (server, api) = server(more).await;
        let told = told(Origin::new().await, &server).await;
        let refused = ["greeting", "trade", "event", "cancelled", "problem", "resumed", "unread"];
        let expected: Vec<_> = refused.iter().map(|step| format!("{step} refused")).collect();
        assert_eq!(told, expected);
        assert_eq!(api.get("/api/trades").await.body["trades"], Value::Array(Vec::new()));
    }
}
