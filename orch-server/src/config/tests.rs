use super::*;

fn settings(flags: &[&str], env: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let flags = std::iter::once("orch-server").chain(flags.iter().copied());
    let matches = command().try_get_matches_from(flags).unwrap();
    Settings::collect(&matches, env.iter().map(|(name, value)| ((*name).into(), (*value).into())))
}

fn config(flags: &[&str], env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    Config::from_settings(&settings(flags, env)?).map_err(|problems| problems.0)
}

const JWT: (&str, &str) = ("ORCH_JWT_SECRET", "0123456789abcdef0123456789abcdef");
const TOKEN: (&str, &str) = ("ORCH_BOOTSTRAP_TOKEN", "0123456789abcdef");

#[test]
fn by_default_it_listens_on_loopback_and_keeps_sqlite_in_the_data_folder() {
    let config = config(&[], &[("HOME", "/home/x")]).unwrap();
    assert_eq!(config.address.to_string(), "127.0.0.1:8080");
    assert!(
        matches!(config.store, Some(StoreUrl::Sqlite(path)) if path.starts_with("/home/x/.local/share/orch"))
    );
    assert_eq!(config.warnings.len(), 2);
}

#[test]
fn a_flag_wins_over_a_variable_and_blank_counts_as_unset() {
    let env = [
        ("ORCH_SERVER_ADDR", "127.0.0.1:1"),
        ("ORCH_SHUTDOWN_TIMEOUT", " "),
        ("ORCH_NODE_HEARTBEAT_TIMEOUT", "1m30s"),
    ];
    let config = config(&["--addr", "127.0.0.1:2"], &env).unwrap();
    assert_eq!(config.address.port(), 2);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(10));
    assert_eq!(config.policy.heartbeat_timeout, Duration::from_secs(90));
}

#[test]
fn off_loopback_nothing_is_open_unless_it_is_said_to_be() {
    let problems = config(&["--addr", ":8080"], &[]).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    let insecure = config(&["--addr", ":8080", "--insecure"], &[]).unwrap();
    assert_eq!(insecure.warnings.len(), 3);
    let tls = ["--addr", ":8080", "--tls-cert", "a", "--tls-key", "b"];
    assert!(config(&tls, &[JWT, TOKEN]).unwrap().warnings.is_empty());
    assert!(config(&["--dev", "--addr", ":8080"], &[]).is_err());
}

#[test]
fn a_server_that_takes_one_time_tokens_needs_no_static_one_and_can_switch_it_off() {
    let tls = ["--addr", ":8080", "--tls-cert", "a", "--tls-key", "b"];
    let without = config(&tls, &[JWT]).unwrap();
    assert!(!without.open_enrollment && without.warnings.is_empty(), "{:?}", without.warnings);
    let local = config(&[], &[JWT]).unwrap();
    assert!(local.open_enrollment && local.warnings[0].contains("--one-time-enrollment"));
    let closed = config(&["--one-time-enrollment"], &[JWT, TOKEN]).unwrap();
    assert!(!closed.open_enrollment && closed.registration_token.is_none() && closed.warnings.is_empty());
    assert!(
        !config(&["--addr", ":8080", "--insecure", "--one-time-enrollment"], &[]).unwrap().open_enrollment
    );
    assert!(config(&["--dev", "--one-time-enrollment"], &[]).unwrap_err()[0].starts_with("--dev"));
}

#[test]
fn values_that_everybody_knows_are_refused_outside_dev() {
    let known = [("ORCH_BOOTSTRAP_TOKEN", "dev-bootstrap-token")];
    assert!(config(&[], &known).unwrap_err()[0].contains("everybody knows"));
    assert!(config(&["--dev"], &known).is_ok());
}

#[test]
fn all_problems_are_told_at_once_each_with_where_it_was_said() {
    let env =
        [("ORCH_SHUTDOWN_TIMEOUT", "0"), ("ORCH_USERS", "alice"), ("DATABASE_URL", "mysql://x:hunter2@y")];
    let problems = config(&["--addr", "nowhere"], &env).unwrap_err();
    for name in ["--addr", "ORCH_SHUTDOWN_TIMEOUT", "ORCH_USERS", "DATABASE_URL"] {
        assert!(problems.iter().any(|problem| problem.starts_with(name)), "{name}: {problems:?}");
    }
    assert!(!problems.concat().contains("hunter2"));
}

#[test]
fn a_file_gives_what_nobody_else_said_and_unknown_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.yaml");
    std::fs::write(
        &path,
        "addr: 127.0.0.1:9\nretention:\n  events: 1h\ncluster_policy:\n  allowed_capabilities: [NET_ADMIN]\n",
    )
    .unwrap();
    let file = path.to_str().unwrap();
    let config = config(&["--config", file], &[]).unwrap();
    assert_eq!((config.address.port(), config.policy.keep_events), (9, Duration::from_secs(3600)));
    assert_eq!(config.policy.allowed_capabilities.len(), 1);
    std::fs::write(&path, "adress: x\n").unwrap();
    assert!(settings(&["--config", file], &[]).err().unwrap()[0].contains("adress"));
}

#[test]
fn what_many_silent_nodes_are_is_a_setting() {
    let said = config(&["--mass-silence-percent", "30"], &[("ORCH_MASS_SILENCE_NODES", "10")]).unwrap();
    let silence = said.policy.mass_silence;
    assert_eq!((silence.more_than_percent, silence.least_nodes), (30, 10));
    let problems = config(&["--mass-silence-percent", "101", "--mass-silence-nodes", "0"], &[]).unwrap_err();
    assert_eq!(
        problems,
        [
            "--mass-silence-percent: expected a whole number from 0 to 100",
            "--mass-silence-nodes: expected a whole number from 1 to 1000000",
        ]
    );
}

#[test]
fn the_rules_for_specs_are_settings_and_an_old_name_still_counts() {
    let said = [
        ("ORCH_POLICY_REQUIRE_RESOURCE_REQUESTS", "true"),
        ("ORCH_POLICY_REQUIRE_RESOURCE_LIMITS", "true"),
        ("ORCH_POLICY_ALLOWED_IMAGE_REGISTRIES", "registry.example:5000, Docker.io"),
        ("ORCH_POLICY_REQUIRE_DIGEST", "true"),
        ("ORCH_POLICY_ALLOW_MUTABLE_TAGS", "false"),
        ("ORCH_POLICY_BLOCK_LATEST_TAG", "true"),
        ("ORCH_POLICY_REQUIRE_HEALTHCHECK", "true"),
        ("ORCH_POLICY_MAX_REPLICAS_PER_SERVICE", "5"),
        ("ORCH_POLICY_MAX_PUBLIC_PORTS_PER_SERVICE", "2"),
    ];
    let policy = config(&[], &said).unwrap().policy;
    assert!(policy.require_resource_requests && policy.require_resource_limits);
    assert!(policy.require_digest && !policy.allow_mutable_tags);
    assert!(policy.deny_latest_tag && policy.require_healthcheck);
    assert_eq!((policy.max_replicas_per_service, policy.max_public_ports_per_service), (5, 2));
    let registries: Vec<_> = policy.allowed_image_registries.iter().map(String::as_str).collect();
    assert_eq!(registries, ["docker.io", "registry.example:5000"]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.yaml");
    std::fs::write(&path, "cluster_policy: {block_latest_tag: true}\n").unwrap();
    assert!(config(&["--config", path.to_str().unwrap()], &[]).unwrap().policy.deny_latest_tag);
    let problems = config(&[], &[("ORCH_POLICY_MAX_REPLICAS_PER_SERVICE", "-1")]).unwrap_err();
    assert!(problems[0].starts_with("ORCH_POLICY_MAX_REPLICAS_PER_SERVICE"), "{problems:?}");
}

#[test]
fn printing_redacts_secrets() {
    let url = ("DATABASE_URL", "postgres://orch:0123456789abcdef@db/orch");
    let key = ("ORCH_SECRET_KEY", "0123456789abcdef0123456789abcdef");
    let said = settings(&[], &[JWT, TOKEN, url, key, ("ORCH_LOG_LEVEL", "debug")]).unwrap();
    let said = Config::from_settings(&said).unwrap().print(&said);
    for line in ["jwt_secret: \"[REDACTED]\" # ORCH_JWT_SECRET", "log_level: \"debug\" # ORCH_LOG_LEVEL"] {
        assert!(said.lines().any(|printed| printed == line), "{line} in {said}");
    }
    assert!(!said.contains("0123456789abcdef"));
}

#[test]
fn what_is_printed_shows_defaults_and_reads_back_as_the_same() {
    let said = settings(&["--addr", "127.0.0.1:9"], &[("HOME", "/home/x")]).unwrap();
    let printed = Config::from_settings(&said).unwrap().print(&said);
    assert_eq!(printed.lines().count(), SETTINGS.len());
    let unset: Vec<_> =
        printed.lines().filter_map(|line| line.split_once(": null")).map(|(k, _)| k).collect();
    let without_default = [
        "bootstrap_token",
        "jwt_secret",
        "jwt_keys",
        "oidc.issuer",
        "oidc.audience",
        "oidc.jwks_url",
        "oidc.jwks_file",
        "oidc.ca_file",
        "oidc.leeway",
        "oidc.subject_claim",
        "oidc.subject_prefix",
        "oidc.role_claim",
        "oidc.role_values",
        "oidc.namespace_roles_claim",
        "oidc.namespace_role_values",
        "users",
        "secret_key",
        "tls_cert",
        "tls_key",
        "node_monitor_interval",
    ];
    assert_eq!(unset, without_default);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.yaml");
    std::fs::write(&path, &printed).unwrap();
    let again = settings(&["--config", path.to_str().unwrap()], &[]).unwrap();
    let values = |text: &str| text.lines().map(|line| line.split(" # ").next().unwrap().to_owned()).collect();
    let (first, second): (Vec<_>, Vec<_>) =
        (values(&printed), values(&Config::from_settings(&again).unwrap().print(&again)));
    assert_eq!(first, second);
}

const ISSUER: (&str, &str) = ("ORCH_OIDC_ISSUER", "https://id.example");
const AUDIENCE: (&str, &str) = ("ORCH_OIDC_AUDIENCE", "orch");
const JWKS: (&str, &str) = ("ORCH_OIDC_JWKS_URL", "https://id.example/keys");

#[test]
fn an_issuer_is_whole_or_not_there_and_its_claims_are_mapped() {
    let values = ("ORCH_OIDC_ROLE_VALUES", "cn=ops=operator, platform=admin");
    let spaces = ("ORCH_OIDC_NAMESPACE_ROLE_VALUES", "a-dev=team-a:operator");
    let whole =
        config(&["--oidc-role-claim", "/realm_access/roles"], &[ISSUER, AUDIENCE, JWKS, values, spaces]);
    let oidc = whole.unwrap().oidc.unwrap();
    assert_eq!(oidc.mapping.role_claim.to_string(), "/realm_access/roles");
    assert_eq!(oidc.mapping.role_values["cn=ops"], orch_core::identity::Role::Operator);
    assert_eq!(oidc.mapping.namespace_values["a-dev"].0.as_str(), "team-a");
    for (env, expected) in [
        (vec![ISSUER, JWKS], "--oidc-audience is needed"),
        (vec![ISSUER, AUDIENCE], "its keys are needed"),
        (vec![ISSUER, AUDIENCE, JWKS, ("ORCH_OIDC_JWKS_FILE", "x")], "its keys are needed"),
        (vec![AUDIENCE], "ORCH_OIDC_AUDIENCE: given without"),
        (vec![ISSUER, AUDIENCE, JWKS, ("ORCH_OIDC_LEEWAY", "1h")], "ORCH_OIDC_LEEWAY: expected at most"),
        (vec![ISSUER, AUDIENCE, JWKS, ("ORCH_OIDC_ROLE_VALUES", "ops=root")], "`root` is no role"),
        (
            vec![ISSUER, AUDIENCE, JWKS, ("ORCH_OIDC_ROLE_VALUES", "ops=admin,ops=viewer")],
            "`ops` is there twice",
        ),
        (vec![ISSUER, AUDIENCE, JWKS, ("ORCH_OIDC_NAMESPACE_ROLE_VALUES", "x=team-a")], "not namespace:role"),
    ] {
        let problems = config(&[], &env).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{expected}: {problems:?}");
    }
}

#[test]
fn a_ring_or_an_issuer_is_user_authentication_and_a_secret_beside_a_ring_is_refused() {
    let tls = ["--addr", ":8080", "--tls-cert", "a", "--tls-key", "b"];
    let ring = ("ORCH_JWT_KEYS", "/etc/orch/keys.yaml");
    assert!(config(&tls, &[ring, TOKEN]).unwrap().warnings.is_empty());
    assert!(config(&tls, &[ISSUER, AUDIENCE, JWKS, TOKEN]).unwrap().warnings.is_empty());
    let problems = config(&tls, &[ring, JWT, TOKEN]).unwrap_err();
    assert!(problems.iter().any(|problem| problem.contains("one is enough")), "{problems:?}");
}

#[test]
fn the_manual_page_and_the_help_have_every_setting_with_what_it_is_unless_said() {
    let page = String::from_utf8(manual()).unwrap().replace("\\-", "-");
    let help = command().render_long_help().to_string();
    for setting in SETTINGS {
        let names = setting.env.iter().copied().chain([setting.key]);
        for name in names {
            assert!(page.contains(name), "{name} is not in the page");
        }
        assert!(setting.flag.is_empty() || page.contains(&format!("--{}", setting.flag)), "{}", setting.flag);
        assert!(setting.env.iter().all(|name| help.contains(name)), "{} is not in the help", setting.key);
        // Of those it is said what their absence means, or they belong to one that is not given.
        let needs_none = ["jwt_secret", "jwt_keys", "node_monitor_interval"].contains(&setting.key)
            || setting.key.starts_with("oidc.");
        assert!(
            needs_none || setting.help.contains("[default: "),
            "{}: what is it unless said?",
            setting.key
        );
    }
}
