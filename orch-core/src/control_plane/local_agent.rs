//! [`AgentApi`] in process: what an agent's calls come to, whether they came over HTTP or not.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::authenticate::unavailable;
use super::{AgentConnection, ControlPlane, RequestOptions, desired};
use crate::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredVersion, Directive, Heartbeat, HeartbeatAnswer,
    RegisterRequest, Registered, ReportAnswer, TicketId,
};
use crate::command::enrollment_token::{NoteRefusedToken, refusal};
use crate::command::{ExecuteError, HeartbeatNode, RegisterNode, Rejection, ReportTasks};
use crate::env::EnvExt as _;
use crate::id::{IdStream, TaskId};
use crate::identity::{
    Attestation, BootstrapProof, Challenge, CredentialBinding, EnrollmentRefused, Issued, KeyFingerprint,
    NodePrincipal, Permit, Proven,
};
use crate::name::NodeName;
use crate::node::version::{AgentVersion, NEWEST_TESTED_AGENT};
use crate::node::{Incarnation, Node, NodeStatus};
use crate::record::{EventKind, RelatedObject, Severity};
use crate::secret::{ResolvedSecret, ResolvedSecrets, SecretError};
use crate::task::{DesiredStatus, TaskReport};

/// The longest that a poll waits, whatever it asks for: shorter than what proxies on the way cut off.
pub const LONGEST_POLL: Duration = Duration::from_secs(55);
/// How often a registration is tried again when another came between.
const REGISTER_ATTEMPTS: u32 = 3;
/// How often a heartbeat is tried again when another of the same node came between.
const HEARTBEAT_ATTEMPTS: u32 = 3;
/// When an agent asks again after an outcome that is not known.
const SOON: Duration = Duration::from_secs(1);

/// A handle of one connection.
pub(super) struct LocalAgent {
    pub(super) plane: ControlPlane,
    pub(super) connection: AgentConnection,
}

#[async_trait]
impl AgentApi for LocalAgent {
    async fn challenge(&self, name: &NodeName) -> Result<Challenge, AgentApiError> {
        self.plane.answers_agents()?;
        let image = self.plane.image();
        let incarnation = image.node_named(name).map_or(0, |node| node.incarnation.0);
        let parts = &self.plane.shared().parts;
        let now = self.plane.now();
        Ok(parts.enrollment.challenge(image.id(), incarnation, now, parts.env.random32()))
    }

    async fn register(&self, request: RegisterRequest) -> Result<Registered, AgentApiError> {
        self.plane.answers_agents()?;
        let RegisterRequest { claim, token, key } = request;
        let proof = BootstrapProof {
            token,
            key,
            peer: self.connection.peer.clone(),
            server_certificate: self.connection.server_certificate,
        };
        let cluster = self.plane.image().id();
        let enrollment = &self.plane.shared().parts.enrollment;
        let proven = match enrollment.prove(cluster, &claim, &proof, self.plane.now()).await {
            Ok(proven) => proven,
            Err(EnrollmentRefused::Unavailable) => {
                return Err(unavailable("the enrolment backend is not available"));
            }
            Err(refused) => {
                super::metric::agent_refused("enrolment");
                tracing::warn!(node = %claim.name, %refused, "a registration was refused");
                return Err(AgentApiError::Unauthorized);
            }
        };
        let mut attempt = 1;
        loop {
            match self.try_register(claim.clone(), proven.clone()).await {
                // Another registration took the id or the incarnation meanwhile: both are picked anew.
                Err(ExecuteError::Rejected(Rejection::Conflict(_))) if attempt < REGISTER_ATTEMPTS => {
                    attempt += 1
                }
                Err(ExecuteError::Rejected(
                    refused @ (Rejection::Unauthorized(_) | Rejection::Forbidden(_)),
                )) => {
                    super::metric::agent_refused("enrolment");
                    let key = proven.key.as_ref().map(|(key, _)| KeyFingerprint::of(key));
                    tracing::warn!(node = %claim.name, ?key, %refused, "a registration was refused");
                    self.note_refused_token(&claim.name, &proven).await;
                    return Err(refused.into());
                }
                result => return Ok(result?),
            }
        }
    }

    async fn heartbeat(
        &self,
        authority: &Authority,
        heartbeat: Heartbeat,
    ) -> Result<HeartbeatAnswer, AgentApiError> {
        let principal = self.plane.admit(authority, &self.connection, true).await?;
        self.heard(&principal, heartbeat.shutdown);
        let mut attempt = 1;
        let credential = loop {
            match self.try_heartbeat(principal, heartbeat.clone()).await {
                Ok(credential) => break Some(credential),
                // Another heartbeat of this node came between, and took the number of the credential.
                Err(ExecuteError::Rejected(Rejection::Conflict(_))) if attempt < HEARTBEAT_ATTEMPTS => {
                    attempt += 1
                }
                Err(ExecuteError::Rejected(rejection)) => return Err(rejection.into()),
                // The store cannot be written: the node is alive all the same, and what it holds stays good.
                Err(ExecuteError::Unavailable { .. } | ExecuteError::Uncertain(_)) => break None,
            }
        };
        self.plane.still_stands(&principal)?;
        let image = self.plane.image();
        let node = image.node(principal.node).ok_or(AgentApiError::Unauthorized)?;
        Ok(HeartbeatAnswer {
            credential,
            heartbeat_interval: self.plane.shared().liveness.interval(),
            desired: desired::version(&image, principal.node),
            directives: directives(node),
        })
    }

    async fn desired(
        &self,
        authority: &Authority,
        have: Option<DesiredVersion>,
        wait: Duration,
    ) -> Result<DesiredSet, AgentApiError> {
        let principal = self.plane.admit(authority, &self.connection, false).await?;
        let shared = self.plane.shared();
        let env = &shared.parts.env;
        let bell = shared.published.bells.of(principal.node);
        let mut over = env.sleep(wait.min(LONGEST_POLL));
        let mut waited = wait.is_zero();
        loop {
            let rung = bell.notified();
            tokio::pin!(rung);
            // From here on no change is missed: it is either in the image below, or it rings.
            rung.as_mut().enable();
            self.plane.still_stands(&principal)?;
            let image = self.plane.image();
            let streams = shared.streams.hand_out(principal.node, env.monotonic());
            let differs = have != Some(desired::version(&image, principal.node));
            if differs || waited || !streams.is_empty() {
                let set = desired::set(&image, principal.node).map_err(|error| {
                    tracing::error!(node = %principal.node, %error, "the desired set cannot be told");
                    AgentApiError::Unavailable { retry_after: None, cause: error.into() }
                })?;
                return Ok(DesiredSet { streams, ..set });
            }
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => {}
                () = &mut rung => {}
                () = &mut over => waited = true,
            }
        }
    }

    async fn report(
        &self,
        authority: &Authority,
        reports: Vec<TaskReport>,
    ) -> Result<ReportAnswer, AgentApiError> {
        let principal = self.plane.admit(authority, &self.connection, false).await?;
        Ok(self.execute(principal, ReportTasks { reports }).await?)
    }

    async fn secrets(&self, authority: &Authority, task: TaskId) -> Result<ResolvedSecrets, AgentApiError> {
        let principal = self.plane.admit(authority, &self.connection, false).await?;
        let image = self.plane.image();
        let row = image.task(task).filter(|row| {
            row.node == Some(principal.node)
                && row.desired == DesiredStatus::Running
                && !row.status.is_terminal()
        });
        let none = || AgentApiError::Refused(format!("task `{task}` is not one that this node should run"));
        let row = row.ok_or_else(none)?;
        let revision = image.revision_of(row).ok_or_else(none)?;
        let provider = &self.plane.shared().parts.secrets;
        let mut values = Vec::with_capacity(revision.spec.template.secrets.len());
        for reference in &revision.spec.template.secrets {
            let value = provider.resolve(&row.namespace, reference).await.map_err(secret_error)?;
            values.push(ResolvedSecret { delivery: reference.delivery.clone(), value });
        }
        self.plane.still_stands(&principal)?;
        Ok(ResolvedSecrets { values })
    }

    async fn deliver(
        &self,
        authority: &Authority,
        ticket: TicketId,
        stream: BoxStream<'static, Result<Bytes, std::io::Error>>,
    ) -> Result<(), AgentApiError> {
        let principal = self.plane.admit(authority, &self.connection, false).await?;
        self.plane.relay(&principal, &ticket, stream).await
    }

    async fn input(
        &self,
        authority: &Authority,
        ticket: TicketId,
    ) -> Result<BoxStream<'static, Result<Bytes, std::io::Error>>, AgentApiError> {
        let principal = self.plane.admit(authority, &self.connection, false).await?;
        self.plane.input_of(&principal, &ticket)
    }
}

impl LocalAgent {
    fn options(&self) -> RequestOptions {
        RequestOptions { context: self.connection.context.clone(), idempotency: None }
    }

    async fn execute<C: crate::command::Command>(
        &self,
        principal: NodePrincipal,
        command: C,
    ) -> Result<C::Output, ExecuteError> {
        self.plane.execute_with(Permit::node(principal), command, self.options()).await
    }

    /// Tells those who look after the cluster why a token of theirs did not let a node in. The node is told nothing of it.
    /// Each reason is written once a token, so that nobody fills the store with it.
    async fn note_refused_token(&self, name: &NodeName, proven: &Proven) {
        let Some(Attestation::OneTimeToken(shown)) = proven.attestation else { return };
        let (image, has_key) = (self.plane.image(), proven.key.is_some());
        let Some(reason) = refusal(&image, &shown, name, has_key, self.plane.now()) else { return };
        tracing::warn!(node = %name, token = %shown.id, reason = reason.as_str(), "an enrolment token was refused");
        if image.enrollment_token(shown.id).is_none_or(|token| token.refused.contains(&reason)) {
            return;
        }
        let command = NoteRefusedToken { shown, name: name.clone(), has_key };
        let noted = self.plane.execute_with(Permit::system("enrollment"), command, self.options()).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "the refusal of an enrolment token could not be written");
        }
    }

    async fn try_register(
        &self,
        claim: crate::identity::RegistrationClaim,
        proven: Proven,
    ) -> Result<Registered, ExecuteError> {
        let shared = self.plane.shared();
        let (env, ttl) = (&shared.parts.env, shared.parts.policy.credential_ttl);
        let image = self.plane.image();
        let before = image.node_named(&claim.name);
        let (node, incarnation) = match before {
            Some(node) => (node.id, Incarnation(node.incarnation.0 + 1)),
            None => (IdStream::seeded(env.random_u64()).next(), Incarnation(1)),
        };
        let active_boot =
            before.is_some_and(|node| shared.liveness.is_active(node.id, node.incarnation, env.monotonic()));
        let issued = shared.parts.issuer.issue(node, incarnation, 1, env.random32());
        let binding = match &self.connection.peer {
            Some(peer) => CredentialBinding::Certificate(peer.thumbprint),
            None => CredentialBinding::Token,
        };
        let command = RegisterNode {
            claim,
            proven,
            credential: Issued { digest: issued.digest, generation: 1, expires_at: self.plane.now() + ttl },
            credential_for: (node, incarnation),
            binding,
            active_boot,
        };
        let principal = NodePrincipal { node, incarnation, generation: 1, sequence: None };
        let registered = self.execute(principal, command).await?.node;
        self.heard(&principal, false);
        Ok(Registered {
            cluster: image.id(),
            node: registered.id,
            incarnation: registered.incarnation,
            credential: issued.token,
            ttl,
            heartbeat_interval: shared.liveness.interval(),
            directives: directives(&registered),
        })
    }

    /// Answers the next credential and its life, once it is durable.
    async fn try_heartbeat(
        &self,
        principal: NodePrincipal,
        heartbeat: Heartbeat,
    ) -> Result<(crate::secret::Secret<String>, Duration), ExecuteError> {
        let shared = self.plane.shared();
        let ttl = shared.parts.policy.credential_ttl;
        let image = self.plane.image();
        let newest = image.credential(principal.node).map_or(0, |row| row.newest_generation());
        let (generation, entropy) = (newest + 1, shared.parts.env.random32());
        let issued = shared.parts.issuer.issue(principal.node, principal.incarnation, generation, entropy);
        let next = Issued { digest: issued.digest, generation, expires_at: self.plane.now() + ttl };
        self.execute(principal, HeartbeatNode { heartbeat, next }).await?;
        Ok((issued.token, ttl))
    }

    /// A sign of life: kept in memory, and shown on the live feed.
    fn heard(&self, principal: &NodePrincipal, left: bool) {
        let shared = self.plane.shared();
        let now = self.plane.now();
        shared.liveness.seen(principal.node, principal.incarnation, shared.parts.env.monotonic(), now, left);
        if shared.published.feed.has_listeners() {
            shared.published.feed.live(crate::record::Event {
                id: IdStream::seeded(shared.parts.env.random_u64()).next(),
                namespace: None,
                kind: EventKind::NodeHeartbeat,
                severity: Severity::Info,
                message: "heartbeat received".to_owned(),
                related: Some(RelatedObject::Node(principal.node)),
                details: std::collections::BTreeMap::new(),
                at: now,
            });
        }
    }
}

fn directives(node: &Node) -> Vec<Directive> {
    let mut directives = Vec::new();
    if node.status.is_draining() {
        directives.push(Directive::Drain);
    }
    if matches!(node.status, NodeStatus::Offline { .. }) {
        directives.push(Directive::Offline);
    }
    if AgentVersion::of(&node.agent_version) == AgentVersion::Untested {
        directives.push(Directive::VersionWarning(format!(
            "this agent is of version {}, newer than its control plane: it was tried with agents up to {NEWEST_TESTED_AGENT}",
            node.agent_version
        )));
    }
    directives
}

fn secret_error(error: SecretError) -> AgentApiError {
    match error {
        SecretError::Unavailable(cause) => AgentApiError::Unavailable { retry_after: Some(SOON), cause },
        missing => AgentApiError::Refused(missing.to_string()),
    }
}

impl From<crate::command::rejection::Unauthorized> for AgentApiError {
    fn from(why: crate::command::rejection::Unauthorized) -> Self {
        use crate::command::rejection::Unauthorized as Why;
        match why {
            Why::Unknown | Why::UserDisabled | Why::TokenRevoked => Self::Unauthorized,
            Why::CredentialExpired => Self::CredentialExpired,
            Why::CredentialSuperseded => Self::CredentialSuperseded,
            Why::NodeReset => Self::NodeReset,
            Why::NodeRevoked => Self::NodeRevoked,
            Why::NodeActive => Self::NodeActive,
        }
    }
}

impl From<Rejection> for AgentApiError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Unauthorized(why) => why.into(),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<ExecuteError> for AgentApiError {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Rejected(rejection) => rejection.into(),
            ExecuteError::Unavailable { retry_after, cause } => {
                Self::Unavailable { retry_after: Some(retry_after), cause }
            }
            // Every call of an agent can be repeated.
            ExecuteError::Uncertain(cause) => Self::Unavailable { retry_after: Some(SOON), cause },
        }
    }
}
