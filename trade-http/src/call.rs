//! What is known of a request besides its body: who sends it, under which name, where to.

use crate::access::Lease;
use crate::proxies::ClientAddress;
use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use trade_core::cause::{Cause, TraceParent};
use trade_core::event::Actor;
use trade_core::policy::Principal;

/// The name of a request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Its place in a trace: W3C Trace Context.
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

const REQUEST_ID_LENGTH_MAX: usize = 128;

/// The id that a client gave its request, if it can be taken over.
pub(crate) fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let visible = id.bytes().all(|byte| byte.is_ascii_graphic());
    (visible && (1..=REQUEST_ID_LENGTH_MAX).contains(&id.len())).then(|| id.into())
}

/// How a request is named in answers and logs.
#[derive(Debug, Clone)]
pub(crate) struct Context(Arc<Names>);

#[derive(Debug)]
struct Names {
    request_id: String,
    path: String,
}

impl Context {
    /// Names a request by its id and the path its client sent.
    pub(crate) fn new(request_id: impl Into<String>, path: impl Into<String>) -> Self {
        Self(Arc::new(Names { request_id: request_id.into(), path: path.into() }))
    }

    pub(crate) fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// The path as the client sent it, whatever this router is nested in.
    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }
}

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) context: Context,
    /// Who sends it: see [`router`](crate::router).
    pub(crate) principal: Principal,
    /// For how long that holds.
    pub(crate) lease: Lease,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// The path and query below the place where this router is nested.
    uri: Uri,
    /// Where it comes from, if anybody says so.
    address: Option<IpAddr>,
}

impl Call {
    /// Takes a request apart.
    pub(crate) fn of(parts: &mut Parts) -> Self {
        let context = parts.extensions.get::<Context>().cloned();
        let principal = parts.extensions.get::<Principal>().cloned();
        let client = parts.extensions.get::<ClientAddress>();
        Self {
            context: context.unwrap_or_else(|| Context::new("", original_path(parts))),
            address: client.and_then(|client| client.0),
            principal: principal.unwrap_or_else(|| Principal::new(Actor::Anonymous)),
            lease: parts.extensions.get::<Lease>().cloned().unwrap_or_default(),
            method: parts.method.clone(),
            headers: std::mem::take(&mut parts.headers),
            uri: parts.uri.clone(),
        }
    }

    /// The resource's path as the client sent it, without trailing slash.
    pub(crate) fn resource_path(&self) -> &str {
        without_trailing_slash(self.context.path())
    }

    /// What the request is about: its path below the place where this router is nested, however that was spelled.
    pub(crate) fn resource(&self) -> Cow<'_, str> {
        let path = without_trailing_slash(self.uri.path());
        percent_decode_str(path).decode_utf8().unwrap_or(Cow::Borrowed(path))
    }

    /// How problems inside an answer name the request that was answered first, which has this id; without one, it is
    /// this request. They are the same again when the answer is given again, with or without trailing slash.
    pub(crate) fn context_of(&self, first_id: Option<String>) -> Context {
        let id = first_id.unwrap_or_else(|| self.context.request_id().into());
        Context::new(id, self.resource_path())
    }

    /// What is kept of it with the steps that it causes. Its id and its address only where it is known who sends it, as
    /// whoever looks for that asks for these too.
    pub(crate) fn cause(&self) -> Cause {
        let is_known = *self.principal.actor() != Actor::Anonymous;
        Cause {
            trace_parent: trace_parent(&self.headers),
            request_id: is_known.then(|| self.context.request_id().into()),
            address: self.address.filter(|_| is_known),
        }
    }

    /// A segment of the path, counted from its end, as it was sent.
    pub(crate) fn segment_from_end(&self, index: usize) -> &str {
        without_trailing_slash(self.uri.path()).rsplit('/').nth(index).unwrap_or_default()
    }

    /// The query as it was sent.
    pub(crate) fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// The place of a request in a trace. What is none, or is told twice, is as if it were not told, as the standard has it.
pub(crate) fn trace_parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut told = headers.get_all(TRACE_PARENT).iter();
    let (Some(one), None) = (told.next(), told.next()) else { return None };
    one.to_str().ok()?.trim().try_into().ok()
}

/// One slash is no more than a way to write the same path; a second one ends an empty segment, which is another path.
fn without_trailing_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn original_path(parts: &Parts) -> &str {
    parts.extensions.get::<OriginalUri>().map_or_else(|| parts.uri.path(), |OriginalUri(uri)| uri.path())
}
