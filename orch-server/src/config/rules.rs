//! From what was said to a [`Config`], and the rules that a safe one keeps.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use orch_auth::{enrollment, jwt, key};
use orch_core::control_plane::ClusterPolicy;
use orch_core::secret::Secret;
use orch_store::StoreUrl;

use super::{Config, DevRuntime, JwtKeys, Problems, Settings, values};

/// What documents and examples of the existing implementation show: known to everybody.
const KNOWN: [&str; 2] = ["dev-bootstrap-token", "dev-secret-key-change-me"];

/// Reads settings one by one and remembers what is wrong.
pub(super) struct Reader<'a> {
    pub(super) said: &'a Settings,
    pub(super) problems: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn parse<T>(
        &mut self,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        match self.said.get(key).map(parse) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.problems.push(format!("{}: {problem}", self.said.name_of(key)));
                default
            }
        }
    }

    fn switch(&mut self, key: &str, default: bool) -> bool {
        self.parse(key, default, values::boolean)
    }

    fn duration(&mut self, key: &str, default: Duration) -> Duration {
        self.parse(key, default, values::duration)
    }

    fn secret(&mut self, key: &str, shortest: usize, dev: bool) -> Option<Secret<String>> {
        let text = self.said.get(key)?.to_owned();
        let name = self.said.name_of(key);
        if KNOWN.contains(&text.as_str()) && !dev {
            self.problems.push(format!("{name}: this is a value that everybody knows; draw one of your own"));
        } else if text.len() < shortest {
            self.problems.push(format!("{name}: has {} bytes; at least {shortest} are needed", text.len()));
        }
        Some(Secret::new(text))
    }

    fn policy(&mut self) -> ClusterPolicy {
        let mut policy = ClusterPolicy::default();
        policy.allow_privileged = self.switch("cluster_policy.allow_privileged", policy.allow_privileged);
        policy.allow_host_network =
            self.switch("cluster_policy.allow_host_network", policy.allow_host_network);
        policy.allow_host_pid = self.switch("cluster_policy.allow_host_pid", policy.allow_host_pid);
        policy.allow_keyless_nodes =
            self.switch("cluster_policy.allow_keyless_nodes", policy.allow_keyless_nodes);
        policy.revoke_on_reuse = self.switch("cluster_policy.revoke_on_reuse", policy.revoke_on_reuse);
        self.admission(&mut policy);
        policy.heartbeat_timeout = self.duration("heartbeat_timeout", policy.heartbeat_timeout);
        let silence = &mut policy.mass_silence;
        silence.more_than_percent = self
            .parse("mass_silence_percent", silence.more_than_percent, |text| values::number(text, 0, 100));
        silence.least_nodes =
            self.parse("mass_silence_nodes", silence.least_nodes, |text| values::number(text, 1, 1_000_000));
        policy.credential_ttl = self.duration("credential_ttl", policy.credential_ttl);
        policy.keep_events = self.duration("retention.events", policy.keep_events);
        policy.keep_audit = self.duration("retention.audit_logs", policy.keep_audit);
        policy.allowed_capabilities =
            self.parse("cluster_policy.allowed_capabilities", Default::default(), |text| {
                values::list(text)
                    .map(|name| name.parse().map_err(|_| format!("`{name}` is no capability")))
                    .collect()
            });
        policy.allowed_host_path_prefixes =
            self.parse("cluster_policy.allowed_host_path_prefixes", Default::default(), |text| {
                let absolute = |path: &str| match path.starts_with('/') {
                    true => Ok(path.to_owned()),
                    false => Err(format!("`{path}` is no absolute path")),
                };
                values::list(text).map(absolute).collect()
            });
        policy
    }
}

impl Reader<'_> {
    /// What specs must keep to beyond what containers may do.
    fn admission(&mut self, policy: &mut ClusterPolicy) {
        let switches = [
            ("cluster_policy.require_resource_requests", &mut policy.require_resource_requests),
            ("cluster_policy.require_resource_limits", &mut policy.require_resource_limits),
            ("cluster_policy.require_digest", &mut policy.require_digest),
            ("cluster_policy.allow_mutable_tags", &mut policy.allow_mutable_tags),
            ("cluster_policy.deny_latest_tag", &mut policy.deny_latest_tag),
            ("cluster_policy.require_healthcheck", &mut policy.require_healthcheck),
        ];
        for (key, switch) in switches {
            *switch = self.switch(key, *switch);
        }
        let limits = [
            ("cluster_policy.max_replicas_per_service", &mut policy.max_replicas_per_service),
            ("cluster_policy.max_public_ports_per_service", &mut policy.max_public_ports_per_service),
        ];
        for (key, limit) in limits {
            *limit = self.parse(key, *limit, |text| values::number(text, 0, 1_000_000));
        }
        policy.allowed_image_registries =
            self.parse("cluster_policy.allowed_image_registries", Default::default(), |text| {
                Ok(values::list(text).map(str::to_ascii_lowercase).collect())
            });
    }
}

impl Config {
    /// What was said, and defaults for the rest.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn from_settings(said: &Settings) -> Result<Self, Problems> {
        let mut reader = Reader { said, problems: Vec::new() };
        let dev = reader.switch("dev", false);
        let insecure = reader.switch("insecure", false);
        let local = (std::net::Ipv4Addr::LOCALHOST, 8080).into();
        let address = reader.parse("addr", local, values::address);
        let home = said.home.as_deref().filter(|home| !home.is_empty());
        let data = home.map_or_else(
            || PathBuf::from("/var/lib/orch"),
            |home| PathBuf::from(home).join(".local/share/orch"),
        );
        let data_dir = said.get("data_dir").map_or(data, PathBuf::from);
        let in_data = Some(StoreUrl::Sqlite(data_dir.join("orch.db")));
        let store = reader.parse("database_url", in_data, |text| {
            StoreUrl::from_str(text).map(Some).map_err(|error| error.to_string())
        });
        let registration_token = reader.secret("bootstrap_token", enrollment::SHORTEST_TOKEN, dev);
        let jwt_secret = reader.secret("jwt_secret", jwt::SHORTEST_KEY, dev);
        let jwt = match (jwt_secret, said.get("jwt_keys")) {
            (Some(_), Some(_)) => {
                let remedy = "put the secret into the ring and leave ORCH_JWT_SECRET out";
                reader.problems.push(format!("ORCH_JWT_SECRET and ORCH_JWT_KEYS: one is enough; {remedy}"));
                None
            }
            (Some(secret), None) => Some(JwtKeys::Secret(secret)),
            (None, ring) => ring.map(|path| JwtKeys::Ring(path.into())),
        };
        let oidc = reader.oidc();
        let secret_key = reader.secret("secret_key", key::SHORTEST_SECRET, dev);
        let users = reader.parse("users", Default::default(), |text| {
            text.parse().map_err(|error: jwt::InvalidUsers| error.to_string())
        });
        reader.duration("node_monitor_interval", Duration::from_secs(5));
        let mut config = Self {
            address,
            dev,
            runtime: reader.parse("runtime", DevRuntime::default(), |text| match text {
                "docker" => Ok(DevRuntime::Docker),
                "process" => Ok(DevRuntime::Process),
                _ => Err("expected `docker` or `process`".to_owned()),
            }),
            insecure,
            store: store.filter(|_| !dev),
            secrets_dir: said.get("secrets_dir").map_or_else(|| data_dir.join("secrets"), PathBuf::from),
            data_dir,
            log_level: said.get("log_level").unwrap_or("info").to_owned(),
            log_json: reader.parse("log_format", false, |text| match text {
                "text" => Ok(false),
                "json" => Ok(true),
                _ => Err("expected `text` or `json`".to_owned()),
            }),
            registration_token,
            one_time_enrollment: reader.switch("one_time_enrollment", false),
            open_enrollment: false,
            jwt,
            oidc,
            users,
            secret_key,
            tls: None,
            shutdown_timeout: reader.duration("graceful_shutdown_ttl", Duration::from_secs(10)),
            policy: reader.policy(),
            warnings: Vec::new(),
        };
        let tls = (said.get("tls_cert").map(PathBuf::from), said.get("tls_key").map(PathBuf::from));
        match tls {
            (Some(certificate), Some(key)) => config.tls = Some((certificate, key)),
            (None, None) => {}
            _ => reader.problems.push("--tls-cert and --tls-key: one is given without the other".to_owned()),
        }
        config.policy.users_are_listed = !config.users.is_empty();
        config.keep_the_rules(&mut reader);
        if reader.problems.is_empty() { Ok(config) } else { Err(Problems(reader.problems)) }
    }

    /// Off loopback nothing is open unless it is said to be.
    fn keep_the_rules(&mut self, reader: &mut Reader<'_>) {
        let loopback = self.address.ip().is_loopback();
        let mut missing: Vec<&str> = Vec::new();
        if !self.asks_users() {
            missing.push(
                "user authentication is off: everybody who reaches the API is an admin; set ORCH_JWT_SECRET, ORCH_JWT_KEYS or ORCH_OIDC_ISSUER",
            );
        }
        if self.one_time_enrollment {
            self.registration_token = None;
            if self.dev {
                let why = "its own node comes without a token; leave --one-time-enrollment out";
                reader.problems.push(format!("--dev: {why}"));
            }
        }
        // One-time tokens can always be made, so without a static one nobody need be let in unasked, unless it is said.
        let is_closed = self.one_time_enrollment || self.registration_token.is_some();
        self.open_enrollment = !is_closed && (loopback || self.insecure || self.dev);
        if self.open_enrollment {
            missing.push(
                "enrolment is open: everybody who reaches the API can add a node; set --one-time-enrollment, or \
                 ORCH_AGENT_REGISTRATION_TOKEN",
            );
        }
        if self.tls.is_none() {
            missing.push("tokens and credentials go over plain HTTP; set --tls-cert and --tls-key");
        }
        match (loopback, self.insecure, self.dev) {
            (true, _, true) | (true, false, false) => {
                // On loopback plain HTTP is no worry; the rest is worth a line.
                let worth = missing.into_iter().filter(|what| !self.dev && !what.starts_with("tokens"));
                self.warnings.extend(worth.map(str::to_owned));
            }
            (_, true, false) => self.warnings.extend(missing.into_iter().map(str::to_owned)),
            (false, _, true) => {
                reader.problems.push(format!("--dev: only on loopback, not on {}", self.address))
            }
            (false, false, false) => {
                let remedy = "or listen on loopback, or accept it with --insecure";
                reader.problems.extend(missing.into_iter().map(|what| format!("{what}, {remedy}")));
            }
        }
        if !self.users.is_empty() && !self.asks_users() {
            reader.problems.push(
                "ORCH_USERS is given without ORCH_JWT_SECRET, ORCH_JWT_KEYS or ORCH_OIDC_ISSUER: nobody would be asked who he is"
                    .to_owned(),
            );
        }
        if matches!(self.store, Some(StoreUrl::Postgres(_))) && self.secret_key.is_none() {
            let why = "ORCH_SECRET_KEY: needed with PostgreSQL, and the same on all servers";
            reader.problems.push(why.to_owned());
        }
    }
}
