//! The state machines of the domain, asked of the domain: what a run should have seen, and what the docs draw.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use orch_core::deployment::DeploymentStatus;
use orch_core::node::{NodeStatus, OfflineCause};
use orch_core::task::{Attempt, DesiredStatus, Exit, Failure, FailureKind, Health, TaskStatus};
use orch_core::time::Timestamp;

/// Of which machine, from where, to where.
pub type Move = (&'static str, &'static str, &'static str);

/// A machine as a Mermaid state diagram. Moves that lead by others are left out: where `a → b` and `b → c` are drawn,
/// `a → c` is allowed too.
#[must_use]
pub fn diagram(machine: &str) -> String {
    let moves = moves();
    let moves: BTreeSet<_> =
        moves.iter().filter(|step| step.0 == machine).map(|(_, from, to)| (*from, *to)).collect();
    let states: BTreeSet<_> = moves.iter().flat_map(|(from, to)| [*from, *to]).collect();
    let ends: BTreeSet<_> =
        states.iter().filter(|state| !moves.iter().any(|(from, _)| from == *state)).collect();
    let one_way = |from, to| moves.contains(&(from, to)) && !moves.contains(&(to, from));
    let by_others = |from, to| states.iter().any(|via| one_way(from, *via) && one_way(*via, to));
    let mut text = String::from("stateDiagram-v2\n");
    let mut arrow = |from: &str, to: &str| writeln!(text, "    {from} --> {to}").expect("a string takes it");
    for (from, to) in &moves {
        match *from {
            "none" => arrow("[*]", to),
            _ if by_others(from, to) => {}
            _ => arrow(from, to),
        }
    }
    ends.into_iter().for_each(|end| arrow(end, "[*]"));
    text
}

/// Every move that the state machines of the domain allow, asked of them.
#[must_use]
pub fn moves() -> BTreeSet<Move> {
    use DeploymentStatus as D;
    let mut moves = BTreeSet::from([
        ("task", "none", "pending"),
        ("task", "none", "assigned"),
        ("task", "pending", "assigned"),
        ("wanted", "none", "running"),
        ("node", "none", "ready"),
        ("service", "none", "active"),
        ("service", "active", "deleting"),
        ("service", "deleting", "deleted"),
        ("rollout", "none", "pending"),
    ]);
    let tasks = task_statuses();
    for (from, to) in tasks.iter().flat_map(|from| tasks.iter().map(move |to| (from, to))) {
        // Who has no node is not reported on, and nobody reports that a task has none.
        if *from != TaskStatus::Pending
            && !matches!(to, TaskStatus::Pending | TaskStatus::Assigned)
            && from.check_advance(Attempt::FIRST, to, Attempt::FIRST).is_ok()
        {
            moves.insert(("task", from.as_str(), to.as_str()));
        }
    }
    moves.insert(("wanted", DesiredStatus::Running.as_str(), DesiredStatus::Removed.as_str()));
    let rollouts = [
        D::Pending,
        D::Running,
        D::Paused,
        D::RollingBack,
        D::Succeeded,
        D::RolledBack,
        D::Failed,
        D::Superseded,
        D::Cancelled,
    ];
    for (from, to) in rollouts.iter().flat_map(|from| rollouts.iter().map(move |to| (*from, *to))) {
        if from.may_become(to) {
            moves.insert(("rollout", from.as_str(), to.as_str()));
        }
    }
    let (since, cause) = (Timestamp::ZERO, OfflineCause::Silent);
    let offline = |draining| NodeStatus::Offline { since, cause, draining };
    for from in [NodeStatus::Ready, NodeStatus::Draining, offline(false), offline(true)] {
        let next = [
            from.drain(),
            from.uncordon(),
            from.seen(),
            Ok(from.gone(since, cause)),
            Ok(NodeStatus::Revoked),
        ];
        moves.extend(next.into_iter().flatten().map(|to| ("node", from.as_str(), to.as_str())));
    }
    moves.retain(|(_, from, to)| from != to);
    moves
}

fn task_statuses() -> Vec<TaskStatus> {
    let failure = Failure { kind: FailureKind::Exited, reason: String::new(), exit: None };
    vec![
        TaskStatus::Pending,
        TaskStatus::Assigned,
        TaskStatus::Pulling,
        TaskStatus::Created,
        TaskStatus::Running(Health::Unchecked),
        TaskStatus::Running(Health::Healthy),
        TaskStatus::Running(Health::Unhealthy),
        TaskStatus::Stopping,
        TaskStatus::Stopped(None::<Exit>),
        TaskStatus::Failed(failure),
        TaskStatus::Removed,
    ]
}
