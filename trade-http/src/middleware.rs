//! Around every request, unknown paths included: its id, its span and log line, its metrics, the host it is for, who
//! sends it and whether that is too often, a limit on its time, the body of its problem, a problem instead of a panic,
//! what its page may do with the answer, and how that is coded.

use crate::access::gate;
use crate::app::App;
use crate::call::{Context, REQUEST_ID, given_id, trace_parent};
use crate::compression::{Asked, compress};
use crate::connection::Crowded;
use crate::problem::Problem;
use crate::{cors, rate, routes, untaken};
use axum::extract::{MatchedPath, OriginalUri, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tracing::{Instrument, field};
use trade_core::policy::Principal;

const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// What a browser may make of an answer, unless its page says so itself: nothing. A page of another origin that is allowed
/// to (CORS) may read it all the same.
const PROTECTIVE: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];
/// The route of what is on no route.
const UNMATCHED: &str = "unmatched";

/// The outermost layer.
pub(crate) async fn envelope(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let given = given_id(request.headers());
    let id = given.unwrap_or_else(|| app.service.new_id().to_string());
    let context = Context::new(id, original(&request).path());
    let route = request.extensions().get::<MatchedPath>().filter(|_| !is_on_no_route(&request)).cloned();
    request.extensions_mut().insert(context.clone());
    let client = app.options.trusted_proxies.client(&request);
    request.extensions_mut().insert(client);

    // Of the highest level, so that no filter of lines takes the id from those that remain.
    let span = tracing::error_span!(
        "request",
        request_id = context.request_id(),
        client = client.0.map(field::display),
        actor = field::Empty,
        traceparent = field::Empty,
    );
    if let Some(traceparent) = trace_parent(request.headers()) {
        span.record("traceparent", field::display(traceparent));
    }
    async {
        // A preflight is answered by the layer alone, and is for a host as well.
        let is_preflight = method == Method::OPTIONS && cors::concerns(&request);
        let layer = app.cors.as_ref().filter(|_| cors::concerns(&request));
        let mut response = match layer.filter(|_| !is_preflight || addressed(&app, &request).is_ok()) {
            None => answer(&app, &context, request, next).await,
            Some(layer) => {
                cors::around(layer, request, |request| answer(&app, &context, request, next.clone())).await
            }
        };
        if let Ok(id) = HeaderValue::try_from(context.request_id()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        for (name, value) in PROTECTIVE {
            response.headers_mut().entry(name).or_insert(value);
        }
        // No cache is to answer in our place without asking whether it still holds.
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(NO_CACHE);
        let (status, took) = (response.status().as_u16(), started.elapsed());
        let route = route.as_ref().map_or(UNMATCHED, template);
        app.metrics.answered(method_label(&method), route, status, took);
        tracing::info!(%method, path = context.path(), status, ms = milliseconds(took), "answered");
        response
    }
    .instrument(span)
    .await
}

/// The answer as it is sent, but for the headers that all have.
async fn answer(app: &App, context: &Context, request: Request, next: Next) -> Response {
    let (method, version) = (request.method().clone(), request.version());
    let asked = Asked::of(request.headers());
    // A large answer is counted before it is compressed, which may have to wait.
    let (mut response, room) = app.untaken.count(&method, handled(app, request, next).await);
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        // HTTP/2 ends streams, not connections, and knows no such header.
        if problem.closes() && version < Version::HTTP_2 {
            response.headers_mut().insert(header::CONNECTION, CLOSE);
        }
        problem.write_into(&mut response, context);
    }
    untaken::held(compress(&app.compressing, asked, response).await, room)
}

/// What the handler of a request answers, if it is to have one.
async fn handled(app: &App, mut request: Request, next: Next) -> Response {
    if let Err(problem) = addressed(app, &request) {
        problem.into_response()
    } else if is_turned_away(&request) {
        Problem::new("overloaded", "there are too many connections: try again").into_response()
    } else if let Err(limited) = rate::before_login(app, &request)
        && !gate::remembers(app, &request)
    {
        limited.into_response()
    } else if let Err(problem) = gate::admit(app, &mut request).await {
        tracing::info!(reason = problem.detail(), "not let in");
        if problem.status() == StatusCode::UNAUTHORIZED {
            rate::login_failed(app, &request);
        }
        problem.into_response()
    } else {
        if let Some(principal) = request.extensions().get::<Principal>() {
            tracing::Span::current().record("actor", field::display(principal.actor()));
        }
        counted(app, request, next).await
    }
}

/// The same of a request whose sender is known, who may have sent too many.
async fn counted(app: &App, request: Request, next: Next) -> Response {
    let allowance = match rate::after_login(app, &request) {
        Ok(allowance) => allowance,
        Err(limited) => return limited.into_response(),
    };
    let mut response = if is_on_no_route(&request) {
        routes::unknown_path().await.into_response()
    } else {
        run(app, request, next).await
    };
    if let Some(allowance) = allowance {
        allowance.tell(response.headers_mut());
    }
    response
}

/// Whether a request is for a host of this router.
fn addressed(app: &App, request: &Request) -> Result<(), Problem> {
    app.options.allowed_hosts.check(request.version(), original(request), request.headers())
}

/// The target as the client sent it, whatever this router is nested in.
fn original(request: &Request) -> &Uri {
    request.extensions().get().map_or_else(|| request.uri(), |OriginalUri(uri)| uri)
}

/// The router takes an empty segment before the end for a trailing slash, and so for another resource.
fn is_on_no_route(request: &Request) -> bool {
    request.uri().path().contains("//")
}

/// Whether a request came by a connection too many. A server that is asked how it does answers still.
fn is_turned_away(request: &Request) -> bool {
    request.extensions().get::<Crowded>().is_some() && !request.uri().path().starts_with("/health/")
}

async fn run(app: &App, request: Request, next: Next) -> Response {
    // Reading the body has a limit of its own within this one, and another answer.
    let limit = app.options.request_timeout.saturating_mul(2);
    match timeout(limit, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let message = panic.downcast_ref::<&str>().copied();
            let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = message.unwrap_or("of another kind"), "a handler panicked");
            Problem::internal().into_response()
        }
        Err(_) => {
            tracing::error!("a request took too long, and may still be applied");
            let detail = "the store did not answer in time, and the request may have been applied";
            Problem::new("store-unavailable", detail).into_response()
        }
    }
}

/// The path of a route with its placeholders, without trailing slash.
fn template(route: &MatchedPath) -> &str {
    route.as_str().trim_end_matches('/')
}

/// A method has any number of names; those that mean something here are few.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
