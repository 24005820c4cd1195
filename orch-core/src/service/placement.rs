//! Placement: rules that a node must fulfil, and how tasks are laid out over those that do.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a service's tasks are laid out over the nodes that can take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Over as many nodes as there are, the emptiest first: the loss of one node costs the fewest replicas.
    #[default]
    Spread,
    /// Onto the fullest node that still has room: the fewest nodes are used.
    Binpack,
}

impl Strategy {
    /// What is in force where nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One rule over a node's labels and [facts](crate::node::NodeFacts); all of a service's rules must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Constraint {
    /// Label key, or the name of a fact (`node.arch`).
    pub key: String,
    /// What must be the case of it.
    pub rule: Rule,
}

/// What must be the case of a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// It is there and has the value.
    Equals(String),
    /// It has another value, or is absent.
    NotEquals(String),
    /// It is there and has one of the values.
    In(BTreeSet<String>),
    /// It has none of the values, or is absent.
    NotIn(BTreeSet<String>),
    /// It is there, whatever its value.
    Exists,
    /// It is absent.
    NotExists,
}

impl Constraint {
    /// Whether a node may run the task of which the label or fact is `value`; `None`: the node has none of that name.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        match &self.rule {
            Rule::Equals(wanted) => value == Some(wanted),
            Rule::NotEquals(unwanted) => value != Some(unwanted),
            Rule::In(wanted) => value.is_some_and(|value| wanted.contains(value)),
            Rule::NotIn(unwanted) => value.is_none_or(|value| !unwanted.contains(value)),
            Rule::Exists => value.is_some(),
            Rule::NotExists => value.is_none(),
        }
    }

    /// What is the case where the rule does not hold, in the words of [`fmt::Display`].
    #[must_use]
    pub fn broken(&self) -> Self {
        let rule = match self.rule.clone() {
            Rule::Equals(value) => Rule::NotEquals(value),
            Rule::NotEquals(value) => Rule::Equals(value),
            Rule::In(values) => Rule::NotIn(values),
            Rule::NotIn(values) => Rule::In(values),
            Rule::Exists => Rule::NotExists,
            Rule::NotExists => Rule::Exists,
        };
        Self { key: self.key.clone(), rule }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let key = &self.key;
        match &self.rule {
            Rule::Equals(value) => write!(f, "{key}={value}"),
            Rule::NotEquals(value) => write!(f, "{key}≠{value}"),
            Rule::In(values) => write!(f, "{key} in [{}]", list(values)),
            Rule::NotIn(values) => write!(f, "{key} not in [{}]", list(values)),
            Rule::Exists => write!(f, "{key} present"),
            Rule::NotExists => write!(f, "{key} absent"),
        }
    }
}

/// A rule as it is kept: the operator beside what it compares with, of which only one is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    key: String,
    operator: Operator,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<BTreeSet<String>>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    Exists,
    NotExists,
}

impl From<Constraint> for Stored {
    fn from(constraint: Constraint) -> Self {
        let (operator, value, values) = match constraint.rule {
            Rule::Equals(value) => (Operator::Equals, Some(value), None),
            Rule::NotEquals(value) => (Operator::NotEquals, Some(value), None),
            Rule::In(values) => (Operator::In, None, Some(values)),
            Rule::NotIn(values) => (Operator::NotIn, None, Some(values)),
            Rule::Exists => (Operator::Exists, None, None),
            Rule::NotExists => (Operator::NotExists, None, None),
        };
        Self { key: constraint.key, operator, value, values }
    }
}

impl TryFrom<Stored> for Constraint {
    type Error = &'static str;
    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let Stored { key, operator, value, values } = stored;
        let value = || value.ok_or("the operator compares with a `value`");
        let values = || values.ok_or("the operator compares with `values`");
        let rule = match operator {
            Operator::Equals => Rule::Equals(value()?),
            Operator::NotEquals => Rule::NotEquals(value()?),
            Operator::In => Rule::In(values()?),
            Operator::NotIn => Rule::NotIn(values()?),
            Operator::Exists => Rule::Exists,
            Operator::NotExists => Rule::NotExists,
        };
        Ok(Self { key, rule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<(Rule, [bool; 3])> {
        let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        vec![
            (Rule::Equals("a".into()), [true, false, false]),
            (Rule::NotEquals("a".into()), [false, true, true]),
            (Rule::In(set(&["a", "b"])), [true, false, false]),
            (Rule::NotIn(set(&["a", "b"])), [false, true, true]),
            (Rule::Exists, [true, true, false]),
            (Rule::NotExists, [false, false, true]),
        ]
    }

    #[test]
    fn each_rule_judges_a_value_another_one_and_none() {
        for (rule, expected) in rules() {
            let constraint = Constraint { key: "zone".into(), rule };
            let values = [Some("a"), Some("c"), None];
            assert_eq!(values.map(|value| constraint.holds(value)), expected, "{constraint}");
            assert_eq!(values.map(|value| !constraint.broken().holds(value)), expected, "{constraint}");
        }
    }

    #[test]
    fn a_rule_is_kept_as_rules_always_were() {
        let read = |json: &str| serde_json::from_str::<Constraint>(json);
        let old = read(r#"{"key":"zone","operator":"not_equals","value":"a"}"#).unwrap();
        assert_eq!(old, Constraint { key: "zone".into(), rule: Rule::NotEquals("a".into()) });
        for (rule, _) in rules() {
            let constraint = Constraint { key: "zone".into(), rule };
            let json = serde_json::to_string(&constraint).unwrap();
            assert_eq!(read(&json).unwrap(), constraint, "{json}");
        }
        assert!(read(r#"{"key":"zone","operator":"in","value":"a"}"#).is_err());
    }
}
