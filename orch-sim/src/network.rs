//! The network between agents and the server: requests and answers that are dropped, delayed and doubled.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use orch_core::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredVersion, Heartbeat, HeartbeatAnswer,
    RegisterRequest, Registered, ReportAnswer, TaskVerdict, TicketId,
};
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::id::TaskId;
use orch_core::identity::Challenge;
use orch_core::name::NodeName;
use orch_core::secret::ResolvedSecrets;
use orch_core::task::{TaskReport, TaskStatus};
use tokio::sync::oneshot;

/// What the network does to messages, in parts of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// A request or an answer is lost.
    pub lost: u64,
    /// A request arrives twice.
    pub doubled: u64,
    /// A request or an answer is late, by up to two seconds.
    pub late: u64,
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
    cut: Vec<NodeName>,
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

    /// Cuts a node off, or lets it back.
    pub fn set_cut(&self, node: &NodeName, cut: bool) {
        self.with(|inner| {
            inner.cut.retain(|name| name != node);
            if cut {
                inner.cut.push(node.clone());
            }
        });
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
    /// Reports of removal get lost, and nobody is told.
    pub swallows_removals: bool,
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
        let delay = if self.chance(weather.late) {
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
        let server = self.exchange.with(|inner| {
            let cut = inner.cut.contains(&self.name);
            inner.server.clone().filter(|_| !cut)
        });
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
        let cut = self.exchange.with(|inner| inner.cut.contains(&self.name));
        if !self.travel(weather).await || cut {
            self.env.sleep(Duration::from_secs(1)).await;
            return Err(lost("the answer was lost"));
        }
        answered
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
        call!(self, |api, authority, have, wait| api.desired(&authority, have, wait))
    }

    async fn report(
        &self,
        authority: &Authority,
        reports: Vec<TaskReport>,
    ) -> Result<ReportAnswer, AgentApiError> {
        if self.swallows_removals {
            let (swallowed, told): (Vec<_>, Vec<_>) =
                reports.into_iter().partition(|report| report.status == TaskStatus::Removed);
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
