//! Make, change and end users.

use std::sync::Arc;

use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::cluster::{Cluster, Key, Transaction};
use crate::identity::{Action, Grants, Principal};
use crate::name::Subject;
use crate::user::{User, UserKind, UserStatus};

/// Adds a user. One that was removed comes back without his old tokens.
#[derive(Clone, Debug)]
pub struct CreateUser {
    /// Who.
    pub name: Subject,
    /// A person or a program.
    pub kind: UserKind,
    /// What he may; `None`: what his token says.
    pub grants: Option<Grants>,
}

/// Changes what a user may.
#[derive(Clone, Debug)]
pub struct SetUserRole {
    /// Who.
    pub name: Subject,
    /// What he may; `None`: what his token says.
    pub grants: Option<Grants>,
}

/// Refuses a user from the next request on, open streams included, and takes all his tokens back for good. Also one that the
/// cluster does not know yet. Idempotent.
#[derive(Clone, Debug)]
pub struct DisableUser {
    /// Who.
    pub name: Subject,
}

/// Lets a disabled user in again, by tokens that are issued from now on. Idempotent.
#[derive(Clone, Debug)]
pub struct EnableUser {
    /// Who.
    pub name: Subject,
}

/// Takes back what was issued to a user before this instant. Also to one that the cluster does not know yet.
#[derive(Clone, Debug)]
pub struct RevokeUserTokens {
    /// Who.
    pub name: Subject,
}

/// Forgets a user, and takes all his tokens back.
#[derive(Clone, Debug)]
pub struct RemoveUser {
    /// Who.
    pub name: Subject,
}

impl Command for CreateUser {
    const ACTION: Action = Action::ManageUsers;
    type Output = Arc<User>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let Self { name, kind, grants } = self;
        ctx.may_write_users()?;
        if name == Subject::anonymous() {
            let expected = "another name: this one is everybody's while user authentication is off";
            return Err(Rejection::invalid(FieldPath::new("name"), "it is taken", expected));
        }
        if kind == UserKind::ServiceAccount && grants.is_none() {
            let problem = "a service account's tokens say nothing of what it may";
            return Err(Rejection::invalid(FieldPath::new("role"), problem, "a role, or namespace_roles"));
        }
        let removed = match cluster.user(&name) {
            Some(known) if known.status != UserStatus::Removed => {
                return Err(Rejection::Conflict(format!("the user `{name}` exists")));
            }
            removed => removed,
        };
        let accepted_from = removed.and_then(|user| user.accepted_from);
        let user = User { grants, accepted_from, ..User::new(name, kind, ctx.now) };
        write(ctx, Transaction::default(), user, "user.create")
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        known(cluster, &object.parse().ok()?).cloned()
    }
}

impl Command for SetUserRole {
    const ACTION: Action = Action::ManageUsers;
    type Output = Arc<User>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let Self { name, grants } = self;
        ctx.may_write_users()?;
        ctx.is_another(&name, "change your own role")?;
        let user = find(cluster, &name)?;
        if user.kind == UserKind::ServiceAccount && grants.is_none() {
            let problem = "a service account's tokens say nothing of what it may";
            return Err(Rejection::invalid(FieldPath::new("role"), problem, "a role, or namespace_roles"));
        }
        if user.grants == grants {
            return Ok(Decision::unchanged(Arc::clone(user)).about(name));
        }
        write(ctx, Transaction::default(), User { grants, ..User::clone(user) }, "user.set_role")
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        known(cluster, &object.parse().ok()?).cloned()
    }
}

impl Command for DisableUser {
    const ACTION: Action = Action::ManageUsers;
    type Output = Arc<User>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let Self { name } = self;
        ctx.may_write_users()?;
        ctx.is_another(&name, "disable yourself")?;
        let user = known_or_new(cluster, ctx, &name)?;
        if user.status == UserStatus::Disabled {
            return Ok(Decision::unchanged(user).about(name));
        }
        let (status, accepted_from) = (UserStatus::Disabled, Some(ctx.now));
        let transaction = without_tokens(cluster, &name);
        write(ctx, transaction, User { status, accepted_from, ..User::clone(&user) }, "user.disable")
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        known(cluster, &object.parse().ok()?).cloned()
    }
}

impl Command for EnableUser {
    const ACTION: Action = Action::ManageUsers;
    type Output = Arc<User>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let Self { name } = self;
        ctx.may_write_users()?;
        let user = find(cluster, &name)?;
        if user.status == UserStatus::Active {
            return Ok(Decision::unchanged(Arc::clone(user)).about(name));
        }
        let status = UserStatus::Active;
        write(ctx, Transaction::default(), User { status, ..User::clone(user) }, "user.enable")
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        known(cluster, &object.parse().ok()?).cloned()
    }
}

impl Command for RevokeUserTokens {
    const ACTION: Action = Action::ManageUsers;
    type Output = Arc<User>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        // Says nothing of who there is or what he may: also where the settings list the users.
        let user = known_or_new(cluster, ctx, &self.name)?;
        let transaction = without_tokens(cluster, &self.name);
        let user = User { accepted_from: Some(ctx.now), ..User::clone(&user) };
        write(ctx, transaction, user, "user.revoke_tokens")
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        known(cluster, &object.parse().ok()?).cloned()
    }
}

impl Command for RemoveUser {
    const ACTION: Action = Action::ManageUsers;
    type Output = ();

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let Self { name } = self;
        ctx.may_write_users()?;
        ctx.is_another(&name, "remove yourself")?;
        let user = find(cluster, &name)?;
        let (status, grants, accepted_from) = (UserStatus::Removed, None, Some(ctx.now));
        let transaction = without_tokens(cluster, &name);
        let user = User { status, grants, accepted_from, ..User::clone(user) };
        let decision = write(ctx, transaction, user, "user.remove")?;
        Ok(Decision::commit(decision.transaction, ()).about(name))
    }

    fn replay(&self, _: &Cluster, _: &str) -> Option<()> {
        Some(())
    }
}

impl Ctx<'_> {
    /// Whether users are the state's to change.
    pub(super) fn may_write_users(&self) -> Result<(), Rejection> {
        if self.policy.users_are_listed {
            let why = "the users are listed in the server's settings (ORCH_USERS), and only they count: change them there";
            return Err(Rejection::Conflict(why.to_owned()));
        }
        Ok(())
    }

    /// Nobody shuts himself out by mistake, and so nobody is the last admin to do so.
    fn is_another(&self, name: &Subject, what: &str) -> Result<(), Rejection> {
        match self.principal {
            Principal::User(user) if user.subject == *name => {
                Err(Rejection::Conflict(format!("you cannot {what}: let another admin do it")))
            }
            _ => Ok(()),
        }
    }
}

/// One that was not removed.
pub(super) fn known<'c>(cluster: &'c Cluster, name: &Subject) -> Option<&'c Arc<User>> {
    cluster.user(name).filter(|user| user.status != UserStatus::Removed)
}

pub(super) fn find<'c>(cluster: &'c Cluster, name: &Subject) -> Result<&'c Arc<User>, Rejection> {
    known(cluster, name).ok_or_else(|| Rejection::not_found("user", name))
}

/// Whoever may come in by a token that is made elsewhere may be shut out, known or not.
fn known_or_new(cluster: &Cluster, ctx: &Ctx<'_>, name: &Subject) -> Result<Arc<User>, Rejection> {
    if *name == Subject::anonymous() {
        return Err(Rejection::not_found("user", name));
    }
    let new = || User::new(name.clone(), UserKind::Person, ctx.now);
    Ok(match cluster.user(name) {
        Some(user) if user.status == UserStatus::Removed => {
            Arc::new(User { accepted_from: user.accepted_from, ..new() })
        }
        Some(user) => Arc::clone(user),
        None => Arc::new(new()),
    })
}

fn without_tokens(cluster: &Cluster, name: &Subject) -> Transaction {
    let mut transaction = Transaction::default();
    cluster.api_tokens_of(name).for_each(|token| transaction.remove(Key::ApiToken(token.id)));
    transaction
}

/// The row, and who did it.
fn write(
    ctx: &mut Ctx<'_>,
    mut transaction: Transaction,
    user: User,
    action: &str,
) -> Result<Decision<Arc<User>>, Rejection> {
    let user = Arc::new(User { updated_at: ctx.now, ..user });
    let mut record = ctx.audit(action, "user", &user.name);
    if let Some(grants) = &user.grants {
        record.metadata.insert("grants".to_owned(), grants.to_string());
    }
    transaction.changes.push(crate::cluster::Change::User(Arc::clone(&user)));
    transaction.audit.push(record);
    let name = user.name.clone();
    Ok(Decision::commit(transaction, user).about(name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::{Role, Scope};
    use crate::testing::World;
    use crate::testing::parts::user;

    fn name(text: &str) -> Subject {
        text.parse().unwrap()
    }

    fn operator() -> Option<Grants> {
        Some(Grants::cluster(Role::Operator))
    }

    fn create(world: &mut World, who: &str) -> Result<Arc<User>, Rejection> {
        world.execute(CreateUser { name: name(who), kind: UserKind::Person, grants: operator() })
    }

    #[test]
    fn a_user_is_made_once_changed_and_removed_and_each_step_is_audited() {
        let mut world = World::new();
        let alice = create(&mut world, "alice").unwrap();
        assert_eq!((alice.grants.clone(), alice.status), (operator(), UserStatus::Active));
        assert!(matches!(create(&mut world, "alice"), Err(Rejection::Conflict(_))));
        assert!(matches!(create(&mut world, "anonymous"), Err(Rejection::Invalid { .. })));
        let grants = Some(Grants::cluster(Role::Viewer));
        let set = SetUserRole { name: name("alice"), grants: grants.clone() };
        assert_eq!(world.execute(set.clone()).unwrap().grants, grants);
        let before = world.audit.len();
        world.execute(set).unwrap();
        assert_eq!(world.audit.len(), before, "nothing changed");
        world.execute(RemoveUser { name: name("alice") }).unwrap();
        assert!(matches!(world.execute(RemoveUser { name: name("alice") }), Err(Rejection::NotFound { .. })));
        let actions: Vec<_> = world.audit.iter().map(|record| record.action.as_str()).collect();
        assert_eq!(actions, ["user.create", "user.set_role", "user.remove"]);
        assert_eq!(world.audit[1].metadata["grants"], "viewer");
    }

    #[test]
    fn a_removed_user_comes_back_without_his_old_tokens() {
        let mut world = World::new();
        create(&mut world, "alice").unwrap();
        let removed_at = world.now;
        world.execute(RemoveUser { name: name("alice") }).unwrap();
        world.advance(Duration::from_secs(5));
        let again = create(&mut world, "alice").unwrap();
        assert!(!again.accepts(Some(Timestamp::from_micros(removed_at.as_micros() - 1))));
        assert!(again.accepts(Some(world.now)));
    }

    #[test]
    fn disabling_and_revoking_count_from_that_instant_for_strangers_too() {
        let mut world = World::new();
        let stranger = world.execute(DisableUser { name: name("mallory") }).unwrap();
        assert_eq!((stranger.status, stranger.grants.clone()), (UserStatus::Disabled, None));
        world.advance(Duration::from_secs(1));
        let again = world.execute(DisableUser { name: name("mallory") }).unwrap();
        assert_eq!(again.accepted_from, stranger.accepted_from, "once is enough");
        let enabled = world.execute(EnableUser { name: name("mallory") }).unwrap();
        assert_eq!(enabled.status, UserStatus::Active);
        assert!(!enabled.accepts(Some(Timestamp::from_micros(world.now.as_micros() - 1_000_001))));
        assert!(!enabled.accepts(None), "what does not say when it was issued");
        let revoked = world.execute(RevokeUserTokens { name: name("bob") }).unwrap();
        assert_eq!((revoked.status, revoked.accepted_from), (UserStatus::Active, Some(world.now)));
        assert!(revoked.accepts(Some(world.now)));
    }

    #[test]
    fn nobody_shuts_himself_out_and_where_users_are_listed_only_tokens_are_taken_back() {
        let mut world = World::new();
        create(&mut world, "root").unwrap();
        let root = user("root", Role::Admin);
        let refused = [
            world.execute_as(&root, &Scope::Cluster, DisableUser { name: name("root") }).unwrap_err(),
            world.execute_as(&root, &Scope::Cluster, RemoveUser { name: name("root") }).unwrap_err(),
            world
                .execute_as(&root, &Scope::Cluster, SetUserRole { name: name("root"), grants: None })
                .unwrap_err(),
        ];
        assert!(refused.iter().all(|why| matches!(why, Rejection::Conflict(_))), "{refused:?}");
        world.policy.users_are_listed = true;
        let refused = [
            create(&mut world, "bob").unwrap_err(),
            world.execute(DisableUser { name: name("bob") }).unwrap_err(),
            world.execute(EnableUser { name: name("root") }).unwrap_err(),
        ];
        assert!(refused.iter().all(|why| why.to_string().contains("ORCH_USERS")), "{refused:?}");
        world.execute(RevokeUserTokens { name: name("root") }).unwrap();
    }

    #[test]
    fn a_service_account_has_a_role_of_its_own() {
        let mut world = World::new();
        let without = CreateUser { name: name("ci"), kind: UserKind::ServiceAccount, grants: None };
        assert!(matches!(world.execute(without), Err(Rejection::Invalid { .. })));
        world
            .execute(CreateUser { name: name("ci"), kind: UserKind::ServiceAccount, grants: operator() })
            .unwrap();
        let without = SetUserRole { name: name("ci"), grants: None };
        assert!(matches!(world.execute(without), Err(Rejection::Invalid { .. })));
    }

    use crate::time::Timestamp;
}
