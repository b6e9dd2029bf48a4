//! The memory store keeps the whole contract.

use async_trait::async_trait;
use std::sync::Arc;
use trade_core::memory::MemoryStore;
use trade_core::store::Store;
use trade_core::testing::conformance::StoreFactory;

#[derive(Debug)]
struct Memory;

#[async_trait]
impl StoreFactory for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new())
    }

    async fn reopen(&self) -> Option<Arc<dyn Store>> {
        None
    }
}

trade_core::conformance_suite!(memory, Memory);
