//! An example of what a schema describes: the one that it has, or one that is put together of its parts' examples.

use serde_json::{Map, Value, json};

/// An example. What it refers to is among the definitions.
pub(super) fn example(schema: &Value, definitions: &Map<String, Value>) -> Value {
    let of = |schema: &Value| example(schema, definitions);
    let first = |name: &str| schema.get(name).and_then(|values| values.get(0));
    if let Some(given) = first("examples").or_else(|| schema.get("const")).or_else(|| schema.get("default")) {
        return given.clone();
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return definitions.get(name).map(of).unwrap_or_default();
    }
    if let Some(form) = first("anyOf").or_else(|| first("oneOf")) {
        return of(form);
    }
    if let Some(word) = first("enum") {
        return word.clone();
    }
    let kind = first("type").or_else(|| schema.get("type"));
    match kind.and_then(Value::as_str) {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let members = properties.into_iter().flatten().map(|(name, schema)| (name.clone(), of(schema)));
            Value::Object(members.collect())
        }
        Some("array") => schema.get("items").map(|items| json!([of(items)])).unwrap_or_else(|| json!([])),
        Some("integer") => {
            let minimum = schema.get("minimum").and_then(Value::as_u64);
            json!(minimum.unwrap_or_default().max(1))
        }
        Some("boolean") => json!(true),
        Some("string") => json!("text"),
        _ => Value::Null,
    }
}
