//! Who is let in, with access on: by the API keys of the store, and by the tokens of an issuer.

use crate::Failure;
use crate::settings::{Issuer, Jwks, Required};
use trade_core::access::ApiKeys;
use trade_core::clock::{Clock, SystemClock};
use trade_http::access::{Authenticator, Tokens};
use trade_network::store::Opened;

/// Keys that are looked at together.
const PAGE: usize = 200;

/// Knows callers, if there is anybody who can get in.
pub(crate) async fn begin(opened: &Opened, required: Required) -> Result<Authenticator, Failure> {
    let keys = ApiKeys::new(opened.keys());
    let authenticator = Authenticator::new();
    let authenticator = match required.issuer {
        Some(issuer) => authenticator.with_tokens(tokens(issuer).await?),
        None if has_a_key(&keys).await? => authenticator,
        None => return Err(Failure::Failed(
            "access is required, and there is no API key that lets anybody in: make the first one by `trade-network keys \
             create --role admin --station '*'` with the same --store, or name an issuer of tokens by --jwks"
                .into(),
        )),
    };
    Ok(authenticator.with_keys(keys))
}

async fn tokens(Issuer { jwks, rules }: Issuer) -> Result<Tokens, Failure> {
    match jwks {
        Jwks::File(path) => {
            let tokens = Tokens::of_file(path, rules);
            let loaded = tokens.load().await;
            loaded.map_err(|error| Failure::Failed(format!("--jwks: {error}")))?;
            Ok(tokens)
        }
        Jwks::Url(url) => {
            let tokens = Tokens::of_url(&url, rules);
            let tokens = tokens.map_err(|error| Failure::Usage(format!("--jwks: {error}")))?;
            // It may be there a moment later; that it is not is in the log.
            let _ = tokens.load().await;
            Ok(tokens)
        }
    }
}

/// Whether there is a key that lets somebody in.
async fn has_a_key(keys: &ApiKeys) -> Result<bool, Failure> {
    let (now, mut after) = (SystemClock::new().now(), None);
    loop {
        let page = keys.list(after.as_ref(), PAGE).await;
        let page = page.map_err(|error| Failure::Failed(format!("the API keys cannot be read: {error}")))?;
        let lets_in =
            page.iter().any(|key| key.revoked_at.is_none() && key.expires_at.is_none_or(|end| end > now));
        match page.last() {
            _ if lets_in => return Ok(true),
            Some(last) if page.len() == PAGE => after = Some(last.id.clone()),
            _ => return Ok(false),
        }
    }
}
