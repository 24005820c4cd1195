//! What the client trusts, and what it shows of itself.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::error::ClientError;

fn config_error(setting: &'static str, problem: String) -> ClientError {
    ClientError::Config { setting, problem }
}

/// Roots are those of `ca_file`, else (where `needed`) the system's. `identity` is a certificate chain and its key.
pub(crate) fn config(
    needed: bool,
    ca_file: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates("ca_file", path)? {
                roots
                    .add(certificate)
                    .map_err(|e| config_error("ca_file", format!("{}: {e}", path.display())))?;
            }
        }
        None if needed => {
            let system = rustls_native_certs::load_native_certs();
            let (added, _) = roots.add_parsable_certificates(system.certs);
            if added == 0 {
                let problem =
                    "the system has no certificate authorities; name a CA file for https".to_owned();
                return Err(config_error("ca_file", problem));
            }
        }
        None => {}
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| config_error("tls", e.to_string()))?
        .with_root_certificates(roots);
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
