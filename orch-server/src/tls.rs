//! The server's certificate, and what follows from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orch_core::identity::ServerPin;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use tokio_rustls::TlsAcceptor;

/// A server's certificate and key, ready for connections.
#[derive(Clone)]
pub struct ServerTls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) thumbprint: [u8; 32],
    pub(crate) pin: ServerPin,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls(…)")
    }
}

/// Why a certificate or key cannot be used.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of its kind.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong, without its content.
        problem: String,
    },
    /// Certificate and key do not go together, or the certificate is not usable.
    #[error("the certificate and key cannot be used")]
    Unusable(#[source] rustls::Error),
}

impl ServerTls {
    /// What enrolment tokens say of a server with this certificate.
    #[must_use]
    pub const fn pin(&self) -> ServerPin {
        self.pin
    }

    /// Reads a certificate chain, leaf first, and its key, both PEM. Enrolment tokens name the last certificate of the chain: let
    /// that be the authority, so that they, and the agents that came with them, outlive the leaf.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let file = |path: &Path, error: &dyn std::fmt::Display| TlsError::File {
            path: path.to_owned(),
            problem: error.to_string(),
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect)
            .map_err(|error| file(certificate, &error))?;
        let leaf = chain.first().ok_or_else(|| file(certificate, &"it holds no certificate"))?;
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, leaf).as_ref());
        // The authority, where it stands in the chain: so that agents know the server after its certificate is renewed, too.
        let top = ParsedCertificate::try_from(chain.last().unwrap_or(leaf));
        let pin = ServerPin::of(&top.map_err(TlsError::Unusable)?.subject_public_key_info());
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), thumbprint, pin })
    }
}
