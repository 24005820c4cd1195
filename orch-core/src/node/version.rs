//! Versions of agents: which are let in, and which were tried with this control plane.

/// The oldest agent that is let in.
pub const OLDEST_AGENT: &str = "0.2.0";
/// The newest agent that this control plane was tried with: its own version.
pub const NEWEST_TESTED_AGENT: &str = env!("CARGO_PKG_VERSION");

/// How an agent's version stands to this control plane's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentVersion {
    /// Below [`OLDEST_AGENT`]: refused.
    TooOld,
    /// Let in. So is what is no version at all: it is someone's own build.
    Tested,
    /// Above [`NEWEST_TESTED_AGENT`]: let in, with a warning.
    Untested,
}

impl AgentVersion {
    /// Judges `1.2.3`, with or without a `v` in front and more behind `-` or `+`.
    #[must_use]
    pub fn of(version: &str) -> Self {
        let Some(version) = numbers(version) else { return Self::Tested };
        if numbers(OLDEST_AGENT).is_some_and(|oldest| version < oldest) {
            Self::TooOld
        } else if numbers(NEWEST_TESTED_AGENT).is_some_and(|newest| version > newest) {
            Self::Untested
        } else {
            Self::Tested
        }
    }
}

/// Major, minor and patch.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let version = version.trim();
    let core = version.strip_prefix('v').unwrap_or(version).split(['-', '+']).next()?;
    let mut parts = core.split('.').map(str::parse);
    let mut next = || parts.next().map_or(Some(0), Result::ok);
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number_and_own_builds_are_let_in() {
        for old in ["0.1.9", "v0.1", "0", "0.1.99-rc1+x"] {
            assert_eq!(AgentVersion::of(old), AgentVersion::TooOld, "{old}");
        }
        for fit in [OLDEST_AGENT, NEWEST_TESTED_AGENT, "v0.2.0-rc1", "0.3.0+build", "dev", "", "1.x"] {
            assert_eq!(AgentVersion::of(fit), AgentVersion::Tested, "{fit}");
        }
        for new in ["0.10.0", "v99", "1.0.0"] {
            assert_eq!(AgentVersion::of(new), AgentVersion::Untested, "{new}");
        }
    }
}
