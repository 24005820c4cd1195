//! A server in a test, and a plain HTTP client that hides nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use orch_auth::api_token::KeyedApiTokens;
use orch_auth::enrollment::{EnrollmentChain, OneTimeTokens, StaticToken};
use orch_auth::jwt::JwtUsers;
use orch_auth::key::ServerKey;
use orch_auth::roles::HierarchicalRoles;
use orch_auth::token::TokenCredentials;
use orch_core::control_plane::ControlPlane;
use orch_core::env::SystemEnv;
use orch_core::identity::{Principal, RegistrationClaim, Role, UserProof};
use orch_core::node::Resources;
use orch_core::schedule::FilterAndScore;
use orch_core::secret::Secret;
use orch_core::store::{MemoryStore, Store as _};
use orch_core::time::Timestamp;
use orch_server::{Server, ServerTls};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const REGISTRATION_TOKEN: &str = "a registration token of this test";
pub(crate) const JWT_SECRET: &str = "the JWT secret of this test, 32 bytes and more";

pub(crate) struct World {
    pub(crate) control: ControlPlane,
    store: Arc<MemoryStore>,
    http: Http,
    stop: CancellationToken,
    served: Option<JoinHandle<()>>,
}

/// What a request was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code of the error envelope.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().expect("an error envelope").to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }
}

/// A plain HTTP client.
pub(crate) struct Http {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Http {
    pub(crate) fn new(base: &str) -> Self {
        Self { base: base.to_owned(), client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(tls: Option<ServerTls>) -> Self {
        let key = ServerKey::derive(&Secret::new("the server key of this test".to_owned())).unwrap();
        let token = Secret::new(REGISTRATION_TOKEN.to_owned());
        let store = Arc::new(MemoryStore::new());
        let control = ControlPlane::builder(SystemEnv::shared(), Arc::clone(&store) as _)
            .users(Arc::new(JwtUsers::new(&Secret::new(JWT_SECRET.to_owned())).unwrap()))
            .api_tokens(Arc::new(KeyedApiTokens::new(key.clone())))
            .authorizer(Arc::new(HierarchicalRoles))
            .credentials(Arc::new(TokenCredentials::new(key.clone())))
            .enrollment(Arc::new(
                EnrollmentChain::new(key.clone())
                    .attestor(OneTimeTokens::new(key.clone()))
                    .attestor(StaticToken::new(key.clone(), &token)),
            ))
            .scheduler(Arc::new(FilterAndScore))
            .start()
            .await
            .unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut builder = Server::builder(control.clone(), key).drain(Duration::from_secs(5));
        if let Some(tls) = tls {
            builder = builder.tls(tls);
        }
        let server = builder.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let http = Http::new(&format!("{scheme}://{}", server.address()));
        let stop = CancellationToken::new();
        let served = Some(tokio::spawn(server.run(stop.clone().cancelled_owned())));
        Self { control, store, http, stop, served }
    }

    /// Forgets all events but those of the last moment, which one more service makes.
    pub(crate) async fn forget_events(&self) {
        let now = self.control.now();
        self.create("last").await;
        self.store.prune(now, now).await.unwrap();
    }

    /// The URL of the server.
    pub(crate) fn base(&self) -> &str {
        &self.http.base
    }

    /// Stops the server and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let served = self.served.take().expect("it is stopped once");
        tokio::time::timeout(Duration::from_secs(10), served).await.expect("it stops in time").unwrap();
    }

    /// A user's token.
    pub(crate) fn token(&self, role: Role) -> String {
        self.token_of("alice", role)
    }

    /// The token of a user, made two seconds ago: whatever is taken back from now on is older.
    pub(crate) fn token_of(&self, subject: &str, role: Role) -> String {
        self.mint(subject, role, self.control.now() - Duration::from_secs(2))
    }

    /// A token that is newer than whatever was taken back before: tokens say the second in which they were made.
    pub(crate) fn newer_token_of(&self, subject: &str, role: Role) -> String {
        self.mint(subject, role, self.control.now() + Duration::from_secs(1))
    }

    fn mint(&self, subject: &str, role: Role, at: Timestamp) -> String {
        let (subject, hour) = (subject.parse().unwrap(), Duration::from_secs(3600));
        let secret = Secret::new(JWT_SECRET.to_owned());
        orch_auth::jwt::mint(&secret, &subject, role, hour, at).unwrap().expose().clone()
    }

    /// The head of an answer, whose body comes as it will.
    pub(crate) async fn open(&self, path: &str, token: &str) -> http::Response<hyper::body::Incoming> {
        let request = Request::get(format!("{}{path}", self.base()))
            .header("authorization", format!("Bearer {token}"))
            .body(Full::default())
            .unwrap();
        self.http.client.request(request).await.unwrap()
    }

    /// An API token of a service account with that role, made for it.
    pub(crate) async fn api_token(&self, account: &str, role: Role) -> String {
        let body = json!({"name": account, "kind": "service_account", "role": role});
        self.post("/v1/users", &body).await.expect(201);
        let made = self.post(&format!("/v1/users/{account}/tokens"), &json!({"name": "t"})).await.expect(201);
        made["token"].as_str().expect("a token").to_owned()
    }

    /// A user, as the server takes him.
    pub(crate) async fn principal(&self, role: Role) -> Principal {
        let mut proof = UserProof::at(self.control.now());
        proof.bearer = Some(Secret::new(self.token(role)));
        self.control.authenticate(&proof).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.http.send(method, path, token, headers, body).await
    }

    /// As an admin.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Some(&self.token(Role::Admin)), &[], "").await
    }

    /// As an admin.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(&self.token(Role::Admin)), &[], body.to_string()).await
    }

    /// Registers a node without a key, as agents of the existing implementation do.
    pub(crate) async fn register(&self, name: &str) -> (String, String) {
        let body = json!({
            "node_name": name, "advertise_address": "http://127.0.0.1:8081", "agent_version": "0.3.0",
            "capacity": {"cpu": 4000, "memory": 8_u64 << 30}, "allocatable": {"cpu": 4000, "memory": 8_u64 << 30},
            "labels": {}, "docker_socket_path": "/var/run/docker.sock",
        });
        let answer = self.send("POST", "/v1/agent/register", Some(REGISTRATION_TOKEN), &[], body.to_string());
        let answer = answer.await.expect(201);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&answer["node"]["id"]), text(&answer["credential"]["token"]))
    }

    pub(crate) async fn create(&self, name: &str) -> String {
        let body = json!({"spec": {"name": name, "image": "web:1", "replicas": 1}});
        let service = self.post("/v1/services", &body).await.expect(201);
        service["service"]["id"].as_str().expect("an id").to_owned()
    }
}

/// What a node of this workspace says of itself.
pub(crate) fn claim(name: &str) -> RegistrationClaim {
    RegistrationClaim {
        facts: Default::default(),
        name: name.parse().unwrap(),
        advertise_address: "127.0.0.1".to_owned(),
        labels: [].into(),
        capacity: Resources::new(4000, 8 << 30),
        allocatable: Resources::new(4000, 8 << 30),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot: None,
    }
}
