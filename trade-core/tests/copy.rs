//! Copies of a network: the same, and never dated ahead.

use std::sync::Arc;
use std::time::Duration;
use trade_core::access::{ApiKeys, KeyStore, NewKey, Role};
use trade_core::clock::{ManualClock, UuidV7};
use trade_core::copy::{Copied, CopyError, copy, copy_keys};
use trade_core::memory::MemoryStore;
use trade_core::service::{ServiceOptions, TradeService};
use trade_core::store::{EventLog, StoreErrorKind};
use trade_core::testing::fixtures::start_time;
use trade_core::testing::snapshot::Snapshot;
use trade_core::testing::workload::Workload;
use trade_core::values::Scope;
use trade_core::verify::verify;

/// A network whose clock went ten years ahead half-way.
async fn network() -> Arc<MemoryStore> {
    let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(ManualClock::new(start_time())));
    let options = ServiceOptions::default();
    let service = TradeService::start_with(store.clone(), clock.clone(), Arc::new(UuidV7), options).await;
    let service = service.expect("it starts");
    Workload::new(7, 300).run(std::slice::from_ref(&service)).await;
    clock.advance(Duration::from_secs(3_650 * 86_400));
    Workload::new(8, 300).run(std::slice::from_ref(&service)).await;
    service.shutdown().await;
    store
}

#[tokio::test]
async fn a_copy_is_the_same_network() {
    let (store, other) = (network().await, MemoryStore::new());
    let head = store.head().await.expect("a head");
    let copied = copy(&*store, &other, head.time).await.expect("it is copied");
    assert_eq!((copied.events, copied.redated), (head.sequence, 0));
    assert_eq!(verify(&other).await.expect("it is whole").steps, copied.steps);
    assert_eq!(Snapshot::of(&other).await, Snapshot::of(&*store).await);
}

#[tokio::test]
async fn a_copy_is_dated_no_later_than_it_may_be_and_else_as_it_was() {
    let (store, other, latest) =
        (network().await, MemoryStore::new(), start_time().plus(Duration::from_secs(60)));
    let copied = copy(&*store, &other, latest).await.expect("it is copied");
    verify(&other).await.expect("it is whole");
    let (before, after) = (Snapshot::of(&*store).await.events(), Snapshot::of(&other).await.events());
    assert_eq!(before.len(), after.len());
    let mut redated = 0;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.time, before.time.min(latest));
        assert_eq!(
            (after.sequence, after.event_type, &after.actor),
            (before.sequence, before.event_type, &before.actor)
        );
        redated += u64::from(before.time != after.time);
    }
    assert!(redated > 0 && copied.redated > 0 && copied.redated < copied.steps);
    assert_eq!(other.head().await.expect("a head").time, latest);
}

#[tokio::test]
async fn only_an_empty_store_is_copied_into() {
    let store = network().await;
    let result = copy(&*store, &*store, start_time()).await;
    assert!(matches!(result, Err(CopyError::NotEmpty(sequence)) if sequence > 0), "{result:?}");
    let copied = copy(&MemoryStore::new(), &MemoryStore::new(), start_time()).await;
    assert_eq!(copied.expect("nothing is copied"), Copied::default());
}

/// Their tokens stay, and so does who was shut out; a copy is made once.
#[tokio::test]
async fn keys_let_in_at_the_copy_whom_they_let_in_before() {
    let (store, other) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let (keys, copies, now) = (ApiKeys::new(store.clone()), ApiKeys::new(other.clone()), start_time());
    let mut tokens = Vec::new();
    for _ in 0..1_100 {
        tokens.push(keys.create(NewKey::new([Role::Viewer], Scope::All), now).await.expect("a key").1);
    }
    keys.revoke(tokens[0].id(), now).await.expect("it is there");
    store.note_use(&[(tokens[1].id().clone(), now)]).await.expect("its use is noted");
    assert_eq!(copy_keys(&*store, &*other).await.expect("they are copied"), 1_100);
    assert!(copies.check(&tokens[0], now).await.is_err());
    assert_eq!(copies.check(&tokens[1], now).await.expect("it lets in").last_used_at, Some(now));
    for token in &tokens[2..] {
        assert_eq!(
            copies.check(token, now).await.expect("it lets in"),
            keys.check(token, now).await.expect("and here")
        );
    }
    let again = copy_keys(&*store, &*other).await;
    assert_eq!(again.expect_err("they are there").kind, StoreErrorKind::Conflict);
}
