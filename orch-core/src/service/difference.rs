//! How two specs differ, field by field, in words.

use serde_json::Value;

use super::ServiceSpec;

/// One line for each field that differs: `template.image: "web:1" → "web:2"`.
#[must_use]
pub fn differences(before: &ServiceSpec, after: &ServiceSpec) -> Vec<String> {
    let value = |spec| serde_json::to_value(spec).expect("a spec is plain data");
    let mut lines = Vec::new();
    compare("", &value(before), &value(after), &mut lines);
    lines
}

fn compare(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
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
                compare(&inner, &entry(a), &entry(b), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for i in 0..a.len().max(b.len()) {
                let entry = |list: &[Value]| list.get(i).cloned().unwrap_or_default();
                compare(&format!("{path}[{i}]"), &entry(a), &entry(b), lines);
            }
        }
        _ => lines.push(format!("{path}: {} → {}", show(before), show(after))),
    }
}

fn show(value: &Value) -> String {
    match (value, seconds(value)) {
        (Value::Null, _) => "nothing".to_owned(),
        (_, Some(seconds)) => format!("{seconds}s"),
        (value, None) => value.to_string(),
    }
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
}
