//! Times and durations on the wire.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Timestamp;

/// A time in RFC 3339, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text).map(Self).map_err(|_| de::Error::custom("not an RFC 3339 time"))
    }
}

/// Times that may be unset: left out here, `0001-01-01T00:00:00Z` in the existing implementation; both are read as unset.
pub mod unset {
    use super::{Deserialize, Deserializer, Time};

    /// Reads a time that may be unset.
    ///
    /// # Errors
    /// The text is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
        /// 0001-01-01T00:00:00Z, in microseconds since the epoch.
        const GO_ZERO: i64 = -62_135_596_800_000_000;
        Ok(Option::<Time>::deserialize(deserializer)?.filter(|time| time.0.as_micros() > GO_ZERO))
    }
}

/// A duration: nanoseconds in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Whether it is zero: unset.
    #[must_use]
    pub const fn is_unset(&self) -> bool {
        self.0 == 0
    }

    /// The duration, or what holds where it is unset.
    #[must_use]
    pub const fn or(self, default: Duration) -> Duration {
        if self.is_unset() { default } else { Duration::from_nanos(self.0) }
    }
}

impl From<Duration> for Nanos {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Row {
        #[serde(default, deserialize_with = "unset::deserialize")]
        at: Option<Time>,
    }

    #[test]
    fn an_unset_time_is_read_in_both_forms() {
        for json in ["{}", r#"{"at":null}"#, r#"{"at":"0001-01-01T00:00:00Z"}"#] {
            assert_eq!(serde_json::from_str::<Row>(json).unwrap().at, None, "{json}");
        }
        let row: Row = serde_json::from_str(r#"{"at":"2026-01-02T03:04:05Z"}"#).unwrap();
        assert_eq!(serde_json::to_string(&row.at).unwrap(), r#""2026-01-02T03:04:05Z""#);
    }
}
