//! YAML as a tree with positions and the scalars' own text.
//!
//! Ordinary deserialisation resolves scalars before anyone sees them: `1.10` becomes a number and `1.1` comes back. Here a
//! scalar keeps its text, and the field that it stands in decides what it means.

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::problem::{DeployFileError, Position};

/// The longest text that is read: 1 MiB.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// The most nodes in one file, copies made by aliases included.
const MAX_NODES: usize = 20_000;
/// The deepest nesting.
const MAX_DEPTH: usize = 32;

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// `plain`: not in quotes and not a block, so that `null`, `true` and `3` may mean more than their text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) text: String,
}

impl Node {
    /// Nothing, `~` or `null`, not in quotes.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What it is, for messages.
    pub(super) fn what(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing (null)",
            Value::Scalar { plain: false, .. } => "a string",
            Value::Scalar { .. } => "a scalar",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The documents of a text, empty ones left out.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, DeployFileError> {
    if text.len() > MAX_BYTES {
        return Err(too_long());
    }
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH * 2,
        block_nesting_limit: MAX_DEPTH * 2,
    };
    let mut tree = Tree::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|e| syntax(&e))?;
        tree.take(event, span)?;
    }
    Ok(tree.documents)
}

pub(super) fn too_long() -> DeployFileError {
    let start = Position { line: 1, column: 1 };
    DeployFileError::one(start, format!("the file is longer than {} MiB", MAX_BYTES >> 20))
}

fn syntax(error: &ScanError) -> DeployFileError {
    let marker = error.marker();
    let at = Position { line: marker.line(), column: marker.col() + 1 };
    // The parser ends its messages with the position, which stands in front already.
    let message = error.to_string();
    let message = message.split(" at byte ").next().unwrap_or(&message);
    let message = message.split(" at char ").next().unwrap_or(message);
    DeployFileError::one(at, format!("this is not YAML: {message}"))
}

enum Open {
    List { at: Position, anchor: usize, items: Vec<Node> },
    Map { at: Position, anchor: usize, entries: Vec<(Key, Node)>, key: Option<Key> },
}

#[derive(Default)]
struct Tree {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: Vec<(usize, Node)>,
    nodes: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), DeployFileError> {
        let at = Position { line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = match scalar_tag(tag.as_deref(), at)? {
                    Some(plain) => plain,
                    None => style == ScalarStyle::Plain,
                };
                self.finish(Node { at, value: Value::Scalar { text: text.into_owned(), plain } }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "seq", at)?;
                self.push(Open::List { at, anchor, items: Vec::new() }, at)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "map", at)?;
                self.push(Open::Map { at, anchor, entries: Vec::new(), key: None }, at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { at, anchor, items }) => {
                    self.finish(Node { at, value: Value::List(items) }, anchor)?;
                }
                Some(Open::Map { at, anchor, entries, .. }) => {
                    let entries = merge(entries)?;
                    self.finish(Node { at, value: Value::Map(entries) }, anchor)?;
                }
                None => {}
            },
            Event::Alias(id) => {
                let found = self.anchors.iter().rev().find(|(anchor, _)| *anchor == id);
                let Some((_, node)) = found else {
                    return Err(DeployFileError::one(at, "this alias stands within its own anchor"));
                };
                let mut copy = node.clone();
                self.count(size(&copy), at)?;
                copy.at = at;
                self.finish(copy, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, more: usize, at: Position) -> Result<(), DeployFileError> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            let message =
                format!("the file holds more than {MAX_NODES} values, those that aliases repeat included");
            return Err(DeployFileError::one(at, message));
        }
        Ok(())
    }

    fn push(&mut self, open: Open, at: Position) -> Result<(), DeployFileError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(DeployFileError::one(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(open);
        Ok(())
    }

    /// A value is complete: it goes where it stands.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), DeployFileError> {
        self.count(1, node.at)?;
        if anchor != 0 {
            self.anchors.push((anchor, node.clone()));
        }
        match self.open.last_mut() {
            None if node.is_null() => {}
            None => self.documents.push(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => match node.value {
                    Value::Scalar { text, .. } => {
                        if text != "<<"
                            && let Some((first, _)) = entries.iter().find(|(k, _)| k.text == text)
                        {
                            let line = first.at.line;
                            let message =
                                format!("`{}` stands twice; first on line {line}", text.escape_debug());
                            return Err(DeployFileError::one(node.at, message));
                        }
                        *key = Some(Key { at: node.at, text });
                    }
                    _ => return Err(DeployFileError::one(node.at, "a key must be a plain word")),
                },
            },
        }
        Ok(())
    }
}

/// `Some(plain)` where a tag says how to read a scalar.
fn scalar_tag(tag: Option<&Tag>, at: Position) -> Result<Option<bool>, DeployFileError> {
    match tag.map(|tag| (tag, tag.core_suffix())) {
        None => Ok(None),
        Some((_, Some("str"))) => Ok(Some(false)),
        Some((_, Some("int" | "float" | "bool" | "null"))) => Ok(Some(true)),
        Some((tag, _)) => Err(unknown_tag(tag, at)),
    }
}

fn collection_tag(tag: Option<&Tag>, fine: &str, at: Position) -> Result<(), DeployFileError> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(fine) => Err(unknown_tag(tag, at)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, at: Position) -> DeployFileError {
    DeployFileError::one(
        at,
        format!("the tag `{}{}` means nothing here", tag.original_handle(), tag.suffix()),
    )
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, node)| 1 + size(node)).sum::<usize>(),
    }
}

/// Resolves `<<`: what a mapping says itself counts, then the merged ones in their order.
fn merge(entries: Vec<(Key, Node)>) -> Result<Vec<(Key, Node)>, DeployFileError> {
    if entries.iter().all(|(key, _)| key.text != "<<") {
        return Ok(entries);
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.text == "<<");
    for (key, node) in merges {
        let sources = match node.value {
            Value::List(items) => items,
            value => vec![Node { at: node.at, value }],
        };
        for source in sources {
            let Value::Map(entries) = source.value else {
                return Err(DeployFileError::one(key.at, "`<<` merges a mapping, or a list of mappings"));
            };
            for (key, node) in entries {
                if own.iter().all(|(k, _)| k.text != key.text) {
                    own.push((key, node));
                }
            }
        }
    }
    Ok(own)
}
