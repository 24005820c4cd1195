//! The daemon: default parts put together as the configuration says.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use orch_auth::api_token::KeyedApiTokens;
use orch_auth::enrollment::{Anybody, EnrollmentChain, OneTimeTokens, StaticToken};
use orch_auth::key::ServerKey;
use orch_auth::roles::HierarchicalRoles;
use orch_auth::secrets::FileSecrets;
use orch_auth::token::TokenCredentials;
use orch_core::control_plane::ControlPlane;
use orch_core::env::{SharedEnv, SystemEnv};
use orch_core::schedule::FilterAndScore;
use orch_core::secret::Secret;
use orch_core::store::{MemoryStore, Store};

use crate::config::Config;
use crate::local::fresh_secret;
use crate::reload::Reloader;
use crate::server::Server;
use crate::tls::ServerTls;
use crate::users::Users;

/// Why the daemon did not start.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The data folder, or something in it.
    #[error("the data folder cannot be used: {what}")]
    Data {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A key is too short. The configuration refuses such earlier.
    #[error("a configured secret is not usable")]
    Secret(#[source] orch_core::BoxError),
    /// The foreign issuer's keys.
    #[error("the OpenID Connect issuer cannot be used")]
    Issuer(#[source] orch_core::BoxError),
    /// SIGHUP.
    #[error("signals cannot be listened for")]
    Signal(#[source] std::io::Error),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// The store.
    #[error("the store cannot be opened")]
    Store(#[from] orch_core::store::StoreError),
    /// The control plane.
    #[error("the control plane cannot start")]
    Start(#[from] orch_core::control_plane::StartError),
    /// The address.
    #[error("{address} cannot be listened on")]
    Bind {
        /// Which.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Opens the store, starts the control plane, binds the address: all that can fail has failed when this answers.
///
/// # Errors
/// See [`DaemonError`].
pub async fn build(
    config: Config,
    metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
) -> Result<(Server, ControlPlane), DaemonError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    metrics::gauge!("server_insecure").set(if config.warnings.is_empty() { 0.0 } else { 1.0 });
    let env = SystemEnv::shared();
    let tls =
        config.tls.as_ref().map(|(certificate, key)| ServerTls::from_files(certificate, key)).transpose()?;
    let key = server_key(&config, &env)?;
    let store: Arc<dyn Store> = match &config.store {
        None => Arc::new(MemoryStore::new()),
        Some(url) => {
            if let orch_store::StoreUrl::Sqlite(path) = url
                && let Some(folder) = path.parent()
            {
                make_folder(folder)?;
            }
            orch_store::open(url).await?
        }
    };
    let users = Users::of(&config, &env)?;
    let mut enrollment = EnrollmentChain::new(key.clone()).attestor(OneTimeTokens::new(key.clone()));
    if let Some(token) = &config.registration_token {
        enrollment = enrollment.attestor(StaticToken::new(key.clone(), token));
    }
    if config.open_enrollment {
        enrollment = enrollment.attestor(Anybody);
    }
    let mut control = ControlPlane::builder(env, store)
        .users(users.authenticator)
        .authorizer(Arc::new(HierarchicalRoles))
        .credentials(Arc::new(TokenCredentials::new(key.clone())))
        .enrollment(Arc::new(enrollment))
        .secrets(Arc::new(FileSecrets::new(&config.secrets_dir)))
        .scheduler(Arc::new(FilterAndScore))
        .policy(config.policy.clone());
    if config.asks_users() {
        control = control.api_tokens(Arc::new(KeyedApiTokens::new(key.clone())));
    }
    let control = control.start().await?;
    if !config.warnings.is_empty()
        && let Err(error) = control.note_insecure(config.warnings.clone()).await
    {
        tracing::warn!(%error, "the event that this server is open could not be written");
    }
    let schema = if config.store.is_some() { orch_store::SCHEMA_VERSION } else { 0 };
    let mut builder =
        Server::builder(control.clone(), key).drain(config.shutdown_timeout).schema_version(schema);
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    if let Some(render) = metrics {
        builder = builder.metrics(move || render());
    }
    if !users.files.is_empty() {
        builder = builder.beside(Reloader::new(users.files).map_err(DaemonError::Signal)?.run());
    }
    if let Some(warm_up) = users.warm_up {
        builder = builder.beside(warm_up);
    }
    let address = config.address;
    let server = builder.bind(address).await.map_err(|source| DaemonError::Bind { address, source })?;
    Ok((server, control))
}

/// The key that is configured; else the one in the data folder, made at first start; with `--dev` one that lives as long as
/// the process.
fn server_key(config: &Config, env: &SharedEnv) -> Result<ServerKey, DaemonError> {
    let derive = |secret: &Secret<String>| {
        ServerKey::derive(secret).map_err(|error| DaemonError::Secret(error.into()))
    };
    if let Some(secret) = &config.secret_key {
        return derive(secret);
    }
    if config.dev {
        return derive(&fresh_secret(env));
    }
    make_folder(&config.data_dir)?;
    let path = config.data_dir.join("secret.key");
    let failed =
        |what: &str, source| DaemonError::Data { what: format!("{what} {}", path.display()), source };
    match std::fs::read_to_string(&path) {
        Ok(text) => derive(&Secret::new(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = fresh_secret(env);
            write_once(&path, secret.expose().as_bytes()).map_err(|error| failed("writing", error))?;
            derive(&secret)
        }
        Err(error) => Err(failed("reading", error)),
    }
}

/// Whole or not at all, and readable by nobody else from the first byte.
fn write_once(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

fn make_folder(folder: &Path) -> Result<(), DaemonError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| DaemonError::Data { what: format!("making {}", folder.display()), source })
}
