//! What a fake runtime's containers use: half a core from their start on, and a mebibyte.

use async_trait::async_trait;

use super::FakeRuntime;
use crate::runtime::{ContainerId, ContainerState, ContainerStats, RuntimeError, Usage};

#[async_trait]
impl ContainerStats for FakeRuntime {
    async fn usage(&self, container: &ContainerId) -> Result<Usage, RuntimeError> {
        let at = self.env.now();
        match self.state().containers.get(container).map(|container| &container.seen.state) {
            Some(ContainerState::Running { since }) => {
                Ok(Usage { at, cpu: at.since(*since) / 2, memory_bytes: 1 << 20, ..Usage::default() })
            }
            _ => Err(RuntimeError::Gone),
        }
    }
}
