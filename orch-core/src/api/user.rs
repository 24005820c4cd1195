//! Users and their API tokens on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Time, parse_at};
use crate::command::{FieldPath, Rejection};
use crate::identity::{Action, Grants};
use crate::name::{ApiTokenName, Subject};
use crate::user::{self, UserKind};

/// How long an API token is good where the request does not say: 90 days.
pub const DEFAULT_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct User {
    /// Who: the subject of his tokens.
    pub name: String,
    /// `person` or `service_account`.
    pub kind: String,
    /// `active` or `disabled`.
    pub status: String,
    /// The role in the whole cluster; left out together with `namespace_roles`: what his token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Roles in single namespaces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_roles: BTreeMap<String, String>,
    /// What was issued to him before counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_valid_from: Option<Time>,
    /// How many API tokens he has.
    #[serde(default)]
    pub api_tokens: usize,
    /// When the cluster first heard of him.
    #[serde(default)]
    pub created_at: Time,
    /// When this last changed.
    #[serde(default)]
    pub updated_at: Time,
}

impl User {
    /// A user who has so many API tokens.
    #[must_use]
    pub fn of(row: &user::User, api_tokens: usize) -> Self {
        let word = |role: crate::identity::Role| role.as_str().to_owned();
        let grants = row.grants.clone().unwrap_or_default();
        let namespaces = grants.namespaces.into_iter();
        Self {
            name: row.name.to_string(),
            kind: row.kind.as_str().to_owned(),
            status: row.status.as_str().to_owned(),
            role: grants.cluster.map(word),
            namespace_roles: namespaces.map(|(name, role)| (name.to_string(), word(role))).collect(),
            tokens_valid_from: row.accepted_from.map(Time::from),
            api_tokens,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }
}

/// What a user may: a role in the whole cluster, roles in namespaces, or both. Nothing: what his token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RoleRequest {
    /// `viewer`, `operator` or `admin`, in the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Roles in single namespaces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_roles: BTreeMap<String, String>,
}

impl RoleRequest {
    /// What is granted; `None`: what his token says.
    ///
    /// # Errors
    /// A role or namespace is none.
    pub fn parse(&self) -> Result<Option<Grants>, Rejection> {
        const ROLES: &str = "`admin`, `operator` or `viewer`";
        let role = self.role.as_deref().map(|role| parse_at(role, &FieldPath::new("role"), ROLES));
        let mut grants = Grants { cluster: role.transpose()?, namespaces: BTreeMap::new() };
        let at = FieldPath::new("namespace_roles");
        for (name, role) in &self.namespace_roles {
            let at = at.field(&name.escape_debug().to_string());
            let namespace = parse_at(name, &at, "a namespace's name")?;
            grants.namespaces.insert(namespace, parse_at(role, &at, ROLES)?);
        }
        Ok(Some(grants).filter(|grants| !grants.is_empty()))
    }
}

/// Adds a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct UserRequest {
    /// Who: the subject of his tokens.
    pub name: String,
    /// `person` (also where it is left out) or `service_account`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `viewer`, `operator` or `admin`, in the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Roles in single namespaces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_roles: BTreeMap<String, String>,
}

impl UserRequest {
    /// Who, what kind, and what he may.
    ///
    /// # Errors
    /// A field is wrong.
    pub fn parse(&self) -> Result<(Subject, UserKind, Option<Grants>), Rejection> {
        let kind = match self.kind.as_deref() {
            None => UserKind::Person,
            Some(word) => UserKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| {
                let problem = format!("`{}` is no kind of user", word.escape_debug());
                Rejection::invalid(FieldPath::new("kind"), problem, "`person` or `service_account`")
            })?,
        };
        let grants = RoleRequest { role: self.role.clone(), namespace_roles: self.namespace_roles.clone() };
        Ok((parse_user(&self.name)?, kind, grants.parse()?))
    }
}

/// A user's name, in a body or a path.
///
/// # Errors
/// It is none.
pub fn parse_user(text: &str) -> Result<Subject, Rejection> {
    parse_at(text, &FieldPath::new("name"), "the subject of the user's tokens")
}

/// One user.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct UserAnswer {
    /// The user.
    pub user: User,
}

/// Users, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct UsersAnswer {
    /// The users.
    pub users: Vec<User>,
}

/// An API token, as far as the cluster knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its id.
    pub id: String,
    /// Whose.
    pub user: String,
    /// What it is called.
    pub name: String,
    /// When it was made.
    pub created_at: Time,
    /// From when on it is not good.
    pub expires_at: Time,
    /// The hour in which it was last used; left out: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_hour: Option<Time>,
}

impl From<&user::ApiToken> for ApiToken {
    fn from(row: &user::ApiToken) -> Self {
        Self {
            id: row.id.to_string(),
            user: row.user.to_string(),
            name: row.name.to_string(),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.into(),
            last_used_hour: row.last_used.map(Time::from),
        }
    }
}

/// Makes an API token.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ApiTokenRequest {
    /// What it is called.
    pub name: String,
    /// How long it is good, 366 days at most; left out: 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

impl ApiTokenRequest {
    /// Name and life.
    ///
    /// # Errors
    /// The name is none.
    pub fn parse(&self) -> Result<(ApiTokenName, Duration), Rejection> {
        let ttl = self.ttl_seconds.map_or(DEFAULT_LIFE, Duration::from_secs);
        Ok((parse_token(&self.name)?, ttl))
    }
}

/// A token's name, in a body or a path.
///
/// # Errors
/// It is none.
pub fn parse_token(text: &str) -> Result<ApiTokenName, Rejection> {
    parse_at(text, &FieldPath::new("name"), "a token's name")
}

/// A token that was just made, for the only time with what is to be shown.
#[derive(Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ApiTokenMade {
    /// What the cluster knows of it.
    pub api_token: ApiToken,
    /// The token itself: nobody can tell it again.
    pub token: String,
}

impl std::fmt::Debug for ApiTokenMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiTokenMade").field("api_token", &self.api_token).finish_non_exhaustive()
    }
}

/// API tokens of a user, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ApiTokensAnswer {
    /// The tokens.
    pub api_tokens: Vec<ApiToken>,
}

/// Which action is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessQuery {
    /// What is to be done: `read`, `create`, `scale`, `drain`, …
    pub verb: String,
    /// With what: `service`, `node`, `logs`, …; plural is fine.
    pub resource: String,
}

impl AccessQuery {
    /// The action of users that is meant.
    ///
    /// # Errors
    /// There is none of that name; what there is of the resource, or which resources there are, is told.
    pub fn parse(&self) -> Result<Action, Rejection> {
        let of_users = || Action::ALL.iter().copied().filter(|action| action.least_role().is_some());
        let split = |action: Action| action.as_str().rsplit_once('.').expect("an action is resource.verb");
        let verb = match self.verb.trim() {
            "get" | "list" | "ls" | "watch" | "inspect" => "read",
            "apply" | "deploy" => "update",
            other => other,
        };
        let asked = self.resource.trim();
        let same = |resource: &str| resource == asked || asked.strip_suffix('s') == Some(resource);
        let of_resource: Vec<_> = of_users().filter(|action| same(split(*action).0)).collect();
        // Where there is but one, it is for all there is to be done.
        let found =
            of_resource.iter().find(|action| split(**action).1 == verb || split(**action).1 == "manage");
        found.copied().ok_or_else(|| {
            let list =
                |words: std::collections::BTreeSet<&str>| words.into_iter().collect::<Vec<_>>().join(", ");
            if of_resource.is_empty() {
                let resources = list(of_users().map(|action| split(action).0).collect());
                let problem = format!("there is no resource `{}`", asked.escape_debug());
                return Rejection::invalid(
                    FieldPath::new("resource"),
                    problem,
                    format!("one of {resources}"),
                );
            }
            let verbs = list(of_resource.iter().map(|action| split(*action).1).collect());
            let problem = format!("nothing called `{}` is done with it", verb.escape_debug());
            Rejection::invalid(FieldPath::new("verb"), problem, format!("one of {verbs}"))
        })
    }
}

/// Whether one may.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AccessAnswer {
    /// Whether the authorizer says yes, for this token and in the namespace of the request.
    pub allowed: bool,
    /// The action, as permits and audit records name it.
    pub action: String,
    /// In which namespace; left out: in the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What would be needed; left out where it is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(verb: &str, resource: &str) -> Result<Action, String> {
        let query = AccessQuery { verb: verb.to_owned(), resource: resource.to_owned() };
        query.parse().map_err(|why| why.to_string())
    }

    #[test]
    fn verbs_and_resources_are_those_of_the_actions_and_what_people_say_for_them() {
        assert_eq!(action("create", "services"), Ok(Action::CreateService));
        assert_eq!(action("list", "nodes"), Ok(Action::ReadNodes));
        assert_eq!(action("exec", "task"), Ok(Action::ExecTask));
        assert_eq!(action("pause", "service.rollout"), Ok(Action::PauseRollout));
        assert_eq!(action("read", "logs"), Ok(Action::ReadLogs));
        assert_eq!(action("delete", "users"), Ok(Action::ManageUsers));
        let wrong = action("fly", "node").unwrap_err();
        assert!(wrong.starts_with("verb:") && wrong.contains("cordon, drain"), "{wrong}");
        let wrong = action("read", "pods").unwrap_err();
        assert!(wrong.starts_with("resource:") && wrong.contains("service"), "{wrong}");
        assert!(action("act", "agent").is_err(), "what nodes do is nobody's to ask about");
    }

    #[test]
    fn roles_are_read_with_their_place_and_nothing_means_what_the_token_says() {
        let request = |role: Option<&str>, of: &[(&str, &str)]| RoleRequest {
            role: role.map(str::to_owned),
            namespace_roles: of.iter().map(|(name, role)| ((*name).to_owned(), (*role).to_owned())).collect(),
        };
        assert_eq!(request(None, &[]).parse(), Ok(None));
        let both = request(Some("viewer"), &[("team-a", "admin")]).parse().unwrap().unwrap();
        assert_eq!(both.to_string(), "viewer, team-a: admin");
        for (wrong, field) in [
            (request(Some("root"), &[]), "role"),
            (request(None, &[("Team A", "admin")]), "namespace_roles.Team A"),
            (request(None, &[("team-a", "root")]), "namespace_roles.team-a"),
        ] {
            assert!(wrong.parse().unwrap_err().to_string().starts_with(field), "{field}");
        }
    }

    #[test]
    fn debug_does_not_show_a_token() {
        let made = ApiTokenMade { api_token: ApiToken::default(), token: "orchu_secret".to_owned() };
        assert!(!format!("{made:?}").contains("orchu_secret"));
    }
}
