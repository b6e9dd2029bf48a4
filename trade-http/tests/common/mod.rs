//! A network in memory behind its router, and short ways to ask it.
#![allow(dead_code, unreachable_pub, missing_debug_implementations, clippy::unwrap_used)]

pub mod broken;
pub mod described;
pub mod frames;
pub mod guarded;
pub mod sse;
pub mod tls;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;
use trade_core::memory::MemoryStore;
use trade_core::service::TradeService;
use trade_http::{HttpOptions, MetricsText, Shutdown, router};

pub struct Network {
    pub service: TradeService,
    pub shutdown: Shutdown,
    pub router: Router,
    pub recorder: &'static PrometheusRecorder,
}

/// What came back.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Got {
    pub async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Self { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.into()).unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The path that `Location`, which must hold under any prefix, names for a client that asked for this one.
    #[track_caller]
    pub fn location(&self, path: &str) -> String {
        let location = self.header("location");
        assert!(!location.is_empty() && !location.starts_with('/'), "{location}");
        assert_eq!(url::Url::parse(location), Err(url::ParseError::RelativeUrlWithoutBase), "{location}");
        let asked = url::Url::parse("http://network.example").unwrap().join(path).unwrap();
        asked.join(location).unwrap().path().to_owned()
    }

    /// The body, once the status is what it must be.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }

    /// The problem, once it is complete and of this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["message"], problem["detail"]);
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        for member in ["type", "title", "detail", "instance", "requestId"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        problem
    }

    /// The fields at fault, once it is an invalid request.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        let problem = self.problem(422, "invalid-request");
        let errors = problem["errors"].as_array().unwrap();
        assert!(errors.iter().all(|error| error["detail"].is_string()));
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }
}

impl Network {
    pub async fn new() -> Self {
        Self::with(HttpOptions::default()).await
    }

    pub async fn with(options: HttpOptions) -> Self {
        let service = TradeService::start(Arc::new(MemoryStore::new())).await.unwrap();
        Self::of(service, options)
    }

    pub fn of(service: TradeService, options: HttpOptions) -> Self {
        let shutdown = options.shutdown.clone();
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let handle = recorder.handle();
        let options = HttpOptions { metrics: Some(MetricsText::new(move || handle.render())), ..options };
        let router = metrics::with_local_recorder(recorder, || router(service.clone(), options));
        Self { router, service, shutdown, recorder }
    }

    /// What happens on this thread from now on is in the metrics of this network.
    pub fn record(&self) -> LocalRecorderGuard<'static> {
        metrics::set_default_local_recorder(self.recorder)
    }

    /// With stations `ceres` and `vesta`, each holding 100 of `fuel` and `ore`.
    pub async fn stocked() -> Self {
        let network = Self::new().await;
        network.stock().await;
        network
    }

    pub async fn stock(&self) {
        for station in ["ceres", "vesta"] {
            let items = json!([{"itemId": "fuel", "quantity": 100}, {"itemId": "ore", "quantity": 100}]);
            self.post("/api/inventory", json!({"stationId": station, "items": items})).await.expect(201);
        }
    }

    pub async fn head(&self) -> u64 {
        self.service.store().head().await.unwrap().sequence
    }

    pub async fn send(&self, request: Request<Body>) -> Got {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let got = Got::of(self.send_unread(request).await).await;
        described::check(&method, &path, got.status.as_u16(), &got.headers, &got.text);
        got
    }

    /// The same; the body is left to the caller.
    pub async fn send_unread(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Any request, with a JSON body where it has one.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Got {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Got {
        self.ask("GET", path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Got {
        self.ask("POST", path, &[], Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Got {
        self.ask("PUT", path, &[], Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Got {
        self.ask("PATCH", path, &[], Some(body)).await
    }
}

/// A trade of one unit of fuel from ceres to vesta.
pub fn trade(id: &str) -> Value {
    json!({"transactionId": id, "buyer": "vesta", "seller": "ceres", "items": ["fuel"]})
}
