use super::bearer;
#[cfg(feature = "jwt")]
use super::jwt::Tokens;
use super::keys::RecentKeys;
use super::lease::Lease;
use super::refusal::LoginError;
use axum::http::{Extensions, HeaderMap};
use std::sync::Arc;
use trade_core::access::{ApiKeys, KeyRefusal, Token};
use trade_core::clock::{Clock, SystemClock};
use trade_core::policy::Principal;

/// What every API key begins with.
const KEY_PREFIX: &str = "tn_";

/// Knows callers by `Authorization: Bearer`, and an API key or, with the feature `jwt`, a token of an issuer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Authenticator {
    keys: Option<Arc<RecentKeys>>,
    #[cfg(feature = "jwt")]
    tokens: Option<Tokens>,
    clock: Arc<dyn Clock>,
}

/// Who a caller is, and for how long that holds.
#[derive(Debug, Clone)]
pub struct Login {
    /// Who they are.
    pub principal: Principal,
    /// For how long.
    pub lease: Lease,
}

impl Login {
    /// Puts the [`Principal`] and the [`Lease`] where the router looks for them.
    pub fn put_into(self, extensions: &mut Extensions) {
        extensions.insert(self.principal);
        extensions.insert(self.lease);
    }
}

impl Authenticator {
    /// One that knows nobody yet.
    pub fn new() -> Self {
        Self {
            keys: None,
            #[cfg(feature = "jwt")]
            tokens: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The same with these API keys. What is known of a key is two seconds old at most.
    #[must_use]
    pub fn with_keys(self, keys: ApiKeys) -> Self {
        Self { keys: Some(Arc::new(RecentKeys::new(keys))), ..self }
    }

    /// The same with these tokens.
    #[cfg(feature = "jwt")]
    #[must_use]
    pub fn with_tokens(self, tokens: Tokens) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The API keys that let in, where some do.
    pub(crate) fn api_keys(&self) -> Option<&ApiKeys> {
        self.keys.as_deref().map(RecentKeys::keys)
    }

    /// By which clock a login ends.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Who sends a request with these headers.
    ///
    /// # Errors
    /// [`LoginError`] if nobody that is known does, or if that cannot be found out.
    pub async fn login(&self, headers: &HeaderMap) -> Result<Login, LoginError> {
        let token = bearer::token(headers)?;
        if token.starts_with(KEY_PREFIX) {
            return self.by_key(token).await;
        }
        #[cfg(feature = "jwt")]
        if let Some(tokens) = &self.tokens {
            let (principal, lease) = tokens.login(token, self.clock.now()).await?;
            return Ok(Login { principal, lease });
        }
        Err(LoginError::Invalid("the token is of no kind that this server knows"))
    }

    /// Whether a request comes from somebody whom this server has known lately, by an API key. It costs little.
    pub(crate) fn remembers(&self, headers: &HeaderMap) -> bool {
        let token = bearer::token(headers).ok().and_then(|text| Token::parse(text).ok());
        let keys = self.keys.as_ref();
        token.zip(keys).is_some_and(|(token, keys)| keys.remember(&token, self.clock.now()))
    }

    async fn by_key(&self, text: &str) -> Result<Login, LoginError> {
        let keys = self.keys.as_ref().ok_or(KeyRefusal::Unknown)?;
        let token = Token::parse(text)
            .map_err(|_| LoginError::Invalid("the API key is not one as they are given out"))?;
        let key = keys.get(token.id()).await.map_err(|error| {
            tracing::debug!(%error, "an API key cannot be looked up");
            LoginError::Unavailable("API keys cannot be looked up at present: try again")
        })?;
        let (key, now) = (key.ok_or(KeyRefusal::Unknown)?, self.clock.now());
        let until = key.admits(&token, now).inspect_err(|refusal| {
            tracing::debug!(key = %key.id, %refusal, "an API key is refused");
        })?;
        keys.note_use(&key, now);
        Ok(Login { principal: key.principal(), lease: Lease::of_key(until, keys.clone(), token) })
    }
}

impl Default for Authenticator {
    fn default() -> Self {
        Self::new()
    }
}
