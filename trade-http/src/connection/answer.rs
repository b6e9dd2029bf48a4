//! What a connection asks for answers.

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;

/// What answers requests.
pub(crate) trait Answer: Send + Sync {
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response> + Send + 'static;
}

impl<A, F> Answer for A
where
    A: Fn(Request<Body>) -> F + Send + Sync,
    F: Future<Output = Response> + Send + 'static,
{
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response> + Send + 'static {
        self(request)
    }
}

/// Marks what comes by a connection too many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowded;
