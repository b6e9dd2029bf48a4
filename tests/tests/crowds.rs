//! More clients than a server has room for, and nobody who reads its log: it goes on answering.

use futures::future::join_all;
use reqwest::StatusCode;
use std::process::Stdio;
use std::time::Duration;
use tests::api::{Api, one_unit};
use tests::server::Server;
use tests::sse::Stream;
use tests::world::World;
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATH: &str = "/api/updates/real-time";
const PATIENCE: Duration = Duration::from_secs(10);

/// What a client of its own is told.
async fn told(server: &Server, path: &str) -> (StatusCode, String) {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
    let asked = client.get(format!("{}{path}", server.url())).send();
    let answer = timeout(PATIENCE, asked).await.expect("it answers in time").expect("it answers");
    (answer.status(), answer.text().await.expect("text"))
}

async fn is_full(server: &Server, path: &str) {
    let (status, body) = told(server, path).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    assert!(body.contains("\"code\":\"overloaded\""), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_connections_past_their_number_are_told_so_and_health_still_answers() {
    let server = Server::start_with("memory:", &["--connections-max", "20", "--streams-max", "10"]).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(Stream::open(server.url(), PATH, None).await);
    }
    is_full(&server, PATH).await;
    assert_eq!(told(&server, "/api/trades").await.0, StatusCode::OK, "others are served");
    let address = server.url().trim_start_matches("http://");
    let idle = join_all((0..10).map(|_| TcpStream::connect(address))).await;
    is_full(&server, "/api/trades").await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(told(&server, path).await.0, StatusCode::OK);
    }
    drop(idle);
    streams.truncate(5);
    // That they are gone is noticed a moment later.
    let again = async {
        while told(&server, "/api/trades").await.0 != StatusCode::OK {}
        while Stream::try_open(server.url(), PATH, None).await.is_err() {}
    };
    timeout(PATIENCE, again).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_descriptors_are_few_newcomers_are_answered_all_the_same() {
    let world = World::new();
    let server = Server::start_with_descriptors(256, &world.sqlite()).await;
    let mut streams = Vec::new();
    while let Ok(stream) = Stream::try_open(server.url(), PATH, None).await {
        streams.push(stream);
        assert!(streams.len() < 256, "more streams than descriptors");
    }
    assert!(streams.len() > 100, "{} streams", streams.len());
    is_full(&server, PATH).await;
    assert_eq!(told(&server, "/health/ready").await.0, StatusCode::OK);
    let api = Api::new(server.url());
    api.station("a", "fuel", 9).await;
    api.station("b", "fuel", 9).await;
    assert_eq!(api.post("/api/trades", &one_unit("T-1", "a", "b", "fuel")).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_nobody_up() {
    // More than a pipe holds, many times over.
    const REQUESTS: usize = 5_000;
    let server = Server::start_logging("memory:", &[], Stdio::piped()).await;
    let api = Api::new(server.url());
    for number in 0..REQUESTS {
        let path = format!("/api/trades/{number}");
        assert_eq!(timeout(PATIENCE, api.get(&path)).await.expect("it answers").status, 404);
    }
    assert!(server.stop("TERM").await.success());
}
