//! Optional abilities of a runtime. `None` can be explained; a stub that fails at run time cannot.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::line::{Assembler, LogLine, LogTime, Splitter};
use super::{ContainerId, RuntimeError};
use crate::time::Timestamp;

/// Which part of a log is wanted.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, schemars::JsonSchema, serde::Serialize, serde::Deserialize,
)]
#[serde(default)]
pub struct LogOptions {
    /// Go on with what comes, until the container ends.
    pub follow: bool,
    /// The last so many lines; `None`: all.
    pub tail: Option<u32>,
    /// Only lines from then on.
    pub since: Option<Timestamp>,
    /// Each line begins with its RFC 3339 time and a space.
    pub timestamps: bool,
}

/// Where a line came from.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    schemars::JsonSchema,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a log; not necessarily whole lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Where from.
    pub source: LogSource,
    /// The bytes as written.
    pub bytes: Bytes,
}

/// Reads logs.
#[async_trait]
pub trait ContainerLogs: Send + Sync {
    /// The container's log. Bounded inside: a slow reader slows the runtime, and nothing piles up. Dropping ends it.
    async fn logs(
        &self,
        container: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError>;

    /// Whether a followed log has each line once, also where the runtime rotates it. Where not, whoever needs that asks again for
    /// what is new.
    fn follows_exactly(&self) -> bool {
        true
    }

    /// The same in lines, some at a time, each with the time that the runtime noted for it, whatever `timestamps` says. Unless a
    /// runtime brings its own: cut from [`ContainerLogs::logs`], without times.
    async fn lines(&self, container: &ContainerId, options: &LogOptions) -> Result<LogLines, RuntimeError> {
        let options = LogOptions { timestamps: false, ..options.clone() };
        let chunks = self.logs(container, &options).await?;
        Ok(untimed(chunks))
    }
}

/// Lines as they come.
pub type LogLines = BoxStream<'static, Result<Vec<LogLine>, RuntimeError>>;

fn untimed(chunks: BoxStream<'static, Result<LogChunk, RuntimeError>>) -> LogLines {
    type Splitters = [Splitter; 2];
    let state = (Some(chunks), Splitters::default(), Assembler::default());
    futures_util::stream::unfold(state, |(chunks, mut splitters, mut assembler)| async move {
        let mut chunks = chunks?;
        loop {
            let mut lines = Vec::new();
            match chunks.next().await {
                Some(Ok(chunk)) => {
                    let splitter = &mut splitters[chunk.source as usize];
                    splitter.push(&chunk.bytes);
                    while let Some(piece) = splitter.next_piece() {
                        assembler.push(chunk.source, LogTime::UNKNOWN, &piece, &mut lines);
                    }
                    if !lines.is_empty() {
                        return Some((Ok(lines), (Some(chunks), splitters, assembler)));
                    }
                }
                Some(Err(error)) => return Some((Err(error), (None, splitters, assembler))),
                None => {
                    for source in [LogSource::Stdout, LogSource::Stderr] {
                        if let Some(rest) = splitters[source as usize].rest() {
                            assembler.push(source, LogTime::UNKNOWN, &rest, &mut lines);
                        }
                    }
                    assembler.finish(&mut lines);
                    return (!lines.is_empty()).then_some((Ok(lines), (None, splitters, assembler)));
                }
            }
        }
    })
    .boxed()
}

/// A command to run inside a container.
#[derive(Clone, Debug, PartialEq, Eq, schemars::JsonSchema, serde::Serialize, serde::Deserialize)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// With a terminal.
    pub tty: bool,
    /// It reads what is sent.
    #[serde(default)]
    pub stdin: bool,
}

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Across.
    pub columns: u16,
    /// Down.
    pub rows: u16,
}

/// A command that runs inside a container.
pub struct ExecSession {
    /// What it writes.
    pub output: BoxStream<'static, Result<LogChunk, RuntimeError>>,
    /// What it reads; dropping it closes its standard input.
    pub input: tokio::sync::mpsc::Sender<Bytes>,
    /// How large its terminal is from now on.
    pub resize: tokio::sync::mpsc::Sender<TerminalSize>,
    /// Passes input and sizes on: to be polled beside the output. Ends with both senders.
    pub feeder: futures_util::future::BoxFuture<'static, ()>,
    /// Its exit code, once it ended.
    pub exit: futures_util::future::BoxFuture<'static, Result<i32, RuntimeError>>,
}

/// Runs commands inside containers.
#[async_trait]
pub trait ContainerExec: Send + Sync {
    /// Starts the command.
    async fn exec(&self, container: &ContainerId, request: &ExecRequest)
    -> Result<ExecSession, RuntimeError>;
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// It ended.
    Exited {
        /// With this code.
        code: i32,
        /// The beginning of what it wrote.
        output: String,
    },
    /// It was not done in time, and was left alone.
    TimedOut,
    /// One that was left alone earlier is not done yet, and so no other was started.
    StillRunning,
}

/// Runs commands of health checks.
#[async_trait]
pub trait ContainerChecks: Send + Sync {
    /// Runs a command inside a container, to its end or for at most `timeout`. However long commands hang, a runtime keeps no
    /// more than one of them in a container. Cancel-safe: a call that is dropped counts as one that was not done in time.
    async fn check(
        &self,
        container: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> Result<CheckResult, RuntimeError>;
}

/// What a container has used since its start, and what it holds now. What a runtime cannot tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// When it was measured.
    pub at: Timestamp,
    /// Time on processors, of all its threads together.
    pub cpu: Duration,
    /// Bytes held, without what the kernel can take back.
    pub memory_bytes: u64,
    /// Bytes it may hold; without a limit of its own, what the node has.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes that came over its networks.
    pub received_bytes: Option<u64>,
    /// Bytes that went out over them.
    pub sent_bytes: Option<u64>,
    /// Bytes read from disks.
    pub read_bytes: Option<u64>,
    /// Bytes written to them.
    pub written_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// Measures containers.
#[async_trait]
pub trait ContainerStats: Send + Sync {
    /// One measurement of a container that runs, at once; [`RuntimeError::Gone`] of one that does not. Cancel-safe.
    async fn usage(&self, container: &ContainerId) -> Result<Usage, RuntimeError>;
}
