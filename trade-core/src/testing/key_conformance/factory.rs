use crate::access::{KeyId, KeyStore};
use crate::testing::conformance::InProcess;
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;

/// Makes stores of keys for the suite. Each case has a factory of its own.
#[async_trait]
pub trait KeyStoreFactory: Send + Sync + fmt::Debug {
    /// A store without keys. Called once.
    async fn open(&self) -> Arc<dyn KeyStore>;

    /// A second handle on what [`open`](Self::open) made, as another process would have it. Of a store that only one
    /// process can have open, it is the same handle again.
    async fn reopen(&self) -> Arc<dyn KeyStore>;

    /// Puts other bytes in the place of those that [`ApiKey::encode`](crate::access::ApiKey::encode) gave for a key that is
    /// stored, behind the back of the store. Answers false where nobody can: where a key is never bytes.
    async fn overwrite(&self, _id: &KeyId, _record: &[u8]) -> bool {
        false
    }

    /// Removes what [`open`](Self::open) made, after the case, whether it failed or not.
    async fn close(&self) {}
}

#[async_trait]
impl<S: KeyStore + 'static> KeyStoreFactory for InProcess<S> {
    async fn open(&self) -> Arc<dyn KeyStore> {
        self.store()
    }

    async fn reopen(&self) -> Arc<dyn KeyStore> {
        self.store()
    }
}
