//! Lines of a log, with the time that the engine noted: what can be merged, and resumed without a line twice or lost.

use std::fmt;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::LogSource;
use crate::time::Timestamp;

/// A line longer than this comes in pieces of this size, each marked [`LineEnd::Cut`] but the last: 32 KiB.
pub const LONGEST_LINE: usize = 32 << 10;

/// When a line was written, by its node's clock, in nanoseconds. Runtimes that do not note it say [`LogTime::UNKNOWN`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime(i64);

impl LogTime {
    /// Nobody noted it.
    pub const UNKNOWN: Self = Self(0);

    /// From nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whether somebody noted it.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// The last microsecond that is not after it.
    #[must_use]
    pub const fn floor(self) -> Timestamp {
        Timestamp::from_micros(self.0.div_euclid(1_000))
    }

    /// Reads RFC 3339.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(time.as_nanosecond()).ok().map(Self)
    }
}

impl From<Timestamp> for LogTime {
    fn from(at: Timestamp) -> Self {
        Self(at.as_micros().saturating_mul(1_000))
    }
}

/// RFC 3339 with nine digits, in UTC; empty where it is not known.
impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) if self.is_known() => write!(f, "{time:.9}"),
            _ => Ok(()),
        }
    }
}

impl Serialize for LogTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::UNKNOWN);
        }
        Self::parse(&text).ok_or_else(|| de::Error::custom("not an RFC 3339 time"))
    }
}

/// How a piece of a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// The line is whole.
    Whole,
    /// It is longer than [`LONGEST_LINE`] and goes on in the next piece.
    Cut,
    /// The log ends here, in the middle of the line; where the container still runs, the rest may come.
    Open,
}

/// A line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When its first byte was noted.
    pub at: LogTime,
    /// Where from.
    pub source: LogSource,
    /// Its bytes.
    pub text: Bytes,
    /// How it ends.
    pub end: LineEnd,
}

/// Puts lines together from what an engine delivers in pieces, for each source apart. Holds [`LONGEST_LINE`] bytes of each at most.
#[derive(Debug, Default)]
pub struct Assembler {
    held: [Option<(LogTime, BytesMut)>; 2],
}

impl Assembler {
    /// Takes a piece that holds no line break but at its end, and appends what became complete to `lines`.
    pub fn push(&mut self, source: LogSource, at: LogTime, piece: &[u8], lines: &mut Vec<LogLine>) {
        let (body, whole) = match piece.strip_suffix(b"\n") {
            Some(body) => (body.strip_suffix(b"\r").unwrap_or(body), true),
            None => (piece, false),
        };
        let slot = &mut self.held[source as usize];
        if slot.is_none() && whole && body.len() <= LONGEST_LINE {
            lines.push(LogLine { at, source, text: Bytes::copy_from_slice(body), end: LineEnd::Whole });
            return;
        }
        let (begun, held) = slot.get_or_insert_with(|| (at, BytesMut::new()));
        held.extend_from_slice(body);
        while held.len() > LONGEST_LINE {
            let text = held.split_to(LONGEST_LINE).freeze();
            lines.push(LogLine { at: *begun, source, text, end: LineEnd::Cut });
        }
        if whole {
            let text = std::mem::take(held).freeze();
            lines.push(LogLine { at: *begun, source, text, end: LineEnd::Whole });
            *slot = None;
        }
    }

    /// What is left at the end of the log.
    pub fn finish(&mut self, lines: &mut Vec<LogLine>) {
        for source in [LogSource::Stdout, LogSource::Stderr] {
            if let Some((at, held)) = self.held[source as usize].take() {
                lines.push(LogLine { at, source, text: held.freeze(), end: LineEnd::Open });
            }
        }
    }
}

/// Cuts bytes after each line break, for engines that deliver them as they come.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: BytesMut,
}

impl Splitter {
    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line with its break; or, where none comes for [`LONGEST_LINE`] bytes, those.
    pub fn next_piece(&mut self) -> Option<Bytes> {
        let window = &self.buffer[..self.buffer.len().min(LONGEST_LINE)];
        let end = window.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let end = end.or_else(|| (window.len() == LONGEST_LINE).then_some(LONGEST_LINE))?;
        Some(self.buffer.split_to(end).freeze())
    }

    /// What is left at the end.
    pub fn rest(&mut self) -> Option<Bytes> {
        let rest = self.buffer.split().freeze();
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_nanoseconds() {
        let text = "2026-11-25T03:07:16.123456789Z";
        let time = LogTime::parse(text).unwrap();
        assert_eq!(time.to_string(), text);
        assert_eq!(serde_json::from_str::<LogTime>(&format!("\"{text}\"")).unwrap(), time);
        assert_eq!(LogTime::from(time.floor()).as_nanos(), time.as_nanos() - 789);
        assert_eq!(serde_json::from_str::<LogTime>("\"\"").unwrap(), LogTime::UNKNOWN);
        assert!(serde_json::from_str::<LogTime>("\"noon\"").is_err());
    }

    #[test]
    fn pieces_of_two_sources_never_mix_within_a_line() {
        let (mut assembler, mut lines) = (Assembler::default(), Vec::new());
        let at = LogTime::from_nanos;
        assembler.push(LogSource::Stdout, at(1), b"one, ", &mut lines);
        assembler.push(LogSource::Stderr, at(2), b"oops\n", &mut lines);
        assembler.push(LogSource::Stdout, at(3), b"whole\r\n", &mut lines);
        assembler.push(LogSource::Stderr, at(4), b"unfinished", &mut lines);
        assembler.finish(&mut lines);
        let got: Vec<_> = lines.iter().map(|line| (line.at, line.source, &line.text[..], line.end)).collect();
        let expected: Vec<(_, _, &[u8], _)> = vec![
            (at(2), LogSource::Stderr, b"oops", LineEnd::Whole),
            (at(1), LogSource::Stdout, b"one, whole", LineEnd::Whole),
            (at(4), LogSource::Stderr, b"unfinished", LineEnd::Open),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn a_line_without_end_is_cut_and_not_collected() {
        let (mut assembler, mut lines) = (Assembler::default(), Vec::new());
        for _ in 0..9 {
            assembler.push(LogSource::Stdout, LogTime::from_nanos(1), &[b'x'; 16 << 10], &mut lines);
        }
        assembler.push(LogSource::Stdout, LogTime::from_nanos(1), b"y\n", &mut lines);
        assert!(lines[..lines.len() - 1].iter().all(|line| line.end == LineEnd::Cut));
        let whole: Vec<u8> = lines.iter().flat_map(|line| line.text.to_vec()).collect();
        assert_eq!(whole.len(), 9 * (16 << 10) + 1);
        let mut splitter = Splitter::default();
        splitter.push(&[b'x'; LONGEST_LINE + 1]);
        assert_eq!(splitter.next_piece().unwrap().len(), LONGEST_LINE);
        assert_eq!((splitter.next_piece(), splitter.rest().unwrap().len()), (None, 1));
    }
}
