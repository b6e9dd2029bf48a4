//! The interface describes itself, in documents that are committed as well.

#![allow(clippy::unwrap_used)]

mod common;

use common::Network;
use common::described::{OPENAPI, check_value, committed};
use serde_json::Value;
use std::collections::BTreeSet;

/// With this in the environment, the committed documents are written anew.
const RENEW: &str = "TRADE_RENEW";

/// Members in the order of their names, whatever the order in which a build keeps them.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn the_committed_documents_are_those_that_are_served() {
    let network = Network::new().await;
    for name in ["openapi.json", "asyncapi.json"] {
        let request = axum::http::Request::get(format!("/{name}")).body(axum::body::Body::empty()).unwrap();
        let got = common::Got::of(network.send_unread(request).await).await;
        let served = got.expect(200);
        assert_eq!(got.header("content-type"), "application/json");
        if std::env::var_os(RENEW).is_some() {
            let text = serde_json::to_string_pretty(&sorted(&served)).unwrap() + "\n";
            std::fs::write(committed(name), text).unwrap();
        }
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(committed(name)).unwrap()).unwrap();
        assert!(
            served == kept,
            "{name} is no longer what is served: run `{RENEW}=1 cargo test -p trade-http --test description`"
        );
    }
}

#[test]
fn every_example_is_as_its_schema_says() {
    let mut checked = 0;
    for (path, item) in OPENAPI["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            for parameter in operation["parameters"].as_array().unwrap() {
                if parameter.get("$ref").is_none() {
                    check_value(&parameter["schema"], &parameter["example"], &what);
                }
            }
            let responses = operation["responses"].as_object().unwrap().values();
            for described in responses.chain(operation.get("requestBody")) {
                let content = described["content"].as_object();
                for content in content.into_iter().flat_map(|content| content.values()) {
                    if let Some(example) = content.get("example") {
                        check_value(&content["schema"], example, &what);
                        checked += 1;
                    }
                }
            }
        }
    }
    for (code, example) in OPENAPI["components"]["examples"].as_object().unwrap() {
        check_value(&serde_json::json!({ "$ref": "#/components/schemas/Problem" }), &example["value"], code);
        assert_eq!(example["value"]["code"], **code);
    }
    for parameter in OPENAPI["components"]["parameters"].as_object().unwrap().values() {
        check_value(&parameter["schema"], &parameter["example"], "a header");
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn operations_and_problems_are_told_once_and_completely() {
    let paths = OPENAPI["paths"].as_object().unwrap().values();
    let operations: Vec<_> = paths.flat_map(|item| item.as_object().unwrap().values()).collect();
    let ids: BTreeSet<_> =
        operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len());
    // The code of what has no such method is of no operation.
    let all: BTreeSet<_> = OPENAPI["components"]["examples"].as_object().unwrap().keys().collect();
    let mut used = BTreeSet::new();
    for operation in operations {
        for answer in operation["responses"].as_object().unwrap().values() {
            let content = &answer["content"]["application/problem+json"]["examples"];
            used.extend(content.as_object().into_iter().flat_map(|examples| examples.keys()));
        }
    }
    let unused: Vec<_> = all.difference(&used).map(|code| code.as_str()).collect();
    assert_eq!(unused, ["method-not-allowed"]);
}

#[cfg(feature = "docs")]
#[tokio::test]
async fn the_page_of_the_description_loads_what_is_beside_it_under_any_prefix() {
    let mut network = Network::new().await;
    network.router = axum::Router::new().nest("/very/deep", network.router.clone());
    let get = async |path: &str| {
        let request = axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = network.send_unread(request).await;
        assert_eq!(response.status(), 200, "{path}");
        response
    };
    for path in ["/very/deep/docs", "/very/deep/docs/"] {
        let page = common::Got::of(get(path).await).await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!page.text.contains("{base}") && !page.text.contains("://"), "{}", page.text);
        let asked = url::Url::parse("http://network.example").unwrap().join(path).unwrap();
        for (attribute, expected) in [
            ("type=\"module\" src", "/docs/rapidoc-min.js"),
            ("</script>\n<script type=\"module\" src", "/docs/page.js"),
            ("spec-url", "/openapi.json"),
        ] {
            let address =
                page.text.split(&format!("{attribute}=\"")).nth(1).unwrap().split('"').next().unwrap();
            let address = asked.join(address).unwrap();
            assert_eq!(address.path(), format!("/very/deep{expected}"));
            get(address.path()).await;
        }
    }
    let script = get("/very/deep/docs/rapidoc-min.js").await;
    assert_eq!(script.headers()["content-encoding"], "gzip");
    for path in ["/very/deep/openapi.json", "/very/deep/api/trades", "/very/deep/docs/rapidoc-min.js"] {
        let headers = get(path).await.headers().clone();
        for (name, value) in [
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{path}");
        }
    }
}
