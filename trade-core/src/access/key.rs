use super::id::KeyId;
use super::role::Role;
use super::token::{Digest, Token};
use crate::event::Actor;
use crate::policy::Principal;
use crate::resource::Version;
use crate::store::StoreError;
use crate::values::{Label, Scope, Timestamp};
use async_trait::async_trait;
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;

/// What a new key is to be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewKey {
    /// What people call it; two keys may have one name.
    pub name: Option<Label>,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// Where.
    pub stations: Scope,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

impl NewKey {
    /// One of these roles and stations, without a name, that does not expire.
    pub fn new(roles: impl IntoIterator<Item = Role>, stations: Scope) -> Self {
        Self { name: None, roles: roles.into_iter().collect(), stations, expires_at: None }
    }
}

/// An API key as it is stored: who it is and what it allows, without its secret. As JSON it is without its digests, too; the
/// stations are `["*"]` where it has all.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Label>,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// Where: `*` alone is everywhere.
    #[serde(serialize_with = "station_texts")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub stations: Scope,
    /// What its token must be.
    #[serde(skip)]
    pub digest: Digest,
    /// What its token may be until then: that of before it was rotated.
    #[serde(skip)]
    pub previous: Option<(Digest, Timestamp)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, to within a minute or so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// From 1, one more with each change; its use is none.
    pub version: Version,
}

/// The text that stands for all stations.
const ALL: &str = "*";

fn station_texts<S: Serializer>(stations: &Scope, serializer: S) -> Result<S::Ok, S::Error> {
    match stations.set() {
        None => [ALL].serialize(serializer),
        Some(set) => set.as_slice().serialize(serializer),
    }
}

impl ApiKey {
    pub(super) fn new(id: KeyId, new: NewKey, token: &Token, now: Timestamp) -> Self {
        let NewKey { name, roles, stations, expires_at } = new;
        Self {
            id,
            name,
            roles,
            stations,
            digest: token.digest(),
            previous: None,
            created_at: now,
            expires_at,
            revoked_at: None,
            last_used_at: None,
            version: 1,
        }
    }

    /// Whom whoever has it is taken for. Its actor names the id, as names repeat.
    pub fn principal(&self) -> Principal {
        Principal::new(Actor::Key(self.id.as_str().into()))
            .with_roles(self.roles.iter().map(|role| role.as_str()))
            .with_stations(self.stations.clone())
    }

    /// Whether it lets somebody in who has a token of its id; if so, until when, where that ends.
    ///
    /// # Errors
    /// [`KeyRefusal`] if not.
    pub fn admits(&self, token: &Token, now: Timestamp) -> Result<Option<Timestamp>, KeyRefusal> {
        let digest = token.digest();
        let until = match &self.previous {
            _ if digest == self.digest => None,
            Some((previous, until)) if digest == *previous => Some(*until),
            _ => return Err(KeyRefusal::Unknown),
        };
        // Whoever has no token of it is told no more than that.
        if self.revoked_at.is_some() {
            return Err(KeyRefusal::Revoked);
        }
        let end = [self.expires_at, until].into_iter().flatten().min();
        if end.is_some_and(|end| end <= now) { Err(KeyRefusal::Expired) } else { Ok(end) }
    }
}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyRefusal {
    /// It is no token of any key.
    #[error("the API key is not known")]
    Unknown,
    /// Its key has expired, or was rotated.
    #[error("the API key has expired")]
    Expired,
    /// Its key was revoked.
    #[error("the API key was revoked")]
    Revoked,
}

/// Keeps API keys, beside everything else of a network.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// One key.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError>;

    /// Up to `limit` keys whose ids come after `after`, ascending by id.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<ApiKey>, StoreError>;

    /// Stores a key: one of version 1 where there is none of its id, one of version N + 1 in place of version N. What it
    /// says of its use is not stored.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::store::StoreErrorKind::Conflict) if another one is stored, or none: then nothing
    /// was changed. [`StoreErrorKind::OutcomeUnknown`](crate::store::StoreErrorKind::OutcomeUnknown) if it may have been
    /// stored.
    async fn put_key(&self, key: &ApiKey) -> Result<(), StoreError>;

    /// Notes that keys were used. The latest time counts; what is no key is passed over.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    async fn note_use(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError>;
}
