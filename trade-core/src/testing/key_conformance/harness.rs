use super::factory::KeyStoreFactory;
use crate::access::{ApiKey, KeyId, KeyStore};
use crate::resource::Version;
use crate::store::{StoreError, StoreErrorKind};
use crate::testing::fixtures::{api_key, start_time};
use crate::values::Timestamp;
use std::sync::Arc;

/// What a case works with: a store without keys.
#[derive(Debug, Clone)]
pub struct KeyHarness {
    factory: Arc<dyn KeyStoreFactory>,
    store: Arc<dyn KeyStore>,
}

impl KeyHarness {
    /// Opens a fresh store.
    pub async fn open(factory: Arc<dyn KeyStoreFactory>) -> Self {
        let store = factory.open().await;
        Self { factory, store }
    }

    /// The store.
    pub fn store(&self) -> &dyn KeyStore {
        &*self.store
    }

    /// The store, to be shared.
    pub fn shared(&self) -> Arc<dyn KeyStore> {
        self.store.clone()
    }

    /// Another handle on the same keys, as [`KeyStoreFactory::reopen`] has it.
    pub async fn reopened(&self) -> Arc<dyn KeyStore> {
        self.factory.reopen().await
    }

    /// As [`KeyStoreFactory::overwrite`].
    pub async fn overwrite(&self, id: &KeyId, record: &[u8]) -> bool {
        self.factory.overwrite(id, record).await
    }

    /// Stores a key that must be taken.
    pub async fn put(&self, key: &ApiKey) {
        self.store.put_key(key).await.expect("the key is stored");
    }

    /// The key of this id, which must be there.
    pub async fn key(&self, id: &KeyId) -> ApiKey {
        found(&*self.store, id).await.expect("the key is there")
    }
}

pub(super) async fn found(store: &dyn KeyStore, id: &KeyId) -> Option<ApiKey> {
    store.key(id).await.expect("the keys can be read")
}

/// So many seconds after the start.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(start_time().millis() + seconds * 1_000).expect("a time")
}

/// The id of a number.
pub(super) fn key_id(number: usize) -> KeyId {
    KeyId::new(&format!("k{number:011}")).expect("an id of a key")
}

/// A viewer's key of this number, as it is made: of version 1.
pub(super) fn viewer(number: usize) -> ApiKey {
    api_key(key_id(number).as_str())
}

/// The key as of a version, revoked so many seconds after the start.
pub(super) fn revoked(key: &ApiKey, version: Version, seconds: i64) -> ApiKey {
    ApiKey { version, revoked_at: Some(at(seconds)), ..key.clone() }
}

/// What storing must come to where another version is there.
pub(super) fn assert_conflict(stored: Result<(), StoreError>) {
    assert_eq!(stored.expect_err("another version is stored").kind, StoreErrorKind::Conflict);
}
