//! Names, parsed once: what carries one of these types keeps its rule.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text is no name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid {kind}: {rule}", text.escape_debug())]
pub struct InvalidName {
    /// What was being named.
    pub kind: &'static str,
    /// The text as given, cut to 80 characters.
    pub text: String,
    /// What would be right.
    pub rule: &'static str,
}

fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&bytes.len())
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(|b| edge(b) || *b == b'-')
}

fn is_host_like(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=253).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_env_name(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'=')
}

fn is_secret_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
}

fn is_idempotency_key(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_subject(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= 256 && !text.chars().any(char::is_control)
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $check:path, $rule:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $check(text) { Ok(Self(text.into())) } else {
                    Err(InvalidName { kind: $kind, text: text.chars().take(80).collect(), rule: $rule })
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> { text.parse() }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self { name.0.as_ref().to_owned() }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Debug::fmt(&*self.0, f) }
        }
        impl Borrow<str> for $name { fn borrow(&self) -> &str { &self.0 } }
        impl AsRef<str> for $name { fn as_ref(&self) -> &str { &self.0 } }
    )*};
}

names! {
    /// A namespace. Everything but nodes belongs to one.
    Namespace, "namespace", is_dns_label, "1 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends";
    /// A service's name: a DNS label, since it becomes a host name.
    ServiceName, "service name", is_dns_label, "1 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends";
    /// The name of a volume within its namespace: a DNS label.
    VolumeName, "volume name", is_dns_label, "1 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends";
    /// A node's name, usually its host name.
    NodeName, "node name", is_host_like, "1 to 253 of letters, digits, `-`, `_` and `.`, beginning with a letter or digit";
    /// The name of an environment variable.
    EnvName, "environment variable name", is_env_name, "1 to 256 printable ASCII characters without `=` and space, not beginning with a digit";
    /// The name of a secret; it may hold slashes.
    SecretName, "secret name", is_secret_name, "1 to 253 of letters, digits, `-`, `_`, `.` and `/`, no empty, `.` or `..` part";
    /// A caller's `Idempotency-Key`.
    IdempotencyKey, "idempotency key", is_idempotency_key, "1 to 128 printable ASCII characters without space";
    /// What an API token is called among those of its user.
    ApiTokenName, "token name", is_host_like, "1 to 253 of letters, digits, `-`, `_` and `.`, beginning with a letter or digit";
    /// Who a user is: the `sub` of a token.
    Subject, "subject", is_subject, "1 to 256 characters, not blank, no control characters";
}

impl Namespace {
    /// The namespace that is there from the start and cannot be deleted.
    #[must_use]
    pub fn default_namespace() -> Self {
        Self("default".into())
    }
}

impl Subject {
    /// The subject of every caller while user authentication is off.
    #[must_use]
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_rules() {
        for good in ["a", "web", "web-1", "0"] {
            assert!(good.parse::<ServiceName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "Web", "a.b", "a b", &"x".repeat(64), "ä"] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad}");
        }
        for bad in ["/a", "a//b", "../a", "a/..", ""] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad}");
        }
        assert!("prod/db".parse::<SecretName>().is_ok());
        for bad in ["", "1A", "A=B", "A B", "A\n"] {
            assert!(bad.parse::<EnvName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_name_is_answered_with_its_rule() {
        let error = "Web\u{1b}".parse::<ServiceName>().unwrap_err().to_string();
        assert!(error.contains("Web\\u{1b}") && error.contains("a-z"), "{error}");
    }
}
