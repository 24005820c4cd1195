//! What is printed: tables for people, JSON for programs, and never a control character that a server's data brought.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use orch_core::api::Time;
use serde::Serialize;

use super::error::{CliError, FAILED};
use super::global::Format;

/// Where a command prints, and how.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    /// Progress may redraw itself.
    pub(super) live: bool,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        Self { format, live: !plain && io::stderr().is_terminal() }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A line on standard output. Control characters are escaped.
    pub(super) fn line(&self, text: impl AsRef<str>) -> Result<(), CliError> {
        self.raw(&printable(text.as_ref()))
    }

    /// Text of our own making, which may hold colours and several lines.
    pub(super) fn raw(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(written)
    }

    /// A remark on standard error, which programs do not read.
    pub(super) fn note(&self, text: impl AsRef<str>) {
        let text: Vec<String> = text.as_ref().lines().map(printable).collect();
        // Nobody is left to tell that standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{}", text.join("\n"));
    }

    /// Tells why the command failed.
    pub(super) fn error(&self, error: &CliError) {
        if error.message.is_empty() {
            return;
        }
        self.note(format!("orch: {}", error.message));
        for line in error.hint.iter().flat_map(|hint| hint.lines()) {
            self.note(format!("      {line}"));
        }
    }

    /// The API's own type, in JSON.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(|e| CliError::failed(e.to_string()))?;
        self.raw(&text)
    }

    /// The same in one line, for answers that follow each other.
    pub(super) fn json_line(&self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value).map_err(|e| CliError::failed(e.to_string()))?;
        self.raw(&text)
    }

    /// Whether somebody looks at standard output.
    pub(super) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// A control sequence of ours.
    pub(super) fn control(&self, sequence: &str) -> Result<(), CliError> {
        write!(io::stdout().lock(), "{sequence}").map_err(written)
    }

    /// Rows under headings. Without rows: `empty` on standard error.
    pub(super) fn table(
        &self,
        headings: &[&str],
        rows: Vec<Vec<String>>,
        empty: &str,
    ) -> Result<(), CliError> {
        if rows.is_empty() {
            self.note(empty);
            return Ok(());
        }
        self.raw(&render(headings, rows))
    }

    /// Names and values, one a line; empty values are left out.
    pub(super) fn fields(&self, fields: &[(&str, String)]) -> Result<(), CliError> {
        let shown: Vec<_> = fields.iter().filter(|(_, value)| !value.is_empty()).collect();
        let width = shown.iter().map(|(name, _)| name.len() + 1).max().unwrap_or(0);
        for (name, value) in shown {
            self.line(format!("{:<width$}  {value}", format!("{name}:")))?;
        }
        Ok(())
    }
}

fn render(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().copied());
    for row in rows {
        let cell = |cell: String| if cell.is_empty() { "-".to_owned() } else { printable(&cell) };
        table.add_row(row.into_iter().map(cell));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Nobody reads any more (`orch … | head`): that is no failure to speak of.
fn written(error: io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        CliError::new(FAILED, "")
    } else {
        CliError::failed(format!("cannot print: {error}"))
    }
}

/// The text with control characters, and those that turn the direction of writing, escaped. Tabs stay.
pub(super) fn printable(text: &str) -> String {
    let harmful = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harmful) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut out, c| {
        if harmful(c) {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
        out
    })
}

/// How long ago, in one unit: `12s`, `3m`, `5h`, `2d`. A clock that is ahead shows `0s`; what was always there, nothing.
pub(super) fn age(at: Time) -> String {
    if at.0.as_micros() <= 0 {
        return String::new();
    }
    age_between(at.0.as_micros(), jiff::Timestamp::now().as_microsecond())
}

/// How long until then, as people say it.
pub(super) fn until(at: Time) -> String {
    format!("in {}", age_between(jiff::Timestamp::now().as_microsecond(), at.0.as_micros()))
}

fn age_between(then: i64, now: i64) -> String {
    let seconds = now.saturating_sub(then).max(0) / 1_000_000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The first eight characters of an id, enough to tell rows apart.
pub(super) fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

/// Bytes as people say them.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let Some((unit, size)) = UNITS.iter().find(|(_, size)| count >= *size) else { return count.to_string() };
    let (whole, tenth) = (count / size, count % size * 10 / size);
    if tenth == 0 || whole >= 10 { format!("{whole}{unit}") } else { format!("{whole}.{tenth}{unit}") }
}

/// Thousandths of a core, or cores.
pub(super) fn cores(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_others_never_reach_the_terminal() {
        let hostile = "a\u{1b}[31mb\r\n\u{202e}c\u{9b}";
        assert_eq!(printable(hostile), "a\\u{1b}[31mb\\u{d}\\u{a}\\u{202e}c\\u{9b}");
        assert_eq!(printable("plain\tünï"), "plain\tünï");
    }

    #[test]
    fn a_table_has_no_borders_and_no_trailing_blanks() {
        let rows = vec![
            vec!["web".to_owned(), "3".to_owned(), String::new()],
            vec!["longer-name".to_owned(), "10".to_owned(), "x\u{7}".to_owned()],
        ];
        let text = render(&["NAME", "N", "NOTE"], rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].starts_with("web          3   -"), "{text:?}");
        assert!(lines[2].ends_with("\\u{7}"), "{text:?}");
        assert!(lines.iter().all(|line| line.trim_end() == *line));
    }

    #[test]
    fn ages_and_amounts_are_short() {
        for (seconds, text) in
            [(0, "0s"), (119, "119s"), (180, "3m"), (7_199, "119m"), (18_000, "5h"), (200_000, "2d")]
        {
            assert_eq!(age_between(0, seconds * 1_000_000), text);
        }
        assert_eq!(age_between(10_000_000, 0), "0s");
        assert_eq!(bytes(134_217_728), "128Mi");
        assert_eq!(bytes(1_610_612_736), "1.5Gi");
        assert_eq!(bytes(12), "12");
        assert_eq!((cores(250), cores(4000)), ("250m".to_owned(), "4".to_owned()));
    }
}
