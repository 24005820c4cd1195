//! The foreign issuer whose users are let in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use orch_auth::oidc::{ClaimPath, RoleMapping};
use orch_core::identity::Role;
use orch_core::name::Namespace;

use super::rules::Reader;
use super::values;

/// By how much an issuer's clock may differ at most.
const MOST_LEEWAY: Duration = Duration::from_secs(600);

/// One OpenID Connect issuer.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// Its `iss`.
    pub issuer: String,
    /// The `aud` of its tokens.
    pub audience: String,
    /// Where its keys are.
    pub keys: OidcKeys,
    /// By how much its clock may differ.
    pub leeway: Duration,
    /// Which claim says who a user is.
    pub subject_claim: ClaimPath,
    /// Put before it.
    pub subject_prefix: String,
    /// What the claims mean.
    pub mapping: RoleMapping,
}

/// Where an issuer's keys are.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OidcKeys {
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url {
        /// Which.
        url: String,
        /// Authorities to trust for it; `None`: the system's.
        ca_file: Option<PathBuf>,
    },
}

impl Reader<'_> {
    /// `None` where no issuer is named; then nothing else of the section may be.
    pub(super) fn oidc(&mut self) -> Option<OidcConfig> {
        let text = |key: &str| self.said.get(key).map(str::to_owned);
        let (issuer, audience) = (text("oidc.issuer"), text("oidc.audience"));
        let (url, file, ca_file) = (text("oidc.jwks_url"), text("oidc.jwks_file"), text("oidc.ca_file"));
        let subject_prefix = text("oidc.subject_prefix").unwrap_or_default();
        let defaults = RoleMapping::default();
        let mapping = RoleMapping {
            role_claim: self.claim("oidc.role_claim", defaults.role_claim),
            role_values: self.parse("oidc.role_values", BTreeMap::new(), |text| pairs(text, role)),
            namespace_claim: self.claim("oidc.namespace_roles_claim", defaults.namespace_claim),
            namespace_values: self
                .parse("oidc.namespace_role_values", BTreeMap::new(), |text| pairs(text, namespace_role)),
        };
        let subject_claim = self.claim("oidc.subject_claim", "sub".parse().expect("a claim's name"));
        let leeway = self.parse("oidc.leeway", Duration::from_secs(60), |text| {
            let most = format!("expected at most {} s", MOST_LEEWAY.as_secs());
            values::duration(text)
                .and_then(|leeway| if leeway > MOST_LEEWAY { Err(most) } else { Ok(leeway) })
        });
        let said = self.said.keys().find(|key| key.starts_with("oidc."));
        let Some(issuer) = issuer else {
            if let Some(key) = said {
                let name = self.said.name_of(key);
                self.problems.push(format!(
                    "{name}: given without ORCH_OIDC_ISSUER: there is no issuer to apply it to"
                ));
            }
            return None;
        };
        let keys = match (url, file) {
            (Some(url), None) => Some(OidcKeys::Url { url, ca_file: ca_file.map(PathBuf::from) }),
            (None, Some(file)) => Some(OidcKeys::File(file.into())),
            _ => None,
        };
        if keys.is_none() {
            let problem =
                "--oidc-issuer: its keys are needed, by one of --oidc-jwks-url and --oidc-jwks-file";
            self.problems.push(problem.to_owned());
        }
        if audience.is_none() {
            let problem = "--oidc-issuer: --oidc-audience is needed, or tokens for any other program would be good here";
            self.problems.push(problem.to_owned());
        }
        let (keys, audience) = (keys?, audience?);
        Some(OidcConfig { issuer, audience, keys, leeway, subject_claim, subject_prefix, mapping })
    }

    fn claim(&mut self, key: &str, default: ClaimPath) -> ClaimPath {
        self.parse(key, default, |text| text.parse().map_err(|error| format!("{error}")))
    }
}

/// `value=meaning,value=meaning`; values may hold a `=`.
fn pairs<T>(text: &str, meaning: fn(&str) -> Result<T, String>) -> Result<BTreeMap<String, T>, String> {
    let mut pairs = BTreeMap::new();
    for entry in values::list(text) {
        let (value, means) = entry.rsplit_once('=').ok_or_else(|| format!("`{entry}` has no `=`"))?;
        if pairs.insert(value.trim().to_owned(), meaning(means.trim())?).is_some() {
            return Err(format!("`{}` is there twice", value.trim()));
        }
    }
    Ok(pairs)
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|_| format!("`{text}` is no role; expected admin, operator or viewer"))
}

fn namespace_role(text: &str) -> Result<(Namespace, Role), String> {
    let (namespace, of_it) = text.split_once(':').ok_or_else(|| format!("`{text}` is not namespace:role"))?;
    let namespace = namespace.parse().map_err(|error: orch_core::name::InvalidName| error.to_string())?;
    Ok((namespace, role(of_it)?))
}
