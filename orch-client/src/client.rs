//! [`Client`] and its builder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use orch_core::identity::ServerPin;
use orch_core::name::Namespace;
use orch_core::secret::Secret;

use crate::error::ClientError;
use crate::servers::{Server, Servers};
use crate::transport::retry::RetryPolicy;
use crate::transport::{Transport, tls};

/// How a client is set up. Nothing is sent before the first call.
///
/// ```
/// use orch_client::Client;
/// # fn main() -> Result<(), orch_client::ClientError> {
/// let client = Client::builder().server("http://127.0.0.1:8080").build()?;
/// # let _ = client; Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    servers: Vec<String>,
    token: Option<Secret<String>>,
    namespace: Namespace,
    trust: tls::Trust,
    identity: Option<(PathBuf, PathBuf)>,
    connect_timeout: Duration,
    request_timeout: Duration,
    user_agent: String,
    insecure: bool,
    retry: RetryPolicy,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            token: None,
            namespace: Namespace::default_namespace(),
            trust: tls::Trust::System,
            identity: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(15),
            user_agent: concat!("orch-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            insecure: false,
            retry: RetryPolicy::default(),
        }
    }
}

impl ClientBuilder {
    /// Adds a server: `http://host:port` or `https://host:port`. Several are tried in this order.
    #[must_use]
    pub fn server(mut self, url: impl Into<String>) -> Self {
        self.servers.push(url.into());
        self
    }

    /// The bearer token of a user. Default: none.
    #[must_use]
    pub fn token(mut self, token: Secret<String>) -> Self {
        self.token = Some(token);
        self
    }

    /// Where objects are looked for and made. Default: `default`.
    #[must_use]
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Trust the authorities in this PEM file, and no others. Default: the system's.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trust = tls::Trust::File(path.into());
        self
    }

    /// Trust servers in whose chain a key of this digest stands, and no others: what an enrolment token says. Every server must
    /// then be reached over https. Takes the place of a CA file.
    #[must_use]
    pub fn server_pin(mut self, pin: ServerPin) -> Self {
        self.trust = tls::Trust::Pin(pin);
        self
    }

    /// Show this client certificate: PEM files of the chain and its key.
    #[must_use]
    pub fn identity(mut self, chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }

    /// For one connection with its TLS handshake. Default: 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// For one try of a call, until the whole answer is there. Default: 15 s. Long polls get their wait on top.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Default: `orch-client/<version>`.
    #[must_use]
    pub fn user_agent(mut self, text: impl Into<String>) -> Self {
        self.user_agent = text.into();
        self
    }

    /// Allows plain http to other machines: whoever is on the way can read and use the credentials.
    #[must_use]
    pub fn insecure(mut self, allow: bool) -> Self {
        self.insecure = allow;
        self
    }

    /// When calls are tried again.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    pub(crate) fn transport(&self) -> Result<Transport, ClientError> {
        let list = self.servers.iter().map(|url| Server::parse(url, self.insecure));
        let servers = Servers::new(list.collect::<Result<_, _>>()?)?;
        if matches!(self.trust, tls::Trust::Pin(_)) && !servers.all_https() {
            return Err(ClientError::Config {
                setting: "server",
                problem: "it is known by the key of its certificate, as an enrolment token says, and cannot show that \
                          over plain http; name it with https://"
                    .to_owned(),
            });
        }
        let identity = self.identity.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
        let tls = tls::config(servers.any_https(), &self.trust, identity)?;
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(|_| ClientError::Config {
            setting: "user_agent",
            problem: "it holds characters that no header may have".to_owned(),
        })?;
        Ok(Transport::new(servers, tls, self.connect_timeout, user_agent))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.request_timeout
    }

    /// The client.
    ///
    /// # Errors
    /// [`ClientError::Config`]: no server, a URL or token that cannot be one, a file that cannot be read.
    pub fn build(self) -> Result<Client, ClientError> {
        let transport = Arc::new(self.transport()?);
        let authorization = self.token.as_ref().map(bearer).transpose()?;
        Ok(Client {
            transport,
            authorization,
            namespace: self.namespace,
            timeout: self.request_timeout,
            retry: self.retry,
        })
    }
}

/// `Authorization: Bearer …`, marked as sensitive so that no `Debug` shows it.
pub(crate) fn bearer(token: &Secret<String>) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim())).map_err(|_| {
        ClientError::Config {
            setting: "token",
            problem: "it holds characters that no token has; give the token alone".to_owned(),
        }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A typed client of the `/v1` API. Clones share connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) transport: Arc<Transport>,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) namespace: Namespace,
    pub(crate) timeout: Duration,
    pub(crate) retry: RetryPolicy,
}

impl Client {
    /// Begins to set one up.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The namespace that calls go to.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn headers(&self) -> http::HeaderMap {
        let mut headers = http::HeaderMap::new();
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let namespace = HeaderValue::from_str(self.namespace.as_str()).expect("a namespace is ASCII");
        headers.insert("x-orch-namespace", namespace);
        headers
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
