//! The keys of an issuer from its address.

use super::had::{BYTES_MAX, JwksError};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, Uri, header};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long an issuer may take, from the first byte to the last.
const TIME_MAX: Duration = Duration::from_secs(5);

/// An address that is asked for keys. It is followed to no other: an issuer says where its keys are, and nobody else does.
#[derive(Clone)]
pub(super) struct Fetch {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    uri: Uri,
}

/// Without what may be a secret.
impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fetch").field(&self.shown()).finish()
    }
}

impl Fetch {
    pub(super) fn new(url: &str) -> Result<Self, JwksError> {
        let is_one = |uri: &Uri| {
            let has_name =
                uri.authority().is_some_and(|to| !to.host().is_empty() && !to.as_str().contains('@'));
            matches!(uri.scheme_str(), Some("http" | "https")) && has_name
        };
        // The text may hold a secret.
        let refused =
            || JwksError("the address of the keys must be an https or http URL, without a user".into());
        let uri = url.parse::<Uri>().ok().filter(is_one).ok_or_else(refused)?;
        let roots = if uri.scheme_str() == Some("https") { roots()? } else { RootCertStore::empty() };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| JwksError(format!("no TLS: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), uri })
    }

    fn shown(&self) -> String {
        let to = self.uri.authority().map_or("", |to| to.as_str());
        format!("{}://{to}{}", self.uri.scheme_str().unwrap_or_default(), self.uri.path())
    }

    fn failed(&self, why: impl fmt::Display) -> JwksError {
        JwksError(format!("{}: {why}", self.shown()))
    }

    /// What is there, up to the bound.
    pub(super) async fn get(&self) -> Result<Vec<u8>, JwksError> {
        let got = timeout(TIME_MAX, self.get_slowly()).await;
        got.unwrap_or_else(|_| Err(self.failed("it took too long")))
    }

    async fn get_slowly(&self) -> Result<Vec<u8>, JwksError> {
        let request = Request::get(self.uri.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("trade-http/", env!("CARGO_PKG_VERSION")))
            .body(Body::empty())
            .map_err(|error| self.failed(error))?;
        let response = self.client.request(request).await.map_err(|error| self.failed(innermost(&error)))?;
        if response.status() != StatusCode::OK {
            return Err(self.failed(response.status()));
        }
        let body = to_bytes(Body::new(response.into_body()), BYTES_MAX).await;
        Ok(body.map_err(|error| self.failed(innermost(&error)))?.into())
    }
}

/// The certificates that this machine trusts.
fn roots() -> Result<RootCertStore, JwksError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(JwksError("no TLS: this machine trusts no certificate (package ca-certificates)".into()));
    }
    Ok(roots)
}

/// What went wrong at last: what is around it says only that something did.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
