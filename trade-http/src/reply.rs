//! Answers that are no problem.

use crate::call::Call;
use crate::conditional;
use crate::problem::Problem;
use crate::sent;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::fmt::Display;
use trade_core::resource::{Sequence, Version};

const AS_OF_SEQUENCE: HeaderName = HeaderName::from_static("x-as-of-sequence");
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The headers of what was made, of what was changed, of a single resource, and of a list.
pub(crate) const CREATED: &[&str] = &["ETag", "Location", "Idempotency-Replayed"];
pub(crate) const CHANGED: &[&str] = &["ETag", "Idempotency-Replayed"];
pub(crate) const ONE: &[&str] = &["ETag"];
pub(crate) const LIST: &[&str] = &["X-As-Of-Sequence"];

/// What a handler answers.
pub(crate) type Reply = Result<Response, Problem>;

/// A JSON body.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    Ok((status, JSON, written(body)?).into_response())
}

/// A JSON body that is written already.
pub(crate) fn json_text(body: impl Into<Body>) -> Response {
    (JSON, body.into()).into_response()
}

const JSON: [(HeaderName, HeaderValue); 1] =
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];

/// A value as it is sent, be it an answer or a problem.
pub(crate) fn written(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    sent::to_vec(body).map_err(unwritable)
}

/// A value that cannot be written: a defect.
pub(crate) fn unwritable(error: impl Display) -> Problem {
    tracing::error!(%error, "an answer cannot be written");
    Problem::internal()
}

/// A single resource, or 304 where the client has this version of it.
pub(crate) fn resource(call: &Call, version: Version, body: &impl Serialize) -> Reply {
    if conditional::is_known(&call.headers, version) {
        return tagged(Ok(StatusCode::NOT_MODIFIED.into_response()), version);
    }
    tagged(json(StatusCode::OK, body), version)
}

/// The same with the entity tag of a version.
pub(crate) fn tagged(reply: Reply, version: Version) -> Reply {
    with(reply, header::ETAG, &conditional::etag(version))
}

/// The same, marked if it is a first answer given again.
pub(crate) fn replayed(reply: Reply, replayed: bool) -> Reply {
    if replayed { with(reply, REPLAYED, &"true") } else { reply }
}

/// The same, marked with the sequence up to which it knows everything, if it was read where that may not be the newest.
pub(crate) fn as_of(reply: Reply, sequence: Option<Sequence>) -> Reply {
    match sequence {
        Some(sequence) => with(reply, AS_OF_SEQUENCE, &sequence),
        None => reply,
    }
}

/// The same, with the place of the new resource, below the path it was made under. It is relative to that path, so that
/// it holds under any prefix that a proxy has taken away (RFC 9110 §10.2.2).
pub(crate) fn located(reply: Reply, call: &Call, id: &impl Display) -> Reply {
    // After a trailing slash the id would stand alone, and one with a colon would be read as a scheme (RFC 3986 §4.2).
    let parent = if call.context.path().ends_with('/') { "." } else { call.segment_from_end(0) };
    with(reply, header::LOCATION, &format_args!("{parent}/{id}"))
}

fn with(reply: Reply, name: HeaderName, value: &impl Display) -> Reply {
    let mut response = reply?;
    let value = HeaderValue::try_from(value.to_string()).map_err(|error| {
        tracing::error!(%error, %name, "a header cannot be written");
        Problem::internal()
    })?;
    response.headers_mut().insert(name, value);
    Ok(response)
}
