//! Refusals and failures as problem documents (RFC 9457): the one place where an error becomes an answer.
//!
//! A [`Problem`] travels as an extension of an empty response; the outermost middleware, which knows the request,
//! writes its body. What axum refuses by itself takes the same way.

use crate::call::Context;
use crate::reply;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::error::Error;
use trade_core::access::KeyError;
use trade_core::rejection::{Rejection, Shortage};
use trade_core::resource::Version;
use trade_core::service::ServiceError;
use trade_core::store::{StoreError, StoreErrorKind};

/// A code with its status and title.
pub(crate) type Code = (&'static str, StatusCode, &'static str);

/// Every code a problem can have.
pub(crate) static CODES: &[Code] = &[
    ("malformed-request", StatusCode::BAD_REQUEST, "The request is not as HTTP demands"),
    ("malformed-json", StatusCode::BAD_REQUEST, "The body is not JSON"),
    ("unauthenticated", StatusCode::UNAUTHORIZED, "The caller is not known"),
    ("forbidden", StatusCode::FORBIDDEN, "This is not for the caller to do"),
    ("not-found", StatusCode::NOT_FOUND, "There is nothing at this path"),
    ("trade-not-found", StatusCode::NOT_FOUND, "There is no such trade"),
    ("cargo-not-found", StatusCode::NOT_FOUND, "There is no such cargo"),
    ("station-not-found", StatusCode::NOT_FOUND, "There is no such station"),
    ("key-not-found", StatusCode::NOT_FOUND, "There is no such API key"),
    ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here"),
    ("request-timeout", StatusCode::REQUEST_TIMEOUT, "The request took too long to arrive"),
    ("trade-exists", StatusCode::CONFLICT, "The trade exists"),
    ("cargo-exists", StatusCode::CONFLICT, "The cargo exists"),
    ("station-exists", StatusCode::CONFLICT, "The station exists"),
    ("key-revoked", StatusCode::CONFLICT, "The API key was revoked"),
    ("illegal-transition", StatusCode::CONFLICT, "The status does not allow the step"),
    ("insufficient-stock", StatusCode::CONFLICT, "There is not enough stock"),
    ("refused-by-policy", StatusCode::CONFLICT, "A rule of the application refuses the step"),
    ("idempotency-in-progress", StatusCode::CONFLICT, "The first request with this key is still running"),
    ("version-mismatch", StatusCode::PRECONDITION_FAILED, "The resource has another version"),
    ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
    ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not declared as plain JSON"),
    ("misdirected-request", StatusCode::MISDIRECTED_REQUEST, "The host is not one of this server's"),
    ("invalid-request", StatusCode::UNPROCESSABLE_ENTITY, "The request is not valid"),
    ("invalid-last-event-id", StatusCode::UNPROCESSABLE_ENTITY, "The last event id is not valid"),
    ("unknown-station", StatusCode::UNPROCESSABLE_ENTITY, "The request names an unknown station"),
    ("quantity-out-of-range", StatusCode::UNPROCESSABLE_ENTITY, "A quantity would leave its range"),
    ("amount-out-of-range", StatusCode::UNPROCESSABLE_ENTITY, "A total would leave its range"),
    ("idempotency-key-reused", StatusCode::UNPROCESSABLE_ENTITY, "The idempotency key was used before"),
    (
        "too-large-for-store",
        StatusCode::UNPROCESSABLE_ENTITY,
        "The request is more than the store takes at once",
    ),
    ("rate-limited", StatusCode::TOO_MANY_REQUESTS, "The caller sends too many requests"),
    ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here"),
    ("store-unavailable", StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached"),
    ("newer-version", StatusCode::SERVICE_UNAVAILABLE, "A newer version has written to the store"),
    ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "There is too much to do"),
    ("shutdown", StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down"),
];

/// Seconds after which a 503 may be tried again.
const RETRY_AFTER_SECONDS: &str = "1";

/// One faulty field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FieldFault {
    /// Where: a path into the body, a parameter, or a header.
    pub(crate) field: String,
    /// What was expected.
    pub(crate) detail: String,
}

/// Why a request is not answered as asked.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: &'static Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldFault>,
    shortages: Vec<Shortage>,
    more: Box<More>,
    /// A header that tells how to do better.
    header: Option<&'static (&'static str, &'static str)>,
    /// Whether the body of the request is not read, so that its connection can serve no other.
    closes: bool,
}

/// A problem as it is sent, which names the request.
#[derive(Debug)]
pub(crate) struct Document {
    problem: Problem,
    context: Context,
}

/// Why a request is not answered as asked (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Problem")]
struct Members<'a> {
    /// Names the code.
    #[serde(rename = "type")]
    type_uri: String,
    /// What the code means.
    title: &'static str,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What is wrong with this request.
    detail: &'a str,
    /// The path of the request.
    instance: &'a str,
    /// The kind of problem.
    #[schemars(with = "ProblemCode")]
    code: &'static str,
    /// The same as `detail`.
    message: &'a str,
    /// The `X-Request-Id` of the request, which the log has as well.
    request_id: &'a str,
    /// The faulty fields, at most the first 100.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldFault],
    /// What is short, at most the first 100.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    shortages: &'a [Shortage],
    #[serde(flatten)]
    more: &'a More,
}

/// Members that some codes have.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct More {
    /// How many errors or shortages there are, where not all are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    /// The version that the resource has.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    /// The status that the resource has.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
    /// The status that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'static str>,
    /// What it may be instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<Vec<&'static str>>,
    /// The words of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The place in the batch of the first trade that is refused, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
}

/// The words of [`CODES`].
struct ProblemCode;

impl JsonSchema for ProblemCode {
    fn schema_name() -> Cow<'static, str> {
        "ProblemCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let codes: Vec<_> = CODES.iter().map(|(code, ..)| code).collect();
        json_schema!({ "description": "The kind of problem.", "type": "string", "enum": codes })
    }
}

impl JsonSchema for Document {
    fn schema_name() -> Cow<'static, str> {
        Members::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        Members::schema_id()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        Members::json_schema(schemas)
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { problem, context } = self;
        let (code, status, title) = *problem.code;
        let members = Members {
            type_uri: format!("urn:trade-network:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &problem.detail,
            instance: context.path(),
            code,
            message: &problem.detail,
            request_id: context.request_id(),
            errors: &problem.errors,
            shortages: &problem.shortages,
            more: &problem.more,
        };
        members.serialize(serializer)
    }
}

impl Problem {
    /// A problem of a known code; one of an unknown code is a defect, and shown as such.
    pub(crate) fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let known = CODES.iter().find(|(known, ..)| *known == code);
        debug_assert!(known.is_some(), "{code} is missing in the table of problems");
        let unknown = &("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here");
        let (code, detail) = (known.unwrap_or(unknown), detail.into());
        Self {
            code,
            detail,
            errors: Vec::new(),
            shortages: Vec::new(),
            more: Box::default(),
            header: None,
            closes: false,
        }
    }

    /// Faulty fields, of which `errors` lists the first.
    pub(crate) fn invalid(errors: Vec<FieldFault>, count: usize) -> Self {
        let detail = match errors.first() {
            Some(FieldFault { field, detail }) if count == 1 => format!("{field} {detail}"),
            Some(FieldFault { field, detail }) => format!("{field} {detail} (and {} more)", count - 1),
            None => "the request is not valid".into(),
        };
        let listed = errors.len();
        Self { errors, ..Self::new("invalid-request", detail) }.counting(count, listed)
    }

    /// The same with the number of what it lists, where that is not all.
    fn counting(self, total: usize, listed: usize) -> Self {
        let more = More { total: (total > listed).then_some(total), ..*self.more };
        Self { more: Box::new(more), ..self }
    }

    /// A defect or damage that was logged where it was noticed.
    pub(crate) fn internal() -> Self {
        Self::new("internal", "the request failed for a reason that is not yours; it is in the log")
    }

    /// The application ends, and another server, or this one later, will answer.
    pub(crate) fn shutdown() -> Self {
        Self::new("shutdown", "the server is shutting down: try again")
    }

    /// The same of a batch, of which the trade at this place is the first that is refused.
    #[must_use]
    pub(crate) fn at(self, index: usize) -> Self {
        Self { more: Box::new(More { index: Some(index), ..*self.more }), ..self }
    }

    /// The HTTP status.
    /// What is wrong with this request.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.code.1
    }

    /// The same with a header, by its name in small letters.
    #[must_use]
    pub(crate) fn telling(self, header: &'static (&'static str, &'static str)) -> Self {
        Self { header: Some(header), ..self }
    }

    /// The same where the body of the request is not read.
    #[must_use]
    pub(crate) fn unread(self) -> Self {
        Self { closes: true, ..self }
    }

    /// Whether the connection ends after it.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    /// The problem document for a request.
    pub(crate) fn document(self, context: &Context) -> Document {
        Document { problem: self, context: context.clone() }
    }

    /// Writes the document into a response, whose headers are kept.
    pub(crate) fn write_into(self, response: &mut Response, context: &Context) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // Whatever stood there counted another body.
        headers.remove(header::CONTENT_LENGTH);
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        if let Some((name, value)) = self.header {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        *response.status_mut() = self.status();
        *response.body_mut() = reply::written(&self.document(context)).unwrap_or_default().into();
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let problem = Self::new(rejection.code(), rejection.to_string());
        match rejection {
            Rejection::InvalidRequest { field, detail } => {
                Self { errors: vec![FieldFault { field, detail }], ..problem }
            }
            Rejection::UnknownStation { field, station } => {
                let detail = format!("names station {station}, which does not exist");
                Self { errors: vec![FieldFault { field, detail }], ..problem }
            }
            Rejection::VersionMismatch { actual } if actual > 0 => {
                Self { more: Box::new(More { version: Some(actual), ..More::default() }), ..problem }
            }
            Rejection::IllegalTradeTransition { from, to, allowed, .. } => {
                transition(problem, from.as_str(), to.as_str(), allowed.iter().map(|to| to.as_str()))
            }
            Rejection::IllegalCargoTransition { from, to, allowed, .. } => {
                transition(problem, from.as_str(), to.as_str(), allowed.iter().map(|to| to.as_str()))
            }
            Rejection::InsufficientStock(shortages) => {
                let listed = shortages.listed().to_vec();
                Self { shortages: listed, ..problem }.counting(shortages.total(), shortages.listed().len())
            }
            Rejection::RefusedByPolicy { reason } => {
                Self { more: Box::new(More { reason: Some(reason), ..More::default() }), ..problem }
            }
            Rejection::InBatch { index, rejection } => {
                let mut inner = Self::from(*rejection);
                for fault in &mut inner.errors {
                    fault.field = format!("trades[{index}].{}", fault.field);
                }
                Self { detail: problem.detail, ..inner }.at(index)
            }
            _ => problem,
        }
    }
}

fn transition(
    problem: Problem,
    from: &'static str,
    to: &'static str,
    allowed: impl Iterator<Item = &'static str>,
) -> Problem {
    let more = More { from: Some(from), to: Some(to), allowed: Some(allowed.collect()), ..More::default() };
    Problem { more: Box::new(more), ..problem }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Rejected(rejection) => rejection.into(),
            ServiceError::InProgress => Self::new("idempotency-in-progress", error.to_string()),
            ServiceError::Overloaded => Self::new("overloaded", error.to_string()),
            ServiceError::Stopped => Self::shutdown(),
            ServiceError::ClockOff { .. } => Self::new("store-unavailable", error.to_string()),
            ServiceError::Store(error) => of_store(&error),
            ServiceError::Unknown(error) => {
                log(&error);
                let detail =
                    "the store failed, and the request may have been applied: send it again with its key";
                Self::new("store-unavailable", detail)
            }
            // What a later version of the service may say.
            other => {
                tracing::error!(error = %other, "a request failed for a reason that has no code");
                Self::internal()
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        of_store(&error)
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        let code = match error {
            KeyError::Store(error) => return error.into(),
            KeyError::NotFound(_) => "key-not-found",
            KeyError::Revoked(_) => "key-revoked",
            KeyError::Invalid(_) => "invalid-request",
            KeyError::Refused(_) => "unauthenticated",
            _ => return Self::internal(),
        };
        Self::new(code, error.to_string())
    }
}

fn of_store(error: &StoreError) -> Problem {
    log(error);
    match error.kind {
        StoreErrorKind::Unavailable => {
            Problem::new("store-unavailable", "the store cannot be reached: try again")
        }
        // It could when the service started: a right was revoked since, or a password changed.
        StoreErrorKind::Unsupported => Problem::new(
            "store-unavailable",
            "the store does not serve this server at present: try again later",
        ),
        StoreErrorKind::NewerVersion => Problem::new(
            "newer-version",
            "the store was written by a newer version of this server, and this one serves it no longer",
        ),
        StoreErrorKind::Conflict | StoreErrorKind::OutcomeUnknown => {
            Problem::new("overloaded", "others were faster too often: try again")
        }
        StoreErrorKind::TooLarge => Problem::new(
            "too-large-for-store",
            "the store cannot take this at once, and nothing of it was applied: send it in parts",
        ),
        // Damage, a defect, or what a later version of a store may say.
        _ => Problem::internal(),
    }
}

/// What a client is not told. An outage, which every request of its time meets, is told by the service, once.
fn log(error: &StoreError) {
    use StoreErrorKind::{Conflict, OutcomeUnknown, Unavailable};
    let cause = error.source.as_deref().map(|source| source as &(dyn Error + 'static));
    match error.kind {
        Unavailable | OutcomeUnknown | Conflict => tracing::debug!(%error, cause, "the store failed"),
        _ => tracing::error!(%error, cause, "the store failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice_in_the_table() {
        let mut codes: Vec<_> = CODES.iter().map(|(code, ..)| code).collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }

    #[test]
    fn what_the_store_takes_only_in_parts_is_the_clients_to_split() {
        let error = StoreError::new(StoreErrorKind::TooLarge, "mongodb", "commit", "/var/db: secret");
        let problem = Problem::from(error);
        assert_eq!(
            (problem.code.0, problem.status()),
            ("too-large-for-store", StatusCode::UNPROCESSABLE_ENTITY)
        );
        let document = serde_json::to_string(&problem.document(&Context::new("r", "/x"))).unwrap();
        assert!(!document.contains("secret") && !document.contains("mongodb"), "{document}");
    }

    #[test]
    fn a_failing_store_never_shows_its_own_words() {
        for kind in [
            StoreErrorKind::Conflict,
            StoreErrorKind::OutcomeUnknown,
            StoreErrorKind::Unavailable,
            StoreErrorKind::Corrupt,
            StoreErrorKind::Unsupported,
            StoreErrorKind::NewerVersion,
            StoreErrorKind::Internal,
        ] {
            let error = StoreError::new(kind, "sqlite", "load", "/var/db: secret");
            let problem = Problem::from(error);
            assert!(problem.status().is_server_error());
            let ours = matches!(kind, StoreErrorKind::Corrupt | StoreErrorKind::Internal);
            assert_eq!(problem.code.0 == "internal", ours, "{kind:?}");
            let document = serde_json::to_string(&problem.document(&Context::new("r", "/x"))).unwrap();
            assert!(!document.contains("secret"), "{document}");
            assert!(!document.contains("sqlite"), "{document}");
        }
    }
}
