//! A network with access on.

use super::{Got, Network};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use trade_core::access::{ApiKey, ApiKeys, KeyId, KeyStore, NewKey, Role, Token};
use trade_core::memory::MemoryStore;
use trade_core::service::TradeService;
use trade_core::store::{StoreError, StoreErrorKind};
use trade_core::values::{Scope, Timestamp};
use trade_http::HttpOptions;
use trade_http::access::Authenticator;

/// Keys that can be away, and count how often they are read.
#[derive(Debug)]
pub struct Keys {
    pub store: MemoryStore,
    pub is_away: AtomicBool,
    pub is_damaged: AtomicBool,
    pub reads: AtomicUsize,
}

impl Keys {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(),
            is_away: AtomicBool::new(false),
            is_damaged: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
        })
    }

    fn check(&self) -> Result<(), StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let away =
            || StoreError::new(StoreErrorKind::Unavailable, "test", "read a key", "secret host is away");
        if self.is_away.load(Ordering::Relaxed) { Err(away()) } else { self.check_whole() }
    }

    fn check_whole(&self) -> Result<(), StoreError> {
        let detail = "secret bytes are wrong";
        let damaged = || StoreError::new(StoreErrorKind::Corrupt, "test", "read a key", detail);
        if self.is_damaged.load(Ordering::Relaxed) { Err(damaged()) } else { Ok(()) }
    }
}

#[async_trait]
impl KeyStore for Keys {
    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.check()?;
        self.store.key(id).await
    }

    async fn keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
        self.check_whole()?;
        self.store.keys(after, limit).await
    }

    async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.check_whole()?;
        self.store.put_key(key).await
    }

    async fn note_use(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        self.store.note_use(used).await
    }
}

/// A network with access on, and its keys.
pub struct Guarded {
    pub network: Network,
    pub store: Arc<Keys>,
    pub keys: ApiKeys,
}

impl Guarded {
    pub async fn new() -> Self {
        let service = TradeService::start(Arc::new(MemoryStore::new())).await.unwrap();
        Network::of(service.clone(), HttpOptions::default()).stock().await;
        let store = Keys::new();
        let keys = ApiKeys::new(store.clone());
        let access = Some(Authenticator::new().with_keys(keys.clone()));
        let network = Network::of(service, HttpOptions { access, ..HttpOptions::default() });
        Self { network, store, keys }
    }

    pub async fn key(&self, role: Role) -> Token {
        self.keys.create(NewKey::new([role], Scope::All), self.network.service.now()).await.unwrap().1
    }

    /// A ticket for whoever has this key.
    pub async fn ticket(&self, token: &Token) -> String {
        let headers = [("authorization", bearer(token))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let given = self.network.ask("POST", "/api/updates/ticket", &headers, None).await.expect(201);
        given["ticket"].as_str().unwrap().to_owned()
    }

    /// The same network, where nobody is asked who they are.
    pub fn service_owner(&self) -> Network {
        Network::of(self.network.service.clone(), HttpOptions::default())
    }

    pub async fn get(&self, path: &str, authorization: &str) -> Got {
        self.network.ask("GET", path, &[("authorization", authorization)], None).await
    }
}

pub fn bearer(token: &Token) -> String {
    format!("Bearer {}", token.reveal())
}
