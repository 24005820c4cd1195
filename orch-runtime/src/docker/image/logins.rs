//! Logins at registries: the `auths` of the Docker config file, as `docker login` writes them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use docker_api::opts::RegistryAuth;
use orch_core::service::image::DEFAULT_REGISTRY;
use serde::Deserialize;

/// What the config file calls Docker Hub.
const HUB: &str = "index.docker.io";

/// The Docker config file of this process: in the folder `DOCKER_CONFIG`, else in `~/.docker`.
pub(in super::super) fn usual_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")))?;
    Some(folder.join("config.json"))
}

/// How to log in at a registry, and what a person should know if it does not let us in. Neither is to be logged as it is:
/// there is no `Debug` on purpose.
#[derive(Default)]
pub(super) struct Login {
    pub(super) auth: Option<RegistryAuth>,
    pub(super) hint: Option<String>,
}

// Nothing here has `Debug`, so that no line shows a password.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
}

/// Looks the registry up in the file, which is read anew each time: a login counts from the next pull on.
pub(super) async fn login(file: Option<&Path>, registry: &str) -> Login {
    let Some(path) = file else { return Login::default() };
    match tokio::fs::read(path).await {
        Ok(content) => look_up(&content, path, registry),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Login { auth: None, hint: Some(format!("there is no {}", path.display())) }
        }
        Err(error) => Login { auth: None, hint: Some(format!("{} cannot be read: {error}", path.display())) },
    }
}

fn look_up(content: &[u8], path: &Path, registry: &str) -> Login {
    let path = path.display();
    let nothing = |hint| Login { auth: None, hint: Some(hint) };
    let file: File = match serde_json::from_slice(content) {
        Ok(file) => file,
        // Where only: the parser's words may hold what it stumbled over.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            return nothing(format!("{path} is not understood at line {line}, column {column}"));
        }
    };
    let wanted = if registry == DEFAULT_REGISTRY { HUB } else { registry };
    let found = file.auths.iter().find(|(key, _)| host(key) == wanted);
    match found.map(|(key, entry)| entry.auth(key)) {
        Some(Some(auth)) => Login { auth: Some(auth), hint: Some(format!("the login in {path} was used")) },
        _ if file.store.is_some() || file.helpers.contains_key(wanted) => nothing(format!(
            "{path} leaves the login to a credential helper, which orch does not run: \
             put it in its `auths`"
        )),
        Some(None) => nothing(format!("the entry for {registry} in {path} is no user and password")),
        None => nothing(format!("{path} has no login for {registry}")),
    }
}

/// `reg.example:5000` of `https://reg.example:5000/v1/`
fn host(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split('/').next().unwrap_or(bare)
}

impl Entry {
    fn auth(&self, server: &str) -> Option<RegistryAuth> {
        if let Some(token) = self.identity_token.as_deref().filter(|token| !token.is_empty()) {
            return Some(RegistryAuth::token(token));
        }
        let (user, password) = match self.auth.as_deref().filter(|auth| !auth.is_empty()) {
            Some(auth) => {
                let plain = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
                let (user, password) = plain.split_once(':')?;
                // Old versions of `docker login` padded it.
                (user.to_owned(), password.trim_end_matches('\0').to_owned())
            }
            None => (self.username.clone()?, self.password.clone()?),
        };
        (!user.is_empty())
            .then(|| RegistryAuth::builder().username(user).password(password).server_address(server).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str, registry: &str) -> (Option<(String, String)>, String) {
        let login = look_up(content.as_bytes(), Path::new("/c.json"), registry);
        let auth = login.auth.map(|auth| match auth {
            RegistryAuth::Password { username, password, .. } => (username, password),
            RegistryAuth::Token { identity_token } => ("token".to_owned(), identity_token),
        });
        (auth, login.hint.unwrap_or_default())
    }

    #[test]
    fn a_login_is_found_however_its_registry_is_written() {
        let auth = STANDARD.encode("u:p:w");
        let pair = Some(("u".to_owned(), "p:w".to_owned()));
        for (key, registry) in [
            ("reg.example:5000", "reg.example:5000"),
            ("https://reg.example/v1/", "reg.example"),
            ("http://reg.example", "reg.example"),
            ("https://index.docker.io/v1/", "docker.io"),
        ] {
            let content = format!(r#"{{"auths":{{"other":{{}},"{key}":{{"auth":"{auth}"}}}}}}"#);
            assert_eq!(found(&content, registry).0, pair, "{key}");
        }
        let plain = r#"{"auths":{"r.example":{"username":"u","password":"p:w"}}}"#;
        assert_eq!(found(plain, "r.example").0, pair);
        let token = r#"{"auths":{"r.example":{"identitytoken":"t"}}}"#;
        assert_eq!(found(token, "r.example").0, Some(("token".to_owned(), "t".to_owned())));
    }

    #[test]
    fn what_gives_no_login_says_why_and_shows_nothing_of_the_file() {
        for (content, hint) in [
            (r#"{}"#, "/c.json has no login for r.example"),
            (r#"{"auths":{"s.example":{"auth":"dTpj"}}}"#, "/c.json has no login for r.example"),
            (
                r#"{"auths":{"r.example":{"auth":"canary"}}}"#,
                "the entry for r.example in /c.json is no user and",
            ),
            (r#"{"auths":{"r.example":"canary"}}"#, "/c.json is not understood at line 1, column "),
            (
                r#"{"auths":{"r.example":{}},"credsStore":"canary"}"#,
                "leaves the login to a credential helper",
            ),
            (r#"{"credHelpers":{"r.example":"canary"}}"#, "leaves the login to a credential helper"),
        ] {
            let (auth, said) = found(content, "r.example");
            assert_eq!(auth, None, "{content}");
            assert!(said.contains(hint) && !said.contains("canary"), "{said}");
        }
    }
}
