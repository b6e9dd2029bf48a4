//! API keys as they were a moment ago: read for many requests at once, and again before a revocation must be known.

use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use trade_core::access::{ApiKey, ApiKeys, KeyId, Token};
use trade_core::store::{StoreError, StoreErrorKind};
use trade_core::values::Timestamp;

/// How old what is known of a key may be, and how many are remembered, those that do not exist included.
const AGE_MAX: Duration = Duration::from_secs(2);
const REMEMBERED_MAX: usize = 10_000;
/// How long it may take to read one.
const READ_MAX: Duration = Duration::from_secs(5);
/// How exact the time of a key's last use is …
const USE_SECONDS: Duration = Duration::from_secs(60);
/// … and how long it is kept back, so that those of many keys are stored at once.
const USE_DELAY: Duration = Duration::from_secs(5);
/// Keys whose use is kept back at most.
const USED_MAX: usize = 10_000;

/// What is known of an id.
#[derive(Debug, Clone)]
struct Known {
    /// None where there is no such key.
    key: Option<Arc<ApiKey>>,
    read_at: Instant,
}

/// The keys of a store, remembered for a moment.
pub(super) struct RecentKeys {
    keys: ApiKeys,
    /// Ids that are asked for once push out none that is asked for often.
    known: Cache<KeyId, Known>,
    used: Mutex<HashMap<KeyId, Timestamp>>,
}

impl fmt::Debug for RecentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecentKeys").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl RecentKeys {
    pub(super) fn new(keys: ApiKeys) -> Self {
        Self { keys, known: Cache::new(REMEMBERED_MAX), used: Mutex::default() }
    }

    pub(super) fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// A key as it was two seconds ago or later; none where there is none. Those who ask for the same one meanwhile wait
    /// for one read.
    pub(super) async fn get(&self, id: &KeyId) -> Result<Option<Arc<ApiKey>>, StoreError> {
        self.known.remove_if(id, |known| known.read_at.elapsed() > AGE_MAX);
        let read = async {
            let read_at = Instant::now();
            let found = self.keys.store().key(id).await?;
            Ok::<_, StoreError>(Known { key: found.map(Arc::new), read_at })
        };
        // Of all that it takes: who waits for the read of somebody else may have to read in their place.
        let known =
            timeout(READ_MAX, self.known.get_or_insert_async(id, read)).await.unwrap_or_else(|_| {
                Err(StoreError::new(StoreErrorKind::Unavailable, "keys", "read a key", "it took too long"))
            })?;
        Ok(known.key)
    }

    /// Whether a token is one of a key that was read some time ago. The store is not asked.
    pub(super) fn remember(&self, token: &Token, now: Timestamp) -> bool {
        let known = self.known.get(token.id()).and_then(|known| known.key);
        known.is_some_and(|key| key.admits(token, now).is_ok())
    }

    /// Notes that a key was used, if that is news; in a while it is stored.
    pub(super) fn note_use(self: &Arc<Self>, key: &ApiKey, now: Timestamp) {
        if key.last_used_at.is_some_and(|last| last.plus(USE_SECONDS) > now) {
            return;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= USED_MAX || used.contains_key(&key.id) {
            return;
        }
        used.insert(key.id.clone(), now);
        if used.len() == 1 {
            let this = self.clone();
            tokio::spawn(async move {
                sleep(USE_DELAY).await;
                let used = std::mem::take(&mut *this.used.lock().unwrap_or_else(PoisonError::into_inner));
                let used: Vec<_> = used.into_iter().collect();
                if let Err(error) = this.keys.store().note_use(&used).await {
                    tracing::debug!(%error, keys = used.len(), "the use of keys is not noted");
                }
            });
        }
    }
}
