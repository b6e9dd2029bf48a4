//! The interface as OpenAPI 3.1 describes it, made of the table of operations and of the types that they read and write.

pub(crate) mod asyncapi;
mod example;
mod parts;

use crate::input;
use crate::operation::{Answer, BodyDescription, Operation, Place};
use crate::query::ParameterDescription;
use axum::http::StatusCode;
use example::example;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const TITLE: &str = "Trade network";
const DESCRIPTION: &str = "Trades between stations, the cargo they ship, the stock they hold, and a live feed of all \
    three. A trade, its cargo, its stock movements and its events are one atomic step.";

/// The document.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut drafts = Vec::new();
    for operation in operations {
        drafts.push((operation, Draft::of(operation, &mut schemas)));
    }
    let definitions = schemas.definitions();
    for (operation, draft) in &drafts {
        for place in &operation.places {
            let item = paths.entry(place.path).or_default();
            item.insert(place.method.as_str().to_lowercase(), draft.at(operation, place, &definitions));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "description": DESCRIPTION,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        // Relative to this document, so that it holds under any prefix.
        "servers": [{ "url": ".", "description": "The server of this document." }],
        // Each operation says whether it asks for a login.
        "security": [],
        "tags": parts::tags(),
        "paths": paths,
        "components": {
            "schemas": definitions,
            "parameters": parts::request_headers(),
            "headers": parts::answer_headers(),
            "examples": parts::problem_examples(),
            "securitySchemes": parts::security_schemes(),
        },
    })
}

/// Makes the schemas of what is read, where `null` is as good as absent, and of what is written.
struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            requests: settings().for_deserialize().into_generator(),
            answers: settings().for_serialize().into_generator(),
        }
    }

    /// All that was referred to, by name. What is both read and written has one schema.
    fn definitions(mut self) -> Map<String, Value> {
        let mut answers = self.answers.take_definitions(true);
        answers.values_mut().for_each(without_null);
        for (name, schema) in self.requests.take_definitions(true) {
            debug_assert!(answers.get(&name).is_none_or(|other| *other == schema), "two schemas of {name}");
            answers.insert(name, schema);
        }
        answers
    }
}

/// What is left out where there is nothing is never null.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let required = members.get("required").cloned().unwrap_or_default();
            let is_required =
                |name: &str| required.as_array().is_some_and(|all| all.iter().any(|one| one == name));
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for (_, property) in properties.iter_mut().filter(|(name, _)| !is_required(name)) {
                    drop_null(property);
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(values) => values.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn drop_null(property: &mut Value) {
    let Value::Object(members) = property else { return };
    if members.get("default") == Some(&Value::Null) {
        members.remove("default");
    }
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|one| one != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            members.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(forms)) = members.get_mut("anyOf") {
        forms.retain(|form| form.get("type").is_none_or(|one| one != "null"));
        if let [Value::Object(only)] = &forms[..] {
            let only = only.clone();
            members.remove("anyOf");
            members.extend(only);
        }
    }
}

/// What the places of an operation have in common.
struct Draft<'o> {
    parameters: Vec<ParameterDescription>,
    body: Option<(Value, &'o BodyDescription)>,
    answers: Vec<(&'o Answer, Option<Value>)>,
    codes: Vec<&'static str>,
}

impl<'o> Draft<'o> {
    fn of(operation: &'o Operation, schemas: &mut Schemas) -> Self {
        let input = &operation.input;
        let body = input.body.as_ref().map(|body| ((body.schema)(&mut schemas.requests).to_value(), body));
        let answers = operation.answers.iter().map(|answer| {
            (answer, answer.content.map(|(_, schema)| schema(&mut schemas.answers).to_value()))
        });
        let answers = answers.collect();
        let mut codes = operation.codes.clone();
        codes.extend(parts::common_codes(operation));
        // Every problem is of this form.
        schemas.answers.subschema_for::<crate::problem::Document>();
        Self { answers, parameters: (input.parameters)(&mut schemas.requests), body, codes }
    }

    fn at(&self, operation: &Operation, place: &Place, definitions: &Map<String, Value>) -> Value {
        let mut described = json!({
            "operationId": place.id,
            "tags": [operation.tag],
            "summary": operation.summary,
            "security": parts::security(operation),
            "parameters": self.parameters(operation, definitions),
            "responses": self.responses(definitions),
        });
        if let Some((schema, body)) = &self.body {
            described["requestBody"] = json!({
                "required": true,
                "description": format!("At most {} bytes.", body.bytes_max),
                "content": { "application/json": { "schema": schema, "example": example(schema, definitions) } },
            });
        }
        described
    }

    fn parameters(&self, operation: &Operation, definitions: &Map<String, Value>) -> Vec<Value> {
        let own = self.parameters.iter().map(|parameter| {
            let schema = parameter.schema.as_value();
            let mut described = json!({
                "name": parameter.name,
                "in": match parameter.place { input::Place::Path => "path", input::Place::Query => "query" },
                "required": parameter.place == input::Place::Path,
                "description": parameter.description,
                "schema": schema,
                "example": example(schema, definitions),
            });
            if schema.get("type").is_some_and(|kind| kind == "array") {
                // Its values are separated by commas.
                described["style"] = "form".into();
                described["explode"] = false.into();
            }
            described
        });
        let headers = operation.headers.iter().chain(&["X-Request-Id"]);
        let headers = headers.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
        own.chain(headers).collect()
    }

    fn responses(&self, definitions: &Map<String, Value>) -> Map<String, Value> {
        let answers = self.answers.iter().map(|(answer, schema)| {
            let headers = answer.headers.iter().copied();
            let mut described =
                json!({ "description": answer.description, "headers": parts::headers(headers) });
            if let (Some((media_type, _)), Some(schema)) = (&answer.content, schema) {
                let content = json!({ "schema": schema, "example": example(schema, definitions) });
                described["content"] = json!({ *media_type: content });
            }
            (answer.status.as_str().to_owned(), described)
        });
        let mut by_status: BTreeMap<StatusCode, Vec<&str>> = BTreeMap::new();
        for code in &self.codes {
            if let Some((_, status, _)) = crate::problem::CODES.iter().find(|(known, ..)| known == code) {
                by_status.entry(*status).or_default().push(code);
            }
        }
        let problems = by_status.into_iter().map(|(status, codes)| {
            let header = match status {
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Some("Retry-After"),
                StatusCode::UNAUTHORIZED => Some("WWW-Authenticate"),
                _ => None,
            };
            let examples = codes
                .iter()
                .map(|code| ((*code).to_owned(), json!({ "$ref": format!("#/components/examples/{code}") })));
            let examples: Map<String, Value> = examples.collect();
            let described = json!({
                "description": parts::told(&codes),
                "headers": parts::headers(header.into_iter()),
                "content": { "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/Problem" }, "examples": examples,
                } },
            });
            (status.as_str().to_owned(), described)
        });
        answers.chain(problems).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_where_there_is_nothing_is_not_null() {
        let mut schema = json!({
            "properties": {
                "a": { "type": ["string", "null"] }, "b": { "type": ["string", "null"] },
                "c": { "anyOf": [{ "$ref": "#/x" }, { "type": "null" }], "description": "d" },
            },
            "required": ["b"],
        });
        without_null(&mut schema);
        assert_eq!(schema["properties"]["a"], json!({ "type": "string" }));
        assert_eq!(schema["properties"]["b"], json!({ "type": ["string", "null"] }));
        assert_eq!(schema["properties"]["c"], json!({ "$ref": "#/x", "description": "d" }));
    }
}
