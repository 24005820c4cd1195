//! A node is alive, and uses its credentials.

use std::sync::Arc;

use super::register_node::{check_agent_version, check_facts};
use super::rejection::Unauthorized;
use super::versions::write_node;
use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::agent::Heartbeat;
use crate::cluster::{Cluster, Transaction};
use crate::identity::{Action, Issued};
use crate::node::{EngineTrouble, Node, NodeCondition, OfflineCause};
use crate::record::{EventKind, Severity};

/// A node is alive: sets its next credential, promotes the one that it used, and takes over what changed of it.
///
/// Writes the credential's row alone where nothing else changed, and neither event nor audit record for it. The generation of
/// `next` must be above every one given out; where another request was faster this is a [`Rejection::Conflict`], and the
/// shell issues anew on a fresh image. A heartbeat that the network repeated is refused as superseded: see
/// [`NodeCredential::is_repeated_heartbeat`](crate::identity::NodeCredential::is_repeated_heartbeat).
#[derive(Clone, Debug)]
pub struct HeartbeatNode {
    /// What the agent said.
    pub heartbeat: Heartbeat,
    /// The credential that it is answered with.
    pub next: Issued,
}

impl Command for HeartbeatNode {
    const ACTION: Action = Action::ActAsNode;
    type Output = Arc<Node>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let standing = ctx.standing(cluster)?;
        if let Some(version) = &self.heartbeat.agent_version {
            check_agent_version(version, FieldPath::new("agent_version"))?;
        }
        if let Some(facts) = &self.heartbeat.facts {
            check_facts(facts)?;
        }
        let row = standing.used(ctx);
        if row.is_repeated_heartbeat(standing.principal.sequence) {
            return Err(Rejection::Unauthorized(Unauthorized::CredentialSuperseded));
        }
        if self.next.generation <= row.newest_generation() {
            return Err(Rejection::Conflict("another credential was issued meanwhile".to_owned()));
        }
        let mut transaction = Transaction::default();
        transaction.put(row.with_next(self.next, standing.principal.sequence));

        let (before, stops) = (standing.node, self.heartbeat.shutdown);
        let seen = told(before, self.heartbeat, ctx)?;
        if seen == **before {
            return Ok(Decision::commit(transaction, Arc::clone(before)));
        }
        if stops && before.status != seen.status {
            let message = format!("the agent of node {} stops", seen.name);
            transaction.events.push(ctx.node_event(EventKind::NodeShutdown, &seen, message));
        }
        ctx.note_node_status(&mut transaction, before.status, &seen);
        note_engine(&mut transaction, before, &seen, ctx);
        let node = Node { revision: ctx.revision, updated_at: ctx.now, ..seen };
        let node = write_node(&mut transaction, node);
        Ok(Decision::commit(transaction, node))
    }
}

/// Says that the engine went out of reach, or is back.
fn note_engine(transaction: &mut Transaction, before: &Node, seen: &Node, ctx: &mut Ctx<'_>) {
    let (severity, message) = match (&before.engine_trouble, &seen.engine_trouble) {
        (None, Some(trouble)) => {
            let reason = &trouble.reason;
            (Severity::Warning, format!("the engine of node {} cannot be reached: {reason}", seen.name))
        }
        (Some(_), None) => (Severity::Info, format!("the engine of node {} is reached again", seen.name)),
        _ => return,
    };
    let mut event = ctx.node_event(EventKind::NodeConditionChanged, seen, message);
    event.severity = severity;
    event.details.insert("condition".to_owned(), NodeCondition::EngineUnreachable.as_str().to_owned());
    transaction.events.push(event);
}

/// The node as a heartbeat tells it, whether or not that is news.
fn told(before: &Node, heartbeat: Heartbeat, ctx: &Ctx<'_>) -> Result<Node, Rejection> {
    let mut node = before.clone();
    node.status = if heartbeat.shutdown {
        before.status.gone(ctx.now, OfflineCause::Shutdown)
    } else {
        before.status.seen().map_err(|_| Rejection::Unauthorized(Unauthorized::NodeRevoked))?
    };
    node.capacity = heartbeat.capacity.unwrap_or(node.capacity);
    node.allocatable = heartbeat.allocatable.unwrap_or(node.allocatable);
    if let Some(said) = heartbeat.labels {
        node.labels = before.labels_saying(said);
    }
    node.facts = heartbeat.facts.unwrap_or(node.facts);
    if let Some(report) = heartbeat.engine {
        node.engine_trouble = EngineTrouble::after(before.engine_trouble.as_ref(), report, ctx.now);
    }
    node.agent_version = heartbeat.agent_version.unwrap_or(node.agent_version);
    Ok(node)
}

/// A node's next credential was used for the first time: it becomes current. Nothing to do if it is already.
#[derive(Clone, Debug)]
pub struct UseCredential {}

impl Command for UseCredential {
    const ACTION: Action = Action::ActAsNode;
    type Output = ();

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let standing = ctx.standing(cluster)?;
        if !standing.promotes {
            return Ok(Decision::unchanged(()));
        }
        let mut transaction = Transaction::default();
        transaction.put(standing.used(ctx));
        Ok(Decision::commit(transaction, ()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agent::EngineReport;
    use crate::id::NodeId;
    use crate::identity::{NodePrincipal, Principal, Scope};
    use crate::node::{NodeStatus, Resources};
    use crate::testing::World;
    use crate::testing::decide::issued;

    fn world() -> (World, NodeId) {
        let mut world = World::new();
        let node = world.register_node("a", Resources::new(4000, 8 << 30));
        (world, node)
    }

    /// Asks as the node, with the credential of that generation and a sequence number.
    fn ask<C: Command>(
        world: &mut World,
        node: NodeId,
        generation: u64,
        sequence: impl Into<Option<u64>>,
        command: C,
    ) -> Result<C::Output, Rejection> {
        let incarnation = world.cluster.node(node).unwrap().incarnation;
        let sequence = sequence.into();
        let principal = Principal::Node(NodePrincipal { node, incarnation, generation, sequence });
        world.execute_as(&principal, &Scope::Node(node), command)
    }

    fn beat(world: &World, next: u64) -> HeartbeatNode {
        HeartbeatNode { heartbeat: Heartbeat::default(), next: issued(next, world.now) }
    }

    fn refused<T: std::fmt::Debug>(answer: Result<T, Rejection>) -> Unauthorized {
        match answer.unwrap_err() {
            Rejection::Unauthorized(reason) => reason,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_plain_heartbeat_writes_the_credential_row_alone() {
        let (mut world, node) = world();
        let (row, events, audit) =
            (world.cluster.node(node).unwrap().clone(), world.events.len(), world.audit.len());
        world.advance(Duration::from_secs(5));
        let command = beat(&world, 2);
        let answered = ask(&mut world, node, 1, 1, command).unwrap();
        assert_eq!(answered, row);
        assert_eq!(world.cluster.node(node), Some(&row));
        assert_eq!((world.events.len(), world.audit.len()), (events, audit));
        let credential = world.cluster.credential(node).unwrap();
        assert_eq!((credential.current.generation, credential.next.unwrap().generation), (1, 2));
        assert_eq!(credential.highest_sequence, 1);
    }

    #[test]
    fn using_the_next_credential_makes_it_current_and_the_old_one_is_dead() {
        let (mut world, node) = world();
        let command = beat(&world, 2);
        ask(&mut world, node, 1, 1, command).unwrap();
        ask(&mut world, node, 2, 2, UseCredential {}).unwrap();
        let row = world.cluster.credential(node).unwrap().clone();
        assert_eq!((row.current.generation, row.next), (2, None));
        assert_eq!(row.superseded.map(|(old, at)| (old.generation, at)), Some((1, world.now)));
        let revision = world.cluster.revision();
        ask(&mut world, node, 2, 3, UseCredential {}).unwrap();
        assert_eq!(world.cluster.revision(), revision, "used again, it is no news");

        let command = beat(&world, 3);
        ask(&mut world, node, 2, 4, command).unwrap();
        let command = beat(&world, 4);
        ask(&mut world, node, 3, 5, command).unwrap();
        let row = world.cluster.credential(node).unwrap();
        assert_eq!((row.current.generation, row.next.unwrap().generation), (3, 4));
        let command = beat(&world, 5);
        assert_eq!(refused(ask(&mut world, node, 1, 6, command)), Unauthorized::CredentialSuperseded);
    }

    #[test]
    fn a_request_that_was_let_in_runs_on_after_a_rotation_but_not_after_an_end() {
        let (mut world, node) = world();
        let command = beat(&world, 2);
        ask(&mut world, node, 1, 1, command).unwrap();
        ask(&mut world, node, 2, 3, UseCredential {}).unwrap();
        ask(&mut world, node, 1, 2, UseCredential {}).unwrap();
        world.execute(crate::command::ResetNode { node }).unwrap();
        let old = Principal::Node(NodePrincipal {
            node,
            incarnation: crate::node::Incarnation(1),
            generation: 2,
            sequence: Some(4),
        });
        let late = world.execute_as(&old, &Scope::Node(node), UseCredential {});
        assert_eq!(refused(late), Unauthorized::NodeReset);
        world.execute(crate::command::RevokeNode { node }).unwrap();
        assert_eq!(refused(ask(&mut world, node, 2, 4, UseCredential {})), Unauthorized::NodeRevoked);
    }

    #[test]
    fn a_heartbeat_whose_answer_was_lost_is_simply_sent_again() {
        let (mut world, node) = world();
        for (sequence, next) in [(1, 2), (2, 3), (3, 4)] {
            let command = beat(&world, next);
            ask(&mut world, node, 1, sequence, command).unwrap();
        }
        let row = world.cluster.credential(node).unwrap();
        assert_eq!((row.current.generation, row.next.unwrap().generation), (1, 4));
    }

    #[test]
    fn a_repeated_message_cannot_kill_the_credential_that_the_agent_was_given() {
        let (mut world, node) = world();
        let command = beat(&world, 2);
        ask(&mut world, node, 1, 7, command).unwrap();
        let command = beat(&world, 3);
        assert_eq!(refused(ask(&mut world, node, 1, 7, command)), Unauthorized::CredentialSuperseded);
        ask(&mut world, node, 2, 9, UseCredential {}).unwrap();
        let command = beat(&world, 3);
        ask(&mut world, node, 2, 8, command).expect("sent before the promoting request, decided after it");
    }

    #[test]
    fn a_generation_that_was_given_out_already_is_for_the_shell_to_try_again() {
        let (mut world, node) = world();
        let command = beat(&world, 2);
        ask(&mut world, node, 1, 1, command).unwrap();
        let command = beat(&world, 2);
        assert!(matches!(ask(&mut world, node, 1, 2, command), Err(Rejection::Conflict(_))));
    }

    #[test]
    fn an_expired_credential_is_refused_on_the_head_too() {
        let (mut world, node) = world();
        world.advance(crate::identity::credential::DEFAULT_TTL);
        let command = beat(&world, 2);
        assert_eq!(refused(ask(&mut world, node, 1, 1, command)), Unauthorized::CredentialExpired);
    }

    #[test]
    fn what_changed_of_the_node_is_taken_over() {
        let (mut world, node) = world();
        let heartbeat = Heartbeat {
            allocatable: Some(Resources::new(2000, 4 << 30)),
            labels: Some([("zone".to_owned(), "a".to_owned())].into()),
            agent_version: Some("0.3.1".to_owned()),
            ..Heartbeat::default()
        };
        let command = HeartbeatNode { heartbeat, next: issued(2, world.now) };
        let changed = ask(&mut world, node, 1, 1, command).unwrap();
        assert_eq!(changed.allocatable, Resources::new(2000, 4 << 30));
        assert_eq!((changed.labels["zone"].as_str(), changed.agent_version.as_str()), ("a", "0.3.1"));
        assert_eq!(changed.revision, world.cluster.revision());
        assert_eq!(world.count(EventKind::NodeStatusChanged), 0);

        let heartbeat = Heartbeat { agent_version: Some("0.1.9".to_owned()), ..Heartbeat::default() };
        let command = HeartbeatNode { heartbeat, next: issued(3, world.now) };
        assert!(matches!(ask(&mut world, node, 1, 2, command), Err(Rejection::Invalid { .. })));
    }

    /// M43: a condition of the node, said once; without `takes_new_tasks` looking at it the node would still be given tasks.
    #[test]
    fn an_engine_out_of_reach_is_a_condition_of_its_node_until_it_is_back() {
        let (mut world, node) = world();
        let tell = |world: &mut World, next: u64, engine: EngineReport| {
            let heartbeat = Heartbeat { engine: Some(engine), ..Heartbeat::default() };
            let command = HeartbeatNode { heartbeat, next: issued(next, world.now) };
            ask(world, node, 1, next, command).unwrap()
        };
        let away = |ago, reason: &str| EngineReport::Unreachable {
            ago: Duration::from_secs(ago),
            reason: reason.to_owned(),
        };
        let began = world.now;
        world.advance(Duration::from_secs(7));
        let row = tell(&mut world, 2, away(7, "no such\nsocket"));
        let trouble = EngineTrouble { since: began, reason: "no such socket".to_owned() };
        assert_eq!((row.engine_trouble.clone(), row.status), (Some(trouble), NodeStatus::Ready));
        assert!(!row.takes_new_tasks());
        assert_eq!(NodeCondition::EngineUnreachable.since(&row), Some(began));
        assert_eq!(world.cluster.index().capacity().root().map(|_| ()), None, "nothing is placed there");
        assert_eq!(tell(&mut world, 3, away(12, "other words")), row, "and no row is written for the rest");
        assert_eq!(world.count(EventKind::NodeConditionChanged), 1);
        let back = tell(&mut world, 4, EngineReport::Reachable);
        assert!(back.takes_new_tasks());
        assert_eq!(world.count(EventKind::NodeConditionChanged), 2);
    }

    #[test]
    fn a_goodbye_takes_the_node_offline_and_the_next_heartbeat_brings_it_back() {
        let (mut world, node) = world();
        world.execute(crate::command::DrainNode { node, within: None }).unwrap();
        let heartbeat = Heartbeat { shutdown: true, ..Heartbeat::default() };
        let command = HeartbeatNode { heartbeat, next: issued(2, world.now) };
        let away = ask(&mut world, node, 1, 1, command).unwrap();
        let cause = OfflineCause::Shutdown;
        assert_eq!(away.status, NodeStatus::Offline { since: world.now, cause, draining: true });
        assert_eq!(world.count(EventKind::NodeShutdown), 1);
        let changes = world.count(EventKind::NodeStatusChanged);

        let command = beat(&world, 3);
        assert_eq!(ask(&mut world, node, 1, 2, command).unwrap().status, NodeStatus::Draining);
        assert_eq!(world.count(EventKind::NodeStatusChanged), changes + 1);
        assert_eq!(world.count(EventKind::NodeShutdown), 1);
    }

    #[test]
    fn users_do_not_heartbeat() {
        let (mut world, _) = world();
        assert!(matches!(world.execute(UseCredential {}), Err(Rejection::Forbidden(_))));
    }
}
