//! `OPTIONS`: the methods that a path has (RFC 9110 §9.3.7).

use crate::app::App;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tower::ServiceExt;

/// The same methods, and one that tells them.
pub(crate) fn told(methods: MethodRouter<App>) -> MethodRouter<App> {
    let known = methods.clone();
    methods.options(move |State(app): State<App>| allowed(known, app))
}

/// What axum tells of these methods to whoever asks for another one.
async fn allowed(methods: MethodRouter<App>, app: App) -> Response {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::OPTIONS;
    let Ok(refused) = methods.with_state(app).oneshot(request).await;
    let methods = refused.headers().get(header::ALLOW).and_then(|methods| methods.to_str().ok());
    no_content(methods.unwrap_or_default())
}

/// No more than the methods.
pub(crate) fn no_content(methods: &str) -> Response {
    (StatusCode::NO_CONTENT, [(header::ALLOW, format!("{methods},OPTIONS"))]).into_response()
}
