//! The table: what is wanted, what is there, what is remembered → what is done and said.

mod ends;
mod image;
mod launch;
mod properties;
mod rests;
mod stops;

use std::time::Duration;

use super::*;
use crate::id::{ClusterId, IdStream, NodeId, ServiceId};
use crate::runtime::{ContainerId, ContainerLabels};
use crate::service::{
    Backoff, ImageDigest, ImageOrder, ImageOrigin, ImagePin, ResolvedImage, RestartCondition, RestartPolicy,
    StopPolicy, TaskTemplate, Version,
};
use crate::task::{Attempt, Slot};
use crate::time::Timestamp;

/// One task on one node, its containers, and a clock.
struct Bench {
    desired: DesiredTask,
    containers: Vec<ObservedContainer>,
    memory: TaskMemory,
    now: Monotonic,
    absent: bool,
    refusal: Option<&'static str>,
    keep_dead: usize,
}

fn template(restart: RestartPolicy) -> TaskTemplate {
    TaskTemplate { restart, ..TaskTemplate::new("web:1".parse().unwrap()) }
}

fn local(id: &str) -> ResolvedImage {
    ResolvedImage { id: ImageDigest(id.to_owned()), origin: ImageOrigin::Local }
}

impl Bench {
    fn new() -> Self {
        Self::with(RestartPolicy::default())
    }

    fn with(restart: RestartPolicy) -> Self {
        let mut ids = IdStream::seeded(1);
        let template = template(restart);
        Self {
            desired: DesiredTask {
                id: ids.next(),
                namespace: crate::name::Namespace::default_namespace(),
                service: ids.next::<ServiceId>(),
                service_name: "web".parse().unwrap(),
                slot: Slot(1),
                version: Version(1),
                digest: template.digest(),
                desired: DesiredStatus::Running,
                attempt: Attempt::FIRST,
                template,
                image: None,
                prepare: None,
                ports: Vec::new(),
            },
            containers: Vec::new(),
            memory: TaskMemory::default(),
            now: Monotonic::from_origin(Duration::from_secs(100)),
            absent: false,
            refusal: None,
            keep_dead: 1,
        }
    }

    fn container(mut self, attempt: u32, state: ContainerState) -> Self {
        let labels = ContainerLabels {
            cluster: IdStream::seeded(2).next::<ClusterId>(),
            node: IdStream::seeded(3).next::<NodeId>(),
            service: self.desired.service,
            task: self.desired.id,
            attempt: Attempt(attempt),
            version: self.desired.version,
            digest: self.desired.digest,
            restart: self.desired.template.restart.clone(),
            stop: self.desired.template.stop.clone(),
        };
        self.containers.push(ObservedContainer { id: ContainerId(format!("c{attempt}")), labels, state });
        self
    }

    fn desired(mut self, desired: DesiredStatus) -> Self {
        self.desired.desired = desired;
        self
    }

    fn look(&mut self) -> TaskPlan {
        let plan = {
            let desired = (!self.absent).then_some(&self.desired);
            let view = TaskView {
                task: self.desired.id,
                intent: Intent::of(desired),
                refusal: self.refusal,
                containers: &self.containers,
                memory: &self.memory,
                keep_dead: self.keep_dead,
            };
            converge(&view, self.now, 0)
        };
        self.memory = plan.memory.clone();
        plan
    }

    fn says(&mut self, expected: &str) {
        let plan = self.look();
        let expected: String = expected.lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(plan.to_string(), expected.trim_start_matches('\n'), "{plan:#?}");
    }

    /// Carries a step out, as a runtime in which all goes well.
    fn carry_out(&mut self, step: &Step) {
        let done = match step {
            Step::Pull { .. } => StepDone::Pulled(local("sha256:1")),
            Step::Create { attempt, .. } => {
                let this = std::mem::replace(self, Self::new());
                *self = this.container(attempt.0, ContainerState::Created);
                StepDone::Created(ContainerId(format!("c{attempt}")))
            }
            Step::Start { container } => {
                self.set(container, ContainerState::Running { since: Timestamp::ZERO });
                StepDone::Started
            }
            Step::Stop { container, .. } => {
                self.set(container, exited(143));
                StepDone::Stopped
            }
            Step::Remove { container } => {
                self.containers.retain(|c| &c.id != container);
                StepDone::Removed
            }
        };
        self.memory.after(step, Ok(&done), self.now, 0);
    }

    fn set(&mut self, container: &ContainerId, state: ContainerState) {
        self.containers.iter_mut().find(|c| &c.id == container).unwrap().state = state;
    }

    /// Looks and acts until there is nothing to do; answers the last plan.
    fn settle(&mut self) -> TaskPlan {
        for _ in 0..50 {
            let plan = self.look();
            match &plan.step {
                Some(step) => self.carry_out(&step.clone()),
                None => return plan,
            }
        }
        panic!("does not settle");
    }

    /// A step that the runtime refuses each time, until the task is given up: how often it was tried, and why it ended.
    fn give_up(&mut self, refused: fn(&Step) -> bool, refusal: &StepFailure) -> (u32, Failure) {
        let mut tries = 0;
        loop {
            let plan = self.look();
            match plan.step {
                Some(step) if refused(&step) => {
                    tries += 1;
                    self.memory.after(&step, Err(refusal), self.now, 0);
                }
                Some(step) => self.carry_out(&step),
                None => match plan.look_again {
                    Some(at) => self.now = at,
                    None => match plan.report.unwrap().status {
                        TaskStatus::Failed(failure) => return (tries, failure),
                        other => panic!("{other:?}"),
                    },
                },
            }
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }
}

fn running() -> ContainerState {
    ContainerState::Running { since: Timestamp::ZERO }
}

fn exited(code: i32) -> ContainerState {
    ContainerState::Exited(Exit { code: Some(code), ..Exit::default() })
}
