//! The stream of events as AsyncAPI 3.0 describes it.

use super::example::example;
use super::{DESCRIPTION, Schemas, TITLE};
use crate::access::gate::STREAM;
use crate::routes::updates::Restart;
use serde_json::{Map, Value, json};
use trade_core::event::EventType;

/// The document.
pub(crate) fn document() -> Value {
    let mut schemas = Schemas::new();
    let events = EventType::ALL.iter().map(|kind| {
        let schema = trade_core::schema::event(&mut schemas.answers, *kind).to_value();
        (kind.as_str(), "An event of the log: its sequence is the `id`.", schema)
    });
    let mut messages: Vec<_> = events.collect();
    let resync = schemas.answers.subschema_for::<Restart>().to_value();
    let said = "The log ends before the position that was asked for: load everything anew.";
    messages.push(("resync", said, resync));
    let reason = json!({ "type": "string", "enum": ["shutdown", "token_expired", "revoked"] });
    let bye = json!({ "type": "object", "properties": { "reason": reason }, "required": ["reason"] });
    messages.push(("bye", "The stream ends: because the server does (connect again), or because the login of its reader has ended.", bye));
    let greeting = json!({ "type": "string", "const": "Connection established" });
    messages.push((
        "message",
        "The greeting: its `id` is the position that the stream goes on from.",
        greeting,
    ));

    let definitions = schemas.definitions();
    let references = |at: &str| -> Map<String, Value> {
        let reference = |name: &str| json!({ "$ref": format!("{at}/{name}") });
        messages.iter().map(|(name, ..)| ((*name).to_owned(), reference(name))).collect()
    };
    let described = messages.iter().map(|(name, summary, schema)| {
        let content_type = if *name == "message" { "text/plain" } else { "application/json" };
        let message = json!({
            "name": name, "summary": summary, "contentType": content_type, "payload": schema,
            "examples": [{ "payload": example(schema, &definitions) }],
        });
        ((*name).to_owned(), message)
    });
    let described: Map<String, Value> = described.collect();
    let of_channel: Vec<Value> =
        references("#/channels/updates/messages").into_iter().map(|(_, reference)| reference).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": TITLE, "description": DESCRIPTION, "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "channels": { "updates": {
            "address": STREAM,
            "description": "Server-Sent Events: the name of a message is the `event`, its payload the `data`.",
            "messages": references("#/components/messages"),
        } },
        "operations": { "sendUpdates": {
            "action": "send", "channel": { "$ref": "#/channels/updates" }, "messages": of_channel,
        } },
        "components": { "schemas": definitions, "messages": described },
    })
}
