//! Compressed answers: which are, for whom, and what is the same of them.

#![allow(clippy::unwrap_used)]

mod common;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use common::{Network, trade};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;

const LARGE: &str = "/api/inventory";
const GZIP: (&str, &str) = ("accept-encoding", "gzip");

/// An answer, undone if it is compressed.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn is_compressed(&self) -> bool {
        self.header("content-encoding") == "gzip"
    }
}

async fn ask(
    network: &Network,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
    let (parts, body) = network.send_unread(request.body(body).unwrap()).await.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    if method != "HEAD" && parts.headers.contains_key("content-length") && parts.status != 304 {
        assert_eq!(parts.headers["content-length"], bytes.len().to_string());
    }
    let mut text = String::new();
    if parts.headers.contains_key("content-encoding") && method != "HEAD" {
        GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes.into()).unwrap();
    }
    Answer { status: parts.status.as_u16(), headers: parts.headers, text }
}

async fn get(network: &Network, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(network, "GET", path, headers, None).await
}

/// With twenty stations, of which `many` has a hundred items, and the others one.
async fn network() -> Network {
    let network = Network::new().await;
    let items = |count: usize| -> Vec<_> {
        (0..count).map(|n| json!({"itemId": format!("item-{n}"), "quantity": 100})).collect()
    };
    network.post("/api/inventory", json!({"stationId": "many", "items": items(100)})).await.expect(201);
    for n in 0..19 {
        let station = json!({"stationId": format!("s-{n}"), "items": items(1)});
        network.post("/api/inventory", station).await.expect(201);
    }
    network
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_who_asks() {
    let network = network().await;
    let plain = get(&network, LARGE, &[]).await;
    assert!(!plain.is_compressed() && plain.text.len() > 1024);
    for (encodings, is_compressed) in [
        (&["gzip"][..], true),
        (&["GZIP"], true),
        (&["*"], true),
        (&["deflate, br;q=0.9, gzip;q=0.1"], true),
        (&["identity;q=0.5, gzip"], true),
        (&["br", "gzip"], true),
        (&["identity;q=0, gzip"], true),
        (&["gzip;q=0"], false),
        (&["gzip;q=0.1, identity;q=0.5"], false),
        (&["identity"], false),
        (&["br, zstd"], false),
        (&[""], false),
        (&["*;q=0, identity"], false),
        // Neither is taken: plain text is an answer, 406 would be none.
        (&["identity;q=0"], false),
        (&["*;q=0"], false),
        (&["gzip;q=0, identity;q=0"], false),
    ] {
        let headers: Vec<_> = encodings.iter().map(|text| ("accept-encoding", *text)).collect();
        let got = get(&network, LARGE, &headers).await;
        assert_eq!((got.status, got.is_compressed()), (200, is_compressed), "{encodings:?}");
        assert_eq!(got.text, plain.text);
        assert_eq!((got.header("vary"), got.header("content-type")), ("accept-encoding", "application/json"));
    }
    assert_eq!(plain.header("vary"), "accept-encoding");
}

#[tokio::test]
async fn small_answers_and_those_without_a_body_are_left_as_they_are() {
    let network = network().await;
    for path in ["/api/inventory/s-1", "/health/live", "/api/trades"] {
        let got = get(&network, path, &[GZIP]).await;
        assert_eq!((got.status, got.is_compressed(), got.header("vary")), (200, false, ""), "{path}");
    }
    let got = ask(&network, "OPTIONS", LARGE, &[GZIP], None).await;
    assert_eq!((got.status, got.is_compressed()), (204, false));
}

#[tokio::test]
async fn what_was_applied_is_never_told_to_be_unacceptable() {
    let network = network().await;
    let metadata = Value::from_iter((0..20).map(|n| (format!("key-{n}"), "x".repeat(100))));
    let mut body = trade("T-1");
    body["metadata"] = metadata;
    body["seller"] = "many".into();
    body["buyer"] = "s-1".into();
    body["items"] = json!(["item-1"]);
    for (encodings, status, is_compressed) in [("identity;q=0", 201, false), ("gzip", 200, true)] {
        let headers = [("accept-encoding", encodings)];
        let got = ask(&network, "POST", "/api/trades", &headers, Some(body.clone())).await;
        assert_eq!((got.status, got.is_compressed()), (status, is_compressed), "{}", got.text);
    }
}

#[tokio::test]
async fn problems_are_compressed_as_well() {
    let network = network().await;
    let items: Vec<_> = (0..100).map(|n| json!({"itemId": "not an id", "quantity": n})).collect();
    let body = json!({"buyer": "a", "seller": "b", "items": items});
    let got = ask(&network, "POST", "/api/trades", &[GZIP], Some(body)).await;
    assert_eq!((got.status, got.is_compressed()), (422, true));
    assert_eq!(got.header("content-type"), "application/problem+json");
    assert!(serde_json::from_str::<Value>(&got.text).unwrap()["errors"].as_array().unwrap().len() > 50);
}

#[tokio::test]
async fn the_tag_of_a_compressed_answer_is_weak_and_names_the_same_version() {
    const ONE: &str = "/api/inventory/many";
    let network = network().await;
    let plain = get(&network, ONE, &[]).await;
    assert_eq!((plain.header("etag"), plain.header("vary")), ("\"1\"", "accept-encoding"));
    let compressed = get(&network, ONE, &[GZIP]).await;
    assert_eq!((compressed.is_compressed(), compressed.header("etag")), (true, "W/\"1\""));
    assert_eq!(compressed.text, plain.text);
    for (known, told) in
        [("\"1\"", "\"1\""), ("W/\"1\"", "W/\"1\""), ("\"7\", W/\"1\"", "W/\"1\""), ("*", "\"1\"")]
    {
        let got = get(&network, ONE, &[GZIP, ("if-none-match", known)]).await;
        assert_eq!((got.status, got.header("etag"), got.text.as_str()), (304, told, ""), "{known}");
        assert_eq!((got.header("vary"), got.is_compressed()), ("accept-encoding", false));
    }
    let changed = json!({"adjustments": [{"itemId": "item-1", "delta": 1, "reason": "received"}]});
    for (version, status) in [("W/\"1\"", 200), ("W/\"1\"", 412), ("W/\"2\"", 200)] {
        let headers = [GZIP, ("if-match", version)];
        let got = ask(&network, "PATCH", ONE, &headers, Some(changed.clone())).await;
        assert_eq!(got.status, status, "{version}: {}", got.text);
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    let network = network().await;
    for headers in [&[][..], &[GZIP]] {
        for path in [LARGE, "/api/inventory/many", "/api/inventory/s-1", "/metrics"] {
            let (get, head) =
                (get(&network, path, headers).await, ask(&network, "HEAD", path, headers, None).await);
            assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
            for name in ["content-encoding", "content-type", "etag", "vary"] {
                assert_eq!(head.header(name), get.header(name), "{path} {name}");
            }
            if path != "/metrics" {
                assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
            }
        }
    }
}
