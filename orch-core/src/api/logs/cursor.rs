//! Where a reader of a log is, so that it goes on there after whatever cut it off.
//!
//! An engine reads on from a time, and several lines can bear the same one: so the place is the time of the last line and how many
//! lines of that time were read. Standard output and standard error are noted by two writers, whose lines stand in time's order each
//! but not together: so each has a place of its own. A node's clock that is set back puts the lines of the time that
//! it repeats before the place: after a cut those are not read again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frame::LogFrame;
use crate::id::TaskId;
use crate::runtime::{LogSource, LogTime};
use crate::task::Attempt;

/// How far back the engine is asked again: two writers are never further apart in a log.
const MARGIN_NANOS: i64 = 1_000_000_000;

/// A place in the log of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LogCursor {
    /// The attempt.
    pub attempt: Attempt,
    /// It was read to its end: what is next is of a later attempt.
    pub ended: bool,
    /// What is wanted where no line was read yet.
    start: Start,
    /// By source: standard output, standard error.
    marks: [Mark; 2],
}

/// What is wanted of a source of which no line was read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
enum Start {
    /// All.
    All,
    /// What comes from the first line of the tail on, which was not read yet.
    Tail,
    /// What comes from there on.
    From(LogTime),
}

/// The last line of a source: its time, and how many of that time were read. No lines: none was read yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
struct Mark {
    /// When it was written.
    at: LogTime,
    /// How many of that time.
    lines: u32,
}

impl LogCursor {
    /// At the beginning of an attempt's log that was opened at a time; `tail`: with how many lines of what was there.
    #[must_use]
    pub fn opened(attempt: Attempt, at: LogTime, tail: Option<u32>) -> Self {
        let start = match tail {
            None => Start::All,
            Some(0) => Start::From(at),
            Some(_) => Start::Tail,
        };
        Self { attempt, ended: false, start, marks: Default::default() }
    }

    /// A line was read.
    pub fn pass(&mut self, source: LogSource, at: LogTime) {
        if self.start == Start::Tail {
            self.start = Start::From(at);
        }
        let mark = &mut self.marks[source as usize];
        if mark.lines == 0 || at > mark.at {
            *mark = Mark { at, lines: 1 };
        } else if at == mark.at {
            mark.lines += 1;
        }
    }

    /// From when on the engine is to be asked; `None`: from the beginning.
    #[must_use]
    pub fn since(&self) -> Option<LogTime> {
        let seen = || self.marks.iter().filter(|mark| mark.lines > 0).map(|mark| mark.at);
        let Some(newest) = seen().max() else { return self.first() };
        let margin = LogTime::from_nanos(newest.as_nanos().saturating_sub(MARGIN_NANOS));
        let needed = match seen().count() {
            2 => seen().min(),
            _ => self.first(),
        };
        newest.is_known().then(|| needed.map_or(margin, |needed| needed.max(margin)).min(newest))
    }

    /// Whether no line of the tail was read yet: then the tail is still what is wanted.
    #[must_use]
    pub fn awaits_tail(&self) -> bool {
        self.start == Start::Tail && !self.ended
    }

    fn first(&self) -> Option<LogTime> {
        match self.start {
            Start::From(first) => Some(first),
            Start::All | Start::Tail => None,
        }
    }
}

/// Tells lines that were read before from those that were not, while a log is read again from [`LogCursor::since`].
#[derive(Debug)]
pub struct Resume {
    cursor: LogCursor,
    again: [u32; 2],
    past: [bool; 2],
}

/// How a line stands to a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It was read before.
    Before,
    /// It is new.
    After,
    /// It is new, and what was read last is no longer there: others between the two may be gone too.
    AfterGap,
}

impl Resume {
    /// From there on.
    #[must_use]
    pub fn new(cursor: LogCursor) -> Self {
        Self { cursor, again: [0; 2], past: [false; 2] }
    }

    /// The next line of the log.
    pub fn place(&mut self, source: LogSource, at: LogTime) -> Place {
        let i = source as usize;
        let mark = self.cursor.marks[i];
        if self.past[i] {
            return Place::After;
        }
        if mark.lines == 0 {
            let early = self.cursor.first().is_some_and(|first| at < first);
            self.past[i] = !early;
            return if early { Place::Before } else { Place::After };
        }
        if at < mark.at {
            return Place::Before;
        }
        if at == mark.at && self.again[i] < mark.lines {
            self.again[i] += 1;
            return Place::Before;
        }
        self.past[i] = true;
        let read_again = self.cursor.since().is_none_or(|since| mark.at >= since);
        if read_again && self.again[i] < mark.lines { Place::AfterGap } else { Place::After }
    }
}

/// Where a reader is in the logs of several tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogCursors(pub BTreeMap<TaskId, LogCursor>);

impl LogCursors {
    /// Takes note of a frame; `tail` as the logs were asked for.
    pub fn note(&mut self, frame: &LogFrame, tail: Option<u32>) {
        match frame {
            LogFrame::Open(open) => {
                let known = self.0.get(&open.task).is_some_and(|cursor| cursor.attempt == open.attempt);
                if !known {
                    self.0.insert(open.task, LogCursor::opened(open.attempt, open.at, tail));
                }
            }
            LogFrame::Line(line) => {
                if let Some(cursor) = self.0.get_mut(&line.task) {
                    cursor.pass(line.stream, line.at);
                }
            }
            LogFrame::End(end) => {
                if let Some(cursor) = self.0.get_mut(&end.task) {
                    cursor.ended = true;
                }
            }
            _ => {}
        }
    }
}

/// `task:attempt:ended:start:stdout:stderr`, commas between tasks; times in nanoseconds, each with how many lines.
impl fmt::Display for LogCursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (task, cursor)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{task}:{}:{}:", cursor.attempt, u8::from(cursor.ended))?;
            match cursor.start {
                Start::All => {}
                Start::Tail => write!(f, "t")?,
                Start::From(first) => write!(f, "{}", first.as_nanos())?,
            }
            for mark in cursor.marks {
                write!(f, ":{}.{}", mark.at.as_nanos(), mark.lines)?;
            }
        }
        Ok(())
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in logs")]
pub struct NoCursor;

impl FromStr for LogCursors {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let entries = text.split(',').filter(|entry| !entry.is_empty());
        entries.map(|entry| one(entry).ok_or(NoCursor)).collect::<Result<_, _>>().map(Self)
    }
}

fn one(text: &str) -> Option<(TaskId, LogCursor)> {
    let mut fields = text.split(':');
    let task = fields.next()?.parse().ok()?;
    let attempt = Attempt(fields.next()?.parse().ok()?);
    let ended = match fields.next()? {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    let start = match fields.next()? {
        "" => Start::All,
        "t" => Start::Tail,
        nanos => Start::From(LogTime::from_nanos(nanos.parse().ok()?)),
    };
    let mut mark = || {
        let (at, lines) = fields.next()?.split_once('.')?;
        Some(Mark { at: LogTime::from_nanos(at.parse().ok()?), lines: lines.parse().ok()? })
    };
    let marks = [mark()?, mark()?];
    fields.next().is_none().then_some((task, LogCursor { attempt, ended, start, marks }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sources() -> impl Strategy<Value = LogSource> {
        prop_oneof![Just(LogSource::Stdout), Just(LogSource::Stderr)]
    }

    /// A log as an engine keeps it: each source in order, the two shuffled against each other by less than the margin, times often equal.
    fn logs() -> impl Strategy<Value = Vec<(LogSource, LogTime)>> {
        prop::collection::vec((sources(), 0i64..3, 0i64..2), 1..60).prop_map(|steps| {
            let base = 1_700_000_000_000_000_000;
            let mut clocks = [base, base];
            let step = |(source, forward, lag): (LogSource, i64, i64)| {
                let other = clocks[1 - source as usize];
                let clock = &mut clocks[source as usize];
                *clock = (*clock + forward * 1_000_000_000).max(other - lag * 1_000_000_000);
                (source, LogTime::from_nanos(*clock))
            };
            steps.into_iter().map(step).collect()
        })
    }

    proptest! {
        /// A reader that is cut off anywhere, and again, reads each line once: without the count of equal times, or with one
        /// place for both sources, it fails.
        #[test]
        fn a_log_that_is_cut_off_anywhere_goes_on_with_the_next_line(log in logs(), cuts in prop::collection::vec(0usize..60, 0..4)) {
            let mut cursor = LogCursor::opened(Attempt::FIRST, LogTime::UNKNOWN, None);
            let mut read = Vec::new();
            for limit in cuts.into_iter().chain([usize::MAX]) {
                let since = cursor.since().map(|at| LogTime::from(at.floor()));
                let mut resume = Resume::new(cursor.clone());
                let kept = log.iter().enumerate().filter(|(_, (_, at))| since.is_none_or(|since| *at >= since));
                let mut taken = 0;
                for (i, (source, at)) in kept {
                    if taken == limit { break }
                    match resume.place(*source, *at) {
                        Place::Before => {}
                        Place::After => { read.push(i); cursor.pass(*source, *at); taken += 1; }
                        Place::AfterGap => prop_assert!(false, "nothing was rotated away"),
                    }
                }
            }
            prop_assert_eq!(read, (0..log.len()).collect::<Vec<_>>());
        }

        #[test]
        fn a_cursor_survives_the_wire(log in logs(), ended: bool, tail in prop::option::of(0u32..3)) {
            let mut cursor = LogCursor::opened(Attempt(3), LogTime::from_nanos(7), tail);
            cursor.ended = ended;
            log.iter().for_each(|(source, at)| cursor.pass(*source, *at));
            let id = |n: u128| uuid::Uuid::from_u128(n).to_string().parse::<TaskId>().unwrap();
            let cursors = LogCursors([(id(5), cursor.clone()), (id(6), cursor)].into());
            prop_assert_eq!(cursors.to_string().parse::<LogCursors>(), Ok(cursors));
        }
    }

    #[test]
    fn what_was_rotated_away_is_told() {
        let at = |s: i64| LogTime::from_nanos(1_700_000_000_000_000_000 + s * 1_000_000_000);
        let mut cursor = LogCursor::opened(Attempt::FIRST, LogTime::UNKNOWN, None);
        cursor.pass(LogSource::Stdout, at(10));
        let mut resume = Resume::new(cursor);
        assert_eq!(resume.place(LogSource::Stdout, at(12)), Place::AfterGap);
        assert_eq!(resume.place(LogSource::Stdout, at(12)), Place::After);
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "x",
            "00000000-0000-4000-8000-000000000000:1:0:",
            "00000000-0000-4000-8000-000000000000:1:2::0.0:0.0",
        ] {
            assert_eq!(text.parse::<LogCursors>(), Err(NoCursor), "{text}");
        }
        assert_eq!("".parse::<LogCursors>(), Ok(LogCursors::default()));
    }
}
