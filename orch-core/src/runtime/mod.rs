//! [`ContainerRuntime`]: what the agent asks of whatever runs containers on its node.

pub mod ability;
pub mod error;
pub mod images;
pub mod line;
pub mod observed;
pub mod request;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

pub use ability::{
    CheckResult, ContainerChecks, ContainerExec, ContainerLogs, ContainerStats, ExecRequest, ExecSession,
    LogChunk, LogLines, LogOptions, LogSource, TerminalSize, Usage,
};
pub use error::RuntimeError;
pub use images::{ContainerImages, Disk, FoundImage};
pub use line::{LineEnd, LogLine, LogTime};
pub use observed::{
    ContainerChange, ContainerEvent, ContainerId, ContainerLabels, ContainerState, ObservedContainer,
    RuntimeEvent, RuntimeInfo,
};
pub use request::{CreateRequest, Owner, PullProgress};

use crate::service::{ImageDigest, ImageRef, StopPolicy};

/// Runs containers. Every method is idempotent, so that it can be repeated after a crash or a lost answer; every call has
/// a deadline inside, so that one hung container never holds up the node. Dropping a call's future abandons the call:
/// whether it took effect is then found out by [`ContainerRuntime::list`].
///
/// An implementation touches only containers that bear its [`Owner`]'s labels.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + 'static {
    /// What kind of runtime this is, and in which version. Called at start and after each [`RuntimeEvent::Reconnected`].
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError>;
    /// Makes sure that the image is on the node, fetching it if it is missing; answers its content address.
    /// `progress` is called now and then while bytes come.
    async fn ensure_image(
        &self,
        image: &ImageRef,
        progress: PullProgress<'_>,
    ) -> Result<ImageDigest, RuntimeError>;
    /// Creates the attempt's container, or answers the one that already bears its name and labels.
    async fn create(&self, request: CreateRequest<'_>) -> Result<ContainerId, RuntimeError>;
    /// Starts a container; one that runs already is fine.
    async fn start(&self, container: &ContainerId) -> Result<(), RuntimeError>;
    /// Signal, grace, kill. Answers once the container has exited; one that is stopped or gone is fine.
    async fn stop(&self, container: &ContainerId, policy: &StopPolicy) -> Result<(), RuntimeError>;
    /// Removes a container with its anonymous volumes, running or not; one that is gone is fine.
    async fn remove(&self, container: &ContainerId) -> Result<(), RuntimeError>;
    /// All containers of `owner`, running or not, with the details of how they ended.
    async fn list(&self, owner: &Owner) -> Result<Vec<ObservedContainer>, RuntimeError>;
    /// One container; `None` if it is gone.
    async fn inspect(&self, container: &ContainerId) -> Result<Option<ObservedContainer>, RuntimeError>;
    /// What happens to containers of `owner`, from the call on; what happens to one of them in the order in which it
    /// happens. Events may be missing or come twice: after [`RuntimeEvent::Reconnected`] the listener lists again. An end
    /// is told with its exit, as soon as the runtime knows of it. The stream reconnects by itself and never ends.
    fn events(&self, owner: &Owner) -> BoxStream<'static, RuntimeEvent>;
    /// Reading logs, if this runtime can.
    fn logs(&self) -> Option<&dyn ContainerLogs> {
        None
    }
    /// Running commands inside containers, if this runtime can.
    fn exec(&self) -> Option<&dyn ContainerExec> {
        None
    }
    /// Running commands of health checks, if this runtime can.
    fn checks(&self) -> Option<&dyn ContainerChecks> {
        None
    }
    /// Knowing its images, if this runtime can. One that cannot has images that are from nowhere, as far as is known.
    fn images(&self) -> Option<&dyn ContainerImages> {
        None
    }
    /// Measuring containers, if this runtime can.
    fn stats(&self) -> Option<&dyn ContainerStats> {
        None
    }
}
