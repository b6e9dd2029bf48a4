//! Who gets in, with access on.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Request;
use common::guarded::{Guarded, bearer};
use common::{Got, Network, trade};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;
use trade_core::access::{KeyId, Role, Token};
use trade_http::HttpOptions;
use trade_http::access::Authenticator;

const CHALLENGE: &str = "Bearer realm=\"trade-network\"";

#[tokio::test]
async fn under_api_nothing_is_answered_without_a_credential() {
    let guarded = Guarded::new().await;
    for (method, path) in [
        ("GET", "/api/trades"),
        ("GET", "/api/updates"),
        ("GET", "/api/updates/real-time"),
        ("GET", "/api/updates/real-time/"),
        ("POST", "/api/trades"),
        ("DELETE", "/api/trades"),
        ("OPTIONS", "/api/trades"),
        ("GET", "/api/nowhere"),
        ("GET", "/api"),
        ("GET", "/api//trades"),
        ("GET", "//api/trades"),
        ("GET", "/%61pi/trades"),
        ("GET", "/metrics"),
    ] {
        let body = (method == "POST").then(|| trade("T-1"));
        let got = guarded.network.ask(method, path, &[], body).await;
        got.problem(401, "unauthenticated");
        assert_eq!(got.header("www-authenticate"), CHALLENGE, "{method} {path}");
    }
    for path in ["/health/live", "/health/ready", "/openapi.json", "/asyncapi.json"] {
        guarded.network.get(path).await.expect(200);
    }
    guarded.network.get("/nowhere").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_key_lets_in_and_events_name_it() {
    let guarded = Guarded::new().await;
    let token = guarded.key(Role::Admin).await;
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer  "] {
        guarded.get("/api/trades", &format!("{scheme} {}", token.reveal())).await.expect(200);
    }
    let headers = [("authorization", bearer(&token))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    guarded.network.ask("POST", "/api/trades", &headers, Some(trade("T-1"))).await.expect(201);
    let events = guarded.get("/api/updates?after=2", &bearer(&token)).await.expect(200);
    assert_eq!(events["events"][0]["actor"], format!("key:{}", token.id()));
    guarded.get("/api/nowhere", &bearer(&token)).await.problem(404, "not-found");
    guarded.network.ask("DELETE", "/api/trades", &headers, None).await.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn a_bad_credential_is_refused_and_never_told_again() {
    let guarded = Guarded::new().await;
    let token = guarded.key(Role::Admin).await;
    let text = token.reveal();
    let guessed = Token::generate(token.id().clone()).unwrap();
    let unknown = Token::generate(KeyId::generate().unwrap()).unwrap();
    for bad in [
        guessed.reveal().to_owned(),
        unknown.reveal().to_owned(),
        text[..text.len() - 1].to_owned(),
        text.to_uppercase(),
        format!("{text}0"),
        format!("{text} x"),
        format!("tn_{}", token.id()),
        "tn_".into(),
        "x".into(),
        "a".repeat(9_000),
    ] {
        let got = guarded.get("/api/trades", &format!("Bearer {bad}")).await;
        got.problem(401, "unauthenticated");
        assert_eq!(got.header("www-authenticate"), format!("{CHALLENGE}, error=\"invalid_token\""), "{bad}");
        assert!(!got.text.contains(&bad) || bad == "x", "{}", got.text);
    }
    let got = guarded.get("/api/trades", "Basic YTpi").await;
    got.problem(401, "unauthenticated");
    assert_eq!(got.header("www-authenticate"), CHALLENGE);
    let two = [("authorization", bearer(&token)), ("authorization", bearer(&token))];
    let two = two.each_ref().map(|(name, value)| (*name, value.as_str()));
    let got = guarded.network.ask("GET", "/api/trades", &two, None).await;
    got.problem(401, "unauthenticated");
    assert_eq!(got.header("www-authenticate"), format!("{CHALLENGE}, error=\"invalid_request\""));
}

#[tokio::test]
async fn metrics_are_for_auditors_and_admins() {
    let guarded = Guarded::new().await;
    for (role, status) in [(Role::Viewer, 403), (Role::Trader, 403), (Role::Auditor, 200), (Role::Admin, 200)]
    {
        let token = guarded.key(role).await;
        let got = guarded.get("/metrics", &bearer(&token)).await;
        assert_eq!(got.status, status, "{role:?}");
        if status == 403 {
            got.problem(403, "forbidden");
        }
    }
}

#[tokio::test]
async fn an_idempotency_key_is_each_callers_own() {
    let guarded = Guarded::new().await;
    let (one, other) = (bearer(&guarded.key(Role::Admin).await), bearer(&guarded.key(Role::Admin).await));
    let post = async |who: &str, id: &str| {
        let headers = [("authorization", who), ("idempotency-key", "k")];
        guarded.network.ask("POST", "/api/trades", &headers, Some(trade(id))).await
    };
    post(&one, "T-1").await.expect(201);
    assert_eq!(post(&one, "T-1").await.header("idempotency-replayed"), "true");
    post(&one, "T-2").await.problem(422, "idempotency-key-reused");
    post(&other, "T-2").await.expect(201);
}

#[tokio::test]
async fn a_preflight_needs_no_credential_and_a_page_may_read_a_refusal() {
    let guarded = Guarded::new().await;
    let access = Some(Authenticator::new().with_keys(guarded.keys.clone()));
    let cors = trade_http::CorsOrigins::of(["https://a.example"]).unwrap();
    let options = HttpOptions { access, cors, ..HttpOptions::default() };
    let network = Network::of(guarded.network.service.clone(), options);
    let preflight = Request::options("/api/trades")
        .header("origin", "https://a.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization");
    let got = Got::of(network.send_unread(preflight.body(Body::empty()).unwrap()).await).await;
    assert!(got.status.is_success(), "{got:?}");
    assert!(got.header("access-control-allow-headers").contains("authorization"), "{got:?}");
    let got = network.ask("GET", "/api/trades", &[("origin", "https://a.example")], None).await;
    got.problem(401, "unauthenticated");
    assert_eq!(got.header("access-control-allow-origin"), "https://a.example");
}

#[tokio::test(start_paused = true)]
async fn while_the_keys_are_away_it_is_503_but_for_those_that_were_just_read() {
    let guarded = Guarded::new().await;
    let (used, unused) = (guarded.key(Role::Admin).await, guarded.key(Role::Admin).await);
    guarded.get("/api/trades", &bearer(&used)).await.expect(200);
    guarded.store.is_away.store(true, Ordering::Relaxed);
    guarded.get("/api/trades", &bearer(&used)).await.expect(200);
    sleep(Duration::from_millis(2_100)).await;
    for token in [&unused, &used] {
        let got = guarded.get("/api/trades", &bearer(token)).await;
        got.problem(503, "store-unavailable");
        assert!(!got.text.contains("secret host") && got.header("retry-after") == "1", "{}", got.text);
    }
    // What is no key at all needs no store to be refused.
    guarded.get("/api/trades", "Bearer tn_x").await.problem(401, "unauthenticated");
    guarded.store.is_away.store(false, Ordering::Relaxed);
    guarded.get("/api/trades", &bearer(&used)).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_read_once_in_two_seconds_and_then_its_revocation_is_known() {
    let guarded = Guarded::new().await;
    let token = guarded.key(Role::Viewer).await;
    let unknown = Token::generate(KeyId::generate().unwrap()).unwrap();
    for _ in 0..50 {
        guarded.get("/api/trades", &bearer(&token)).await.expect(200);
        guarded.get("/api/trades", &bearer(&unknown)).await.problem(401, "unauthenticated");
    }
    assert_eq!(guarded.store.reads.load(Ordering::Relaxed), 2);
    guarded.keys.revoke(token.id(), guarded.network.service.now()).await.unwrap();
    sleep(Duration::from_millis(2_100)).await;
    let told = guarded.get("/api/trades", &bearer(&token)).await.problem(401, "unauthenticated");
    assert_eq!(told["detail"], "the API key was revoked");
}

#[tokio::test(start_paused = true)]
async fn the_use_of_a_key_is_noted_in_a_while() {
    let guarded = Guarded::new().await;
    let token = guarded.key(Role::Viewer).await;
    guarded.get("/api/trades", &bearer(&token)).await.expect(200);
    sleep(Duration::from_secs(6)).await;
    assert!(guarded.keys.get(token.id()).await.unwrap().unwrap().last_used_at.is_some());
}

#[tokio::test]
async fn a_ticket_opens_one_stream_and_nothing_else() {
    let guarded = Guarded::new().await;
    let token = guarded.key(Role::Viewer).await;
    guarded.network.post("/api/updates/ticket", serde_json::json!({})).await.problem(401, "unauthenticated");
    let ticket = guarded.ticket(&token).await;
    assert_ne!(ticket, guarded.ticket(&token).await);
    let path = format!("/api/updates/real-time/?topics=trade&ticket={ticket}");
    for other in ["/api/updates", "/api/trades", "/api/updates/ticket"] {
        let got = guarded.network.get(&format!("{other}?ticket={ticket}")).await;
        got.problem(401, "unauthenticated");
    }
    let open = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = guarded.network.send_unread(request.body(Body::empty()).unwrap()).await;
        (
            answer.status().as_u16(),
            answer.headers().get("www-authenticate").map(|told| told.to_str().unwrap().to_owned()),
        )
    };
    let twice = format!("{path}&ticket={ticket}");
    let both = [("authorization", bearer(&token))];
    let both = both.each_ref().map(|(name, value)| (*name, value.as_str()));
    for (path, headers) in [(&twice, &[][..]), (&path, &both)] {
        let (status, told) = open(path, headers).await;
        assert_eq!((status, told), (401, Some(format!("{CHALLENGE}, error=\"invalid_request\""))));
    }
    assert_eq!(open(&path, &[]).await, (200, None));
    let invalid = Some(format!("{CHALLENGE}, error=\"invalid_token\""));
    assert_eq!(open(&path, &[]).await, (401, invalid.clone()));
    assert_eq!(open("/api/updates/real-time?ticket=", &[]).await, (401, invalid.clone()));
    assert_eq!(open("/api/updates/real-time", &both).await, (200, None));
    // What it was given for is revoked before it is used.
    let ticket = guarded.ticket(&token).await;
    guarded.keys.revoke(token.id(), guarded.network.service.now()).await.unwrap();
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(open(&format!("/api/updates/real-time?ticket={ticket}"), &[]).await, (401, invalid));
}

#[tokio::test]
async fn an_admin_manages_keys_and_nobody_else_does() {
    let guarded = Guarded::new().await;
    let admin = bearer(&guarded.key(Role::Admin).await);
    let ask = async |method: &str, path: &str, body: Option<serde_json::Value>| {
        guarded.network.ask(method, path, &[("authorization", &admin)], body).await
    };
    let night = json!({"name": "night shift", "roles": ["trader", "viewer"], "stations": ["vesta", "ceres"]});
    let got = ask("POST", "/api/keys", Some(night)).await;
    assert_eq!(got.header("cache-control"), "no-store");
    let made = got.expect(201);
    let (key, token) = (&made["key"], made["token"].as_str().unwrap());
    let id = key["id"].as_str().unwrap();
    assert_eq!(got.location("/api/keys"), format!("/api/keys/{id}"));
    assert_eq!(key["roles"], json!(["viewer", "trader"]));
    assert_eq!((&key["stations"], &key["name"]), (&json!(["ceres", "vesta"]), &json!("night shift")));
    assert!(token.starts_with(&format!("tn_{id}_")));
    let of = |token: &str| format!("Bearer {token}");
    guarded.get("/api/inventory", &of(token)).await.expect(200);

    let listed = ask("GET", "/api/keys?limit=1", None).await.expect(200);
    let next = listed["nextCursor"].as_str().unwrap();
    let rest = ask("GET", &format!("/api/keys?limit=1&cursor={next}"), None).await.expect(200);
    let ids = [&listed, &rest].map(|page| page["keys"][0]["id"].as_str().unwrap());
    assert!(ids.contains(&id) && ids.is_sorted() && rest["nextCursor"].is_null(), "{ids:?}");
    let one = ask("GET", &format!("/api/keys/{id}"), None).await;
    assert_eq!(one.expect(200)["key"]["version"], 1);
    for text in [listed.to_string(), rest.to_string(), one.text.clone()] {
        assert!(!text.contains("digest") && !text.contains(&token[token.len() - 72..]), "{text}");
    }

    let rotated = ask("POST", &format!("/api/keys/{id}/rotate?graceSeconds=0"), None).await.expect(200);
    let second = rotated["token"].as_str().unwrap();
    let revoked = ask("POST", &format!("/api/keys/{id}/revoke"), None).await.expect(200);
    assert!(revoked["key"]["revokedAt"].is_string());
    ask("POST", &format!("/api/keys/{id}/rotate"), None).await.problem(409, "key-revoked");
    let refused = async {
        for token in [token, second] {
            while guarded.get("/api/inventory", &of(token)).await.status != 401 {
                sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("a revocation is known in time");
    ask("GET", "/api/keys/000000000000", None).await.problem(404, "key-not-found");
    for (faulty, field) in [
        (json!({"roles": ["king"], "stations": ["*"]}), "roles[0]"),
        (json!({"roles": [], "stations": ["*"]}), "roles"),
        (json!({"roles": ["viewer"], "stations": ["*", "ceres"]}), "stations"),
        (json!({"roles": ["viewer"], "stations": []}), "stations"),
        (json!({"roles": ["viewer"]}), "stations"),
    ] {
        let got = ask("POST", "/api/keys", Some(faulty)).await;
        got.problem(422, "invalid-request");
        assert_eq!(got.faults(), [field]);
    }
    let past = json!({"roles": ["viewer"], "stations": ["*"], "expiresAt": "2020-01-01T00:00:00Z"});
    assert_eq!(ask("POST", "/api/keys", Some(past)).await.faults(), ["expiresAt"]);

    for role in [Role::Viewer, Role::Trader, Role::Carrier, Role::Stockkeeper, Role::Auditor] {
        let other = bearer(&guarded.key(role).await);
        guarded.get("/api/keys", &other).await.problem(403, "forbidden");
    }
    guarded.service_owner().get("/api/keys").await.problem(404, "not-found");
}
