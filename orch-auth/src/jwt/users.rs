//! Static users: who there is, and which role counts.

use std::collections::BTreeMap;
use std::str::FromStr;

use orch_core::identity::Role;
use orch_core::name::Subject;

/// The users of `ORCH_USERS`: `alice:admin,bob:operator`. Where set, a token's subject must be listed, and the listed role
/// counts instead of the token's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticUsers(BTreeMap<Subject, Role>);

/// What is wrong with a list of users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "entry {entry} of the list of users: {problem}; expected name:role, with role admin, operator or viewer"
)]
pub struct InvalidUsers {
    /// Which entry, from 1.
    pub entry: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl StaticUsers {
    /// The role of a user.
    #[must_use]
    pub fn role(&self, subject: &Subject) -> Option<Role> {
        self.0.get(subject).copied()
    }

    /// Whether nobody is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for StaticUsers {
    type Err = InvalidUsers;
    fn from_str(text: &str) -> Result<Self, InvalidUsers> {
        let mut users = BTreeMap::new();
        for (at, entry) in text.split(',').enumerate().filter(|(_, entry)| !entry.trim().is_empty()) {
            let wrong = |problem| InvalidUsers { entry: at + 1, problem };
            let (name, role) = entry.rsplit_once(':').ok_or_else(|| wrong("it has no `:`"))?;
            let name: Subject = name.trim().parse().map_err(|_| wrong("the name is not usable"))?;
            let role = role.trim().parse().map_err(|_| wrong("the role is unknown"))?;
            if users.insert(name, role).is_some() {
                return Err(wrong("the name is listed twice"));
            }
        }
        Ok(Self(users))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_faults_are_named_by_entry() {
        let users: StaticUsers = "alice:admin, bob:operator,".parse().unwrap();
        assert_eq!(users.role(&"bob".parse().unwrap()), Some(Role::Operator));
        assert_eq!(users.role(&"carol".parse().unwrap()), None);
        for (bad, entry) in [("alice", 1), ("a:admin,b:root", 2), ("a:admin,a:viewer", 2), (":admin", 1)] {
            assert_eq!(bad.parse::<StaticUsers>().unwrap_err().entry, entry, "{bad}");
        }
    }
}
