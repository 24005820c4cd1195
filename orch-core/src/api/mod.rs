//! The wire: types of the `/v1` API, conversions to and from the domain, and the [table of endpoints](endpoint::TABLE).
//!
//! Wire types are apart from domain types, so that neither binds the other. They are lenient when read by a client (what
//! a newer server adds is skipped) and strict when read by a server: [`strict::read`] refuses fields that no one knows.
//! A conversion into the domain answers [`Rejection::Invalid`] with the path of the
//! field that is wrong.

pub mod agent;
pub mod apply;
pub mod audit;
pub mod deployment;
pub mod discovery;
pub mod endpoint;
pub mod enrollment;
pub mod error;
pub mod event;
pub mod exec;
pub mod history;
pub mod logs;
pub mod namespace;
pub mod node;
pub mod openapi;
pub mod pin;
pub mod plan;
pub mod quantity;
pub mod rebalance;
mod schema;
pub mod service;
pub mod spec;
pub mod stats;
pub mod strict;
pub mod task;
pub mod time;
pub mod user;
pub mod version;
pub mod why;
mod word;

pub use quantity::{Cpu, Memory, Resources};
pub use time::{Nanos, Time};

use crate::command::{FieldPath, Rejection};

/// Parses a text field, with its path in the error.
pub(crate) fn parse_at<T>(text: &str, at: &FieldPath, expected: &str) -> Result<T, Rejection>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error: T::Err| Rejection::invalid(at.clone(), error.to_string(), expected))
}

/// An id in a path or a query.
///
/// # Errors
/// The text is no UUID of 36 characters.
pub fn parse_id<I>(text: &str, field: &str) -> Result<I, Rejection>
where
    I: crate::id::TypedId<Err: std::fmt::Display>,
{
    parse_at(text, &FieldPath::new(field), "a UUID of 36 characters")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
pub(crate) const fn is_false(value: &bool) -> bool {
    !*value
}

/// Asked for with `?force`: passes a maintenance window. There are none in this release, so it changes nothing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, schemars::JsonSchema, serde::Serialize, serde::Deserialize,
)]
#[serde(default)]
pub struct Force {
    /// Any Go boolean.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "boolean")]
    pub force: bool,
}

/// A boolean of a query: `true`, `false`, `1`, `0`, `t`, `f`; the name alone is true.
pub(crate) fn boolean<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
    match text.as_ref() {
        "" | "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err(serde::de::Error::custom("not a boolean: expected `true` or `false`")),
    }
}
