//! The interface itself: what describes it, made once and kept as bytes.

use crate::openapi::{self, asyncapi};
use crate::operation::{MakeSchema, Operation};
use crate::reply::{self, Reply};
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use schemars::json_schema;
use std::sync::{LazyLock, OnceLock};

/// The operations that describe the interface.
/// The document tells of all that there are.
pub(super) fn operations(all: fn() -> Vec<Operation>) -> Vec<Operation> {
    const TAG: &str = "description";
    let any: MakeSchema = |_| json_schema!({ "type": "object" });
    let json = Some(("application/json", any));
    vec![
        Operation::new(TAG, "This document, as of OpenAPI 3.1", move || openapi(all))
            .at(Method::GET, "/openapi.json", "getOpenApi")
            .answers_with(StatusCode::OK, "The document.", json, &[]),
        Operation::new(TAG, "The stream of events, as of AsyncAPI 3.0", self::asyncapi)
            .at(Method::GET, "/asyncapi.json", "getAsyncApi")
            .answers_with(StatusCode::OK, "The document.", json, &[]),
    ]
}

async fn openapi(all: fn() -> Vec<Operation>) -> Reply {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| openapi::document(&all()).to_string().into());
    Ok(reply::json_text(document.clone()))
}

async fn asyncapi() -> Reply {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| asyncapi::document().to_string().into());
    Ok(reply::json_text(DOCUMENT.clone()))
}
