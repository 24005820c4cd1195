//! The claims of a user's token, and their rules.

use std::collections::BTreeMap;
use std::time::Duration;

use orch_core::identity::{Grants, Role};
use orch_core::name::{Namespace, Subject};
use orch_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How far ahead an issuer's clock may be for `nbf` and `iat`. `exp` is exact.
pub(crate) const LEEWAY: Duration = Duration::from_secs(60);

/// What a token says. A claim of the wrong type counts as absent where the rules let it be absent.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Claims {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) namespace_roles: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exp: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nbf: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) iat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) iss: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) aud: Option<Audience>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    pub(crate) fn holds(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

fn seconds(now: Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of our era fit into the 53 bits to within a microsecond"
    )]
    let micros = now.as_micros() as f64;
    micros / 1e6
}

impl Claims {
    pub(crate) fn subject(&self) -> Result<Subject, String> {
        let sub = self.sub.as_deref().unwrap_or_default();
        sub.parse().map_err(|_| "the token has no usable `sub`".to_owned())
    }

    /// When the token was issued, to the second; `None`: it does not say.
    pub(crate) fn issued_at(&self) -> Option<Timestamp> {
        let micros = self.iat.filter(|iat| iat.is_finite())? * 1e6;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a time out of range is the first or last there is"
        )]
        Some(Timestamp::from_micros(micros as i64))
    }

    /// `exp` is refused from that second on, `late` later; `nbf` and `iat` may be ahead by `early`. The texts say by how much
    /// clocks differ.
    pub(crate) fn check_time(
        &self,
        now: Timestamp,
        late: Duration,
        early: Duration,
        exp_required: bool,
    ) -> Result<(), String> {
        let now = seconds(now);
        match self.exp {
            None if exp_required => return Err("the token has no `exp`".to_owned()),
            Some(exp) if !exp.is_finite() || now >= exp + late.as_secs_f64() => {
                return Err(format!("the token expired {:.0} s ago by the server's clock", now - exp));
            }
            _ => {}
        }
        for (name, at) in [("nbf", self.nbf), ("iat", self.iat)] {
            if let Some(at) = at.filter(|at| !at.is_finite() || *at > now + early.as_secs_f64()) {
                return Err(format!("the token's `{name}` is {:.0} s ahead of the server's clock", at - now));
            }
        }
        Ok(())
    }

    /// A valid `role` holds in the whole cluster; without one, `namespace_roles` hold in their namespaces.
    pub(crate) fn grants(&self) -> Result<Grants, String> {
        let role =
            self.role.as_ref().and_then(|role| role.as_str()).and_then(|role| role.parse::<Role>().ok());
        if let Some(role) = role {
            return Ok(Grants::cluster(role));
        }
        let mut namespaces = BTreeMap::new();
        for (namespace, role) in &self.namespace_roles {
            if let (Ok(namespace), Ok(role)) = (namespace.parse::<Namespace>(), role.parse::<Role>()) {
                namespaces.insert(namespace, role);
            }
        }
        if namespaces.is_empty() {
            return Err(
                "the token has neither a `role` (admin, operator, viewer) nor usable `namespace_roles`"
                    .to_owned(),
            );
        }
        Ok(Grants { cluster: None, namespaces })
    }
}
