//! The log of one task, attempt after attempt, over whatever cuts it off: agent, engine, connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::sync::{Notify, mpsc, watch};

use super::super::ControlPlane;
use super::super::streams::{TICKET_LIFE, Waiting};
use crate::agent::{LinesRequest, NodeFrame, StreamKind};
use crate::api::logs::{LogAway, LogCursor, LogEnd, LogFrame, LogGap, LogLineFrame, LogOpen, LogSelection};
use crate::cluster::Cluster;
use crate::env::EnvExt as _;
use crate::id::{NodeId, TaskId};
use crate::node::NodeStatus;

/// How long until a stream that broke is asked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long until an agent is asked again for what it did not have, if nothing changes.
const LOOK: Duration = Duration::from_secs(2);
/// How often a read that does not follow is begun again.
const TRIES: u32 = 5;
/// No line of an agent's stream is longer: 32 KiB of text, each byte escaped.
const LONGEST: usize = 256 << 10;

/// Where a pump's frames go. A full channel holds the pump up, and so the agent and the engine.
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) frames: mpsc::Sender<Vec<LogFrame>>,
    pub(super) filled: Arc<Notify>,
}

impl Sink {
    /// False: nobody listens any more.
    async fn send(&self, frames: Vec<LogFrame>) -> bool {
        let sent = self.frames.send(frames).await.is_ok();
        self.filled.notify_one();
        sent
    }
}

pub(super) struct Pump {
    pub(super) plane: ControlPlane,
    pub(super) task: TaskId,
    pub(super) replica: u32,
    pub(super) selection: LogSelection,
    pub(super) cursor: Option<LogCursor>,
    pub(super) sink: Sink,
}

/// Where a task is, as far as its log is concerned.
enum Whereabouts {
    Gone,
    Away(&'static str),
    At { node: NodeId, finished: bool },
}

fn whereabouts(image: &Cluster, task: TaskId) -> Whereabouts {
    let Some(row) = image.task(task) else { return Whereabouts::Gone };
    let Some(node) = row.node else {
        return if row.status.is_terminal() {
            Whereabouts::Gone
        } else {
            Whereabouts::Away("it has no node yet")
        };
    };
    match image.node(node).map(|node| node.status) {
        Some(NodeStatus::Ready | NodeStatus::Draining) => {
            Whereabouts::At { node, finished: row.status.is_terminal() }
        }
        Some(NodeStatus::Revoked) => Whereabouts::Away("its node is revoked"),
        Some(_) => Whereabouts::Away("its node is offline"),
        None => Whereabouts::Gone,
    }
}

/// How one delivery ended.
enum Ended {
    /// The attempt did.
    Attempt,
    /// All was read that was there.
    Read,
    /// The agent has nothing to deliver.
    Missing(String),
    /// It did not answer.
    Silent(String),
    /// Too much is asked of its node at the moment.
    Busy,
    /// It was cut off.
    Broken,
    /// Nobody listens any more.
    Unheard,
}

impl Pump {
    pub(super) async fn run(mut self) {
        let mut images = self.plane.shared().published.watch();
        let (mut told, mut broken) = (None, 0);
        loop {
            let place = whereabouts(&images.borrow_and_update(), self.task);
            let (node, finished) = match place {
                Whereabouts::Gone => return,
                Whereabouts::At { node, finished } => (node, finished),
                Whereabouts::Away(reason) => {
                    if !self.away(reason, &mut told).await || !self.selection.follow {
                        return;
                    }
                    if images.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            match self.deliver(node).await {
                Ended::Unheard | Ended::Read => return,
                Ended::Attempt if !self.selection.follow => return,
                Ended::Attempt => (told, broken) = (None, 0),
                Ended::Missing(reason) => {
                    let awaited = self.selection.follow && !finished;
                    if !awaited {
                        if self.cursor.is_none() {
                            self.away(&reason, &mut told).await;
                        }
                        return;
                    }
                    self.pause(LOOK, Some(&mut images)).await;
                }
                Ended::Silent(reason) => {
                    if !self.away(&reason, &mut told).await || !self.selection.follow {
                        return;
                    }
                    self.pause(AGAIN, None).await;
                }
                Ended::Busy => self.pause(AGAIN, None).await,
                Ended::Broken => {
                    broken += 1;
                    if !self.selection.follow && broken >= TRIES {
                        self.away("its agent cut the log off again and again", &mut told).await;
                        return;
                    }
                    self.pause(AGAIN, None).await;
                }
            }
        }
    }

    /// Says once why there is nothing to read. False: nobody listens any more.
    async fn away(&self, reason: &str, told: &mut Option<String>) -> bool {
        if told.as_deref() == Some(reason) {
            return true;
        }
        *told = Some(reason.to_owned());
        let (task, replica) = (self.task, self.replica);
        self.sink.send(vec![LogFrame::Away(LogAway { task, replica, reason: reason.to_owned() })]).await
    }

    async fn pause(&self, limit: Duration, images: Option<&mut watch::Receiver<Arc<Cluster>>>) {
        let late = self.plane.shared().parts.env.sleep(limit);
        match images {
            None => late.await,
            Some(images) => tokio::select! {
                biased;
                () = late => {}
                _ = images.changed() => {}
            },
        }
    }

    async fn deliver(&mut self, node: NodeId) -> Ended {
        let mut selection = self.selection.clone();
        let from = self.cursor.clone().filter(|cursor| !cursor.awaits_tail());
        if from.is_some() {
            selection.tail = None;
        }
        let kind = StreamKind::Lines(LinesRequest { selection, from });
        let Some(mut waiting) = self.plane.request_stream(node, self.task, kind) else {
            return Ended::Busy;
        };
        let late = self.plane.shared().parts.env.sleep(TICKET_LIFE);
        let connected = waiting.connected.take().expect("it is taken once");
        tokio::select! {
            biased;
            connected = connected => if connected.is_err() { return Ended::Broken },
            () = late => {
                let seconds = TICKET_LIFE.as_secs();
                return Ended::Silent(format!("its node's agent did not answer in {seconds} seconds"));
            }
        }
        self.pass_on(waiting).await
    }

    async fn pass_on(&mut self, mut waiting: Waiting) -> Ended {
        let mut held = BytesMut::new();
        while let Some(Ok(piece)) = waiting.pieces.recv().await {
            held.extend_from_slice(&piece);
            let (mut frames, mut end) = (Vec::new(), None);
            while let Some(line) = next_line(&mut held) {
                let Ok(frame) = serde_json::from_slice(&line) else { return Ended::Broken };
                end = self.translate(frame, &mut frames);
                if end.is_some() {
                    break;
                }
            }
            if held.len() > LONGEST {
                return Ended::Broken;
            }
            if !frames.is_empty() && !self.sink.send(frames).await {
                return Ended::Unheard;
            }
            if let Some(end) = end {
                return end;
            }
        }
        Ended::Broken
    }

    /// The agent's frame as the reader gets it. Whose it is, the ticket says.
    fn translate(&mut self, frame: NodeFrame, frames: &mut Vec<LogFrame>) -> Option<Ended> {
        let (task, replica) = (self.task, self.replica);
        let attempt = self.cursor.as_ref().map(|cursor| cursor.attempt).unwrap_or_default();
        match frame {
            NodeFrame::Open { attempt, at } => {
                if self.cursor.as_ref().is_none_or(|cursor| cursor.attempt != attempt) {
                    // Of attempts after the first that was read, all is wanted.
                    let tail = self.selection.tail.filter(|_| self.cursor.is_none());
                    self.cursor = Some(LogCursor::opened(attempt, at, tail));
                }
                frames.push(LogFrame::Open(LogOpen { task, replica, attempt, at }));
            }
            NodeFrame::Line { at, stream, text, cut } => {
                if let Some(cursor) = &mut self.cursor {
                    cursor.pass(stream, at);
                }
                frames.push(LogFrame::Line(LogLineFrame { task, replica, attempt, at, stream, text, cut }));
            }
            NodeFrame::Gap { reason } => {
                frames.push(LogFrame::Gap(LogGap { task, replica, lines: None, reason }));
            }
            NodeFrame::Ended { reason } => {
                if let Some(cursor) = &mut self.cursor {
                    cursor.ended = true;
                }
                frames.push(LogFrame::End(LogEnd { task, replica, attempt, reason }));
                return Some(Ended::Attempt);
            }
            NodeFrame::Missing { reason } => return Some(Ended::Missing(reason)),
            NodeFrame::Read {} => return Some(Ended::Read),
        }
        None
    }
}

fn next_line(held: &mut BytesMut) -> Option<Bytes> {
    let end = held.iter().position(|byte| *byte == b'\n')?;
    let line = held.split_to(end).freeze();
    held.advance(1);
    Some(line)
}
