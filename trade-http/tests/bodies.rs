//! What a body is declared to be, and when it is asked for at all.

#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Request;
use common::sse::{serve, serve_directly};
use common::{Got, Network, trade};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn post(network: &Network, headers: &[(&str, &str)], body: impl Into<Body>) -> Got {
    let request = headers
        .iter()
        .fold(Request::post("/api/inventory"), |request, (name, value)| request.header(*name, *value));
    network.send(request.body(body.into()).unwrap()).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_coded_body_is_refused_with_what_is_taken_whatever_is_in_it() {
    let network = Network::new().await;
    for coding in ["gzip", "br", "x-gzip, identity", "Deflate"] {
        for body in [r#"{"stationId": "ceres"}"#, "\u{1f}\u{8b}", ""] {
            let got = post(&network, &[JSON, ("content-encoding", coding)], body).await;
            got.problem(415, "unsupported-media-type");
            assert_eq!(got.header("accept-encoding"), "identity");
        }
    }
    let got = post(&network, &[("content-type", "text/plain"), ("content-encoding", "gzip")], "{}").await;
    got.problem(415, "unsupported-media-type");
    assert_eq!((got.header("accept"), got.header("accept-encoding")), ("application/json", ""));
    post(&network, &[JSON, ("content-encoding", "identity")], r#"{"stationId": "ceres"}"#).await.expect(201);
    // There is no body to be coded.
    let got = network.ask("GET", "/api/inventory/ceres", &[("content-encoding", "gzip")], None).await;
    got.expect(200);
}

#[tokio::test]
async fn a_charset_that_json_has_not_is_refused() {
    let network = Network::new().await;
    for charset in ["iso-8859-1", "utf-16", "windows-1252"] {
        let content_type = format!("application/json; charset={charset}");
        let got = post(&network, &[("content-type", &content_type)], r#"{"stationId": "ceres"}"#).await;
        let problem = got.problem(415, "unsupported-media-type");
        assert!(problem["detail"].as_str().unwrap().contains("utf-8"), "{problem}");
    }
    let content_type = "application/json; charset=\"UTF-8\"";
    post(&network, &[("content-type", content_type)], r#"{"stationId": "ceres"}"#).await.expect(201);
}

#[tokio::test]
async fn what_a_body_is_instead_of_json_is_told() {
    let network = Network::new().await;
    let text = r#"{"stationId": "ceres"}"#;
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (body, expected) in [
        (format!("\u{feff}{text}").into_bytes(), "byte order mark"),
        (utf_16, "UTF-16"),
        (text.chars().flat_map(|letter| u32::from(letter).to_be_bytes()).collect(), "UTF-32"),
        (b"\x1f\x8b\x08\x00".to_vec(), "gzip"),
    ] {
        let problem = post(&network, &[JSON], body).await.problem(400, "malformed-json");
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
}

/// All that is answered to a head that waits for a 100, when nothing more is sent.
async fn answers(address: std::net::SocketAddr, head: &str) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    // The connection ends after the answer: the body may still come, and is no request.
    let read = timeout(Duration::from_secs(20), client.read_to_end(&mut answers)).await;
    read.unwrap_or_else(|_| panic!("{head}: {}", String::from_utf8_lossy(&answers))).unwrap();
    String::from_utf8(answers).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_first_is_not_invited_to_send_what_is_refused() {
    let network = Network::new().await;
    for address in [serve(network.router.clone()).await, serve_directly(network.router.clone()).await] {
        for (head, status) in [
            ("POST /api/trades HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 9", 415),
            ("POST /api/trades HTTP/1.1\r\nContent-Length: 9", 415),
            ("POST /api/trades HTTP/1.1\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked", 415),
            (
                "POST /api/trades HTTP/1.1\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 9",
                415,
            ),
            ("POST /api/trades HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 1048577", 413),
            ("POST /nowhere HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9", 404),
            ("DELETE /api/trades HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9", 405),
        ] {
            let answers = answers(address, head).await;
            assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answers}");
            assert!(!answers.contains("100 Continue"), "{head}: {answers}");
            if status == 413 || status == 415 {
                assert!(answers.to_lowercase().contains("\r\nconnection: close\r\n"), "{head}: {answers}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_first_is_invited_where_its_head_is_good() {
    let network = Network::stocked().await;
    let address = serve_directly(network.router.clone()).await;
    let body = trade("T-1").to_string();
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/trades HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut invited = [0; 25];
    timeout(Duration::from_secs(20), client.read_exact(&mut invited)).await.unwrap().unwrap();
    assert_eq!(&invited, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(body.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    timeout(Duration::from_secs(20), client.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 201");
    assert_eq!(network.get("/api/trades/T-1").await.expect(200)["trade"]["version"], json!(1));
}
