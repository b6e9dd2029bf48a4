//! What cannot be read is told, and never taken for a key, or for none.

use super::KeyHarness;
use super::harness::{found, viewer};
use crate::store::StoreErrorKind;

/// Puts other bytes in the place of a key's. Nothing is asserted of a store where nobody can.
async fn assert_told(h: KeyHarness, change: fn(&mut Vec<u8>), kind: StoreErrorKind) {
    let (key, other) = (viewer(1), viewer(2));
    h.put(&key).await;
    h.put(&other).await;
    let mut record = key.encode().expect("a record of the key");
    change(&mut record);
    if !h.overwrite(&key.id, &record).await {
        return;
    }
    let error = h.store().key(&key.id).await.expect_err("a record that cannot be read");
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.detail.contains(key.id.as_str()), "{error}");
    let error = h.store().keys(None, 10).await.expect_err("a list with a record that cannot be read");
    assert_eq!(error.kind, kind, "{error}");
    assert_eq!(found(h.store(), &other.id).await, Some(other));
}

/// A record that was cut, or is empty.
pub async fn what_no_version_has_written_is_told(h: KeyHarness) {
    assert_told(h, |record| record.truncate(record.len() / 2), StoreErrorKind::Corrupt).await;
}

/// It is no damage: a newer program can read it.
pub async fn what_a_newer_version_has_written_is_told(h: KeyHarness) {
    assert_told(h, |record| record[0] = u8::MAX, StoreErrorKind::NewerVersion).await;
}
