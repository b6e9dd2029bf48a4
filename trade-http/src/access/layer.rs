use super::authenticator::Authenticator;
use crate::call::{Context, REQUEST_ID, given_id};
use crate::problem::Problem;
use axum::extract::OriginalUri;
use axum::http::{HeaderValue, Request};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use std::task::{self, Poll};
use tower::{Layer, Service};
use trade_core::clock::{IdSource, UuidV7};

/// Lets a request through whose sender is known, with the [`Principal`](trade_core::policy::Principal) and the
/// [`Lease`](super::Lease) in its extensions; any other is answered 401 `unauthenticated`, as by the router. It is for routes
/// of an application's own, beside the router: that one is told of the same [`Authenticator`] by
/// [`HttpOptions::access`](crate::HttpOptions::access).
///
/// ```
/// use axum::body::Body;
/// use axum::http::{Request, StatusCode};
/// use axum::{Extension, Router, routing::get};
/// use std::sync::Arc;
/// use tower::ServiceExt;
/// use trade_core::access::{ApiKeys, NewKey, Role};
/// use trade_core::memory::MemoryStore;
/// use trade_core::policy::Principal;
/// use trade_core::service::TradeService;
/// use trade_core::values::{Scope, Timestamp};
/// use trade_http::HttpOptions;
/// use trade_http::access::{AccessLayer, Authenticator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// let keys = ApiKeys::new(store.clone());
/// let service = TradeService::start(store).await?;
/// let (key, token) = keys.create(NewKey::new([Role::Viewer], Scope::All), service.now()).await?;
///
/// let access = Authenticator::new().with_keys(keys);
/// let hello = |Extension(who): Extension<Principal>| async move { format!("hello {}", who.actor()) };
/// let own = Router::new().route("/hello", get(hello)).layer(AccessLayer::new(access.clone()));
/// let options = HttpOptions { access: Some(access), ..HttpOptions::default() };
/// let application = own.nest("/network", trade_http::router(service.clone(), options));
///
/// for path in ["/hello", "/network/api/trades"] {
///     let request = Request::get(path).body(Body::empty())?;
///     assert_eq!(application.clone().oneshot(request).await?.status(), StatusCode::UNAUTHORIZED);
///     let request = Request::get(path).header("authorization", format!("Bearer {}", token.reveal()));
///     let answer = application.clone().oneshot(request.body(Body::empty())?).await?;
///     assert_eq!(answer.status(), StatusCode::OK);
/// }
/// # service.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AccessLayer(Authenticator);

impl AccessLayer {
    /// One that asks this.
    pub fn new(authenticator: Authenticator) -> Self {
        Self(authenticator)
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = AccessService<S>;

    fn layer(&self, inner: S) -> AccessService<S> {
        AccessService { inner, authenticator: self.0.clone() }
    }
}

/// What [`AccessLayer`] makes of a service.
#[derive(Debug, Clone)]
pub struct AccessService<S> {
    inner: S,
    authenticator: Authenticator,
}

impl<S, B> Service<Request<B>> for AccessService<S>
where
    S: Service<Request<B>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that is ready, and not its clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let authenticator = self.authenticator.clone();
        Box::pin(async move {
            match authenticator.login(request.headers()).await {
                Ok(login) => {
                    login.put_into(request.extensions_mut());
                    inner.call(request).await
                }
                Err(error) => Ok(refusal(&request, error.into())),
            }
        })
    }
}

/// A problem where nothing around writes it.
fn refusal<B>(request: &Request<B>, problem: Problem) -> Response {
    let original = request.extensions().get::<OriginalUri>();
    let path = original.map_or_else(|| request.uri().path(), |OriginalUri(uri)| uri.path());
    let id = given_id(request.headers()).unwrap_or_else(|| UuidV7.next().to_string());
    let context = Context::new(id, path);
    let mut response = problem.status().into_response();
    problem.write_into(&mut response, &context);
    if let Ok(id) = HeaderValue::try_from(context.request_id()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
