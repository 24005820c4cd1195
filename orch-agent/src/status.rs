//! [`AgentStatus`]: whether the agent can do its work, and what is missing.

/// How an agent is.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentStatus {
    /// It has a registration that was not refused since.
    pub registered: bool,
    /// Its last heartbeat (or registration) was accepted.
    pub heartbeat_accepted: bool,
    /// Its container runtime answers.
    pub runtime_reachable: bool,
    /// Its node was revoked: it does nothing more.
    pub revoked: bool,
}

impl AgentStatus {
    /// Whether all is well: a green health with a dead identity is worse than a red one.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.registered && self.heartbeat_accepted && self.runtime_reachable && !self.revoked
    }

    /// What is missing, in words; empty when ready.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.revoked {
            missing.push("the node is revoked");
        } else if !self.registered {
            missing.push("not registered with the control plane");
        } else if !self.heartbeat_accepted {
            missing.push("the last heartbeat was not accepted");
        }
        if !self.runtime_reachable {
            missing.push("the container runtime cannot be reached");
        }
        missing
    }
}
