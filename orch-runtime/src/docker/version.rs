//! Which version of the engine's API is spoken.

use std::fmt;

/// A version of the engine's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    pub(super) major: usize,
    pub(super) minor: usize,
}

/// Engine 20.10.
pub(super) const OLDEST: ApiVersion = ApiVersion::new(1, 41);
/// Of the engines that this adapter was tried with; newer ones speak it, too.
pub(super) const NEWEST: ApiVersion = ApiVersion::new(1, 47);
/// From here on `stop` takes a signal.
pub(super) const STOP_SIGNAL: ApiVersion = ApiVersion::new(1, 42);

impl ApiVersion {
    pub(super) const fn new(major: usize, minor: usize) -> Self {
        Self { major, minor }
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// The version to speak with an engine whose newest and oldest are these; `None` if the engine is too old.
    ///
    /// The newest that both know; above [`NEWEST`] only where the engine insists.
    pub(super) fn negotiate(newest: Option<&str>, oldest: Option<&str>) -> Option<Self> {
        let newest = newest.and_then(Self::parse).unwrap_or(OLDEST);
        let oldest = oldest.and_then(Self::parse).unwrap_or(OLDEST);
        (newest >= OLDEST).then(|| newest.min(NEWEST).max(oldest))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_both_sides_know_is_spoken() {
        for (newest, oldest, spoken) in [
            ("1.41", "1.12", Some("1.41")), // 20.10
            ("1.43", "1.12", Some("1.43")), // 24
            ("1.51", "1.24", Some("1.47")), // 28
            ("1.52", "1.44", Some("1.47")), // 29
            ("1.60", "1.50", Some("1.50")), // one that insists on more than was tried
            ("1.40", "1.12", None),         // 19.03
        ] {
            let got = ApiVersion::negotiate(Some(newest), Some(oldest)).map(|v| v.to_string());
            assert_eq!(got.as_deref(), spoken, "{oldest} to {newest}");
        }
    }
}
