//! Where tasks go, and what is said where none can.

use std::collections::BTreeSet;

use orch_core::cluster::Transaction;
use orch_core::node::{Node, NodeFacts, Resources};
use orch_core::record::EventKind;
use orch_core::schedule::{FilterAndScore, Problem, Scheduler as _, Solution};
use orch_core::service::port::DYNAMIC_PORTS;
use orch_core::service::{Constraint, Rule, ServiceSpec, Strategy};
use orch_core::task::TaskStatus;
use orch_core::testing::web_spec;

use crate::site::{MIB, Site, assert_plan};

fn large(name: &str) -> ServiceSpec {
    let mut spec = web_spec(name, 1);
    spec.template.requests = Resources::new(500, 3_000 * MIB);
    spec.template.limits = spec.template.requests;
    spec
}

#[test]
fn a_task_that_fits_nowhere_waits_and_says_so_once() {
    let mut spec = large("web");
    spec.replicas = 2;
    let mut site = Site::new(&["a", "b"], spec);
    site.drain("b");
    let reason = "2 nodes: 1 draining, 1 lacks memory (needs 3000Mi, has 1096Mi)";
    assert_plan!(
        site.look(),
        &format!(
            "
        + web/1 on a
        + web/2 pending: {reason}
        rollout to version 1: running: waiting: web.2: no node fits: {reason}
        held: web/2: no node fits: {reason}
    "
        )
    );
    assert_eq!(site.task(2).status, TaskStatus::Pending);
    assert_eq!(site.task(2).note.as_deref(), Some(reason));
    let pending = site.task(2).id;
    site.agents();
    site.advance(60);
    site.assert_quiet();
    assert_eq!(site.world.count(EventKind::UnableToPlace), 1);

    site.change_node("b", |node| node.status = node.status.uncordon().unwrap());
    assert_plan!(site.look(), "+ web/2 on b");
    assert_eq!(
        (site.task(2).id, &site.task(2).status),
        (pending, &TaskStatus::Assigned),
        "it is the same task"
    );
    assert_eq!(site.task(2).note, None);
    assert_eq!(site.world.count(EventKind::TaskAssigned), 2);
}

#[test]
fn a_pending_task_is_explained_anew_when_the_reason_changes() {
    let mut spec = web_spec("web", 1);
    spec.constraints = vec![Constraint { key: "name".into(), rule: Rule::Equals("b".into()) }];
    let mut site = Site::new(&["a"], spec);
    site.look();
    assert_eq!(site.task(1).note.as_deref(), Some("1 node: 1 label name≠b"));
    site.drain("a");
    let reason = "1 node: 1 draining";
    assert_plan!(
        site.look(),
        &format!(
            "
        + web/1 pending: {reason}
        held: web/1: no node fits: {reason}
    "
        )
    );
    assert_eq!(site.world.count(EventKind::UnableToPlace), 2);
    assert_eq!(site.tasks().len(), 1);
}

#[test]
fn a_rule_that_excludes_a_label_excludes_only_that() {
    let mut spec = web_spec("web", 2);
    spec.constraints = vec![Constraint { key: "name".into(), rule: Rule::NotEquals("a".into()) }];
    let site = Site::settled(&["a", "b"], spec);
    assert_eq!(site.running(), "1 v1 b, 2 v1 b");
}

fn solve(site: &Site, spec: &ServiceSpec, count: u32) -> Solution {
    let cluster = &site.world.cluster;
    FilterAndScore.solve(&Problem { cluster, spec, service: site.service, count, avoid: &[] })
}

#[test]
fn placements_of_one_problem_fit_beside_each_other() {
    let site = Site::new(&["a", "b"], web_spec("web", 1));
    let spec = web_spec("web", 1);
    let solution = solve(&site, &spec, 100);
    assert_eq!(solution.placements.len(), 80, "40 a node");
    assert_eq!(solution.unplaced.as_deref(), Some("2 nodes: 2 lack cpu (needs 100m, has 0m)"));
    let ports: BTreeSet<_> =
        solution.placements.iter().map(|placement| (placement.node, placement.ports[0].host_port)).collect();
    assert_eq!(ports.len(), 80);
    assert!(ports.iter().all(|(_, port)| DYNAMIC_PORTS.contains(&port.get())));
    assert_eq!(solve(&site, &spec, 100), solution, "equal problems have equal solutions");
}

#[test]
fn dynamic_ports_run_out_and_that_is_said() {
    let mut spec = web_spec("web", 1);
    spec.template.requests = Resources::default();
    let site = Site::new(&["a"], web_spec("web", 1));
    let solution = solve(&site, &spec, 3_000);
    assert_eq!(solution.placements.len(), DYNAMIC_PORTS.count());
    assert_eq!(solution.unplaced.as_deref(), Some("1 node: 1 lacks a free dynamic port"));
}

#[test]
fn a_port_is_not_handed_out_again_at_once() {
    let mut site = Site::settled(&["a"], web_spec("web", 1));
    let first = site.task(1).ports[0].host_port;
    site.scale(0);
    site.settle();
    site.scale(1);
    site.settle();
    assert_ne!(site.task(1).ports[0].host_port, first);
}

#[test]
fn nodes_begin_at_different_ports_since_several_may_be_one_machine() {
    let site = Site::new(&["a", "b", "c"], web_spec("web", 1));
    let solution = solve(&site, &web_spec("web", 1), 6);
    let ports: BTreeSet<_> =
        solution.placements.iter().map(|placement| placement.ports[0].host_port).collect();
    assert_eq!(ports.len(), 6, "{solution:?}");
}

#[test]
fn a_node_to_avoid_is_used_only_if_nothing_else_fits() {
    let site = Site::new(&["a", "b"], web_spec("web", 1));
    let spec = web_spec("web", 1);
    let cluster = &site.world.cluster;
    let avoid = [cluster.node_named(&"a".parse().unwrap()).unwrap().id];
    let problem = Problem { cluster, spec: &spec, service: site.service, count: 41, avoid: &avoid };
    let solution = FilterAndScore.solve(&problem);
    assert!(solution.placements[..40].iter().all(|placement| placement.node != avoid[0]));
    assert_eq!(solution.placements[40].node, avoid[0]);
}

/// How many tasks of a solution each node gets, by name.
fn shares(site: &Site, solution: &Solution) -> String {
    let mut shares = std::collections::BTreeMap::new();
    for placement in &solution.placements {
        let node = site.world.cluster.node(placement.node).unwrap();
        *shares.entry(node.name.as_str()).or_insert(0) += 1;
    }
    shares.iter().map(|(name, count)| format!("{name}:{count}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn tasks_are_spread_unless_they_are_to_be_packed() {
    let site = Site::new(&["a", "b", "c"], web_spec("web", 1));
    let spread = web_spec("web", 1);
    let packed = ServiceSpec { strategy: Strategy::Binpack, ..spread.clone() };
    assert_eq!(shares(&site, &solve(&site, &spread, 45)), "a:15 b:15 c:15");
    assert_eq!(shares(&site, &solve(&site, &packed, 45)), "a:40 b:5");
}

#[test]
fn packed_tasks_go_to_the_fullest_node_that_has_room_and_no_further_than_they_fit() {
    let mut site = Site::settled(&["a", "b", "c"], web_spec("web", 1));
    let used = site.task(1).node.unwrap();
    let packed = ServiceSpec { strategy: Strategy::Binpack, ..web_spec("web", 1) };
    let solution = solve(&site, &packed, 100);
    assert!(solution.placements[..39].iter().all(|placement| placement.node == used));
    assert!(solution.placements[39..].iter().all(|placement| placement.node != used));
    let name = site.world.cluster.node(used).unwrap().name.to_string();
    site.drain(&name);
    assert!(solve(&site, &packed, 1).placements.iter().all(|placement| placement.node != used));
}

#[test]
fn a_changed_strategy_moves_nothing() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 2));
    let before = site.running();
    let packed = ServiceSpec { strategy: Strategy::Binpack, ..web_spec("web", 2) };
    let command = orch_core::command::ApplyService {
        namespace: orch_core::name::Namespace::default_namespace(),
        target: orch_core::command::apply_service::ApplyTarget::Name,
        spec: packed,
        expected: None,
        dry_run: false,
    };
    let applied = site.world.execute(command).unwrap();
    assert_eq!(applied.changes, [r#"strategy: nothing → "binpack""#]);
    assert!(applied.deployment.is_none());
    site.settle();
    assert_eq!(site.running(), before);
}

#[test]
fn rules_see_what_a_node_is_by_itself_and_no_label_passes_for_a_fact() {
    let mut site = Site::new(&["a", "b"], web_spec("web", 1));
    let mut transaction = Transaction::default();
    for (node, arch) in site.world.cluster.nodes().cloned().collect::<Vec<_>>().iter().zip(["amd64", "arm64"])
    {
        let mut node = Node::clone(node);
        node.facts = NodeFacts { arch: Some(arch.to_owned()), ..NodeFacts::default() };
        node.labels.insert("node.arch".to_owned(), "arm64".to_owned());
        node.labels.insert("node.os".to_owned(), "linux".to_owned());
        transaction.put(node);
    }
    site.world.apply(transaction);
    let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    for (key, rule, expected) in [
        ("node.arch", Rule::Equals("arm64".into()), "b:2"),
        ("node.arch", Rule::In(set(&["amd64", "riscv64"])), "a:2"),
        ("node.arch", Rule::NotIn(set(&["amd64"])), "b:2"),
        ("node.name", Rule::NotEquals("a".into()), "b:2"),
        ("node.arch", Rule::Exists, "a:1 b:1"),
        ("node.os", Rule::NotExists, "a:1 b:1"),
        ("zone", Rule::NotExists, "a:1 b:1"),
    ] {
        let mut spec = web_spec("web", 1);
        spec.constraints = vec![Constraint { key: key.to_owned(), rule }];
        assert_eq!(shares(&site, &solve(&site, &spec, 2)), expected, "{}", spec.constraints[0]);
    }
    let mut spec = web_spec("web", 1);
    spec.constraints = vec![Constraint { key: "node.os".into(), rule: Rule::In(set(&["linux", "bsd"])) }];
    assert_eq!(
        solve(&site, &spec, 1).unplaced.as_deref(),
        Some("2 nodes: 2 label node.os not in [bsd, linux]")
    );
}
