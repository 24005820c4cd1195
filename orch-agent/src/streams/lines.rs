//! One attempt's log in frames, over whatever cuts it off on this node: an engine that restarts, that ends a followed log
//! early, or that loses and repeats lines of it where it rotates: there the log is followed by asking for what is new.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use orch_core::agent::{LinesRequest, NodeFrame};
use orch_core::api::logs::LogCursor;
use orch_core::api::logs::cursor::{Place, Resume};
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::id::TaskId;
use orch_core::runtime::{
    ContainerId, ContainerLogs, ContainerRuntime, ContainerState, LineEnd, LogLine, LogLines, LogOptions,
    LogTime, ObservedContainer, Owner, RuntimeError,
};
use orch_core::task::Attempt;
use orch_core::time::Monotonic;

use crate::retry::chain;
use crate::shared::Shared;

/// How long until a log that the engine ended early is opened again.
const AGAIN: Duration = Duration::from_millis(200);
/// How often an engine whose followed logs are not exact is asked for what is new: at least, and at most while nothing comes.
const PACE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// How many of the last lines it is asked for: at least and at most. Where they do not reach back to what is known, the rest of
/// the log is read as a stream.
const GLANCE: (usize, usize) = (256, 8_192);

pub(super) type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// The frames of the attempt that is wanted.
pub(super) async fn open(
    shared: &Shared,
    owner: &Owner,
    task: TaskId,
    request: &LinesRequest,
) -> Result<Pieces, String> {
    if shared.runtime.logs().is_none() {
        return Ok(only(&NodeFrame::Missing { reason: "this node's runtime keeps no logs".to_owned() }));
    }
    let mut containers = shared.runtime.list(owner).await.map_err(|error| chain(&error))?;
    containers.retain(|container| container.labels.task == task);
    containers.retain(|container| container.state != ContainerState::Created);
    containers.sort_by_key(|container| container.labels.attempt);
    let (container, gap) = match choose(containers, request) {
        Ok(chosen) => chosen,
        Err(reason) => return Ok(only(&NodeFrame::Missing { reason: reason.to_owned() })),
    };
    let attempt = container.labels.attempt;
    let at = LogTime::from(shared.env.now());
    let known = request.from.clone().filter(|cursor| cursor.attempt == attempt && !cursor.ended);
    let going_on = request.from.is_some();
    let mut first = Vec::new();
    push(&mut first, &NodeFrame::Open { attempt, at });
    if let Some(reason) = gap {
        push(&mut first, &NodeFrame::Gap { reason });
    }
    let tail = request.selection.tail.filter(|_| !going_on);
    let reader = Reader {
        runtime: Arc::clone(&shared.runtime),
        env: Arc::clone(&shared.env),
        container: container.id,
        request: request.clone(),
        tail: tail.filter(|_| known.is_none()),
        resumes: known.is_some(),
        cursor: known.unwrap_or_else(|| LogCursor::opened(attempt, at, tail)),
        resume: None,
        lines: None,
        unfinished: Vec::new(),
        catching_up: false,
        exact: shared.runtime.logs().is_some_and(ContainerLogs::follows_exactly),
        glancing: false,
        glance: GLANCE.0,
        quiet: 0,
        glanced: shared.env.monotonic(),
    };
    let rest = stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        Some(match reader.next().await {
            Ok((bytes, true)) => (Ok(bytes), Some(reader)),
            Ok((bytes, false)) => (Ok(bytes), None),
            Err(error) => (Err(io::Error::other(error)), None),
        })
    });
    Ok(stream::once(async move { Ok(Bytes::from(first)) }).chain(rest).boxed())
}

/// The container whose log is wanted, and what cannot be had any more before it.
fn choose(
    mut containers: Vec<ObservedContainer>,
    request: &LinesRequest,
) -> Result<(ObservedContainer, Option<String>), &'static str> {
    let Some(from) = &request.from else {
        let newest = containers.pop().ok_or("the task has no container that ran")?;
        if !request.selection.previous {
            return Ok((newest, None));
        }
        let previous =
            containers.pop().ok_or("the attempt before is not kept on its node, or there was none")?;
        return Ok((previous, None));
    };
    let wanted = if from.ended { from.attempt.next() } else { from.attempt };
    let later = containers.into_iter().find(|container| container.labels.attempt >= wanted);
    let container = later.ok_or("there is no later attempt")?;
    let found = container.labels.attempt;
    let gone = |wanted: Attempt| match from.ended {
        false => format!("the rest of attempt {wanted} went with its container"),
        true => format!("attempt {wanted} went with its container"),
    };
    Ok((container, (found > wanted).then(|| gone(wanted))))
}

struct Reader {
    runtime: Arc<dyn ContainerRuntime>,
    env: SharedEnv,
    container: ContainerId,
    request: LinesRequest,
    /// Until the first line came.
    tail: Option<u32>,
    /// It was opened before.
    resumes: bool,
    cursor: LogCursor,
    resume: Option<Resume>,
    lines: Option<LogLines>,
    /// Lines whose end has not come.
    unfinished: Vec<LogLine>,
    /// The container has ended, and what may be missing is read once more.
    catching_up: bool,
    /// The runtime's followed logs have each line once.
    exact: bool,
    /// All is known up to a moment ago, and what is new is asked for now and then.
    glancing: bool,
    /// How many lines are asked for.
    glance: usize,
    /// How often in a row nothing was new.
    quiet: u32,
    glanced: Monotonic,
}

impl Reader {
    /// The next frames, and whether more come.
    async fn next(&mut self) -> Result<(Bytes, bool), String> {
        let follow = self.request.selection.follow;
        let mut out = Vec::new();
        loop {
            if self.glancing {
                match self.look_for_more(&mut out).await? {
                    Some(goes_on) => return Ok((out.into(), goes_on)),
                    None => continue,
                }
            }
            if self.lines.is_none() {
                self.unfinished.clear();
                match self.read().await {
                    Ok(lines) => self.lines = Some(lines),
                    Err(RuntimeError::Gone) => {
                        let reason = "its container was removed".to_owned();
                        push(&mut out, &NodeFrame::Ended { reason });
                        return Ok((out.into(), false));
                    }
                    Err(error) => return Err(chain(&error)),
                }
            }
            let next = match &mut self.lines {
                Some(lines) => lines.next().await,
                None => None,
            };
            match next {
                Some(Ok(lines)) => {
                    lines.into_iter().for_each(|line| self.take(line, &mut out));
                    if !out.is_empty() {
                        return Ok((out.into(), true));
                    }
                }
                Some(Err(error)) => return Err(chain(&error)),
                None if follow && !self.exact => (self.lines, self.glancing) = (None, true),
                None => {
                    if let Some(end) = self.at_the_end(follow).await? {
                        self.finish(&mut out);
                        push(&mut out, &end);
                        return Ok((out.into(), false));
                    }
                }
            }
        }
    }

    /// The engine has no more: is that so?
    async fn at_the_end(&mut self, follow: bool) -> Result<Option<NodeFrame>, String> {
        if !follow {
            return Ok(Some(NodeFrame::Read {}));
        }
        self.lines = None;
        let Some(reason) = self.ended().await? else {
            self.env.sleep(AGAIN).await;
            return Ok(None);
        };
        if std::mem::replace(&mut self.catching_up, true) {
            return Ok(Some(NodeFrame::Ended { reason }));
        }
        Ok(None)
    }

    /// How the container ended, if it has.
    async fn ended(&mut self) -> Result<Option<String>, String> {
        let seen = self.runtime.inspect(&self.container).await.map_err(|error| chain(&error))?;
        Ok(match seen.map(|seen| seen.state) {
            Some(ContainerState::Running { .. } | ContainerState::Created) => None,
            Some(ContainerState::Exited(exit)) => Some(exit.describe()),
            Some(ContainerState::Dead) => Some("the engine gave its container up".to_owned()),
            None => Some("its container was removed".to_owned()),
        })
    }

    /// Waits for what is new. Whether more comes after it; `None`: it is too much for a glance.
    async fn look_for_more(&mut self, out: &mut Vec<u8>) -> Result<Option<bool>, String> {
        loop {
            let pause = (PACE.0 * 2_u32.pow(self.quiet.min(4))).min(PACE.1);
            self.env.sleep_until(self.glanced + pause).await;
            self.glanced = self.env.monotonic();
            // Asked before the look: what was written before the end is seen after it.
            let ended = if self.quiet > 0 { self.ended().await? } else { None };
            let resume = Resume::new(self.cursor.clone());
            let since = self.request.selection.since.max(self.cursor.since().map(LogTime::floor));
            let tail = u32::try_from(self.glance).ok();
            let options = LogOptions { since, tail, ..LogOptions::default() };
            let lines = match self.glance_at(&options).await {
                Ok(lines) => lines,
                Err(RuntimeError::Gone) => {
                    push(out, &NodeFrame::Ended { reason: "its container was removed".to_owned() });
                    return Ok(Some(false));
                }
                Err(error) => return Err(chain(&error)),
            };
            if lines.len() >= self.glance {
                (self.glancing, self.glance) = (false, GLANCE.1);
                return Ok(None);
            }
            self.glance = (lines.len() * 2).clamp(GLANCE.0, GLANCE.1);
            self.resume = Some(resume);
            self.unfinished.clear();
            lines.into_iter().for_each(|line| self.take(line, out));
            if let (Some(reason), true) = (ended, out.is_empty()) {
                self.finish(out);
                push(out, &NodeFrame::Ended { reason });
                return Ok(Some(false));
            }
            if !out.is_empty() {
                self.quiet = 0;
                return Ok(Some(true));
            }
            self.quiet = self.quiet.saturating_add(1);
        }
    }

    async fn glance_at(&mut self, options: &LogOptions) -> Result<Vec<LogLine>, RuntimeError> {
        let logs = self.runtime.logs().ok_or(RuntimeError::Gone)?;
        let mut stream = logs.lines(&self.container, options).await?;
        let mut lines = Vec::new();
        while let Some(batch) = stream.next().await {
            lines.extend(batch?);
        }
        Ok(lines)
    }

    async fn read(&mut self) -> Result<LogLines, RuntimeError> {
        let since = self.request.selection.since;
        let mut options = LogOptions { since, ..LogOptions::default() };
        options.follow = self.request.selection.follow && self.exact && !self.catching_up;
        if self.resumes && !self.cursor.awaits_tail() {
            self.resume = Some(Resume::new(self.cursor.clone()));
            options.since = since.max(self.cursor.since().map(LogTime::floor));
        } else {
            options.tail = self.tail;
        }
        self.resumes = true;
        let logs = self.runtime.logs().ok_or(RuntimeError::Gone)?;
        logs.lines(&self.container, &options).await
    }

    fn take(&mut self, line: LogLine, out: &mut Vec<u8>) {
        match line.end {
            LineEnd::Open => self.unfinished.push(line),
            LineEnd::Whole | LineEnd::Cut => self.pass(line, out),
        }
    }

    fn pass(&mut self, line: LogLine, out: &mut Vec<u8>) {
        let place = self.resume.as_mut().map_or(Place::After, |resume| resume.place(line.source, line.at));
        match place {
            Place::Before => return,
            Place::After => {}
            Place::AfterGap => {
                let reason = "lines were rotated away before they were read".to_owned();
                push(out, &NodeFrame::Gap { reason });
            }
        }
        self.cursor.pass(line.source, line.at);
        let text = String::from_utf8_lossy(&line.text).into_owned();
        let cut = line.end == LineEnd::Cut;
        push(out, &NodeFrame::Line { at: line.at, stream: line.source, text, cut });
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        for line in std::mem::take(&mut self.unfinished) {
            self.pass(line, out);
        }
    }
}

fn push(out: &mut Vec<u8>, frame: &NodeFrame) {
    serde_json::to_writer(&mut *out, frame)
        .expect("frames are plain data, and a vector takes what is written");
    out.push(b'\n');
}

fn only(frame: &NodeFrame) -> Pieces {
    let mut out = Vec::new();
    push(&mut out, frame);
    stream::once(async move { Ok(Bytes::from(out)) }).boxed()
}
