//! What is kept of each caller: a number, of so many callers at most.

use governor::clock::Clock;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use quick_cache::sync::Cache;
use std::convert::Infallible;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use tokio::time::Instant;

/// The states of callers, by a key. Where there are too many, those go that were asked for least lately; such a caller has
/// all of its allowance again. Clones are the same states.
pub(super) struct Kept<K>(Arc<Cache<K, Arc<InMemoryState>>>);

impl<K: Eq + Hash + Clone> Kept<K> {
    pub(super) fn new(keys_max: usize) -> Self {
        Self(Arc::new(Cache::new(keys_max)))
    }

    /// When a caller has all of its allowance again, if it does not have it now. Nothing is changed.
    pub(super) fn full_at(&self, key: &K) -> Option<Nanos> {
        let look = |full_at: Option<Nanos>| Err::<((), Nanos), _>(full_at);
        self.0.get(key)?.measure_and_replace(&NotKeyed::NonKey, look).err().flatten()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K: Eq + Hash + Clone> StateStore for Kept<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Ok(state) = self.0.get_or_insert_with(key, || Ok::<_, Infallible>(Arc::default()));
        state.measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

impl<K> Clone for Kept<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> fmt::Debug for Kept<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

/// The time since a moment.
#[derive(Debug, Clone)]
pub(super) struct Since(Instant);

impl Since {
    pub(super) fn now() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Since {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}
