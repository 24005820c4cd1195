//! A control plane as small as an agent can tell: credentials that rotate, a desired set, reports.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use orch_core::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredTask, DesiredVersion, Heartbeat, HeartbeatAnswer,
    RegisterRequest, Registered, ReportAnswer, StreamKind, StreamRequest, TaskVerdict, TicketId,
};
use orch_core::cluster::Revision;
use orch_core::id::{ClusterId, IdStream, NodeId, TaskId};
use orch_core::identity::Challenge;
use orch_core::name::NodeName;
use orch_core::node::Incarnation;
use orch_core::runtime::LogOptions;
use orch_core::secret::{ResolvedSecrets, Secret};
use orch_core::task::TaskReport;
use tokio::sync::watch;

/// What the control plane makes of the node's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Fine,
    Away,
    Revoked,
    OtherAgentActive,
}

pub(crate) struct Server {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    state: Mutex<State>,
    revision: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    mood: Option<Mood>,
    tasks: BTreeMap<TaskId, DesiredTask>,
    streams: Vec<StreamRequest>,
    /// The id that a node which was removed is let in under.
    other_node: Option<NodeId>,
    incarnation: u64,
    generation: u64,
    /// Good credentials: current, and next.
    good: Vec<String>,
    highest: u64,
    reports: Vec<TaskReport>,
    registrations: Vec<RegisterRequest>,
    heartbeats: Vec<Heartbeat>,
    delivered: BTreeMap<String, Result<Vec<u8>, String>>,
    lose_answers: bool,
}

impl Server {
    pub(crate) fn new() -> Arc<Self> {
        Self::seeded(11)
    }

    /// One whose cluster and node have ids drawn from this seed.
    pub(crate) fn seeded(seed: u64) -> Arc<Self> {
        let mut ids = IdStream::seeded(seed);
        Arc::new(Self {
            cluster: ids.next(),
            node: ids.next(),
            state: Mutex::default(),
            revision: watch::Sender::new(1),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.state().mood = Some(mood);
        self.revision.send_modify(|_| ()); // whoever waits looks again
    }

    pub(crate) fn put(&self, task: DesiredTask) {
        self.state().tasks.insert(task.id, task);
        self.revision.send_modify(|revision| *revision += 1);
    }

    pub(crate) fn change(&self, task: TaskId, change: impl FnOnce(&mut DesiredTask)) {
        change(self.state().tasks.get_mut(&task).unwrap());
        self.revision.send_modify(|revision| *revision += 1);
    }

    pub(crate) fn drop_task(&self, task: TaskId) {
        self.state().tasks.remove(&task);
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// All credentials are dead: the node must register again.
    pub(crate) fn reset(&self) {
        self.state().good.clear();
    }

    /// The node is removed with all that it should run, and is another one once it registers again.
    pub(crate) fn remove_node(&self) {
        {
            let mut state = self.state();
            state.tasks.clear();
            state.good.clear();
            state.other_node = Some(IdStream::seeded(12).next());
        }
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// Heartbeats are carried out, but their answers get lost.
    pub(crate) fn lose_answers(&self, lose: bool) {
        self.state().lose_answers = lose;
    }

    pub(crate) fn want_logs(&self, task: TaskId, ticket: &str, options: LogOptions) {
        let ticket = TicketId(ticket.to_owned());
        self.state().streams.push(StreamRequest { ticket, task, kind: StreamKind::Logs(options) });
        self.revision.send_modify(|_| ());
    }

    pub(crate) fn delivered(&self, ticket: &str) -> Option<Result<Vec<u8>, String>> {
        self.state().delivered.get(ticket).cloned()
    }

    /// The latest word on a task.
    pub(crate) fn said(&self, task: TaskId) -> Option<TaskReport> {
        self.state().reports.iter().rev().find(|report| report.task == task).cloned()
    }

    /// Its status, as a word.
    pub(crate) fn status(&self, task: TaskId) -> &'static str {
        self.said(task).map_or("unknown", |report| report.status.as_str())
    }

    pub(crate) fn reports(&self) -> usize {
        self.state().reports.len()
    }

    pub(crate) fn registrations(&self) -> usize {
        self.state().registrations.len()
    }

    pub(crate) fn last_registration(&self) -> RegisterRequest {
        self.state().registrations.last().unwrap().clone()
    }

    pub(crate) fn heartbeats(&self) -> Vec<Heartbeat> {
        self.state().heartbeats.clone()
    }

    fn mood_is_fine(&self) -> Result<(), AgentApiError> {
        match self.state().mood {
            None | Some(Mood::Fine) => Ok(()),
            Some(Mood::Away) => {
                Err(AgentApiError::Unavailable { retry_after: None, cause: "connection refused".into() })
            }
            Some(Mood::Revoked) => Err(AgentApiError::NodeRevoked),
            Some(Mood::OtherAgentActive) => Err(AgentApiError::NodeActive),
        }
    }

    fn admit(&self, authority: &Authority) -> Result<(), AgentApiError> {
        self.mood_is_fine()?;
        let mut state = self.state();
        let sequence = authority.sequence.unwrap();
        let place = state.good.iter().position(|good| good == authority.credential.expose());
        match place {
            None if sequence <= state.highest => Err(AgentApiError::CredentialSuperseded),
            None => Err(AgentApiError::NodeReset),
            Some(place) => {
                state.good.drain(..place); // the use of the next one kills those before it
                state.highest = state.highest.max(sequence);
                Ok(())
            }
        }
    }

    fn set(&self) -> DesiredSet {
        let revision = Revision(*self.revision.borrow());
        let mut state = self.state();
        DesiredSet {
            version: DesiredVersion { cluster: self.cluster, revision },
            node: state.other_node.unwrap_or(self.node),
            tasks: state.tasks.values().cloned().collect(),
            streams: std::mem::take(&mut state.streams),
        }
    }
}

impl State {
    fn issue(&mut self) -> Secret<String> {
        self.generation += 1;
        self.good.truncate(1);
        self.good.push(format!("credential {}.{}", self.incarnation, self.generation));
        Secret::new(self.good.last().unwrap().clone())
    }
}

#[async_trait]
impl AgentApi for Server {
    async fn challenge(&self, _name: &NodeName) -> Result<Challenge, AgentApiError> {
        self.mood_is_fine()?;
        let incarnation = self.state().incarnation;
        Ok(Challenge { nonce: "nonce".to_owned(), cluster: self.cluster, incarnation })
    }

    async fn register(&self, request: RegisterRequest) -> Result<Registered, AgentApiError> {
        self.mood_is_fine()?;
        let mut state = self.state();
        state.registrations.push(request);
        state.incarnation += 1;
        state.highest = 0;
        state.good.clear();
        Ok(Registered {
            cluster: self.cluster,
            node: state.other_node.unwrap_or(self.node),
            incarnation: Incarnation(state.incarnation),
            credential: state.issue(),
            ttl: Duration::from_secs(900),
            heartbeat_interval: Duration::from_secs(5),
            directives: Vec::new(),
        })
    }

    async fn heartbeat(
        &self,
        authority: &Authority,
        heartbeat: Heartbeat,
    ) -> Result<HeartbeatAnswer, AgentApiError> {
        self.admit(authority)?;
        let mut state = self.state();
        state.heartbeats.push(heartbeat);
        let credential = Some((state.issue(), Duration::from_secs(900)));
        if state.lose_answers {
            return Err(AgentApiError::Unavailable {
                retry_after: None,
                cause: "the answer was lost".into(),
            });
        }
        Ok(HeartbeatAnswer {
            credential,
            heartbeat_interval: Duration::from_secs(5),
            desired: DesiredVersion { cluster: self.cluster, revision: Revision(*self.revision.borrow()) },
            directives: Vec::new(),
        })
    }

    async fn desired(
        &self,
        authority: &Authority,
        have: Option<DesiredVersion>,
        wait: Duration,
    ) -> Result<DesiredSet, AgentApiError> {
        self.admit(authority)?;
        let mut revision = self.revision.subscribe();
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let now = *revision.borrow_and_update();
            if have.is_none_or(|have| have.revision.0 != now) || !self.state().streams.is_empty() {
                break;
            }
            if tokio::time::timeout_at(deadline, revision.changed()).await.is_err() {
                break;
            }
            self.mood_is_fine()?;
        }
        Ok(self.set())
    }

    async fn report(
        &self,
        authority: &Authority,
        reports: Vec<TaskReport>,
    ) -> Result<ReportAnswer, AgentApiError> {
        self.admit(authority)?;
        let verdicts = vec![TaskVerdict::Accepted; reports.len()];
        self.state().reports.extend(reports);
        Ok(ReportAnswer { verdicts, revision: Revision(0) })
    }

    async fn secrets(&self, authority: &Authority, _task: TaskId) -> Result<ResolvedSecrets, AgentApiError> {
        self.admit(authority)?;
        Err(AgentApiError::Refused("secret `db` does not exist".to_owned()))
    }

    async fn deliver(
        &self,
        authority: &Authority,
        ticket: TicketId,
        mut stream: BoxStream<'static, Result<Bytes, std::io::Error>>,
    ) -> Result<(), AgentApiError> {
        self.admit(authority)?;
        let mut all = Vec::new();
        let mut result = Ok(());
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => all.extend_from_slice(&chunk),
                Err(error) => result = Err(error.to_string()),
            }
        }
        self.state().delivered.insert(ticket.0, result.map(|()| all));
        Ok(())
    }
}
