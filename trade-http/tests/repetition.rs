//! `Idempotency-Key`, `ETag`, `If-Match`, `If-None-Match`.

mod common;

use axum::body::Body;
use axum::http::Request;
use common::{Network, trade};
use serde_json::{Value, json};
use trade_core::event::Actor;
use trade_core::policy::Principal;

#[tokio::test]
async fn a_key_gives_the_first_answer_again_on_every_route() {
    let network = Network::stocked().await;
    let pair = json!({"trades": [trade("B-1"), {"buyer": "nowhere", "seller": "ceres", "items": ["fuel"]}]});
    let transfer = json!({"origin": "ceres", "destination": "vesta", "items": ["ore"]});
    let adjustment = json!({"adjustments": [{"itemId": "ore", "delta": 1, "reason": "received"}]});
    let anonymous = json!({"buyer": "vesta", "seller": "ceres", "items": ["fuel"]});
    for (method, path, body, status) in [
        ("POST", "/api/trades", anonymous, 201),
        ("POST", "/api/trades", trade("T-1"), 201),
        ("POST", "/api/trades/batch", pair, 200),
        ("PATCH", "/api/trades/T-1", json!({"status": "cancelled"}), 200),
        ("PUT", "/api/trades/update/B-1", json!({"status": "cancelled"}), 200),
        ("POST", "/api/cargo", transfer, 201),
        ("POST", "/api/inventory", json!({"stationId": "pallas"}), 201),
        ("PATCH", "/api/inventory/ceres", adjustment.clone(), 200),
        ("PUT", "/api/inventory/update/ceres", adjustment, 200),
    ] {
        let key = format!("{method}{path}{body}").replace(' ', "").chars().take(255).collect::<String>();
        let headers = [("idempotency-key", key.as_str())];
        let first = network.ask(method, path, &headers, Some(body.clone())).await;
        first.expect(status);
        assert_eq!(first.header("idempotency-replayed"), "");
        let head = network.head().await;
        let with_slash = format!("{path}/");
        let again = network.ask(method, &with_slash, &headers, Some(body)).await;
        assert_eq!(again.header("idempotency-replayed"), "true", "{method} {path}");
        assert_eq!((again.status, &again.text), (first.status, &first.text), "{method} {path}");
        for header in ["etag", "content-type"] {
            assert_eq!(again.header(header), first.header(header), "{method} {path}");
        }
        assert_eq!(again.headers.contains_key("location"), first.headers.contains_key("location"));
        if status == 201 {
            assert_eq!(again.location(&with_slash), first.location(path));
        }
        assert_eq!(network.head().await, head, "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_is_one_per_method_path_and_body_compared_as_json() {
    let network = Network::stocked().await;
    let key = [("idempotency-key", "k")];
    network.ask("POST", "/api/trades", &key, Some(trade("T-1"))).await.expect(201);
    let same = r#" { "items":["\u0066uel"], "seller":"ceres","buyer":"vesta" , "transactionId":"T-1"}"#;
    let request = Request::post("/api/trades")
        .header("content-type", "application/json")
        .header("idempotency-key", "k");
    let again = network.send(request.body(Body::from(same)).unwrap()).await;
    again.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let head = network.head().await;
    network.ask("POST", "/api/trades", &key, Some(trade("T-2"))).await.problem(422, "idempotency-key-reused");
    // A malformed request is malformed whatever its key.
    network.ask("POST", "/api/trades", &key, Some(json!({}))).await.problem(422, "invalid-request");
    assert_eq!(network.head().await, head);
    // Another path, another method: another request.
    network.ask("POST", "/api/trades", &[], Some(trade("T-2"))).await.expect(201);
    let other = network.ask("PATCH", "/api/trades/T-2", &key, Some(json!({"status": "cancelled"}))).await;
    assert_eq!(other.expect(200)["trade"]["transactionId"], "T-2");
    let other = network.ask("PATCH", "/api/trades/T-1", &key, Some(json!({"status": "cancelled"}))).await;
    assert_eq!(other.expect(200)["trade"]["transactionId"], "T-1");
    let other =
        network.ask("PUT", "/api/trades/update/T-1", &key, Some(json!({"status": "cancelled"}))).await;
    other.expect(200);
    assert_eq!(other.header("idempotency-replayed"), "");
}

#[tokio::test]
async fn a_key_is_for_one_resource_however_its_path_is_spelled() {
    let network = Network::stocked().await;
    network.post("/api/inventory", json!({"stationId": "x:1"})).await.expect(201);
    let adjustment = json!({"adjustments": [{"itemId": "ore", "delta": 1, "reason": "received"}]});
    let key = [("idempotency-key", "k")];
    for (path, replayed) in [
        ("/api/inventory/x:1", ""),
        ("/api/inventory/x%3A1", "true"),
        ("/api/inventory/%78:1/", "true"),
        ("/api/%69nventory/x:1", "true"),
    ] {
        let got = network.ask("PATCH", path, &key, Some(adjustment.clone())).await;
        if got.status != 404 {
            got.expect(200);
            assert_eq!(got.header("idempotency-replayed"), replayed, "{path}");
        }
    }
    let stock = network.get("/api/inventory/x:1").await.expect(200);
    assert_eq!(stock["inventory"]["quantity"], 1);
    // Below another prefix it is the same resource of the same network.
    let nested = axum::Router::new().nest("/elsewhere", network.router.clone());
    let nested = Network {
        router: nested,
        service: network.service.clone(),
        shutdown: network.shutdown.clone(),
        recorder: network.recorder,
    };
    let again = nested.ask("PATCH", "/elsewhere/api/inventory/x:1", &key, Some(adjustment)).await;
    again.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn a_caller_has_its_own_name_in_events_and_its_own_keys() {
    let network = Network::stocked().await;
    let of = |principal: Principal| {
        let router = network.router.clone().layer(axum::Extension(principal));
        Network {
            router,
            service: network.service.clone(),
            shutdown: network.shutdown.clone(),
            recorder: network.recorder,
        }
    };
    let adjustment = json!({"adjustments": [{"itemId": "ore", "delta": 1, "reason": "received"}]});
    let key = [("idempotency-key", "k")];
    for (actor, name) in [(Actor::User("ada".into()), "user:ada"), (Actor::Key("ops".into()), "key:ops")] {
        let network = of(Principal::new(actor));
        let first = network.ask("PATCH", "/api/inventory/ceres", &key, Some(adjustment.clone())).await;
        assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (200, ""), "{name}");
        let again = network.ask("PATCH", "/api/inventory/ceres", &key, Some(adjustment.clone())).await;
        assert_eq!(again.header("idempotency-replayed"), "true", "{name}");
        let path = format!("/api/updates?after={}", network.head().await - 1);
        assert_eq!(network.get(&path).await.expect(200)["events"][0]["actor"], name);
    }
}

#[tokio::test]
async fn problems_inside_an_answer_name_the_request_that_was_answered_first() {
    let network = Network::stocked().await;
    let path = "/api/trades/batch";
    let refused = json!({"buyer": "nowhere", "seller": "ceres", "items": ["fuel"]});
    let body = |id: &str| json!({"trades": [trade(id), refused.clone(), 7]});
    let key = ("idempotency-key", "k");
    let named = |id| [key, ("x-request-id", id)];
    let first = network.ask("POST", path, &named("first"), Some(body("T-1"))).await;
    for place in [1, 2] {
        let problem = &first.expect(200)["results"][place]["problem"];
        assert_eq!(
            (&problem["requestId"], &problem["instance"]),
            (&json!(first.header("x-request-id")), &json!(path))
        );
    }
    assert_eq!(first.header("x-request-id"), "first");
    for (path, id) in [(path, "second"), ("/api/trades/batch/", "third")] {
        let again = network.ask("POST", path, &named(id), Some(body("T-1"))).await;
        assert_eq!((again.header("idempotency-replayed"), again.header("x-request-id")), ("true", id));
        assert_eq!(again.text, first.text);
    }
    // An id that was made is kept as well; without a key, it is that of each request.
    for (id, headers) in [("T-2", &[("idempotency-key", "other")][..]), ("T-3", &[])] {
        let got = network.ask("POST", path, headers, Some(body(id))).await;
        let results = &got.expect(200)["results"];
        assert_eq!(results[1]["problem"]["requestId"], got.header("x-request-id"));
        assert_eq!(results[2]["problem"]["requestId"], got.header("x-request-id"));
        let again = network.ask("POST", path, headers, Some(body(id))).await;
        assert_eq!(again.text == got.text, !headers.is_empty());
    }
    let none = network.post(path, json!({"trades": [7]})).await;
    assert_eq!(none.expect(200)["results"][0]["problem"]["requestId"], none.header("x-request-id"));
}

#[tokio::test]
async fn a_refusal_is_tried_afresh() {
    let network = Network::stocked().await;
    let key = [("idempotency-key", "k")];
    let body = json!({"transactionId": "T-1", "buyer": "pallas", "seller": "ceres", "items": ["fuel"]});
    network.ask("POST", "/api/trades", &key, Some(body.clone())).await.problem(422, "unknown-station");
    network.post("/api/inventory", json!({"stationId": "pallas"})).await.expect(201);
    let got = network.ask("POST", "/api/trades", &key, Some(body)).await;
    got.expect(201);
    assert_eq!(got.header("idempotency-replayed"), "");
}

#[tokio::test]
async fn a_key_has_1_to_255_visible_characters() {
    let network = Network::stocked().await;
    let long = "k".repeat(256);
    for bad in ["", "a b", "é", "\t", long.as_str()] {
        let got = network.ask("POST", "/api/trades", &[("idempotency-key", bad)], Some(trade("T-1"))).await;
        assert_eq!(got.faults(), ["Idempotency-Key"], "{bad}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(
        network.ask("POST", "/api/trades", &twice, Some(trade("T-1"))).await.faults(),
        ["Idempotency-Key"]
    );
    let longest = "k".repeat(255);
    network
        .ask("POST", "/api/trades", &[("idempotency-key", &longest)], Some(trade("T-1")))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_known_version_is_not_sent_again() {
    let network = Network::stocked().await;
    network.post("/api/trades", trade("T-1")).await.expect(201);
    for (path, etag) in [
        ("/api/trades/T-1", "\"1\""),
        ("/api/cargo/shipment-T-1", "\"1\""),
        ("/api/inventory/ceres", "\"2\""),
    ] {
        assert_eq!(network.get(path).await.header("etag"), etag);
        for known in [etag, &format!("W/{etag}"), &format!("\"9\", {etag}"), "*"] {
            let got = network.ask("GET", path, &[("if-none-match", known)], None).await;
            assert_eq!(
                (got.status.as_u16(), got.text.as_str(), got.header("etag")),
                (304, "", etag),
                "{known}"
            );
        }
        for unknown in ["\"9\"", "1", "\"x\"", ""] {
            network.ask("GET", path, &[("if-none-match", unknown)], None).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_change_on_another_version_is_refused() {
    let network = Network::stocked().await;
    network.post("/api/trades", trade("T-1")).await.expect(201);
    let adjustment = json!({"adjustments": [{"itemId": "ore", "delta": 1, "reason": "received"}]});
    let cases: [(&str, &str, Value, &str); 3] = [
        ("PATCH", "/api/cargo/shipment-T-1", json!({"location": "belt"}), "1"),
        ("PATCH", "/api/inventory/ceres", adjustment, "2"),
        ("PUT", "/api/trades/update/T-1", json!({"status": "cancelled"}), "1"),
    ];
    for (method, path, body, version) in cases {
        let head = network.head().await;
        let [tag, weak] = [format!("\"{version}\""), format!("W/\"{version}\"")];
        let stale = [
            [("if-match", "\"9\"")],
            [("if-match", "W/\"9\", \"x\"")],
            [("if-match", "\"\"")],
            [("if-none-match", tag.as_str())],
            [("if-none-match", &weak)],
            [("if-none-match", "*")],
        ];
        for stale in &stale {
            let got = network.ask(method, path, stale, Some(body.clone())).await;
            let problem = got.problem(412, "version-mismatch");
            assert_eq!(problem["version"].to_string(), version, "{stale:?}");
        }
        for malformed in [version, "nonsense", "", "*, \"1\"", "W/1"] {
            for (header, field) in [("if-match", "If-Match"), ("if-none-match", "If-None-Match")] {
                let got = network.ask(method, path, &[(header, malformed)], Some(body.clone())).await;
                assert_eq!(got.faults(), [field], "{malformed}");
                assert!(got.json()["detail"].as_str().unwrap().contains("such as \"3\""), "{}", got.text);
            }
        }
        assert_eq!(network.head().await, head);
        // A proxy that compresses makes a tag weak, and it is the same version.
        let fresh = [("if-match", format!("\"77\" , {weak}")), ("if-none-match", "\"78\"".to_owned())];
        let fresh = fresh.each_ref().map(|(name, value)| (*name, value.as_str()));
        network.ask(method, path, &fresh, Some(body.clone())).await.expect(200);
    }
    let change = json!({"status": "cancelled"});
    network.ask("PATCH", "/api/trades/T-1", &[("if-match", "*")], Some(change.clone())).await.expect(200);
    // Existence comes first, and then the version, and then the status.
    let none = network.ask("PATCH", "/api/trades/none", &[("if-match", "*")], Some(change.clone())).await;
    none.problem(404, "trade-not-found");
    let done = json!({"status": "completed"});
    network
        .ask("PATCH", "/api/trades/T-1", &[("if-match", "\"1\"")], Some(done.clone()))
        .await
        .problem(412, "version-mismatch");
    network
        .ask("PATCH", "/api/trades/T-1", &[("if-match", "\"2\"")], Some(done))
        .await
        .problem(409, "illegal-transition");
}

#[tokio::test]
async fn what_is_made_may_be_bound_to_whether_it_exists() {
    let network = Network::stocked().await;
    let transfer = json!({"shipmentId": "X-1", "origin": "ceres", "destination": "vesta", "items": ["ore"]});
    let cases: [(&str, Value, &str, u16); 3] = [
        ("/api/trades", trade("T-1"), "transactionId", 200),
        ("/api/cargo", transfer, "shipmentId", 200),
        ("/api/inventory", json!({"stationId": "luna"}), "stationId", 409),
    ];
    for (path, body, id, again) in cases {
        let post = |header, value, body: &Value| {
            let (headers, body) = ([(header, value)], Some(body.clone()));
            let network = &network;
            async move { network.ask("POST", path, &headers, body).await }
        };
        // What does not exist has no version.
        for (header, value) in [("if-match", "*"), ("if-match", "\"1\""), ("if-match", "\"0\"")] {
            let problem = post(header, value, &body).await.problem(412, "version-mismatch");
            assert!(problem.get("version").is_none(), "{problem}");
            assert!(problem["detail"].as_str().unwrap().starts_with("it does not exist"), "{problem}");
        }
        for malformed in ["nonsense", "", "1"] {
            assert_eq!(post("if-match", malformed, &body).await.faults(), ["If-Match"], "{path}");
            assert_eq!(post("if-none-match", malformed, &body).await.faults(), ["If-None-Match"], "{path}");
        }
        post("if-none-match", "*", &body).await.expect(201);
        // It exists now: with the same content, and with another.
        let other = json!({"buyer": "x", "seller": "y", "origin": "x", "destination": "y", "items": ["tea"]});
        let mut other: serde_json::Map<_, _> = body
            .as_object()
            .unwrap()
            .keys()
            .filter_map(|key| Some((key.clone(), other.get(key)?.clone())))
            .collect();
        other.insert(id.into(), body[id].clone());
        for body in [&body, &Value::Object(other)] {
            for (header, value) in [("if-none-match", "*"), ("if-none-match", "\"1\""), ("if-match", "\"2\"")]
            {
                let problem = post(header, value, body).await.problem(412, "version-mismatch");
                assert_eq!(problem["version"], 1, "{path} {header}: {value}");
            }
        }
        for (header, value) in [("if-match", "*"), ("if-match", "\"1\""), ("if-none-match", "\"2\"")] {
            assert_eq!(post(header, value, &body).await.status, again, "{path} {header}: {value}");
        }
    }
    let unnamed = json!({"buyer": "vesta", "seller": "ceres", "items": ["ore"]});
    let got = network.ask("POST", "/api/trades", &[("if-match", "*")], Some(unnamed.clone())).await;
    got.problem(412, "version-mismatch");
    network.ask("POST", "/api/trades", &[("if-none-match", "*")], Some(unnamed)).await.expect(201);
    // A batch has no version; what is no condition is refused there, too.
    let batch = json!({"trades": [trade("T-2")]});
    let got = network.ask("POST", "/api/trades/batch", &[("if-match", "1")], Some(batch.clone())).await;
    assert_eq!(got.faults(), ["If-Match"]);
    network.ask("POST", "/api/trades/batch", &[("if-match", "\"1\"")], Some(batch)).await.expect(200);
    // A repeated request is answered before its condition is looked at.
    let once = [("if-none-match", "*"), ("idempotency-key", "k")];
    network.ask("POST", "/api/trades", &once, Some(trade("T-3"))).await.expect(201);
    let again = network.ask("POST", "/api/trades", &once, Some(trade("T-3"))).await;
    again.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn a_repeated_change_is_answered_although_the_version_moved_on() {
    let network = Network::stocked().await;
    let headers = [("if-match", "\"1\""), ("idempotency-key", "k")];
    let adjustment = json!({"adjustments": [{"itemId": "ore", "delta": 1, "reason": "received"}]});
    let first = network.ask("PATCH", "/api/inventory/ceres", &headers, Some(adjustment.clone())).await;
    first.expect(200);
    let again = network.ask("PATCH", "/api/inventory/ceres", &headers, Some(adjustment)).await;
    again.expect(200);
    assert_eq!(again.header("etag"), "\"2\"");
}
