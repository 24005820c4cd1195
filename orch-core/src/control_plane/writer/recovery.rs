//! When the store does not take what is decided: what is tried, when, and what callers hear meanwhile.

use std::time::Duration;

use super::super::call::{Cause, Settled};
use super::super::clock;
use super::super::group::Outcome;
use super::super::health::Health;
use super::super::metric;
use super::Writer;
use crate::cluster::Cluster;
use crate::env::EnvExt as _;
use crate::id::IdStream;
use crate::store::{CommitError, Epoch, Image, StoreError};
use crate::time::Monotonic;

/// A commit that takes longer counts as one whose outcome is not known.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The first pause after a group was not written, doubled up to [`LONGEST_PAUSE`].
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether the store takes what is decided.
pub(super) enum Mode {
    Writing,
    /// Nothing is decided for now.
    Waiting(Wait),
    /// Another writer took over. There is no way back but a new start.
    Fenced,
}

pub(super) struct Wait {
    pub(super) until: Monotonic,
    then: Then,
    /// For callers and for `readyz`.
    why: String,
}

/// What is tried after a wait.
#[derive(Clone, Copy)]
enum Then {
    /// To write: the last group surely was not written.
    Write,
    /// To load everything anew: it is not known what the store holds.
    Reopen,
}

impl Writer {
    /// A group is not, or not surely, written: `head` goes back, and what the group was about is done again.
    pub(super) fn failed(&mut self, mut outcome: Outcome, error: CommitError) {
        let now = self.env.monotonic();
        self.head = (*self.shared.published.image()).clone();
        outcome.looks.keys().for_each(|service| self.dirty.mark(*service));
        std::mem::take(&mut outcome.fired).into_iter().for_each(|timer| self.timers.set(timer, now));
        let settled = match error {
            CommitError::NotWritten(cause) => {
                metric::commit_failed("not_written");
                tracing::warn!(error = %told(&*cause), pause = ?self.pause, "a group was not written");
                self.not_written(&*cause)
            }
            CommitError::Unknown(cause) => {
                metric::commit_failed("unknown");
                tracing::error!(error = %told(&*cause), "it is not known whether a group was written: loading again");
                self.unknown();
                Settled::Unknown { cause: Cause::new(cause) }
            }
            fenced @ CommitError::Fenced { .. } => {
                metric::commit_failed("fenced");
                self.fence(&fenced);
                Settled::NotWritten { retry_after: LONGEST_PAUSE, cause: Cause::new(fenced) }
            }
        };
        outcome.settle(&settled);
    }

    /// What a store answers, if it does in time: one that hangs must not hold the writer for ever.
    pub(super) async fn in_limit<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let timeout = self.env.sleep(COMMIT_TIMEOUT);
        tokio::select! {
            biased;
            answer = answer => Some(answer),
            () = timeout => None,
        }
    }

    /// Tries to get out of a wait that is over.
    pub(super) async fn recover(&mut self) {
        let now = self.env.monotonic();
        let then = match &self.mode {
            Mode::Waiting(wait) if wait.until <= now => wait.then,
            _ => return,
        };
        match then {
            Then::Write => {
                // An empty group shows whether the store takes writes again, and whether they are still ours to make.
                let base = self.head.revision();
                let commit = self.shared.parts.store.commit(self.epoch, base, &[]);
                match self.in_limit(commit).await.unwrap_or_else(|| Err(no_answer())) {
                    Ok(_) => self.resume(),
                    Err(CommitError::NotWritten(cause)) => drop(self.not_written(&*cause)),
                    Err(CommitError::Unknown(_)) => self.unknown(),
                    Err(fenced @ CommitError::Fenced { .. }) => self.fence(&fenced),
                }
            }
            Then::Reopen => {
                let fresh = IdStream::seeded(self.env.random_u64()).next();
                let why = match self.in_limit(self.shared.parts.store.open(fresh)).await {
                    Some(Ok((epoch, image))) => return self.reload(epoch, image),
                    None => {
                        tracing::warn!("the store does not answer");
                        "the store does not answer".to_owned()
                    }
                    Some(Err(error)) => {
                        tracing::warn!(error = %told(&error), "the store could not be opened again");
                        match error {
                            StoreError::Corrupt { .. } => "the store cannot be read".to_owned(),
                            StoreError::Unavailable(cause) => format!("the store cannot be opened: {cause}"),
                        }
                    }
                };
                self.pause(Then::Reopen, why);
            }
        }
    }

    fn reload(&mut self, epoch: Epoch, image: Image) {
        self.epoch = epoch;
        self.shared.clock.not_before(clock::newest(&image.rows));
        self.head = Cluster::from_rows(image.cluster, image.revision, image.rows);
        self.shared.published.reloaded(&self.head, &self.shared.liveness);
        self.arm();
        self.resume();
    }

    /// What callers hear while nothing is decided.
    pub(super) fn refusal(&self) -> Option<Settled> {
        let now = self.env.monotonic();
        let (retry_after, cause) = match &self.mode {
            Mode::Writing => return None,
            Mode::Waiting(wait) => (wait.until.since(now), wait.why.as_str()),
            Mode::Fenced => (LONGEST_PAUSE, "another server has the right to write"),
        };
        Some(Settled::NotWritten { retry_after: retry_after.max(FIRST_PAUSE), cause: Cause::new(cause) })
    }

    pub(super) fn resume(&mut self) {
        if !matches!(self.mode, Mode::Writing) {
            tracing::info!("the store takes writes again");
            self.mode = Mode::Writing;
            self.shared.health.set(Health::Ready);
        }
        self.pause = FIRST_PAUSE;
    }

    fn not_written(&mut self, cause: &dyn std::error::Error) -> Settled {
        let why = format!("the store cannot be written: {cause}");
        let retry_after = self.pause(Then::Write, why.clone());
        Settled::NotWritten { retry_after, cause: Cause::new(why) }
    }

    fn unknown(&mut self) {
        self.wait(Duration::ZERO, Then::Reopen, "what the store holds is being read again".to_owned());
    }

    /// Waits longer each time. Answers how long.
    fn pause(&mut self, then: Then, why: String) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        self.wait(pause, then, why);
        pause
    }

    fn wait(&mut self, pause: Duration, then: Then, why: String) {
        self.shared.health.set(Health::NotReady { reason: why.clone() });
        self.mode = Mode::Waiting(Wait { until: self.in_time(pause), then, why });
    }

    fn fence(&mut self, error: &CommitError) {
        tracing::error!(%error, "this server no longer writes");
        self.mode = Mode::Fenced;
        self.shared.health.set(Health::Fenced);
        // Polls and reads of a fenced server would answer what is no longer true.
        self.shared.published.bells.ring_all();
    }
}

pub(super) fn no_answer() -> CommitError {
    CommitError::Unknown("the store did not answer in 30 seconds".into())
}

/// An error with what it comes from, for the log.
fn told(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
