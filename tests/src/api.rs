//! A client of the server's REST interface.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// A client of one server. Cheap to clone; connections are kept.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Reply {
    /// The `code` of a problem.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Api {
    /// A client of the server at `url`.
    pub fn new(url: &str) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(30)).no_proxy().build();
        Self { client: client.expect("a client without TLS can be made"), base: url.to_owned() }
    }

    /// Sends a request; an error is one of the connection.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, reqwest::Error> {
        self.send_with(method, path, &[], body).await
    }

    /// The same with headers.
    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await?;
        Ok(Reply { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    /// GET that must be answered.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await.expect("the server answers")
    }

    /// POST that must be answered.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(body)).await.expect("the server answers")
    }

    /// PATCH that must be answered.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, Some(body)).await.expect("the server answers")
    }

    /// A new station with so many units of an item.
    pub async fn station(&self, id: &str, item: &str, quantity: u64) {
        let items = if quantity == 0 { json!([]) } else { json!([{"itemId": item, "quantity": quantity}]) };
        let reply = self.post("/api/inventory", &json!({"stationId": id, "items": items})).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{:?}", reply.body);
    }

    /// The level of an item at a station.
    pub async fn level(&self, station: &str, item: &str) -> Value {
        let reply = self.get(&format!("/api/inventory/{station}?itemId={item}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
        reply.body["inventory"]["items"][0].clone()
    }

    /// The newest sequence, found by polling to the end.
    pub async fn newest(&self) -> u64 {
        let mut after = 0;
        loop {
            let reply = self.get(&format!("/api/updates?limit=500&after={after}")).await;
            let next = reply.body["nextAfter"].as_u64().expect("nextAfter is a sequence");
            if next == after {
                return after;
            }
            after = next;
        }
    }
}

/// The body of a trade of one unit of one item.
pub fn one_unit(id: &str, seller: &str, buyer: &str, item: &str) -> Value {
    json!({"transactionId": id, "seller": seller, "buyer": buyer, "items": [{"itemId": item, "quantity": 1}]})
}
