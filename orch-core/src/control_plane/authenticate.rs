//! From a credential to a node: form by the validator, life by the state, memory by the sequence numbers.

use super::authority::{Admitted, Refused};
use super::own::ContainReuse;
use super::{AgentConnection, ControlPlane, Health, RequestOptions, authority, metric};
use crate::agent::{AgentApiError, Authority};
use crate::cluster::Cluster;
use crate::command::UseCredential;
use crate::command::rejection::Unauthorized;
use crate::identity::{CredentialBinding, NodePrincipal, Permit, PresentedCredential, Recognised};

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

    /// What the state and the sequence numbers say of a credential that is ours, and what follows from it.
    async fn weigh(
        &self,
        image: &Cluster,
        shown: &Recognised,
        sequence: Option<u64>,
    ) -> Result<Admitted, AgentApiError> {
        let shared = self.shared();
        let highest = |incarnation| shared.liveness.highest_sequence(shown.node, incarnation);
        match authority::weigh(image, shown, sequence, highest, shared.clock.now()) {
            Ok(admitted) => {
                shared.liveness.note_sequence(shown.node, shown.incarnation, sequence);
                Ok(admitted)
            }
            Err(Refused::Because(reason, why)) => Err(refuse(reason, why)),
            Err(Refused::Reused) => Err(self.contain(shown).await),
        }
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
