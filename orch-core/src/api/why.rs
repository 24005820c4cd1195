//! Why something is as it is, on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::service::Held;
use crate::why;

/// What a service waits for, and why it is as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WhyAnswer {
    /// Which service.
    pub service_id: String,
    /// What was not done, and why; empty: nothing is held.
    pub held: Vec<Held>,
    /// The chain of causes.
    #[serde(flatten)]
    pub why: Why,
}

/// Why a task is where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TaskWhyAnswer {
    /// Which task.
    pub task_id: String,
    /// The chain of causes.
    #[serde(flatten)]
    pub why: Why,
}

/// Why a node is as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NodeWhyAnswer {
    /// Which node.
    pub node_id: String,
    /// The chain of causes.
    #[serde(flatten)]
    pub why: Why,
}

/// A chain of causes.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Why {
    /// Nothing needs a person, and nothing is waited for.
    pub fine: bool,
    /// One line for people.
    pub summary: String,
    /// What to mend first comes first.
    pub causes: Vec<Cause>,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Cause {
    /// What it is about: `web.2`, `node a`, `rollout to version 3`.
    pub about: String,
    /// A sentence.
    pub text: String,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

impl From<why::Why> for Why {
    fn from(why: why::Why) -> Self {
        let causes = why.causes.into_iter().map(|cause| Cause {
            about: cause.about,
            text: cause.text,
            since: cause.since.map(Into::into),
        });
        Self { fine: why.fine, summary: why.summary, causes: causes.collect() }
    }
}
