//! The suite of key stores notices whoever is wrong in one way.
// A test that fails says so; so do its helpers.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trade_core::access::{ApiKey, KeyId, KeyStore};
use trade_core::store::{StoreError, StoreErrorKind};
use trade_core::testing::key_conformance::{CASES, KeyStoreFactory};
use trade_core::values::Timestamp;

/// One way of being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Never,
    IgnoresVersions,
    TakesAnyLaterVersion,
    LooksBeforeItStores,
    StoresTheUseOfAChange,
    ForgetsTheUseOfAChange,
    CountsAUseAsAChange,
    NotesTheLastUseTold,
    NotesTheFirstOfMany,
    UndoesAChangeByAUse,
    MakesKeysOfUses,
    FailsAtUnknownKeys,
    ListsTheKeyItself,
    ListsBackwards,
    IgnoresTheLimit,
    ListsAStaleVersion,
}

const ALL: [Wrong; 15] = [
    Wrong::IgnoresVersions,
    Wrong::TakesAnyLaterVersion,
    Wrong::LooksBeforeItStores,
    Wrong::StoresTheUseOfAChange,
    Wrong::ForgetsTheUseOfAChange,
    Wrong::CountsAUseAsAChange,
    Wrong::NotesTheLastUseTold,
    Wrong::NotesTheFirstOfMany,
    Wrong::UndoesAChangeByAUse,
    Wrong::MakesKeysOfUses,
    Wrong::FailsAtUnknownKeys,
    Wrong::ListsTheKeyItself,
    Wrong::ListsBackwards,
    Wrong::IgnoresTheLimit,
    Wrong::ListsAStaleVersion,
];

#[derive(Debug)]
struct WrongStore {
    wrong: Wrong,
    keys: Mutex<BTreeMap<KeyId, ApiKey>>,
    first: Mutex<BTreeMap<KeyId, ApiKey>>,
}

impl WrongStore {
    fn error(kind: StoreErrorKind) -> StoreError {
        StoreError::new(kind, "wrong", "test", "on purpose")
    }

    fn check(&self, key: &ApiKey) -> Result<(), StoreError> {
        let stored = self.keys.lock().unwrap().get(&key.id).map_or(0, |stored| stored.version);
        let taken = match self.wrong {
            Wrong::IgnoresVersions => true,
            Wrong::TakesAnyLaterVersion => key.version > stored,
            _ => key.version == stored + 1,
        };
        if taken { Ok(()) } else { Err(Self::error(StoreErrorKind::Conflict)) }
    }

    fn store(&self, key: &ApiKey) {
        let mut keys = self.keys.lock().unwrap();
        let last_used_at = match self.wrong {
            Wrong::StoresTheUseOfAChange => key.last_used_at,
            Wrong::ForgetsTheUseOfAChange => None,
            _ => keys.get(&key.id).and_then(|stored| stored.last_used_at),
        };
        self.first.lock().unwrap().entry(key.id.clone()).or_insert(key.clone());
        let mut key = key.clone();
        key.last_used_at = last_used_at;
        keys.insert(key.id.clone(), key);
    }
}

#[async_trait]
impl KeyStore for WrongStore {
    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.keys.lock().unwrap().get(id).cloned())
    }

    async fn keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
        let stale = self.wrong == Wrong::ListsAStaleVersion;
        let keys = if stale { self.first.lock().unwrap() } else { self.keys.lock().unwrap() };
        let itself = self.wrong == Wrong::ListsTheKeyItself;
        let behind = |id: &KeyId| after.is_none_or(|after| id > after || (itself && id == after));
        let limit = if self.wrong == Wrong::IgnoresTheLimit { usize::MAX } else { limit };
        let mut found: Vec<_> = keys.values().filter(|key| behind(&key.id)).take(limit).cloned().collect();
        if self.wrong == Wrong::ListsBackwards {
            found.reverse();
        }
        Ok(found)
    }

    async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.check(key)?;
        if self.wrong == Wrong::LooksBeforeItStores {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.store(key);
        Ok(())
    }

    async fn note_use(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let used = if self.wrong == Wrong::NotesTheFirstOfMany { &used[..used.len().min(1)] } else { used };
        for (id, time) in used {
            let Some(mut key) = self.keys.lock().unwrap().get(id).cloned() else {
                match self.wrong {
                    Wrong::FailsAtUnknownKeys => return Err(Self::error(StoreErrorKind::Internal)),
                    Wrong::MakesKeysOfUses => {
                        let other = self.first.lock().unwrap().values().next().cloned();
                        if let Some(mut other) = other {
                            other.id = id.clone();
                            self.store(&other);
                        }
                    }
                    _ => {}
                }
                continue;
            };
            if self.wrong == Wrong::UndoesAChangeByAUse {
                tokio::time::sleep(Duration::from_millis(1)).await;
            } else {
                key = self.keys.lock().unwrap()[id].clone();
            }
            key.last_used_at = match self.wrong {
                Wrong::NotesTheLastUseTold => Some(*time),
                _ => key.last_used_at.max(Some(*time)),
            };
            key.version += u64::from(self.wrong == Wrong::CountsAUseAsAChange);
            self.keys.lock().unwrap().insert(id.clone(), key);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Factory(Arc<WrongStore>);

#[async_trait]
impl KeyStoreFactory for Factory {
    async fn open(&self) -> Arc<dyn KeyStore> {
        self.0.clone()
    }

    async fn reopen(&self) -> Arc<dyn KeyStore> {
        self.0.clone()
    }
}

fn is_noticed(wrong: Wrong) -> bool {
    let store = || WrongStore { wrong, keys: Mutex::default(), first: Mutex::default() };
    let factory = || Arc::new(Factory(Arc::new(store())));
    CASES.iter().any(|case| case.check(factory(), Duration::from_secs(10)).is_err())
}

#[test]
fn every_wrong_store_is_noticed_and_a_right_one_is_not() {
    // Their panics are expected, and too many to read.
    std::panic::set_hook(Box::new(|_| {}));
    let unnoticed: Vec<_> = ALL.into_iter().filter(|wrong| !is_noticed(*wrong)).collect();
    let (right, _) = (is_noticed(Wrong::Never), std::panic::take_hook());
    assert!(unnoticed.is_empty(), "no case notices {unnoticed:?}");
    assert!(!right);
}
