//! [`World`]: a cluster to try decisions on, without store, clock or executor.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use crate::cluster::{Cluster, Transaction, invariants};
use crate::command::{Command, Ctx, Decision, RegisterNode, Rejection, ReportTasks};
use crate::control_plane::ClusterPolicy;
use crate::deployment::RolloutPolicy;
use crate::id::{IdStream, NodeId, ServiceId, TaskId};
use crate::identity::credential::DEFAULT_TTL;
use crate::identity::{
    Attestation, CredentialBinding, CredentialDigest, Issued, NodePrincipal, NodePublicKey, Principal,
    Proven, RegistrationClaim, RequestContext, Scope,
};
use crate::node::{Incarnation, Resources};
use crate::record::{AuditRecord, Event, EventKind};
use crate::service::port::DYNAMIC_PORTS;
use crate::service::{AssignedPort, PortSpec, Protocol, Publish, ServiceSpec, Strategy, TaskTemplate};
use crate::task::{Attempt, DesiredStatus, Slot, Task, TaskReport, TaskStatus};
use crate::time::Timestamp;

/// A cluster, its time and its ids: commands are decided, and what they ask for is applied at once.
#[derive(Clone, Debug)]
pub struct World {
    /// The state so far.
    pub cluster: Cluster,
    /// Cluster time; moves only by [`World::advance`].
    pub now: Timestamp,
    /// Until when nobody's absence says anything; from the start it does.
    pub hears_from: Timestamp,
    /// Where ids come from.
    pub ids: IdStream,
    /// What decisions go by.
    pub policy: ClusterPolicy,
    /// Every event so far, oldest first.
    pub events: Vec<Event>,
    /// Every audit record so far, oldest first.
    pub audit: Vec<AuditRecord>,
    /// Every transaction so far, oldest first.
    pub history: Vec<Transaction>,
    /// Only the cluster is kept.
    bare: bool,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty cluster on the first of January 2026. Every world is the same.
    #[must_use]
    pub fn new() -> Self {
        let mut ids = IdStream::seeded(1);
        Self {
            cluster: Cluster::new(ids.next()),
            now: Timestamp::from_micros(1_767_225_600_000_000),
            hears_from: Timestamp::ZERO,
            ids,
            policy: ClusterPolicy::default(),
            events: Vec::new(),
            audit: Vec::new(),
            history: Vec::new(),
            bare: false,
        }
    }

    /// The same without a look at the invariants and without a record of what happened: for benchmarks, since both cost more
    /// than deciding does.
    #[must_use]
    pub fn bare() -> Self {
        Self { bare: true, ..Self::new() }
    }

    /// Lets time pass.
    pub fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
    }

    /// Decides a command as the control plane itself, for the whole cluster, and applies what follows.
    ///
    /// # Errors
    /// The command is rejected; nothing changed.
    pub fn execute<C: Command>(&mut self, command: C) -> Result<C::Output, Rejection> {
        self.execute_as(&Principal::System("test"), &Scope::Cluster, command)
    }

    /// The same as someone else.
    ///
    /// # Errors
    /// The command is rejected; nothing changed.
    pub fn execute_as<C: Command>(
        &mut self,
        principal: &Principal,
        scope: &Scope,
        command: C,
    ) -> Result<C::Output, Rejection> {
        self.decide(principal, scope, |cluster, ctx| command.decide(cluster, ctx))
    }

    /// Decides the repetition of a request that made `object`, as the control plane itself, and applies what follows.
    ///
    /// # Errors
    /// The command is rejected; nothing changed.
    pub fn repeat<C: Command>(&mut self, command: C, object: &str) -> Result<C::Output, Rejection> {
        self.decide(&Principal::System("test"), &Scope::Cluster, |cluster, ctx| {
            command.repeat(cluster, object, ctx)
        })
    }

    fn decide<T>(
        &mut self,
        principal: &Principal,
        scope: &Scope,
        decide: impl FnOnce(&Cluster, &mut Ctx<'_>) -> Result<Decision<T>, Rejection>,
    ) -> Result<T, Rejection> {
        let request = RequestContext::default();
        let mut ctx = Ctx {
            now: self.now,
            hears_from: self.hears_from,
            ids: &mut self.ids,
            revision: self.cluster.revision().next(),
            principal,
            scope,
            request: &request,
            policy: &self.policy,
        };
        let decision = decide(&self.cluster, &mut ctx)?;
        self.apply(decision.transaction);
        Ok(decision.output)
    }

    /// Applies a transaction that was decided elsewhere, [`reconcile`](crate::reconcile::reconcile) for one. An empty one
    /// takes no revision.
    ///
    /// # Panics
    /// What comes of it breaks an invariant of the cluster.
    pub fn apply(&mut self, transaction: Transaction) {
        if transaction.is_empty() {
            return;
        }
        self.cluster.apply(&transaction);
        if self.bare {
            return;
        }
        if let Err(wrong) = invariants::check(&self.cluster) {
            panic!("invariants are broken: {wrong:#?}\nby {transaction:#?}");
        }
        self.events.extend(transaction.events.iter().cloned());
        self.audit.extend(transaction.audit.iter().cloned());
        self.history.push(transaction);
    }

    /// What [`reconcile`](crate::reconcile::reconcile) and other pure functions take beside the cluster.
    pub fn with_ctx<T>(&mut self, act: impl FnOnce(&Cluster, &mut Ctx<'_>) -> T) -> T {
        let mut ctx = Ctx {
            now: self.now,
            hears_from: self.hears_from,
            ids: &mut self.ids,
            revision: self.cluster.revision().next(),
            principal: &Principal::System("test"),
            scope: &Scope::Cluster,
            request: &RequestContext::default(),
            policy: &self.policy,
        };
        act(&self.cluster, &mut ctx)
    }

    /// A node that registered with a key and is ready, with all of `resources` allocatable and the label `name` set to its
    /// name.
    ///
    /// # Panics
    /// `name` is no node name, or is taken.
    pub fn register_node(&mut self, name: &str, resources: Resources) -> NodeId {
        let id = self.ids.next();
        self.register(name, resources, (id, Incarnation(1))).expect("the name is free")
    }

    /// The node registers again, by its key.
    ///
    /// # Errors
    /// It may not.
    ///
    /// # Panics
    /// There is no such node.
    pub fn register_again(&mut self, node: NodeId) -> Result<Incarnation, Rejection> {
        let row = self.cluster.node(node).expect("the node is there");
        let (name, incarnation) = (row.name.to_string(), Incarnation(row.incarnation.0 + 1));
        self.register(&name, row.capacity, (node, incarnation))?;
        Ok(incarnation)
    }

    fn register(
        &mut self,
        name: &str,
        resources: Resources,
        (node, incarnation): (NodeId, Incarnation),
    ) -> Result<NodeId, Rejection> {
        let command = RegisterNode {
            claim: RegistrationClaim {
                facts: Default::default(),
                name: name.parse().expect("a node name"),
                advertise_address: "127.0.0.1".to_owned(),
                labels: BTreeMap::from([("name".to_owned(), name.to_owned())]),
                capacity: resources,
                allocatable: resources,
                agent_version: "0.3.0".to_owned(),
                boot: None,
            },
            proven: Proven {
                attestation: (incarnation == Incarnation(1)).then_some(Attestation::StaticToken),
                key: Some((NodePublicKey(name.to_owned()), incarnation.0 - 1)),
            },
            credential: issued(1, self.now),
            credential_for: (node, incarnation),
            binding: CredentialBinding::Token,
            active_boot: false,
        };
        Ok(self.execute(command)?.node.id)
    }

    /// A task of the service's present version in a slot, as the scheduler would place it: assigned to `node`, or pending
    /// without one. Ports that the spec leaves open get the first that are free there.
    ///
    /// # Panics
    /// The service is not there, or the node has no port left.
    pub fn place(&mut self, service: ServiceId, slot: u32, node: Option<NodeId>) -> TaskId {
        let service = self.cluster.service(service).expect("the service is there");
        let template = &service.spec.template;
        let mut taken =
            node.and_then(|node| self.cluster.index().usage(node)).cloned().unwrap_or_default().ports;
        let ports = template.ports.iter().filter(|_| node.is_some()).map(|port| {
            let host_port = match port.publish {
                Publish::Fixed(host) => host,
                Publish::Dynamic => DYNAMIC_PORTS
                    .filter(|host| !taken.contains(&(port.protocol, *host)))
                    .find_map(NonZeroU16::new)
                    .expect("a port is free"),
            };
            taken.insert((port.protocol, host_port.get()));
            AssignedPort {
                name: port.name.clone(),
                protocol: port.protocol,
                container_port: port.container_port,
                host_port,
            }
        });
        let task = Task {
            id: self.ids.next(),
            namespace: service.namespace.clone(),
            service: service.id,
            slot: Slot(slot),
            version: service.version,
            digest: template.digest(),
            node,
            requests: template.requests,
            ports: ports.collect(),
            desired: DesiredStatus::Running,
            desired_since: self.now,
            stop_cause: None,
            moves_until: None,
            failures_before: 0,
            status: if node.is_some() { TaskStatus::Assigned } else { TaskStatus::Pending },
            status_since: self.now,
            attempt: Attempt::FIRST,
            container: None,
            image_digest: None,
            preparation: None,
            last_exit: None,
            note: None,
            created_at: self.now,
            updated_at: self.now,
            started_at: None,
            finished_at: None,
            reported: None,
        };
        let id = task.id;
        let mut transaction = Transaction::default();
        transaction.put(task);
        self.apply(transaction);
        id
    }

    /// The principal that a node's own requests come from, with its current registration and credential.
    #[must_use]
    pub fn principal_of(&self, node: NodeId) -> Principal {
        Principal::Node(NodePrincipal {
            node,
            incarnation: self.cluster.node(node).map_or(Incarnation(0), |node| node.incarnation),
            generation: self.cluster.credential(node).map_or(0, |row| row.current.generation),
            sequence: None,
        })
    }

    /// The task's own node says where it is, in its present attempt. Panics if the report is not taken.
    ///
    /// # Panics
    /// The task is not there, has no node, or the report is refused.
    pub fn report(&mut self, task: TaskId, status: TaskStatus) {
        let row = self.cluster.task(task).expect("the task is there");
        let node = row.node.expect("the task has a node");
        let report = TaskReport::new(task, Some(row.attempt), status);
        let command = ReportTasks { reports: vec![report] };
        let answer = self.execute_as(&self.principal_of(node), &Scope::Node(node), command);
        let verdicts = answer.expect("the node stands").verdicts;
        assert_eq!(verdicts, [crate::agent::TaskVerdict::Accepted]);
    }

    /// How many events of a kind there were.
    #[must_use]
    pub fn count(&self, kind: EventKind) -> usize {
        self.events.iter().filter(|event| event.kind == kind).count()
    }
}

/// A credential that lives from now on for the usual time. Its digest is its generation, in every byte.
#[must_use]
pub fn issued(generation: u64, now: Timestamp) -> Issued {
    let byte = generation.to_le_bytes()[0];
    Issued { digest: CredentialDigest([byte; 32]), generation, expires_at: now + DEFAULT_TTL }
}

/// A stateless web service on one dynamic port, without a health check: 100 millicores and 64 MiB a task.
///
/// # Panics
/// `name` is no service name.
#[must_use]
pub fn web_spec(name: &str, replicas: u32) -> ServiceSpec {
    let share = Resources::new(100, 64 << 20);
    ServiceSpec {
        name: name.parse().expect("a service name"),
        replicas,
        stateful: false,
        template: TaskTemplate {
            ports: vec![PortSpec {
                name: Some("http".to_owned()),
                protocol: Protocol::Tcp,
                container_port: const { NonZeroU16::new(8080).expect("not zero") },
                publish: Publish::Dynamic,
            }],
            requests: share,
            limits: share,
            ..TaskTemplate::new("web:1".parse().expect("an image"))
        },
        constraints: Vec::new(),
        strategy: Strategy::default(),
        rollout: RolloutPolicy::default(),
        routes: Vec::new(),
        labels: BTreeMap::new(),
        defaulted: Default::default(),
    }
}
