//! The network between agents and the server: requests and answers that are dropped, delayed and doubled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use orch_core::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredTask, DesiredVersion, Heartbeat, HeartbeatAnswer,
    RegisterRequest, Registered, ReportAnswer, TaskVerdict, TicketId,
};
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::id::TaskId;
use orch_core::identity::Challenge;
use orch_core::name::NodeName;
use orch_core::secret::ResolvedSecrets;
use orch_core::task::{Health, TaskReport, TaskStatus};
use tokio::sync::oneshot;

use crate::planted::Planted;

/// What the network does to messages, in parts of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// A request or an answer is lost.
    pub lost: u64,
    /// A request arrives twice.
    pub doubled: u64,
    /// A request or an answer is late, by up to two seconds.
    pub late: u64,
    /// It is very late, by up to twenty: others overtake it, and whoever waits for it has given up.
    pub overtaken: u64,
}

/// What does not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing does.
    Both,
    /// The node's requests do not, but what is under way is answered.
    Requests,
    /// Requests come in, and their answers are lost.
    Answers,
}

/// The server's end, as long as one is up.
#[derive(Clone, Default)]
pub struct Exchange {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    server: Option<Arc<dyn AgentApi>>,
    weather: Weather,
    cut: BTreeMap<NodeName, Cut>,
}

impl Exchange {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A server is up, or none is.
    pub fn set_server(&self, server: Option<Arc<dyn AgentApi>>) {
        self.with(|inner| inner.server = server);
    }

    /// From now on the weather is so.
    pub fn set_weather(&self, weather: Weather) {
        self.with(|inner| inner.weather = weather);
    }

    /// Cuts a node off.
    pub fn cut(&self, node: &NodeName, cut: Cut) {
        self.with(|inner| inner.cut.insert(node.clone(), cut));
    }

    /// Whether a node is cut off, one way or both.
    #[must_use]
    pub fn is_cut(&self, node: &NodeName) -> bool {
        self.with(|inner| inner.cut.contains_key(node))
    }

    /// No node is cut off.
    pub fn reconnect(&self) {
        self.with(|inner| inner.cut.clear());
    }

    fn lets_through(&self, node: &NodeName, other: Cut) -> bool {
        self.with(|inner| inner.cut.get(node).is_none_or(|cut| *cut == other))
    }
}

/// One agent's way to the server. Requests run as the server's own tasks: they crash with it, and go on when the agent does.
pub struct Link {
    /// Whose.
    pub name: NodeName,
    /// Where the server is.
    pub exchange: Exchange,
    /// The agent's.
    pub env: SharedEnv,
    /// The server's.
    pub server_env: SharedEnv,
    /// What is wrong with it.
    pub planted: Option<Planted>,
    /// What the node was told to run last.
    pub told: Mutex<Vec<DesiredTask>>,
}

fn lost(what: &str) -> AgentApiError {
    AgentApiError::Unavailable { retry_after: None, cause: what.to_owned().into() }
}

type Call<T> = Box<dyn Fn(Arc<dyn AgentApi>) -> BoxFuture<'static, Result<T, AgentApiError>> + Send + Sync>;

impl Link {
    fn chance(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.env.random_u64() % 1_000 < per_mille
    }

    async fn travel(&self, weather: Weather) -> bool {
        let delay = if self.chance(weather.overtaken) {
            self.env.random_u64() % 20_000_000
        } else if self.chance(weather.late) {
            self.env.random_u64() % 2_000_000
        } else {
            self.env.random_u64() % 2_000
        };
        self.env.sleep(Duration::from_micros(delay)).await;
        !self.chance(weather.lost)
    }

    async fn send<T: Send + 'static>(&self, call: Call<T>) -> Result<T, AgentApiError> {
        let weather = self.exchange.with(|inner| inner.weather);
        let there = self.travel(weather).await;
        let through = self.exchange.lets_through(&self.name, Cut::Answers);
        let server = self.exchange.with(|inner| inner.server.clone().filter(|_| through));
        let Some(server) = server.filter(|_| there) else {
            self.env.sleep(Duration::from_secs(1)).await;
            return Err(lost("the request was lost"));
        };
        let (answer, answered) = oneshot::channel();
        let first = call(Arc::clone(&server));
        self.server_env.spawn(Box::pin(async move {
            let _ = answer.send(first.await);
        }));
        if self.chance(weather.doubled) {
            let (again, env) = (call(server), Arc::clone(&self.server_env));
            let delay = Duration::from_micros(self.env.random_u64() % 1_000_000);
            self.server_env.spawn(Box::pin(async move {
                env.sleep(delay).await;
                drop(again.await);
            }));
        }
        let answered = answered.await.map_err(|_| lost("the server crashed"))?;
        let through = self.exchange.lets_through(&self.name, Cut::Requests);
        if !self.travel(weather).await || !through {
            self.env.sleep(Duration::from_secs(1)).await;
            return Err(lost("the answer was lost"));
        }
        answered
    }
}

impl Link {
    /// A report, as it arrives.
    fn as_told(&self, report: TaskReport) -> TaskReport {
        let status = match (self.planted, &report.status) {
            (Some(Planted::EarlyRunning), TaskStatus::Created) => TaskStatus::Running(Health::Unchecked),
            (Some(Planted::EarlyHealthy), TaskStatus::Running(Health::Unchecked)) => {
                TaskStatus::Running(Health::Healthy)
            }
            _ => return report,
        };
        TaskReport { status, ..report }
    }

    fn swallows(&self, status: &TaskStatus) -> bool {
        match self.planted {
            Some(Planted::SwallowedRemovals) => *status == TaskStatus::Removed,
            Some(Planted::SwallowedEnds) => matches!(status, TaskStatus::Stopped(_) | TaskStatus::Failed(_)),
            _ => false,
        }
    }

    /// The same credential again, long after, under a number that nothing of the kind had before.
    fn repeat_renumbered(&self, authority: &Authority) {
        let Some(api) = self.exchange.with(|inner| inner.server.clone()) else { return };
        let (env, mut authority) = (Arc::clone(&self.server_env), authority.clone());
        self.server_env.spawn(Box::pin(async move {
            env.sleep(Duration::from_secs(12)).await;
            authority.sequence = authority.sequence.map(|sequence| sequence + 1_000);
            drop(api.desired(&authority, None, Duration::ZERO).await);
        }));
    }
}

macro_rules! call {
    ($link:expr, |$api:ident, $($value:ident),*| $body:expr) => {{
        $(let $value = $value.clone();)*
        $link.send(Box::new(move |$api| {
            $(let $value = $value.clone();)*
            Box::pin(async move { $body.await })
        })).await
    }};
}

#[async_trait]
impl AgentApi for Link {
    async fn challenge(&self, name: &NodeName) -> Result<Challenge, AgentApiError> {
        call!(self, |api, name| api.challenge(&name))
    }

    async fn register(&self, request: RegisterRequest) -> Result<Registered, AgentApiError> {
        call!(self, |api, request| api.register(request))
    }

    async fn heartbeat(
        &self,
        authority: &Authority,
        heartbeat: Heartbeat,
    ) -> Result<HeartbeatAnswer, AgentApiError> {
        call!(self, |api, authority, heartbeat| api.heartbeat(&authority, heartbeat))
    }

    async fn desired(
        &self,
        authority: &Authority,
        have: Option<DesiredVersion>,
        wait: Duration,
    ) -> Result<DesiredSet, AgentApiError> {
        let mut set = call!(self, |api, authority, have, wait| api.desired(&authority, have, wait))?;
        if self.planted == Some(Planted::LostTask) && self.chance(100) && !set.tasks.is_empty() {
            let at = self.env.random_u64() % set.tasks.len() as u64;
            set.tasks.remove(usize::try_from(at).unwrap_or(0));
        }
        if self.planted == Some(Planted::StaleSets) {
            let now = set.tasks.clone();
            let before =
                std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), now);
            if self.chance(100) {
                set.tasks = before;
            }
        }
        Ok(set)
    }

    async fn report(
        &self,
        authority: &Authority,
        reports: Vec<TaskReport>,
    ) -> Result<ReportAnswer, AgentApiError> {
        let reports: Vec<TaskReport> = reports.into_iter().map(|report| self.as_told(report)).collect();
        if self.planted == Some(Planted::RenumberedRepeats) && self.chance(100) {
            self.repeat_renumbered(authority);
        }
        if matches!(self.planted, Some(Planted::SwallowedRemovals | Planted::SwallowedEnds)) {
            let (swallowed, told): (Vec<_>, Vec<_>) =
                reports.into_iter().partition(|report| self.swallows(&report.status));
            let mut answer = call!(self, |api, authority, told| api.report(&authority, told))?;
            answer.verdicts.extend(swallowed.iter().map(|_| TaskVerdict::Accepted));
            return Ok(answer);
        }
        call!(self, |api, authority, reports| api.report(&authority, reports))
    }

    async fn secrets(&self, authority: &Authority, task: TaskId) -> Result<ResolvedSecrets, AgentApiError> {
        call!(self, |api, authority, task| api.secrets(&authority, task))
    }

    async fn deliver(
        &self,
        _: &Authority,
        _: TicketId,
        _: BoxStream<'static, Result<Bytes, std::io::Error>>,
    ) -> Result<(), AgentApiError> {
        Err(AgentApiError::Refused("nobody reads logs here".to_owned()))
    }
}
