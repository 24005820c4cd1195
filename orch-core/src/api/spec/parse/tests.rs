use super::*;
use crate::api::strict;
use crate::deployment::RolloutPolicy;

fn wire(json: &str) -> ServiceSpec {
    strict::read_json(json.as_bytes()).unwrap()
}

fn parse(json: &str) -> Result<service::ServiceSpec, Rejection> {
    wire(json).parse(&FieldPath::new("spec"))
}

fn refused(json: &str) -> String {
    match parse(json) {
        Err(Rejection::Invalid { field, .. }) => field.to_string(),
        other => panic!("{json}: {other:?}"),
    }
}

#[test]
fn a_spec_with_name_and_image_has_the_documented_defaults() {
    let spec = parse(r#"{"name":"web","image":"web:1"}"#).unwrap();
    assert_eq!(spec.replicas, 0);
    assert_eq!(spec.template.requests, crate::node::Resources::new(100, 128 << 20));
    assert_eq!(spec.template.limits, spec.template.requests);
    assert_eq!(spec.template.restart, service::RestartPolicy::default());
    assert_eq!(spec.template.stop.grace, Duration::from_secs(10));
    assert_eq!(spec.rollout, RolloutPolicy::default());
    assert_eq!(spec.template.health, None);
}

#[test]
fn what_the_server_sends_it_also_takes() {
    let full = r#"{
        "name":"web","image":"reg.example/web:1","replicas":3,"stateful":true,
        "command":["serve"],"entrypoint":["/bin/x"],"workdir":"/srv","env":{"A":"b"},
        "secret_refs":[{"name":"prod/db","env":"DB"},{"name":"tls","key":"k","file":"/run/tls"}],
        "ports":[{"protocol":"tcp","container_port":80},{"protocol":"udp","container_port":53,"published_port":5353}],
        "resource_requirements":{"requests":{"cpu":"250m","memory":"64Mi"},"limits":{"cpu":1000,"memory":0}},
        "security_context":{"user":"1000:1000","cap_add":["cap_net_admin"],"host_path_mounts":[{"host_path":"/a","container_path":"/b"}]},
        "healthcheck":{"type":"http","path":"/healthz","port":80,"interval":1000000000},
        "restart_policy":{"condition":"on_failure","max_attempts":5,"backoff":{"initial":2000000000}},
        "placement_constraints":[{"key":"zone","operator":"not_equals","value":"a"},
            {"key":"node.arch","operator":"in","values":["amd64","arm64"]},{"key":"disk","operator":"not_in","values":["hdd"]},
            {"key":"gpu","operator":"exists"},{"key":"spot","operator":"not_exists"}],
        "placement_strategy":"binpack",
        "routes":[{"host":"example.org","path_prefix":"/","port":80,"tls":true}],
        "labels":{"team":"x"},"stop_signal":"SIGINT","stop_grace":3000000000,"init":true,
        "rollout":{"max_unavailable":1,"max_surge":0,"on_failure":"pause"},
        "mounts":[{"type":"volume","source":"data","target":"/data","read_only":true},{"type":"tmpfs","target":"/tmp","size":"1Mi","mode":"0700"},{"type":"tmpfs","target":"/run"}],
        "hostname":"front","pids_limit":64,"ulimits":{"nofile":{"soft":512,"hard":-1}},"shm_size":"8Mi",
        "log":{"driver":"local","options":{"max-size":"1m"}},"dns":{"servers":["10.0.0.2"],"search":["a.b"],"options":["ndots:2"]},
        "extra_hosts":{"db":"fd00::5","node":"host-gateway"}
    }"#;
    let spec = parse(full).unwrap();
    let sent = serde_json::to_string(&ServiceSpec::from(&spec)).unwrap();
    assert_eq!(parse(&sent).unwrap(), spec);
}

#[test]
fn every_kind_of_check_comes_back_as_it_was_sent() {
    for check in [
        r#"{"type":"http","scheme":"https","path":"/","start_period":60000000000}"#,
        r#"{"type":"tcp","port":80}"#,
        r#"{"type":"exec","command":["/bin/check","-q"]}"#,
    ] {
        let json = format!(
            r#"{{"name":"web","image":"web","ports":[{{"container_port":80}}],"healthcheck":{check}}}"#
        );
        let spec = parse(&json).unwrap();
        let sent = serde_json::to_string(&ServiceSpec::from(&spec)).unwrap();
        assert_eq!(parse(&sent).unwrap(), spec, "{sent}");
    }
    let exec = parse(r#"{"name":"w","image":"w","healthcheck":{"type":"exec","command":["x"]}}"#).unwrap();
    let check = exec.template.health.unwrap();
    assert_eq!((check.interval.as_secs(), check.timeout.as_secs()), (5, 5));
}

#[test]
fn a_service_with_ports_leaves_discovery_before_it_is_stopped() {
    let delay = |rest: &str| {
        let text = format!(r#"{{"name":"web","image":"web:1"{rest}}}"#);
        parse(&text).unwrap().template.stop.delay
    };
    let ports = r#","ports":[{"container_port":80}]"#;
    assert_eq!(delay(""), Duration::ZERO);
    assert_eq!(delay(ports), Duration::from_secs(2));
    assert_eq!(delay(&format!(r#"{ports},"drain_delay":0"#)), Duration::ZERO);
    assert_eq!(delay(&format!(r#"{ports},"drain_delay":5000000000"#)), Duration::from_secs(5));
}

#[test]
fn each_rule_is_answered_with_the_path_of_its_field() {
    let with = |rest: &str| format!(r#"{{"name":"web","image":"web:1",{rest}}}"#);
    for (rest, field) in [
        (r#""replicas":10001"#, "spec.replicas"),
        (r#""env":{"1A":"x"}"#, "spec.env"),
        (r#""workdir":"srv""#, "spec.workdir"),
        (r#""ports":[{"container_port":0}]"#, "spec.ports[0].container_port"),
        (r#""ports":[{"container_port":1},{"container_port":1}]"#, "spec.ports[1].container_port"),
        (
            r#""resource_requirements":{"requests":{"cpu":200},"limits":{"cpu":100}}"#,
            "spec.resource_requirements.requests.cpu",
        ),
        (r#""healthcheck":{"type":"tcp"}"#, "spec.healthcheck.port"),
        (r#""healthcheck":{"type":"exec"}"#, "spec.healthcheck.command"),
        (
            r#""healthcheck":{"type":"exec","command":["x"],"interval":4999999999}"#,
            "spec.healthcheck.interval",
        ),
        (r#""healthcheck":{"type":"exec","command":["x"],"port":1}"#, "spec.healthcheck.port"),
        (
            r#""ports":[{"container_port":1}],"healthcheck":{"type":"tcp","command":["x"]}"#,
            "spec.healthcheck.command",
        ),
        (
            r#""healthcheck":{"type":"exec","command":["x"],"start_period":90000000000000}"#,
            "spec.healthcheck.start_period",
        ),
        (
            r#""ports":[{"container_port":1}],"healthcheck":{"type":"http","path":"//x"}"#,
            "spec.healthcheck.path",
        ),
        (
            r#""ports":[{"container_port":1}],"healthcheck":{"type":"tcp","path":"/x"}"#,
            "spec.healthcheck.path",
        ),
        (r#""security_context":{"cap_add":["a b"]}"#, "spec.security_context.cap_add[0]"),
        (
            r#""security_context":{"host_path_mounts":[{"host_path":"/a/../b","container_path":"/b"}]}"#,
            "spec.security_context.host_path_mounts[0].host_path",
        ),
        (r#""routes":[{"host":"h","path_prefix":"/","port":9}]"#, "spec.routes[0].port"),
        (r#""secret_refs":[{"name":"a","env":"A","file":"/a"}]"#, "spec.secret_refs[0].file"),
        (r#""secret_refs":[{"name":"prod/db"}],"env":{"prod/db":"x"}"#, "spec.secret_refs[0]"),
        (r#""placement_constraints":[{"key":"a","operator":"in"}]"#, "spec.placement_constraints[0].values"),
        (
            r#""placement_constraints":[{"key":"a","operator":"equals","value":"x","values":["y"]}]"#,
            "spec.placement_constraints[0].values",
        ),
        (
            r#""placement_constraints":[{"key":"a","operator":"not_in","value":"x","values":["y"]}]"#,
            "spec.placement_constraints[0].value",
        ),
        (
            r#""placement_constraints":[{"key":"a","operator":"exists","value":"x"}]"#,
            "spec.placement_constraints[0].value",
        ),
        (r#""mounts":[{"type":"bind","source":"/x","target":"/x"}]"#, "spec.mounts[0].type"),
        (r#""mounts":[{"type":"volume","source":"../x","target":"/x"}]"#, "spec.mounts[0].source"),
        (r#""mounts":[{"type":"volume","source":"x","target":"/x","size":1}]"#, "spec.mounts[0].size"),
        (r#""mounts":[{"type":"tmpfs","target":"/x","read_only":true}]"#, "spec.mounts[0].read_only"),
        (r#""mounts":[{"type":"tmpfs","target":"/x","mode":"999"}]"#, "spec.mounts[0].mode"),
        (r#""mounts":[{"type":"tmpfs","target":"x"}]"#, "spec.mounts[0].target"),
        (r#""mounts":[{"type":"tmpfs","target":"/."}]"#, "spec.mounts[0].target"),
        (
            r#""mounts":[{"type":"tmpfs","target":"/x"},{"type":"volume","source":"x","target":"/x/"}]"#,
            "spec.mounts[1].target",
        ),
        (r#""hostname":"-a""#, "spec.hostname"),
        (r#""hostname":"a","security_context":{"host_network":true}"#, "spec.hostname"),
        (r#""ulimits":{"files":{"soft":1,"hard":1}}"#, "spec.ulimits"),
        (r#""ulimits":{"nofile":{"soft":-1,"hard":1}}"#, "spec.ulimits.nofile.soft"),
        (r#""ulimits":{"nofile":{"soft":1,"hard":-2}}"#, "spec.ulimits.nofile.hard"),
        (r#""log":{"driver":"jsonfile"}"#, "spec.log.driver"),
        (r#""dns":{"servers":["dns.example"]}"#, "spec.dns.servers[0]"),
        (r#""dns":{"search":["a b"]}"#, "spec.dns.search[0]"),
        (r#""extra_hosts":{"db":"localhost"}"#, "spec.extra_hosts.db"),
        (r#""extra_hosts":{"d b":"10.0.0.1"}"#, "spec.extra_hosts"),
        (r#""rollout":{"max_surge":0}"#, "spec.rollout.max_surge"),
        (r#""stop_signal":"TERM""#, "spec.stop_signal"),
        (r#""labels":{"orch.task_id":"x"}"#, "spec.labels"),
        (r#""autoscaling":{"enabled":true}"#, "spec.autoscaling"),
        (r#""volume_claims":[{"claim":"a","target":"/a"}]"#, "spec.volume_claims"),
        (r#""image_pull_secret":"x""#, "spec.image_pull_secret"),
    ] {
        assert_eq!(refused(&with(rest)), field, "{rest}");
    }
    assert_eq!(refused(r#"{"name":"Web","image":"web"}"#), "spec.name");
    assert_eq!(refused(r#"{"name":"web"}"#), "spec.image");
}

#[test]
fn what_is_left_out_of_requests_and_limits_follows_from_the_other() {
    let cpu = |json: &str| {
        let spec = parse(&format!(r#"{{"name":"w","image":"w","resource_requirements":{json}}}"#)).unwrap();
        (spec.template.requests.cpu_millis, spec.template.limits.cpu_millis)
    };
    assert_eq!(cpu(r#"{"requests":{"cpu":"2"}}"#), (2000, 2000));
    assert_eq!(cpu(r#"{"limits":{"cpu":"50m"}}"#), (50, 50));
    assert_eq!(cpu(r#"{"requests":{"cpu":0},"limits":{"cpu":300}}"#), (100, 300));
}

#[test]
fn a_template_without_what_came_later_keeps_its_digest() {
    let template = crate::testing::web_spec("web", 1).template;
    let json = serde_json::to_value(&template).unwrap();
    let fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let first = [
        "command",
        "entrypoint",
        "env",
        "health",
        "image",
        "init",
        "labels",
        "limits",
        "ports",
        "requests",
        "restart",
        "secrets",
        "security",
        "stop",
        "workdir",
    ];
    assert_eq!(fields, first);
    assert_eq!(serde_json::from_value::<service::TaskTemplate>(json).unwrap(), template);
}

#[test]
fn what_was_filled_in_is_told_from_what_was_stated() {
    let with = |resources: serde_json::Value| {
        let spec = serde_json::json!({"name": "web", "image": "web:1", "resource_requirements": resources});
        serde_json::from_value::<super::super::ServiceSpec>(spec)
            .unwrap()
            .parse(&FieldPath::new("spec"))
            .unwrap()
    };
    let none = with(serde_json::json!({}));
    assert!(none.defaulted.requests && none.defaulted.limits);
    let half = with(serde_json::json!({"requests": {"cpu": 100, "memory": "1Mi"}, "limits": {"cpu": 100}}));
    assert!(!half.defaulted.requests && half.defaulted.limits);
    let shown =
        with(serde_json::to_value(super::super::ServiceSpec::from(&none).resource_requirements).unwrap());
    assert_eq!(shown.template.digest(), none.template.digest());
}
