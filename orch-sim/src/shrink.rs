//! From a story that fails to the shortest one that still does.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::story::{Outcome, Plan, run};

/// Stories that are told at most, where nobody is in a hurry.
pub const TRIES: u32 = 200;

/// Leaves out what happens, half by half and then one by one, as long as the same invariant breaks. Answers what was left out,
/// and the story that is left, told. Tells at most so many.
#[must_use]
pub fn shrink(seed: u64, plan: &Plan, failed: &Outcome, most: u32) -> (BTreeSet<u32>, Outcome) {
    let broken = failed.failure.as_deref().map(kind).unwrap_or_default().to_owned();
    let same = |outcome: &Outcome| outcome.failure.as_deref().map(kind) == Some(&broken);
    let mut skip = BTreeSet::clone(&plan.skip);
    // What comes after the failure does not matter.
    let mut last = failed.happened;
    let (mut size, mut tries) = (last.max(1), 0);
    while size > 0 && tries < most {
        let mut at = 0;
        while at < last && tries < most {
            let mut more = skip.clone();
            more.extend(at..(at + size).min(last));
            if more.len() > skip.len() {
                tries += 1;
                let outcome = run(seed, &Plan { skip: Arc::new(more.clone()), ..plan.clone() });
                if same(&outcome) {
                    skip = more;
                    last = last.min(outcome.happened);
                }
            }
            at += size;
        }
        size /= 2;
    }
    let told = run(seed, &Plan { skip: Arc::new(skip.clone()), verbose: true, ..plan.clone() });
    (skip, told)
}

/// The number of the invariant and the words after it, without the time and the names.
fn kind(failure: &str) -> &str {
    let what = failure.split_once(": ").map_or(failure, |(_, what)| what);
    let end = what.match_indices(' ').nth(2).map_or(what.len(), |(at, _)| at);
    &what[..end]
}

/// `3,7-9`: as `--skip` takes it.
#[must_use]
pub fn ranges(skip: &BTreeSet<u32>) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for one in skip {
        match parts.last_mut() {
            Some((_, to)) if *to + 1 == *one => *to = *one,
            _ => parts.push((*one, *one)),
        }
    }
    let part = |(from, to): &(u32, u32)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

/// The other way.
///
/// # Errors
/// It is no such list.
pub fn parse_ranges(text: &str) -> Result<BTreeSet<u32>, String> {
    let mut skip = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number =
            |text: &str| text.parse::<u32>().map_err(|_| format!("`{part}` is neither a number nor a range"));
        skip.extend(number(from)?..=number(to)?);
    }
    Ok(skip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_written_as_they_are_read() {
        for text in ["", "3", "1-4", "1-4,7,9-10"] {
            assert_eq!(ranges(&parse_ranges(text).unwrap()), text);
        }
        assert!(parse_ranges("1,x").is_err());
        assert_eq!(kind("after 3.2s: 7: not converged 1800s after: x"), "7: not converged");
    }
}
