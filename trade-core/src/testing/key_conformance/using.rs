//! When a key was used last stands beside it, and is no part of what changes it.

use super::KeyHarness;
use super::harness::{at, found, key_id, revoked, viewer};
use crate::access::{ApiKey, KeyId};
use crate::values::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// More than are noted by one statement.
const MANY: usize = 250;
const CHANGES: i64 = 30;
/// Between two of them, so that uses come between as well.
const PAUSE: Duration = Duration::from_millis(1);

async fn note(h: &KeyHarness, used: &[(KeyId, Timestamp)]) {
    h.store().note_use(used).await.expect("their use is noted");
}

/// Whichever is told last, also within one call, and by another handle.
pub async fn the_latest_use_counts(h: KeyHarness) {
    let id = key_id(1);
    h.put(&viewer(1)).await;
    for (noted, latest) in [(5, 5), (3, 5), (5, 5), (9, 9)] {
        note(&h, &[(id.clone(), at(noted))]).await;
        assert_eq!(h.key(&id).await.last_used_at, Some(at(latest)));
    }
    note(&h, &[10, 30, 20].map(|seconds| (id.clone(), at(seconds)))).await;
    assert_eq!(h.key(&id).await.last_used_at, Some(at(30)));
    let other = h.reopened().await;
    other.note_use(&[(id.clone(), at(29))]).await.expect("its use is noted");
    assert_eq!(found(&*other, &id).await.and_then(|key| key.last_used_at), Some(at(30)));
}

/// Its version stays, and so does all else.
pub async fn a_use_is_no_change(h: KeyHarness) {
    let key = revoked(&viewer(1), 1, 1);
    h.put(&key).await;
    note(&h, &[(key.id.clone(), at(5))]).await;
    assert_eq!(h.key(&key.id).await, ApiKey { last_used_at: Some(at(5)), ..key.clone() });
    h.put(&revoked(&key, 2, 7)).await;
}

/// It neither forgets the use nor stores what it says of it.
pub async fn a_change_keeps_the_use(h: KeyHarness) {
    let claimed = ApiKey { last_used_at: Some(at(99)), ..viewer(1) };
    h.put(&claimed).await;
    assert_eq!(h.key(&claimed.id).await.last_used_at, None);
    note(&h, &[(claimed.id.clone(), at(5))]).await;
    for (version, said) in [(2, None), (3, Some(at(4))), (4, Some(at(99)))] {
        h.put(&ApiKey { last_used_at: said, ..revoked(&claimed, version, 1) }).await;
        assert_eq!(h.key(&claimed.id).await.last_used_at, Some(at(5)));
    }
}

/// And is none afterwards; those beside it are noted.
pub async fn what_is_no_key_is_passed_over(h: KeyHarness) {
    note(&h, &[]).await;
    note(&h, &[(key_id(1), at(1))]).await;
    h.put(&viewer(2)).await;
    note(&h, &[1, 2, 3].map(|number| (key_id(number), at(7)))).await;
    for number in [1, 3] {
        assert_eq!(found(h.store(), &key_id(number)).await, None);
    }
    assert_eq!(h.key(&key_id(2)).await.last_used_at, Some(at(7)));
    h.put(&viewer(1)).await;
    assert_eq!(h.key(&key_id(1)).await.last_used_at, None);
}

/// In whatever order, some of them twice.
pub async fn many_uses_are_noted_at_once(h: KeyHarness) {
    for number in 0..MANY {
        h.put(&viewer(number)).await;
    }
    let times = (0..2 * MANY).zip(0..).map(|(n, seconds)| ((n * 7) % MANY, at((seconds * 13) % 1_000)));
    let mut latest = BTreeMap::new();
    for (number, time) in times.clone() {
        let known = latest.entry(number).or_insert(time);
        *known = time.max(*known);
    }
    note(&h, &times.map(|(number, time)| (key_id(number), time)).collect::<Vec<_>>()).await;
    let keys = h.store().keys(None, MANY + 1).await.expect("the keys can be listed");
    let noted: Vec<_> = keys.iter().map(|key| key.last_used_at).collect();
    assert_eq!(noted, latest.into_values().map(Some).collect::<Vec<_>>());
}

/// While one handle changes keys, two note their use in opposite orders: nothing of either is lost.
pub async fn changes_and_uses_do_not_undo_each_other(h: KeyHarness) {
    let numbers = [1, 2, 3];
    for number in numbers {
        h.put(&viewer(number)).await;
    }
    let other = h.reopened().await;
    let users = [(h.shared(), false), (other, true)].map(|(store, backwards)| {
        tokio::spawn(async move {
            for seconds in 1..=CHANGES {
                let mut used = numbers.map(|number| (key_id(number), at(seconds)));
                if backwards {
                    used.reverse();
                }
                store.note_use(&used).await.expect("their use is noted");
                tokio::time::sleep(PAUSE).await;
            }
        })
    });
    for (version, seconds) in (2..).zip(1..=CHANGES) {
        for number in numbers {
            h.put(&revoked(&viewer(number), version, seconds)).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    for user in users {
        user.await.expect("no user panics");
    }
    for number in numbers {
        let key = revoked(&viewer(number), 1 + CHANGES.unsigned_abs(), CHANGES);
        assert_eq!(h.key(&key.id).await, ApiKey { last_used_at: Some(at(CHANGES)), ..key });
    }
}
