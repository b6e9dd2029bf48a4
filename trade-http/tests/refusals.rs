//! For every route and field: what is not as it must be is refused with the contract's problem, and changes nothing.

#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::Request;
use common::{Network, trade};
use serde_json::{Value, json};

/// A route that takes a body, a body it takes, and the word that all field names of it begin with.
fn routes() -> Vec<(&'static str, &'static str, Value)> {
    let price = json!({"amount": "1.5", "currency": "GBP"});
    let items = json!([{"itemId": "fuel", "quantity": 1, "unitPrice": price}]);
    let told = json!({"order": "4711"});
    let trade = json!({
        "transactionId": "T-1", "buyer": "vesta", "seller": "ceres", "items": items, "settlement": "on_delivery",
        "expiresAt": "2100-01-01T00:00:00Z", "ETA": "2100-01-01T00:00:00Z", "metadata": told,
    });
    let transfer = json!({
        "shipmentId": "S-1", "origin": "ceres", "destination": "vesta", "items": items, "ETA": "2100-01-01T00:00:00Z",
        "metadata": told,
    });
    let station = json!({
        "stationId": "pallas", "name": "P", "metadata": told, "items": [{"itemId": "fuel", "quantity": 1}],
    });
    let rename = json!({"name": "P", "metadata": told});
    let adjustments = json!({"adjustments": [{"itemId": "fuel", "delta": -1, "reason": "damaged"}]});
    let track =
        json!({"status": "in_transit", "ETA": "2100-01-01T00:00:00Z", "location": "belt", "metadata": told});
    vec![
        ("POST", "/api/trades", trade.clone()),
        ("POST", "/api/trades/batch", json!({"trades": [trade], "atomic": true})),
        ("PATCH", "/api/trades/T-0", json!({"status": "cancelled"})),
        ("PUT", "/api/trades/update/T-0", json!({"status": "cancelled"})),
        ("POST", "/api/cargo", transfer),
        ("PATCH", "/api/cargo/shipment-T-0", track.clone()),
        ("PUT", "/api/cargo/update/shipment-T-0", track),
        ("POST", "/api/inventory", station),
        ("PATCH", "/api/inventory/ceres", rename),
        ("PATCH", "/api/inventory/ceres", adjustments.clone()),
        ("PUT", "/api/inventory/update/ceres", adjustments),
    ]
}

const OPTIONAL: [&str; 12] = [
    "metadata",
    "order",
    "transactionId",
    "shipmentId",
    "unitPrice",
    "settlement",
    "expiresAt",
    "ETA",
    "name",
    "atomic",
    "location",
    "items",
];

/// Values that are of the wrong kind, out of range or too long for a field of this name.
fn wrong_values(name: &str) -> Vec<Value> {
    let too_long = |length| json!("x".repeat(length));
    let never = json!({"no": "such"});
    let text = [json!(1), json!(true), json!([]), never.clone(), json!("")];
    let with = |more: &[Value]| text.iter().chain(more).cloned().collect();
    match name {
        "transactionId" => with(&[too_long(120), json!("a b"), json!("é"), json!("a/b"), json!("a\u{0}")]),
        "shipmentId" | "buyer" | "seller" | "origin" | "destination" | "stationId" | "itemId" => {
            with(&[too_long(129), json!("a b"), json!("é"), json!("../x"), json!("a\n")])
        }
        "name" | "location" => with(&[too_long(201), json!("a\u{7}b")]),
        "settlement" | "status" | "reason" => {
            with(&[json!("Immediate"), json!("opening"), json!("pending ")])
        }
        "expiresAt" | "ETA" => with(&[json!("2100-01-01"), json!("tomorrow"), json!("2100-13-01T00:00:00Z")]),
        "amount" => {
            with(&[json!("-1"), json!("1e3"), json!("1.1234567"), json!("1234567890123"), json!(".5")])
        }
        "currency" => with(&[json!("gbp"), json!("GB"), json!("POUNDSTER")]),
        "quantity" | "delta" => {
            vec![
                json!("1"),
                json!(1.0),
                json!(1.5),
                json!(0),
                json!(9_007_199_254_740_992_u64),
                json!(u64::MAX),
                json!(-9_007_199_254_740_992_i64),
                json!(1e300),
                json!(true),
                json!([]),
                never,
            ]
        }
        "unitPrice" => vec![json!("1.50"), json!(1.5), json!([]), json!({})],
        "metadata" => {
            let many: serde_json::Map<_, _> = (0..21).map(|n| (format!("n{n}"), json!(""))).collect();
            let name = "n".repeat(41);
            vec![
                json!("x"),
                json!(1),
                json!([]),
                json!(many),
                json!({"a b": ""}),
                json!({name: ""}),
                json!({"": ""}),
            ]
        }
        "order" => vec![json!(1), json!(null), json!([]), never, too_long(501), json!("a\u{7}")],
        "atomic" => vec![json!("true"), json!(1), json!([])],
        "items" => vec![
            json!("fuel"),
            json!(1),
            never,
            json!([1]),
            json!([null]),
            json!([[]]),
            json!(["a b"]),
            json!(vec!["fuel"; 5_001]),
        ],
        "adjustments" => vec![
            json!("fuel"),
            json!([]),
            json!([1]),
            json!(["fuel"]),
            json!(vec![json!({"itemId": "fuel", "delta": 1, "reason": "other"}); 5_001]),
        ],
        "trades" => vec![json!("T"), json!([]), json!(["T"]), json!(vec![trade("T-1"); 1_001])],
        _ => panic!("{name}"),
    }
}

/// Every place in a body that has a name: its path as the errors write it, and as a JSON pointer.
fn places(value: &Value, path: &str, pointer: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let pointer = format!("{pointer}/{name}");
                found.push((path.clone(), pointer.clone()));
                places(value, &path, &pointer, found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                places(value, &format!("{path}[{index}]"), &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

async fn network() -> (Network, u64) {
    let network = Network::stocked().await;
    network.post("/api/trades", trade("T-0")).await.expect(201);
    let head = network.head().await;
    (network, head)
}

/// An object of the body without one of its members.
fn without(body: &Value, pointer: &str) -> Value {
    let mut body = body.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    body
}

#[tokio::test]
async fn every_field_of_every_route_is_checked_and_named() {
    let (network, head) = network().await;
    let mut checked = 0;
    for (method, path, body) in routes() {
        let mut found = Vec::new();
        places(&body, "", "", &mut found);
        for (field, pointer) in &found {
            let name = pointer.rsplit('/').next().unwrap();
            for wrong in wrong_values(name) {
                let mut body = body.clone();
                *body.pointer_mut(pointer).unwrap() = wrong.clone();
                let faults = network.ask(method, path, &[], Some(body)).await.faults();
                let shown = wrong.to_string().chars().take(60).collect::<String>();
                assert!(!faults.is_empty(), "{method} {path}: {field} = {shown}");
                assert!(
                    faults.iter().all(|fault| fault.starts_with(field)),
                    "{method} {path}: {field} = {shown}: {faults:?}"
                );
                checked += 1;
            }
            let sole = matches!(name, "status") && path.contains("cargo");
            if !OPTIONAL.contains(&name) && !sole || (name == "items" && !path.contains("inventory")) {
                for absent in [without(&body, pointer), {
                    let mut body = body.clone();
                    *body.pointer_mut(pointer).unwrap() = Value::Null;
                    body
                }] {
                    let faults = network.ask(method, path, &[], Some(absent)).await.faults();
                    assert_eq!(faults, [field.as_str()], "{method} {path}");
                }
            }
            // An unknown member beside it.
            let (parent, _) = pointer.rsplit_once('/').unwrap();
            let mut more = body.clone();
            more.pointer_mut(parent).unwrap()["colour"] = json!(null);
            let faults = network.ask(method, path, &[], Some(more)).await.faults();
            let expected =
                field.rsplit_once('.').map_or("colour".into(), |(parent, _)| format!("{parent}.colour"));
            assert_eq!(faults, [expected], "{method} {path}");
        }
        for other in [json!([]), json!("x"), json!(1), json!(null), json!([body.clone()])] {
            assert_eq!(
                network.ask(method, path, &[], Some(other)).await.faults(),
                ["body"],
                "{method} {path}"
            );
        }
        assert_eq!(network.ask(method, &format!("{path}?x=1"), &[], Some(body)).await.faults(), ["x"]);
        assert_eq!(network.head().await, head, "{method} {path}");
    }
    assert!(checked > 400, "{checked}");
}

#[tokio::test]
async fn every_body_that_is_no_json_is_refused() {
    let (network, head) = network().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: [(&[u8], &str, u16, &str); 16] = [
        (b"", "application/json", 400, "malformed-json"),
        (b" ", "application/json", 400, "malformed-json"),
        (b"{", "application/json", 400, "malformed-json"),
        (b"{} {}", "application/json", 400, "malformed-json"),
        (b"{\"a\":1,\"a\":1}", "application/json; charset=utf-8", 400, "malformed-json"),
        (
            b"{\"status\":\"cancelled\",\"x\":[{\"y\":1,\"\\u0079\":2}]}",
            "application/json",
            400,
            "malformed-json",
        ),
        (b"\xff\xfe", "application/json", 400, "malformed-json"),
        (b"{\"name\":\"\xc3\x28\"}", "application/json", 400, "malformed-json"),
        (b"{\"name\":\"\\ud800\"}", "application/json", 400, "malformed-json"),
        (b"\xef\xbb\xbf{}", "application/json", 400, "malformed-json"),
        (b"{'a':1}", "application/json", 400, "malformed-json"),
        (deep.as_bytes(), "application/json", 400, "malformed-json"),
        (b"{}", "", 415, "unsupported-media-type"),
        (b"{}", "text/plain", 415, "unsupported-media-type"),
        (b"{", "application/x-www-form-urlencoded", 415, "unsupported-media-type"),
        (b"{}", "application/vnd.trade+json", 422, "invalid-request"),
    ];
    for (method, path, _) in routes() {
        for (body, content_type, status, code) in &cases {
            let mut request = Request::builder().method(method).uri(path);
            if !content_type.is_empty() {
                request = request.header("content-type", *content_type);
            }
            let got = network.send(request.body(Body::from(body.to_vec())).unwrap()).await;
            // An adjustment of nothing, and an update of nothing, are refused by the rules.
            got.problem(*status, code);
        }
    }
    assert_eq!(network.head().await, head);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_declared_or_not_before_anything_else() {
    let (network, head) = network().await;
    for (method, path, _) in routes() {
        let max: usize = if path.ends_with("batch") { 16 << 20 } else { 1 << 20 };
        let declared = Request::builder().method(method).uri(path).header("content-length", max + 1);
        let pending = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        network.send(declared.body(pending).unwrap()).await.problem(413, "body-too-large");
        let chunk = vec![b' '; 1 << 16];
        let chunks = (0..=max / chunk.len()).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
        let undeclared = Request::builder().method(method).uri(path);
        let body = Body::from_stream(futures::stream::iter(chunks));
        network.send(undeclared.body(body).unwrap()).await.problem(413, "body-too-large");
        let full = Request::builder().method(method).uri(path).header("content-type", "application/json");
        network.send(full.body(Body::from(vec![b' '; max])).unwrap()).await.problem(400, "malformed-json");
    }
    assert_eq!(network.head().await, head);
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let (network, _) = network().await;
    let body = json!({"transactionId": "a b", "seller": 1, "colour": 1, "settlement": "x",
        "items": [{"quantity": 0}, "", {"itemId": "fuel", "quantity": 1, "unitPrice": {"amount": 1}}]});
    let mut faults = network.post("/api/trades", body).await.faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "buyer",
            "colour",
            "items[0].itemId",
            "items[0].quantity",
            "items[1]",
            "items[2].unitPrice.amount",
            "items[2].unitPrice.currency",
            "seller",
            "settlement",
            "transactionId",
        ]
    );
    let headers = [("idempotency-key", "a b")];
    let mut faults =
        network.ask("PUT", "/api/cargo/update/%20?x=1&y", &headers, Some(json!({"ETA": 1}))).await.faults();
    faults.sort();
    assert_eq!(faults, ["ETA", "Idempotency-Key", "shipmentId", "x", "y"]);
    let many = json!({"stationId": "x", "items": vec![0; 5_000]});
    let many = network.post("/api/inventory", many).await;
    assert_eq!((many.faults().len(), &many.json()["total"]), (100, &json!(5_000)));
    let goods: Vec<_> = (0..250).map(|n| format!("none-{n}")).collect();
    let body = json!({"buyer": "vesta", "seller": "ceres", "items": goods});
    let short = network.post("/api/trades", body).await.problem(409, "insufficient-stock");
    assert_eq!((short["shortages"].as_array().unwrap().len(), &short["total"]), (100, &json!(250)));
    let line = |n| json!({"itemId": format!("i-{n}"), "quantity": 1});
    let lines: Vec<_> = (0..2_501).map(line).collect();
    let trades: Vec<_> =
        (0..20).map(|_| json!({"buyer": "vesta", "seller": "ceres", "items": lines})).collect();
    assert_eq!(network.post("/api/trades/batch", json!({ "trades": trades })).await.faults(), ["trades"]);
}

#[tokio::test]
async fn an_atomic_batch_with_a_malformed_trade_is_refused_whole() {
    let (network, head) = network().await;
    let mut bad = trade("T-2");
    bad["settlement"] = json!("later");
    let body = json!({"trades": [trade("T-1"), bad, {}], "atomic": true});
    let got = network.post("/api/trades/batch", body).await;
    let faults = got.faults();
    assert_eq!(faults, ["trades[1].settlement", "trades[2].buyer", "trades[2].seller", "trades[2].items"]);
    assert_eq!(got.json()["index"], 1);
    assert_eq!(network.head().await, head);
}

#[tokio::test]
async fn a_malformed_trade_of_another_batch_is_refused_alone() {
    let (network, head) = network().await;
    let mut bad = trade("T-2");
    bad["settlement"] = json!("later");
    for atomic in [json!(null), json!(false)] {
        let body = json!({"trades": [{}, bad, 7], "atomic": atomic});
        let got = network.post("/api/trades/batch", body).await.expect(200);
        let fields = |index: usize| {
            let problem = &got["results"][index]["problem"];
            assert_eq!(
                (&problem["code"], &got["results"][index]["status"]),
                (&json!("invalid-request"), &json!(422))
            );
            let errors = problem["errors"].as_array().unwrap().iter();
            errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(fields(0), ["buyer", "seller", "items"]);
        assert_eq!((fields(1), fields(2)), (vec!["settlement".to_owned()], vec!["trade".to_owned()]));
        assert_eq!(got["results"][2]["problem"]["detail"], "trade must be an object");
    }
    assert_eq!(network.head().await, head);
    let body = json!({"trades": [{}, trade("T-1"), bad, trade("T-3")]});
    let got = network.post("/api/trades/batch", body).await.expect(200);
    let statuses: Vec<_> = (0..4).map(|index| got["results"][index]["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [422, 201, 422, 201]);
    assert_eq!(got["results"][3]["trade"]["transactionId"], "T-3");
}

#[tokio::test]
async fn what_the_rules_refuse_names_the_field_too() {
    let (network, head) = network().await;
    for (method, path, body, fields) in [
        ("POST", "/api/trades", json!({"buyer": "ceres", "seller": "ceres", "items": ["fuel"]}), "buyer"),
        ("POST", "/api/trades", json!({"buyer": "ceres", "seller": "vesta", "items": []}), "items"),
        (
            "POST",
            "/api/cargo",
            json!({"origin": "ceres", "destination": "ceres", "items": ["fuel"]}),
            "destination",
        ),
        ("PATCH", "/api/cargo/shipment-T-0", json!({}), "status"),
        ("PATCH", "/api/cargo/shipment-T-0", json!({"status": null}), "status"),
        ("PATCH", "/api/inventory/ceres", json!({"adjustments": []}), "adjustments"),
    ] {
        assert_eq!(network.ask(method, path, &[], Some(body)).await.faults(), [fields], "{method} {path}");
    }
    let body =
        json!({"shipmentId": "shipment-x", "origin": "ceres", "destination": "vesta", "items": ["fuel"]});
    assert_eq!(network.post("/api/cargo", body).await.faults(), ["shipmentId"]);
    let mut body = trade("T-1");
    body["expiresAt"] = json!("2100-01-01T00:00:00Z");
    assert_eq!(network.post("/api/trades", body).await.faults(), ["expiresAt"]);
    let mut body = trade("T-1");
    body["items"] = json!([{"itemId": "fuel", "quantity": 9_007_199_254_740_991_u64}, "fuel"]);
    network.post("/api/trades", body.clone()).await.problem(422, "quantity-out-of-range");
    let transfer = json!({"origin": "ceres", "destination": "vesta", "items": body["items"]});
    network.post("/api/cargo", transfer).await.problem(422, "quantity-out-of-range");
    let station = json!({"stationId": "x", "items": body["items"]});
    network.post("/api/inventory", station).await.problem(422, "quantity-out-of-range");
    let price = json!({"amount": "999999999999", "currency": "GBP"});
    body["items"] = json!([{"itemId": "fuel", "quantity": 9_007_199_254_740_991_u64, "unitPrice": price}]);
    network.post("/api/trades", body).await.problem(422, "amount-out-of-range");
    let body = json!({"buyer": "nowhere", "seller": "ceres", "items": ["fuel"]});
    let problem = network.post("/api/trades", body).await.problem(422, "unknown-station");
    assert_eq!(problem["errors"][0]["field"], "buyer");
    let change = json!({"status": "completed"});
    let problem = network.patch("/api/trades/T-0", change).await.problem(409, "illegal-transition");
    assert_eq!((&problem["from"], &problem["to"]), (&json!("initiated"), &json!("completed")));
    assert_eq!(problem["allowed"], json!(["cancelled"]));
    let change = json!({"adjustments": [{"itemId": "none", "delta": -1, "reason": "lost"}]});
    let problem = network.patch("/api/inventory/ceres", change).await.problem(409, "insufficient-stock");
    assert_eq!(
        problem["shortages"],
        json!([
            {"stationId": "ceres", "itemId": "none", "requested": 1, "available": 0}
        ])
    );
    assert_eq!(network.head().await, head);
}
