//! [`SecretProvider`]: where values come from, asked for one task when it is placed.

use async_trait::async_trait;

use super::{Secret, SecretDelivery, SecretRef};
use crate::name::{Namespace, SecretName};

/// Resolves secret references. Values pass through the control plane's memory only.
#[async_trait]
pub trait SecretProvider: Send + Sync + 'static {
    /// Whether the secret exists now. Called when a spec that names it is created or applied.
    async fn exists(&self, namespace: &Namespace, name: &SecretName) -> Result<bool, SecretError>;
    /// The value. Idempotent and cancel-safe; called once per task attempt by the agent that runs it.
    async fn resolve(
        &self,
        namespace: &Namespace,
        reference: &SecretRef,
    ) -> Result<Secret<Vec<u8>>, SecretError>;
}

/// Why a secret could not be resolved. No variant holds a value.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such secret.
    #[error("secret `{0}` does not exist")]
    NotFound(SecretName),
    /// The secret has no such key.
    #[error("secret `{name}` has no key `{key}`")]
    NoSuchKey {
        /// The secret.
        name: SecretName,
        /// The key asked for.
        key: String,
    },
    /// The provider did not answer; trying again may help.
    #[error("the secret provider is not available")]
    Unavailable(#[source] crate::BoxError),
}

/// One resolved value and where it goes.
#[derive(Clone, Debug)]
pub struct ResolvedSecret {
    /// How the container gets it.
    pub delivery: SecretDelivery,
    /// The value.
    pub value: Secret<Vec<u8>>,
}

/// The values of one task.
#[derive(Clone, Debug, Default)]
pub struct ResolvedSecrets {
    /// In the order of the spec's references.
    pub values: Vec<ResolvedSecret>,
}
