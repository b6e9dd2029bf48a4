//! What operations share: headers, tags, problems.

use crate::access::gate::{Asks, STREAM};
use crate::call::Context;
use crate::operation::Operation;
use crate::problem::{CODES, FieldFault, Problem};
use serde_json::{Map, Value, json};
use trade_core::rejection::{Rejection, Shortage};
use trade_core::resource::{CargoStatus, TradeStatus};
use trade_core::values::{ItemId, StationId, TransactionId};

pub(super) fn tags() -> Value {
    let tags = [
        ("trades", "Sales of goods from one station to another."),
        ("cargo", "Shipments: those of trades, and transfers."),
        ("inventory", "Stations, their stock, and the stock ledger."),
        ("updates", "Every change as an event, by polling and as a stream."),
        ("operation", "For those who keep the server running."),
        ("description", "The interface itself."),
    ];
    let tags = tags.map(|(name, description)| json!({ "name": name, "description": description }));
    json!(tags)
}

/// Headers of requests, by name.
pub(super) fn request_headers() -> Map<String, Value> {
    let tags = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;
    let key = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" });
    let headers = [
        (
            "Idempotency-Key",
            "Makes a repetition harmless: the same key and content give the first answer again.",
            key,
            "delivery-1",
        ),
        (
            "If-Match",
            "Only if the resource has one of these versions.",
            json!({ "type": "string", "pattern": tags }),
            "\"3\"",
        ),
        (
            "If-None-Match",
            "Only if the resource has none of these versions; `*`: only if it does not exist. A read takes no notice of \
             what is no list of entity tags.",
            json!({ "type": "string" }),
            "\"3\"",
        ),
        (
            "Last-Event-ID",
            "The sequence to go on from; 0 is everything that is stored.",
            json!({ "type": "string", "pattern": "^[0-9]*$" }),
            "41",
        ),
        (
            "traceparent",
            "The place of the request in a trace (W3C Trace Context), which the events that it causes tell.",
            json!({ "type": "string" }),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        (
            "X-Request-Id",
            "Names the request in its answer and in the log: 1 to 128 visible ASCII characters.",
            json!({ "type": "string" }),
            "r-1",
        ),
    ];
    let headers = headers.into_iter().map(|(name, description, schema, example)| {
        let described = json!({
            "name": name, "in": "header", "required": false, "description": description, "schema": schema,
            "example": example,
        });
        (name.to_owned(), described)
    });
    headers.collect()
}

/// Headers of answers, by name.
pub(super) fn answer_headers() -> Map<String, Value> {
    let text = || json!({ "type": "string" });
    let headers = [
        ("ETag", "The version of the resource.", text(), json!("\"3\"")),
        (
            "Location",
            "Where the new resource is, relative to the path of the request.",
            json!({ "type": "string", "format": "uri-reference" }),
            json!("trades/T-1"),
        ),
        (
            "Idempotency-Replayed",
            "The first answer to this key is given again.",
            json!({ "type": "string", "enum": ["true"] }),
            json!("true"),
        ),
        (
            "X-As-Of-Sequence",
            "Read at a replica: everything up to this sequence is in it.",
            json!({ "type": "integer", "minimum": 0 }),
            json!(41),
        ),
        (
            "WWW-Authenticate",
            "How to log in, and what is wrong with the credential that was sent (RFC 6750).",
            text(),
            json!("Bearer realm=\"trade-network\", error=\"invalid_token\""),
        ),
        ("X-Accel-Buffering", "Tells a proxy to pass events on at once.", text(), json!("no")),
        ("X-Request-Id", "Names the request.", text(), json!("r-1")),
        (
            "Retry-After",
            "Seconds after which to try again.",
            json!({ "type": "integer", "minimum": 0 }),
            json!(1),
        ),
        (
            "RateLimit",
            "Where requests are limited: how many are left (`r`), and after how many seconds all of them are there again (`t`).",
            text(),
            json!("\"requests\";r=399;t=1"),
        ),
        (
            "RateLimit-Policy",
            "Where requests are limited: how many there may be (`q`) in so many seconds (`w`).",
            text(),
            json!("\"requests\";q=400;w=2"),
        ),
    ];
    let headers = headers.into_iter().map(|(name, description, schema, example)| {
        (name.to_owned(), json!({ "description": description, "schema": schema, "example": example }))
    });
    headers.collect()
}

/// These headers of an answer, and those that every answer has.
pub(super) fn headers<'h>(names: impl Iterator<Item = &'h str>) -> Map<String, Value> {
    let names = names.chain(["RateLimit", "RateLimit-Policy", "X-Request-Id"]);
    names.map(|name| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))).collect()
}

/// How callers are known.
pub(super) fn security_schemes() -> Value {
    json!({
        "ticket": {
            "type": "apiKey", "in": "query", "name": "ticket",
            "description": "A ticket of `POST /api/updates/ticket`: for a stream, once.",
        },
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "An API key of the server, or a token (JWT) of an issuer that it trusts. A server may be told \
                to ask nobody who they are.",
        },
    })
}

/// What of that an operation asks for, one or another.
pub(super) fn security(operation: &Operation) -> Value {
    match Asks::of(operation.places.first().map_or("", |place| place.path)) {
        Asks::Nothing => json!([]),
        _ if operation.places.iter().all(|place| place.path == STREAM) => {
            json!([{ "bearer": [] }, { "ticket": [] }])
        }
        Asks::Login | Asks::Right(_) => json!([{ "bearer": [] }]),
    }
}

/// The codes that an operation has because of where it is and what it reads.
pub(super) fn common_codes(operation: &Operation) -> Vec<&'static str> {
    let mut codes = vec!["malformed-request", "misdirected-request"];
    // A server that is asked how it does answers also by a connection too many, and whoever asks.
    if !operation.places.iter().all(|place| place.path.starts_with("/health/")) {
        codes.extend(["overloaded", "rate-limited"]);
    }
    match Asks::of(operation.places.first().map_or("", |place| place.path)) {
        Asks::Nothing => {}
        Asks::Login => codes.extend(["unauthenticated", "store-unavailable"]),
        Asks::Right(_) => codes.extend(["unauthenticated", "forbidden", "store-unavailable"]),
    }
    if operation.input.body.is_some() {
        codes.extend(["malformed-json", "request-timeout", "body-too-large", "unsupported-media-type"]);
    }
    codes
}

/// What some codes mean, with the codes.
pub(super) fn told(codes: &[&str]) -> String {
    let known = CODES.iter().filter(|(code, ..)| codes.contains(code));
    known.map(|(code, _, title)| format!("{title} (`{code}`).")).collect::<Vec<_>>().join(" ")
}

/// An example of every problem, by its code.
pub(super) fn problem_examples() -> Map<String, Value> {
    let context = Context::new("0193f0a4-6c1e-7d52-9a3b-5f2e8c7d1b60", "/api/trades");
    let examples = CODES.iter().map(|(code, _, title)| {
        let document = problem(code, title).document(&context);
        let value = serde_json::to_value(&document).unwrap_or_default();
        ((*code).to_owned(), json!({ "summary": title, "value": value }))
    });
    examples.collect()
}

fn problem(code: &'static str, title: &'static str) -> Problem {
    let rejection = match code {
        "invalid-request" => {
            let fault = FieldFault { field: "buyer".into(), detail: "is missing".into() };
            return Problem::invalid(vec![fault], 1);
        }
        "unknown-station" => StationId::new("pallas")
            .ok()
            .map(|station| Rejection::UnknownStation { field: "buyer".into(), station }),
        "version-mismatch" => Some(Rejection::VersionMismatch { actual: 3 }),
        "refused-by-policy" => Some(Rejection::RefusedByPolicy { reason: "no trades on Sundays".into() }),
        "insufficient-stock" => {
            StationId::new("ceres").ok().zip(ItemId::new("fuel").ok()).map(|(station_id, item_id)| {
                let shortage = Shortage { station_id, item_id, requested: 1_000, available: Some(90) };
                Rejection::InsufficientStock([shortage].into_iter().collect())
            })
        }
        "illegal-transition" => TransactionId::new("T-1").ok().map(|transaction_id| {
            let (from, to) = (TradeStatus::Initiated, TradeStatus::Completed);
            let (allowed, cargo) = (vec![TradeStatus::Cancelled], CargoStatus::Pending);
            Rejection::IllegalTradeTransition { transaction_id, from, to, allowed, cargo }
        }),
        _ => None,
    };
    rejection.map_or_else(|| Problem::new(code, title), Problem::from)
}
