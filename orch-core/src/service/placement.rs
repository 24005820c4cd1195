//! Placement constraints: label rules that a node must fulfil.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One rule; all of a service's rules must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Constraint {
    /// Label key.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// Label value.
    pub value: String,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// The label is there and has the value.
    Equals,
    /// The label has another value, or is absent.
    NotEquals,
}

impl Constraint {
    /// Whether a node with these labels may run the task.
    #[must_use]
    pub fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let equal = labels.get(&self.key) == Some(&self.value);
        match self.operator {
            Operator::Equals => equal,
            Operator::NotEquals => !equal,
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.operator {
            Operator::Equals => "=",
            Operator::NotEquals => "≠",
        };
        write!(f, "{}{sign}{}", self.key, self.value)
    }
}
