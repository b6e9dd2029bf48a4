//! `OPTIONS`: the methods that a path has (RFC 9110 §9.3.7).

use crate::app::App;
use crate::routes;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tower::ServiceExt;

/// The methods of the interface.
pub(crate) const METHODS: [Method; 5] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH];

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

/// What is on no route: nothing, or the server itself (`OPTIONS *`).
pub(crate) async fn server_or_nothing(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS && uri.path() == "*" {
        return no_content(&METHODS.map(|method| method.to_string()).join(","));
    }
    routes::unknown_path().await.into_response()
}

fn no_content(methods: &str) -> Response {
    (StatusCode::NO_CONTENT, [(header::ALLOW, format!("{methods},OPTIONS"))]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpOptions;
    use axum::Router;
    use axum::http::HeaderMap;
    use std::sync::Arc;
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
        for (template, _) in routes::table() {
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
