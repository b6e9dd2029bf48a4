//! TLS and HTTP/2: what holds on a plain connection of HTTP/1.1 holds on every other way in.

use hyper::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::api::one_unit;
use tests::connection::{Connection, Protocol};
use tests::server::{STOP_MAX, Server, run};
use tests::tls::{self, Files};
use tests::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const PATH: &str = "/api/updates/real-time";
const PATIENCE: Duration = Duration::from_secs(20);
const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

async fn stock(connection: &mut Connection) {
    for station in ["a", "b"] {
        let body = json!({"stationId": station, "items": [{"itemId": "fuel", "quantity": 1000}]});
        assert_eq!(connection.send(Method::POST, "/api/inventory", Some(&body)).await.0, 201);
    }
}

async fn trade(connection: &mut Connection, id: &str) {
    let (status, body) =
        connection.send(Method::POST, "/api/trades", Some(&one_unit(id, "a", "b", "fuel"))).await;
    assert_eq!(status, 201, "{body}");
}

/// A server of each kind, and what it is reached by.
async fn servers(world: &World) -> [Server; 2] {
    let files = Files::new(world);
    [Server::start("memory:").await, Server::start_with_tls("memory:", &files).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_streams_are_served_on_every_way_in() {
    let world = World::new();
    for server in servers(&world).await {
        let mut writer = Connection::open(server.url(), Protocol::Http1).await;
        stock(&mut writer).await;
        for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
            let mut connection = Connection::open(server.url(), protocol).await;
            let mut stream = connection.follow(PATH, None).await;
            let greeting = stream.next().await.expect("a greeting");
            trade(&mut writer, &format!("T-{number}")).await;
            for more in 1..=4 {
                let event = timeout(PATIENCE, stream.next()).await.expect("in time").expect("an event");
                assert_eq!(event.id, greeting.id.map(|id| id + more));
            }
            let mut resumed = Connection::open(server.url(), protocol).await;
            let mut resumed = resumed.follow(PATH, Some(2)).await;
            assert_eq!(resumed.next().await.expect("a greeting").id, Some(2));
            assert_eq!(resumed.next().await.expect("an event").id, Some(3));
            if protocol == Protocol::Http2 {
                // Beside its stream.
                trade(&mut connection, "T-beside").await;
                assert!(stream.next().await.expect("an event").data.contains("T-beside"));
                let faulty = connection.send(Method::POST, "/api/trades", Some(&json!({}))).await;
                assert_eq!((faulty.0, &faulty.1["code"]), (422, &json!("invalid-request")));
            }
        }
    }
}

/// Connects until that certificate is shown.
async fn until_shown(server: &Server, certificate: &[u8]) {
    let shown = async {
        while Connection::open(server.url(), Protocol::Http2).await.certificate() != certificate {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, shown).await.expect("the new certificate is in use");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_and_no_stream_is_dropped() {
    let world = World::new();
    let files = Files::new(&world);
    let server = Server::start_with_tls("memory:", &files).await;
    let mut writer = Connection::open(server.url(), Protocol::Http1).await;
    stock(&mut writer).await;
    let mut streams = Vec::new();
    for protocol in PROTOCOLS {
        let mut connection = Connection::open(server.url(), protocol).await;
        let mut stream = connection.follow(PATH, None).await;
        stream.next().await.expect("a greeting");
        streams.push((connection, stream));
    }
    // By itself, and at once where it is asked for.
    until_shown(&server, &files.renew()).await;
    let asked = files.renew();
    server.signal("HUP");
    until_shown(&server, &asked).await;
    // What is no pair leaves the one of before.
    std::fs::write(&files.key, "nothing").expect("it can be written");
    server.signal("HUP");
    sleep(Duration::from_secs(3)).await;
    until_shown(&server, &asked).await;
    until_shown(&server, &files.renew()).await;
    trade(&mut writer, "T-1").await;
    for (_, stream) in &mut streams {
        assert_eq!(timeout(PATIENCE, stream.next()).await.expect("in time").expect("an event").id, Some(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_does_not_end_a_server_without_tls() {
    let server = Server::start("memory:").await;
    server.signal("HUP");
    sleep(Duration::from_millis(200)).await;
    let mut connection = Connection::open(server.url(), Protocol::Http1).await;
    assert_eq!(connection.send(Method::GET, "/health/live", None).await.0, 200);
    assert!(server.stop("TERM").await.success());
}

#[tokio::test]
async fn a_pair_that_is_none_is_told_at_the_start() {
    let world = World::new();
    let files = Files::new(&world);
    let other = World::new();
    let other = Files::new(&other);
    let missing = world.path("missing.pem");
    for (certificate, key, expected) in [
        (&missing, &files.key, "--tls-cert"),
        (&files.certificate, &missing, "--tls-key"),
        (&files.key, &files.key, "no certificate"),
        (&files.certificate, &files.certificate, "no unencrypted private key"),
        (&files.certificate, &other.key, "is not the key of"),
    ] {
        let arguments =
            ["--listen", "127.0.0.1:0", "--store", "memory:", "--tls-cert", certificate, "--tls-key", key];
        let output = run(&arguments).await;
        let error = String::from_utf8(output.stderr).expect("errors are text");
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_do_not_end_are_given_up_and_hold_nobody_up() {
    // More than there may be at a time.
    const SILENT: usize = 400;
    let world = World::new();
    let server = Server::start_with_tls("memory:", &Files::new(&world)).await;
    let address = server.url().trim_start_matches("https://");
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(address).await.expect("it listens"));
    }
    let mut begun = TcpStream::connect(address).await.expect("it listens");
    // The first bytes of a handshake.
    begun.write_all(&[22, 3, 1, 1, 0, 1]).await.expect("it can be sent");
    let begin = Instant::now();
    let mut connection = Connection::open(server.url(), Protocol::Http2).await;
    assert_eq!(connection.send(Method::GET, "/health/live", None).await.0, 200);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    silent.push(begun);
    for mut socket in silent {
        let ended = timeout(PATIENCE, socket.read(&mut [0; 16])).await.expect("it is given up in time");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    // Who speaks plainly is told no later.
    let begin = Instant::now();
    let mut plain = TcpStream::connect(address).await.expect("it listens");
    plain.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it can be sent");
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("it ends in time");
    assert!(
        !answer.starts_with(b"HTTP") && begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_of_a_connection_says_goodbye_and_the_server_is_gone() {
    const STREAMS: usize = 500;
    let world = World::new();
    for server in servers(&world).await {
        let mut connection = Connection::open(server.url(), Protocol::Http2).await;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            let mut stream = connection.follow(PATH, None).await;
            stream.next().await.expect("a greeting");
            streams.push(stream);
        }
        assert_eq!(connection.send(Method::GET, "/api/trades", None).await.0, 200);
        let begin = Instant::now();
        assert!(server.stop("TERM").await.success());
        assert!(begin.elapsed() < STOP_MAX, "{:?}", begin.elapsed());
        for mut stream in streams {
            let last = stream.next().await.expect("a stream does not end without a word");
            assert_eq!(last.event.as_deref(), Some("bye"));
            assert_eq!(
                serde_json::from_str::<Value>(&last.data).expect("JSON"),
                json!({"reason": "shutdown"})
            );
            assert_eq!(stream.next().await, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_offered_is_spoken_in_tls() {
    let world = World::new();
    let server = Server::start_with_tls("memory:", &Files::new(&world)).await;
    let address = server.url().trim_start_matches("https://");
    let socket = TcpStream::connect(address).await.expect("it listens");
    assert!(tls::connect(socket, b"spdy/1").await.is_err());
}
