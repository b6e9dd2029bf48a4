use super::claims;
#[cfg(feature = "jwks-url")]
use super::fetch::Fetch;
use super::had::JwksError;
use super::keyset::ALGORITHMS;
use super::rules::TokenRules;
use super::source::{Place, Source};
use crate::access::lease::Lease;
use crate::access::refusal::LoginError;
use jsonwebtoken::crypto::{CryptoProvider, aws_lc};
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;
use trade_core::policy::Principal;
use trade_core::values::Timestamp;

const UNKNOWN_KEY: LoginError =
    LoginError::Invalid("the token is signed by a key that this server does not know");
const BAD: LoginError = LoginError::Invalid("the token is not valid");

/// Tokens of an issuer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tokens {
    source: Arc<Source>,
    rules: Arc<TokenRules>,
}

impl Tokens {
    fn new(place: Place, rules: TokenRules) -> Self {
        // An application that signs tokens of its own may have chosen another one.
        if CryptoProvider::try_get_default().is_none() {
            let _ = aws_lc::DEFAULT_PROVIDER.install_default();
        }
        Self { source: Arc::new(Source::new(place)), rules: Arc::new(rules) }
    }

    /// Those that are signed by the keys of a file (JWKS). It is read again once it has changed.
    pub fn of_file(path: impl Into<PathBuf>, rules: TokenRules) -> Self {
        Self::new(Place::File(path.into()), rules)
    }

    /// Those that are signed by the keys at an `https` or `http` address (JWKS). They are asked for again every few minutes,
    /// and for a key that is not known, once a minute at most. While the issuer is away those that are known are kept.
    ///
    /// # Errors
    /// [`JwksError`] if it is no such address, or there is no TLS to be had.
    #[cfg(feature = "jwks-url")]
    pub fn of_url(url: &str, rules: TokenRules) -> Result<Self, JwksError> {
        Ok(Self::new(Place::Url(Box::new(Fetch::new(url)?)), rules))
    }

    /// Asks for the keys now, so that a mistake is told before somebody logs in.
    ///
    /// # Errors
    /// [`JwksError`] if there are none.
    pub async fn load(&self) -> Result<(), JwksError> {
        self.source.keys().await.map(|_| ())
    }

    pub(in crate::access) async fn login(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<(Principal, Lease), LoginError> {
        let header = decode_header(token).map_err(|_| BAD)?;
        if !is_understood(&header) {
            return Err(BAD);
        }
        let known = self.source.keys().await.map_err(|error| {
            tracing::debug!(%error, "a token cannot be checked");
            LoginError::Unavailable("the keys of the issuer of tokens cannot be had at present: try again")
        })?;
        if let Some(key) = known.find(&header) {
            return self.check(token, &header, key, now);
        }
        let known = self.source.keys_anew().await.ok_or(UNKNOWN_KEY)?;
        self.check(token, &header, known.find(&header).ok_or(UNKNOWN_KEY)?, now)
    }

    fn check(
        &self,
        token: &str,
        header: &Header,
        key: &DecodingKey,
        now: Timestamp,
    ) -> Result<(Principal, Lease), LoginError> {
        let TokenRules { issuers, audiences, .. } = &*self.rules;
        let mut validation = Validation::new(header.alg);
        // Times are checked by our own clock.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        validation.validate_aud = !audiences.is_empty();
        let mut required = vec!["exp", "sub"];
        if !issuers.is_empty() {
            validation.set_issuer(issuers);
            required.push("iss");
        }
        if !audiences.is_empty() {
            validation.set_audience(audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        let decoded = decode::<Map<String, Value>>(token, key, &validation).map_err(|error| {
            tracing::debug!(reason = ?error.kind(), "a token is refused");
            BAD
        })?;
        claims::read(decoded.claims, &self.rules, now)
    }
}

/// Whether a token of this header can be one of ours.
fn is_understood(header: &Header) -> bool {
    // An extension that must be understood is none of ours (RFC 7515 §4.1.11), and a token of another kind is for
    // something else (RFC 8725 §3.11).
    let kind = header.typ.as_deref().map(str::to_ascii_lowercase);
    let is_of_kind = kind.as_deref().is_none_or(|kind| {
        let kind = kind.strip_prefix("application/").unwrap_or(kind);
        matches!(kind, "jwt" | "at+jwt")
    });
    header.crit.is_none() && is_of_kind && ALGORITHMS.contains(&header.alg)
}
