//! Keys as deploy files write them.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_in_camel_case() {
        assert_eq!(camel("max_unavailable"), "maxUnavailable");
        assert_eq!(camel("name"), "name");
    }
}
