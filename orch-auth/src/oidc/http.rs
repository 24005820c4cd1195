//! [`HttpKeys`]: a key set by HTTP, from the one address that is configured.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use orch_core::BoxError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::cache::FetchKeys;

/// The largest answer that is read: 256 KiB.
const LARGEST: usize = 256 * 1024;
/// How long an answer may take, from the connection to its last byte.
const LIMIT: Duration = Duration::from_secs(5);

/// Fetches a key set. Follows no redirect, sends no credential, reads no more than 256 KiB, and waits no longer than its limit.
pub struct HttpKeys {
    url: Uri,
    limit: Duration,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// An address or authority cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSource(String);

impl HttpKeys {
    /// From this URL: `https://…`; plain `http://` only on loopback. Trusted are the authorities in `ca_file`, PEM, else the
    /// system's.
    ///
    /// # Errors
    /// The URL is none, or is plain HTTP to elsewhere; the file cannot be used.
    pub fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, InvalidSource> {
        let wrong = |problem: &str| InvalidSource(problem.to_owned());
        let url: Uri = url.parse().map_err(|_| wrong("not a URL; expected https://host/path"))?;
        let authority = url.authority().ok_or_else(|| wrong("not a URL; expected https://host/path"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("the URL holds a user or password; keys are public and need none"));
        }
        let https = match url.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(url.host().unwrap_or_default()) => false,
            Some("http") => return Err(wrong("keys over plain http could be anybody's; expected https://")),
            _ => return Err(wrong("not a URL; expected https://host/path")),
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(LIMIT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(https, ca_file)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { url, limit: LIMIT, client })
    }

    /// How long an answer may take. Default: 5 seconds.
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    async fn get(&self) -> Result<String, BoxError> {
        let request = Request::get(self.url.clone())
            .header(http::header::ACCEPT, "application/jwk-set+json, application/json")
            .header(http::header::USER_AGENT, concat!("orch/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())?;
        let answer = self.client.request(request).await?;
        match answer.status() {
            StatusCode::OK => {}
            status if status.is_redirection() => {
                return Err(format!(
                    "the issuer answers {status}; redirects are not followed, name the final URL"
                )
                .into());
            }
            status => return Err(format!("the issuer answers {status}").into()),
        }
        let body = Limited::new(answer.into_body(), LARGEST).collect().await?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(|_| "the issuer's answer is not UTF-8".into())
    }
}

#[async_trait]
impl FetchKeys for HttpKeys {
    async fn fetch(&self) -> Result<String, BoxError> {
        match tokio::time::timeout(self.limit, self.get()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("the issuer did not answer in {:?}", self.limit).into()),
        }
    }
}

impl std::fmt::Debug for HttpKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpKeys").field("url", &self.url).finish_non_exhaustive()
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn tls(needed: bool, ca_file: Option<&Path>) -> Result<ClientConfig, InvalidSource> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let wrong =
                |problem: &dyn std::fmt::Display| InvalidSource(format!("{}: {problem}", path.display()));
            let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .map_err(|error| wrong(&error))?;
            if certificates.is_empty() {
                return Err(wrong(&"no certificate in it; expected PEM"));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
        }
        None if needed => {
            let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                let problem = "the system has no certificate authorities; name a CA file";
                return Err(InvalidSource(problem.to_owned()));
            }
        }
        None => {}
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidSource(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
