//! [`ControlPlane`]: the shell around the decisions.

use std::sync::Arc;

use crate::agent::AgentApi;
use crate::cluster::Cluster;
use crate::command::{Command, ExecuteError};
use crate::env::SharedEnv;
use crate::identity::{
    AuthError, Authorized, Authorizer, CredentialIssuer, CredentialValidator, Denied, Enrollment,
    PeerCertificate, Permit, Principal, RequestContext, Scope, UserAuthenticator, UserProof,
};
use crate::name::IdempotencyKey;
use crate::record::RequestDigest;
use crate::schedule::Scheduler;
use crate::secret::SecretProvider;
use crate::store::Store;

pub mod policy;
pub mod query;

pub use policy::ClusterPolicy;

/// A running control plane. Clones are handles on the same one.
#[derive(Clone)]
pub struct ControlPlane {
    inner: Arc<Inner>,
}

struct Inner {}

/// The parts a control plane is made of. Everything but the environment and the store has a default.
pub struct Parts {
    /// Clocks, tasks, entropy.
    pub env: SharedEnv,
    /// Where the state is kept.
    pub store: Arc<dyn Store>,
    /// Who users are.
    pub users: Arc<dyn UserAuthenticator>,
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

impl ControlPlane {
    /// Opens the store and starts the writer.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub async fn start(parts: Parts) -> Result<Self, crate::store::StoreError> {
        let _ = parts;
        todo!()
    }

    /// Carries out a command; answers once it is durable.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn execute<C: Command>(
        &self,
        permit: Permit<C>,
        command: C,
    ) -> Result<C::Output, ExecuteError> {
        self.execute_with(permit, command, RequestOptions::default()).await
    }

    /// The same, with where it came from and an idempotency key.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn execute_with<C: Command>(
        &self,
        permit: Permit<C>,
        command: C,
        options: RequestOptions,
    ) -> Result<C::Output, ExecuteError> {
        let _ = (permit, command, options, &self.inner);
        todo!()
    }

    /// Who a user is.
    ///
    /// # Errors
    /// Nobody we let in.
    pub async fn authenticate(&self, proof: &UserProof) -> Result<Principal, AuthError> {
        let _ = proof;
        todo!()
    }

    /// Whether a principal may do something: the proof that [`ControlPlane::execute`] and [`ControlPlane::read`] take.
    ///
    /// # Errors
    /// It may not.
    pub fn authorize<C: Authorized>(&self, principal: Principal, scope: Scope) -> Result<Permit<C>, Denied> {
        let _ = (principal, scope);
        todo!()
    }

    /// What can be read under a permit.
    #[must_use]
    pub fn read<Q: query::Query>(&self, permit: &Permit<Q>) -> query::View {
        let _ = permit;
        todo!()
    }

    /// What an agent asks, in process. Credentials are checked here as over HTTP.
    #[must_use]
    pub fn agent_api(&self, connection: AgentConnection) -> Arc<dyn AgentApi> {
        let _ = connection;
        todo!()
    }

    /// The image as readers see it, for parts of the same process that hold no permit: metrics, tests.
    #[must_use]
    pub fn image(&self) -> Arc<Cluster> {
        todo!()
    }

    /// Answers what was accepted, stops the writer, closes.
    pub async fn shutdown(&self) {
        todo!()
    }
}
