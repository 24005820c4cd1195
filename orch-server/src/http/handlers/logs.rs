//! Logs: lines of text or of JSON, as long as they come.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{StreamExt as _, select_all};
use orch_core::api::endpoint as ep;
use orch_core::api::logs::{LogFrame, LogsForm, LogsOf};
use orch_core::command::{FieldPath, Rejection};
use orch_core::control_plane::query::{ReadLogs, View};
use orch_core::id::{ServiceId, TaskId};

use super::super::App;
use super::super::body::{Pieces, streamed};
use super::super::call::Call;
use super::super::error::ApiError;
use super::service;

/// How many tasks of a service are read at the same time.
const MOST_TASKS: usize = 16;
/// A line longer than this is cut in two, so that no line holds up the others for ever.
const LONGEST_LINE: usize = 64 * 1024;

pub(crate) async fn logs(
    State(app): State<App>,
    call: Call<ep::GetLogs, ReadLogs>,
) -> Result<Response, ApiError> {
    let (of, form) = call.query.parse()?;
    let options = match form {
        LogsForm::Text(options) => options,
        LogsForm::Frames(selection, cursors) => {
            let frames = app.control.log_frames(&call.permit, of, selection, cursors)?;
            let lines = frames.map(|frames| encode(&frames)).take_until(call.standing.lost(app.clone()));
            return Ok(streamed("application/x-ndjson", lines.boxed()));
        }
    };
    let tasks = match of {
        LogsOf::Task(task) => BTreeMap::from([(task, None)]),
        LogsOf::Service(service) => tasks_of(&app.control.read(&call.permit), service)?,
    };
    let opened = tasks.into_iter().map(|(task, name)| {
        let (control, permit, options) = (&app.control, &call.permit, options.clone());
        async move { control.logs(permit, task, options).await.map(|stream| lines(stream, name)) }
    });
    let mut streams = Vec::new();
    let mut failure = None;
    for opened in futures_util::future::join_all(opened).await {
        match opened {
            Ok(stream) => streams.push(stream),
            Err(error) => failure = Some(error),
        }
    }
    // Of several tasks, those that answer are shown.
    if let (true, Some(failure)) = (streams.is_empty(), failure) {
        return Err(failure.into());
    }
    let lines = select_all(streams).take_until(call.standing.lost(app.clone()));
    Ok(streamed("text/plain; charset=utf-8", lines.boxed()))
}

/// One JSON object a line.
fn encode(frames: &[LogFrame]) -> Result<Bytes, std::io::Error> {
    let mut text = Vec::with_capacity(frames.len() * 192);
    for frame in frames {
        serde_json::to_writer(&mut text, frame)?;
        text.push(b'\n');
    }
    Ok(text.into())
}

/// The tasks whose containers exist, those that run first and the newest before others, with what their lines begin with if there
/// are several. What was replaced is among them: its last lines may be what is looked for.
fn tasks_of(view: &View, id: ServiceId) -> Result<BTreeMap<TaskId, Option<String>>, ApiError> {
    let service = service(view, id)?;
    let mut tasks: Vec<_> =
        view.cluster().tasks_of_service(id).filter(|task| task.status.has_container()).collect();
    tasks.sort_by_key(|task| (!task.status.is_running(), Reverse(task.created_at), task.id));
    tasks.truncate(MOST_TASKS);
    if tasks.is_empty() {
        let expected = "a service with a task that was started";
        let problem = "no task of the service has a container";
        return Err(Rejection::invalid(FieldPath::new("service_id"), problem, expected).into());
    }
    let several = tasks.len() > 1;
    let prefix = |slot| several.then(|| format!("{}.{slot} | ", service.spec.name));
    Ok(tasks.into_iter().map(|task| (task.id, prefix(task.slot))).collect())
}

/// Whole lines, each with its prefix, so that merged logs never mix within a line. Without prefix: the pieces as they come.
fn lines(stream: Pieces, prefix: Option<String>) -> Pieces {
    let Some(prefix) = prefix else { return stream };
    let state = (stream, BytesMut::new(), prefix);
    futures_util::stream::unfold(Some(state), |state| async move {
        let (mut stream, mut held, prefix) = state?;
        loop {
            let end = held.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let end = end.or_else(|| (held.len() >= LONGEST_LINE).then_some(LONGEST_LINE));
            if let Some(end) = end {
                let line = with_prefix(&prefix, &held.split_to(end));
                return Some((Ok(line), Some((stream, held, prefix))));
            }
            match stream.next().await {
                Some(Ok(piece)) => held.extend_from_slice(&piece),
                // One task's failure ends its own part only.
                Some(Err(_)) | None if held.is_empty() => return None,
                Some(Err(_)) | None => return Some((Ok(with_prefix(&prefix, &held)), None)),
            }
        }
    })
    .boxed()
}

fn with_prefix(prefix: &str, line: &[u8]) -> Bytes {
    let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
    [prefix.as_bytes(), line, end].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_of_several_tasks_stay_whole_and_bear_their_tasks_name() {
        let pieces = ["one\ntw", "o\nthr", "ee"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let stream = futures_util::stream::iter(pieces).boxed();
        let lines: Vec<_> = lines(stream, Some("web.1 | ".to_owned())).map(Result::unwrap).collect().await;
        assert_eq!(lines, ["web.1 | one\n", "web.1 | two\n", "web.1 | three\n"]);
    }
}
