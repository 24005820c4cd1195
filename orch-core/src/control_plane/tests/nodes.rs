//! Nodes and services through the whole shell: liveness, wake-ups, and what touches what.

use std::sync::Arc;
use std::time::Duration;

use super::harness::{Harness, Put, Sent};
use crate::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredVersion, Directive, Heartbeat, HeartbeatAnswer,
    RegisterRequest, TaskVerdict,
};
use crate::command::{CreateService, DeleteService};
use crate::control_plane::query::{ReadNodes, ReadServices};
use crate::control_plane::{AgentConnection, NodeLiveness};
use crate::id::{NodeId, ServiceId, TaskId};
use crate::identity::{Permit, RegistrationClaim};
use crate::name::Namespace;
use crate::node::{NodeStatus, Resources};
use crate::reconcile::HeldReason;
use crate::secret::Secret;
use crate::service::ServiceStatus;
use crate::task::{DesiredStatus, Failure, FailureKind, TaskReport, TaskStatus};
use crate::testing::parts::TOKEN;
use crate::testing::{Fault, web_spec};

const SECOND: Duration = Duration::from_secs(1);

/// An agent that does as it is told.
#[derive(Clone)]
struct Agent {
    node: NodeId,
    credential: Secret<String>,
    sequence: u64,
}

impl Agent {
    fn authority(&mut self) -> Authority {
        self.sequence += 1;
        Authority { node: self.node, credential: self.credential.clone(), sequence: Some(self.sequence) }
    }
}

impl Harness {
    fn api(&self) -> Arc<dyn AgentApi> {
        self.plane.agent_api(AgentConnection::default())
    }

    fn join(&self, name: &str) -> Agent {
        let room = Resources::new(1_000, 1 << 30);
        let claim = RegistrationClaim {
            facts: Default::default(),
            name: name.parse().unwrap(),
            advertise_address: "10.0.0.7".to_owned(),
            labels: [("name".to_owned(), name.to_owned())].into(),
            capacity: room,
            allocatable: room,
            agent_version: "0.3.0".to_owned(),
            boot: None,
        };
        let request = RegisterRequest { claim, token: Some(Secret::new(TOKEN.to_owned())), key: None };
        let api = self.api();
        let registered = self.wait(async move { api.register(request).await }).unwrap();
        Agent { node: registered.node, credential: registered.credential, sequence: 0 }
    }

    fn beat(&self, agent: &mut Agent) -> Result<HeartbeatAnswer, AgentApiError> {
        self.beat_with(agent, Heartbeat::default())
    }

    fn beat_with(&self, agent: &mut Agent, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, AgentApiError> {
        let (api, authority) = (self.api(), agent.authority());
        let answer = self.wait(async move { api.heartbeat(&authority, heartbeat).await });
        if let Ok(HeartbeatAnswer { credential: Some((credential, _)), .. }) = &answer {
            agent.credential = credential.clone();
        }
        answer
    }

    fn poll(
        &self,
        agent: &mut Agent,
        have: Option<DesiredVersion>,
        wait: Duration,
    ) -> Sent<Result<DesiredSet, AgentApiError>> {
        let (api, authority) = (self.api(), agent.authority());
        self.spawn(async move { api.desired(&authority, have, wait).await })
    }

    fn polled(&self, agent: &mut Agent) -> DesiredSet {
        let poll = self.poll(agent, None, Duration::ZERO);
        self.settle();
        poll.take().unwrap().unwrap()
    }

    fn report(&self, agent: &mut Agent, task: TaskId, status: TaskStatus) -> TaskVerdict {
        let report = TaskReport::new(task, None, status);
        let (api, authority) = (self.api(), agent.authority());
        let answer = self.wait(async move { api.report(&authority, vec![report]).await }).unwrap();
        answer.verdicts.into_iter().next().unwrap()
    }

    fn deploy(&self, name: &str, replicas: u32, cpu_millis: u64) -> ServiceId {
        let mut spec = web_spec(name, replicas);
        spec.template.requests = Resources::new(cpu_millis, 1 << 20);
        spec.template.limits = spec.template.requests;
        let namespace = Namespace::default_namespace();
        self.execute(CreateService { namespace, spec }).unwrap().id
    }

    fn status(&self, node: NodeId) -> NodeStatus {
        self.plane.image().node(node).unwrap().status
    }

    fn placed(&self, service: ServiceId) -> usize {
        self.plane.image().tasks_of_service(service).filter(|task| task.node.is_some()).count()
    }
}

#[test]
fn a_deploy_and_its_first_tasks_are_one_commit() {
    let harness = Harness::start(1);
    harness.join("a");
    let commits = harness.store.groups().len();
    let service = harness.deploy("web", 3, 100);
    assert_eq!(harness.placed(service), 3, "placed by the time the caller is answered");
    assert_eq!(harness.store.groups().len(), commits + 1);
    let before = harness.plane.image().revision();
    harness.sim.run_for(20 * SECOND);
    assert_eq!(harness.plane.image().revision(), before, "and then it is quiet");
}

#[test]
fn an_agent_that_is_newer_than_its_control_plane_is_warned_at_each_heartbeat() {
    let harness = Harness::start(1);
    let mut agent = harness.join("a");
    assert_eq!(harness.beat(&mut agent).unwrap().directives, []);
    let newer = Heartbeat { agent_version: Some("99.0.0".to_owned()), ..Heartbeat::default() };
    harness.beat_with(&mut agent, newer).unwrap();
    let directives = harness.beat(&mut agent).unwrap().directives;
    assert!(
        matches!(&directives[..], [Directive::VersionWarning(text)] if text.contains("99.0.0")),
        "{directives:?}"
    );
}

#[test]
fn a_node_that_says_nothing_is_offline_and_a_heartbeat_brings_it_back() {
    let harness = Harness::start(2);
    let (mut loud, mut silent) = (harness.join("loud"), harness.join("silent"));
    for _ in 0..7 {
        harness.sim.run_for(5 * SECOND);
        harness.beat(&mut loud).unwrap();
    }
    assert_eq!(harness.status(loud.node), NodeStatus::Ready);
    assert!(matches!(harness.status(silent.node), NodeStatus::Offline { .. }));
    let view = harness.plane.read(&Permit::<ReadNodes>::system("test"));
    assert_eq!(view.liveness(loud.node), NodeLiveness::Alive);
    assert_eq!(view.liveness(silent.node), NodeLiveness::Silent);
    assert_eq!(view.last_heartbeat(loud.node), Some(harness.plane.now()));
    harness.beat(&mut silent).unwrap();
    assert_eq!(harness.status(silent.node), NodeStatus::Ready);
    harness.sim.run_for(60 * SECOND);
    assert!(matches!(harness.status(silent.node), NodeStatus::Offline { .. }), "waited for anew");
}

#[test]
fn a_task_that_came_and_went_while_its_agent_was_away_ends_by_the_agents_word() {
    let harness = Harness::start(12);
    let mut agent = harness.join("a");
    let service = harness.deploy("web", 1, 100);
    harness.execute(DeleteService { service }).unwrap();
    let told = harness.polled(&mut agent).tasks;
    let [task] = told.as_slice() else { panic!("it is told: {told:?}") };
    assert_eq!(task.desired, DesiredStatus::Removed);
    assert_eq!(harness.report(&mut agent, task.id, TaskStatus::Removed), TaskVerdict::Accepted);
    harness.settle();
    assert_eq!(harness.polled(&mut agent).tasks, []);
    assert_eq!(harness.plane.image().service(service).unwrap().status, ServiceStatus::Deleted);
}

#[test]
fn a_task_that_failed_is_not_started_again_by_an_agent_that_does_not_remember_it() {
    let harness = Harness::start(13);
    let mut agent = harness.join("a");
    harness.deploy("web", 1, 100);
    let task = harness.polled(&mut agent).tasks[0].id;
    let failure = Failure { kind: FailureKind::Image, reason: "no such image".to_owned(), exit: None };
    assert_eq!(harness.report(&mut agent, task, TaskStatus::Failed(failure)), TaskVerdict::Accepted);
    let told = harness.polled(&mut agent).tasks;
    let failed = told.iter().find(|told| told.id == task).unwrap();
    assert_eq!(failed.desired, DesiredStatus::Stopped);
}

#[test]
fn a_new_server_waits_for_nodes_before_it_gives_them_up() {
    let mut harness = Harness::start(3);
    let mut agent = harness.join("a");
    harness.sim.run_for(25 * SECOND);
    harness.restart(0);
    harness.sim.run_for(25 * SECOND);
    assert_eq!(harness.status(agent.node), NodeStatus::Ready, "silence counts from the start");
    harness.beat(&mut agent).unwrap();
    harness.sim.run_for(25 * SECOND);
    assert_eq!(harness.status(agent.node), NodeStatus::Ready);
}

/// M41: through the whole shell, on the clocks that it runs by. Without `Timer::Silence` nothing would ever be let go on.
#[test]
fn while_most_nodes_are_silent_nothing_is_replaced_and_then_only_what_is_silent_still() {
    let harness = Harness::start(14);
    let mut agents = ["a", "b", "c", "d", "e"].map(|name| harness.join(name));
    let service = harness.deploy("web", 5, 600);
    let nodes_of = || {
        let image = harness.plane.image();
        let active = image.tasks_of_service(service).filter(|task| task.is_active());
        active.filter_map(|task| task.node).collect::<std::collections::BTreeSet<_>>()
    };
    let all = nodes_of();
    assert_eq!(all.len(), 5, "one on each");
    let beat = |agents: &mut [Agent], rounds: u32| {
        for _ in 0..rounds {
            harness.sim.run_for(5 * SECOND);
            agents.iter_mut().for_each(|agent| drop(harness.beat(agent).unwrap()));
        }
    };
    beat(&mut agents[3..], 24);
    assert_eq!(nodes_of(), all, "three of five are too many, for as long as they are silent");
    let held = harness.plane.held(&Permit::<ReadServices>::system("test"), service);
    assert_eq!(held.iter().filter(|held| held.reason == HeldReason::ManySilent).count(), 3, "{held:?}");

    beat(&mut agents[1..], 5);
    assert_eq!(nodes_of(), all, "two are back, and the third has a fresh grace");
    beat(&mut agents[1..], 4);
    assert!(!nodes_of().contains(&agents[0].node), "and no more than that");
}

/// M42: a server that was away judges by what it hears from its return on, and so about nodes that had gone before.
#[test]
fn what_ran_out_while_the_server_was_away_has_run_out_for_nobody() {
    let mut harness = Harness::start(15);
    let mut agents = [harness.join("a"), harness.join("b")];
    let service = harness.deploy("web", 2, 600);
    harness.beat_with(&mut agents[0], Heartbeat { shutdown: true, ..Heartbeat::default() }).unwrap();
    harness.sim.crash(harness.server);
    harness.sim.run_for(600 * SECOND);
    harness.restart(0);
    harness.sim.run_for(20 * SECOND);
    harness.beat(&mut agents[0]).unwrap();
    harness.beat(&mut agents[1]).unwrap();
    harness.sim.run_for(20 * SECOND);
    let image = harness.plane.image();
    assert_eq!(image.tasks_of_service(service).filter(|task| !task.is_active()).count(), 0);
}

#[test]
fn while_the_store_cannot_be_written_heartbeats_keep_nodes_alive() {
    let harness = Harness::start(4);
    let mut agent = harness.join("a");
    harness.store.next_commits([Fault::NotWritten; 20]);
    let held = agent.credential.clone();
    for _ in 0..12 {
        harness.sim.run_for(5 * SECOND);
        let answer = harness.beat(&mut agent).unwrap();
        if !harness.plane.health().is_ready() {
            assert!(answer.credential.is_none());
            assert_eq!(agent.credential.expose(), held.expose());
        }
    }
    assert!(harness.store.groups().len() > 12, "the store did fail meanwhile");
    for _ in 0..12 {
        harness.sim.run_for(5 * SECOND);
        harness.beat(&mut agent).unwrap();
    }
    assert!(harness.plane.health().is_ready());
    assert_eq!(harness.status(agent.node), NodeStatus::Ready);
    assert_ne!(agent.credential.expose(), held.expose());
}

#[test]
fn a_change_wakes_the_nodes_that_it_concerns_and_no_others() {
    let harness = Harness::start(5);
    let mut agents = [harness.join("a"), harness.join("b")];
    let polls = agents.each_mut().map(|agent| {
        let have = harness.polled(agent).version;
        harness.poll(agent, Some(have), 50 * SECOND)
    });
    harness.execute(Put("unrelated")).unwrap();
    harness.settle();
    assert!(polls.iter().all(|poll| !poll.is_answered()));
    let service = harness.deploy("web", 1, 100);
    harness.settle();
    let node = harness.plane.image().tasks_of_service(service).next().unwrap().node;
    for (agent, poll) in agents.iter().zip(&polls) {
        assert_eq!(poll.is_answered(), Some(agent.node) == node);
    }
    harness.sim.run_for(25 * SECOND);
}

#[test]
fn a_service_without_room_says_why_and_is_placed_as_soon_as_there_is_some() {
    let harness = Harness::start(6);
    harness.join("a");
    let service = harness.deploy("large", 2, 800);
    let held = || harness.plane.held(&Permit::<ReadServices>::system("test"), service);
    assert_eq!(harness.placed(service), 1);
    assert!(held().iter().any(|held| matches!(held.reason, HeldReason::NoNodeFits(_))), "{:?}", held());
    harness.join("b");
    harness.settle();
    assert_eq!(harness.placed(service), 2, "without waiting for a timer");
    assert!(!held().iter().any(|held| matches!(held.reason, HeldReason::NoNodeFits(_))), "{:?}", held());
}

#[test]
fn a_timer_whose_group_was_not_written_fires_again() {
    let harness = Harness::start(7);
    let node = harness.join("a").node;
    let service = harness.deploy("web", 1, 100);
    let mut other = harness.join("b");
    harness.sim.run_for(28 * SECOND);
    harness.beat(&mut other).unwrap();
    let commits = harness.store.groups().len();
    harness.store.next_commits([Fault::NotWritten; 3]);
    harness.sim.run_for(Duration::from_millis(2_100));
    assert_eq!(harness.status(node), NodeStatus::Ready);
    assert!(harness.store.groups().len() > commits, "it fired, and was not written");
    harness.sim.run_for(5 * SECOND);
    assert!(matches!(harness.status(node), NodeStatus::Offline { .. }));
    assert_eq!(harness.status(other.node), NodeStatus::Ready);
    let image = harness.plane.image();
    let moved = image.tasks_of_service(service).any(|task| task.is_active() && task.node == Some(other.node));
    assert!(moved, "and what follows from it follows");
}

#[test]
fn a_shutdown_ends_polls_at_once() {
    let harness = Harness::start(8);
    let mut agent = harness.join("a");
    let have = harness.polled(&mut agent).version;
    let poll = harness.poll(&mut agent, Some(have), 50 * SECOND);
    harness.settle();
    assert!(!poll.is_answered());
    let plane = harness.plane.clone();
    harness.wait(async move { plane.shutdown().await });
    harness.settle();
    assert!(matches!(poll.take(), Some(Err(AgentApiError::Unavailable { .. }))));
}
