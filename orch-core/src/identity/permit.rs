//! [`Permit`]: proof that a principal may do one thing in one scope. Only [`authorize`] makes one.

use std::marker::PhantomData;

use super::{Action, Principal};
use crate::command::Command;
use crate::id::NodeId;
use crate::name::Namespace;

/// Where an action takes place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole cluster.
    Cluster,
    /// One namespace.
    Namespace(Namespace),
    /// One node, for what it asks itself.
    Node(NodeId),
}

/// Decides who may do what. Called once a request; must not block.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether `principal` may do `action` in `scope`.
    ///
    /// # Errors
    /// It may not.
    fn allows(&self, principal: &Principal, action: Action, scope: &Scope) -> Result<(), Denied>;
}

/// The principal may not do this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    /// The action that was refused.
    pub action: Action,
    /// A sentence for the caller: what would be needed.
    pub reason: String,
}

/// Proof that a principal may do what `C` stands for, in a scope. An embedder cannot make one but through [`authorize`].
#[derive(Debug)]
pub struct Permit<C> {
    principal: Principal,
    scope: Scope,
    _for: PhantomData<fn() -> C>,
}

/// Asks the authorizer, and answers with the proof.
///
/// # Errors
/// The authorizer refuses.
pub fn authorize<C: Authorized>(
    authorizer: &dyn Authorizer,
    principal: Principal,
    scope: Scope,
) -> Result<Permit<C>, Denied> {
    authorizer.allows(&principal, C::ACTION, &scope)?;
    Ok(Permit { principal, scope, _for: PhantomData })
}

/// What a permit can be for: a command, or a query.
pub trait Authorized {
    /// The action it needs.
    const ACTION: Action;
}

impl<C: Command> Authorized for C {
    const ACTION: Action = C::ACTION;
}

impl<C> Permit<C> {
    /// For what the control plane does by itself; not reachable from outside the crate.
    pub(crate) const fn system(part: &'static str) -> Self {
        Self { principal: Principal::System(part), scope: Scope::Cluster, _for: PhantomData }
    }

    /// For what a node does as itself, once its credential was accepted; not reachable from outside the crate.
    pub(crate) const fn node(principal: super::NodePrincipal) -> Self {
        Self { scope: Scope::Node(principal.node), principal: Principal::Node(principal), _for: PhantomData }
    }

    /// Who.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Where.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn into_parts(self) -> (Principal, Scope) {
        (self.principal, self.scope)
    }
}
