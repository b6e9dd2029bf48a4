//! Every answer that a test sees is held against the description: its status, its type, its headers, its content.

use axum::http::{HeaderMap, Method};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

/// The file of a committed description.
pub fn committed(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The committed description, which that served does not differ from.
pub static OPENAPI: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string(committed("openapi.json")).unwrap();
    serde_json::from_str(&text).unwrap()
});

/// The schemas, for which a member that is not described is one too many.
static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let mut components = OPENAPI["components"].clone();
    close(&mut components["schemas"]);
    components
});

fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("properties").is_some_and(Value::is_object) && members.contains_key("type") {
                members.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

/// What a value of a schema of the description must be.
pub fn validator(schema: &Value) -> Arc<Validator> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap();
    let made = known.entry(schema.to_string()).or_insert_with(|| {
        let whole = json!({ "allOf": [schema], "components": *STRICT });
        let options = jsonschema::options().should_validate_formats(true);
        Arc::new(options.build(&whole).unwrap())
    });
    made.clone()
}

/// Checks a value.
#[track_caller]
pub fn check_value(schema: &Value, value: &Value, what: &str) {
    let errors: Vec<_> = validator(schema)
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{what} is not as described:\n{}\n{value:#}", errors.join("\n"));
}

/// The operation that is described for a path, which may have a prefix.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    // An empty segment makes it another path.
    let path = path.strip_suffix('/').filter(|path| !path.ends_with('/')).unwrap_or(path);
    let path = Some(path).filter(|path| !path.contains("//"))?;
    let method = if method == Method::HEAD { "get".into() } else { method.as_str().to_lowercase() };
    let words: Vec<_> = path.split('/').skip(1).collect();
    let described = OPENAPI["paths"].as_object()?.iter();
    let fits = |template: &str| {
        let template: Vec<_> = template.split('/').skip(1).collect();
        let end = words.len().checked_sub(template.len()).map(|begin| &words[begin..]);
        let literal = template.iter().filter(|word| !word.starts_with('{')).count();
        let same =
            |(word, given): (&&str, &&str)| (word.starts_with('{') && !given.is_empty()) || word == given;
        end.is_some_and(|end| template.iter().zip(end).all(same)).then_some((template.len(), literal))
    };
    let fitting = described.filter_map(|(template, item)| Some((fits(template)?, item.get(&method)?)));
    fitting.max_by_key(|(rank, _)| *rank).map(|(_, operation)| operation)
}

/// Headers that an answer has only where they are described.
const HEADERS: [&str; 10] = [
    "etag",
    "location",
    "idempotency-replayed",
    "x-as-of-sequence",
    "retry-after",
    "www-authenticate",
    "ratelimit",
    "ratelimit-policy",
    "x-accel-buffering",
    "x-request-id",
];

#[track_caller]
pub fn check(method: &Method, path: &str, status: u16, headers: &HeaderMap, text: &str) {
    let what = format!("{method} {path}: {status}");
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = header("content-type").split(';').next().unwrap_or_default();
    if method == Method::OPTIONS && matches!(status, 200 | 204) {
        // What every path has is no operation of one.
        return assert_eq!(text, "", "{what}");
    }
    let Some(operation) = operation(method, path) else {
        assert!(
            matches!(status, 401 | 404 | 405 | 421 | 429 | 503),
            "{what} is of no operation that is described"
        );
        return;
    };
    let described = &operation["responses"][status.to_string()];
    assert!(described.is_object(), "{what} is not described");
    for name in HEADERS {
        let names = described["headers"].as_object().unwrap();
        let known = names.keys().any(|known| known.eq_ignore_ascii_case(name));
        assert!(known || !headers.contains_key(name), "{what}: {name} is not described");
    }
    let Some(content) = described["content"].as_object() else {
        assert!(text.is_empty(), "{what} has content");
        return;
    };
    let Some(content) = content.get(media_type) else { panic!("{what}: {media_type} is not described") };
    if method == Method::HEAD || !media_type.ends_with("json") {
        return;
    }
    let value: Value = serde_json::from_str(text).unwrap();
    check_value(&content["schema"], &value, &what);
    if media_type == "application/problem+json" {
        let code = value["code"].as_str().unwrap();
        assert!(content["examples"].get(code).is_some(), "{what}: {code} is not described");
    }
}
