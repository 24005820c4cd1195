//! An [`AgentApi`] whose agent can be told that its heartbeats are hardly ever due, so that a server's idleness beyond them
//! can be measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hyper::body::Bytes;
use orch_core::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredVersion, Heartbeat, HeartbeatAnswer,
    RegisterRequest, Registered, ReportAnswer, TicketId,
};
use orch_core::id::TaskId;
use orch_core::identity::Challenge;
use orch_core::name::NodeName;
use orch_core::secret::ResolvedSecrets;
use orch_core::task::TaskReport;

const HARDLY_EVER: Duration = Duration::from_secs(600);

pub(crate) struct Quiet {
    pub(crate) inner: Arc<dyn AgentApi>,
    pub(crate) quiet: Arc<AtomicBool>,
}

#[async_trait]
impl AgentApi for Quiet {
    async fn challenge(&self, name: &NodeName) -> Result<Challenge, AgentApiError> {
        self.inner.challenge(name).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<Registered, AgentApiError> {
        self.inner.register(request).await
    }

    async fn heartbeat(
        &self,
        authority: &Authority,
        heartbeat: Heartbeat,
    ) -> Result<HeartbeatAnswer, AgentApiError> {
        let mut answer = self.inner.heartbeat(authority, heartbeat).await?;
        if self.quiet.load(Ordering::Relaxed) {
            answer.heartbeat_interval = HARDLY_EVER;
        }
        Ok(answer)
    }

    async fn desired(
        &self,
        authority: &Authority,
        have: Option<DesiredVersion>,
        wait: Duration,
    ) -> Result<DesiredSet, AgentApiError> {
        self.inner.desired(authority, have, wait).await
    }

    async fn report(
        &self,
        authority: &Authority,
        reports: Vec<TaskReport>,
    ) -> Result<ReportAnswer, AgentApiError> {
        self.inner.report(authority, reports).await
    }

    async fn secrets(&self, authority: &Authority, task: TaskId) -> Result<ResolvedSecrets, AgentApiError> {
        self.inner.secrets(authority, task).await
    }

    async fn deliver(
        &self,
        authority: &Authority,
        ticket: TicketId,
        stream: BoxStream<'static, Result<Bytes, std::io::Error>>,
    ) -> Result<(), AgentApiError> {
        self.inner.deliver(authority, ticket, stream).await
    }

    fn server_certificate(&self) -> Option<[u8; 32]> {
        self.inner.server_certificate()
    }
}
