//! The people: they deploy, scale, roll out and back, drain, revoke and delete.

use std::sync::Arc;
use std::time::Duration;

use orch_core::command::apply_service::ApplyTarget;
use orch_core::command::{
    AbortRollout, ApplyService, Command, ContinueRollout, CordonNode, DeleteService, DrainNode, ExecuteError,
    MoveTasks, PauseRollout, RemoveNode, ResetNode, RevokeNode, RollBack, RollOut, ScaleService,
    UncordonNode,
};
use orch_core::control_plane::ControlPlane;
use orch_core::control_plane::query::{ReadNodes, View};
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::id::ServiceId;
use orch_core::identity::{Grants, Principal, Role, Scope, UserIdentity};
use orch_core::name::{Namespace, NodeName, ServiceName};
use orch_core::node::{Node, NodeStatus};
use orch_core::service::{ImageRef, Publish, Service, ServiceSpec, ServiceStatus};

use crate::memory::{Known, SharedMemory, remember};
use crate::specs;

/// Nodes that are never taken away together.
const NODES_KEPT: usize = 3;

/// One thing that a person does.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Create or change a service.
    Apply(Box<ServiceSpec>),
    /// Change its replica count.
    Scale(ServiceName, u32),
    /// Roll out an image.
    RollOut(ServiceName, ImageRef),
    /// Go back.
    RollBack(ServiceName),
    /// Pause the rollout under way.
    Pause(ServiceName),
    /// Let it go on.
    Continue(ServiceName),
    /// Break it off.
    Abort(ServiceName),
    /// Take it down.
    Delete(ServiceName),
    /// Take it down, and create it anew at once.
    Recreate(Box<ServiceSpec>),
    /// Keep new tasks away from a node.
    Cordon(NodeName),
    /// Drain it; only if no other is.
    Drain(NodeName),
    /// End every drain and every cordon.
    Uncordon,
    /// Let replicas move to better nodes.
    Rebalance,
    /// Let a paused rollout go on.
    GoOn(ServiceId),
    /// Give a paused rollout up: go back, or take down what has nothing to go back to.
    GiveUp(ServiceId),
    /// Make the node register again.
    Reset(NodeName),
    /// End its identity, unless too few would be left.
    Revoke(NodeName),
    /// Remove it, if it is away or revoked.
    Remove(NodeName),
    /// Somebody who may only look scales it.
    Trespass(ServiceName),
}

impl Wish {
    /// From the seed's numbers.
    #[must_use]
    pub fn draw(mut random: impl FnMut() -> u64, nodes: &[NodeName]) -> Self {
        let name = specs::name(random());
        let node = nodes[usize::try_from(random() % nodes.len() as u64).unwrap_or(0)].clone();
        match random() % 100 {
            0..=32 => Self::Apply(Box::new(specs::draw(random, &name))),
            33..=46 => Self::Scale(name, u32::try_from(random() % specs::REPLICAS).unwrap_or(1)),
            47..=58 => Self::RollOut(name, specs::image(random())),
            59..=62 => Self::RollBack(name),
            63..=65 => Self::Pause(name),
            66 | 67 => Self::Continue(name),
            68 | 69 => Self::Abort(name),
            70..=76 => Self::Delete(name),
            77..=79 => Self::Recreate(Box::new(specs::draw(random, &name))),
            80..=82 => Self::Cordon(node),
            83..=86 => Self::Drain(node),
            87..=91 => Self::Uncordon,
            92 => Self::Rebalance,
            93 | 94 => Self::Reset(node),
            95 => Self::Trespass(name),
            96 | 97 => Self::Revoke(node),
            _ => Self::Remove(node),
        }
    }

    /// Every word.
    pub const WORDS: &[&str] = &[
        "apply",
        "scale",
        "roll out",
        "roll back",
        "pause",
        "continue",
        "abort",
        "delete",
        "delete and create",
        "cordon",
        "drain",
        "uncordon",
        "rebalance",
        "reset",
        "revoke",
        "remove",
        "trespass",
    ];

    /// One word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::Scale(..) => "scale",
            Self::RollOut(..) => "roll out",
            Self::RollBack(_) => "roll back",
            Self::Pause(_) => "pause",
            Self::Continue(_) | Self::GoOn(_) => "continue",
            Self::Abort(_) | Self::GiveUp(_) => "abort",
            Self::Delete(_) => "delete",
            Self::Recreate(_) => "delete and create",
            Self::Cordon(_) => "cordon",
            Self::Drain(_) => "drain",
            Self::Uncordon => "uncordon",
            Self::Rebalance => "rebalance",
            Self::Reset(_) => "reset",
            Self::Revoke(_) => "revoke",
            Self::Remove(_) => "remove",
            Self::Trespass(_) => "trespass",
        }
    }

    /// As people tell it.
    #[must_use]
    pub fn tell(&self) -> String {
        match self {
            Self::Apply(spec) | Self::Recreate(spec) => {
                let template = &spec.template;
                format!(
                    "{} {} ×{} of {}, stateful {}, {:?}, check {}, restart {:?} {:?}, rollout {:?}",
                    self.word(),
                    spec.name,
                    spec.replicas,
                    template.image,
                    spec.stateful,
                    template.ports[0].publish,
                    template.health.is_some(),
                    template.restart.condition,
                    template.restart.max_attempts,
                    spec.rollout,
                )
            }
            other => format!("{other:?}"),
        }
    }
}

fn user(subject: &str, role: Role) -> Principal {
    let subject = subject.parse().expect("a subject");
    Principal::User(UserIdentity::new(subject, Grants::cluster(role)))
}

/// What is known of the nodes; nothing where even that is refused.
pub(crate) fn nodes(control: &ControlPlane) -> Option<View> {
    let permit = control.authorize::<ReadNodes>(user("admin", Role::Admin), Scope::Cluster).ok()?;
    Some(control.read(&permit))
}

async fn ask<C: Command>(control: &ControlPlane, command: C) -> Result<C::Output, ExecuteError> {
    let permit = control
        .authorize::<C>(user("admin", Role::Admin), Scope::Namespace(Namespace::default_namespace()))
        .map_err(|denied| ExecuteError::Rejected(denied.into()))?;
    control.execute(permit, command).await
}

/// Carries a wish out. Several may be under way at the same time, for one service too. If the server crashes meanwhile, its
/// answer is that nobody knows.
pub async fn carry_out(control: ControlPlane, memory: SharedMemory, env: SharedEnv, wish: Wish) {
    match wish {
        Wish::Apply(spec) => drop(apply(&control, &memory, *spec).await),
        Wish::Recreate(spec) => {
            delete(&control, &memory, &spec.name).await;
            // Its name is free once the last of its tasks is gone.
            for _ in 0..20 {
                if apply(&control, &memory, ServiceSpec::clone(&spec)).await {
                    break;
                }
                env.sleep(Duration::from_secs(1)).await;
            }
        }
        Wish::Scale(name, replicas) => {
            let Some(service) = find(&control, &name) else { return };
            // With a fixed port more than there are nodes could never run.
            let fixed = service.spec.template.ports.iter().any(|port| port.publish != Publish::Dynamic);
            let replicas = if fixed { replicas.min(3) } else { replicas };
            let command = ScaleService { service: service.id, replicas, expected: None };
            drop(change(&memory, &name, Known::Replicas(replicas), ask(&control, command)).await);
        }
        Wish::Delete(name) => delete(&control, &memory, &name).await,
        Wish::RollOut(name, image) => {
            let Some(service) = find(&control, &name) else { return };
            let command = RollOut { service: service.id, image, max_unavailable: None, max_surge: None };
            count(&memory, ask(&control, command)).await;
        }
        Wish::RollBack(name) => {
            let Some(service) = find(&control, &name) else { return };
            count(&memory, ask(&control, RollBack { service: service.id, to_version: None })).await;
        }
        Wish::Pause(name) => {
            let Some(service) = find(&control, &name) else { return };
            count(&memory, ask(&control, PauseRollout { service: service.id, because: None })).await;
        }
        Wish::Continue(name) => {
            let Some(service) = find(&control, &name) else { return };
            count(&memory, ask(&control, ContinueRollout { service: service.id, because: None })).await;
        }
        Wish::Abort(name) => {
            let Some(service) = find(&control, &name) else { return };
            count(&memory, ask(&control, AbortRollout { service: service.id, because: None })).await;
        }
        Wish::GoOn(service) => {
            count(&memory, ask(&control, ContinueRollout { service, because: None })).await;
        }
        Wish::GiveUp(service) => {
            let image = control.image();
            let Some(rollout) = image.active_deployment(service) else { return };
            if rollout.restart || rollout.from_version.is_some() {
                count(&memory, ask(&control, AbortRollout { service, because: None })).await;
            } else if let Some(service) = image.service(service) {
                delete(&control, &memory, &service.spec.name).await;
            }
        }
        Wish::Trespass(name) => {
            let Some(service) = find(&control, &name) else { return };
            let viewer = user("viewer", Role::Viewer);
            let scope = Scope::Namespace(Namespace::default_namespace());
            if let Ok(permit) = control.authorize::<ScaleService>(viewer, scope) {
                let command = ScaleService { service: service.id, replicas: 0, expected: None };
                let answer = control.execute(permit, command).await;
                remember(&memory, |memory| memory.trespassed |= answer.is_ok());
            }
        }
        node => of_a_node(&control, &memory, node).await,
    }
}

async fn of_a_node(control: &ControlPlane, memory: &SharedMemory, wish: Wish) {
    let image = control.image();
    let find = |name: &NodeName| image.node_named(name).map(|node| node.id);
    let revoked = |node: &&Arc<Node>| node.status == NodeStatus::Revoked;
    match wish {
        Wish::Cordon(name) => {
            let Some(node) = find(&name) else { return };
            count(memory, ask(control, CordonNode { node })).await;
        }
        Wish::Drain(name) => {
            let Some(node) = find(&name) else { return };
            if !image.nodes().any(|node| node.status.is_draining()) {
                count(memory, ask(control, DrainNode { node, within: None })).await;
            }
        }
        Wish::Rebalance => {
            let scope = Scope::Namespace(Namespace::default_namespace());
            if let Ok(permit) = control.authorize::<MoveTasks>(user("admin", Role::Admin), scope) {
                let moves = control.read(&permit).rebalance().moves;
                let tasks = moves.iter().take(5).map(|one| one.task).collect();
                let _ = control.execute(permit, MoveTasks { tasks }).await;
            }
        }
        Wish::Uncordon => {
            let held = |node: &&Arc<Node>| {
                node.status != NodeStatus::Revoked && (node.cordoned || node.status.is_draining())
            };
            for node in image.nodes().filter(held) {
                count(memory, ask(control, UncordonNode { node: node.id })).await;
            }
        }
        Wish::Reset(name) => {
            let Some(node) = find(&name) else { return };
            count(memory, ask(control, ResetNode { node })).await;
        }
        Wish::Revoke(name) => {
            let Some(node) = find(&name) else { return };
            if image.nodes().count() - image.nodes().filter(revoked).count() > NODES_KEPT {
                count(memory, ask(control, RevokeNode { node })).await;
            }
        }
        Wish::Remove(name) => {
            // Whoever is revoked goes first: such a node can only come back under a new identity.
            let Some(node) = image.nodes().find(revoked).map(|node| node.id).or_else(|| find(&name)) else {
                return;
            };
            count(memory, ask(control, RemoveNode { node, confirmed_dead: false })).await;
        }
        _ => {}
    }
}

fn find(control: &ControlPlane, name: &ServiceName) -> Option<Arc<Service>> {
    let image = control.image();
    let service = image.service_named(&Namespace::default_namespace(), name);
    service.filter(|service| service.status == ServiceStatus::Active).cloned()
}

/// Answers whether asking again would be of no use.
async fn apply(control: &ControlPlane, memory: &SharedMemory, spec: ServiceSpec) -> bool {
    let (name, replicas) = (spec.name.clone(), spec.replicas);
    let namespace = Namespace::default_namespace();
    let command = ApplyService { namespace, target: ApplyTarget::Name, spec, expected: None, dry_run: false };
    let answer = change(memory, &name, Known::Replicas(replicas), ask(control, command)).await;
    !matches!(answer, Err(ExecuteError::Rejected(_)))
}

async fn delete(control: &ControlPlane, memory: &SharedMemory, name: &ServiceName) {
    let Some(service) = find(control, name) else { return };
    drop(change(memory, name, Known::Absent, ask(control, DeleteService { service: service.id })).await);
}

async fn change<T>(
    memory: &SharedMemory,
    name: &ServiceName,
    known: Known,
    answer: impl Future<Output = Result<T, ExecuteError>>,
) -> Result<T, ExecuteError> {
    remember(memory, |memory| memory.begin(name));
    let answer = answer.await;
    remember(memory, |memory| memory.end(name, known, &answer));
    answer
}

async fn count<T>(memory: &SharedMemory, answer: impl Future<Output = Result<T, ExecuteError>>) {
    let answer = answer.await;
    remember(memory, |memory| memory.count(&answer));
}
