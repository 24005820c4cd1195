//! Streams that someone waits for: read from the runtime, delivered to the control plane.

mod exec;
mod lines;
mod stats;

use std::io;

use bytes::Bytes;
use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{StreamExt as _, stream};
use orch_core::agent::{StreamKind, StreamRequest};
use orch_core::runtime::LogOptions;
use tokio::sync::mpsc;

use crate::retry::chain;
use crate::shared::Shared;

/// Streams at the same time; more wait in the queue until their tickets expire.
const OPEN_STREAMS: usize = 256;

/// Serves requests for ever.
pub(crate) async fn run(shared: &Shared, mut requests: mpsc::Receiver<StreamRequest>) {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = open.next(), if !open.is_empty() => {}
            request = requests.recv(), if open.len() < OPEN_STREAMS => match request {
                Some(request) => open.push(serve(shared, request)),
                None => std::future::pending().await,
            },
        }
    }
}

async fn serve(shared: &Shared, request: StreamRequest) {
    let Some(session) = shared.session.borrow().clone() else { return };
    let opened = match &request.kind {
        StreamKind::Logs(options) => open(shared, &session.owner, &request, options).await,
        StreamKind::Lines(wanted) => lines::open(shared, &session.owner, request.task, wanted).await,
        StreamKind::Exec(command) => exec::open(shared, &session, &request, command).await,
        StreamKind::Stats(wanted) => stats::open(shared, &session.owner, wanted).await,
    };
    // A failure goes down the stream, so that whoever waits learns of it at once.
    let stream = match opened {
        Ok(stream) => stream,
        Err(why) => stream::once(async move { Err(io::Error::other(why)) }).boxed(),
    };
    let authority = session.authority();
    let delivery = shared.api.deliver(&authority, request.ticket, stream);
    tokio::select! {
        biased;
        _ = session.lost() => {}
        result = delivery => if let Err(error) = result {
            tracing::debug!(task = %request.task, error = %chain(&error), "a stream ended early");
        },
    }
}

/// The log of the task's newest container that ran, both sources merged.
async fn open(
    shared: &Shared,
    owner: &orch_core::runtime::Owner,
    request: &StreamRequest,
    options: &LogOptions,
) -> Result<BoxStream<'static, io::Result<Bytes>>, String> {
    let logs = shared.runtime.logs().ok_or("this node's runtime keeps no logs")?;
    let containers = shared.runtime.list(owner).await.map_err(|error| chain(&error))?;
    let newest = containers
        .into_iter()
        .filter(|container| container.labels.task == request.task)
        .filter(|container| container.state != orch_core::runtime::ContainerState::Created)
        .max_by_key(|container| container.labels.attempt)
        .ok_or("the task has no container that ran")?;
    let chunks = logs.logs(&newest.id, options).await.map_err(|error| chain(&error))?;
    Ok(chunks
        .map(|chunk| chunk.map(|chunk| chunk.bytes).map_err(|error| io::Error::other(chain(&error))))
        .boxed())
}
