//! Reading typed values out of the tree. Every problem is noted, and reading goes on: people mend a file once, not line by line.

use std::collections::BTreeMap;

use orch_core::api::strict::{closest, snake};
use orch_core::api::{Cpu, Memory, Nanos};

use super::node::{Key, Node, Value};
use super::problem::{Position, Problem};
use super::words::camel;

/// A value, and the path that leads to it as the file spells it.
#[derive(Clone, Debug)]
pub(super) struct Field<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
}

/// The known fields of a mapping, by their `snake_case` name.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    path: String,
    entries: BTreeMap<String, (&'n Key, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// The field under one of these names.
    pub(super) fn get(&self, names: &[&str]) -> Option<Field<'n>> {
        let (key, node) = names.iter().find_map(|name| self.entries.get(*name))?;
        Some(Field { node, path: join(&self.path, &key.text) })
    }

    /// The same, where nothing (null) counts as left out: lists and mappings.
    pub(super) fn get_some(&self, names: &[&str]) -> Option<Field<'n>> {
        self.get(names).filter(|field| !field.node.is_null())
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Notes problems, and where each field of the API's spec stands.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
    /// By the API's path: position, and path as the file spells it.
    places: BTreeMap<String, (Position, String)>,
    /// The document is JSON, where numbers are in the API's own units.
    json: bool,
}

impl Reader {
    /// `json`: the document is JSON.
    pub(super) fn new(json: bool) -> Self {
        Self { json, ..Self::default() }
    }

    /// Notes a problem with a field.
    pub(super) fn wrong(&mut self, field: &Field<'_>, message: impl Into<String>) {
        self.problems.push(Problem { at: field.node.at, path: field.path.clone(), message: message.into() });
    }

    /// Notes a problem with a key.
    pub(super) fn wrong_key(&mut self, key: &Key, field: &Field<'_>, message: impl Into<String>) {
        self.problems.push(Problem { at: key.at, path: field.path.clone(), message: message.into() });
    }

    /// Remembers where the API's `path` stands in the file.
    pub(super) fn place(&mut self, path: impl Into<String>, field: &Field<'_>) {
        self.places.insert(path.into(), (field.node.at, field.path.clone()));
    }

    /// Where the API's `path`, or the nearest thing around it, stands.
    pub(super) fn find(&self, path: &str) -> Option<(Position, String)> {
        let mut path = path;
        loop {
            if let Some(found) = self.places.get(path) {
                return Some(found.clone());
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// The fields of a mapping. Unknown keys and two spellings of one key are problems.
    pub(super) fn fields<'n>(&mut self, field: &Field<'n>, known: &[&str]) -> Fields<'n> {
        let mut fields = Fields { path: field.path.clone(), entries: BTreeMap::new() };
        let Value::Map(entries) = &field.node.value else {
            if !field.node.is_null() {
                self.wrong(field, format!("expected a mapping, found {}", field.node.what()));
            }
            return fields;
        };
        for (key, node) in entries {
            let name = snake(&key.text);
            let path = join(&field.path, &key.text.escape_debug().to_string());
            let exact = key.text == name || key.text == camel(&name) || is_upper_camel(&key.text);
            if !exact || !known.contains(&name.as_str()) {
                self.problems.push(Problem { at: key.at, path, message: unknown_key(&key.text, known) });
                continue;
            }
            if let Some((first, _)) = fields.entries.insert(name, (key, node)) {
                let message =
                    format!("the same as `{}` on line {}; keep one of them", first.text, first.at.line);
                self.problems.push(Problem { at: key.at, path, message });
            }
        }
        fields
    }

    /// The entries of a list.
    pub(super) fn list<'n>(&mut self, field: &Field<'n>) -> Vec<Field<'n>> {
        match &field.node.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| Field { node, path: format!("{}[{index}]", field.path) })
                .collect(),
            _ => {
                self.wrong(field, format!("expected a list, found {}", field.node.what()));
                Vec::new()
            }
        }
    }

    /// The entries of a mapping whose keys are the user's own.
    pub(super) fn map<'n>(&mut self, field: &Field<'n>) -> Vec<(&'n Key, Field<'n>)> {
        match &field.node.value {
            Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| (key, Field { node, path: join(&field.path, &key.text) }))
                .collect(),
            _ => {
                self.wrong(field, format!("expected a mapping, found {}", field.node.what()));
                Vec::new()
            }
        }
    }

    /// A scalar's own text: `on`, `1.10` and `0755` are taken as they stand. Nothing (null) is refused.
    pub(super) fn text(&mut self, field: &Field<'_>) -> Option<String> {
        match &field.node.value {
            _ if field.node.is_null() => {
                self.wrong(field, "nothing stands here; write \"\" for an empty string, \"null\" for that word, or leave the key out");
                None
            }
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => {
                self.wrong(field, format!("expected a string, found {}", field.node.what()));
                None
            }
        }
    }

    /// A scalar that is not in quotes, for numbers and the like.
    fn bare<'n>(&mut self, field: &Field<'n>, expected: &str) -> Option<&'n str> {
        match &field.node.value {
            Value::Scalar { text, plain: true } if !field.node.is_null() => Some(text),
            Value::Scalar { plain: false, .. } => {
                self.wrong(field, format!("expected {expected} without quotes"));
                None
            }
            _ => {
                self.wrong(field, format!("expected {expected}, found {}", field.node.what()));
                None
            }
        }
    }

    /// A whole number from 0 to `max`, in decimal digits.
    pub(super) fn number(&mut self, field: &Field<'_>, max: u32) -> Option<u32> {
        let expected = format!("a whole number from 0 to {max}");
        let text = self.bare(field, &expected)?;
        let digits = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
        match text.parse::<u32>() {
            Ok(number) if digits && number <= max => Some(number),
            _ => {
                self.wrong(field, format!("`{}` is not {expected}", text.escape_debug()));
                None
            }
        }
    }

    /// A port.
    pub(super) fn port(&mut self, field: &Field<'_>) -> Option<u16> {
        self.number(field, u32::from(u16::MAX)).and_then(|port| u16::try_from(port).ok())
    }

    /// `true` or `false`, and none of YAML's other words for them.
    pub(super) fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        match self.bare(field, "true or false")? {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let message = format!("`{}` is neither true nor false", other.escape_debug());
                self.wrong(field, message);
                None
            }
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(field)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known = || words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty());
        let list = known().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let hint = closest(&text, known()).map_or(String::new(), |word| format!("; did you mean `{word}`?"));
        self.wrong(field, format!("`{}` is none of {list}{hint}", text.escape_debug()));
        None
    }

    /// A duration with units: `1m30s`, `500ms`. In JSON also a number of nanoseconds.
    pub(super) fn duration(&mut self, field: &Field<'_>) -> Option<Nanos> {
        if self.json
            && let Value::Scalar { text, plain: true } = &field.node.value
            && let Ok(nanos) = text.parse()
        {
            return Some(Nanos(nanos));
        }
        let text = self.text(field)?;
        match parse_nanos(&text) {
            Ok(duration) => Some(duration),
            Err(problem) => {
                self.wrong(field, format!("`{}` {problem}", text.escape_debug()));
                None
            }
        }
    }

    /// An amount of CPU. In JSON a number is millicores; everywhere else it is cores.
    pub(super) fn cpu(&mut self, field: &Field<'_>) -> Option<Cpu> {
        let amount = self.quantity::<Cpu>(field)?;
        (amount.0 > 0 || self.json).then_some(amount).or_else(|| {
            self.wrong(field, "0 is no amount; leave it out for the default");
            None
        })
    }

    /// An amount of memory; a bare number is bytes.
    pub(super) fn memory(&mut self, field: &Field<'_>) -> Option<Memory> {
        let amount = self.quantity::<Memory>(field)?;
        (amount.0 > 0 || self.json).then_some(amount).or_else(|| {
            self.wrong(field, "0 is no amount; leave it out for the default");
            None
        })
    }

    fn quantity<Q>(&mut self, field: &Field<'_>) -> Option<Q>
    where
        Q: std::str::FromStr<Err: std::fmt::Display> + From<u64>,
    {
        if self.json
            && let Value::Scalar { text, plain: true } = &field.node.value
            && let Ok(number) = text.parse::<u64>()
        {
            return Some(number.into());
        }
        let text = self.text(field)?;
        match text.parse() {
            Ok(amount) => Some(amount),
            Err(problem) => {
                self.wrong(field, format!("`{}` is {problem}", text.escape_debug()));
                None
            }
        }
    }
}

/// Acronyms in capitals, as in `hostPID`.
fn is_upper_camel(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_lowercase()) && key.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    match closest(key, known.iter().copied()) {
        Some(meant) => format!("there is no such key; did you mean `{}`?", camel(meant)),
        None => {
            let mut names: Vec<String> = known.iter().map(|name| camel(name)).collect();
            names.sort();
            format!("there is no such key; known here: {}", names.join(", "))
        }
    }
}

/// Numbers with units, largest first or not: `1h`, `1m30s`, `1.5s`, `500ms`.
pub(super) fn parse_nanos(text: &str) -> Result<Nanos, &'static str> {
    const FORM: &str = "is not a duration; expected a number with a unit, such as 500ms, 10s, 1m30s or 2h";
    const UNITS: [(&str, u64); 6] = [
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
    ];
    let mut rest = text.trim();
    if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()) {
        return Err("has no unit; write it with one, such as 10s or 5m");
    }
    if rest.is_empty() {
        return Err(FORM);
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(FORM)?;
        let (number, tail) = rest.split_at(end);
        let (unit, scale) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit)).ok_or(FORM)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: u64 = whole.parse().map_err(|_| FORM)?;
        let mut nanos = whole.checked_mul(*scale).ok_or("is too long")?;
        if number.contains('.') {
            if fraction.is_empty() || fraction.len() > 9 {
                return Err(FORM);
            }
            let part: u64 = fraction.parse().map_err(|_| FORM)?;
            let power = 10u64.pow(u32::try_from(fraction.len()).map_err(|_| FORM)?);
            nanos +=
                u64::try_from(u128::from(part) * u128::from(*scale) / u128::from(power)).map_err(|_| FORM)?;
        }
        total = total.checked_add(nanos).ok_or("is too long")?;
        rest = &tail[unit.len()..];
    }
    Ok(Nanos(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_units() {
        for (text, nanos) in [
            ("10s", 10_000_000_000),
            ("1m30s", 90_000_000_000),
            ("500ms", 500_000_000),
            ("1.5s", 1_500_000_000),
            ("2h", 7_200_000_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_nanos(text), Ok(Nanos(nanos)), "{text}");
        }
        assert!(parse_nanos("10").unwrap_err().contains("no unit"));
        for bad in ["", "s", "-1s", "1x", "1.s", "1 s", "10s5", "99999999999999h", "1e3s"] {
            assert!(parse_nanos(bad).is_err(), "{bad}");
        }
    }
}
