//! Making the tokens that admit new nodes: drawn here, so that decisions see their hashes alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{ControlPlane, RequestOptions};
use crate::command::{CreateEnrollmentToken, ExecuteError, Rejection};
use crate::env::EnvExt as _;
use crate::id::IdStream;
use crate::identity::enrollment_token::DEFAULT_LIFE;
use crate::identity::{EnrollmentToken, Permit, ServerPin};
use crate::name::NodeName;
use crate::secret::Secret;

/// What a token should be.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The one name that it admits; `None`: any that nobody has.
    pub node_name: Option<NodeName>,
    /// Labels of the nodes that it admits, which these cannot change.
    pub labels: BTreeMap<String, String>,
    /// How many nodes it admits.
    pub uses: u32,
    /// How long.
    pub life: Duration,
    /// How its agents know their server.
    pub server: Option<ServerPin>,
}

impl Default for TokenRequest {
    /// For one node of any name, within an hour.
    fn default() -> Self {
        Self { node_name: None, labels: BTreeMap::new(), uses: 1, life: DEFAULT_LIFE, server: None }
    }
}

impl ControlPlane {
    /// Makes a token that admits new nodes. It is answered once: nobody can be told it again.
    ///
    /// # Errors
    /// See [`ExecuteError`]; a control plane whose enrolment makes no tokens says so.
    pub async fn create_enrollment_token(
        &self,
        permit: Permit<CreateEnrollmentToken>,
        request: TokenRequest,
        options: RequestOptions,
    ) -> Result<(Arc<EnrollmentToken>, Secret<String>), ExecuteError> {
        let parts = &self.shared().parts;
        let none = || Rejection::WrongState("this control plane's enrolment makes no tokens".to_owned());
        let issuer = parts.enrollment.token_issuer().ok_or_else(none)?;
        let id = IdStream::seeded(parts.env.random_u64()).next();
        let issued = issuer.issue_token(id, request.server.as_ref(), parts.env.random32());
        let TokenRequest { node_name, labels, uses, life, server: _ } = request;
        let command = CreateEnrollmentToken { id, digest: issued.digest, node_name, labels, uses, life };
        let row = self.execute_with(permit, command, options).await?;
        Ok((row, issued.token))
    }
}
