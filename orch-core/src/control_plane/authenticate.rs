//! From a credential to a node: form by the validator, life by the state, memory by the sequence numbers.

use super::own::ContainReuse;
use super::{AgentConnection, ControlPlane, Health, RequestOptions, authority, metric};
use crate::agent::{AgentApiError, Authority};
use crate::cluster::Cluster;
use crate::command::UseCredential;
use crate::command::rejection::Unauthorized;
use crate::identity::{CredentialBinding, NodePrincipal, Permit, PresentedCredential, Recognised, Verdict};
use crate::node::NodeStatus;

/// A node that was let in.
pub(super) struct Admitted {
    pub(super) principal: NodePrincipal,
    /// It showed its next credential for the first time: that is to be made durable before anything is done for it.
    promote: bool,
}

impl ControlPlane {
    /// Who a node is. `heartbeat`: the request promotes the credential itself.
    pub(super) async fn admit(
        &self,
        authority: &Authority,
        connection: &AgentConnection,
        heartbeat: bool,
    ) -> Result<NodePrincipal, AgentApiError> {
        let admitted = self.judge(authority, connection).await?;
        if admitted.promote && !heartbeat {
            let options = RequestOptions { context: connection.context.clone(), idempotency: None };
            self.execute_with(Permit::node(admitted.principal), UseCredential {}, options).await?;
        }
        Ok(admitted.principal)
    }

    async fn judge(
        &self,
        authority: &Authority,
        connection: &AgentConnection,
    ) -> Result<Admitted, AgentApiError> {
        self.answers_agents()?;
        let shown =
            PresentedCredential::bearer(authority.credential.clone()).with_peer(connection.peer.clone());
        let recognised = self.shared().parts.validator.recognise(&shown).await;
        let recognised = recognised.map_err(|_| refuse("unknown", Unauthorized::Unknown))?;
        if recognised.node != authority.node {
            return Err(refuse("other_node", Unauthorized::Unknown));
        }
        let image = self.image();
        check_binding(&image, &recognised, connection)?;
        self.weigh(&image, &recognised, authority.sequence).await
    }

    /// What the state and the sequence numbers say of a credential that is ours.
    async fn weigh(
        &self,
        image: &Cluster,
        shown: &Recognised,
        sequence: Option<u64>,
    ) -> Result<Admitted, AgentApiError> {
        let node = image.node(shown.node).ok_or_else(|| refuse("removed", Unauthorized::Unknown))?;
        if node.status == NodeStatus::Revoked {
            return Err(refuse("revoked", Unauthorized::NodeRevoked));
        }
        let row = image.credential(shown.node).ok_or_else(|| refuse("reset", Unauthorized::NodeReset))?;
        let shared = self.shared();
        let highest = shared.liveness.highest_sequence(shown.node, row.incarnation);
        let verdict = row.judge(shown, sequence, highest, shared.clock.now());
        match verdict {
            Verdict::Current | Verdict::Promote | Verdict::Grace => {}
            Verdict::Expired => return Err(refuse("expired", Unauthorized::CredentialExpired)),
            Verdict::Late => return Err(refuse("late", Unauthorized::CredentialSuperseded)),
            Verdict::OldIncarnation => return Err(refuse("old_incarnation", Unauthorized::NodeReset)),
            Verdict::Unknown => return Err(refuse("unknown", Unauthorized::Unknown)),
            Verdict::Reused => return Err(self.contain(shown).await),
        }
        let principal = NodePrincipal {
            node: shown.node,
            incarnation: shown.incarnation,
            generation: shown.generation,
            sequence,
        };
        authority::stands(image, &principal).map_err(|why| refuse("reset", why))?;
        shared.liveness.note_sequence(shown.node, shown.incarnation, sequence);
        Ok(Admitted { principal, promote: verdict == Verdict::Promote })
    }

    /// A dead credential was used anew: someone has a copy.
    async fn contain(&self, shown: &Recognised) -> AgentApiError {
        metric::agent_refused("reused");
        tracing::error!(node = %shown.node, generation = shown.generation, "a dead credential was used anew");
        let revoke = self.shared().parts.policy.revoke_on_reuse;
        let (node, incarnation, generation) = (shown.node, shown.incarnation, shown.generation);
        let command = ContainReuse { node, incarnation, generation, revoke };
        if let Err(error) = self.execute(Permit::system("credential-guard"), command).await {
            tracing::error!(%node, %error, "the registration could not be ended");
        }
        if revoke { AgentApiError::NodeRevoked } else { AgentApiError::NodeReset }
    }

    /// Whether a node that was admitted still stands, on the present image: asked after every wait.
    pub(super) fn still_stands(&self, principal: &NodePrincipal) -> Result<(), AgentApiError> {
        self.answers_agents()?;
        authority::stands(&self.image(), principal).map_err(AgentApiError::from)
    }

    /// A server that was stopped or fenced off knows no longer what is true.
    pub(super) fn answers_agents(&self) -> Result<(), AgentApiError> {
        if self.shared().stop.is_cancelled() {
            return Err(unavailable("the control plane is shutting down"));
        }
        match self.health() {
            Health::Ready | Health::NotReady { .. } => Ok(()),
            Health::Fenced => Err(unavailable("another server has the right to write")),
            Health::Stopped => Err(unavailable("the control plane has stopped")),
        }
    }
}

/// What a credential is bound to must be the certificate of this connection.
fn check_binding(
    image: &Cluster,
    shown: &Recognised,
    connection: &AgentConnection,
) -> Result<(), AgentApiError> {
    let of_node = image.node(shown.node).map_or(CredentialBinding::Token, |node| node.binding);
    for binding in [shown.binding, of_node] {
        if let CredentialBinding::Certificate(thumbprint) = binding
            && connection.peer.as_ref().is_none_or(|peer| peer.thumbprint != thumbprint)
        {
            return Err(refuse("other_certificate", Unauthorized::Unknown));
        }
    }
    Ok(())
}

fn refuse(reason: &'static str, why: Unauthorized) -> AgentApiError {
    metric::agent_refused(reason);
    why.into()
}

pub(super) fn unavailable(why: &'static str) -> AgentApiError {
    AgentApiError::Unavailable { retry_after: None, cause: why.into() }
}
