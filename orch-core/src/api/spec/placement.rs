//! Where tasks may run, and how they are laid out there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse::invalid;
use crate::api::word::words;
use crate::command::{FieldPath, Rejection};
use crate::service::{self, Rule};

/// The most values that one rule may list.
const MAX_VALUES: usize = 100;

words! {
    /// How tasks are laid out over the nodes that can take them.
    #[derive(Default)]
    Strategy is service::Strategy {
        /// Over as many nodes as there are.
        #[default]
        Spread = "spread",
        /// Onto as few nodes as will do.
        Binpack = "binpack",
    }
}

impl Strategy {
    pub(super) const fn is_default(&self) -> bool {
        matches!(self, Self::Spread)
    }
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// The label is there and has the value.
    Equals,
    /// The label has another value, or is absent.
    NotEquals,
    /// The label is there and has one of the values.
    In,
    /// The label has none of the values, or is absent.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    NotExists,
}

/// A rule over a node's labels and facts (`node.name`, `node.os`, `node.arch`, `node.engine`, `node.engine_version`).
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Constraint {
    /// Label key.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// Of `equals` and `not_equals`: what it is compared with.
    #[serde(default)]
    pub value: String,
    /// Of `in` and `not_in`: what it is compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl Constraint {
    pub(super) fn parse(&self, at: &FieldPath) -> Result<service::Constraint, Rejection> {
        if self.key.trim().is_empty() {
            return Err(invalid(at, "key", "it is blank", "a label's key"));
        }
        let rule = match self.operator {
            Operator::Equals | Operator::NotEquals if !self.values.is_empty() => {
                return Err(invalid(
                    at,
                    "values",
                    "given where one value is compared",
                    "`value`, or operator in",
                ));
            }
            Operator::Equals => Rule::Equals(self.value.clone()),
            Operator::NotEquals => Rule::NotEquals(self.value.clone()),
            Operator::In | Operator::NotIn => {
                if !self.value.is_empty() {
                    return Err(invalid(at, "value", "given where several are compared", "`values`"));
                }
                if self.values.is_empty() || self.values.len() > MAX_VALUES {
                    let problem = format!("{} values", self.values.len());
                    return Err(invalid(at, "values", problem, format!("1 to {MAX_VALUES} values")));
                }
                let values = self.values.iter().cloned().collect();
                if self.operator == Operator::In { Rule::In(values) } else { Rule::NotIn(values) }
            }
            Operator::Exists | Operator::NotExists => {
                let given = [("value", !self.value.is_empty()), ("values", !self.values.is_empty())];
                if let Some((field, _)) = given.into_iter().find(|(_, given)| *given) {
                    return Err(invalid(at, field, "given where nothing is compared", "to be left out"));
                }
                if self.operator == Operator::Exists { Rule::Exists } else { Rule::NotExists }
            }
        };
        Ok(service::Constraint { key: self.key.clone(), rule })
    }

    /// As people read it: `zone=a`, `zone in [a, b]`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.parse(&FieldPath::default()) {
            Ok(constraint) => constraint.to_string(),
            Err(_) => self.key.clone(),
        }
    }
}

impl From<&service::Constraint> for Constraint {
    fn from(constraint: &service::Constraint) -> Self {
        let list = |values: &std::collections::BTreeSet<String>| values.iter().cloned().collect();
        let (operator, value, values) = match &constraint.rule {
            Rule::Equals(value) => (Operator::Equals, value.clone(), Vec::new()),
            Rule::NotEquals(value) => (Operator::NotEquals, value.clone(), Vec::new()),
            Rule::In(values) => (Operator::In, String::new(), list(values)),
            Rule::NotIn(values) => (Operator::NotIn, String::new(), list(values)),
            Rule::Exists => (Operator::Exists, String::new(), Vec::new()),
            Rule::NotExists => (Operator::NotExists, String::new(), Vec::new()),
        };
        Self { key: constraint.key.clone(), operator, value, values }
    }
}
