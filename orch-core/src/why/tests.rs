use std::time::Duration;

use super::*;
use crate::command::{CreateService, DrainNode, NodeFellSilent, PauseRollout, RollOut};
use crate::id::{NodeId, ServiceId};
use crate::name::Namespace;
use crate::node::{Incarnation, Resources};
use crate::reconcile::{Held, HeldReason, reconcile};
use crate::schedule::FilterAndScore;
use crate::service::ServiceSpec;
use crate::task::{Failure, FailureKind, Slot};
use crate::testing::{World, web_spec};

struct Site {
    world: World,
    service: ServiceId,
    node: NodeId,
}

impl Site {
    fn new(spec: ServiceSpec) -> Self {
        let mut world = World::new();
        let node = world.register_node("a", Resources::new(350, 4 << 30));
        let command = CreateService { namespace: Namespace::default_namespace(), spec };
        let service = world.execute(command).unwrap().id;
        Self { world, service, node }
    }

    fn look(&mut self) -> Vec<Held> {
        let service = self.service;
        let plan = self.world.with_ctx(|cluster, ctx| reconcile(cluster, service, &FilterAndScore, ctx));
        self.world.apply(plan.transaction);
        plan.held
    }

    fn report(&mut self, slot: u32, status: TaskStatus) {
        let tasks = self.world.cluster.tasks_of_service(self.service);
        let task = tasks.filter(|task| task.slot == Slot(slot) && task.is_active()).last().unwrap().id;
        self.world.report(task, status);
    }

    fn up(&mut self, slots: u32) {
        self.look();
        (1..=slots).for_each(|slot| self.report(slot, TaskStatus::Running(Health::Unchecked)));
        self.world.advance(Duration::from_secs(6));
    }

    fn why(&mut self) -> Why {
        let held = self.look();
        let row = self.world.cluster.service(self.service).unwrap();
        service(&self.world.cluster, row, &held)
    }
}

fn texts(why: &Why) -> Vec<String> {
    why.causes.iter().map(|cause| format!("{}: {}", cause.about, cause.text)).collect()
}

#[test]
fn what_is_well_has_no_cause() {
    let mut site = Site::new(web_spec("web", 2));
    site.up(2);
    let why = site.why();
    assert!(why.fine, "{why:?}");
    assert_eq!(why.summary, "web is well: 2 of 2 replicas serve version 1");
    let row = site.world.cluster.node(site.node).unwrap();
    let why = node(&site.world.cluster, row, |_| Vec::new(), |_| true);
    assert_eq!((why.fine, why.summary.as_str()), (true, "node a is well: 2 tasks"));
}

#[test]
fn a_replica_without_a_node_says_what_the_nodes_lack_once() {
    let mut site = Site::new(web_spec("web", 4));
    site.up(3);
    let why = site.why();
    assert!(!why.fine);
    let lacks = "no node fits: 1 node: 1 lacks cpu (needs 100m, has 50m)";
    assert_eq!(why.summary, format!("3 of 4 replicas of web serve; web.4: {lacks}"));
    assert_eq!(texts(&why), [format!("web.4: {lacks}")], "what is held is the same");
    let held = site.look();
    let later = held.into_iter().map(|held| match held.reason {
        HeldReason::NoNodeFits(why) => {
            Held { reason: HeldReason::NoNodeFits(why.replace("has 50m", "has 60m")), ..held }
        }
        reason => Held { reason, ..held },
    });
    let row = site.world.cluster.service(site.service).unwrap();
    let again = service(&site.world.cluster, row, &later.collect::<Vec<_>>());
    assert_eq!(texts(&again), texts(&why), "how much is free is no other reason");
}

#[test]
fn a_failure_is_told_before_what_waits_for_it() {
    let mut site = Site::new(web_spec("web", 1));
    site.up(1);
    site.look();
    let failure = Failure { kind: FailureKind::Exited, reason: "exit 3".to_owned(), exit: None };
    site.report(1, TaskStatus::Failed(failure));
    let why = site.why();
    assert_eq!(why.summary, "0 of 1 replicas of web serve; web.1: failed on a: exit 3");
    assert_eq!(texts(&why)[1], "web.1: its agent has not begun with it yet on a", "it was replaced at once");
    site.up(1);
    let why = site.why();
    assert!(why.fine, "{why:?}");
}

#[test]
fn a_silent_node_is_the_cause_of_its_replicas_trouble() {
    let mut spec = web_spec("web", 1);
    spec.stateful = true;
    let mut site = Site::new(spec);
    site.up(1);
    let node_id = site.node;
    site.world.execute(NodeFellSilent::alone(node_id, Incarnation(1))).unwrap();
    let why = site.why();
    assert!(
        why.summary.starts_with("0 of 1 replicas of web serve; node a: offline: its agent fell silent"),
        "{}",
        why.summary
    );
    assert!(
        texts(&why).iter().any(|text| text.contains("stateful replica is not replaced")),
        "{:?}",
        texts(&why)
    );
    let cluster = &site.world.cluster;
    let row = cluster.tasks_of_service(site.service).next().unwrap();
    let why = task(cluster, cluster.service(site.service).unwrap(), row, &[]);
    assert!(!why.fine && why.summary.contains("node a: offline"), "{}", why.summary);
    assert_eq!(why.causes[0].since, Some(site.world.now));
}

#[test]
fn a_paused_rollout_says_who_paused_it_and_how_it_goes_on() {
    let mut site = Site::new(web_spec("web", 1));
    site.up(1);
    site.look();
    let service = site.service;
    let image = "web:2".parse().unwrap();
    site.world.execute(RollOut { service, image, max_unavailable: None, max_surge: None }).unwrap();
    site.world.execute(PauseRollout { service, because: Some("odd errors".parse().unwrap()) }).unwrap();
    let why = site.why();
    assert!(!why.fine);
    assert_eq!(
        why.summary,
        "rollout to version 2: paused by test: odd errors; `orch rollout continue web` lets it go on"
    );
}

#[test]
fn a_drain_says_what_each_task_waits_for_and_names_no_other_namespace() {
    let mut site = Site::new(web_spec("web", 1));
    site.up(1);
    site.look();
    let node_id = site.node;
    site.world.execute(DrainNode { node: node_id, within: None }).unwrap();
    let held = site.look();
    assert!(held.iter().any(|held| matches!(held.reason, HeldReason::NoNodeFits(_))), "{held:?}");
    let row = site.world.cluster.node(node_id).unwrap();
    let why = node(&site.world.cluster, row, |_| held.clone(), |_| true);
    assert_eq!(why.summary, "node a is draining: draining: 1 tasks are left");
    assert_eq!(texts(&why)[1], "web.1: no node fits: 1 node: 1 draining");
    let hidden = node(&site.world.cluster, row, |_| held.clone(), |_| false);
    assert_eq!(texts(&hidden)[1], "node a: 1 tasks are of other namespaces");
}
