//! The hierarchical authorizer: the least role belongs to the action.

use orch_core::identity::action::Reach;
use orch_core::identity::{Action, Authorizer, Denied, Grants, Principal, Role, Scope};

/// Users by role, cluster-wide or in the namespace of the request; nodes for what they ask as themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct HierarchicalRoles;

impl Authorizer for HierarchicalRoles {
    fn allows(&self, principal: &Principal, action: Action, scope: &Scope) -> Result<(), Denied> {
        let denied = |reason: String| Err(Denied { action, reason });
        match (principal, action.least_role()) {
            (Principal::User(user), Some(least)) => match role_for(&user.grants, action, scope) {
                Some(role) if role >= least => Ok(()),
                Some(role) => denied(format!(
                    "{action} needs the role {least}; this token has {role}",
                    action = action.as_str()
                )),
                None => denied(match (action.reach(), scope) {
                    (Reach::Cluster, _) => format!("{} needs a cluster-wide role {least}", action.as_str()),
                    (_, Scope::Namespace(namespace)) => {
                        format!("{} needs the role {least} in namespace `{namespace}`", action.as_str())
                    }
                    _ => format!("{} needs the role {least}", action.as_str()),
                }),
            },
            (Principal::User(_), None) => denied(format!("{} is for nodes, not for users", action.as_str())),
            (Principal::Node(node), None)
                if action.reach() == Reach::Node && *scope == Scope::Node(node.node) =>
            {
                Ok(())
            }
            (Principal::Node(_), _) => denied(format!("{} is not for this node", action.as_str())),
            // The control plane makes its own permits; one that comes through here comes from outside.
            (Principal::System(_), _) => {
                denied("a part of the control plane cannot be impersonated".to_owned())
            }
        }
    }
}

fn role_for(grants: &Grants, action: Action, scope: &Scope) -> Option<Role> {
    match (action, action.reach(), scope) {
        // Nodes and the version are no namespace's: whoever may read anywhere may read them.
        (Action::ReadNodes | Action::ReadVersion, ..) => {
            grants.cluster.max(grants.namespaces.values().copied().max())
        }
        (_, Reach::Namespace, Scope::Namespace(namespace)) => grants.in_namespace(namespace),
        (_, Reach::Namespace | Reach::Cluster, _) => grants.cluster,
        (_, Reach::Node, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::identity::{NodePrincipal, UserIdentity};
    use orch_core::name::Namespace;
    use orch_core::node::Incarnation;

    fn user(grants: Grants) -> Principal {
        Principal::User(UserIdentity::new("alice".parse().unwrap(), grants))
    }

    fn may(principal: &Principal, action: Action, scope: &Scope) -> bool {
        HierarchicalRoles.allows(principal, action, scope).is_ok()
    }

    fn team() -> Scope {
        Scope::Namespace("team-a".parse().unwrap())
    }

    #[test]
    fn every_action_needs_its_least_role_and_no_less() {
        for &action in Action::ALL {
            for role in Role::ALL {
                let expected = action.least_role().is_some_and(|least| role >= least);
                assert_eq!(
                    may(&user(Grants::cluster(role)), action, &team()),
                    expected,
                    "{action:?} by {role}"
                );
            }
        }
    }

    #[test]
    fn a_role_in_a_namespace_holds_there_only_and_never_for_the_whole_cluster() {
        let namespaces = [("team-a".parse::<Namespace>().unwrap(), Role::Admin)].into();
        let admin = user(Grants { cluster: None, namespaces });
        assert!(may(&admin, Action::DeleteService, &team()));
        assert!(!may(&admin, Action::ReadServices, &Scope::Namespace("team-b".parse().unwrap())));
        assert!(!may(&admin, Action::ReadServices, &Scope::Cluster));
        for &action in Action::ALL.iter().filter(|action| action.reach() == Reach::Cluster) {
            assert!(!may(&admin, action, &team()), "{action:?}");
        }
        assert!(may(&admin, Action::ReadNodes, &team()));
    }

    #[test]
    fn a_user_without_a_role_may_nothing() {
        for &action in Action::ALL {
            assert!(!may(&user(Grants::default()), action, &team()), "{action:?}");
        }
    }

    #[test]
    fn a_node_acts_as_itself_only_and_a_system_part_cannot_be_impersonated() {
        let mut ids = orch_core::id::IdStream::seeded(1);
        let (own, other) = (ids.next(), ids.next());
        let node = Principal::Node(NodePrincipal {
            node: own,
            incarnation: Incarnation(1),
            generation: 1,
            sequence: None,
        });
        assert!(may(&node, Action::ActAsNode, &Scope::Node(own)));
        assert!(!may(&node, Action::ActAsNode, &Scope::Node(other)));
        assert!(!may(&node, Action::ReadServices, &team()));
        for &action in Action::ALL {
            assert!(!may(&Principal::System("forged"), action, &Scope::Cluster), "{action:?}");
        }
    }
}
