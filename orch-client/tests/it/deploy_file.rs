//! Deploy files: what is read, exactly as it stands; and what is refused, with its place.

use orch_client::deploy_file::parse;
use orch_core::api::Nanos;
use orch_core::api::spec::{OnDisconnect, OnFailure, Operator, ProbeKind, RestartCondition, ServiceSpec};

fn one(text: &str) -> ServiceSpec {
    let mut services = parse(text).unwrap_or_else(|error| panic!("{}", error.in_file("file")));
    assert_eq!(services.len(), 1);
    services.remove(0)
}

/// All problems of a text, one a line.
fn problems(text: &str) -> String {
    match parse(text) {
        Ok(services) => panic!("accepted: {services:?}"),
        Err(error) => error.in_file("f"),
    }
}

#[test]
fn a_whole_file_of_the_contract_is_read() {
    let spec = one("
name: web
image: registry.example:5000/shop/web:1.2
replicas: 3
ports:
  - container: 8080
  - {container: 9090, public: 9090}
env:
  MODE: production
  LEVEL: {value: debug}
  PASSWORD: {secretRef: prod/db}
resources: {cpu: 250m, memory: 64Mi}
securityContext:
  user: '1000:1000'
  readOnlyRootFilesystem: true
  capDrop: [ALL]
healthcheck:
  type: http
  path: /healthz
  interval: 2s
  timeout: 500ms
  healthyThreshold: 2
  unhealthyThreshold: 5
restart: {policy: on-failure}
placement: {labels: {zone: a}}
routes:
  - {host: shop.example, pathPrefix: /, port: 8080, tls: true}
");
    assert_eq!((spec.name.as_str(), spec.replicas), ("web", 3));
    assert_eq!(
        spec.ports.iter().map(|p| (p.container_port, p.published_port)).collect::<Vec<_>>(),
        [(8080, 0), (9090, 9090)]
    );
    assert_eq!(spec.env["MODE"], "production");
    assert_eq!(spec.env["LEVEL"], "debug");
    assert_eq!(
        (spec.secret_refs[0].name.as_str(), spec.secret_refs[0].env.as_deref()),
        ("prod/db", Some("PASSWORD"))
    );
    for resources in [spec.resource_requirements.requests, spec.resource_requirements.limits] {
        assert_eq!((resources.cpu.0, resources.memory.0), (250, 64 << 20));
    }
    assert_eq!(spec.security_context.user.as_deref(), Some("1000:1000"));
    assert!(spec.security_context.read_only_root_filesystem);
    let check = spec.healthcheck.unwrap();
    assert_eq!((check.kind, check.path.as_deref()), (ProbeKind::Http, Some("/healthz")));
    assert_eq!((check.interval, check.timeout), (Nanos(2_000_000_000), Nanos(500_000_000)));
    assert_eq!((check.healthy_threshold, check.unhealthy_threshold), (2, 5));
    assert_eq!(spec.restart_policy.condition, RestartCondition::OnFailure);
    let constraint = &spec.placement_constraints[0];
    assert_eq!(
        (constraint.key.as_str(), constraint.operator, constraint.value.as_str()),
        ("zone", Operator::Equals, "a")
    );
    assert!(spec.routes[0].tls);
}

#[test]
fn our_own_keys_are_read() {
    let spec = one("
name: web
image: web:1
entrypoint: [/bin/web]
command: [serve, --port, 8080]
workdir: /srv
labels: {team: shop}
stopSignal: SIGINT
stopGrace: 1m
drainDelay: 0s
init: true
rollout: {maxUnavailable: 1, maxSurge: 2, minHealthy: 3s, deadline: 5m, onFailure: pause}
");
    assert_eq!(spec.entrypoint, ["/bin/web"]);
    assert_eq!(spec.command, ["serve", "--port", "8080"]);
    assert_eq!(spec.workdir.as_deref(), Some("/srv"));
    assert_eq!(spec.labels["team"], "shop");
    assert_eq!((spec.stop_signal.as_deref(), spec.stop_grace), (Some("SIGINT"), Nanos(60_000_000_000)));
    assert_eq!(spec.drain_delay, Some(Nanos(0)));
    assert!(spec.init);
    let rollout = spec.rollout.unwrap();
    assert_eq!((rollout.max_unavailable, rollout.max_surge), (Some(1), Some(2)));
    assert_eq!(
        (rollout.min_healthy, rollout.deadline),
        (Some(Nanos(3_000_000_000)), Some(Nanos(300_000_000_000)))
    );
    assert_eq!(rollout.on_failure, Some(OnFailure::Pause));
}

#[test]
fn replicas_left_out_are_one_and_zero_stays_zero() {
    assert_eq!(one("{name: a, image: b}").replicas, 1);
    assert_eq!(one("name: a\nimage: b\nreplicas: 0").replicas, 0);
}

#[test]
fn both_spellings_of_every_key_are_read() {
    let camel = one("
name: a
image: b
stopGrace: 5s
securityContext: {hostPID: false, capAdd: []}
rollout: {maxSurge: 2}
");
    let snake = one("
name: a
image: b
stop_grace: 5s
security_context: {host_pid: false, cap_add: []}
rollout: {max_surge: 2}
");
    assert_eq!(camel, snake);
    let both = problems("name: a\nimage: b\nstopGrace: 5s\nstop_grace: 6s\n");
    assert_eq!(both, "f:4:1: stop_grace: the same as `stopGrace` on line 3; keep one of them");
}

#[test]
fn an_environment_value_is_the_text_that_stands_there() {
    let spec = one(r#"
name: a
image: b
env:
  A: on
  B: off
  C: yes
  D: 1.10
  E: 0755
  F: true
  G: 1e3
  H: 0x10
  I: 12:30
  J: 2026-01-02
  K: ""
  L: "null"
  M: 'it''s'
  N: 1_000
  O: .5
  P: +1
  Q: 18446744073709551616
  R: !!str 1.0
"#);
    for (name, value) in [
        ("A", "on"),
        ("B", "off"),
        ("C", "yes"),
        ("D", "1.10"),
        ("E", "0755"),
        ("F", "true"),
        ("G", "1e3"),
        ("H", "0x10"),
        ("I", "12:30"),
        ("J", "2026-01-02"),
        ("K", ""),
        ("L", "null"),
        ("M", "it's"),
        ("N", "1_000"),
        ("O", ".5"),
        ("P", "+1"),
        ("Q", "18446744073709551616"),
        ("R", "1.0"),
    ] {
        assert_eq!(spec.env[name], value, "{name}");
    }
}

#[test]
fn nothing_is_no_environment_value() {
    for value in ["", " ~", " null", " Null", " NULL"] {
        let text = format!("name: a\nimage: b\nenv:\n  EMPTY:{value}\n");
        let told = problems(&text);
        assert!(
            told.starts_with("f:4:") && told.contains("env.EMPTY: nothing stands here"),
            "{value:?}: {told}"
        );
    }
}

#[test]
fn several_documents_are_several_services_and_empty_ones_are_none() {
    let services = parse("---\nname: a\nimage: x\n---\n# nothing\n---\nname: b\nimage: y\n...\n").unwrap();
    assert_eq!(services.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let twice = problems("name: a\nimage: x\n---\nname: a\nimage: y\n");
    assert_eq!(twice, "f:4:1: name: a second service with the name `a`");
    assert!(problems("# only a comment\n").contains("no service in it"));
}

#[test]
fn anchors_and_merges_work_within_a_document() {
    let spec = one("
name: a
image: b
resources: &size {requests: &r {cpu: 100m, memory: 1Mi}, limits: *r}
labels: &l {x: '1', y: '2'}
env:
  <<: *l
  y: own
");
    assert_eq!(spec.resource_requirements.requests, spec.resource_requirements.limits);
    assert_eq!((spec.env["x"].as_str(), spec.env["y"].as_str()), ("1", "own"));
}

#[test]
fn the_apis_own_json_is_a_deploy_file() {
    let yaml = one("
name: web
image: web:1
replicas: 2
ports: [{container: 80, public: 8080}]
resources: {cpu: 500m, memory: 1Gi}
healthcheck: {type: tcp, interval: 10s}
env: {A: b}
restart: never
");
    let json = serde_json::to_string_pretty(&yaml).unwrap();
    assert_eq!(one(&json), yaml, "{json}");
    assert_eq!(one(&format!("{{\"spec\": {json}}}")), yaml);
    let answer = format!(
        r#"{{"service": {{"id": "x", "namespace": "default", "status": "active", "deployment_version": 3,
            "revision": 9, "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z", "spec": {json}}}}}"#
    );
    assert_eq!(one(&answer), yaml);
}

#[test]
fn a_number_of_cpu_is_cores_in_yaml_and_millicores_in_the_apis_json() {
    assert_eq!(one("name: a\nimage: b\nresources: {cpu: 2}").resource_requirements.limits.cpu.0, 2000);
    let json =
        r#"{"name": "a", "image": "b", "resource_requirements": {"limits": {"cpu": 2, "memory": 1048576}}}"#;
    assert_eq!(one(json).resource_requirements.limits.cpu.0, 2);
}

#[test]
fn every_problem_is_told_with_its_place_and_what_would_be_right() {
    for (text, told) in [
        ("name: a\nimage: b\nreplcas: 2\n", "f:3:1: replcas: there is no such key; did you mean `replicas`?"),
        (
            "name: a\nimage: b\nenviroment: {}\n",
            "f:3:1: enviroment: there is no such key; did you mean `env`?",
        ),
        ("name: a\n", "f:1:1: `image` is missing"),
        ("name: a\nimage: b\nreplicas: -1\n", "f:3:11: replicas: `-1` is not a whole number from 0 to 10000"),
        (
            "name: a\nimage: b\nreplicas: 010\n",
            "f:3:11: replicas: `010` is not a whole number from 0 to 10000",
        ),
        (
            "name: a\nimage: b\nreplicas: 3.0\n",
            "f:3:11: replicas: `3.0` is not a whole number from 0 to 10000",
        ),
        (
            "name: a\nimage: b\nreplicas: '3'\n",
            "f:3:11: replicas: expected a whole number from 0 to 10000 without quotes",
        ),
        (
            "name: a\nimage: b\nreplicas:\n",
            "f:3:9: replicas: expected a whole number from 0 to 10000, found nothing (null)",
        ),
        ("name: a\nimage: b\nstateful: yes\n", "f:3:11: stateful: `yes` is neither true nor false"),
        (
            "name: a\nimage: b\nstopGrace: 10\n",
            "f:3:12: stopGrace: `10` has no unit; write it with one, such as 10s or 5m",
        ),
        ("name: a\nimage: b\nports: 80\n", "f:3:8: ports: expected a list, found a scalar"),
        (
            "name: a\nimage: b\nports:\n  - port: 80\n",
            "f:4:5: ports[0].port: there is no such key; known here: container, ",
        ),
        (
            "name: a\nimage: b\nports:\n  - container: 70000\n",
            "f:4:16: ports[0].container: `70000` is not a whole number",
        ),
        ("name: a\nimage: b\nresources: {cpu: 1x}\n", "f:3:18: resources.cpu: `1x` is not an amount of CPU"),
        ("name: a\nimage: b\nresources: {cpu: 0}\n", "f:3:18: resources.cpu: 0 is no amount"),
        ("name: a\nimage: b\ncommand: echo hi\n", "f:3:10: command: expected a list of arguments"),
        (
            "name: a\nimage: b\nrestart: {policy: sometimes}\n",
            "f:3:19: restart.policy: `sometimes` is none of `always`",
        ),
        (
            "name: a\nimage: b\nenv:\n  A: {value: x, secretRef: y}\n",
            "f:4:6: env.A: `value` and `secretRef` both",
        ),
        ("name: a\nimage: b\nenv:\n  A: [1]\n", "f:4:6: env.A: expected a string, found a list"),
        ("name: a\nname: b\nimage: c\n", "f:2:1: `name` stands twice; first on line 1"),
        ("- name: a\n", "f:1:1: expected a mapping, found a list"),
        ("name: !thing a\nimage: b\n", "the tag `!thing` means nothing here"),
        ("name: a\nimage: *nowhere\n", "f:2:8: this is not YAML: "),
        ("name: [a\n", "this is not YAML: "),
    ] {
        let all = problems(text);
        assert!(all.contains(told), "{text:?}\n  expected: {told}\n  found:    {all}");
    }
}

#[test]
fn the_servers_own_rules_hold_here_and_point_into_the_file() {
    for (text, told) in [
        ("name: Web\nimage: b\n", "f:1:7: name: "),
        ("name: a\nimage: 'b c'\n", "f:2:8: image: "),
        ("name: a\nimage: b\nhealthcheck:\n  type: http\n  path: /x\n", "f:4:3: healthcheck"),
        (
            "name: a\nimage: b\nports: [{container: 80}]\nhealthcheck:\n  type: http\n  path: nowhere\n",
            "f:6:9: healthcheck.path: ",
        ),
        ("name: a\nimage: b\nrollout:\n  maxUnavailable: 0\n  maxSurge: 0\n", "f:5:13: rollout.maxSurge: "),
        ("name: a\nimage: b\nworkdir: relative\n", "f:3:10: workdir: "),
        (
            "name: a\nimage: b\nenv:\n  1A: x\n",
            "f:4:3: env.1A: `1A` is not a valid environment variable name",
        ),
        ("name: a\nimage: b\nautoscaling: {enabled: true, maxReplicas: 3}\n", "f:3:14: autoscaling: "),
    ] {
        let all = problems(text);
        assert!(all.contains(told), "{text:?}\n  expected: {told}\n  found:    {all}");
    }
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_text() {
    let told = problems("replicas: x\nimage: b\nstateful: on\nport: 3\n");
    let lines: Vec<&str> = told.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["f:1:1:", "f:1:11:", "f:3:11:", "f:4:1:"], "{told}");
}

#[test]
fn a_file_cannot_cost_more_than_its_size() {
    let mut laughs = "name: a\nimage: b\nlabels: {}\nx0: &x0 [l, l, l, l, l, l, l, l, l, l]\n".to_owned();
    for i in 1..12 {
        let copies = vec![format!("*x{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("x{i}: &x{i} [{copies}]\n"));
    }
    let begun = std::time::Instant::now();
    assert!(problems(&laughs).contains("more than 20000 values"));
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());

    let deep = format!("name: a\nimage: b\nlabels: {}x{}\n", "[".repeat(200), "]".repeat(200));
    let told = problems(&deep);
    assert!(told.contains("nested deeper") || told.contains("not YAML"), "{told}");
    let long = format!("name: a\nimage: b\n# {}\n", "x".repeat(1 << 20));
    assert!(problems(&long).contains("longer than 1 MiB"));
}

#[test]
fn no_text_makes_the_reader_panic() {
    use proptest::prelude::*;
    let pieces = prop::sample::select(vec![
        "name",
        "image",
        ":",
        " ",
        "\n",
        "-",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "a",
        "&x",
        "*x",
        "<<",
        "!!str",
        "|",
        ">",
        "'",
        "\"",
        "#",
        "---",
        "...",
        "\t",
        "null",
        "10s",
        "ports",
        "env",
        "container",
        "?",
        ",",
        "\u{feff}",
        "é",
        "%",
        "@",
        "`",
    ]);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(2_000));
    runner
        .run(&prop::collection::vec(pieces, 0..40), |pieces| {
            let _ = parse(&pieces.concat());
            Ok(())
        })
        .unwrap();
}

#[test]
fn placement_has_rules_and_a_strategy_in_both_spellings() {
    let spec = one("
name: web
image: web:1
placement:
  strategy: binpack
  labels: {zone: a}
  constraints:
    - {key: node.arch, operator: in, values: [amd64, arm64]}
    - {key: gpu, operator: not-exists}
");
    let rules: Vec<_> = spec.placement_constraints.iter().map(|rule| rule.describe()).collect();
    assert_eq!(rules, ["zone=a", "node.arch in [amd64, arm64]", "gpu absent"]);
    assert_eq!(spec.placement_strategy, orch_core::api::spec::Strategy::Binpack);

    let wrong = orch_client::deploy_file::parse(
        "name: web\nimage: web:1\nplacement:\n  strategy: pack\n  constraints:\n    - {key: a, operator: in, value: b}\n",
    );
    let wrong = wrong.unwrap_err().in_file("f");
    assert!(wrong.contains("f:4:13: placement.strategy: `pack` is none of `spread`, `binpack`"), "{wrong}");
    let wrong = orch_client::deploy_file::parse(
        "name: web\nimage: web:1\nplacement:\n  constraints:\n    - {key: a, operator: in, value: b}\n",
    );
    let wrong = wrong.unwrap_err().in_file("f");
    assert!(wrong.starts_with("f:5:37: placement.constraints[0].value: given where several"), "{wrong}");
}

#[test]
fn mounts_limits_names_and_logs_are_read_as_people_write_them() {
    let spec = one("
name: web
image: web:1
mounts:
  - {type: volume, source: data, target: /data, readOnly: true}
  - {type: tmpfs, target: /tmp, size: 64Mi, mode: 0755}
hostname: front
pidsLimit: 100
ulimits: {nofile: 65536, core: {soft: 0, hard: unlimited}}
shmSize: 128Mi
log: {driver: json-file, options: {max-size: 10m, max-file: 3}}
dns: {servers: [10.0.0.2], search: [svc.internal], options: [ndots:2]}
extraHosts: {db.internal: 10.0.0.5}
");
    assert_eq!(spec.mounts[1].mode, "0755", "to the letter");
    assert_eq!((spec.mounts[0].source.as_str(), spec.mounts[0].read_only), ("data", true));
    let core = spec.ulimits["core"];
    assert_eq!((spec.ulimits["nofile"].soft, core.soft, core.hard), (65_536, 0, -1));
    assert_eq!((spec.pids_limit, spec.shm_size.0), (100, 128 << 20));
    assert_eq!(spec.log.unwrap().options["max-file"], "3");
    assert_eq!(spec.dns.options, ["ndots:2"]);
    assert_eq!(spec.extra_hosts["db.internal"], "10.0.0.5");

    let wrong = |rest: &str| {
        let text = format!("name: web\nimage: web:1\n{rest}\n");
        orch_client::deploy_file::parse(&text).unwrap_err().in_file("f")
    };
    for (text, expected) in [
        ("mounts: [{type: bind, source: /a, target: /a}]", "f:3:17: mounts[0].type: `bind` is not"),
        ("mounts: [{type: tmpfs}]", "f:3:10: mounts[0]: `target` is missing"),
        ("mounts: [{type: tmpfs, target: /a, mode: 8}]", "f:3:42: mounts[0].mode: `8` is no mode"),
        ("mount: []", "f:3:1: mount: there is no such key; did you mean `mounts`?"),
        ("ulimits: {nofiles: 1}", "f:3:10: ulimits: there is no limit `nofiles`"),
        ("ulimits: {nofile: many}", "f:3:19: ulimits.nofile: `many` is neither"),
        ("log: {driver: jsonfile}", "f:3:15: log.driver: there is no log driver `jsonfile`"),
        ("dns: {servers: [dns.example]}", "f:3:17: dns.servers[0]"),
        ("extraHosts: {db: here}", "f:3:18: extraHosts.db: neither an IP address"),
    ] {
        let problem = wrong(text);
        assert!(problem.starts_with(expected), "{text}: {problem}");
    }
}

#[test]
fn a_check_may_be_a_command_and_may_give_time_to_start() {
    let spec = one("
name: web
image: web:1
healthcheck: {type: exec, command: [/web, check], interval: 10s, startPeriod: 1m}
");
    let check = spec.healthcheck.unwrap();
    assert_eq!((check.kind, check.command), (ProbeKind::Exec, vec!["/web".to_owned(), "check".to_owned()]));
    assert_eq!(check.start_period, Nanos(60_000_000_000));
    for (check, expected) in [
        ("{type: exec, command: /web check}", "f:3:36: healthcheck.command: expected a list of arguments"),
        ("{type: exec, command: [x], interval: 1s}", "f:3:51: healthcheck.interval: commands inside"),
        ("{type: exec}", "f:3:14: healthcheck"),
        ("{type: script, command: [x]}", "f:3:21: healthcheck.type: `script` is none of"),
    ] {
        let text = format!("name: web\nimage: web:1\nhealthcheck: {check}\n");
        let problem = orch_client::deploy_file::parse(&text).unwrap_err().in_file("f");
        assert!(problem.starts_with(expected), "{check}: {problem}");
    }
}

#[test]
fn what_becomes_of_a_task_that_is_not_heard_is_a_word_or_one_of_two_times() {
    let with = |text: &str| format!("name: web\nimage: web:1\nonDisconnect: {text}\n");
    for (text, expected) in [
        ("keep", OnDisconnect::Keep),
        ("{replaceAfter: 5m}", OnDisconnect::ReplaceAfter(Nanos(300_000_000_000))),
        ("{stop_after: 30s}", OnDisconnect::StopAfter(Nanos(30_000_000_000))),
    ] {
        assert_eq!(one(&with(text)).on_disconnect, Some(expected), "{text}");
    }
    assert_eq!(one("name: web\nimage: web:1").on_disconnect, None);
    for (text, expected) in [
        ("kep", "keep"),
        ("{replaceAfter: 5m, stopAfter: 30s}", "one of `replaceAfter` and `stopAfter`"),
        ("{}", "one of `replaceAfter` and `stopAfter`"),
        ("{stopAfter: 9s}", "at least 10 s"),
        ("{stopafter: 30s}", "stopAfter"),
        ("{replaceAfter: 800h}", "at most 30 days"),
        ("{replaceAfter: soon}", "3:"),
    ] {
        let told = problems(&with(text));
        assert!(told.contains(expected), "{text}: {told}");
    }
    let stateful = problems(&format!("{}stateful: true", with("{replaceAfter: 5m}")));
    assert!(stateful.contains("onDisconnect.replaceAfter") && stateful.contains("stateful"), "{stateful}");
}
