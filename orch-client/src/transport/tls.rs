//! What the client trusts, and what it shows of itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orch_core::identity::ServerPin;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::pinned::PinnedServer;
use crate::error::ClientError;

fn config_error(setting: &'static str, problem: String) -> ClientError {
    ClientError::Config { setting, problem }
}

/// What servers are known by.
#[derive(Clone, Debug, Default)]
pub(crate) enum Trust {
    /// The authorities of the system.
    #[default]
    System,
    /// The authorities in this file, and no others.
    File(PathBuf),
    /// A key that stands in the server's chain.
    Pin(ServerPin),
}

/// `needed`: there is a server that is reached over TLS. `identity` is a certificate chain and its key.
pub(crate) fn config(
    needed: bool,
    trust: &Trust,
    identity: Option<(&Path, &Path)>,
) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| config_error("tls", e.to_string()))?;
    let builder = match trust {
        Trust::Pin(pin) => {
            let verifier = PinnedServer { pin: *pin, provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Trust::System | Trust::File(_) => builder.with_root_certificates(roots(needed, trust)?),
    };
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let certificates = certificates("client_certificate", chain)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|e| config_error("client_key", format!("{}: {e}", key.display())))?;
            builder
                .with_client_auth_cert(certificates, key)
                .map_err(|e| config_error("client_certificate", e.to_string()))
        }
    }
}

fn roots(needed: bool, trust: &Trust) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::File(path) => {
            for certificate in certificates("ca_file", path)? {
                roots
                    .add(certificate)
                    .map_err(|e| config_error("ca_file", format!("{}: {e}", path.display())))?;
            }
        }
        _ if needed => {
            let system = rustls_native_certs::load_native_certs();
            let (added, _) = roots.add_parsable_certificates(system.certs);
            if added == 0 {
                let problem =
                    "the system has no certificate authorities; name a CA file for https".to_owned();
                return Err(config_error("ca_file", problem));
            }
        }
        _ => {}
    }
    Ok(roots)
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let read = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| config_error(setting, format!("{}: {e}", path.display())))?;
    if read.is_empty() {
        let problem = format!("{}: no certificate in it; expected PEM", path.display());
        return Err(config_error(setting, problem));
    }
    Ok(read)
}
