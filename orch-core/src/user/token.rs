//! [`ApiToken`]: what a service account shows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::ApiTokenId;
use crate::identity::CredentialDigest;
use crate::name::{ApiTokenName, Subject};
use crate::time::Timestamp;

/// The longest life of a token: 366 days.
pub const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);
/// The shortest: a second.
pub const SHORTEST_LIFE: Duration = Duration::from_secs(1);
/// How many tokens a user has at most.
pub const MOST_TOKENS: usize = 64;
/// How exactly the last use is kept: to the hour, so that requests cost no write each.
pub const LAST_USE_GRAIN: Duration = Duration::from_secs(3600);

/// An API token, as far as the cluster knows it: the token itself was shown once and is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its id, which the token bears.
    pub id: ApiTokenId,
    /// Whose.
    pub user: Subject,
    /// What he calls it.
    pub name: ApiTokenName,
    /// Its keyed hash.
    pub digest: CredentialDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is not good.
    pub expires_at: Timestamp,
    /// The hour in which it was last used.
    #[serde(default)]
    pub last_used: Option<Timestamp>,
}

impl ApiToken {
    /// The hour of a use.
    #[must_use]
    pub fn hour_of(now: Timestamp) -> Timestamp {
        let grain = i64::try_from(LAST_USE_GRAIN.as_micros()).expect("an hour");
        Timestamp::from_micros(now.as_micros() - now.as_micros().rem_euclid(grain))
    }
}
