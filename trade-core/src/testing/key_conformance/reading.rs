//! What was stored is found, by its id and in its place.

use super::KeyHarness;
use super::harness::{at, found, key_id, viewer};
use crate::access::{ApiKey, KeyId, KeyStore, Role, Token};
use crate::testing::fixtures::{label, station};
use crate::values::{Scope, StationSet};

async fn listed(store: &dyn KeyStore, after: Option<&KeyId>, limit: usize) -> Vec<ApiKey> {
    store.keys(after, limit).await.expect("the keys can be listed")
}

/// Neither by an id nor in a list.
pub async fn nothing_is_found_in_an_empty_store(h: KeyHarness) {
    assert_eq!(found(h.store(), &key_id(1)).await, None);
    assert_eq!(listed(h.store(), None, 10).await, []);
    assert_eq!(listed(h.store(), Some(&key_id(1)), 10).await, []);
}

/// With everything that a key can have, and with as little as one can, from both handles.
pub async fn a_key_is_read_back_as_it_was_stored(h: KeyHarness) {
    let full = ApiKey {
        name: Some(label("Überwachung 監視 🔑")),
        roles: Role::ALL.iter().copied().collect(),
        stations: Scope::of([station("ceres"), station("Ceres"), station("vesta.2")]).expect("a scope"),
        previous: Some((Token::new(key_id(1), [2; 32]).digest(), at(60))),
        expires_at: Some(at(3_600)),
        revoked_at: Some(at(1_800)),
        ..viewer(1)
    };
    let least = ApiKey { roles: [].into(), stations: Scope::nothing(), ..viewer(2) };
    let other = h.reopened().await;
    for key in [&full, &least] {
        h.put(key).await;
        assert_eq!(h.key(&key.id).await, *key);
        assert_eq!(found(&*other, &key.id).await.as_ref(), Some(key));
    }
    assert_eq!(found(h.store(), &key_id(3)).await, None);
}

/// Of the longest ids, as many as a set holds.
pub async fn a_scope_of_a_thousand_stations_is_kept(h: KeyHarness) {
    let name = |number: usize| station(&format!("{number:0>128}"));
    let stations = Scope::of((0..StationSet::COUNT_MAX).map(name)).expect("a scope");
    let key = ApiKey { stations, ..viewer(1) };
    h.put(&key).await;
    assert_eq!(h.key(&key.id).await, key);
    assert_eq!(listed(&*h.reopened().await, None, 1).await, [key]);
}

/// Ascending, behind an id whether there is such a key or not, however they were stored.
pub async fn keys_are_listed_by_their_ids(h: KeyHarness) {
    let ids =
        ["000000000000", "0a0000000000", "a00000000000", "a00000000001", "aa0000000000", "z00000000000"];
    let ids = ids.map(|id| KeyId::new(id).expect("an id of a key"));
    for place in [3, 0, 5, 1, 4, 2] {
        h.put(&ApiKey { id: ids[place].clone(), ..viewer(1) }).await;
    }
    let page = async |after: Option<&KeyId>, limit| {
        listed(h.store(), after, limit).await.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10).await, ids);
    assert_eq!(page(None, 2).await, ids[..2]);
    assert_eq!(page(Some(&ids[1]), 3).await, ids[2..5]);
    assert_eq!(page(Some(&ids[4]), 3).await, ids[5..]);
    assert_eq!(page(Some(&ids[5]), 3).await, []);
    let absent = KeyId::new("a0000000000z").expect("an id of a key");
    assert_eq!(page(Some(&absent), 1).await, ids[4..5]);
}

/// With their uses and versions, page by page.
pub async fn what_is_listed_is_what_is_found(h: KeyHarness) {
    for number in 0..25 {
        h.put(&viewer(number)).await;
    }
    h.put(&ApiKey { version: 2, name: Some(label("ops")), ..viewer(7) }).await;
    h.store().note_use(&[(key_id(7), at(5)), (key_id(8), at(6))]).await.expect("their use is noted");
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = listed(h.store(), after.as_ref(), 10).await;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        all.extend(page);
    }
    assert_eq!(all.len(), 25);
    for key in &all {
        assert_eq!(h.key(&key.id).await, *key);
    }
    assert_eq!((all[7].version, all[7].last_used_at, all[8].last_used_at), (2, Some(at(5)), Some(at(6))));
}
