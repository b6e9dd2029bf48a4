//! A certificate for servers of this machine, and the clients that trust it.

use crate::client::Peer;
use crate::report::Failure;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tests::tls::Files;
use tests::world::World;

/// The name that the certificate is of.
pub(crate) fn name() -> ServerName<'static> {
    ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// A certificate with its key, in files.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) files: Files,
    client: Arc<ClientConfig>,
    _folder: World,
}

impl Certificate {
    /// A new one.
    pub(crate) fn new() -> Result<Self, Failure> {
        let folder = World::new();
        let files = Files { certificate: folder.path("certificate.pem"), key: folder.path("key.pem") };
        let made = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
        std::fs::write(&files.certificate, made.cert.pem())?;
        std::fs::write(&files.key, made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        Ok(Self { files, client: Arc::new(client(roots)?), _folder: folder })
    }

    /// A server that has it.
    pub(crate) fn peer(&self, address: SocketAddr) -> Peer {
        Peer { address, tls: Some(self.client.clone()) }
    }
}

/// Clients that are all new ones, and leave a server nothing to choose: the same work for each.
fn client(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    let provider = CryptoProvider { cipher_suites: suites, ..default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
