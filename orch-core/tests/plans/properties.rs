//! Whatever the state: one look keeps the invariants, and with agents that work the service comes to its goal and goes quiet.

use orch_core::deployment::{DeploymentStatus, OnFailure};
use orch_core::node::{NodeStatus, OfflineCause};
use orch_core::service::{PortSpec, Protocol, Publish, ServiceSpec};
use orch_core::task::{DesiredStatus, Exit, Failure, FailureKind, Health, StopCause, TaskStatus};
use orch_core::testing::web_spec;
use proptest::prelude::*;

use crate::site::{Site, check};

const NODES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug)]
enum Act {
    Look,
    Advance(u64),
    Agents,
    Report { nth: usize, status: u8 },
    Node { nth: usize, status: u8 },
    Scale(u32),
    RollOut { image: u8, max_unavailable: u32, max_surge: u32 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Look),
        3 => prop_oneof![Just(1), Just(5), Just(40), Just(400)].prop_map(Act::Advance),
        3 => Just(Act::Agents),
        6 => (0..8usize, 0..8u8).prop_map(|(nth, status)| Act::Report { nth, status }),
        2 => (0..4usize, 0..7u8).prop_map(|(nth, status)| Act::Node { nth, status }),
        1 => (0..5u32).prop_map(Act::Scale),
        2 => (1..4u8, 0..3u32, 0..3u32).prop_map(|(image, max_unavailable, max_surge)| Act::RollOut {
            image, max_unavailable, max_surge
        }),
    ]
}

fn spec() -> impl Strategy<Value = ServiceSpec> {
    (0..5u32, 0..3u8, any::<bool>(), any::<bool>(), 0..2u32).prop_map(
        |(replicas, kind, checked, pause, surge)| {
            let mut spec = web_spec("web", replicas);
            match kind {
                0 => {}
                1 => spec.stateful = true,
                _ => {
                    spec.template.ports = vec![PortSpec {
                        name: None,
                        protocol: Protocol::Tcp,
                        container_port: 8080.try_into().unwrap(),
                        publish: Publish::Fixed(8080.try_into().unwrap()),
                    }];
                }
            }
            spec.template.health = checked.then(check);
            spec.rollout.on_failure = if pause { OnFailure::Pause } else { OnFailure::Rollback };
            spec.rollout.max_surge = surge;
            spec.rollout.max_unavailable = 1 - surge;
            spec
        },
    )
}

fn reported(status: u8) -> TaskStatus {
    match status {
        0 => TaskStatus::Pulling,
        1 => TaskStatus::Starting,
        2 => TaskStatus::Running(Health::Unchecked),
        3 => TaskStatus::Running(Health::Healthy),
        4 => TaskStatus::Running(Health::Unhealthy),
        5 => TaskStatus::Stopped(Some(Exit { code: Some(0), ..Exit::default() })),
        6 => TaskStatus::Failed(Failure { kind: FailureKind::Exited, reason: "exit 1".into(), exit: None }),
        _ => TaskStatus::Removed,
    }
}

fn perform(site: &mut Site, act: &Act) {
    match *act {
        Act::Look => look(site),
        Act::Advance(seconds) => site.advance(seconds),
        Act::Agents => {
            site.agents();
        }
        Act::Report { nth, status } => {
            let reachable = |node| {
                matches!(
                    site.world.cluster.node(node).unwrap().status,
                    NodeStatus::Ready | NodeStatus::Draining
                )
            };
            let mut tasks = site.tasks();
            tasks.retain(|task| !task.status.is_terminal() && task.node.is_some_and(reachable));
            if let Some(task) = tasks.get(nth).cloned() {
                let status = reported(status);
                let on_its_way_out = task.desired == DesiredStatus::Removed;
                if !on_its_way_out || status.is_terminal() {
                    site.set(&task, |task| task.status = status);
                }
            }
        }
        Act::Node { nth, status } => {
            let name = NODES[nth];
            match status {
                0 => site.back(name),
                1 => site.drain(name),
                2 => site.gone(name, OfflineCause::Silent),
                3 => site.gone(name, OfflineCause::Shutdown),
                4 => site.gone(name, OfflineCause::SilentWithMany { replace_at: None }),
                5 => {
                    let replace_at = Some(site.world.now + std::time::Duration::from_secs(30));
                    site.gone(name, OfflineCause::SilentWithMany { replace_at });
                }
                _ => {
                    site.change_node(name, |node| node.status = node.status.uncordon().unwrap());
                }
            }
        }
        Act::Scale(replicas) => site.scale(replicas),
        Act::RollOut { image, max_unavailable, max_surge } => {
            let command = orch_core::command::RollOut {
                service: site.service,
                image: format!("web:{image}").parse().unwrap(),
                max_unavailable: Some(max_unavailable),
                max_surge: Some(max_surge),
            };
            site.world.advance(std::time::Duration::from_micros(1));
            let _ = site.world.execute(command); // one may be under way
        }
    }
}

/// One look, held against invariants 3 and 5: what the control plane itself does stays within the limits.
fn look(site: &mut Site) {
    let before: Vec<_> = site.tasks().into_iter().filter(|task| task.is_active()).collect();
    let available_before = site.available();
    let serving: Vec<_> = before.iter().filter(|task| site.is_available(task)).map(|task| task.id).collect();
    let policy = match site.world.cluster.active_deployment(site.service) {
        Some(deployment) => deployment.policy.clone(),
        None => site.row().spec.rollout.clone(),
    };
    let plan = site.look();
    let after: Vec<_> = site.tasks().into_iter().filter(|task| task.is_active()).collect();
    let replicas = site.row().spec.replicas as usize;
    let rolled_back = plan.to_string().contains("rolling_back");

    // Invariant 3, surge. What was too many before is not made more.
    let surge = policy.max_surge.max(site.row().spec.rollout.max_surge).max(1) as usize;
    assert!(
        after.len() <= (replicas + surge).max(before.len()),
        "{} tasks for {replicas} replicas\n{plan}{}",
        after.len(),
        site.describe()
    );

    // Invariant 3, the gap (M26): tasks that served and were stopped for a newer version leave enough that serve.
    let stopped: Vec<_> =
        site.tasks().into_iter().filter(|task| serving.contains(&task.id) && !task.is_active()).collect();
    let outdated = stopped.iter().filter(|task| task.stop_cause == Some(StopCause::Outdated)).count();
    let max_unavailable = policy.max_unavailable.max(site.row().spec.rollout.max_unavailable).max(1) as usize;
    if outdated > 0 && !rolled_back {
        let left = available_before - stopped.len();
        assert!(
            left + max_unavailable >= replicas.min(available_before),
            "{left} of {replicas} serve\n{plan}{}",
            site.describe()
        );
    }
    // Invariant 5: what a drain ended has a replacement in its slot that serves, unless the slot can have but one owner.
    for task in stopped.iter().filter(|task| task.stop_cause == Some(StopCause::Drained)) {
        let replaced = after.iter().any(|other| other.slot == task.slot && serving.contains(&other.id));
        assert!(replaced || site.row().spec.stateful, "{plan}{}", site.describe());
    }
}

proptest! {
    // Failures are printed whole, and saved as tests of their own by hand.
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_invariants_and_ends_converged_and_quiet(
        spec in spec(),
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut site = Site::new(&NODES, spec);
        for act in &acts {
            perform(&mut site, act);
            site.assert_invariants();
        }
        // The faults end.
        for name in NODES {
            site.back(name);
            site.change_node(name, |node| node.status = node.status.uncordon().unwrap());
        }
        let mut rounds = 0;
        loop {
            let replicas = site.row().spec.replicas as usize;
            look(&mut site);
            let busy = site.agents();
            site.advance(30);
            let plan = site.plan();
            let goal = site.available() == replicas && site.tasks().iter().all(|task| task.is_active() || task.status.is_terminal());
            if !busy && plan.transaction.is_empty() && goal {
                break;
            }
            rounds += 1;
            prop_assert!(rounds < 60, "does not converge:\n{plan}{}", site.describe());
        }
        let deployment = site.deployment();
        if deployment.status != DeploymentStatus::Paused {
            prop_assert!(deployment.status.is_terminal(), "{}", site.describe());
            let target = site.row().version;
            let digest = site.world.cluster.service_revision(site.service, target).unwrap().digest;
            let all = site.tasks().iter().filter(|task| task.is_active()).all(|task| task.digest == digest);
            prop_assert!(all, "{}", site.describe());
        }
    }
}
