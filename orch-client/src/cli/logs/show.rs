//! Lines of several replicas on one terminal: who speaks, in a colour of its own.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use orch_core::api::logs::{LogFrame, LogLineFrame};
use orch_core::id::TaskId;
use orch_core::runtime::LogSource;

use super::super::error::CliError;
use super::super::output::{Output, printable, short};

/// Colours that can be told apart on light and dark, none of which means trouble.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 96];

pub(super) struct Printer {
    service: String,
    colour: bool,
    prefix: bool,
    timestamps: bool,
    grep: Option<String>,
    /// What was cut off a line that is too long for one frame, until its end comes.
    cut: BTreeMap<(TaskId, LogSource), String>,
    lines: u64,
}

impl Printer {
    pub(super) fn new(service: &str, prefix: bool, timestamps: bool, grep: Option<String>) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = !plain && std::io::stdout().is_terminal();
        let service = service.to_owned();
        Self { service, colour, prefix, timestamps, grep, cut: BTreeMap::new(), lines: 0 }
    }

    /// How many lines came, shown or not.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn show(&mut self, frame: &LogFrame, out: &Output) -> Result<(), CliError> {
        if let LogFrame::Line(_) = frame {
            self.lines += 1;
        }
        if out.is_json() {
            let text = serde_json::to_string(frame).map_err(|e| CliError::failed(e.to_string()))?;
            let hidden = matches!((frame, &self.grep), (LogFrame::Line(line), Some(text)) if !line.text.contains(text.as_str()));
            return if hidden { Ok(()) } else { out.raw(&text) };
        }
        match frame {
            LogFrame::Line(line) => match self.line(line) {
                Some(text) => out.raw(&text),
                None => Ok(()),
            },
            LogFrame::Gap(gap) => {
                let lines = gap.lines.map_or_else(|| "lines".to_owned(), |lines| format!("{lines} lines"));
                self.remark(out, gap.task, gap.replica, &format!("gap: {lines}: {}", gap.reason));
                Ok(())
            }
            LogFrame::Away(away) => {
                self.remark(out, away.task, away.replica, &away.reason);
                Ok(())
            }
            LogFrame::End(end) => {
                let text = format!("attempt {} ended: {}", end.attempt, end.reason);
                self.remark(out, end.task, end.replica, &text);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The line as it is shown; `None`: not now, or not at all.
    fn line(&mut self, line: &LogLineFrame) -> Option<String> {
        let key = (line.task, line.stream);
        if line.cut {
            // Joined, so that no other line comes in between; but not without end.
            let held = self.cut.entry(key).or_default();
            held.push_str(&line.text);
            if held.len() < 1 << 20 {
                return None;
            }
        }
        let begun = self.cut.remove(&key);
        let text = match begun {
            Some(held) if line.cut => held,
            Some(held) => held + &line.text,
            None => line.text.clone(),
        };
        if self.grep.as_ref().is_some_and(|wanted| !text.contains(wanted.as_str())) {
            return None;
        }
        let time = match self.timestamps && line.at.is_known() {
            true => format!("{} ", line.at),
            false => String::new(),
        };
        let prefix = if self.prefix { self.prefix_of(line.task, line.replica) } else { String::new() };
        Some(format!("{prefix}{time}{}", shown(&text, self.colour)))
    }

    /// `web.2/1a2b3c4d | `
    fn prefix_of(&self, task: TaskId, replica: u32) -> String {
        let name = printable(&format!("{}.{replica}/{} | ", self.service, short(&task.to_string())));
        match self.colour {
            false => name,
            true => {
                let colour =
                    COLOURS[task.to_string().bytes().map(usize::from).sum::<usize>() % COLOURS.len()];
                format!("\u{1b}[{colour}m{name}\u{1b}[0m")
            }
        }
    }

    /// What is said of a log and not by it goes where programs do not read.
    fn remark(&self, out: &Output, task: TaskId, replica: u32, text: &str) {
        out.note(format!("{}.{replica}/{}: {text}", self.service, short(&task.to_string())));
    }
}

/// Colours of the program itself are let through to a terminal; whatever else would steer it is not.
fn shown(line: &str, colour: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        out.push_str(&printable(&rest[..at]));
        let body = &rest[at + 2..];
        let end = body.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(body.len());
        if body[end..].starts_with('m') {
            if colour {
                out.push_str(&rest[at..at + 2 + end + 1]);
            }
            rest = &body[end + 1..];
        } else {
            out.push_str("\\u{1b}[");
            rest = body;
        }
    }
    out.push_str(&printable(rest));
    if colour && line.contains("\u{1b}[") {
        out.push_str("\u{1b}[0m");
    }
    out
}

#[cfg(test)]
mod tests {
    use orch_core::runtime::LogTime;
    use serde_json::json;

    use super::*;

    fn line(text: &str, cut: bool) -> LogLineFrame {
        let at = LogTime::from_nanos(1_700_000_000_000_000_000);
        serde_json::from_value(json!({
            "task": "1a2b3c4d-0000-4000-8000-000000000000", "replica": 2, "attempt": 1,
            "at": at, "stream": "stdout", "text": text, "cut": cut,
        }))
        .unwrap()
    }

    #[test]
    fn a_line_says_who_speaks_and_long_ones_are_joined() {
        let mut printer = Printer::new("web", true, true, None);
        printer.colour = false;
        let shown = printer.line(&line("hello", false)).unwrap();
        assert_eq!(shown, "web.2/1a2b3c4d | 2023-11-14T22:13:20.000000000Z hello");
        printer.timestamps = false;
        assert_eq!(printer.line(&line("one, ", true)), None);
        assert_eq!(printer.line(&line("two", false)).unwrap(), "web.2/1a2b3c4d | one, two");
        printer.grep = Some("error [".to_owned());
        assert_eq!(printer.line(&line("all is well", false)), None);
        assert!(printer.line(&line("an error [7]", false)).is_some());
    }

    #[test]
    fn colours_pass_to_terminals_only_and_everything_else_that_steers_one_is_escaped() {
        assert_eq!(shown("plain", true), "plain");
        assert_eq!(shown("\u{1b}[1;31mred\u{1b}[0m", true), "\u{1b}[1;31mred\u{1b}[0m\u{1b}[0m");
        assert_eq!(shown("\u{1b}[1;31mred\u{1b}[0m", false), "red");
        assert_eq!(shown("\u{1b}[2Jgone\u{7}", true), "\\u{1b}[2Jgone\\u{7}\u{1b}[0m");
        assert_eq!(shown("\u{1b}]0;title\u{7}", true), "\\u{1b}]0;title\\u{7}");
    }
}
