//! Events on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Time, is_false, parse_id};
use crate::command::{FieldPath, Rejection};
use crate::name::Namespace;
use crate::record::{self, EventKind, Severity};
use crate::store::{EventFilter, EventSeq};
use crate::time::Timestamp;

/// How many entries of history come at most, and by default.
pub const LIMITS: (usize, usize) = (500, 100);

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Where it happened; empty: cluster-wide.
    #[serde(default)]
    pub namespace: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// The part of orch that says so.
    pub source: String,
    /// A sentence for people.
    pub message: String,
    /// `node`, `service`, `task`, `namespace`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub related_object_type: String,
    /// Its id or name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub related_object_id: String,
    /// More, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// When.
    pub timestamp: Time,
    /// Its place among all events, for `after`. Only where events come oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<String>,
}

/// One JSON object of an answer that follows (`follow=true`), one a line.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventFrame {
    /// An event.
    Event(Box<Event>),
    /// All before it was looked at: where to go on, if nothing else comes. At least every 15 s.
    At {
        /// For `after`.
        seq: String,
    },
}

impl Event {
    /// With its place.
    #[must_use]
    pub fn at(event: &record::Event, seq: Option<EventSeq>) -> Self {
        Self { seq: seq.map(|seq| seq.to_string()), ..event.into() }
    }
}

impl From<&record::Event> for Event {
    fn from(event: &record::Event) -> Self {
        let (kind, id) = event.related.as_ref().map(record::RelatedObject::wire).unwrap_or_default();
        Self {
            id: event.id.to_string(),
            namespace: event.namespace.as_ref().map(ToString::to_string).unwrap_or_default(),
            kind: event.kind.as_str().to_owned(),
            severity: event.severity.as_str().to_owned(),
            source: event.kind.source().to_owned(),
            message: event.message.clone(),
            related_object_type: kind.to_owned(),
            related_object_id: id,
            details: event.details.clone(),
            timestamp: event.at.into(),
            seq: None,
        }
    }
}

/// Events, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EventsAnswer {
    /// The events.
    pub events: Vec<Event>,
}

/// Which events; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct EventsQuery {
    /// Of this service: about it, one of its tasks, or one of its rollouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// About this task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// About this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Of this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Of this severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// At or after; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// 1 to 500; 100 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// After the event with this `seq`, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Go on with what comes: an [`EventFrame`] a line. Without `after`: first the newest `limit`.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "super::boolean")]
    pub follow: bool,
}

impl EventsQuery {
    /// The place to go on after.
    ///
    /// # Errors
    /// The text is none.
    pub fn parse_after(&self) -> Result<Option<EventSeq>, Rejection> {
        let given = self.after.as_deref().filter(|text| !text.is_empty());
        given.map(|text| super::parse_at(text, &FieldPath::new("after"), "the `seq` of an event")).transpose()
    }

    /// The filter; `None`: no event can match, since there is no such type.
    ///
    /// # Errors
    /// An id, time, severity or limit that is none.
    pub fn parse(&self, namespace: Namespace) -> Result<Option<EventFilter>, Rejection> {
        let id = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let kind = match id(&self.kind) {
            None => None,
            Some(text) => match EventKind::parse(&text) {
                None => return Ok(None),
                kind => kind,
            },
        };
        let severity = match id(&self.severity).as_deref() {
            None => None,
            Some(text) => Some(
                [Severity::Info, Severity::Warning, Severity::Error]
                    .into_iter()
                    .find(|severity| severity.as_str() == text)
                    .ok_or_else(|| {
                        let expected = "`info`, `warning` or `error`";
                        Rejection::invalid(FieldPath::new("severity"), "there is no such severity", expected)
                    })?,
            ),
        };
        Ok(Some(EventFilter {
            namespace: Some(namespace),
            service: id(&self.service_id).map(|text| parse_id(&text, "service_id")).transpose()?,
            task: id(&self.task_id).map(|text| parse_id(&text, "task_id")).transpose()?,
            node: id(&self.node_id).map(|text| parse_id(&text, "node_id")).transpose()?,
            kind,
            severity,
            since: parse_since(self.since.as_deref())?,
            limit: parse_limit(self.limit.as_deref())?,
        }))
    }
}

/// A `since` of a query.
///
/// # Errors
/// The text is no time.
pub fn parse_since(text: Option<&str>) -> Result<Option<Timestamp>, Rejection> {
    let parse = |text| {
        Timestamp::parse_rfc3339(text)
            .map_err(|_| Rejection::invalid(FieldPath::new("since"), "not a time", "RFC 3339"))
    };
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

/// A `limit` of a query.
///
/// # Errors
/// The text is no number from 1 to 500.
pub fn parse_limit(text: Option<&str>) -> Result<usize, Rejection> {
    let (most, default) = LIMITS;
    match text.filter(|text| !text.is_empty()) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
            Rejection::invalid(FieldPath::new("limit"), "out of range", format!("1 to {most}"))
        }),
    }
}
