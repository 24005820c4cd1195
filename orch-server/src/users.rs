//! Who users are, as the configuration says: tokens of ours, tokens of a foreign issuer, or both side by side.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use orch_auth::chain::UserChain;
use orch_auth::jwt::{InvalidKeyRing, JwtUsers, KeyRing, NoUserAuth};
use orch_auth::live::Live;
use orch_auth::oidc::{FetchedKeys, Freshness, HttpKeys, InvalidKeySet, IssuerKeys, KeySet, OidcUsers};
use orch_auth::watched::{Reload, WatchedFile};
use orch_core::env::SharedEnv;
use orch_core::identity::UserAuthenticator;

use crate::config::{Config, JwtKeys, OidcConfig, OidcKeys};
use crate::daemon::DaemonError;

/// The authenticator, and what it needs while it serves.
pub(crate) struct Users {
    pub(crate) authenticator: Arc<dyn UserAuthenticator>,
    /// Files to be looked at from time to time.
    pub(crate) files: Vec<Arc<dyn Reload>>,
    /// To be done once beside the first requests.
    pub(crate) warm_up: Option<BoxFuture<'static, ()>>,
}

impl Users {
    /// As configured.
    pub(crate) fn of(config: &Config, env: &SharedEnv) -> Result<Self, DaemonError> {
        let mut users = Self { authenticator: Arc::new(NoUserAuth), files: Vec::new(), warm_up: None };
        if !config.asks_users() {
            return Ok(users);
        }
        let mut chain = UserChain::new();
        if let Some(oidc) = &config.oidc {
            let issuer = Arc::new(users.issuer(oidc, config, env)?);
            chain = chain.with(issuer.clone());
            users.warm_up = Some(Box::pin(async move {
                if !issuer.warm_up().await {
                    tracing::warn!(
                        "users of the OpenID Connect issuer are let in once its keys can be fetched"
                    );
                }
            }));
        }
        users.authenticator = match &config.jwt {
            None => Arc::new(chain),
            Some(keys) => {
                let jwt = JwtUsers::with_ring(users.ring(keys)?).with_users(config.users.clone());
                // Alone it may say what is wrong with a token that nobody vouches for.
                if config.oidc.is_none() { Arc::new(jwt) } else { Arc::new(chain.with(Arc::new(jwt))) }
            }
        };
        Ok(users)
    }

    fn ring(&mut self, keys: &JwtKeys) -> Result<Live<KeyRing>, DaemonError> {
        match keys {
            JwtKeys::Secret(secret) => {
                KeyRing::single(secret).map(Live::new).map_err(|error| DaemonError::Secret(error.into()))
            }
            JwtKeys::Ring(path) => {
                let parse =
                    |text: &str| KeyRing::parse(text).map_err(|error: InvalidKeyRing| error.to_string());
                let file =
                    WatchedFile::open(path, parse).map_err(|error| DaemonError::Secret(error.into()))?;
                Ok(self.watch(file))
            }
        }
    }

    fn issuer(
        &mut self,
        oidc: &OidcConfig,
        config: &Config,
        env: &SharedEnv,
    ) -> Result<OidcUsers, DaemonError> {
        let keys = match &oidc.keys {
            OidcKeys::File(path) => {
                let parse =
                    |text: &str| KeySet::parse(text).map_err(|error: InvalidKeySet| error.to_string());
                let file =
                    WatchedFile::open(path, parse).map_err(|error| DaemonError::Issuer(error.into()))?;
                IssuerKeys::Live(self.watch(file))
            }
            OidcKeys::Url { url, ca_file } => {
                let source = HttpKeys::new(url, ca_file.as_deref());
                let source = source.map_err(|error| DaemonError::Issuer(error.into()))?;
                IssuerKeys::Fetched(FetchedKeys::new(source, Arc::clone(env), Freshness::default()))
            }
        };
        Ok(OidcUsers::new(&oidc.issuer, &oidc.audience, keys)
            .with_leeway(oidc.leeway)
            .with_subject(oidc.subject_claim.clone(), &oidc.subject_prefix)
            .with_mapping(oidc.mapping.clone())
            .with_users(config.users.clone()))
    }

    fn watch<T: Send + Sync + 'static>(&mut self, file: WatchedFile<T>) -> Live<T> {
        let live = file.live();
        self.files.push(Arc::new(file));
        live
    }
}
