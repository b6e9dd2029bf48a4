//! The plan sent to a running server.

use super::library::add_from_world;
use super::plan::Opening;
use super::target::{Failure, Made, Reply, Target};
use async_trait::async_trait;
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use trade_core::command::{AdjustInventory, Adjustment, InitiateTrade};
use trade_core::resource::{Inventory, LedgerEntry};
use trade_core::values::{ItemId, StationId, TransactionId};

const LEDGER_PAGE: usize = 500;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A request that takes longer is given up, and sent again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Below the time after which servers close a connection that is not used, so that none is closed under a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A server of the network.
#[derive(Debug)]
pub(crate) struct Server {
    client: Client,
    api: String,
}

/// What a server said.
struct Answered {
    status: StatusCode,
    replayed: bool,
    body: Value,
}

impl Answered {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    fn failure(&self) -> Failure {
        let why = format!("{}: {}", self.status, problem(&self.body));
        let busy = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            || self.code() == "idempotency-in-progress";
        if busy { Failure::Busy(why) } else { Failure::Final(why) }
    }

    fn expect(self, status: StatusCode) -> Result<Value, Failure> {
        if self.status == status { Ok(self.body) } else { Err(self.failure()) }
    }
}

/// A problem document in one line.
fn problem(body: &Value) -> String {
    let words = |field: &str| body[field].as_str().unwrap_or("?").to_owned();
    format!("{}: {}", words("code"), words("detail"))
}

impl Server {
    /// A server by its address, `http://host:port`.
    ///
    /// # Errors
    /// One line that says what is wrong with the address.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let parsed = Url::parse(url).map_err(|error| format!("--url {url:?}: {error}"))?;
        if parsed.scheme() != "http" || !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
            return Err(format!("--url {url:?}: must be http://host:port"));
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self { client, api: format!("{}/api", url.trim_end_matches('/')) })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.api))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answered, Failure> {
        // Whatever keeps an answer from coming, the request may be sent again.
        let lost = |error: reqwest::Error| {
            let mut why = error.to_string();
            let mut next = std::error::Error::source(&error);
            while let Some(cause) = next {
                why = format!("{why}: {cause}");
                next = cause.source();
            }
            Failure::Busy(why)
        };
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let replayed = response.headers().contains_key("idempotency-replayed");
        let body = response.bytes().await.map_err(lost)?;
        let body = serde_json::from_slice(&body).map_err(|error| {
            Failure::Final(format!("{status}, and no JSON ({error}): is this a trade network?"))
        })?;
        Ok(Answered { status, replayed, body })
    }

    async fn get(&self, path: &str) -> Result<Answered, Failure> {
        self.send(self.request(Method::GET, path)).await
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|error| Failure::Final(format!("an answer of another form: {error}")))
}

fn cursor(page: &Value) -> Option<String> {
    page["nextCursor"].as_str().map(|cursor| format!("&cursor={cursor}"))
}

#[async_trait]
impl Target for Server {
    async fn create_station(&self, opening: &Opening) -> Result<Made, Failure> {
        let Opening { station, name, items } = opening;
        let item = |(item, quantity): &(ItemId, _)| json!({"itemId": item, "quantity": quantity});
        let items: Vec<_> = items.iter().map(item).collect();
        let body = json!({"stationId": station, "name": name, "items": items});
        let answer = self.send(self.request(Method::POST, "/inventory").json(&body)).await?;
        if answer.code() != "station-exists" {
            return answer.expect(StatusCode::CREATED).map(|_| Made::Now);
        }
        let found = self.get(&format!("/inventory/{station}?limit=1")).await?.expect(StatusCode::OK)?;
        match found["inventory"]["name"].as_str() {
            Some(found) if found == name.as_str() => Ok(Made::Before),
            other => Err(Failure::other_replay(opening, other)),
        }
    }

    async fn trades(&self, trades: &[InitiateTrade]) -> Result<Vec<Reply>, Failure> {
        let trade = |trade: &InitiateTrade| {
            json!({
                "transactionId": trade.transaction_id, "buyer": trade.buyer, "seller": trade.seller,
                "items": trade.items, "settlement": trade.settlement, "ETA": trade.eta,
            })
        };
        let body = json!({"trades": trades.iter().map(trade).collect::<Vec<_>>()});
        let answer = self.send(self.request(Method::POST, "/trades/batch").json(&body)).await?;
        let answer = answer.expect(StatusCode::OK)?;
        let results: Vec<Value> = read(&answer["results"])?;
        if results.len() != trades.len() {
            return Err(Failure::Final(format!("{} results for {} trades", results.len(), trades.len())));
        }
        let reply = |result: &Value| match result["status"].as_u64() {
            Some(201) => Ok(Made::Now),
            Some(200) => Ok(Made::Before),
            _ => Err(problem(&result["problem"])),
        };
        Ok(results.iter().map(reply).collect())
    }

    async fn adjust(&self, adjustment: &AdjustInventory, key: &str) -> Result<Made, Failure> {
        let line = |line: &Adjustment| json!({"itemId": line.item_id, "delta": line.delta, "reason": line.reason.movement()});
        let adjustments: Vec<_> = adjustment.adjustments.iter().map(line).collect();
        let request = self
            .request(Method::PATCH, &format!("/inventory/{}", adjustment.station_id))
            .header("Idempotency-Key", key)
            .json(&json!({"adjustments": adjustments}));
        let answer = self.send(request).await?;
        let made = if answer.replayed { Made::Before } else { Made::Now };
        answer.expect(StatusCode::OK).map(|_| made)
    }

    async fn knows_trade(&self, id: &TransactionId) -> Result<bool, Failure> {
        let answer = self.get(&format!("/trades/{id}")).await?;
        if answer.code() == "trade-not-found" {
            return Ok(false);
        }
        answer.expect(StatusCode::OK).map(|_| true)
    }

    async fn on_hand(&self, station: &StationId) -> Result<BTreeMap<ItemId, u64>, Failure> {
        let mut levels = BTreeMap::new();
        let mut next = Some(String::new());
        while let Some(cursor_part) = next {
            let path = format!("/inventory/{station}?limit={}{cursor_part}", Inventory::ITEMS_MAX);
            let page = self.get(&path).await?.expect(StatusCode::OK)?;
            let inventory: Inventory = read(&page["inventory"])?;
            levels.extend(inventory.items.into_iter().map(|item| (item.item_id, item.level.on_hand)));
            next = cursor(&page);
        }
        Ok(levels)
    }

    async fn brought_in(&self, station: &StationId) -> Result<BTreeMap<ItemId, i128>, Failure> {
        let mut sums = BTreeMap::new();
        let mut next = Some(String::new());
        while let Some(cursor_part) = next {
            let path = format!("/inventory/{station}/ledger?limit={LEDGER_PAGE}{cursor_part}");
            let page = self.get(&path).await?.expect(StatusCode::OK)?;
            let entries: Vec<LedgerEntry> = read(&page["entries"])?;
            entries.iter().for_each(|entry| add_from_world(&mut sums, entry));
            next = cursor(&page);
        }
        Ok(sums)
    }

    async fn close(&self) {}
}
