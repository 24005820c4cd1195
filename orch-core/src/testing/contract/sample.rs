//! One row of every kind, with every optional field set: what does not survive a store is seen.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::cluster::{Change, NamespaceRecord};
use crate::deployment::{Deployment, DeploymentStatus, RolloutPolicy};
use crate::id::{IdStream, NodeId, ServiceId, TaskId};
use crate::identity::{
    CredentialBinding, CredentialDigest, EnrollmentToken, Grants, Issued, KeyFingerprint, NodeCredential,
    NodePublicKey, Role, TokenAdmission, TokenRefusal,
};
use crate::name::{Namespace, Subject};
use crate::node::{
    ApprovedKey, EnrollmentMethod, Incarnation, Node, NodeEnrollment, NodeStatus, OfflineCause, Resources,
};
use crate::record::{
    ActorType, AuditRecord, Event, EventKind, Outcome, Receipt, ReceiptKey, RelatedObject, RequestDigest,
    Severity,
};
use crate::runtime::ContainerId;
use crate::service::{
    AssignedPort, ImageDigest, ImagePin, Protocol, Service, ServiceRevision, ServiceSpec, ServiceStatus,
    Version,
};
use crate::task::{
    Attempt, DesiredStatus, Exit, Preparation, Prepared, ReportNumber, Slot, Task, TaskStatus,
};
use crate::time::Timestamp;
use crate::user::{ApiToken, User, UserKind};

/// A moment that has microseconds, so that a store which cuts them off is found out.
pub const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_123_456);

/// Draws rows: equal seeds draw equal ones.
#[derive(Debug)]
pub struct Sample {
    ids: IdStream,
}

impl Sample {
    /// From a seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { ids: IdStream::seeded(seed) }
    }

    /// One row of every kind that belong together, parents first.
    pub fn every_row(&mut self) -> Vec<Change> {
        let (node, service, task) = (self.ids.next(), self.ids.next(), self.ids.next());
        let name = format!("é/ci-{service}");
        vec![
            NamespaceRecord { name: namespace(), created_at: NOW }.into(),
            self.node(node).into(),
            self.credential(node).into(),
            self.enrollment_token(node).into(),
            self.service(service).into(),
            self.revision(service).into(),
            self.task(task, service, Some(node)).into(),
            self.deployment(service).into(),
            self.receipt("a-key").into(),
            Self::user(&name).into(),
            self.api_token(&name).into(),
        ]
    }

    /// A service account with roles in the cluster and in a namespace, some of whose tokens were taken back.
    ///
    /// # Panics
    /// `name` is no subject.
    #[must_use]
    pub fn user(name: &str) -> User {
        let grants =
            Grants { cluster: Some(Role::Viewer), namespaces: [(namespace(), Role::Operator)].into() };
        let name: Subject = name.parse().expect("a subject");
        let new = User::new(name, UserKind::ServiceAccount, NOW);
        User { grants: Some(grants), accepted_from: Some(NOW), ..new }
    }

    /// An API token that was used.
    ///
    /// # Panics
    /// `user` is no subject.
    pub fn api_token(&mut self, user: &str) -> ApiToken {
        ApiToken {
            id: self.ids.next(),
            user: user.parse().expect("a subject"),
            name: "deploy".parse().expect("a name"),
            digest: CredentialDigest([9; 32]),
            created_at: NOW,
            expires_at: NOW + Duration::from_secs(3600),
            last_used: Some(ApiToken::hour_of(NOW)),
        }
    }

    /// A node that is offline, with a key and a bound credential.
    pub fn node(&mut self, id: NodeId) -> Node {
        Node {
            facts: crate::node::NodeFacts::default(),
            id,
            name: format!("node-{}", &id.to_string()[..8]).parse().expect("a node name"),
            advertise_address: "https://10.0.0.7".to_owned(),
            labels: [("zone".to_owned(), "é \"quoted\"".to_owned())].into(),
            capacity: Resources::new(8_000, 32 << 30),
            allocatable: Resources::new(7_500, 30 << 30),
            status: NodeStatus::Offline { since: NOW, cause: OfflineCause::Silent, draining: true },
            cordoned: true,
            engine_trouble: Some(crate::node::EngineTrouble { since: NOW, reason: "é refused".to_owned() }),
            drain_by: Some(NOW),
            drain_waits: std::collections::BTreeMap::new(),
            incarnation: Incarnation(3),
            boot: Some(self.ids.next()),
            key: Some(NodePublicKey("BFakeKeyForTests".to_owned())),
            enrollment: NodeEnrollment {
                method: EnrollmentMethod::OneTimeToken(self.ids.next()),
                by: Some("ann".to_owned()),
                at: Some(NOW),
            },
            pinned_labels: [("zone".to_owned(), "é \"quoted\"".to_owned())].into(),
            approved_key: Some(ApprovedKey {
                fingerprint: KeyFingerprint([3; 32]),
                by: "bob".to_owned(),
                until: NOW,
            }),
            binding: CredentialBinding::Certificate([7; 32]),
            agent_version: "0.1.0".to_owned(),
            revision: crate::cluster::Revision(2),
            created_at: NOW,
            updated_at: NOW + Duration::from_micros(1),
        }
    }

    /// A credential in the middle of a rotation.
    pub fn credential(&mut self, node: NodeId) -> NodeCredential {
        let mut issued = |generation| {
            let mut digest = [0; 32];
            digest.fill_with(|| self.ids.next_u64().to_le_bytes()[0]);
            Issued {
                digest: CredentialDigest(digest),
                generation,
                expires_at: NOW + Duration::from_secs(900),
            }
        };
        NodeCredential {
            node,
            incarnation: Incarnation(3),
            current: issued(2),
            next: Some(issued(3)),
            superseded: Some((issued(1), NOW)),
            highest_sequence: 41,
        }
    }

    /// A token for two nodes, which admitted one and was then taken back.
    pub fn enrollment_token(&mut self, node: NodeId) -> EnrollmentToken {
        EnrollmentToken {
            id: self.ids.next(),
            digest: CredentialDigest([4; 32]),
            node_name: Some("node-7".parse().expect("a node name")),
            labels: [("zone".to_owned(), "é \"quoted\"".to_owned())].into(),
            uses: 2,
            admitted: vec![TokenAdmission { node, name: "node-7".parse().expect("a node name"), at: NOW }],
            made_by: "ann".to_owned(),
            created_at: NOW,
            expires_at: NOW + Duration::from_secs(3_600),
            revoked_at: Some(NOW),
            refused: [TokenRefusal::Revoked, TokenRefusal::OtherName].into(),
        }
    }

    /// An active service at its second version.
    pub fn service(&mut self, id: ServiceId) -> Service {
        Service {
            id,
            namespace: namespace(),
            spec: spec(id),
            version: Version(2),
            newest_version: Version(3),
            status: ServiceStatus::Active,
            revision: crate::cluster::Revision(1),
            created_at: NOW,
            updated_at: NOW,
        }
    }

    /// The second version of a service.
    pub fn revision(&mut self, service: ServiceId) -> ServiceRevision {
        let spec = spec(service);
        let digest = spec.template.digest();
        ServiceRevision {
            service,
            version: Version(2),
            spec,
            digest,
            created_at: NOW,
            by: Some("ann".to_owned()),
            pin: Some(ImagePin::Registry(ImageDigest("sha256:00ff".to_owned()))),
        }
    }

    /// A task that was running once and has come to its end.
    pub fn task(&mut self, id: TaskId, service: ServiceId, node: Option<NodeId>) -> Task {
        let exit = Exit {
            code: Some(137),
            oom_killed: true,
            oom_of_node: true,
            by_us: false,
            error: Some("oom".into()),
            started_at: Some(NOW),
            at: NOW,
        };
        Task {
            id,
            namespace: namespace(),
            service,
            slot: Slot(3),
            version: Version(2),
            digest: spec(service).template.digest(),
            node,
            requests: Resources::new(250, 64 << 20),
            ports: vec![AssignedPort {
                name: Some("http".to_owned()),
                protocol: Protocol::Tcp,
                container_port: const { NonZeroU16::new(80).expect("not zero") },
                host_port: const { NonZeroU16::new(31_000).expect("not zero") },
            }],
            desired: DesiredStatus::Stopped,
            desired_since: NOW,
            stop_cause: None,
            moves_until: Some(NOW),
            failures_before: 0,
            status: TaskStatus::Stopped(Some(exit.clone())),
            status_since: NOW,
            attempt: Attempt(4),
            container: Some(ContainerId("c0ffee".to_owned())),
            image_digest: Some(ImageDigest("sha256:00ff".to_owned())),
            preparation: Some(Preparation {
                version: Version(3),
                since: NOW,
                answer: Some(Prepared::Waiting("no space".to_owned())),
            }),
            last_exit: Some(exit),
            note: Some("restarting in 12 s".to_owned()),
            created_at: NOW,
            updated_at: NOW,
            started_at: Some(NOW),
            finished_at: Some(NOW),
            reported: Some(ReportNumber { incarnation: Incarnation(2), sequence: 7 }),
        }
    }

    /// A rollback that failed.
    pub fn deployment(&mut self, service: ServiceId) -> Deployment {
        Deployment {
            id: self.ids.next(),
            namespace: namespace(),
            service,
            from_version: Some(Version(3)),
            to_version: Version(2),
            restart: true,
            status: DeploymentStatus::Failed,
            policy: RolloutPolicy::default(),
            deadline: NOW + Duration::from_secs(600),
            reason: Some("the deadline passed".to_owned()),
            paused_at: Some(NOW),
            continued_at: Some(NOW),
            created_at: NOW,
            updated_at: NOW,
            started_at: Some(NOW),
            completed_at: Some(NOW),
        }
    }

    /// A receipt under a key.
    pub fn receipt(&mut self, key: &str) -> Receipt {
        Receipt {
            key: ReceiptKey {
                subject: Subject::anonymous(),
                action: "service.create".to_owned(),
                namespace: Some(namespace()),
                key: key.parse().expect("an idempotency key"),
            },
            digest: RequestDigest([9; 32]),
            object: "an object".to_owned(),
            revision: crate::cluster::Revision(1),
            at: NOW,
        }
    }

    /// An event.
    pub fn event(&mut self, kind: EventKind, related: Option<RelatedObject>, at: Timestamp) -> Event {
        Event {
            id: self.ids.next(),
            namespace: Some(namespace()),
            kind,
            severity: Severity::Warning,
            message: "something \u{1F980} happened".to_owned(),
            related,
            details: [("reason".to_owned(), "a test".to_owned())].into(),
            at,
        }
    }

    /// An audit record.
    pub fn audit(&mut self, action: &str, actor: &str, at: Timestamp) -> AuditRecord {
        AuditRecord {
            id: self.ids.next(),
            namespace: Some(namespace()),
            actor_type: ActorType::User,
            actor_id: actor.to_owned(),
            action: action.to_owned(),
            target_type: "service".to_owned(),
            target_id: "web".to_owned(),
            request_id: Some("req-1".to_owned()),
            source_ip: Some("10.0.0.9".to_owned()),
            outcome: Outcome::Success,
            metadata: [("force".to_owned(), "true".to_owned())].into(),
            at,
        }
    }

    /// An id of any kind.
    pub fn id<I: crate::id::TypedId>(&mut self) -> I {
        self.ids.next()
    }
}

/// The namespace that the rows are in.
#[must_use]
pub fn namespace() -> Namespace {
    "shop".parse().expect("a namespace")
}

fn spec(id: ServiceId) -> ServiceSpec {
    crate::testing::web_spec(&format!("web-{}", &id.to_string()[..8]), 3)
}
