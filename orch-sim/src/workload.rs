//! The people: they deploy, scale, roll out and back, drain and delete, and remember what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use orch_core::command::apply_service::ApplyTarget;
use orch_core::command::{
    ApplyService, Command, DeleteService, DrainNode, ExecuteError, ResetNode, RollBack, RollOut,
    ScaleService, UncordonNode,
};
use orch_core::control_plane::ControlPlane;
use orch_core::identity::{Grants, Principal, Role, Scope, UserIdentity};
use orch_core::name::{Namespace, ServiceName};
use orch_core::node::Resources;
use orch_core::service::{ImageRef, ServiceSpec, ServiceStatus};
use orch_core::testing::decide::web_spec;

/// Services that there may be.
pub const SERVICES: u64 = 8;
/// Replicas that one may have.
pub const REPLICAS: u64 = 12;

/// One thing that a person does.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Create or change a service.
    Apply(ServiceName, ImageRef, u32),
    /// Change its replica count.
    Scale(ServiceName, u32),
    /// Roll out an image.
    RollOut(ServiceName, ImageRef),
    /// Go back.
    RollBack(ServiceName),
    /// Take it down.
    Delete(ServiceName),
    /// Drain the node of this place in the list; if another is drained, end that drain instead.
    Drain(usize),
    /// End every drain.
    Uncordon,
    /// Make the node of this place register again.
    Reset(usize),
}

impl Wish {
    /// From the seed's numbers.
    #[must_use]
    pub fn draw(mut random: impl FnMut() -> u64, nodes: usize) -> Self {
        let name: ServiceName = format!("web-{}", random() % SERVICES).parse().expect("a service name");
        let image: ImageRef = format!("web:{}", random() % 4).parse().expect("an image");
        let replicas = u32::try_from(random() % REPLICAS).unwrap_or(1);
        let node = usize::try_from(random() % nodes as u64).unwrap_or(0);
        match random() % 20 {
            0..=6 => Self::Apply(name, image, replicas + 1),
            7..=9 => Self::Scale(name, replicas),
            10..=12 => Self::RollOut(name, image),
            13 => Self::RollBack(name),
            14 | 15 => Self::Delete(name),
            16 => Self::Drain(node),
            17 | 18 => Self::Uncordon,
            _ => Self::Reset(node),
        }
    }

    /// The spec that an apply asks for.
    #[must_use]
    pub fn spec(name: &ServiceName, image: &ImageRef, replicas: u32) -> ServiceSpec {
        let mut spec = web_spec(name.as_str(), replicas);
        spec.template.image = image.clone();
        spec.template.requests = Resources::new(100, 64 << 20);
        spec.template.limits = spec.template.requests;
        spec
    }
}

/// What may be true of a service, as far as the people were told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// It is not there.
    #[default]
    Absent,
    /// It is there, with so many replicas.
    Replicas(u32),
}

/// What the people remember: after an answer one thing, after none all that may have become of it.
#[derive(Debug, Default)]
pub struct Memory {
    services: BTreeMap<ServiceName, BTreeSet<Known>>,
    busy: BTreeSet<ServiceName>,
    /// Wishes that were answered with success.
    pub acknowledged: u64,
    /// Wishes that nobody answered for sure.
    pub uncertain: u64,
}

/// Shared between the people and the oracle.
pub type SharedMemory = Arc<Mutex<Memory>>;

/// Locks the memory.
pub fn remember<T>(memory: &SharedMemory, act: impl FnOnce(&mut Memory) -> T) -> T {
    act(&mut memory.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Memory {
    /// What may be true of each service that was ever spoken of.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceName, &BTreeSet<Known>)> {
        self.services.iter()
    }

    fn may(&mut self, name: &ServiceName) -> &mut BTreeSet<Known> {
        self.services.entry(name.clone()).or_insert_with(|| BTreeSet::from([Known::Absent]))
    }

    fn learn<T>(&mut self, name: &ServiceName, known: Known, answer: &Result<T, ExecuteError>) {
        match answer {
            Ok(_) => {
                self.acknowledged += 1;
                *self.may(name) = BTreeSet::from([known]);
            }
            Err(ExecuteError::Rejected(_) | ExecuteError::Unavailable { .. }) => {}
            Err(_) => {
                self.uncertain += 1;
                self.may(name).insert(known);
            }
        }
    }
}

fn admin() -> Principal {
    let subject = "admin".parse().expect("a subject");
    Principal::User(UserIdentity { subject, grants: Grants::cluster(Role::Admin) })
}

async fn ask<C: Command>(control: &ControlPlane, command: C) -> Result<C::Output, ExecuteError> {
    let permit = control
        .authorize::<C>(admin(), Scope::Namespace(Namespace::default_namespace()))
        .map_err(|denied| ExecuteError::Rejected(denied.into()))?;
    control.execute(permit, command).await
}

/// Carries a wish out. If the server crashes meanwhile this future goes with it, and what was wished stays uncertain: so
/// that is written down first, and struck out again by the answer.
pub async fn carry_out(control: ControlPlane, memory: SharedMemory, wish: Wish) {
    let default = Namespace::default_namespace();
    let image = control.image();
    let find = |name: &ServiceName| {
        image.service_named(&default, name).filter(|s| s.status == ServiceStatus::Active).cloned()
    };
    match wish {
        Wish::Apply(name, image, replicas) => {
            let spec = Wish::spec(&name, &image, replicas);
            let command = ApplyService {
                namespace: default,
                target: ApplyTarget::Name,
                spec,
                expected: None,
                dry_run: false,
            };
            change(&memory, &name, Known::Replicas(replicas), ask(&control, command)).await;
        }
        Wish::Scale(name, replicas) => {
            let Some(service) = find(&name) else { return };
            let command = ScaleService { service: service.id, replicas, expected: None };
            change(&memory, &name, Known::Replicas(replicas), ask(&control, command)).await;
        }
        Wish::Delete(name) => {
            let Some(service) = find(&name) else { return };
            change(&memory, &name, Known::Absent, ask(&control, DeleteService { service: service.id })).await;
        }
        Wish::RollOut(name, image) => {
            let Some(service) = find(&name) else { return };
            let command = RollOut { service: service.id, image, max_unavailable: None, max_surge: None };
            let _ = ask(&control, command).await;
        }
        Wish::RollBack(name) => {
            let Some(service) = find(&name) else { return };
            let _ = ask(&control, RollBack { service: service.id, to_version: None }).await;
        }
        Wish::Drain(at) => {
            let draining = image.nodes().any(|node| node.status.is_draining());
            if let Some(node) = image.nodes().nth(at).filter(|_| !draining) {
                let _ = ask(&control, DrainNode { node: node.id }).await;
            }
        }
        Wish::Uncordon => {
            for node in image.nodes().filter(|node| node.status.is_draining()) {
                let _ = ask(&control, UncordonNode { node: node.id }).await;
            }
        }
        Wish::Reset(at) => {
            if let Some(node) = image.nodes().nth(at) {
                let _ = ask(&control, ResetNode { node: node.id }).await;
            }
        }
    }
}

async fn change<T>(
    memory: &SharedMemory,
    name: &ServiceName,
    known: Known,
    answer: impl Future<Output = Result<T, ExecuteError>>,
) {
    // One wish a service at a time: what two at once lead to is nobody's to know.
    let before = remember(memory, |memory| {
        memory.busy.insert(name.clone()).then(|| {
            let may = memory.may(name);
            let before = may.clone();
            may.insert(known.clone());
            before
        })
    });
    let Some(before) = before else { return };
    let answer = answer.await;
    remember(memory, |memory| {
        *memory.may(name) = before;
        memory.learn(name, known, &answer);
        memory.busy.remove(name);
    });
}

/// The server crashed: whatever was under way has no answer, and may be asked for again.
pub fn forget_under_way(memory: &SharedMemory) {
    remember(memory, |memory| {
        memory.uncertain += memory.busy.len() as u64;
        memory.busy.clear();
    });
}
