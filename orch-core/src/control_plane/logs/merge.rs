//! The logs of several tasks as one stream, in order of time as far as waiting for it is worth it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc, watch};

use super::super::ControlPlane;
use super::pump::{Pump, Sink};
use super::relevant;
use crate::api::logs::{LogCursors, LogFrame, LogSelection};
use crate::cluster::Cluster;
use crate::id::{ServiceId, TaskId};
use crate::runtime::LogTime;
use crate::time::Monotonic;

/// How many batches of a task wait to be merged.
const BATCHES: usize = 4;
/// How long a task that said something a moment ago is waited for, so that its next line can come before others'.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a task is waited for that said nothing yet.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// How often something comes, whatever happens.
const ALIVE: Duration = Duration::from_secs(15);
/// How many frames are answered at once.
const AT_ONCE: usize = 512;

struct Source {
    frames: mpsc::Receiver<Vec<LogFrame>>,
    head: VecDeque<LogFrame>,
    /// Until when its next line is waited for.
    patience: Monotonic,
    closed: bool,
}

impl Source {
    fn fill(&mut self, now: Monotonic) {
        if !self.head.is_empty() {
            return;
        }
        match self.frames.try_recv() {
            Ok(batch) => {
                self.head = batch.into();
                self.patience = now + PATIENCE;
            }
            Err(mpsc::error::TryRecvError::Empty) => {}
            Err(mpsc::error::TryRecvError::Disconnected) => self.closed = true,
        }
    }

    /// When its next frame was written; what is no line goes first.
    fn next_at(&self) -> Option<LogTime> {
        self.head.front().map(|frame| match frame {
            LogFrame::Line(line) => line.at,
            _ => LogTime::UNKNOWN,
        })
    }
}

pub(super) struct Merge {
    plane: ControlPlane,
    /// Whose new tasks are taken in.
    service: Option<ServiceId>,
    images: watch::Receiver<Arc<Cluster>>,
    known: BTreeSet<TaskId>,
    selection: LogSelection,
    pumps: FuturesUnordered<BoxFuture<'static, ()>>,
    sources: Vec<Source>,
    filled: Arc<Notify>,
    alive: Monotonic,
    complete: bool,
}

impl Merge {
    pub(super) fn new(
        plane: ControlPlane,
        service: Option<ServiceId>,
        tasks: Vec<(TaskId, u32)>,
        selection: LogSelection,
        mut cursors: LogCursors,
    ) -> Self {
        let images = plane.shared().published.watch();
        let alive = plane.shared().parts.env.monotonic() + ALIVE;
        let mut merge = Self {
            plane,
            service: service.filter(|_| selection.follow),
            images,
            known: BTreeSet::new(),
            selection,
            pumps: FuturesUnordered::new(),
            sources: Vec::new(),
            filled: Arc::default(),
            alive,
            complete: false,
        };
        let going_on = !cursors.0.is_empty();
        for (task, replica) in tasks {
            let mut selection = merge.selection.clone();
            let cursor = cursors.0.remove(&task);
            if going_on && cursor.is_none() {
                selection.tail = None;
            }
            merge.add(task, replica, selection, cursor);
        }
        // What comes later is read from its beginning.
        merge.selection.tail = None;
        merge
    }

    fn add(
        &mut self,
        task: TaskId,
        replica: u32,
        selection: LogSelection,
        cursor: Option<crate::api::logs::LogCursor>,
    ) {
        if !self.known.insert(task) {
            return;
        }
        let (sender, frames) = mpsc::channel(BATCHES);
        let sink = Sink { frames: sender, filled: Arc::clone(&self.filled) };
        let pump = Pump { plane: self.plane.clone(), task, replica, selection, cursor, sink };
        let filled = Arc::clone(&self.filled);
        self.pumps.push(Box::pin(async move {
            pump.run().await;
            filled.notify_one();
        }));
        let patience = self.now() + FIRST_PATIENCE;
        self.sources.push(Source { frames, head: VecDeque::new(), patience, closed: false });
    }

    fn now(&self) -> Monotonic {
        self.plane.shared().parts.env.monotonic()
    }

    /// Takes in tasks that the service got. False: the service is gone, and no more come.
    fn take_in(&mut self) -> bool {
        let Some(service) = self.service else { return false };
        let image = Arc::clone(&self.images.borrow_and_update());
        for (task, replica) in relevant(&image, service) {
            self.add(task, replica, self.selection.clone(), None);
        }
        image.service(service).is_some()
    }

    /// The next frames; `None` at the end. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Vec<LogFrame>> {
        while !self.complete {
            let more_come = self.take_in();
            let now = self.now();
            let (frames, wait_until) = self.take(now);
            if !frames.is_empty() {
                self.alive = now + ALIVE;
                return Some(frames);
            }
            if self.sources.is_empty() && self.pumps.is_empty() && !more_come {
                self.complete = true;
                return Some(vec![LogFrame::Complete {}]);
            }
            if now >= self.alive {
                self.alive = now + ALIVE;
                return Some(vec![LogFrame::Alive {}]);
            }
            let filled = Arc::clone(&self.filled);
            let shared = Arc::clone(self.plane.shared());
            let late = shared.parts.env.sleep_until(wait_until.unwrap_or(self.alive).min(self.alive));
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => self.complete = true,
                Some(()) = self.pumps.next(), if !self.pumps.is_empty() => {}
                () = filled.notified() => {}
                changed = self.images.changed(), if more_come => if changed.is_err() { self.complete = true },
                () = late => {}
            }
        }
        None
    }

    /// Frames in order of time, as long as no task holds them up; else until when it does.
    fn take(&mut self, now: Monotonic) -> (Vec<LogFrame>, Option<Monotonic>) {
        self.sources.iter_mut().for_each(|source| source.fill(now));
        self.sources.retain(|source| !source.closed || !source.head.is_empty());
        let mut frames = Vec::new();
        while frames.len() < AT_ONCE {
            let mut next: Option<(LogTime, usize)> = None;
            let mut held_up: Option<Monotonic> = None;
            for (i, source) in self.sources.iter().enumerate() {
                match source.next_at() {
                    Some(at) if next.is_none_or(|(first, _)| at < first) => next = Some((at, i)),
                    Some(_) => {}
                    None if !source.closed && source.patience > now => {
                        held_up = Some(held_up.map_or(source.patience, |until| until.min(source.patience)));
                    }
                    None => {}
                }
            }
            let Some((at, i)) = next else { return (frames, None) };
            if let (Some(until), true) = (held_up, at.is_known()) {
                return (frames, Some(until));
            }
            let source = &mut self.sources[i];
            frames.extend(source.head.pop_front());
            source.fill(now);
        }
        (frames, None)
    }
}
