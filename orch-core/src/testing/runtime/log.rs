//! The logs of a fake runtime's containers.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use super::FakeRuntime;
use crate::runtime::{
    ContainerId, ContainerLogs, LineEnd, LogChunk, LogLine, LogLines, LogOptions, LogSource, LogTime,
    RuntimeError,
};

/// Lines, and whether more can come.
#[derive(Clone, Default)]
struct Written {
    lines: Vec<(LogTime, Arc<str>)>,
    open: bool,
}

#[derive(Default)]
pub(super) struct Log(watch::Sender<Written>);

impl Log {
    pub(super) fn write(&self, at: LogTime, line: &str) {
        self.0.send_modify(|written| written.lines.push((at, line.into())));
    }

    pub(super) fn begin(&self) {
        self.0.send_modify(|written| written.open = true);
    }

    pub(super) fn end(&self) {
        self.0.send_modify(|written| written.open = false);
    }

    fn read(&self, options: &LogOptions) -> BoxStream<'static, Result<LogChunk, RuntimeError>> {
        let chunk =
            |(_, line)| LogChunk { source: LogSource::Stdout, bytes: Bytes::from(format!("{line}\n")) };
        self.entries(options).map(move |entry| Ok(chunk(entry))).boxed()
    }

    fn read_lines(&self, options: &LogOptions) -> LogLines {
        let line = |(at, line): (LogTime, Arc<str>)| LogLine {
            at,
            source: LogSource::Stdout,
            text: Bytes::copy_from_slice(line.as_bytes()),
            end: LineEnd::Whole,
        };
        self.entries(options).map(move |entry| Ok(vec![line(entry)])).boxed()
    }

    fn entries(&self, options: &LogOptions) -> BoxStream<'static, (LogTime, Arc<str>)> {
        let receiver = self.0.subscribe();
        let have = receiver.borrow().lines.len();
        let first = options.tail.map_or(0, |tail| have.saturating_sub(usize::try_from(tail).unwrap_or(have)));
        let (follow, since) = (options.follow, options.since.map(LogTime::from));
        futures_util::stream::unfold((receiver, first), move |(mut receiver, mut next)| async move {
            loop {
                let (entry, open) = {
                    let written = receiver.borrow_and_update();
                    (written.lines.get(next).cloned(), written.open)
                };
                if let Some(entry) = entry {
                    next += 1;
                    if since.is_some_and(|since| entry.0 < since) {
                        continue;
                    }
                    return Some((entry, (receiver, next)));
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

    async fn lines(&self, id: &ContainerId, options: &LogOptions) -> Result<LogLines, RuntimeError> {
        let state = self.state();
        state.containers.get(id).map(|container| container.log.read_lines(options)).ok_or(RuntimeError::Gone)
    }
}
