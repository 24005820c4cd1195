//! From what a user showed to a principal: who he is by the authenticator or by an API token, and whether he still may by the
//! state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{ControlPlane, RequestOptions, authority};
use crate::command::{CreateApiToken, ExecuteError, NoteTokenUse, Rejection};
use crate::env::EnvExt as _;
use crate::id::{ApiTokenId, IdStream};
use crate::identity::{ApiTokens, AuthError, Permit, Principal, UserIdentity, UserProof};
use crate::name::{ApiTokenName, Subject};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::user::ApiToken;

/// What whoever shows a token that is not ours is told, whatever is wrong with it.
const NOT_ACCEPTED: &str = "the token is not accepted";

/// In which hour each token was last seen here: what was written down is not written again.
#[derive(Default)]
pub(super) struct TokenUses(Mutex<BTreeMap<ApiTokenId, Timestamp>>);

impl TokenUses {
    /// Whether this is the first use of that hour that was seen here.
    fn is_first(&self, token: ApiTokenId, hour: Timestamp) -> bool {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.insert(token, hour).is_none_or(|before| before < hour)
    }

    fn forget_all_but(&self, keep: impl Fn(ApiTokenId) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|token, _| keep(*token));
    }
}

/// Tells when something about users changed.
#[derive(Debug)]
pub struct UserChanges(watch::Receiver<u64>);

impl UserChanges {
    /// Completes once something changed since the last look, or never again if the control plane ended. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl ControlPlane {
    /// Who a user is, and that he may come in: not disabled, and by something that was not taken back. His roles are those that
    /// the cluster gave him, else those of his token.
    ///
    /// # Errors
    /// Nobody we let in.
    pub async fn authenticate(&self, proof: &UserProof) -> Result<Principal, AuthError> {
        let parts = &self.shared().parts;
        let api_token = parts.api_tokens.as_ref().zip(proof.bearer.as_ref());
        let identity = match api_token.filter(|(tokens, bearer)| tokens.recognises(bearer)) {
            Some((tokens, bearer)) => self.by_api_token(tokens.as_ref(), bearer)?,
            None => parts.users.authenticate(proof).await?,
        };
        let image = self.image();
        authority::user_stands(&image, &parts.policy, &identity)
            .map_err(|why| AuthError::Refused(why.to_string()))?;
        let granted = image.user(&identity.subject).filter(|_| !parts.policy.users_are_listed);
        let grants = granted.and_then(|user| user.grants.clone());
        Ok(Principal::User(match grants {
            Some(grants) => UserIdentity { grants, ..identity },
            None => identity,
        }))
    }

    fn by_api_token(
        &self,
        tokens: &dyn ApiTokens,
        bearer: &Secret<String>,
    ) -> Result<UserIdentity, AuthError> {
        let not_accepted = || AuthError::Unproven(NOT_ACCEPTED.to_owned());
        let shown = tokens.read(bearer).map_err(|_| not_accepted())?;
        let image = self.image();
        let token = image.api_token(shown.id).ok_or_else(not_accepted)?;
        // No early end: the comparison takes as long whichever key it was.
        if !shown.digests.iter().fold(false, |found, digest| found | (*digest == token.digest)) {
            return Err(not_accepted());
        }
        if self.shared().parts.policy.users_are_listed {
            let why = "API tokens do not count while the server's settings list the users";
            return Err(AuthError::Refused(why.to_owned()));
        }
        let now = self.now();
        if now >= token.expires_at {
            let ago = now.since(token.expires_at).as_secs();
            return Err(AuthError::Refused(format!("the token expired {ago} s ago by the server's clock")));
        }
        self.note_use(token, now);
        let grants = image.user(&token.user).and_then(|user| user.grants.clone()).unwrap_or_default();
        let identity = UserIdentity::new(token.user.clone(), grants).issued_at(Some(token.created_at));
        Ok(UserIdentity { token: Some(token.id), ..identity })
    }

    /// Beside the request, which does not wait for it, and at most once an hour.
    fn note_use(&self, token: &ApiToken, now: Timestamp) {
        let (id, hour) = (token.id, ApiToken::hour_of(now));
        let shared = self.shared();
        if token.last_used >= Some(hour) || !shared.token_uses.is_first(id, hour) {
            return;
        }
        let control = self.clone();
        let image = self.image();
        shared.token_uses.forget_all_but(|token| image.api_token(token).is_some());
        shared.parts.env.spawn(Box::pin(shared.tasks.track_future(async move {
            let noted = control.execute(Permit::system("api-tokens"), NoteTokenUse { id, hour }).await;
            if let Err(error) = noted {
                tracing::debug!(%error, "the use of an API token was not noted");
            }
        })));
    }

    /// Makes an API token, and answers it: it is shown here and never again.
    ///
    /// # Errors
    /// See [`ExecuteError`]. A control plane without [`ApiTokens`] makes none.
    pub async fn create_api_token(
        &self,
        permit: Permit<CreateApiToken>,
        user: Subject,
        name: ApiTokenName,
        ttl: Duration,
        options: RequestOptions,
    ) -> Result<(Arc<ApiToken>, Secret<String>), ExecuteError> {
        let parts = &self.shared().parts;
        let none = || Rejection::WrongState("this server makes no API tokens".to_owned());
        let tokens = parts.api_tokens.as_ref().ok_or_else(none)?;
        let id = IdStream::seeded(parts.env.random_u64()).next();
        let issued = tokens.issue(id, parts.env.random32());
        let command = CreateApiToken { user, name, ttl, id, digest: issued.digest };
        let token = self.execute_with(permit, command, options).await?;
        Ok((token, issued.token))
    }

    /// What tells when something about users changes: who was let in a while ago is looked at again then.
    #[must_use]
    pub fn user_changes(&self) -> UserChanges {
        UserChanges(self.shared().published.users())
    }
}
