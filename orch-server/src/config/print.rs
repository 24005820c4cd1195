//! The effective configuration, for people to look at and for the daemon to read back.

use std::fmt::Display;
use std::time::Duration;

use orch_store::StoreUrl;
use serde_json::Value;

use super::{Config, DevRuntime, JwtKeys, OidcConfig, OidcKeys, SETTINGS, Settings};

/// What stands in place of a secret.
const REDACTED: &str = "[REDACTED]";

impl Config {
    /// Every setting as YAML, each with where it was said; secrets redacted.
    #[must_use]
    pub fn print(&self, said: &Settings) -> String {
        let mut out = String::new();
        for setting in SETTINGS {
            let value = self.shown(setting.key).map_or(Value::Null, Value::from);
            let source = said.source_of(setting.key).unwrap_or("default");
            out.push_str(&format!("{}: {value} # {source}\n", setting.key));
        }
        out
    }

    /// What is shown of a setting; `None`: it has no value.
    fn shown(&self, key: &str) -> Option<String> {
        let secret = |is_set: bool| is_set.then(|| REDACTED.to_owned());
        let (policy, tls) = (&self.policy, self.tls.as_ref());
        let text = match key {
            "addr" => self.address.to_string(),
            "dev" => self.dev.to_string(),
            "insecure" => self.insecure.to_string(),
            "runtime" => match self.runtime {
                DevRuntime::Docker => "docker".to_owned(),
                DevRuntime::Process => "process".to_owned(),
            },
            "database_url" => match self.store.as_ref()? {
                StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
                StoreUrl::Postgres(_) => REDACTED.to_owned(),
            },
            "data_dir" => self.data_dir.display().to_string(),
            "secrets_dir" => self.secrets_dir.display().to_string(),
            "log_level" => self.log_level.clone(),
            "log_format" => (if self.log_json { "json" } else { "text" }).to_owned(),
            "bootstrap_token" => return secret(self.registration_token.is_some()),
            "one_time_enrollment" => self.one_time_enrollment.to_string(),
            "jwt_secret" => return secret(matches!(self.jwt, Some(JwtKeys::Secret(_)))),
            "jwt_keys" => match self.jwt.as_ref()? {
                JwtKeys::Ring(path) => path.display().to_string(),
                JwtKeys::Secret(_) => return None,
            },
            _ if key.starts_with("oidc.") => return of_oidc(self.oidc.as_ref()?, key),
            "users" => return secret(!self.users.is_empty()),
            "secret_key" => return secret(self.secret_key.is_some()),
            "tls_cert" => tls?.0.display().to_string(),
            "tls_key" => tls?.1.display().to_string(),
            "graceful_shutdown_ttl" => duration(self.shutdown_timeout),
            "heartbeat_timeout" => duration(policy.heartbeat_timeout),
            "mass_silence_percent" => policy.mass_silence.more_than_percent.to_string(),
            "mass_silence_nodes" => policy.mass_silence.least_nodes.to_string(),
            "credential_ttl" => duration(policy.credential_ttl),
            "retention.events" => duration(policy.keep_events),
            "retention.audit_logs" => duration(policy.keep_audit),
            "cluster_policy.allow_privileged" => policy.allow_privileged.to_string(),
            "cluster_policy.allow_host_network" => policy.allow_host_network.to_string(),
            "cluster_policy.allow_host_pid" => policy.allow_host_pid.to_string(),
            "cluster_policy.allowed_capabilities" => list(&policy.allowed_capabilities),
            "cluster_policy.allowed_host_path_prefixes" => list(&policy.allowed_host_path_prefixes),
            "cluster_policy.require_resource_requests" => policy.require_resource_requests.to_string(),
            "cluster_policy.require_resource_limits" => policy.require_resource_limits.to_string(),
            "cluster_policy.allowed_image_registries" => list(&policy.allowed_image_registries),
            "cluster_policy.require_digest" => policy.require_digest.to_string(),
            "cluster_policy.allow_mutable_tags" => policy.allow_mutable_tags.to_string(),
            "cluster_policy.deny_latest_tag" => policy.deny_latest_tag.to_string(),
            "cluster_policy.require_healthcheck" => policy.require_healthcheck.to_string(),
            "cluster_policy.max_replicas_per_service" => policy.max_replicas_per_service.to_string(),
            "cluster_policy.max_public_ports_per_service" => policy.max_public_ports_per_service.to_string(),
            "cluster_policy.allow_keyless_nodes" => policy.allow_keyless_nodes.to_string(),
            "cluster_policy.revoke_on_reuse" => policy.revoke_on_reuse.to_string(),
            _ => return None,
        };
        Some(text)
    }
}

fn of_oidc(oidc: &OidcConfig, key: &str) -> Option<String> {
    let (file, url, ca_file) = match &oidc.keys {
        OidcKeys::File(file) => (Some(file), None, None),
        OidcKeys::Url { url, ca_file } => (None, Some(url), ca_file.as_ref()),
    };
    let mapping = &oidc.mapping;
    let text = match key {
        "oidc.issuer" => oidc.issuer.clone(),
        "oidc.audience" => oidc.audience.clone(),
        "oidc.jwks_url" => url?.clone(),
        "oidc.jwks_file" => file?.display().to_string(),
        "oidc.ca_file" => ca_file?.display().to_string(),
        "oidc.leeway" => duration(oidc.leeway),
        "oidc.subject_claim" => oidc.subject_claim.to_string(),
        "oidc.subject_prefix" => oidc.subject_prefix.clone(),
        "oidc.role_claim" => mapping.role_claim.to_string(),
        "oidc.role_values" => list(mapping.role_values.iter().map(|(value, role)| format!("{value}={role}"))),
        "oidc.namespace_roles_claim" => mapping.namespace_claim.to_string(),
        "oidc.namespace_role_values" => list(
            mapping.namespace_values.iter().map(|(value, (name, role))| format!("{value}={name}:{role}")),
        ),
        _ => return None,
    };
    Some(text)
}

/// As the settings take it: in whole seconds, else in milliseconds.
fn duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

fn list(entries: impl IntoIterator<Item: Display>) -> String {
    let texts: Vec<String> = entries.into_iter().map(|entry| entry.to_string()).collect();
    texts.join(",")
}
