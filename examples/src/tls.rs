//! TLS: the server's certificate and key, read again when they change, and handshakes that take only so long.

use crate::settings::TlsFiles;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error, InconsistentKeys, ServerConfig};
use tokio_rustls::server::TlsStream;

/// How long a client may take for its handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Handshakes at a time. Others wait, within their own time.
const HANDSHAKES_MAX: usize = 256;
/// The type of a record that belongs to a handshake.
const HANDSHAKE: u8 = 22;
/// The most bytes in a record that is not encrypted.
const RECORD_BYTES_MAX: usize = 1 << 14;
/// How often it is looked whether the rest of a greeting has come.
const GREETING_PAUSE: Duration = Duration::from_millis(20);
/// What a connection holds of an answer that its client does not take.
const BUFFER_BYTES: usize = 16 * 1024;
/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// A certificate with its key, for new connections. Those that are open keep theirs.
pub(crate) struct Tls {
    files: TlsFiles,
    current: Mutex<Arc<ServerConfig>>,
    /// What was read last, or why it could not be. It may have been refused since.
    read: Mutex<Result<Pair, String>>,
    room: Semaphore,
}

/// The contents of the two files.
#[derive(Clone, PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// One line that says which of the files is no good, and why.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, String> {
        let pair = Pair::read(&files)?;
        let current = Mutex::new(pair.configure(&files)?);
        Ok(Self { files, current, read: Mutex::new(Ok(pair)), room: Semaphore::new(HANDSHAKES_MAX) })
    }

    /// Makes a connection one of TLS.
    ///
    /// # Errors
    /// Why that is none: what its client sent, or that it was too slow.
    pub(crate) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let shake = async {
            greeted(&socket).await?;
            let _turn = self.room.acquire().await.map_err(io::Error::other)?;
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut stream = TlsAcceptor::from(current).accept(socket).await?;
            stream.get_mut().1.set_buffer_limit(Some(BUFFER_BYTES));
            Ok(stream)
        };
        timeout_at(Instant::now() + HANDSHAKE_MAX, shake).await?
    }

    /// Reads the files again whenever they have changed, for ever.
    pub(crate) async fn follow(self: Arc<Self>) -> std::convert::Infallible {
        loop {
            sleep(LOOK_INTERVAL).await;
            self.clone().reload(false).await;
        }
    }

    /// Reads the files again. Where they are no good, what was there before stays; it is told where they have changed, or
    /// somebody wants to know.
    pub(crate) async fn reload(self: Arc<Self>, is_asked: bool) {
        // A file may be on a medium that takes its time.
        let reloaded = spawn_blocking(move || self.reload_now(is_asked)).await;
        match reloaded {
            Ok(Ok(true)) => tracing::info!("a new certificate is in use"),
            Ok(Ok(false)) => {}
            Ok(Err(line)) => tracing::warn!("{line}; the certificate of before stays in use"),
            Err(error) => tracing::error!(%error, "the certificate could not be read again"),
        }
    }

    /// Whether there is a new certificate.
    fn reload_now(&self, is_asked: bool) -> Result<bool, String> {
        // Held to the end: an older reading must not come after a newer one.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = Pair::read(&self.files);
        if *read == pair && !is_asked {
            return Ok(false);
        }
        read.clone_from(&pair);
        let new = pair?.configure(&self.files)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }
}

/// Waits for the whole greeting of a client: who says nothing, or not all of it, takes no room. It is one record
/// (RFC 8446 §5.1), which begins with its type, its version and its length.
async fn greeted(socket: &TcpStream) -> io::Result<()> {
    const HEAD: usize = 5;
    let mut bytes = vec![0; HEAD];
    loop {
        let count = socket.peek(&mut bytes).await?;
        if count < bytes.len() {
            if count == 0 || bytes[0] != HANDSHAKE {
                return Ok(());
            }
            // More cannot be waited for, as long as something is there.
            sleep(GREETING_PAUSE).await;
        } else if count == HEAD {
            let length = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
            if bytes[0] != HANDSHAKE || length == 0 || length > RECORD_BYTES_MAX {
                return Ok(());
            }
            bytes.resize(HEAD + length, 0);
        } else {
            return Ok(());
        }
    }
}

impl Pair {
    fn read(files: &TlsFiles) -> Result<Self, String> {
        let contents = |flag: &str, path: &Path| {
            std::fs::read(path).map_err(|error| refused(flag, path, &format!("cannot be read: {error}")))
        };
        let certificate = contents("--tls-cert", &files.certificate)?;
        Ok(Self { certificate, key: contents("--tls-key", &files.key)? })
    }

    fn configure(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
        let TlsFiles { certificate, key } = files;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| refused("--tls-cert", certificate, "holds no certificate in PEM"))?;
        let der = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| refused("--tls-key", key, "holds no unencrypted private key in PEM"))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let config = builder.with_no_client_auth().with_single_cert(chain, der);
        let mut config = config.map_err(|error| {
            if matches!(error, Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) {
                return refused("--tls-key", key, "is not the key of the certificate of --tls-cert");
            }
            refused("--tls-cert", certificate, &format!("cannot be used with its key: {error}"))
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn refused(flag: &str, path: &Path, why: &str) -> String {
    format!("{flag} {path:?}: {why}")
}
