//! Who gets in: nobody is asked, or everybody is, by keys and tokens.

use std::net::SocketAddr;
use trade_http::AllowedHosts;
use trade_http::access::TokenRules;

/// Whether callers are asked who they are.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    /// Nobody is. Requests are answered that name one of these hosts: a page of another name that resolves to this machine
    /// must get nothing.
    Off(AllowedHosts),
    /// Everybody is.
    Required(Required),
}

/// How callers are known, and what they may do.
#[derive(Debug, Clone)]
pub(crate) struct Required {
    /// Whose tokens let in, besides API keys.
    pub(crate) issuer: Option<Issuer>,
    /// Whether traders may buy, too.
    pub(crate) buyers_may_initiate: bool,
}

/// An issuer of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Issuer {
    /// Where its keys are.
    pub(crate) jwks: Jwks,
    pub(crate) rules: TokenRules,
}

/// Where keys are.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Jwks {
    File(String),
    Url(String),
}

/// Without what may be a password.
impl std::fmt::Debug for Jwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "Jwks::File",
            Self::Url(_) => "Jwks::Url",
        })
    }
}

impl From<String> for Jwks {
    fn from(text: String) -> Self {
        let is_url = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
        if is_url { Self::Url(text) } else { Self::File(text) }
    }
}

/// Whether access is on: on demand, or where other machines reach the server.
///
/// # Errors
/// What is wrong with the mode.
pub(super) fn is_required(mode: &str, listen: &[SocketAddr]) -> Result<bool, String> {
    let exposed = listen.iter().find(|address| !address.ip().to_canonical().is_loopback());
    match (mode, exposed) {
        ("required", _) => Ok(true),
        ("auto", exposed) => Ok(exposed.is_some()),
        ("off", None) => Ok(false),
        ("off", Some(address)) => Err(format!(
            "{address} can be reached from other machines, whom nobody would ask who they are: listen on 127.0.0.1 or \
             [::1], or leave --auth out"
        )),
        _ => Err("must be auto, required or off".into()),
    }
}
