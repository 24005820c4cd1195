//! Which documented field a misspelt one was probably meant to be.

use schemars::JsonSchema;
use serde_ignored::Path;
use serde_json::Value;

/// `maxUnavailable`, `hostPID` and `max_unavailable` in `snake_case`.
#[must_use]
pub fn snake(key: &str) -> String {
    let chars: Vec<char> = key.chars().collect();
    let mut out = String::with_capacity(key.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() {
            let after_word = i > 0 && (chars[i - 1].is_ascii_lowercase() || chars[i - 1].is_ascii_digit());
            let before_word = i > 0
                && chars[i - 1].is_ascii_uppercase()
                && chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
            if after_word || before_word {
                out.push('_');
            }
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The known word, in `snake_case`, that `word` was probably meant to be.
#[must_use]
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No field of ours is so long, and the distance takes time by the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let word = snake(word).replace('-', "_");
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= limit
                || (word.len() >= 3 && (candidate.starts_with(&word) || word.starts_with(candidate)))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters that are missing, added, wrong, or two that changed places.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = substituted.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// The field of `T` that the unknown one at the end of the path was probably meant to be.
pub(super) fn field<T: JsonSchema>(path: &Path<'_>) -> Option<String> {
    let Path::Map { parent, key } = path else { return None };
    let schema = schemars::schema_for!(T).to_value();
    let known = at(&schema, parent).into_iter().filter_map(|schema| schema["properties"].as_object());
    closest(key, known.flat_map(|fields| fields.keys().map(String::as_str))).map(str::to_owned)
}

/// What the document may be at a place, as far as the schema says.
fn at<'a>(root: &'a Value, path: &Path<'_>) -> Vec<&'a Value> {
    let below = |parent: &Path<'_>, step: &dyn Fn(&'a Value) -> Option<&'a Value>| {
        let steps = at(root, parent).into_iter().filter_map(step).collect::<Vec<_>>();
        steps.into_iter().flat_map(|schema| alternatives(root, schema)).collect()
    };
    match path {
        Path::Root => alternatives(root, root),
        Path::Seq { parent, .. } => below(parent, &|schema| schema.get("items")),
        Path::Map { parent, key } => below(parent, &|schema| {
            let named = schema.get("properties").and_then(|fields| fields.get(key));
            named.or_else(|| schema.get("additionalProperties"))
        }),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            at(root, parent)
        }
    }
}

/// A schema, what it refers to, and what it may be instead.
fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let mut all = vec![schema];
    let mut seen = 0;
    while let Some(schema) = all.get(seen).copied() {
        seen += 1;
        let named =
            schema.get("$ref").and_then(Value::as_str).and_then(|name| root.pointer(name.strip_prefix('#')?));
        let listed = ["anyOf", "oneOf", "allOf"].map(|list| schema.get(list).and_then(Value::as_array));
        let more = named.into_iter().chain(listed.into_iter().flatten().flatten());
        let new: Vec<_> = more.filter(|more| !all.iter().any(|known| std::ptr::eq(*known, *more))).collect();
        all.extend(new);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_key() {
        for (camel_case, snake_case) in [
            ("maxUnavailable", "max_unavailable"),
            ("hostPID", "host_pid"),
            ("targetCPUUtilization", "target_cpu_utilization"),
            ("readOnlyRootFilesystem", "read_only_root_filesystem"),
            ("name", "name"),
            ("max_surge", "max_surge"),
        ] {
            assert_eq!(snake(camel_case), snake_case);
        }
    }

    #[test]
    fn a_slip_is_recognised_and_a_foreign_word_is_not() {
        let known = ["image", "replicas", "healthcheck", "env"];
        assert_eq!(closest("imgae", known), Some("image"));
        assert_eq!(closest("replica", known), Some("replicas"));
        assert_eq!(closest("health-check", known), Some("healthcheck"));
        assert_eq!(closest("environment", known), Some("env"));
        assert_eq!(closest("volumes", known), None);
        assert_eq!(closest("volumes", ["routes"]), None);
        assert_eq!(closest(&"replicas".repeat(1_000), known), None);
    }
}
