//! Each status that is described is provoked; that each which any test sees is described is checked by all of them.

#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use common::broken::Broken;
use common::described::OPENAPI;
use common::guarded::{Guarded, bearer};
use common::{Got, Network, trade};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trade_core::access::{KeyId, KeyStore, NewKey, Role};
use trade_core::memory::MemoryStore;
use trade_core::policy::{Action, Denial, Policy, Principal, State};
use trade_core::service::{ServiceOptions, TradeService};
use trade_core::store::StoreErrorKind;
use trade_core::values::Scope;
use trade_http::{AllowedHosts, Connections, HttpOptions};

/// An operation as it is described, and how it is asked for.
#[derive(Debug)]
struct Operation {
    id: &'static str,
    method: String,
    path: String,
    body: Option<Value>,
    statuses: Vec<u16>,
}

fn operations() -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in OPENAPI["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut path = path.clone();
            for parameter in operation["parameters"].as_array().unwrap() {
                if parameter["in"] == "path" {
                    let name = parameter["name"].as_str().unwrap();
                    path = path.replace(&format!("{{{name}}}"), parameter["example"].as_str().unwrap());
                }
            }
            let body = operation["requestBody"]["content"]["application/json"].get("example").cloned();
            let statuses = operation["responses"].as_object().unwrap().keys();
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap(),
                method: method.to_uppercase(),
                path,
                body,
                statuses: statuses.map(|status| status.parse().unwrap()).collect(),
            });
        }
    }
    operations
}

/// Refuses everything in one way, from some moment on.
#[derive(Debug)]
struct Refusing(Denial, AtomicBool);

impl Policy for Refusing {
    fn check(&self, _: &Principal, _: &Action<'_>, _: &State<'_>) -> Result<(), Denial> {
        if self.1.load(Ordering::Relaxed) { Err(self.0.clone()) } else { Ok(()) }
    }

    fn scope(&self, _: &Principal) -> Scope {
        Scope::All
    }
}

impl Operation {
    /// A network in which it succeeds.
    async fn ready(&self) -> Network {
        self.prepare(Network::new().await).await
    }

    async fn prepare(&self, network: Network) -> Network {
        if self.id != "createStation" {
            network.stock().await;
        }
        if !matches!(self.id, "createStation" | "initiateTrade") {
            let mut pending = trade("T-1");
            pending["settlement"] = json!("on_delivery");
            network.post("/api/trades", pending).await.expect(201);
        }
        network
    }

    async fn ask(&self, network: &Network) -> Got {
        self.ask_with(network, &[]).await
    }

    async fn ask_with(&self, network: &Network, headers: &[(&str, &str)]) -> Got {
        if self.id == "streamUpdates" {
            let request = headers
                .iter()
                .fold(Request::get(&self.path), |request, (name, value)| request.header(*name, *value));
            let response = network.send_unread(request.body(Body::empty()).unwrap()).await;
            if response.status() == StatusCode::OK {
                // It does not end.
                let (parts, _) = response.into_parts();
                return Got { status: parts.status, headers: parts.headers, text: String::new() };
            }
        }
        network.ask(&self.method, &self.path, headers, self.body.clone()).await
    }

    async fn under(&self, policy: Denial) -> Got {
        let policy = Arc::new(Refusing(policy, AtomicBool::new(false)));
        let options = ServiceOptions { policy: policy.clone(), ..ServiceOptions::default() };
        let service = TradeService::start_with_options(Arc::new(MemoryStore::new()), options).await.unwrap();
        let network = self.prepare(Network::of(service, HttpOptions::default())).await;
        policy.1.store(true, Ordering::Relaxed);
        self.ask(&network).await
    }

    async fn with_store(&self, kind: StoreErrorKind) -> Got {
        let service = TradeService::start(Arc::new(Broken::Failing(kind))).await.unwrap();
        self.ask(&Network::of(service, HttpOptions { streams_max: 0, ..HttpOptions::default() })).await
    }

    async fn at_hosts(&self, hosts: &[(&str, &str)]) -> Got {
        let options = HttpOptions { allowed_hosts: AllowedHosts::loopback(), ..HttpOptions::default() };
        self.ask_with(&Network::with(options).await, hosts).await
    }

    async fn with_body(&self, content_type: &str, body: Body) -> Got {
        let request = Request::builder().method(&*self.method).uri(&self.path);
        let request = request.header("content-type", content_type).body(body).unwrap();
        let options = HttpOptions { request_timeout: Duration::from_millis(50), ..HttpOptions::default() };
        Network::with(options).await.send(request).await
    }

    async fn provoke(&self, status: u16) -> Got {
        if self.path.starts_with("/api/keys") && [200, 201, 403, 409, 422, 500, 503].contains(&status) {
            return self.provoke_of_keys(status).await;
        }
        let network = self.ready().await;
        match status {
            200 if matches!(self.id, "initiateTrade" | "createCargo") => {
                self.ask(&network).await.expect(201);
                self.ask(&network).await
            }
            200 | 201 => self.ask(&network).await,
            304 => self.ask_with(&network, &[("if-none-match", "*")]).await,
            400 => self.at_hosts(&[("host", "localhost"), ("host", "localhost")]).await,
            401 => self.ask(&Guarded::new().await.network).await,
            403 if self.path == "/metrics" => self.with_key(&Guarded::new().await, Role::Viewer).await,
            403 => self.under(Denial::Forbidden).await,
            404 if self.path == "/metrics" => {
                let router = trade_http::router(network.service.clone(), HttpOptions::default());
                self.ask(&Network { router, ..network }).await
            }
            404 => self.ask(&Network::new().await).await,
            408 => {
                let silence = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
                self.with_body("application/json", Body::from_stream(silence)).await
            }
            409 => self.under(Denial::Because("not today".into())).await,
            412 => self.ask_with(&network, &[("if-match", "\"99\"")]).await,
            413 => self.with_body("application/json", vec![b' '; (16 << 20) + 1].into()).await,
            415 => self.with_body("text/plain", "{}".into()).await,
            421 => self.at_hosts(&[("host", "elsewhere.example")]).await,
            422 if self.id == "streamUpdates" => self.ask_with(&network, &[("last-event-id", "x")]).await,
            422 => {
                network.ask(&self.method, &format!("{}?unknown=1", self.path), &[], self.body.clone()).await
            }
            429 => self.too_often().await,
            500 => self.with_store(StoreErrorKind::Corrupt).await,
            503 if self.path == "/health/ready" => {
                network.shutdown.begin();
                self.ask(&network).await
            }
            // Neither reads the store but for who asks.
            503 if ["streamUpdates", "createTicket"].contains(&self.id) => {
                let guarded = Guarded::new().await;
                guarded.store.is_away.store(true, Ordering::Relaxed);
                self.with_key(&guarded, Role::Admin).await
            }
            503 if self.path.starts_with("/api/") => self.with_store(StoreErrorKind::Unavailable).await,
            503 => self.by_a_connection_too_many().await,
            _ => panic!("nothing here provokes it"),
        }
    }

    /// The same of an operation on keys, for which a network must have some.
    async fn provoke_of_keys(&self, status: u16) -> Got {
        let guarded = Guarded::new().await;
        let (new, now) = (NewKey::new([Role::Viewer], Scope::All), guarded.network.service.now());
        let (mut key, _) = guarded.keys.create(new, now).await.unwrap();
        key.id = KeyId::new("a1b2c3d4e5f6").unwrap();
        guarded.store.put_key(&key).await.unwrap();
        match status {
            403 => return self.with_key(&guarded, Role::Viewer).await,
            409 => drop(guarded.keys.revoke(&key.id, now).await.unwrap()),
            500 => {
                // Who asks is known by then, for a moment.
                let authorization = bearer(&guarded.key(Role::Admin).await);
                let headers = [("authorization", &*authorization)];
                self.ask_with(&guarded.network, &headers).await;
                guarded.store.is_damaged.store(true, Ordering::Relaxed);
                return self.ask_with(&guarded.network, &headers).await;
            }
            503 => return self.by_a_connection_too_many().await,
            _ => {}
        }
        if status == 422 {
            let authorization = bearer(&guarded.key(Role::Admin).await);
            let (path, headers) = (format!("{}?unknown=1", self.path), [("authorization", &*authorization)]);
            return guarded.network.ask(&self.method, &path, &headers, self.body.clone()).await;
        }
        self.with_key(&guarded, Role::Admin).await
    }

    async fn too_often(&self) -> Got {
        let rate_limit = Some("1/1".parse().unwrap());
        let network = Network::with(HttpOptions { rate_limit, ..HttpOptions::default() }).await;
        for _ in 0..100 {
            let got = self.ask(&network).await;
            if got.status == 429 {
                return got;
            }
        }
        panic!("it is served each time")
    }

    async fn with_key(&self, guarded: &Guarded, role: Role) -> Got {
        let authorization = bearer(&guarded.key(role).await);
        self.ask_with(&guarded.network, &[("authorization", &authorization)]).await
    }

    async fn by_a_connection_too_many(&self) -> Got {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, peer) = listener.accept().await.unwrap();
        let connections = Connections::new(Network::new().await.router);
        let head = format!("{} {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", self.method, self.path);
        client.write_all(head.as_bytes()).await.unwrap();
        connections.turn_away(socket, peer, std::future::pending()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        Got { status, headers: Default::default(), text: answer }
    }
}

#[tokio::test]
async fn each_status_that_is_described_is_provoked() {
    let mut provoked = 0;
    for operation in operations() {
        for status in &operation.statuses {
            let got = operation.provoke(*status).await;
            assert_eq!(got.status.as_u16(), *status, "{operation:?}: {}", got.text);
            provoked += 1;
        }
    }
    assert!(provoked > 200, "{provoked}");
}
