//! No secret comes out where it should not. Each way in gets a value of its own; afterwards all that the server wrote or
//! said is searched for all of them, in every usual spelling.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use orch_agent::{NodeKey, NodeSigner as _};
use orch_client::{Client, HttpAgentApi};
use orch_core::agent::{AgentApi as _, Authority, DesiredVersion, Heartbeat, RegisterRequest};
use orch_core::identity::{KeyProof, Role};
use orch_core::secret::Secret;
use orch_server::{daemon, telemetry};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

use crate::daemon::configuration;
use crate::issuer::Issuer;
use crate::world::{Http, claim};

const JWT_SECRET: &str = "canary/jwt+secret?7f3a&0001-and-32-bytes";
const REGISTRATION_TOKEN: &str = "canary/registration+token?7f3a&0002";
const SERVER_KEY: &str = "canary/server+key?7f3a&0003-and-32-bytes-at-least";
const FILE_SECRET: &str = "canary/file+secret?7f3a&0004";
const ENV_SECRET: &str = "canary/env+secret?7f3a&0005";
const BAD_BEARER: &str = "canary/bad+bearer.7f3a.0006";
const BAD_NODE_CREDENTIAL: &str = "orchn_canary-bad-node-credential-7f3a-0007";
const BAD_REGISTRATION_TOKEN: &str = "canary-bad-registration-token-7f3a-0008";
const BAD_ONE_TIME_TOKEN: &str = "orche_canary-bad-one-time-token-7f3a-0017";
const IN_QUERY: &str = "canary-in-a-query-7f3a-0009";
const IN_FIELD: &str = "canary-in-a-field-of-a-query-7f3a-0012";
const IN_BODY: &str = "canary-in-a-malformed-body-7f3a-0010";
const RING_SECRET: &str = "canary/older+key?7f3a&0013-and-32-bytes";
const BROKEN_RING: &str = "canary/broken+ring?7f3a&0014-and-32-bytes";
const IN_JWKS: &str = "canary-in-a-key-set-7f3a-0015";
const IN_BROKEN_JWKS: &str = "canary-in-what-is-no-key-set-7f3a-0016";
const IN_HEADER: &str = "canary-in-a-cookie-7f3a-0011";

/// What all threads of the process log, at every level.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Waits until a line with this was logged.
    async fn until(&self, sign: &str) {
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while !String::from_utf8_lossy(&self.0.lock().unwrap()).contains(sign) {
            assert!(tokio::time::Instant::now() < until, "`{sign}` was never logged");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn capture() -> Captured {
    static LOG: OnceLock<Captured> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Captured::default();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .init();
        log
    })
    .clone()
}

/// How a secret may be spelled: itself, and what encodings make of it, wherever in a base64 text it begins.
fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned(), format!("{secret:?}").trim_matches('"').to_owned()];
    all.push(secret.bytes().map(|byte| format!("{byte:02x}")).collect());
    all.push(secret.bytes().map(|byte| format!("{byte:02X}")).collect());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let percent = |lower: bool| -> String {
        let escaped = |byte: u8| if lower { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
        secret
            .bytes()
            .map(|byte| if plain(byte) { (byte as char).to_string() } else { escaped(byte) })
            .collect()
    };
    all.extend([percent(true), percent(false)]);
    for engine in
        [base64::engine::general_purpose::STANDARD_NO_PAD, base64::engine::general_purpose::URL_SAFE_NO_PAD]
    {
        for offset in 0..3 {
            let encoded = engine.encode([&b"\0\0\0"[..offset], secret.as_bytes()].concat());
            // The first and last characters depend on the neighbours.
            all.push(encoded[offset * 4 / 3 + 1..encoded.len() - 1].to_owned());
        }
    }
    all
}

/// Where one of the secrets stands, in whatever spelling, and what is around it.
fn find<'a>(content: &[u8], secrets: &[(&'a str, String)]) -> Option<(&'a str, String)> {
    // Spellings are ASCII, so that what is no text does not matter.
    let content = String::from_utf8_lossy(content);
    secrets.iter().find_map(|(name, secret)| {
        let at = spellings(secret).iter().find_map(|spelling| content.find(spelling))?;
        let around: String = content[..at].chars().rev().take(200).collect();
        let after: String = content[at..].chars().take(100).collect();
        Some((*name, around.chars().rev().chain(after.chars()).collect()))
    })
}

#[test]
fn the_search_finds_every_spelling() {
    let secret = [("secret", FILE_SECRET.to_owned())];
    let base64 = base64::engine::general_purpose::STANDARD.encode(format!("x{FILE_SECRET} and more"));
    let hex: String = FILE_SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent = FILE_SECRET.replace('/', "%2F").replace('+', "%2B").replace('?', "%3F").replace('&', "%26");
    for text in [format!("..{FILE_SECRET}.."), format!("..{base64}.."), format!("..{hex}.."), percent] {
        assert!(find(text.as_bytes(), &secret).is_some(), "{text}");
    }
    assert_eq!(find(b"nothing of the kind", &secret), None);
}

/// M11.
#[tokio::test]
async fn no_secret_comes_out_in_logs_metrics_events_audit_errors_or_the_database() {
    let log = capture();
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets/default");
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("file"), FILE_SECRET).unwrap();
    std::fs::write(secrets.join("env"), ENV_SECRET).unwrap();
    let ring = folder.path().join("ring.yaml");
    let keys = format!("{{kid: new, secret: '{JWT_SECRET}'}}, {{kid: old, secret: '{RING_SECRET}'}}");
    std::fs::write(&ring, format!("keys: [{keys}]")).unwrap();
    let issuer = Issuer::start().await;
    let mut jwk = issuer.jwk();
    jwk["d"] = IN_JWKS.into();
    issuer.answer_with(
        &serde_json::json!({"keys": [jwk, {"kty": "oct", "k": IN_JWKS}], "more": IN_JWKS}).to_string(),
    );
    let of_issuer = issuer.variables();
    let mut variables = vec![
        ("ORCH_JWT_KEYS", ring.to_str().unwrap()),
        ("ORCH_BOOTSTRAP_TOKEN", REGISTRATION_TOKEN),
        ("ORCH_SECRET_KEY", SERVER_KEY),
    ];
    variables.extend(of_issuer.iter().map(|(name, value)| (*name, value.as_str())));
    let config = configuration(folder.path(), &variables);
    assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    let metrics = telemetry::init_metrics().unwrap();
    let (server, control) = daemon::build(config, Some(metrics)).await.unwrap();
    let url = format!("http://{}", server.address());
    let stop = CancellationToken::new();
    let served = tokio::spawn(server.run(stop.clone().cancelled_owned()));
    let http = Http::new(&url);
    let token = |role| {
        let (secret, subject) = (Secret::new(JWT_SECRET.to_owned()), "alice".parse().unwrap());
        let minted = orch_auth::jwt::mint(&secret, &subject, role, Duration::from_secs(3600), control.now());
        minted.unwrap().expose().clone()
    };
    let admin = token(Role::Admin);
    let carol = issuer.token("carol", "readers", control.now());
    assert_eq!(http.send("GET", "/v1/whoami", Some(&carol), &[], "").await.status, 200);

    // A node enrols with token and key, takes a task with two secrets, and heartbeats.
    let (credentials, signature) = serve_as_a_node(&url, &http, &admin).await;

    // Another enrols with a one-time token, which is then tried again.
    let made = http.send("POST", "/v1/enrollment-tokens", Some(&admin), &[], "{}").await;
    assert_eq!(made.status, 201, "{}", made.text);
    let one_time = made.json()["token"].as_str().unwrap().to_owned();
    for (name, is_in) in [("node-b", true), ("node-c", false)] {
        let (request, _) = registration(&url, name, &one_time).await;
        let api = HttpAgentApi::new(&Client::builder().server(&url)).unwrap();
        assert_eq!(api.register(request).await.is_ok(), is_in);
    }
    // A service account comes in by an API token, and is given a second one.
    let account = r#"{"name": "ci", "kind": "service_account", "role": "viewer"}"#;
    assert_eq!(http.send("POST", "/v1/users", Some(&admin), &[], account).await.status, 201);
    let mut api_tokens = Vec::new();
    for name in ["first", "second"] {
        let body = format!(r#"{{"name": "{name}"}}"#);
        let made = http.send("POST", "/v1/users/ci/tokens", Some(&admin), &[], body).await.expect(201);
        api_tokens.push(made["token"].as_str().unwrap().to_owned());
    }
    for token in &api_tokens {
        assert_eq!(http.send("GET", "/v1/whoami", Some(token), &[], "").await.status, 200);
    }
    assert_eq!(http.send("DELETE", "/v1/users/ci/tokens/first", Some(&admin), &[], "").await.status, 204);

    // What is wrong, in every place.
    let mut refused = Vec::new();
    let dead = http.send("GET", "/v1/whoami", Some(&api_tokens[0]), &[], "").await;
    assert_eq!(dead.status, 401);
    refused.push(dead.text);
    let spec = format!(r#"{{"spec":{{"name":"{IN_BODY}","image":"{IN_BODY}"#);
    let unknown = format!(r#"{{"spec":{{"name":"web","image":"web","{IN_BODY}":1}}}}"#);
    let query = format!("/v1/services?namespace={IN_FIELD}%21&token={IN_QUERY}");
    let since = format!("/v1/events?since={IN_FIELD}&limit={IN_FIELD}&access_token={IN_QUERY}");
    let wrong_token = [("x-orch-bootstrap-token", BAD_REGISTRATION_TOKEN)];
    let register = r#"{"node_name":"other","advertise_address":"a","agent_version":"0.4.0"}"#;
    let heartbeat = r#"{"node_id":"00000000-0000-4000-8000-000000000000"}"#;
    for (method, path, bearer, headers, body) in [
        ("GET", "/v1/services", Some(BAD_BEARER), &[][..], ""),
        ("GET", query.as_str(), Some(admin.as_str()), &[], ""),
        ("GET", since.as_str(), Some(&admin), &[], ""),
        ("GET", since.as_str(), Some(BAD_BEARER), &[("cookie", IN_HEADER), ("x-api-key", IN_HEADER)], ""),
        ("POST", "/v1/services", Some(&admin), &[("idempotency-key", "k-1")], spec.as_str()),
        ("POST", "/v1/agent/register", None, &wrong_token, register),
        ("POST", "/v1/agent/register", Some(BAD_REGISTRATION_TOKEN), &[], spec.as_str()),
        ("POST", "/v1/agent/register", Some(BAD_ONE_TIME_TOKEN), &[], register),
        ("POST", "/v1/enrollment-tokens", Some(&admin), &[], spec.as_str()),
        ("POST", "/v1/agent/heartbeat", Some(BAD_NODE_CREDENTIAL), &[], heartbeat),
        ("POST", "/v1/agent/heartbeat", Some(BAD_NODE_CREDENTIAL), &[], spec.as_str()),
    ] {
        let answer = http.send(method, path, bearer, headers, body.to_owned()).await;
        assert!(answer.status.is_client_error(), "{method} {path}: {}", answer.text);
        refused.push(answer.text);
    }
    // The name of a field that is not known does come back, or nobody could mend it; not elsewhere.
    let answer = http.send("POST", "/v1/services", Some(&admin), &[], unknown).await;
    assert_eq!(answer.status, 400, "{}", answer.text);

    // What is read again while serving, and is wrong then.
    std::fs::write(&ring, format!("keys: [{{kid: new, secret: {BROKEN_RING}, {BROKEN_RING}: x")).unwrap();
    log.until("changed, but cannot be used").await;
    refused.push(ask_with_a_broken_issuer().await);

    let mut places = Vec::new();
    for path in [
        "/metrics",
        "/v1/events?limit=500",
        "/v1/audit?limit=500",
        "/v1/nodes",
        "/v1/services",
        "/v1/tasks",
        "/v1/enrollment-tokens",
        "/v1/users",
        "/v1/users/ci/tokens",
    ] {
        let answer = http.send("GET", path, Some(&admin), &[], "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        places.push((path.to_owned(), answer.text.into_bytes()));
    }
    stop.cancel();
    served.await.unwrap();
    places.extend(refused.into_iter().map(|text| ("an error".to_owned(), text.into_bytes())));
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("orch.db") {
            places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    let text = log.0.lock().unwrap().clone();
    let logged = String::from_utf8_lossy(&text);
    for sign in ["a registration was refused", "/v1/agent/heartbeat", "TRACE"] {
        assert!(logged.contains(sign), "the log was captured, with {sign}");
    }
    places.push(("the log".to_owned(), text));
    let stored = |(place, content): &(String, Vec<u8>)| {
        place.contains("orch.db") && String::from_utf8_lossy(content).contains("node-a")
    };
    assert!(places.iter().any(stored), "the database, or its log, is read as it is on the disk");

    let field = [("field of a query", IN_FIELD.to_owned())];
    let mut secrets = vec![
        ("JWT secret", JWT_SECRET.to_owned()),
        ("older key of the ring", RING_SECRET.to_owned()),
        ("broken ring", BROKEN_RING.to_owned()),
        ("key set", IN_JWKS.to_owned()),
        ("broken key set", IN_BROKEN_JWKS.to_owned()),
        ("issuer's token", carol.rsplit('.').next().unwrap().to_owned()),
        ("registration token", REGISTRATION_TOKEN.to_owned()),
        ("server key", SERVER_KEY.to_owned()),
        ("file secret", FILE_SECRET.to_owned()),
        ("environment secret", ENV_SECRET.to_owned()),
        ("bad bearer token", BAD_BEARER.to_owned()),
        ("bad node credential", BAD_NODE_CREDENTIAL.to_owned()),
        ("bad registration token", BAD_REGISTRATION_TOKEN.to_owned()),
        ("bad one-time token", BAD_ONE_TIME_TOKEN.to_owned()),
        ("one-time token", one_time),
        ("query", IN_QUERY.to_owned()),
        ("body", IN_BODY.to_owned()),
        ("header", IN_HEADER.to_owned()),
        ("user's token", admin.rsplit('.').next().unwrap().to_owned()),
        ("challenge's signature", signature),
    ];
    secrets.extend(api_tokens.into_iter().map(|token| ("API token", token)));
    secrets.extend(credentials.into_iter().map(|credential| ("node credential", credential)));
    // What a wrong field held may come back to whoever sent it, and to nobody else.
    let found = |(place, content): &(String, Vec<u8>)| {
        find(content, &secrets)
            .or_else(|| find(content, &field).filter(|_| place != "an error"))
            .map(|what| (place.clone(), what))
    };
    let found: Vec<_> = places.iter().filter_map(found).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// A server whose issuer answers nonsense; what its users are told.
async fn ask_with_a_broken_issuer() -> String {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    issuer.answer_with(&format!("<html>{IN_BROKEN_JWKS}"));
    let variables = issuer.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (server, control) = daemon::build(configuration(folder.path(), &variables), None).await.unwrap();
    let http = Http::new(&format!("http://{}", server.address()));
    let stop = CancellationToken::new();
    let served = tokio::spawn(server.run(stop.clone().cancelled_owned()));
    let token = issuer.token("carol", "readers", control.now());
    let answer = http.send("GET", "/v1/whoami", Some(&token), &[], "").await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    stop.cancel();
    served.await.unwrap();
    answer.text
}

/// A registration with a key of its own, and what it signed.
async fn registration(url: &str, name: &str, token: &str) -> (RegisterRequest, String) {
    let api = HttpAgentApi::new(&Client::builder().server(url)).unwrap();
    let key = NodeKey::generate().unwrap();
    let claim = claim(name);
    let challenge = api.challenge(&claim.name).await.unwrap();
    let signature = key.sign(&KeyProof::signed_text(&challenge, &claim, api.server_certificate().as_ref()));
    let key = KeyProof { key: key.public_key(), challenge, signature: signature.clone() };
    (RegisterRequest { claim, token: Some(Secret::new(token.to_owned())), key: Some(key) }, signature)
}

/// Answers the credentials that the node was given, and what it signed.
async fn serve_as_a_node(url: &str, http: &Http, admin: &str) -> (Vec<String>, String) {
    let api = HttpAgentApi::new(&Client::builder().server(url)).unwrap();
    let (request, signature) = registration(url, "node-a", REGISTRATION_TOKEN).await;
    let registered = api.register(request).await.unwrap();
    let mut credentials = vec![registered.credential.expose().clone()];
    let mut authority =
        Authority { node: registered.node, credential: registered.credential, sequence: Some(1) };

    let spec = serde_json::json!({"spec": {
        "name": "web", "image": "web:1", "replicas": 1,
        "secret_refs": [{"name": "file", "file": "/run/secrets/file"}, {"name": "env", "env": "PASSWORD"}],
    }});
    let created = http.send("POST", "/v1/services", Some(admin), &[], spec.to_string()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let mut have: Option<DesiredVersion> = None;
    let task = loop {
        let set = api.desired(&authority, have, Duration::from_secs(10)).await.unwrap();
        authority.sequence = authority.sequence.map(|number| number + 1);
        have = Some(set.version);
        if let Some(task) = set.tasks.first() {
            break task.id;
        }
    };
    let secrets = api.secrets(&authority, task).await.unwrap();
    let values: Vec<_> = secrets.values.iter().map(|secret| secret.value.expose().clone()).collect();
    assert_eq!(values, [FILE_SECRET.as_bytes(), ENV_SECRET.as_bytes()]);
    authority.sequence = authority.sequence.map(|number| number + 1);
    let answer = api.heartbeat(&authority, Heartbeat::default()).await.unwrap();
    credentials.push(answer.credential.expect("the store can be written").0.expose().clone());
    (credentials, signature)
}
