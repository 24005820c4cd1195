//! [`RoleMapping`]: from the claims of a foreign issuer to what its users may here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use orch_core::identity::{Grants, Role};
use orch_core::name::Namespace;
use serde_json::{Map, Value};

/// Where in a token's claims something stands: the name of a claim (`groups`, `https://example.com/roles`), or with a leading
/// `/` a JSON Pointer (RFC 6901) into it (`/realm_access/roles`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(String);

/// A text is no path to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a claim, or a JSON Pointer like `/realm_access/roles`")]
pub struct InvalidClaimPath;

impl FromStr for ClaimPath {
    type Err = InvalidClaimPath;
    fn from_str(text: &str) -> Result<Self, InvalidClaimPath> {
        let fit = !text.trim().is_empty() && text != "/" && text.len() <= 256;
        if fit { Ok(Self(text.to_owned())) } else { Err(InvalidClaimPath) }
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClaimPath {
    pub(super) fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let Some(pointer) = self.0.strip_prefix('/') else { return claims.get(&self.0) };
        let (first, rest) =
            pointer.split_once('/').map_or((pointer, None), |(first, rest)| (first, Some(rest)));
        let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
        rest.map_or(Some(value), |rest| value.pointer(&format!("/{rest}")))
    }
}

/// Which values of which claims mean which roles.
///
/// A cluster-wide role comes from one claim, a text or a list of texts. Roles in namespaces come from another: an object of
/// namespace to role, or a list of texts that [`RoleMapping::namespace_values`] translates. Where several values mean a role,
/// the highest counts; what means nothing is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleMapping {
    /// Where the cluster-wide role stands. Default: `role`.
    pub role_claim: ClaimPath,
    /// What its values mean. Empty: the roles' own names.
    pub role_values: BTreeMap<String, Role>,
    /// Where roles in namespaces stand. Default: `namespace_roles`.
    pub namespace_claim: ClaimPath,
    /// What its values mean, where it is a text or a list of texts.
    pub namespace_values: BTreeMap<String, (Namespace, Role)>,
}

impl Default for RoleMapping {
    fn default() -> Self {
        let claim = |name: &str| ClaimPath(name.to_owned());
        Self {
            role_claim: claim("role"),
            role_values: BTreeMap::new(),
            namespace_claim: claim("namespace_roles"),
            namespace_values: BTreeMap::new(),
        }
    }
}

impl RoleMapping {
    /// What the claims grant; nothing is an empty [`Grants`].
    pub(super) fn grants(&self, claims: &Map<String, Value>) -> Grants {
        let cluster = self.role_claim.find(claims);
        let cluster = cluster.into_iter().flat_map(texts).filter_map(|text| self.role(text)).max();
        let mut namespaces = BTreeMap::new();
        let mut grant = |namespace: Namespace, role: Role| {
            let highest = namespaces.entry(namespace).or_insert(role);
            *highest = role.max(*highest);
        };
        match self.namespace_claim.find(claims) {
            Some(Value::Object(entries)) => {
                for (name, value) in entries {
                    let role = texts(value).filter_map(|text| self.role(text)).max();
                    if let (Ok(namespace), Some(role)) = (name.parse(), role) {
                        grant(namespace, role);
                    }
                }
            }
            Some(other) => {
                for (namespace, role) in texts(other).filter_map(|text| self.namespace_values.get(text)) {
                    grant(namespace.clone(), *role);
                }
            }
            None => {}
        }
        Grants { cluster, namespaces }
    }

    fn role(&self, text: &str) -> Option<Role> {
        if self.role_values.is_empty() { text.parse().ok() } else { self.role_values.get(text).copied() }
    }
}

/// A text, or those of a list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grants(mapping: &RoleMapping, claims: Value) -> Grants {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        mapping.grants(&claims)
    }

    #[test]
    fn without_settings_the_claims_are_those_of_our_own_tokens() {
        let plain = RoleMapping::default();
        assert_eq!(grants(&plain, json!({"role": "operator"})), Grants::cluster(Role::Operator));
        assert_eq!(grants(&plain, json!({"role": "root"})), Grants::default());
        let team =
            grants(&plain, json!({"namespace_roles": {"team-a": "admin", "Team B": "admin", "c": "root"}}));
        assert_eq!(team.namespaces, [("team-a".parse().unwrap(), Role::Admin)].into());
        for nothing in
            [json!({}), json!({"role": 3}), json!({"role": null}), json!({"role": {"admin": true}})]
        {
            assert_eq!(grants(&plain, nothing.clone()), Grants::default(), "{nothing}");
        }
    }

    #[test]
    fn groups_are_translated_the_highest_counts_and_names_of_roles_mean_nothing_then() {
        let mapping = RoleMapping {
            role_claim: "/realm_access/roles".parse().unwrap(),
            role_values: [("ops".to_owned(), Role::Operator), ("root".to_owned(), Role::Admin)].into(),
            namespace_claim: "groups".parse().unwrap(),
            namespace_values: [
                ("a-ops".to_owned(), ("team-a".parse().unwrap(), Role::Operator)),
                ("a-all".to_owned(), ("team-a".parse().unwrap(), Role::Viewer)),
            ]
            .into(),
        };
        let all = json!({"realm_access": {"roles": ["x", "ops", "root", 7]}, "groups": ["a-ops", "a-all"]});
        let all = grants(&mapping, all);
        assert_eq!(all.cluster, Some(Role::Admin));
        assert_eq!(all.namespaces, [("team-a".parse().unwrap(), Role::Operator)].into());
        let named = json!({"realm_access": {"roles": ["admin"]}, "role": "admin"});
        assert_eq!(grants(&mapping, named), Grants::default(), "`admin` is none of the mapped values");
    }

    #[test]
    fn a_claim_is_named_as_it_is_or_pointed_into() {
        let claims = json!({"https://example.com/roles": "viewer", "a": {"b/c": ["admin"]}});
        for (path, role) in [("https://example.com/roles", Role::Viewer), ("/a/b~1c", Role::Admin)] {
            let mapping = RoleMapping { role_claim: path.parse().unwrap(), ..RoleMapping::default() };
            assert_eq!(grants(&mapping, claims.clone()).cluster, Some(role), "{path}");
        }
        for bad in ["", " ", "/"] {
            assert!(bad.parse::<ClaimPath>().is_err(), "{bad:?}");
        }
    }
}
