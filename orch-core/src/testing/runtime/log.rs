//! The logs of a fake runtime's containers.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use super::FakeRuntime;
use crate::runtime::{ContainerId, ContainerLogs, LogChunk, LogOptions, LogSource, RuntimeError};

/// Lines, and whether more can come.
#[derive(Clone, Default)]
struct Written {
    lines: Vec<Arc<str>>,
    open: bool,
}

#[derive(Default)]
pub(super) struct Log(watch::Sender<Written>);

impl Log {
    pub(super) fn write(&self, line: &str) {
        self.0.send_modify(|written| written.lines.push(line.into()));
    }

    pub(super) fn begin(&self) {
        self.0.send_modify(|written| written.open = true);
    }

    pub(super) fn end(&self) {
        self.0.send_modify(|written| written.open = false);
    }

    fn read(&self, options: &LogOptions) -> BoxStream<'static, Result<LogChunk, RuntimeError>> {
        let receiver = self.0.subscribe();
        let have = receiver.borrow().lines.len();
        let first = options.tail.map_or(0, |tail| have.saturating_sub(usize::try_from(tail).unwrap_or(have)));
        let follow = options.follow;
        futures_util::stream::unfold((receiver, first), move |(mut receiver, next)| async move {
            loop {
                let (line, open) = {
                    let written = receiver.borrow_and_update();
                    (written.lines.get(next).cloned(), written.open)
                };
                if let Some(line) = line {
                    let bytes = Bytes::from(format!("{line}\n"));
                    return Some((Ok(LogChunk { source: LogSource::Stdout, bytes }), (receiver, next + 1)));
                }
                if !follow || !open || receiver.changed().await.is_err() {
                    return None;
                }
            }
        })
        .boxed()
    }
}

#[async_trait]
impl ContainerLogs for FakeRuntime {
    async fn logs(
        &self,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
        self.state().containers.get(id).map(|container| container.log.read(options)).ok_or(RuntimeError::Gone)
    }
}
