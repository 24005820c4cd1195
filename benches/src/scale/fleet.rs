//! Agents without machines: over the real `AgentApi` they register, poll, say that their tasks run, and beat.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use orch_core::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredVersion, Heartbeat, RegisterRequest,
};
use orch_core::control_plane::{AgentConnection, ControlPlane};
use orch_core::id::{NodeId, TaskId};
use orch_core::identity::RegistrationClaim;
use orch_core::node::Resources;
use orch_core::secret::Secret;
use orch_core::task::{DesiredStatus, Health, TaskReport, TaskStatus};
use tokio::task::{JoinHandle, JoinSet};

/// What the agents register with.
pub(super) const TOKEN: &str = "registration-token-of-a-benchmark";
/// How many register at the same time.
const AT_ONCE: usize = 256;
const POLL: Duration = Duration::from_secs(55);
/// After a call that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Agents that go on until the fleet is dropped.
pub(super) struct Fleet {
    agents: Vec<(NodeId, JoinHandle<()>)>,
}

impl Fleet {
    /// Registers so many nodes, each with this much room.
    pub(super) async fn register(
        control: &ControlPlane,
        nodes: u32,
        room: Resources,
    ) -> anyhow::Result<Self> {
        let mut joining = JoinSet::new();
        let mut agents = Vec::new();
        for at in 0..nodes {
            if joining.len() >= AT_ONCE {
                agents.extend(joining.join_next().await.transpose()?.transpose()?);
            }
            let api = control.agent_api(AgentConnection::default());
            joining.spawn(async move {
                let agent = Agent::register(api, at, room).await?;
                anyhow::Ok((agent.authority.node, tokio::spawn(agent.run())))
            });
        }
        while let Some(joined) = joining.join_next().await {
            agents.push(joined??);
        }
        Ok(Self { agents })
    }

    /// So many agents fall silent, from one moment to the next. Answers whose they are.
    pub(super) fn lose(&mut self, count: usize) -> BTreeSet<NodeId> {
        let lost = self.agents.split_off(self.agents.len() - count.min(self.agents.len()));
        lost.into_iter()
            .map(|(node, agent)| {
                agent.abort();
                node
            })
            .collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.agents.iter().for_each(|(_, agent)| agent.abort());
    }
}

struct Agent {
    api: Arc<dyn AgentApi>,
    authority: Authority,
    interval: Duration,
    have: Option<DesiredVersion>,
    /// Tasks that are said to run.
    running: BTreeSet<TaskId>,
}

impl Agent {
    async fn register(api: Arc<dyn AgentApi>, at: u32, room: Resources) -> anyhow::Result<Self> {
        let claim = RegistrationClaim {
            name: format!("node-{at}").parse()?,
            advertise_address: "127.0.0.1".to_owned(),
            labels: Default::default(),
            facts: Default::default(),
            capacity: room,
            allocatable: room,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: None,
        };
        let token = Some(Secret::new(TOKEN.to_owned()));
        let registered = api.register(RegisterRequest { claim, token, key: None }).await?;
        Ok(Self {
            api,
            authority: Authority {
                node: registered.node,
                credential: registered.credential,
                sequence: Some(0),
            },
            interval: registered.heartbeat_interval,
            have: None,
            running: BTreeSet::new(),
        })
    }

    fn next(&mut self) -> Authority {
        self.authority.sequence = self.authority.sequence.map(|sequence| sequence + 1);
        self.authority.clone()
    }

    async fn run(mut self) {
        let mut beat = tokio::time::interval(self.interval);
        beat.tick().await;
        let mut polls = FuturesUnordered::new();
        loop {
            if polls.is_empty() {
                let (api, authority, have) = (Arc::clone(&self.api), self.next(), self.have);
                polls.push(async move { api.desired(&authority, have, POLL).await });
            }
            tokio::select! {
                biased;
                _ = beat.tick() => {
                    if let Ok(interval) = self.beat().await && interval != self.interval {
                        self.interval = interval;
                        beat = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
                    }
                }
                Some(answer) = polls.next() => {
                    let carried = match answer {
                        Ok(set) => self.carry_out(set).await,
                        Err(error) => Err(error),
                    };
                    if carried.is_err() {
                        self.have = None;
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    async fn beat(&mut self) -> Result<Duration, AgentApiError> {
        let authority = self.next();
        let answer = self.api.heartbeat(&authority, Heartbeat::default()).await?;
        if let Some((credential, _)) = answer.credential {
            self.authority.credential = credential;
        }
        Ok(answer.heartbeat_interval)
    }

    /// Whatever is to run runs at once, and whatever is to go is gone.
    async fn carry_out(&mut self, set: DesiredSet) -> Result<(), AgentApiError> {
        let mut reports = Vec::new();
        for task in &set.tasks {
            let status = match task.desired {
                DesiredStatus::Running if self.running.insert(task.id) => {
                    TaskStatus::Running(Health::Unchecked)
                }
                DesiredStatus::Running => continue,
                DesiredStatus::Stopped | DesiredStatus::Removed => {
                    self.running.remove(&task.id);
                    TaskStatus::Removed
                }
            };
            reports.push(TaskReport::new(task.id, Some(task.attempt), status));
        }
        if !reports.is_empty() {
            let authority = self.next();
            self.api.report(&authority, reports).await?;
        }
        self.have = Some(set.version);
        Ok(())
    }
}
