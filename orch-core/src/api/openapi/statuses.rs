//! The statuses that an endpoint may answer with beside success. They follow from its row, with few exceptions.

use std::collections::BTreeSet;

use crate::api::endpoint::{Access, Pace, Row};

/// What each status says, whatever was asked for.
pub(super) const WORDS: &[(u16, &str)] = &[
    (400, "A field, parameter or header is wrong, or the state does not allow it: mend the request."),
    (401, "It is not known who asks."),
    (403, "Who asks may not."),
    (404, "There is no such object, in this namespace."),
    (
        409,
        "Something else holds the name, is in progress or uses the object; or it changed since it was read.",
    ),
    (410, "What is asked for is no longer kept."),
    (413, "The body is too large."),
    (429, "Too much of this at the same time: try again after `Retry-After`."),
    (500, "It is not known whether this was written (`uncertain`), or the server is at fault (`internal`)."),
    (503, "Not at present; nothing was written. Try again after `Retry-After`."),
];

/// Those of a row.
pub(super) fn of(row: &Row, takes_a_body: bool) -> BTreeSet<u16> {
    let mut statuses: BTreeSet<u16> = match row.access {
        Access::Open => [].into(),
        Access::User(_) => [400, 401, 403, 500, 503].into(),
        Access::Registration => [400, 401, 409, 500, 503].into(),
        Access::Node => [400, 401, 500, 503].into(),
    };
    if row.path.contains('{') {
        statuses.insert(404);
    }
    if takes_a_body && row.pace != Pace::Stream {
        statuses.insert(413);
    }
    if matches!(row.access, Access::User(_)) && !row.is_read() {
        // The namespace, or an object that the body names; a name that is taken, a key that was used.
        statuses.extend([404, 409]);
    }
    statuses.extend(exceptions(row.name));
    statuses
}

fn exceptions(name: &str) -> &'static [u16] {
    match name {
        "Readyz" => &[503],
        "Metrics" => &[404],
        "ListEvents" => &[410],
        "GetLogs" => &[404, 429],
        "GetStats" => &[404],
        "ExecTask" => &[429],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::endpoint::TABLE;

    #[test]
    fn every_status_has_its_words_and_every_exception_its_row() {
        for row in TABLE {
            for status in of(row, true) {
                assert!(WORDS.iter().any(|(known, _)| *known == status), "{}: {status}", row.name);
            }
        }
        for name in ["Readyz", "Metrics", "ListEvents", "GetLogs", "ExecTask"] {
            assert!(!exceptions(name).is_empty() && TABLE.iter().any(|row| row.name == name), "{name}");
        }
    }
}
