//! What the pages show works as it stands there.

use std::process::Stdio;
use std::time::Duration;
use tests::api::{Api, one_unit};
use tests::proxy::{Proxy, Way};
use tests::server::{Server, root};
use tests::world::World;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const ADDRESS: &str = "127.0.0.1:8080";
/// A client that was cut off connects again after two seconds.
const PATIENCE: Duration = Duration::from_secs(30);

const README: &str = "README.md";
const INTERFACE: &str = "trade-http/INTERFACE.md";

/// The block of code of a page with a line that begins so, at another address.
fn code(page: &str, language: &str, begin: &str, address: &str) -> String {
    let text = std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().expect("a block ends"));
    let block = blocks.find(|block| block.lines().any(|line| line.starts_with(begin)));
    block.unwrap_or_else(|| panic!("{page} has no {language} with {begin:?}")).replace(ADDRESS, address)
}

async fn paste(script: &str) -> Vec<String> {
    let run =
        Command::new("bash").args(["-e", "-c", script]).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(PATIENCE, run).await.expect("it ends in time").expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// Whether a text has the parts of a sample in order, with anything in place of each `…`.
fn is_like(text: &str, sample: &str) -> bool {
    let Some((begin, sample)) = sample.split_once('…') else { return text == sample };
    let (middle, end) = sample.rsplit_once('…').unwrap_or(("", sample));
    let Some(mut rest) = text.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end)) else {
        return false;
    };
    for part in middle.split('…') {
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    true
}

#[test]
fn a_sample_is_told_from_another() {
    assert!(is_like(r#"{"a":1,"b":2,"c":3}"#, r#"{"a":1,…,"c":3}"#));
    assert!(is_like(r#"{"a":1,"b":2}"#, r#"{…,"b":2}"#));
    for other in [r#"{"a":1,"b":2,"c":4}"#, r#"{"b":2,"c":3}"#, r#"{"a":1,"b":2,"c":3,"d":4}"#] {
        assert!(!is_like(other, r#"{"a":1,…,"c":3}"#), "{other}");
    }
}

#[tokio::test]
async fn the_walk_through_answers_as_printed_and_a_second_paste_changes_nothing() {
    let world = World::new();
    let server = Server::start(&world.sqlite()).await;
    let script = code(README, "sh", "api=", server.url().trim_start_matches("http://"));
    let samples: Vec<_> = script.lines().filter_map(|line| line.strip_prefix("#> ")).collect();
    let answers = paste(&script).await;
    assert_eq!(answers.len(), samples.len(), "{answers:#?}");
    for (answer, sample) in answers.iter().zip(samples) {
        assert!(is_like(answer, sample), "{answer}\nis not like\n{sample}");
    }
    let api = Api::new(server.url());
    let newest = api.newest().await;
    paste(&script).await;
    assert_eq!(api.newest().await, newest);
}

/// Starts a program that follows the stream, cuts it off, and expects every event of three trades, once.
async fn follows_without_a_gap(program: &str, arguments: &[&str], language: &str, begin: &str) {
    let world = World::new();
    let server = Server::start(&world.sqlite()).await;
    let port = server.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let proxy = Proxy::start(("127.0.0.1".to_owned(), port)).await;
    let snippet = code(INTERFACE, language, begin, &format!("127.0.0.1:{}", proxy.port()));
    let snippet = snippet.replace("\"127.0.0.1\", 8080", &format!("\"127.0.0.1\", {}", proxy.port()));
    let api = Api::new(server.url());
    api.station("a", "fuel", 10).await;
    api.station("b", "fuel", 10).await;
    let mut client = Command::new(program)
        .args(arguments)
        .arg(&snippet)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut lines = BufReader::new(client.stdout.take().expect("it is piped")).lines();
    // What is written before it has subscribed is not new to it.
    let subscribed = async {
        let metrics = format!("{}/metrics", server.url());
        loop {
            let answer = reqwest::get(&metrics).await.expect("it answers");
            if answer.text().await.expect("metrics are text").contains("open_streams 1") {
                return;
            }
        }
    };
    timeout(PATIENCE, subscribed).await.expect("it subscribes");
    for round in 0..3 {
        let id = format!("T-{round}");
        assert_eq!(api.post("/api/trades", &one_unit(&id, "a", "b", "fuel")).await.status, 201);
        let expected = [
            format!("tradeInitiated trades/{id}"),
            format!("cargoCreated cargo/shipment-{id}"),
            "inventoryUpdated inventory/a".to_owned(),
            "inventoryUpdated inventory/b".to_owned(),
        ];
        for expected in expected {
            let line = timeout(PATIENCE, lines.next_line()).await.expect("an event in time");
            assert_eq!(line.expect("it can be read").as_deref(), Some(expected.as_str()), "{program}");
        }
        proxy.set_way(Way::Shut);
        proxy.idle().await;
        proxy.set_way(Way::Open);
    }
}

#[tokio::test]
#[ignore = "needs Python 3"]
async fn the_python_client_follows_without_a_gap() {
    follows_without_a_gap("python3", &["-c"], "python", "import http.client").await;
}

#[tokio::test]
#[ignore = "needs Node.js 20"]
async fn the_node_client_follows_without_a_gap() {
    follows_without_a_gap("node", &["--input-type=module", "-e"], "js", "for (;;)").await;
}
