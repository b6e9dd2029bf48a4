//! The keys of an issuer from its address.

use super::source::{BYTES_MAX, JwksError};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use rustls_platform_verifier::BuilderVerifierExt;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::{ClientConfig, crypto::ring};

/// How long an issuer may take, from the first byte to the last.
const TIME_MAX: Duration = Duration::from_secs(5);

/// An address that is asked for keys.
#[derive(Clone)]
pub(super) struct Fetch {
    client: Client,
    url: Url,
}

/// Without what may be a password.
impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fetch").field(&self.shown()).finish()
    }
}

impl Fetch {
    pub(super) fn new(url: &str) -> Result<Self, JwksError> {
        let url =
            Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        // The text may hold a password.
        let url =
            url.ok_or_else(|| JwksError("the address of the keys must be an https or http URL".into()))?;
        let no_tls = |error: &dyn fmt::Display| JwksError(format!("no TLS: {error}"));
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|error| no_tls(&error))?
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(config)
            .timeout(TIME_MAX)
            // An issuer says where its keys are; nobody else does.
            .redirect(Policy::none())
            .user_agent(concat!("trade-http/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| no_tls(&error))?;
        Ok(Self { client, url })
    }

    fn shown(&self) -> String {
        format!("{}://{}{}", self.url.scheme(), self.url.host_str().unwrap_or_default(), self.url.path())
    }

    fn failed(&self, why: impl fmt::Display) -> JwksError {
        JwksError(format!("{}: {why}", self.shown()))
    }

    /// What is there, up to the bound.
    pub(super) async fn get(&self) -> Result<Vec<u8>, JwksError> {
        let failed = |error: reqwest::Error| {
            let error = error.without_url();
            self.failed(if error.is_timeout() { "it took too long".into() } else { error.to_string() })
        };
        let asked = self.client.get(self.url.clone()).header("accept", "application/json");
        let mut response = asked.send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(self.failed(response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > BYTES_MAX {
                return Err(self.failed("it is too much"));
            }
        }
        Ok(bytes)
    }
}
