//! Commands inside containers: the engine's connection becomes a pipe both ways.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use hyper::Method;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use orch_core::runtime::{
    ContainerExec, ContainerId, ContainerState, ExecRequest, ExecSession, LogChunk, RuntimeError,
    TerminalSize,
};
use orch_core::task::FailureKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::super::DockerRuntime;
use super::super::client::DEADLINE;
use super::super::engine::Payload;
use super::super::error::EngineError;
use super::super::logs::Frames;
use super::{Wanted, start_body};

/// How many pieces of input wait for the command.
const PIECES: usize = 8;
/// What is read at once.
const BLOCK: usize = 32 << 10;
/// How often an engine is asked for the exit code that it owes, and how long.
const ASK: (Duration, u32) = (Duration::from_millis(50), 100);

#[async_trait]
impl ContainerExec for DockerRuntime {
    async fn exec(
        &self,
        container: &ContainerId,
        request: &ExecRequest,
    ) -> Result<ExecSession, RuntimeError> {
        let found = self.look_at(&container.0).await?.ok_or(RuntimeError::Gone)?;
        if found.labels.is_none() {
            return Err(RuntimeError::Gone);
        }
        if !matches!(found.state, ContainerState::Running { .. }) {
            return Err(RuntimeError::permanent(FailureKind::Engine, "the container does not run"));
        }
        let wanted = Wanted::new(&request.command, request.stdin, request.tty);
        let id = self.make_command(container, &wanted).await?;
        let client = self.client();
        let start = async {
            let path = client.session().await?.path(&format!("/exec/{id}/start"));
            client.engine.upgrade(&path, start_body(request.tty)).await
        };
        let pipe = client.run("exec", DEADLINE, start).await?;
        let (reader, writer) = tokio::io::split(TokioIo::new(pipe));
        let (input, pieces) = mpsc::channel(PIECES);
        let (resize, sizes) = mpsc::channel(1);
        let frames = if request.tty { Frames::plain() } else { Frames::default() };
        let feeder = Box::pin(feed(self.clone(), id.clone(), writer, pieces, sizes));
        let exit = exit_code(self.clone(), id);
        Ok(ExecSession { output: output(reader, frames), input, resize, feeder, exit: Box::pin(exit) })
    }
}

/// Passes input and sizes on until both ends are gone. The end of the input is the end of the pipe's one direction.
async fn feed(
    runtime: DockerRuntime,
    id: String,
    mut writer: WriteHalf<TokioIo<Upgraded>>,
    mut pieces: mpsc::Receiver<Bytes>,
    mut sizes: mpsc::Receiver<TerminalSize>,
) {
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            Some(size) = sizes.recv() => resize(&runtime, &id, size).await,
            piece = pieces.recv(), if open => match piece {
                // A command that reads no more is no failure.
                Some(piece) => if writer.write_all(&piece).await.is_err() || writer.flush().await.is_err() {
                    open = false;
                    pieces.close();
                },
                None => {
                    open = false;
                    let _ = writer.shutdown().await;
                }
            },
            else => return,
        }
    }
}

/// Sizes are hints: one that the engine does not take is not worth a word.
async fn resize(runtime: &DockerRuntime, id: &str, size: TerminalSize) {
    let client = runtime.client();
    let call = async {
        let path = client.session().await?;
        let path = path.path(&format!("/exec/{id}/resize?h={}&w={}", size.rows, size.columns));
        client.engine.exchange(Method::POST, &path, Payload::Empty).await
    };
    if let Err(error) = client.run("exec_resize", DEADLINE, call).await {
        tracing::debug!(%error, "a terminal's size was not taken");
    }
}

fn output(
    reader: ReadHalf<TokioIo<Upgraded>>,
    frames: Frames,
) -> BoxStream<'static, Result<LogChunk, RuntimeError>> {
    stream::unfold(Some((reader, frames)), |state| async move {
        let (mut reader, mut frames) = state?;
        loop {
            match frames.next() {
                Ok(Some(chunk)) => return Some((Ok(chunk), Some((reader, frames)))),
                Ok(None) => {}
                Err(error) => return Some((Err(error.into()), None)),
            }
            let mut block = bytes::BytesMut::with_capacity(BLOCK);
            match reader.read_buf(&mut block).await {
                Ok(0) => return None,
                Ok(_) => frames.push(&block.freeze()),
                Err(error) => return Some((Err(EngineError::transport(error).into()), None)),
            }
        }
    })
    .boxed()
}

/// How it ended. Engines close the pipe a moment before they note the code.
async fn exit_code(runtime: DockerRuntime, id: String) -> Result<i32, RuntimeError> {
    for _ in 0..ASK.1 {
        if let Some(code) = runtime.command_state(&id).await?.ended() {
            return Ok(code);
        }
        sleep(ASK.0).await;
    }
    Err(RuntimeError::permanent(FailureKind::Engine, "the engine does not tell how the command ended"))
}
