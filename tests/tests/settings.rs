//! The server's settings: one clear line for what is wrong with them.

use tests::server::{Server, run};
use tests::world::World;

async fn refused(arguments: &[&str], expected: &str) {
    let output = run(arguments).await;
    let error = String::from_utf8(output.stderr).expect("errors are text");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    assert!(error.contains(expected), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn an_unknown_flag_or_a_bad_value_is_refused_in_one_line() {
    refused(&["--lisen", "127.0.0.1:0"], "--lisen").await;
    refused(&["--listen", "nowhere"], "listen").await;
    refused(&["--listen"], "--listen").await;
    refused(&["--store", "oracle://x"], "store").await;
    refused(&["--listen", "127.0.0.1:0", "--store", "mongo://h/x"], "mongodb://").await;
    refused(&["--log-format", "xml"], "log-format").await;
    refused(&["--auth", "perhaps"], "auth").await;
    refused(&["surprise"], "surprise").await;
}

#[tokio::test]
async fn help_is_printed_by_any_of_its_names() {
    let help = run(&["--help"]).await;
    assert!(help.status.success() && !help.stdout.is_empty());
    for name in ["-h", "help"] {
        assert_eq!(run(&[name]).await.stdout, help.stdout, "{name}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_the_way_out() {
    let server = Server::start("memory:").await;
    let taken = server.url().trim_start_matches("http://");
    let output = run(&["--listen", taken, "--store", "memory:"]).await;
    let error = String::from_utf8(output.stderr).expect("errors are text");
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains(taken) && error.contains("--listen 127.0.0.1:0"), "{error}");
}

#[tokio::test]
async fn without_access_control_only_loopback_is_served() {
    refused(&["--listen", "0.0.0.0:0", "--store", "memory:", "--auth", "off"], "other machines").await;
    refused(&["--listen", "[::]:0", "--store", "memory:", "--auth", "off"], "other machines").await;
}

#[tokio::test]
async fn without_access_control_only_this_machines_names_are_answered_for() {
    let server = Server::start("memory:").await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for (host, status) in [("evil.example", 421), ("127.0.0.1.evil.example:80", 421), ("localhost:80", 200)] {
        for path in ["/api/trades", "/health/ready", "/metrics"] {
            let answer = client.get(format!("{}{path}", server.url())).header("host", host).send().await;
            assert_eq!(answer.expect("an answer").status().as_u16(), status, "{host} {path}");
        }
    }
    refused(&["--allowed-host", "http://a.example"], "--allowed-host").await;
}

#[tokio::test]
async fn a_store_that_cannot_be_had_is_refused_without_its_password() {
    // Nobody listens on port 1.
    for (url, code) in [
        ("postgres://u:hunter2@127.0.0.1:1/x", 1),
        ("mysql://u:hunter2@127.0.0.1:1/x", 1),
        ("mysql://u:hunter2@127.0.0.1:1/", 1),
        ("mongodb://u:hunter2@127.0.0.1:1,127.0.0.1:2/x?replicaSet=rs0", 1),
        ("mongodb+srv://u:hunter2@localhost", 2),
        ("mongodb:/u:hunter2@localhost", 1),
    ] {
        let output = run(&["--listen", "127.0.0.1:0", "--store", url]).await;
        let error = String::from_utf8(output.stderr).expect("errors are text");
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn verify_tells_damage_and_does_not_make_a_store() {
    let world = World::new();
    let missing = run(&["verify", "--store", &world.sqlite()]).await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(!std::path::Path::new(&world.path("network.db")).exists());
    Server::start(&world.sqlite()).await.stop("TERM").await;
    tests::server::assert_verified(&world.sqlite()).await;
}
