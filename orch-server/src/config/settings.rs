//! The table of settings: read by the command line, the environment, the YAML file and `config print`.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key in the YAML file; a dot leads into a section.
    pub key: &'static str,
    /// Its flag, without `--`; empty: none.
    pub flag: &'static str,
    /// Its variables, the first wins.
    pub env: &'static [&'static str],
    /// Never shown.
    pub secret: bool,
    /// May be given without a value.
    pub switch: bool,
    /// What it does.
    pub help: &'static str,
}

macro_rules! settings {
    ($($kind:ident $key:literal, $flag:literal, [$($env:literal),*], $help:literal;)*) => {
        /// Every setting.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            flag: $flag,
            env: &[$($env),*],
            secret: matches!(Kind::$kind, Kind::Secret),
            switch: matches!(Kind::$kind, Kind::Switch),
            help: $help,
        }),*];
    };
}

enum Kind {
    Plain,
    Secret,
    Switch,
}

settings! {
    Plain "addr", "addr", ["ORCH_SERVER_ADDR"], "Where the API listens [default: 127.0.0.1:8080]";
    Switch "dev", "dev", ["ORCH_DEV"], "One machine, nothing kept, nobody asked: loopback only [default: false]";
    Switch "insecure", "insecure", ["ORCH_INSECURE"], "Accept plain HTTP and missing authentication off loopback [default: false]";
    Plain "runtime", "runtime", ["ORCH_RUNTIME"], "With --dev: what runs containers, docker or process [default: docker]";
    Secret "database_url", "database-url", ["DATABASE_URL"], "sqlite:PATH or postgres://… [default: orch.db in the data folder]";
    Plain "data_dir", "data-dir", ["ORCH_DATA_DIR"], "Where the daemon keeps what is its own [default: ~/.local/share/orch; without a home /var/lib/orch]";
    Plain "secrets_dir", "secrets-dir", ["ORCH_SECRETS_DIR"], "Values of secrets, FOLDER/namespace/name [default: secrets in the data folder]";
    Plain "log_level", "log-level", ["ORCH_LOG_LEVEL"], "error, warn, info, debug or trace, also per module [default: info]";
    Plain "log_format", "log-format", ["ORCH_LOG_FORMAT"], "text or json [default: text]";
    Secret "bootstrap_token", "bootstrap-token", ["ORCH_AGENT_REGISTRATION_TOKEN", "ORCH_BOOTSTRAP_TOKEN"], "Admits new nodes, beside one-time tokens [default: none]";
    Switch "one_time_enrollment", "one-time-enrollment", ["ORCH_ONE_TIME_ENROLLMENT"], "Admit new nodes by one-time tokens only (orch node token create): no static token, nobody without one [default: false]";
    Secret "jwt_secret", "jwt-secret", ["ORCH_JWT_SECRET"], "Signs users' tokens (HS256); without it user authentication is off";
    Plain "jwt_keys", "jwt-keys", ["ORCH_JWT_KEYS"], "YAML file with a ring of such secrets instead; read again when it changes, and on SIGHUP";
    Plain "oidc.issuer", "oidc-issuer", ["ORCH_OIDC_ISSUER"], "Users of this OpenID Connect issuer are let in, too: its `iss`, to the letter";
    Plain "oidc.audience", "oidc-audience", ["ORCH_OIDC_AUDIENCE"], "What its tokens must have as `aud`";
    Plain "oidc.jwks_url", "oidc-jwks-url", ["ORCH_OIDC_JWKS_URL"], "Where it publishes its keys, https://…";
    Plain "oidc.jwks_file", "oidc-jwks-file", ["ORCH_OIDC_JWKS_FILE"], "Its keys in a file instead; read again when it changes, and on SIGHUP";
    Plain "oidc.ca_file", "oidc-ca-file", ["ORCH_OIDC_CA_FILE"], "Authorities to trust for that URL, PEM [default: the system's]";
    Plain "oidc.leeway", "oidc-leeway", ["ORCH_OIDC_LEEWAY"], "By how much its clock may differ, at most 10m [default: 60s]";
    Plain "oidc.subject_claim", "oidc-subject-claim", ["ORCH_OIDC_SUBJECT_CLAIM"], "The claim that says who a user is [default: sub]";
    Plain "oidc.subject_prefix", "oidc-subject-prefix", ["ORCH_OIDC_SUBJECT_PREFIX"], "Put before it, so that its users are none of ours [default: nothing]";
    Plain "oidc.role_claim", "oidc-role-claim", ["ORCH_OIDC_ROLE_CLAIM"], "The claim with the cluster-wide role; a path begins with / [default: role]";
    Plain "oidc.role_values", "oidc-role-values", ["ORCH_OIDC_ROLE_VALUES"], "What its values mean: platform=admin,dev=operator [default: the roles' own names]";
    Plain "oidc.namespace_roles_claim", "oidc-namespace-roles-claim", ["ORCH_OIDC_NAMESPACE_ROLES_CLAIM"], "The claim with roles in namespaces [default: namespace_roles]";
    Plain "oidc.namespace_role_values", "oidc-namespace-role-values", ["ORCH_OIDC_NAMESPACE_ROLE_VALUES"], "What its values mean: team-a-dev=team-a:operator";
    Secret "users", "users", ["ORCH_USERS"], "alice:admin,bob:operator: only these, with these roles [default: everybody with a token]";
    Secret "secret_key", "secret-key", ["ORCH_SECRET_KEY"], "What the server's keys derive from [default: made once in the data folder, with SQLite]";
    Plain "tls_cert", "tls-cert", ["ORCH_TLS_CERT"], "Certificate chain, PEM [default: none: plain HTTP]";
    Plain "tls_key", "tls-key", ["ORCH_TLS_KEY"], "Its key, PEM [default: none]";
    Plain "graceful_shutdown_ttl", "shutdown-timeout", ["ORCH_SHUTDOWN_TIMEOUT"], "How long open requests may go on at the end [default: 10s]";
    Plain "heartbeat_timeout", "node-heartbeat-timeout", ["ORCH_NODE_HEARTBEAT_TIMEOUT"], "Silence after which a node is offline [default: 30s]";
    Plain "mass_silence_percent", "mass-silence-percent", ["ORCH_MASS_SILENCE_PERCENT"], "More nodes than this share silent at once: nothing is replaced; 100: never held back [default: 50]";
    Plain "mass_silence_nodes", "mass-silence-nodes", ["ORCH_MASS_SILENCE_NODES"], "The least number of nodes for that [default: 3]";
    Plain "node_monitor_interval", "node-monitor-interval", ["ORCH_NODE_MONITOR_INTERVAL"], "Accepted and not needed: silence is noticed when it is due";
    Plain "credential_ttl", "credential-ttl", ["ORCH_CREDENTIAL_TTL"], "Life of a node credential [default: 15m]";
    Plain "retention.events", "", ["ORCH_RETENTION_EVENTS"], "Events are kept so long [default: 720h]";
    Plain "retention.audit_logs", "", ["ORCH_RETENTION_AUDIT_LOGS"], "Audit records are kept so long [default: 2160h]";
    Switch "cluster_policy.allow_privileged", "", ["ORCH_POLICY_ALLOW_PRIVILEGED"], "Containers may have all privileges [default: false]";
    Switch "cluster_policy.allow_host_network", "", ["ORCH_POLICY_ALLOW_HOST_NETWORK"], "Containers may use the node's network [default: false]";
    Switch "cluster_policy.allow_host_pid", "", ["ORCH_POLICY_ALLOW_HOST_PID"], "Containers may see the node's processes [default: false]";
    Plain "cluster_policy.allowed_capabilities", "", ["ORCH_POLICY_ALLOWED_CAPABILITIES"], "Capabilities that specs may add [default: none]";
    Plain "cluster_policy.allowed_host_path_prefixes", "", ["ORCH_POLICY_ALLOWED_HOST_PATH_PREFIXES"], "Host paths that specs may mount [default: none]";
    Switch "cluster_policy.require_resource_requests", "", ["ORCH_POLICY_REQUIRE_RESOURCE_REQUESTS"], "Specs must state what they reserve [default: false]";
    Switch "cluster_policy.require_resource_limits", "", ["ORCH_POLICY_REQUIRE_RESOURCE_LIMITS"], "Specs must state what they may use at most [default: false]";
    Plain "cluster_policy.allowed_image_registries", "", ["ORCH_POLICY_ALLOWED_IMAGE_REGISTRIES"], "Images may come from these registries only [default: any]";
    Switch "cluster_policy.require_digest", "", ["ORCH_POLICY_REQUIRE_DIGEST"], "Images must be named by digest [default: false]";
    Switch "cluster_policy.allow_mutable_tags", "", ["ORCH_POLICY_ALLOW_MUTABLE_TAGS"], "Images may be named by a tag alone [default: true]";
    Switch "cluster_policy.deny_latest_tag", "", ["ORCH_POLICY_DENY_LATEST_TAG", "ORCH_POLICY_BLOCK_LATEST_TAG"], "Images must not be named by the tag latest, or by none [default: false]";
    Switch "cluster_policy.require_healthcheck", "", ["ORCH_POLICY_REQUIRE_HEALTHCHECK"], "Specs must have a health check [default: false]";
    Plain "cluster_policy.max_replicas_per_service", "", ["ORCH_POLICY_MAX_REPLICAS_PER_SERVICE"], "Replicas that a service may have; 0: no limit [default: 0]";
    Plain "cluster_policy.max_public_ports_per_service", "", ["ORCH_POLICY_MAX_PUBLIC_PORTS_PER_SERVICE"], "Fixed host ports that a service may publish; 0: no limit [default: 0]";
    Switch "cluster_policy.allow_keyless_nodes", "", ["ORCH_POLICY_ALLOW_KEYLESS_NODES"], "Agents without a node key may register [default: true]";
    Switch "cluster_policy.revoke_on_reuse", "", ["ORCH_POLICY_REVOKE_ON_REUSE"], "A dead credential used anew revokes the node [default: false]";
}
