//! [`StoreUrl`]: what `DATABASE_URL` may say.

use std::path::PathBuf;
use std::str::FromStr;

use orch_core::secret::Secret;

/// Which store is meant. `Debug` does not show a password.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// `sqlite:PATH` or `sqlite://PATH`: a file on this machine.
    Sqlite(PathBuf),
    /// `postgres://…` or `postgresql://…`, as libpq reads it.
    Postgres(Secret<String>),
}

/// A text that names no store. Never holds the text: it may carry a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Neither engine.
    #[error("a database URL begins with `sqlite:` or `postgres:`")]
    Scheme,
    /// No file is named.
    #[error("`sqlite:` needs the path of a file: `sqlite:/var/lib/orch/orch.db`")]
    NoPath,
    /// A database in memory cannot keep what it acknowledges.
    #[error("an SQLite database in memory keeps nothing: name a file, or use `--dev` for a throw-away store")]
    InMemory,
    /// Options in the URL of a file.
    #[error("`sqlite:` takes a path and no options: orch sets what durability needs by itself")]
    Options,
    /// No host.
    #[error("`postgres:` needs a host: `postgres://user@host/database`")]
    NoHost,
}

impl FromStr for StoreUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            match path {
                "" => Err(InvalidUrl::NoPath),
                _ if path.contains(":memory:") => Err(InvalidUrl::InMemory),
                _ if path.contains('?') => Err(InvalidUrl::Options),
                _ => Ok(Self::Sqlite(path.into())),
            }
        } else if let Some(rest) = text.strip_prefix("postgres:").or_else(|| text.strip_prefix("postgresql:"))
        {
            match rest.strip_prefix("//") {
                Some(rest) if !rest.is_empty() => Ok(Self::Postgres(Secret::new(text.to_owned()))),
                _ => Err(InvalidUrl::NoHost),
            }
        } else {
            Err(InvalidUrl::Scheme)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_path_with_or_without_slashes() {
        for (text, path) in [
            ("sqlite:orch.db", "orch.db"),
            ("sqlite:/var/lib/orch/orch.db", "/var/lib/orch/orch.db"),
            ("sqlite:///var/lib/orch/orch.db", "/var/lib/orch/orch.db"),
            ("sqlite://./orch.db", "./orch.db"),
        ] {
            assert!(matches!(text.parse(), Ok(StoreUrl::Sqlite(is)) if is.as_os_str() == path), "{text}");
        }
    }

    #[test]
    fn what_names_no_lasting_store_is_refused_with_the_reason() {
        for (text, error) in [
            ("", InvalidUrl::Scheme),
            ("mysql://root@localhost/orch", InvalidUrl::Scheme),
            ("sqlite:", InvalidUrl::NoPath),
            ("sqlite://", InvalidUrl::NoPath),
            ("sqlite::memory:", InvalidUrl::InMemory),
            ("sqlite:orch.db?mode=ro", InvalidUrl::Options),
            ("postgres:", InvalidUrl::NoHost),
            ("postgresql://", InvalidUrl::NoHost),
        ] {
            assert_eq!(text.parse::<StoreUrl>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_not_shown() {
        let url: StoreUrl = "postgres://orch:hunter2@db/orch".parse().unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
