//! Pages of other origins (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use crate::call::{REQUEST_ID, TRACE_PARENT};
use crate::hosts;
use crate::reply::REPLAYED;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use futures::FutureExt;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::time::Duration;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The methods of the interface.
pub(crate) const METHODS: [Method; 5] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH];

/// How long a browser may rely on what a preflight told it.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// What a page may send.
const ALLOWED_HEADERS: [HeaderName; 10] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    HeaderName::from_static("idempotency-key"),
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("last-event-id"),
    REQUEST_ID,
    TRACE_PARENT,
];
/// What a page may read, beside the few that all pages may.
const EXPOSED_HEADERS: [HeaderName; 8] = [
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    REQUEST_ID,
    REPLAYED,
    header::LINK,
];

/// The origins whose pages may call a router from a browser (CORS): none by default.
///
/// A page of the router's own origin may always. A page of another one can read no answer, and send no change, unless
/// its origin is allowed here. Programs that are no browsers do not ask.
///
/// No answer has `Access-Control-Allow-Credentials`: a browser sends no cookies of its own, and a page sets
/// `Authorization` itself. An application whose login is a cookie has a CORS layer of its own around the router, and
/// leaves this at none. So has one whose login is a layer around the router: that layer must let preflights pass, which
/// have no credentials, and its own refusals carry no CORS headers.
///
/// ```
/// use trade_http::{CorsOrigins, HttpOptions};
///
/// # fn main() -> Result<(), trade_http::InvalidOrigin> {
/// let cors = CorsOrigins::of(["https://app.example.com", "http://localhost:3000"])?;
/// let options = HttpOptions { cors, ..HttpOptions::default() };
/// # drop(options);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsOrigins(Origins);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origins {
    Any,
    These(Vec<HeaderValue>),
}

/// What is no origin that can be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOrigin;

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be an origin as a browser sends it, such as https://app.example.com or http://localhost:3000, \
             without a path; null, which any page can be, is none",
        )
    }
}

impl Error for InvalidOrigin {}

impl CorsOrigins {
    /// No other origin.
    pub fn none() -> Self {
        Self(Origins::These(Vec::new()))
    }

    /// Every origin. Where nobody logs in, every page that a user of this machine opens may then change the network.
    pub fn any() -> Self {
        Self(Origins::Any)
    }

    /// These origins: a scheme, a host, and a port where it is not the usual one.
    ///
    /// # Errors
    /// If one of them is no origin.
    pub fn of<T: AsRef<str>>(origins: impl IntoIterator<Item = T>) -> Result<Self, InvalidOrigin> {
        let origins = origins.into_iter().map(|text| origin(text.as_ref()).ok_or(InvalidOrigin));
        Ok(Self(Origins::These(origins.collect::<Result<_, _>>()?)))
    }

    /// What tells browsers so; none where there is nothing to tell.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        let (origins, are_named) = match &self.0 {
            Origins::These(origins) if origins.is_empty() => return None,
            Origins::These(origins) => (AllowOrigin::list(origins.iter().cloned()), true),
            Origins::Any => (AllowOrigin::any(), false),
        };
        let layer = CorsLayer::new()
            .allow_origin(origins)
            .allow_methods(METHODS)
            .allow_headers(ALLOWED_HEADERS)
            .expose_headers(EXPOSED_HEADERS)
            .max_age(MAX_AGE)
            // A page of the internet reaches into the network at home only if somebody has named it.
            .allow_private_network(are_named);
        Some(layer)
    }
}

impl Default for CorsOrigins {
    fn default() -> Self {
        Self::none()
    }
}

/// An origin as browsers write it (RFC 6454 §6.2): in small letters, without the port that is usual for its scheme.
fn origin(text: &str) -> Option<HeaderValue> {
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || authority.ends_with(':') || !hosts::is_authority(authority) {
        return None;
    }
    let usual_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(usual_port).unwrap_or(authority);
    HeaderValue::try_from(format!("{scheme}://{authority}")).ok()
}

/// Whether the layer answers a request, or adds to its answer. It takes every `OPTIONS` for a preflight, which one is only
/// if a browser asks in it for another method.
pub(crate) fn concerns(request: &Request) -> bool {
    let asks = [header::ORIGIN, header::ACCESS_CONTROL_REQUEST_METHOD];
    request.method() != Method::OPTIONS || asks.iter().all(|name| request.headers().contains_key(name))
}

/// Answers a preflight, and adds to any other answer what its page may do with it.
pub(crate) async fn around<F: Future<Output = Response>>(
    layer: &CorsLayer,
    request: Request,
    mut answer: impl FnMut(Request) -> F,
) -> Response {
    let service = layer.layer(service_fn(|request| answer(request).map(Ok::<_, Infallible>)));
    let Ok(response) = service.oneshot(request).await;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_as_browsers_write_it() {
        for (text, expected) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.com:443", "https://app.example.com"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://localhost:80", "https://localhost:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::80]", "http://[::80]"),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
        ] {
            assert_eq!(origin(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_no_browser_sends_as_an_origin_is_refused() {
        for text in [
            "",
            "null",
            "*",
            "app.example.com",
            "https://",
            "https:app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com?",
            "https://ada@app.example.com",
            "https://*.example.com",
            "https://app.example.com:",
            "https://app.example.com:x",
            "https://app.example.com,https://b.example",
            "https://münchen.example",
            "file://",
            "1a://b",
            "://b",
        ] {
            assert_eq!(CorsOrigins::of([text]), Err(InvalidOrigin), "{text}");
        }
    }
}
