//! API tokens of service accounts. The token itself is drawn outside and shown once; a command carries its keyed hash.

use std::sync::Arc;
use std::time::Duration;

use super::user::find;
use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::cluster::{Change, Cluster, Key, Transaction};
use crate::id::ApiTokenId;
use crate::identity::{Action, CredentialDigest};
use crate::name::{ApiTokenName, Subject};
use crate::time::Timestamp;
use crate::user::{ApiToken, LONGEST_LIFE, MOST_TOKENS, SHORTEST_LIFE, UserKind, UserStatus};

/// Makes an API token for a service account.
#[derive(Clone, Debug)]
pub struct CreateApiToken {
    /// Whose.
    pub user: Subject,
    /// What it is called.
    pub name: ApiTokenName,
    /// How long it is good.
    pub ttl: Duration,
    /// What the token bears.
    pub id: ApiTokenId,
    /// Its keyed hash.
    pub digest: CredentialDigest,
}

/// Ends an API token.
#[derive(Clone, Debug)]
pub struct RevokeApiToken {
    /// Whose.
    pub user: Subject,
    /// Which.
    pub name: ApiTokenName,
}

/// Notes in which hour a token was last used.
#[derive(Clone, Debug)]
pub(crate) struct NoteTokenUse {
    pub(crate) id: ApiTokenId,
    pub(crate) hour: Timestamp,
}

impl Command for CreateApiToken {
    const ACTION: Action = Action::ManageUsers;
    type Output = Arc<ApiToken>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        self.make(cluster, ctx, None)
    }

    /// A token cannot be shown again: a repetition replaces the one that nobody saw.
    fn repeat(
        self,
        cluster: &Cluster,
        object: &str,
        ctx: &mut Ctx<'_>,
    ) -> Result<Decision<Self::Output>, Rejection> {
        let first = object.parse().ok().and_then(|id| cluster.api_token(id));
        self.make(cluster, ctx, first)
    }
}

impl CreateApiToken {
    /// In the place of another, if there is one.
    fn make(
        self,
        cluster: &Cluster,
        ctx: &mut Ctx<'_>,
        instead: Option<&Arc<ApiToken>>,
    ) -> Result<Decision<Arc<ApiToken>>, Rejection> {
        let Self { user, name, ttl, id, digest } = self;
        ctx.may_write_users()?;
        if !(SHORTEST_LIFE..=LONGEST_LIFE).contains(&ttl) {
            let expected = format!("1 to {} seconds (366 days)", LONGEST_LIFE.as_secs());
            return Err(Rejection::invalid(FieldPath::new("ttl_seconds"), "out of range", expected));
        }
        let account = find(cluster, &user)?;
        if account.kind != UserKind::ServiceAccount {
            let why = format!("`{user}` is a person: API tokens are for service accounts");
            return Err(Rejection::WrongState(why));
        }
        if account.status != UserStatus::Active {
            return Err(Rejection::WrongState(format!("the user `{user}` is disabled")));
        }
        let others =
            || cluster.api_tokens_of(&user).filter(|token| instead.is_none_or(|old| old.id != token.id));
        if others().any(|token| token.name == name) {
            return Err(Rejection::Conflict(format!("the user `{user}` has a token `{name}`")));
        }
        if others().count() >= MOST_TOKENS {
            let why = format!("the user `{user}` has {MOST_TOKENS} tokens, the most there may be");
            return Err(Rejection::Conflict(why));
        }
        let mut transaction = Transaction::default();
        if let Some(old) = instead {
            transaction.remove(Key::ApiToken(old.id));
        }
        let (created_at, expires_at) = (ctx.now, ctx.now + ttl);
        let token = Arc::new(ApiToken { id, user, name, digest, created_at, expires_at, last_used: None });
        transaction.changes.push(Change::ApiToken(Arc::clone(&token)));
        let mut record = audit(ctx, &token, "user.token.create");
        record.metadata.insert("expires_at".to_owned(), expires_at.to_string());
        transaction.audit.push(record);
        Ok(Decision::commit(transaction, token).about(id))
    }
}

impl Command for RevokeApiToken {
    const ACTION: Action = Action::ManageUsers;
    type Output = ();

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let token = named(cluster, &self.user, &self.name);
        let token = token.ok_or_else(|| Rejection::not_found("token", &self.name))?;
        let mut transaction = Transaction::default();
        transaction.remove(Key::ApiToken(token.id));
        transaction.audit.push(audit(ctx, token, "user.token.revoke"));
        Ok(Decision::commit(transaction, ()).about(&self.name))
    }

    fn replay(&self, _: &Cluster, _: &str) -> Option<()> {
        Some(())
    }
}

impl Command for NoteTokenUse {
    const ACTION: Action = Action::Control;
    type Output = ();

    fn decide(self, cluster: &Cluster, _: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let Some(token) = cluster.api_token(self.id).filter(|token| token.last_used < Some(self.hour)) else {
            return Ok(Decision::unchanged(()));
        };
        let mut transaction = Transaction::default();
        transaction.put(ApiToken { last_used: Some(self.hour), ..ApiToken::clone(token) });
        Ok(Decision::commit(transaction, ()))
    }
}

fn named<'c>(cluster: &'c Cluster, user: &'c Subject, name: &ApiTokenName) -> Option<&'c Arc<ApiToken>> {
    cluster.api_tokens_of(user).find(|token| token.name == *name)
}

fn audit(ctx: &mut Ctx<'_>, token: &ApiToken, action: &str) -> crate::record::AuditRecord {
    let mut record = ctx.audit(action, "user", &token.user);
    record.metadata.insert("token".to_owned(), token.name.to_string());
    record.metadata.insert("token_id".to_owned(), token.id.to_string());
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CreateUser, DisableUser};
    use crate::identity::{Grants, Role};
    use crate::testing::World;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn world() -> World {
        let mut world = World::new();
        for (name, kind) in [("ci", UserKind::ServiceAccount), ("alice", UserKind::Person)] {
            let grants = Some(Grants::cluster(Role::Operator));
            world.execute(CreateUser { name: name.parse().unwrap(), kind, grants }).unwrap();
        }
        world
    }

    fn token(world: &mut World, user: &str, name: &str, ttl: Duration) -> CreateApiToken {
        let (id, digest) = (world.ids.next(), CredentialDigest([7; 32]));
        CreateApiToken { user: user.parse().unwrap(), name: name.parse().unwrap(), ttl, id, digest }
    }

    #[test]
    fn a_service_account_has_named_tokens_that_end_and_a_person_has_none() {
        let mut world = world();
        let command = token(&mut world, "ci", "deploy", DAY);
        let made = world.execute(command).unwrap();
        assert_eq!(made.expires_at, world.now + DAY);
        let refused = [
            (token(&mut world, "ci", "deploy", DAY), "has a token"),
            (token(&mut world, "alice", "laptop", DAY), "a person"),
            (token(&mut world, "nobody", "x", DAY), "does not exist"),
            (token(&mut world, "ci", "long", DAY * 367), "366 days"),
            (token(&mut world, "ci", "short", Duration::ZERO), "366 days"),
        ];
        for (command, why) in refused {
            let error = world.execute(command).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let revoke = RevokeApiToken { user: "ci".parse().unwrap(), name: "deploy".parse().unwrap() };
        world.execute(revoke.clone()).unwrap();
        assert!(matches!(world.execute(revoke), Err(Rejection::NotFound { .. })));
        let actions: Vec<_> = world.audit[2..].iter().map(|record| record.action.as_str()).collect();
        assert_eq!(actions, ["user.token.create", "user.token.revoke"]);
        assert_eq!(world.audit[2].metadata["token"], "deploy");
    }

    #[test]
    fn a_repeated_request_replaces_the_token_that_nobody_saw() {
        let mut world = world();
        let first = token(&mut world, "ci", "deploy", DAY);
        let first = world.execute(first).unwrap();
        let again = token(&mut world, "ci", "deploy", DAY);
        let again = world.repeat(again, &first.id.to_string()).unwrap();
        assert_ne!(first.id, again.id);
        assert!(world.cluster.api_token(first.id).is_none());
        assert_eq!(world.cluster.api_tokens_of(&first.user).count(), 1);
    }

    #[test]
    fn disabling_takes_every_token_and_there_is_an_end_to_how_many_there_are() {
        let mut world = world();
        for number in 0..MOST_TOKENS {
            let command = token(&mut world, "ci", &format!("t{number}"), DAY);
            world.execute(command).unwrap();
        }
        let command = token(&mut world, "ci", "one-more", DAY);
        assert!(matches!(world.execute(command), Err(Rejection::Conflict(_))));
        world.execute(DisableUser { name: "ci".parse().unwrap() }).unwrap();
        assert_eq!(world.cluster.api_tokens().count(), 0);
        let command = token(&mut world, "ci", "late", DAY);
        assert!(matches!(world.execute(command), Err(Rejection::WrongState(_))));
    }

    #[test]
    fn the_last_use_is_kept_by_the_hour_and_never_goes_back() {
        let mut world = world();
        let command = token(&mut world, "ci", "deploy", DAY);
        let made = world.execute(command).unwrap();
        let hour = ApiToken::hour_of(world.now + Duration::from_secs(5_000));
        assert_eq!(hour.as_micros() % 3_600_000_000, 0);
        let earlier = ApiToken::hour_of(world.now);
        for (hour, kept) in [(hour, hour), (hour, hour), (earlier, hour)] {
            world.execute(NoteTokenUse { id: made.id, hour }).unwrap();
            assert_eq!(world.cluster.api_token(made.id).unwrap().last_used, Some(kept));
        }
        let before = world.history.len();
        world.execute(NoteTokenUse { id: made.id, hour }).unwrap();
        assert_eq!(world.history.len(), before, "nothing to write");
    }
}
