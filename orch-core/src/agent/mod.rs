//! [`AgentApi`]: what an agent asks of a control plane, as one node. In process and over HTTP it is the same trait.

pub mod desired;
pub mod error;
pub mod lines;
pub mod message;
pub mod stats;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

pub use desired::{DesiredSet, DesiredTask, DesiredVersion, Prepare, StreamKind, StreamRequest, TicketId};
pub use error::AgentApiError;
pub use lines::{LinesRequest, NodeFrame};
pub use message::{
    Authority, Directive, EngineReport, Heartbeat, HeartbeatAnswer, RegisterRequest, Registered,
    ReportAnswer, TaskVerdict,
};
pub use stats::{Measured, StatsRequest};

use crate::id::TaskId;
use crate::identity::Challenge;
use crate::name::NodeName;
use crate::secret::ResolvedSecrets;
use crate::task::TaskReport;

/// What an agent asks. Every call can be repeated: registration by node key, the rest by sequence number.
/// Every call but the first two carries the node's [`Authority`]: credential and sequence number.
#[async_trait]
pub trait AgentApi: Send + Sync + 'static {
    /// A challenge to sign with the node key. `name` lets the answer carry the incarnation so far.
    async fn challenge(&self, name: &NodeName) -> Result<Challenge, AgentApiError>;
    /// Registers, for the first time or again.
    async fn register(&self, request: RegisterRequest) -> Result<Registered, AgentApiError>;
    /// Says that the node is alive; answers the next credential, unless the store cannot be written.
    async fn heartbeat(
        &self,
        authority: &Authority,
        heartbeat: Heartbeat,
    ) -> Result<HeartbeatAnswer, AgentApiError>;
    /// What this node should run. Answers at once where that differs from `have`, else when it does or after `wait`.
    async fn desired(
        &self,
        authority: &Authority,
        have: Option<DesiredVersion>,
        wait: Duration,
    ) -> Result<DesiredSet, AgentApiError>;
    /// Says where tasks are, oldest first. Answers one verdict a report, in the same order.
    async fn report(
        &self,
        authority: &Authority,
        reports: Vec<TaskReport>,
    ) -> Result<ReportAnswer, AgentApiError>;
    /// The values of the secrets of one of the node's own tasks.
    async fn secrets(&self, authority: &Authority, task: TaskId) -> Result<ResolvedSecrets, AgentApiError>;
    /// Delivers what a [`StreamRequest`] asked for, until the stream or the listener ends.
    async fn deliver(
        &self,
        authority: &Authority,
        ticket: TicketId,
        stream: BoxStream<'static, Result<Bytes, std::io::Error>>,
    ) -> Result<(), AgentApiError>;
    /// What the one who waits for a stream sends the other way, as it comes. To be asked for once, before the stream is delivered.
    async fn input(
        &self,
        authority: &Authority,
        ticket: TicketId,
    ) -> Result<BoxStream<'static, Result<Bytes, std::io::Error>>, AgentApiError> {
        let _ = (authority, ticket);
        Err(AgentApiError::Refused("nothing is sent the other way here".to_owned()))
    }
    /// SHA-256 of the certificate that the control plane showed when it answered the last challenge: what the node key signs with
    /// the rest, so that an answer cannot be relayed. `None`: no TLS in between.
    fn server_certificate(&self) -> Option<[u8; 32]> {
        None
    }
}
