//! What a control plane is made of, and what comes with a request.

use std::sync::Arc;

use super::{ClusterPolicy, ControlPlane};
use crate::env::SharedEnv;
use crate::identity::{
    ApiTokens, Authorizer, CredentialIssuer, CredentialValidator, Enrollment, PeerCertificate,
    RequestContext, UserAuthenticator,
};
use crate::name::{IdempotencyKey, Namespace, SecretName};
use crate::record::RequestDigest;
use crate::schedule::Scheduler;
use crate::secret::{Secret, SecretError, SecretProvider, SecretRef};
use crate::store::{Store, StoreError};

/// The parts a control plane is made of. [`ControlPlane::builder`] fills in those that have a safe default.
#[derive(Clone)]
pub struct Parts {
    /// Clocks, tasks, entropy.
    pub env: SharedEnv,
    /// Where the state is kept.
    pub store: Arc<dyn Store>,
    /// Who users are.
    pub users: Arc<dyn UserAuthenticator>,
    /// Makes and reads API tokens of service accounts; `None`: there are none.
    pub api_tokens: Option<Arc<dyn ApiTokens>>,
    /// What they may.
    pub authorizer: Arc<dyn Authorizer>,
    /// Makes node credentials.
    pub issuer: Arc<dyn CredentialIssuer>,
    /// Recognises node credentials.
    pub validator: Arc<dyn CredentialValidator>,
    /// Lets nodes in.
    pub enrollment: Arc<dyn Enrollment>,
    /// Values of secrets.
    pub secrets: Arc<dyn SecretProvider>,
    /// Where tasks go.
    pub scheduler: Arc<dyn Scheduler>,
    /// What specs may ask for, and the clocks of the cluster.
    pub policy: ClusterPolicy,
}

/// What comes with a request besides the command.
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    /// Where the request came from.
    pub context: RequestContext,
    /// The caller's key, and a keyed digest of the request.
    pub idempotency: Option<(IdempotencyKey, RequestDigest)>,
}

/// The connection that an agent's calls come over.
#[derive(Clone, Debug, Default)]
pub struct AgentConnection {
    /// The verified client certificate.
    pub peer: Option<PeerCertificate>,
    /// SHA-256 of the certificate that the server showed.
    pub server_certificate: Option<[u8; 32]>,
    /// Request id and source.
    pub context: RequestContext,
}

/// Collects [`Parts`]. Whoever lets users and nodes in has no default: a control plane that admits everybody by oversight
/// must not exist.
#[must_use = "a builder does nothing until `start`"]
pub struct Builder {
    env: SharedEnv,
    store: Arc<dyn Store>,
    users: Option<Arc<dyn UserAuthenticator>>,
    api_tokens: Option<Arc<dyn ApiTokens>>,
    authorizer: Option<Arc<dyn Authorizer>>,
    issuer: Option<Arc<dyn CredentialIssuer>>,
    validator: Option<Arc<dyn CredentialValidator>>,
    enrollment: Option<Arc<dyn Enrollment>>,
    secrets: Arc<dyn SecretProvider>,
    scheduler: Option<Arc<dyn Scheduler>>,
    policy: ClusterPolicy,
}

/// Why a control plane did not start.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A part that has no default was not given.
    #[error("the control plane needs `{0}`: it has no default")]
    Missing(&'static str),
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

macro_rules! part {
    ($(#[$doc:meta])* $name:ident: $trait:ident) => {
        $(#[$doc])*
        pub fn $name(mut self, part: Arc<dyn $trait>) -> Self {
            self.$name = Some(part);
            self
        }
    };
}

impl Builder {
    pub(super) fn new(env: SharedEnv, store: Arc<dyn Store>) -> Self {
        Self {
            env,
            store,
            users: None,
            api_tokens: None,
            authorizer: None,
            issuer: None,
            validator: None,
            enrollment: None,
            secrets: Arc::new(NoSecrets),
            scheduler: None,
            policy: ClusterPolicy::default(),
        }
    }

    part! {
        /// Who users are.
        users: UserAuthenticator
    }
    part! {
        /// Makes and reads API tokens of service accounts. Default: there are none.
        api_tokens: ApiTokens
    }
    part! {
        /// What they may.
        authorizer: Authorizer
    }
    part! {
        /// Makes node credentials.
        issuer: CredentialIssuer
    }
    part! {
        /// Recognises node credentials.
        validator: CredentialValidator
    }
    part! {
        /// Lets nodes in.
        enrollment: Enrollment
    }
    part! {
        /// Where tasks go.
        scheduler: Scheduler
    }

    /// One backend that both makes and recognises node credentials.
    pub fn credentials<B: CredentialIssuer + CredentialValidator>(mut self, backend: Arc<B>) -> Self {
        self.issuer = Some(backend.clone());
        self.validator = Some(backend);
        self
    }

    /// Values of secrets. Default: there are none, and a spec that names one is refused.
    pub fn secrets(mut self, part: Arc<dyn SecretProvider>) -> Self {
        self.secrets = part;
        self
    }

    /// What specs may ask for, and the clocks of the cluster. Default: [`ClusterPolicy::default`].
    pub fn policy(mut self, policy: ClusterPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The parts, once all that must be given is.
    ///
    /// # Errors
    /// [`StartError::Missing`] names the first that is not.
    pub fn parts(self) -> Result<Parts, StartError> {
        fn need<T>(part: Option<T>, name: &'static str) -> Result<T, StartError> {
            part.ok_or(StartError::Missing(name))
        }
        Ok(Parts {
            env: self.env,
            store: self.store,
            users: need(self.users, "users")?,
            api_tokens: self.api_tokens,
            authorizer: need(self.authorizer, "authorizer")?,
            issuer: need(self.issuer, "issuer")?,
            validator: need(self.validator, "validator")?,
            enrollment: need(self.enrollment, "enrollment")?,
            secrets: self.secrets,
            scheduler: need(self.scheduler, "scheduler")?,
            policy: self.policy,
        })
    }

    /// Opens the store and starts.
    ///
    /// # Errors
    /// A part is missing, or the store cannot be opened.
    pub async fn start(self) -> Result<ControlPlane, StartError> {
        Ok(ControlPlane::start(self.parts()?).await?)
    }
}

/// A provider that has no secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

#[async_trait::async_trait]
impl SecretProvider for NoSecrets {
    async fn exists(&self, _: &Namespace, _: &SecretName) -> Result<bool, SecretError> {
        Ok(false)
    }

    async fn resolve(&self, _: &Namespace, reference: &SecretRef) -> Result<Secret<Vec<u8>>, SecretError> {
        Err(SecretError::NotFound(reference.name.clone()))
    }
}
