//! Stores around other stores.

use std::sync::{Arc, Mutex};
use trade_core::memory::MemoryStore;
use trade_core::store::{Store, StoreError, StoreWrapper};
use trade_core::testing::conformance::InProcess;
use trade_core::values::Timestamp;
use trade_core::view::View;

/// Notes what it is asked for, and changes nothing.
#[derive(Debug)]
struct Noting {
    inner: Arc<dyn Store>,
    asked: Mutex<Vec<&'static str>>,
}

impl Noting {
    fn new() -> Self {
        // Shared twice over: that too is a store.
        let shared: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Self { inner: Arc::new(shared), asked: Mutex::default() }
    }
}

impl StoreWrapper for Noting {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn pass_on<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.asked.lock().expect("no panic").push(operation);
        call.await
    }
}

#[tokio::test]
async fn a_wrapper_sees_every_call_and_the_commit_of_a_held_head() {
    let noting = Noting::new();
    let store: &dyn Store = &noting;
    store.head().await.expect("it can be read");
    let nothing = View::empty().commit(Timestamp::EPOCH, vec![], vec![]);
    let held = store.hold().await.expect("nobody holds it");
    held.commit(&nothing).await.expect("it lands");
    store.commit(&nothing).await.expect("it lands");
    assert_eq!(*noting.asked.lock().expect("no panic"), ["head", "hold", "commit", "commit"]);
    assert_eq!(store.name(), "memory");
}

trade_core::conformance_suite!(wrapped, InProcess::new(Noting::new));
