//! Certificates of an authority that tests trust, and connections that are checked against it.

use crate::world::World;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{IpAddr, Ipv4Addr, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The authority of all certificates of this process.
fn authority() -> &'static CertifiedIssuer<'static, KeyPair> {
    static AUTHORITY: OnceLock<CertifiedIssuer<'static, KeyPair>> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        CertifiedIssuer::self_signed(params, key).expect("an authority can be made")
    })
}

/// Where a certificate of 127.0.0.1 and its key are.
#[derive(Debug, Clone)]
pub struct Files {
    pub certificate: String,
    pub key: String,
}

impl Files {
    /// A new certificate, in a folder.
    pub fn new(world: &World) -> Self {
        let files = Self { certificate: world.path("certificate.pem"), key: world.path("key.pem") };
        files.renew();
        files
    }

    /// Puts another certificate there, with another key. Its bytes are returned.
    pub fn renew(&self) -> Vec<u8> {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        let certificate = params.signed_by(&key, authority()).expect("a certificate can be made");
        std::fs::write(&self.certificate, certificate.pem()).expect("it can be written");
        std::fs::write(&self.key, key.serialize_pem()).expect("it can be written");
        certificate.der().to_vec()
    }
}

/// Makes a connection one of TLS, with the protocol that is spoken in it.
///
/// # Errors
/// Whatever the handshake ended with.
pub async fn connect(socket: TcpStream, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority().der().clone()).expect("it is an authority");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let server = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([127, 0, 0, 1])));
    let stream = TlsConnector::from(Arc::new(config)).connect(server, socket).await?;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
    Ok(stream)
}
