//! The subcommand `keys`, as an operator types it, on stores that servers have open or that are not there yet.

use serde_json::Value;
use std::process::Output;
use tests::engine::{Engine, Site};
use tests::server::{Server, assert_verified, run};
use tests::world::World;
use trade_core::access::{ApiKeys, Token};
use trade_core::clock::{Clock, SystemClock};

async fn keys(store: &str, arguments: &[&str]) -> Output {
    run(&[&["keys"], arguments, &["--store", store]].concat()).await
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("output is text")
}

/// What is printed by a command that succeeds.
async fn printed(store: &str, arguments: &[&str]) -> String {
    let output = keys(store, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", text(output.stderr));
    text(output.stdout)
}

/// The token that a command prints, and nothing else.
async fn token(store: &str, arguments: &[&str]) -> Token {
    let printed = printed(store, arguments).await;
    let line = printed.strip_suffix('\n').expect("a line");
    Token::parse(line).expect("a token and nothing else")
}

async fn listed(store: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(&printed(store, &["list", "--json"]).await).expect("JSON");
    all.as_array().expect("a list").clone()
}

async fn refused(store: &str, arguments: &[&str], code: i32, reason: &str) {
    let output = keys(store, arguments).await;
    let error = text(output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    assert!(error.contains(reason) && error.trim_end().lines().count() == 1, "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

/// The first key makes the store; whoever has it gets in until it is revoked, and after a rotation with either token.
async fn a_key_is_made_shown_rotated_and_revoked(site: Site) {
    let store = site.url();
    let first =
        token(store, &["create", "--role", "viewer,trader", "--station", "ceres,vesta", "--name", "ops"])
            .await;
    let second = token(store, &["create", "--role", "admin", "--station", "*", "--expires", "12h"]).await;
    // A server has the store open from here on.
    let server = Server::start(store).await;
    let opened = site.open().await;
    let (known, now) = (ApiKeys::new(opened.keys()), SystemClock::new().now());
    let key = known.check(&first, now).await.expect("it lets somebody in");
    assert_eq!(key.name.as_ref().map(|name| name.as_str()), Some("ops"));
    assert!(known.check(&second, now).await.is_ok());
    let later = now.plus(std::time::Duration::from_secs(13 * 60 * 60));
    assert!(known.check(&second, later).await.is_err());

    let all = listed(store).await;
    assert_eq!(all.len(), 2);
    let of = |token: &Token| {
        all.iter().find(|key| key["id"] == token.id().as_str()).expect("it is listed").clone()
    };
    let (ops, admin) = (of(&first), of(&second));
    assert_eq!(ops["roles"], serde_json::json!(["viewer", "trader"]));
    assert_eq!(ops["stations"], serde_json::json!(["ceres", "vesta"]));
    assert_eq!((&ops["name"], &ops["version"]), (&"ops".into(), &1.into()));
    assert_eq!(admin["stations"], serde_json::json!(["*"]));
    assert!(admin["expiresAt"].is_string() && ops.get("expiresAt").is_none());
    let table = printed(store, &["list"]).await;
    assert!(table.contains("viewer,trader  ceres,vesta") && table.contains("LAST USED"), "{table}");
    let secret = first.reveal().rsplit_once('_').expect("a secret").1;
    assert!(!table.contains(secret) && !format!("{ops}").contains("digest"), "{table}");

    let id = first.id().as_str();
    let rotated = token(store, &["rotate", id, "--grace", "1h"]).await;
    assert_eq!(rotated.id(), first.id());
    for taken in [&first, &rotated] {
        assert!(known.check(taken, now).await.is_ok());
    }
    let third = token(store, &["rotate", id, "--grace", "0s"]).await;
    let now = SystemClock::new().now();
    assert!(known.check(&rotated, now).await.is_err() && known.check(&third, now).await.is_ok());
    assert_eq!(printed(store, &["revoke", id]).await, "");
    assert!(known.check(&third, now).await.is_err());
    assert_eq!(printed(store, &["revoke", id]).await, "", "again is as once");
    assert!(listed(store).await.iter().any(|key| key["id"] == id && key["revokedAt"].is_string()));
    refused(store, &["rotate", id], 1, "was revoked").await;
    refused(store, &["revoke", "000000000000"], 1, "there is no key 000000000000").await;
    opened.close().await;
    server.stop("TERM").await;
    assert_verified(store).await;
}

tests::on_every_engine!(a_key_is_made_shown_rotated_and_revoked);

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_one_line_and_makes_nothing() {
    let site = Engine::Sqlite.site().await;
    let store = site.url();
    refused(store, &[], 2, "create, list, revoke and rotate").await;
    refused(store, &["create"], 2, "--role").await;
    refused(store, &["create", "--role", "king", "--station", "*"], 2, "king").await;
    refused(store, &["revoke", "tn_x"], 2, "12 characters").await;
    refused("memory:", &["list"], 2, "memory:").await;
    for absent in [&["list"][..], &["revoke", "000000000000"], &["rotate", "000000000000"]] {
        refused(store, absent, 1, "cannot be opened").await;
    }
    assert!(!std::path::Path::new(store.trim_start_matches("sqlite://")).exists(), "nothing was made");
    let past = ["create", "--role", "viewer", "--station", "*", "--expires", "2020-01-01T00:00:00Z"];
    refused(store, &past, 2, "later than now").await;
}

#[tokio::test]
async fn a_store_may_be_named_before_the_command() {
    let world = World::new();
    let store = world.sqlite();
    let create = ["keys", "create", "--role", "auditor", "--station", "*"];
    let made = run(&[&["--store", &store], &create[..]].concat()).await;
    assert!(made.status.success());
    assert!(text(made.stderr).contains("shown this once"));
    assert_eq!(listed(&store).await.len(), 1);
}
