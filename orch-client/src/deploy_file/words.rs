//! Keys: both spellings of each, and the one that was probably meant.

/// `maxUnavailable`, `hostPID` and `max_unavailable` in `snake_case`.
pub(super) fn snake(key: &str) -> String {
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

/// `max_unavailable` as deploy files write it.
pub(super) fn camel(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    let mut upper = false;
    for c in key.chars() {
        match (c, upper) {
            ('_', _) => upper = true,
            (c, true) => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            (c, false) => out.push(c),
        }
    }
    out
}

/// The known key that `word` was probably meant to be.
pub(super) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = snake(word).replace('-', "_");
    let limit = word.chars().count().div_ceil(3).clamp(1, 3);
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

/// Levenshtein's, over characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
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
        assert_eq!(camel("max_unavailable"), "maxUnavailable");
    }

    #[test]
    fn a_slip_is_recognised_and_a_foreign_word_is_not() {
        let known = ["image", "replicas", "healthcheck", "env"];
        assert_eq!(closest("imgae", known), Some("image"));
        assert_eq!(closest("replica", known), Some("replicas"));
        assert_eq!(closest("health-check", known), Some("healthcheck"));
        assert_eq!(closest("environment", known), Some("env"));
        assert_eq!(closest("volumes", known), None);
    }
}
