//! Of two who store a version, one does.

use super::KeyHarness;
use super::harness::{assert_conflict, at, found, key_id, revoked, viewer};
use crate::access::{ApiKey, Role};
use crate::store::StoreErrorKind;
use crate::testing::fixtures::label;

/// Writers at once, half of them through another handle.
const WRITERS: usize = 12;
const ROUNDS: usize = 5;

/// A later version of what is not there is a conflict, and so is a first version of what is.
pub async fn the_first_version_is_of_a_key_that_is_not_there(h: KeyHarness) {
    let key = viewer(1);
    assert_conflict(h.store().put_key(&ApiKey { version: 2, ..key.clone() }).await);
    assert_eq!(found(h.store(), &key.id).await, None);
    h.put(&key).await;
    assert_conflict(h.store().put_key(&key).await);
    assert_conflict(h.store().put_key(&ApiKey { roles: [Role::Admin].into(), ..key.clone() }).await);
    assert_eq!(h.key(&key.id).await, key);
}

/// Neither of an earlier one, nor of a later one; and everything but the id can change.
pub async fn a_change_is_of_the_version_before_it(h: KeyHarness) {
    let (key, other) = (viewer(1), viewer(2));
    h.put(&key).await;
    h.put(&other).await;
    let second = revoked(&ApiKey { name: Some(label("ops")), ..key.clone() }, 2, 1);
    h.put(&second).await;
    for version in [1, 2, 4] {
        assert_conflict(h.store().put_key(&revoked(&key, version, 2)).await);
        assert_eq!(h.key(&key.id).await, second);
    }
    h.put(&revoked(&key, 3, 3)).await;
    assert_eq!(h.key(&key.id).await, revoked(&key, 3, 3));
    assert_eq!(h.key(&other.id).await, other);
}

/// At once: whoever was shut out somewhere is shut out everywhere.
pub async fn a_change_is_seen_by_another_handle(h: KeyHarness) {
    let (key, other) = (viewer(1), h.reopened().await);
    h.put(&key).await;
    assert_eq!(found(&*other, &key.id).await.as_ref(), Some(&key));
    h.put(&revoked(&key, 2, 1)).await;
    assert_eq!(found(&*other, &key.id).await, Some(revoked(&key, 2, 1)));
    other.put_key(&revoked(&key, 3, 2)).await.expect("the other changes it as well");
    assert_eq!(h.key(&key.id).await, revoked(&key, 3, 2));
}

/// Stores these at once, by two handles. One is stored, and all others are told so; answers which.
async fn race(h: &KeyHarness, candidates: Vec<ApiKey>) -> ApiKey {
    let handles = [h.shared(), h.reopened().await];
    let writers = candidates.into_iter().enumerate().map(|(place, key)| {
        let store = handles[place % 2].clone();
        tokio::spawn(async move { (store.put_key(&key).await, key) })
    });
    let mut stored = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.expect("no writer panics") {
            (Ok(()), key) => stored.push(key),
            (Err(error), _) => assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}"),
        }
    }
    assert_eq!(stored.len(), 1, "as many were told that theirs was stored");
    stored.remove(0)
}

/// And it is the one that was told so.
pub async fn of_many_who_create_one_key_one_does(h: KeyHarness) {
    for round in 0..ROUNDS {
        let named = |writer| ApiKey { name: Some(label(&format!("writer {writer}"))), ..viewer(round) };
        let stored = race(&h, (0..WRITERS).map(named).collect()).await;
        assert_eq!(h.key(&key_id(round)).await, stored);
    }
}

/// The same of each further version.
pub async fn of_many_who_change_one_key_one_does(h: KeyHarness) {
    let key = viewer(1);
    h.put(&key).await;
    for version in (2..).take(ROUNDS) {
        let changed = |seconds| ApiKey { expires_at: Some(at(seconds)), ..revoked(&key, version, seconds) };
        let stored = race(&h, (0..).take(WRITERS).map(changed).collect()).await;
        assert_eq!(h.key(&key.id).await, stored);
    }
}
