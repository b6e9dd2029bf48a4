use super::id::KeyId;
use super::key::{ApiKey, KeyRefusal, KeyStore, NewKey};
use super::token::Token;
use crate::store::StoreError;
use crate::values::{InvalidValue, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How often a change is tried that others were in the way of.
const ATTEMPTS_MAX: usize = 5;

/// The API keys of a network. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiKeys {
    store: Arc<dyn KeyStore>,
}

/// Why a key could not be made, changed or taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// What is asked for makes no sense.
    #[error("{0}")]
    Invalid(#[from] InvalidValue),
    /// The token lets nobody in.
    #[error(transparent)]
    Refused(#[from] KeyRefusal),
    /// No key has this id.
    #[error("there is no key {0}")]
    NotFound(KeyId),
    /// The key was revoked, which is for ever.
    #[error("the key {0} was revoked")]
    Revoked(KeyId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiKeys {
    /// The keys of this store.
    pub fn new(store: Arc<dyn KeyStore>) -> Self {
        Self { store }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<dyn KeyStore> {
        &self.store
    }

    /// Makes a key. Its token is shown now and never again.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] if it has no role, or expires before now; [`KeyError::Store`].
    pub async fn create(&self, new: NewKey, now: Timestamp) -> Result<(ApiKey, Token), KeyError> {
        if new.roles.is_empty() {
            return Err(InvalidValue::new("a key needs a role").into());
        }
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(InvalidValue::new("a key must expire later than now").into());
        }
        let token = Token::generate(KeyId::generate()?)?;
        let key = ApiKey::new(token.id().clone(), new, &token, now);
        self.store.put_key(&key).await?;
        Ok((key, token))
    }

    /// One key.
    ///
    /// # Errors
    /// [`KeyError::Store`].
    pub async fn get(&self, id: &KeyId) -> Result<Option<ApiKey>, KeyError> {
        Ok(self.store.key(id).await?)
    }

    /// Up to `limit` keys whose ids come after `after`, ascending by id.
    ///
    /// # Errors
    /// [`KeyError::Store`].
    pub async fn list(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<ApiKey>, KeyError> {
        Ok(self.store.keys(after, limit).await?)
    }

    /// Revokes a key, for ever. Again is as once.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::Store`].
    pub async fn revoke(&self, id: &KeyId, now: Timestamp) -> Result<ApiKey, KeyError> {
        self.change(id, |key| {
            key.revoked_at.get_or_insert(now);
            Ok(())
        })
        .await
    }

    /// Gives a key a new token; the one before is taken as long as `grace` still, and one before that no longer.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::Revoked`], [`KeyError::Invalid`] if it has expired, [`KeyError::Store`].
    pub async fn rotate(
        &self,
        id: &KeyId,
        grace: Duration,
        now: Timestamp,
    ) -> Result<(ApiKey, Token), KeyError> {
        let token = Token::generate(id.clone())?;
        let rotate = |key: &mut ApiKey| {
            if key.revoked_at.is_some() {
                return Err(KeyError::Revoked(id.clone()));
            }
            if key.expires_at.is_some_and(|end| end <= now) {
                return Err(
                    InvalidValue::new("a key that has expired lets nobody in: make another one").into()
                );
            }
            // An attempt before has landed, though its answer was lost.
            if key.digest == token.digest() {
                return Ok(());
            }
            key.previous = Some((key.digest, now.plus(grace)));
            key.digest = token.digest();
            Ok(())
        };
        Ok((self.change(id, rotate).await?, token))
    }

    /// The key of a token, where that lets somebody in.
    ///
    /// # Errors
    /// [`KeyError::Refused`], [`KeyError::Store`].
    pub async fn check(&self, token: &Token, now: Timestamp) -> Result<ApiKey, KeyError> {
        let key = self.store.key(token.id()).await?.ok_or(KeyRefusal::Unknown)?;
        key.admits(token, now)?;
        Ok(key)
    }

    /// Changes a key, and tries again where another change came between.
    async fn change(
        &self,
        id: &KeyId,
        change: impl Fn(&mut ApiKey) -> Result<(), KeyError> + Send + Sync,
    ) -> Result<ApiKey, KeyError> {
        let mut attempts_left = ATTEMPTS_MAX;
        loop {
            attempts_left -= 1;
            let stored = self.store.key(id).await?.ok_or_else(|| KeyError::NotFound(id.clone()))?;
            let mut key = stored.clone();
            change(&mut key)?;
            if key == stored {
                return Ok(key);
            }
            key.version += 1;
            match self.store.put_key(&key).await {
                Ok(()) => return Ok(key),
                // Where it may have landed, the next attempt finds that there is nothing to change.
                Err(error) if error.is_retryable() && attempts_left > 0 => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use crate::memory::MemoryStore;
    use crate::store::StoreErrorKind;
    use crate::values::Scope;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000).unwrap()
    }

    fn refusal(result: Result<ApiKey, KeyError>) -> KeyRefusal {
        match result {
            Err(KeyError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_key_lets_in_until_it_expires_or_is_revoked() {
        let keys = ApiKeys::new(Arc::new(MemoryStore::new()));
        let mut new = NewKey::new([Role::Trader], Scope::All);
        new.expires_at = Some(at(10));
        let (key, token) = keys.create(new.clone(), at(1)).await.unwrap();
        assert_eq!(keys.check(&token, at(9)).await.unwrap(), key);
        assert_eq!(key.admits(&token, at(9)), Ok(Some(at(10))));
        assert_eq!(refusal(keys.check(&token, at(10)).await), KeyRefusal::Expired);
        let guessed = Token::generate(key.id.clone()).unwrap();
        assert_eq!(refusal(keys.check(&guessed, at(9)).await), KeyRefusal::Unknown);
        let revoked = keys.revoke(&key.id, at(5)).await.unwrap();
        assert_eq!((revoked.revoked_at, revoked.version), (Some(at(5)), 2));
        assert_eq!(keys.revoke(&key.id, at(6)).await.unwrap(), revoked);
        assert_eq!(refusal(keys.check(&token, at(9)).await), KeyRefusal::Revoked);
        assert_eq!(refusal(keys.check(&guessed, at(9)).await), KeyRefusal::Unknown);
        assert!(matches!(keys.rotate(&key.id, Duration::ZERO, at(7)).await, Err(KeyError::Revoked(_))));
        assert!(matches!(keys.create(new, at(10)).await, Err(KeyError::Invalid(_))));
        assert!(matches!(keys.create(NewKey::new([], Scope::All), at(1)).await, Err(KeyError::Invalid(_))));
    }

    /// Stores keys, and loses the answer of each change.
    #[derive(Debug, Default)]
    struct Forgetful(MemoryStore);

    #[async_trait::async_trait]
    impl KeyStore for Forgetful {
        async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
            self.0.key(id).await
        }

        async fn keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
            self.0.keys(after, limit).await
        }

        async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError> {
            self.0.put_key(key).await?;
            if key.version == 1 {
                return Ok(());
            }
            Err(StoreError::new(StoreErrorKind::OutcomeUnknown, "test", "store a key", "the answer is lost"))
        }

        async fn note_use(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
            self.0.note_use(used).await
        }
    }

    #[tokio::test]
    async fn a_rotation_whose_answer_was_lost_is_made_once() {
        let keys = ApiKeys::new(Arc::new(Forgetful::default()));
        let (key, first) = keys.create(NewKey::new([Role::Admin], Scope::All), at(1)).await.unwrap();
        let (_, second) = keys.rotate(&key.id, Duration::from_secs(10), at(2)).await.unwrap();
        for token in [&first, &second] {
            assert_eq!(keys.check(token, at(3)).await.unwrap().version, 2);
        }
    }

    #[tokio::test]
    async fn of_a_rotated_key_two_tokens_are_taken_for_a_while() {
        let keys = ApiKeys::new(Arc::new(MemoryStore::new()));
        let (key, first) = keys.create(NewKey::new([Role::Admin], Scope::All), at(1)).await.unwrap();
        let (_, second) = keys.rotate(&key.id, Duration::from_secs(10), at(2)).await.unwrap();
        for token in [&first, &second] {
            assert_eq!(keys.check(token, at(11)).await.unwrap().id, key.id);
        }
        assert_eq!(refusal(keys.check(&first, at(12)).await), KeyRefusal::Expired);
        let (_, third) = keys.rotate(&key.id, Duration::from_secs(10), at(3)).await.unwrap();
        assert_eq!(refusal(keys.check(&first, at(3)).await), KeyRefusal::Unknown);
        assert!(keys.check(&second, at(3)).await.is_ok() && keys.check(&third, at(99)).await.is_ok());
        let unknown = KeyId::new("000000000000").unwrap();
        assert!(matches!(keys.revoke(&unknown, at(1)).await, Err(KeyError::NotFound(_))));
    }
}
