//! The contract of [`AgentApi`], as tests: in process and over HTTP it is the same trait, and does the same.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredVersion, Heartbeat, RegisterRequest, Registered,
    StreamKind, TaskVerdict, TicketId,
};
use crate::command::{CreateService, RevokeNode};
use crate::control_plane::ControlPlane;
use crate::control_plane::query::{ReadEvents, ReadLogs};
use crate::env::SystemEnv;
use crate::identity::{Authorized, KeyProof, Permit, RegistrationClaim, Role, Scope};
use crate::name::Namespace;
use crate::node::Resources;
use crate::record::EventKind;
use crate::runtime::LogOptions;
use crate::secret::{Secret, SecretDelivery, SecretRef};
use crate::service::Service;
use crate::store::{EventFilter, MemoryStore};
use crate::task::{Attempt, Health, TaskReport, TaskStatus};
use crate::testing::parts::{MapSecrets, TOKEN, plain, sign, user};
use crate::testing::web_spec;

/// Makes a module `$name` with the tests of the agent API's contract. `$connect` is called once a test with a running
/// [`ControlPlane`](crate::control_plane::ControlPlane) of [plain parts](crate::testing::parts::plain), and yields a future of
/// the API under test and whatever must live as long: a server's guard, or `()`.
///
/// ```ignore
/// orch_core::agent_api_contract!(in_process => |plane: ControlPlane| async move {
///     (plane.agent_api(AgentConnection::default()), ())
/// });
/// ```
#[macro_export]
macro_rules! agent_api_contract {
    ($name:ident => $connect:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::agent_api_contract!(@tests $connect;
                a_token_lets_a_new_node_in_and_a_wrong_one_does_not
                a_node_key_comes_back_without_a_token_and_nothing_else_does
                every_heartbeat_brings_a_credential_and_its_first_use_ends_the_one_before
                a_lost_answer_locks_nobody_out
                a_dead_credential_used_anew_ends_the_registration
                strangers_learn_nothing
                a_poll_is_answered_at_once_where_it_differs_and_is_woken_by_a_change
                a_poll_that_sees_no_change_waits_its_time
                a_revocation_ends_a_poll_and_everything_after
                reports_are_taken_from_the_tasks_own_node_alone
                secrets_go_to_the_node_that_runs_the_task
                a_log_goes_from_agent_to_reader_once_a_ticket
            );
        }
    };
    (@tests $connect:expr; $($test:ident)*) => {$(
        #[tokio::test]
        async fn $test() {
            $crate::testing::contract::agent_api::$test($connect).await;
        }
    )*};
}

/// Longer than any answer takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane with an agent API in front of it.
struct Bench<G> {
    plane: ControlPlane,
    api: Arc<dyn AgentApi>,
    secrets: Arc<MapSecrets>,
    _guard: G,
}

async fn bench<F, G>(connect: impl FnOnce(ControlPlane) -> F) -> Bench<G>
where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let secrets = Arc::new(MapSecrets::default());
    let builder = plain(SystemEnv::shared(), Arc::new(MemoryStore::new())).secrets(secrets.clone());
    let plane = builder.start().await.expect("the control plane starts");
    let (api, guard) = connect(plane.clone()).await;
    Bench { plane, api, secrets, _guard: guard }
}

/// What an agent keeps: its newest credential, and how many requests it sent.
struct Agent {
    registered: Registered,
    credential: Secret<String>,
    sequence: u64,
}

impl Agent {
    fn new(registered: Registered) -> Self {
        Self { credential: registered.credential.clone(), registered, sequence: 0 }
    }

    fn authority(&mut self) -> Authority {
        self.sequence += 1;
        self.with(self.credential.clone(), self.sequence)
    }

    fn with(&self, credential: Secret<String>, sequence: u64) -> Authority {
        Authority { node: self.registered.node, credential, sequence: Some(sequence) }
    }
}

impl<G> Bench<G> {
    fn permit<C: Authorized>(&self, scope: Scope) -> Permit<C> {
        self.plane.authorize(user("ada", Role::Admin), scope).expect("an admin may")
    }

    async fn join(&self, name: &str) -> Agent {
        Agent::new(self.api.register(by_token(name)).await.expect("the node is let in"))
    }

    async fn beat(&self, agent: &mut Agent) {
        let authority = agent.authority();
        let answer = self.api.heartbeat(&authority, Heartbeat::default()).await.expect("a heartbeat");
        let (credential, ttl) = answer.credential.expect("the store can be written");
        assert!(ttl > Duration::ZERO && answer.heartbeat_interval > Duration::ZERO);
        agent.credential = credential;
    }

    /// A service with one task on whatever node there is.
    async fn deploy(&self, name: &str, secrets: Vec<SecretRef>) -> Arc<Service> {
        let namespace = Namespace::default_namespace();
        let mut spec = web_spec(name, 1);
        spec.template.secrets = secrets;
        let permit = self.permit(Scope::Namespace(namespace.clone()));
        self.plane.execute(permit, CreateService { namespace, spec }).await.expect("the service is created")
    }

    async fn poll(&self, agent: &mut Agent, have: Option<DesiredVersion>) -> DesiredSet {
        let authority = agent.authority();
        self.api.desired(&authority, have, PATIENCE).await.expect("a poll is answered")
    }

    /// Polls until the set has a task.
    async fn first_task(&self, agent: &mut Agent) -> DesiredSet {
        let mut set = self.poll(agent, None).await;
        while set.tasks.is_empty() {
            set = self.poll(agent, Some(set.version)).await;
        }
        set
    }
}

fn claim(name: &str) -> RegistrationClaim {
    RegistrationClaim {
        facts: Default::default(),
        name: name.parse().expect("a node name"),
        advertise_address: "10.0.0.7".to_owned(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        capacity: Resources::new(4_000, 8 << 30),
        allocatable: Resources::new(4_000, 8 << 30),
        agent_version: "0.3.0".to_owned(),
        boot: None,
    }
}

fn by_token(name: &str) -> RegisterRequest {
    RegisterRequest { claim: claim(name), token: Some(Secret::new(TOKEN.to_owned())), key: None }
}

fn report(task: crate::id::TaskId, status: TaskStatus) -> TaskReport {
    TaskReport::new(task, Some(Attempt::FIRST), status)
}

#[doc(hidden)]
pub async fn a_token_lets_a_new_node_in_and_a_wrong_one_does_not<F, G>(
    connect: impl FnOnce(ControlPlane) -> F,
) where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    for token in [None, Some(Secret::new("guessed".to_owned()))] {
        let answer = bench.api.register(RegisterRequest { token, ..by_token("a") }).await;
        assert!(matches!(answer, Err(AgentApiError::Unauthorized)), "{answer:?}");
    }
    assert_eq!(bench.plane.image().nodes().count(), 0);
    let registered = bench.api.register(by_token("a")).await.expect("the token is right");
    let image = bench.plane.image();
    let node = image.node(registered.node).expect("the node is there");
    assert_eq!((node.name.as_str(), node.incarnation), ("a", registered.incarnation));
    assert_eq!(registered.cluster, image.id());
    let again = bench.api.register(by_token("a")).await.expect("it may come back");
    assert_eq!(again.node, registered.node, "a name keeps its node");
    assert!(again.incarnation > registered.incarnation);
    let mut old = Agent::new(registered);
    let answer = bench.api.heartbeat(&old.authority(), Heartbeat::default()).await;
    assert!(matches!(answer, Err(AgentApiError::NodeReset)), "the old registration is dead: {answer:?}");
}

#[doc(hidden)]
pub async fn a_node_key_comes_back_without_a_token_and_nothing_else_does<F, G>(
    connect: impl FnOnce(ControlPlane) -> F,
) where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let name = "a".parse().expect("a node name");
    let prove = async |key: &str| -> KeyProof {
        let challenge = bench.api.challenge(&name).await.expect("a challenge");
        sign(key, challenge, &claim("a"))
    };
    let first = RegisterRequest { key: Some(prove("the-key").await), ..by_token("a") };
    let registered = bench.api.register(first.clone()).await.expect("token and key are right");

    let replayed = bench.api.register(RegisterRequest { token: None, ..first }).await;
    assert!(matches!(replayed, Err(AgentApiError::Unauthorized)), "a proof is good once: {replayed:?}");
    let leaked = bench.api.register(by_token("a")).await;
    assert!(matches!(leaked, Err(AgentApiError::Unauthorized)), "a token takes no node over: {leaked:?}");
    let other = RegisterRequest { key: Some(prove("another-key").await), ..by_token("a") };
    let other = bench.api.register(other).await;
    assert!(matches!(other, Err(AgentApiError::Unauthorized)), "nor does another key: {other:?}");

    let back = RegisterRequest { claim: claim("a"), token: None, key: Some(prove("the-key").await) };
    let back = bench.api.register(back).await.expect("the key alone is enough");
    assert_eq!(back.node, registered.node);
}

#[doc(hidden)]
pub async fn every_heartbeat_brings_a_credential_and_its_first_use_ends_the_one_before<F, G>(
    connect: impl FnOnce(ControlPlane) -> F,
) where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let mut agent = bench.join("a").await;
    let first = agent.credential.clone();
    bench.beat(&mut agent).await;
    assert_ne!(first.expose(), agent.credential.expose());
    agent.sequence += 1;
    let still = agent.with(first.clone(), agent.sequence);
    let answer = bench.api.desired(&still, None, Duration::ZERO).await;
    answer.expect("the old credential is good until the new one is used");
    bench.poll(&mut agent, None).await;
    let late = agent.with(first, 1);
    let answer = bench.api.desired(&late, None, Duration::ZERO).await;
    assert!(matches!(answer, Err(AgentApiError::CredentialSuperseded)), "{answer:?}");
    for _ in 0..5 {
        bench.beat(&mut agent).await;
    }
}

#[doc(hidden)]
pub async fn a_lost_answer_locks_nobody_out<F, G>(connect: impl FnOnce(ControlPlane) -> F)
where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let mut agent = bench.join("a").await;
    bench.beat(&mut agent).await;
    bench.beat(&mut agent).await;
    for _ in 0..3 {
        let authority = agent.authority();
        let _lost = bench.api.heartbeat(&authority, Heartbeat::default()).await.expect("a heartbeat");
    }
    bench.beat(&mut agent).await;
    bench.poll(&mut agent, None).await;
}

#[doc(hidden)]
pub async fn a_dead_credential_used_anew_ends_the_registration<F, G>(connect: impl FnOnce(ControlPlane) -> F)
where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let mut agent = bench.join("a").await;
    let stolen = agent.credential.clone();
    bench.beat(&mut agent).await;
    bench.beat(&mut agent).await;
    let thief = agent.with(stolen, agent.sequence + 100);
    let answer = bench.api.desired(&thief, None, Duration::ZERO).await;
    assert!(matches!(answer, Err(AgentApiError::NodeReset)), "{answer:?}");
    let answer = bench.api.heartbeat(&agent.authority(), Heartbeat::default()).await;
    assert!(matches!(answer, Err(AgentApiError::NodeReset)), "the honest one registers again: {answer:?}");
    let permit: Permit<ReadEvents> = bench.permit(Scope::Cluster);
    let filter =
        EventFilter { kind: Some(EventKind::NodeCredentialReset), limit: 10, ..EventFilter::default() };
    assert_eq!(bench.plane.events(&permit, filter).await.expect("answered").len(), 1);
    let mut back = bench.join("a").await;
    bench.beat(&mut back).await;
}

#[doc(hidden)]
pub async fn strangers_learn_nothing<F, G>(connect: impl FnOnce(ControlPlane) -> F)
where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let (mut a, b) = (bench.join("a").await, bench.join("b").await);
    let own = a.authority();
    let strangers = [
        Authority { credential: Secret::new("nonsense".to_owned()), ..own.clone() },
        Authority { node: b.registered.node, ..own },
    ];
    for authority in strangers {
        let answers = [
            bench.api.heartbeat(&authority, Heartbeat::default()).await.err(),
            bench.api.desired(&authority, None, Duration::ZERO).await.err(),
            bench.api.report(&authority, Vec::new()).await.err(),
        ];
        for answer in answers {
            assert!(matches!(answer, Some(AgentApiError::Unauthorized)), "{answer:?}");
        }
    }
}

#[doc(hidden)]
pub async fn a_poll_is_answered_at_once_where_it_differs_and_is_woken_by_a_change<F, G>(
    connect: impl FnOnce(ControlPlane) -> F,
) where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let mut agent = bench.join("a").await;
    let empty = bench.poll(&mut agent, None).await;
    assert_eq!((empty.node, empty.tasks.len()), (agent.registered.node, 0));
    let authority = agent.authority();
    let (changed, _) = futures_util::future::join(
        bench.api.desired(&authority, Some(empty.version), PATIENCE),
        bench.deploy("web", Vec::new()),
    )
    .await;
    let changed = changed.expect("the poll is answered");
    assert_ne!(changed.version, empty.version);
    assert_eq!(changed.tasks.len(), 1);
    assert_eq!(changed.tasks[0].service_name.as_str(), "web");
    let elsewhere = DesiredVersion { cluster: crate::id::IdStream::seeded(1).next(), ..changed.version };
    assert_eq!(bench.poll(&mut agent, Some(elsewhere)).await, changed, "another cluster's version differs");
}

#[doc(hidden)]
pub async fn a_poll_that_sees_no_change_waits_its_time<F, G>(connect: impl FnOnce(ControlPlane) -> F)
where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let mut agent = bench.join("a").await;
    let set = bench.poll(&mut agent, None).await;
    let wait = Duration::from_millis(200);
    let began = SystemEnv::new();
    let answer = bench.api.desired(&agent.authority(), Some(set.version), wait).await;
    assert_eq!(answer.expect("answered").version, set.version);
    assert!(crate::env::Env::monotonic(&began).since_origin() >= wait);
}

#[doc(hidden)]
pub async fn a_revocation_ends_a_poll_and_everything_after<F, G>(connect: impl FnOnce(ControlPlane) -> F)
where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let mut agent = bench.join("a").await;
    let set = bench.poll(&mut agent, None).await;
    let (node, authority) = (agent.registered.node, agent.authority());
    let (poll, revoked) = futures_util::future::join(
        bench.api.desired(&authority, Some(set.version), PATIENCE),
        bench.plane.execute(bench.permit(Scope::Cluster), RevokeNode { node }),
    )
    .await;
    revoked.expect("an admin may");
    assert!(matches!(poll, Err(AgentApiError::NodeRevoked)), "{poll:?}");
    let answer = bench.api.heartbeat(&agent.authority(), Heartbeat::default()).await;
    assert!(matches!(answer, Err(AgentApiError::NodeRevoked)), "{answer:?}");
    let answer = bench.api.register(by_token("a")).await;
    assert!(answer.is_err(), "for good: {answer:?}");
}

#[doc(hidden)]
pub async fn reports_are_taken_from_the_tasks_own_node_alone<F, G>(connect: impl FnOnce(ControlPlane) -> F)
where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let mut agent = bench.join("a").await;
    bench.deploy("web", Vec::new()).await;
    let task = bench.first_task(&mut agent).await.tasks[0].id;
    let mut other = bench.join("b").await;
    let running = TaskStatus::Running(Health::Unchecked);
    let foreign = bench.api.report(&other.authority(), vec![report(task, running.clone())]).await;
    let foreign = foreign.expect("the batch as such is fine");
    assert!(matches!(foreign.verdicts[..], [TaskVerdict::Refused(_)]), "{foreign:?}");
    let unknown = crate::id::IdStream::seeded(99).next();
    let reports = vec![report(task, running.clone()), report(unknown, running.clone())];
    let answer = bench.api.report(&agent.authority(), reports).await.expect("a report");
    assert!(
        matches!(answer.verdicts[..], [TaskVerdict::Accepted, TaskVerdict::Refused(_)]),
        "one verdict a report, in order: {answer:?}"
    );
    assert_eq!(bench.plane.image().task(task).expect("the task is there").status, running);
}

#[doc(hidden)]
pub async fn secrets_go_to_the_node_that_runs_the_task<F, G>(connect: impl FnOnce(ControlPlane) -> F)
where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    bench.secrets.set("default", "db", b"hunter2");
    let mut agent = bench.join("a").await;
    let delivery = SecretDelivery::File("/run/secrets/db".to_owned());
    let name = "db".parse().expect("a secret name");
    bench.deploy("web", vec![SecretRef { name, key: None, delivery: delivery.clone() }]).await;
    let task = bench.first_task(&mut agent).await.tasks[0].id;
    let secrets = bench.api.secrets(&agent.authority(), task).await.expect("its own task");
    assert_eq!(secrets.values.len(), 1);
    assert_eq!(secrets.values[0].delivery, delivery);
    assert_eq!(secrets.values[0].value.expose(), b"hunter2");
    let mut other = bench.join("b").await;
    let answer = bench.api.secrets(&other.authority(), task).await;
    assert!(matches!(answer, Err(AgentApiError::Refused(_))), "another's task: {answer:?}");
}

#[doc(hidden)]
pub async fn a_log_goes_from_agent_to_reader_once_a_ticket<F, G>(connect: impl FnOnce(ControlPlane) -> F)
where
    F: Future<Output = (Arc<dyn AgentApi>, G)>,
{
    let bench = bench(connect).await;
    let mut agent = bench.join("a").await;
    bench.deploy("web", Vec::new()).await;
    let set = bench.first_task(&mut agent).await;
    let task = set.tasks[0].id;
    let permit: Permit<ReadLogs> = bench.permit(Scope::Namespace(Namespace::default_namespace()));
    let options = LogOptions { follow: true, tail: Some(10), ..LogOptions::default() };

    let read = async {
        let mut log = bench.plane.logs(&permit, task, options.clone()).await.expect("the agent delivers");
        // The agent's bell rings while its stream waits for room: nothing of what it holds may get lost.
        for name in ["more", "and-more", "most"] {
            bench.deploy(name, Vec::new()).await;
        }
        let mut text = Vec::new();
        while let Some(piece) = log.next().await {
            text.extend_from_slice(&piece.expect("no error"));
        }
        String::from_utf8(text).expect("text")
    };
    let serve = async {
        let polled = bench.poll(&mut agent, Some(set.version)).await;
        let [request] = &polled.streams[..] else { panic!("one request: {polled:?}") };
        assert_eq!((request.task, &request.kind), (task, &StreamKind::Logs(options.clone())));
        let mut other = bench.join("b").await;
        let pieces = || stream::iter((0..100).map(|n| Ok(Bytes::from(format!("line {n}\n"))))).boxed();
        let stolen = bench.api.deliver(&other.authority(), request.ticket.clone(), pieces()).await;
        assert!(stolen.is_err(), "another node's ticket");
        let made_up = TicketId("00000000000000000000000000000000".to_owned());
        assert!(bench.api.deliver(&agent.authority(), made_up, pieces()).await.is_err());
        bench.api.deliver(&agent.authority(), request.ticket.clone(), pieces()).await.expect("delivered");
        let again = bench.api.deliver(&agent.authority(), request.ticket.clone(), pieces()).await;
        assert!(again.is_err(), "a ticket is good once");
        assert!(bench.poll_now(&mut agent).await.streams.is_empty(), "and handed out once");
    };
    let (text, ()) = futures_util::future::join(read, serve).await;
    let expected: String = (0..100).map(|n| format!("line {n}\n")).collect();
    assert_eq!(text, expected);
}

impl<G> Bench<G> {
    async fn poll_now(&self, agent: &mut Agent) -> DesiredSet {
        self.api.desired(&agent.authority(), None, Duration::ZERO).await.expect("answered")
    }
}
