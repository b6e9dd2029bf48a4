use super::keys::RecentKeys;
use std::sync::Arc;
use trade_core::access::{KeyRefusal, Token};
use trade_core::store::StoreErrorKind;
use trade_core::values::Timestamp;

/// For how long a login holds. It is in the extensions of a request, beside the
/// [`Principal`](trade_core::policy::Principal): a stream of events ends with it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lease(Arc<Terms>);

#[derive(Debug, Clone, Default)]
struct Terms {
    until: Option<Timestamp>,
    key: Option<(Arc<RecentKeys>, Token)>,
    assurance: Assurance,
}

/// Why a login holds no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseEnd {
    /// Its time is over.
    Expired,
    /// Its key was revoked.
    Revoked,
}

/// How a user has logged in, as their token says (OpenID Connect Core §2): what a step may ask for that is more than a
/// login (RFC 9470). An API key says nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Assurance {
    /// `acr`: the class of it.
    pub class: Option<Arc<str>>,
    /// `amr`: the methods.
    pub methods: Vec<Arc<str>>,
    /// `auth_time`: when it was.
    pub at: Option<Timestamp>,
}

impl Lease {
    /// One that ends at this time, or never by itself: of a login of the application's own.
    pub fn new(until: Option<Timestamp>) -> Self {
        Self(Arc::new(Terms { until, ..Terms::default() }))
    }

    pub(super) fn of_key(until: Option<Timestamp>, keys: Arc<RecentKeys>, token: Token) -> Self {
        Self(Arc::new(Terms { until, key: Some((keys, token)), ..Terms::default() }))
    }

    /// The same of a login that was made so.
    #[must_use]
    pub fn with_assurance(self, assurance: Assurance) -> Self {
        let terms = Arc::unwrap_or_clone(self.0);
        Self(Arc::new(Terms { assurance, ..terms }))
    }

    /// When it ends, where that is known already. It may end before, when its key is revoked.
    pub fn until(&self) -> Option<Timestamp> {
        self.0.until
    }

    /// How the login was made.
    pub fn assurance(&self) -> &Assurance {
        &self.0.assurance
    }

    /// Whether nothing ends it.
    pub(super) fn is_endless(&self) -> bool {
        self.0.until.is_none() && self.0.key.is_none()
    }

    pub(super) fn is_of_key(&self) -> bool {
        self.0.key.is_some()
    }

    /// Whether it still holds: answers until when, where that is known. A revocation is known two seconds later at the
    /// latest, on every server. While its key cannot be read it holds.
    ///
    /// # Errors
    /// [`LeaseEnd`] if it holds no longer.
    pub async fn check(&self, now: Timestamp) -> Result<Option<Timestamp>, LeaseEnd> {
        let mut until = self.0.until;
        if let Some((keys, token)) = &self.0.key {
            match keys.get(token.id()).await {
                // Rotated since, it ends earlier than was said.
                Ok(Some(key)) => match key.admits(token, now) {
                    Ok(end) => until = end,
                    Err(KeyRefusal::Expired) => return Err(LeaseEnd::Expired),
                    Err(KeyRefusal::Revoked | KeyRefusal::Unknown) => return Err(LeaseEnd::Revoked),
                },
                Ok(None) => return Err(LeaseEnd::Revoked),
                // It is there, and no longer what this server can read.
                Err(error)
                    if matches!(error.kind, StoreErrorKind::Corrupt | StoreErrorKind::NewerVersion) =>
                {
                    return Err(LeaseEnd::Revoked);
                }
                Err(error) => tracing::debug!(%error, key = %token.id(), "a key cannot be read again"),
            }
        }
        if until.is_some_and(|end| end <= now) { Err(LeaseEnd::Expired) } else { Ok(until) }
    }
}
