//! A command inside a task's container, for a user who is served by the control plane: his frames in, its frames out.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{self, BoxStream};
use orch_core::agent::StreamRequest;
use orch_core::api::exec::{ExecDecoder, ExecFrame};
use orch_core::runtime::{ContainerState, ExecRequest, ExecSession, LogSource, Owner, TerminalSize};
use tokio::sync::mpsc;

use super::lines::Pieces;
use crate::credential::Session;
use crate::retry::chain;
use crate::shared::Shared;

/// The frames of the command, as they come.
pub(super) async fn open(
    shared: &Shared,
    session: &Arc<Session>,
    request: &StreamRequest,
    command: &ExecRequest,
) -> Result<Pieces, String> {
    let input = shared.api.input(&session.authority(), request.ticket.clone()).await;
    let input = input.map_err(|error| chain(&error))?;
    match start(shared, &session.owner, request, command).await {
        Ok(running) => Ok(frames(running, input)),
        Err(why) => Ok(stream::once(async move { Ok(ExecFrame::Failed(why).encode()) }).boxed()),
    }
}

async fn start(
    shared: &Shared,
    owner: &Owner,
    request: &StreamRequest,
    command: &ExecRequest,
) -> Result<ExecSession, String> {
    let exec = shared.runtime.exec().ok_or("this node's runtime cannot run commands inside containers")?;
    let containers = shared.runtime.list(owner).await.map_err(|error| chain(&error))?;
    let running = containers
        .into_iter()
        .filter(|container| container.labels.task == request.task)
        .filter(|container| matches!(container.state, ContainerState::Running { .. }))
        .max_by_key(|container| container.labels.attempt)
        .ok_or("the task has no container that runs")?;
    exec.exec(&running.id, command).await.map_err(|error| chain(&error))
}

/// The output, and at its end the exit code. The input is passed on beside it: it is driven by whoever reads the output.
fn frames(session: ExecSession, input: BoxStream<'static, io::Result<Bytes>>) -> Pieces {
    let ExecSession { output, input: to, resize, feeder, exit } = session;
    let beside: BoxFuture<'static, ()> = Box::pin(async move {
        futures_util::future::join(feeder, pass_on(input, to, resize)).await;
    });
    let state = Some((output, Some(beside), exit));
    stream::unfold(state, |state| async move {
        let (mut output, mut beside, exit) = state?;
        let next = loop {
            let chunk = output.next();
            match beside.take() {
                None => break chunk.await,
                Some(work) => match select(chunk, work).await {
                    Either::Left((chunk, work)) => {
                        beside = Some(work);
                        break chunk;
                    }
                    Either::Right(((), _)) => {}
                },
            }
        };
        Some(match next {
            Some(Ok(chunk)) => {
                let frame = match chunk.source {
                    LogSource::Stdout => ExecFrame::Stdout(chunk.bytes),
                    LogSource::Stderr => ExecFrame::Stderr(chunk.bytes),
                };
                (Ok(frame.encode()), Some((output, beside, exit)))
            }
            Some(Err(error)) => (Ok(ExecFrame::Failed(chain(&error)).encode()), None),
            None => {
                let frame = match exit.await {
                    Ok(code) => ExecFrame::Exit(code),
                    Err(error) => ExecFrame::Failed(chain(&error)),
                };
                (Ok(frame.encode()), None)
            }
        })
    })
    .boxed()
}

/// The user's frames, one after the other: a command that does not read holds the user up. Ends with the input, or with the user.
async fn pass_on(
    mut input: BoxStream<'static, io::Result<Bytes>>,
    to: mpsc::Sender<Bytes>,
    resize: mpsc::Sender<TerminalSize>,
) {
    let mut to = Some(to);
    let mut decoder = ExecDecoder::default();
    while let Some(Ok(piece)) = input.next().await {
        decoder.push(&piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(ExecFrame::Input(bytes))) => {
                    if let Some(open) = &to
                        && open.send(bytes).await.is_err()
                    {
                        to = None;
                    }
                }
                Ok(Some(ExecFrame::InputEnd)) => to = None,
                Ok(Some(ExecFrame::Resize(size))) => {
                    if resize.send(size).await.is_err() {
                        return;
                    }
                }
                // What only goes the other way means nothing here.
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
