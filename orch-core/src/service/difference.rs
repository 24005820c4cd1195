//! How two specs differ, field by field, in words.

use std::fmt;

use serde_json::Value;

use super::ServiceSpec;

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Where: `template.image`.
    pub field: String,
    /// What it is; `None`: nothing, it is added.
    pub before: Option<String>,
    /// What it becomes; `None`: nothing, it is removed.
    pub after: Option<String>,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{}: {} → {}", self.field, show(&self.before), show(&self.after))
    }
}

/// One line for each field that differs: `template.image: "web:1" → "web:2"`.
#[must_use]
pub fn differences(before: &ServiceSpec, after: &ServiceSpec) -> Vec<String> {
    field_changes(before, after).iter().map(ToString::to_string).collect()
}

/// Every field that differs. Values of the environment that look like secrets are not told: a secret belongs into a reference,
/// but where one was put into a value all the same, a plan or a log must not spread it.
#[must_use]
pub fn field_changes(before: &ServiceSpec, after: &ServiceSpec) -> Vec<FieldChange> {
    let value = |spec| serde_json::to_value(spec).expect("a spec is plain data");
    let mut changes = Vec::new();
    compare("", &value(before), &value(after), &mut changes);
    changes
}

fn compare(path: &str, before: &Value, after: &Value, changes: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(a), Value::Object(b)) if seconds(before).is_none() || seconds(after).is_none() => {
            let added = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(added) {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let entry =
                    |map: &'_ serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&inner, &entry(a), &entry(b), changes);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for i in 0..a.len().max(b.len()) {
                let entry = |list: &[Value]| list.get(i).cloned().unwrap_or_default();
                compare(&format!("{path}[{i}]"), &entry(a), &entry(b), changes);
            }
        }
        _ => changes.push(FieldChange {
            field: path.to_owned(),
            before: show(path, before),
            after: show(path, after),
        }),
    }
}

fn show(path: &str, value: &Value) -> Option<String> {
    match (value, seconds(value)) {
        (Value::Null, _) => None,
        (_, Some(seconds)) => Some(format!("{seconds}s")),
        (Value::String(text), None) if is_secret(path, text) => Some("(not shown)".to_owned()),
        (value, None) => Some(value.to_string()),
    }
}

/// Whether a value of the environment looks like a secret, by its name or because it is a URL with a password.
fn is_secret(path: &str, value: &str) -> bool {
    const MARKS: [&str; 8] =
        ["PASS", "SECRET", "TOKEN", "CREDENTIAL", "PRIVATE", "APIKEY", "API_KEY", "ACCESS_KEY"];
    let Some(name) = path.strip_prefix("template.env.") else { return false };
    let name = name.to_ascii_uppercase();
    let with_password = || {
        let authority = value.split_once("://").and_then(|(_, rest)| rest.split('/').next());
        authority.and_then(|part| part.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'))
    };
    MARKS.iter().any(|mark| name.contains(mark)) || name.ends_with("_KEY") || with_password()
}

/// The length of a [`std::time::Duration`] as serde writes it, if this is one.
fn seconds(value: &Value) -> Option<f64> {
    let object = value.as_object().filter(|object| object.len() == 2)?;
    Some(object.get("secs")?.as_f64()? + object.get("nanos")?.as_f64()? / 1e9)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::web_spec;

    #[test]
    fn equal_specs_do_not_differ_and_each_changed_field_has_its_line() {
        let before = web_spec("web", 3);
        assert_eq!(differences(&before, &before), [""; 0]);

        let mut after = before.clone();
        after.replicas = 5;
        after.template.image = "web:2".parse().unwrap();
        after.template.env.insert("MODE".parse().unwrap(), "fast".to_owned());
        after.template.ports.clear();
        after.rollout.deadline = Duration::from_millis(1500);
        let lines = differences(&before, &after);
        for expected in [
            "replicas: 3 → 5",
            r#"template.image: "web:1" → "web:2""#,
            r#"template.env.MODE: nothing → "fast""#,
            "rollout.deadline: 600s → 1.5s",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:?}");
        }
        assert!(
            lines.iter().any(|line| line.starts_with("template.ports[0]: {") && line.ends_with("→ nothing"))
        );
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn values_that_look_like_secrets_are_not_told_only_that_they_changed() {
        let spec = |value: &str| {
            let mut spec = web_spec("web", 1);
            for name in ["DB_PASSWORD", "SIGNING_KEY", "GITHUB_TOKEN"] {
                spec.template.env.insert(name.parse().unwrap(), value.to_owned());
            }
            spec.template.env.insert("DATABASE_URL".parse().unwrap(), format!("postgres://app:{value}@db/x"));
            spec.template.env.insert("MODE".parse().unwrap(), value.to_owned());
            spec
        };
        let lines = differences(&spec("hunter2"), &spec("hunter3"));
        assert_eq!(lines.len(), 5);
        let shown: Vec<_> = lines.iter().filter(|line| line.contains("hunter")).collect();
        assert_eq!(shown, [r#"template.env.MODE: "hunter2" → "hunter3""#]);
        assert!(
            lines.contains(&"template.env.DB_PASSWORD: (not shown) → (not shown)".to_owned()),
            "{lines:?}"
        );
    }
}
