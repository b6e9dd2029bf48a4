//! The routes, one module a resource.

mod cargo;
#[cfg(feature = "openapi")]
mod description;
#[cfg(feature = "docs")]
mod docs;
mod health;
mod inventory;
mod keys;
mod tickets;
mod trades;
pub(crate) mod updates;

use crate::allow;
use crate::app::App;
use crate::cors::METHODS;
use crate::operation::Operation;
use crate::problem::Problem;
use axum::Router;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use std::collections::BTreeMap;

/// Every operation.
pub(crate) fn operations() -> Vec<Operation> {
    let tables = [
        trades::operations(),
        cargo::operations(),
        inventory::operations(),
        updates::operations(),
        tickets::operations(),
        keys::operations(),
        health::operations(),
        #[cfg(feature = "openapi")]
        description::operations(operations),
    ];
    tables.into_iter().flatten().collect()
}

/// Every route.
///
/// Ids are read from the ends of the path, so that a trade called `batch` or a shipment called `update` can be reached
/// as well: those few paths carry the methods of both routes that they are.
pub(crate) fn table() -> BTreeMap<&'static str, MethodRouter<App>> {
    let mut routes: BTreeMap<&str, MethodRouter<App>> = BTreeMap::new();
    for operation in operations() {
        for (path, method) in operation.routes() {
            let route = routes.remove(path).unwrap_or_default();
            routes.insert(path, route.merge(method));
        }
    }
    routes
}

/// The routes with and without trailing slash, and what is beside them.
pub(crate) fn all() -> Router<App> {
    let router = Router::new();
    #[cfg(feature = "docs")]
    let router = router.merge(docs::routes());
    let router = table().into_iter().fold(router, |router, (path, methods)| {
        let methods = allow::told(methods);
        router.route(path, methods.clone()).route(&format!("{path}/"), methods)
    });
    router.fallback(server_or_nothing).method_not_allowed_fallback(unknown_method)
}

/// What is on no route.
pub(crate) async fn unknown_path() -> Problem {
    Problem::new("not-found", "there is nothing at this path")
}

async fn unknown_method() -> Problem {
    Problem::new(
        "method-not-allowed",
        "the resource does not know this method; the Allow header lists those it knows",
    )
}

/// What is on no route: nothing, or the server itself (`OPTIONS *`).
async fn server_or_nothing(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS && uri.path() == "*" {
        return allow::no_content(&METHODS.map(|method| method.to_string()).join(","));
    }
    unknown_path().await.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpOptions;
    use axum::body::Body;
    use axum::http::{HeaderMap, Request, StatusCode, header};
    use std::sync::Arc;
    use tower::ServiceExt;
    use trade_core::memory::MemoryStore;
    use trade_core::service::TradeService;

    async fn ask(router: &Router, method: &Method, path: &str) -> Response {
        let request = Request::builder().method(method).uri(path).header("x-request-id", "r");
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn told(headers: &HeaderMap) -> Vec<&str> {
        headers[header::ALLOW].to_str().unwrap().split(',').collect()
    }

    #[tokio::test]
    async fn every_path_tells_its_methods_and_head_is_one_where_get_is() {
        let service = TradeService::start(Arc::new(MemoryStore::new())).await.unwrap();
        let router = crate::router(service, HttpOptions::default());
        for (template, _) in table() {
            let path = template.replace(['{', '}'], "");
            let options = ask(&router, &Method::OPTIONS, &path).await;
            assert_eq!(options.status(), StatusCode::NO_CONTENT, "{path}");
            let told = told(options.headers());
            assert!(told.contains(&"OPTIONS") && told.len() > 1, "{path}: {told:?}");
            for method in METHODS {
                let answer = ask(&router, &method, &path).await;
                let is_known = answer.status() != StatusCode::METHOD_NOT_ALLOWED;
                assert_eq!(told.contains(&method.as_str()), is_known, "{method} {path}: {told:?}");
            }
            if told.contains(&"GET") {
                let get = ask(&router, &Method::GET, &path).await;
                let mut head = ask(&router, &Method::HEAD, &path).await;
                if let Some(length) = get.headers().get(header::CONTENT_LENGTH) {
                    // That of metrics changes with what is asked.
                    let replaced = head.headers_mut().insert(header::CONTENT_LENGTH, length.clone());
                    assert!(replaced.is_some_and(|length| length != "0"), "{path}");
                }
                assert_eq!((head.status(), head.headers()), (get.status(), get.headers()), "{path}");
                assert!(axum::body::to_bytes(head.into_body(), 0).await.unwrap().is_empty());
            }
        }
    }

    #[tokio::test]
    async fn the_server_itself_has_all_methods() {
        let service = TradeService::start(Arc::new(MemoryStore::new())).await.unwrap();
        let router = crate::router(service, HttpOptions::default());
        let options = ask(&router, &Method::OPTIONS, "*").await;
        assert_eq!(options.status(), StatusCode::NO_CONTENT);
        assert_eq!(told(options.headers()), ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS"]);
        assert_eq!(ask(&router, &Method::OPTIONS, "/nowhere").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(ask(&router, &Method::GET, "*").await.status(), StatusCode::NOT_FOUND);
    }
}
