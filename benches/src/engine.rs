//! The engine's API, bare: one connection, no library of ours. The reference that `deploy` is held against.

use std::path::PathBuf;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use orch_core::time::Timestamp;
use orch_runtime::docker::DockerSocket;
use serde_json::{Value, json};
use tokio::net::UnixStream;

/// One kept-alive connection to the engine.
pub(crate) struct Engine {
    requests: SendRequest<Full<Bytes>>,
}

impl Engine {
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        let socket: PathBuf = DockerSocket::resolve(None)?.path().to_owned();
        let stream = UnixStream::connect(&socket)
            .await
            .with_context(|| format!("there is no engine at {}", socket.display()))?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { requests })
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Bytes> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        anyhow::ensure!(
            status.is_success(),
            "{path}: {status} {}",
            String::from_utf8_lossy(&answer).trim_end()
        );
        Ok(answer)
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        self.requests.ready().await?;
        let mut request = Request::builder().method(method).uri(path).header("host", "docker");
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            request = request.header("content-type", "application/json");
            bytes = serde_json::to_vec(body)?.into();
        }
        Ok(self.requests.send_request(request.body(Full::new(bytes))?).await?)
    }

    /// What the engine answers to a question.
    pub(crate) async fn read(&mut self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.call(Method::GET, path, None).await?)?)
    }

    /// Asks for something; answers what came of it, which may be nothing.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.call(Method::POST, path, Some(body)).await?;
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
    }

    pub(crate) async fn delete(&mut self, path: &str) -> anyhow::Result<()> {
        self.call(Method::DELETE, path, None).await.map(drop)
    }

    /// The id of an image, which the engine can use without asking where its name comes from.
    pub(crate) async fn image_id(&mut self, name: &str) -> anyhow::Result<String> {
        let found = self.read(&format!("/images/{}/json", encode(name))).await?;
        Ok(found["Id"].as_str().context("an image has an Id")?.to_owned())
    }

    /// What the engine says of a Swarm service's tasks that do not run, each thing once.
    pub(crate) async fn why_not_running(&mut self, service: &str) -> anyhow::Result<String> {
        let filters = encode(&json!({ "service": [service] }).to_string());
        let tasks = self.read(&format!("/tasks?filters={filters}")).await?;
        let said = tasks.as_array().into_iter().flatten().filter(|task| task["Status"]["State"] != "running");
        let said: std::collections::BTreeSet<String> = said
            .map(|task| {
                let of = |field: &str| task["Status"][field].as_str().unwrap_or_default();
                format!("{} ({})", of("State"), if of("Err").is_empty() { of("Message") } else { of("Err") })
            })
            .collect();
        Ok(said.iter().fold(String::new(), |all, one| format!("{all}; {one}")))
    }

    /// Creates a container; answers its id.
    pub(crate) async fn create(&mut self, name: &str, body: &Value) -> anyhow::Result<String> {
        let answer = self.post(&format!("/containers/create?name={name}"), body).await?;
        Ok(answer["Id"].as_str().context("a created container has an id")?.to_owned())
    }

    pub(crate) async fn start(&mut self, id: &str) -> anyhow::Result<()> {
        self.call(Method::POST, &format!("/containers/{id}/start"), None).await.map(drop)
    }

    /// By its own stop signal, within its own grace.
    pub(crate) async fn stop(&mut self, id: &str) -> anyhow::Result<()> {
        self.call(Method::POST, &format!("/containers/{id}/stop"), None).await.map(drop)
    }

    pub(crate) async fn kill(&mut self, id: &str) -> anyhow::Result<()> {
        self.call(Method::POST, &format!("/containers/{id}/kill"), None).await.map(drop)
    }

    pub(crate) async fn signal(&mut self, id: &str, signal: &str) -> anyhow::Result<()> {
        self.call(Method::POST, &format!("/containers/{id}/kill?signal={signal}"), None).await.map(drop)
    }

    /// What a container prints from now on, with its times, in the engine's framing.
    pub(crate) async fn follow_log(&mut self, id: &str) -> anyhow::Result<Incoming> {
        let path = format!("/containers/{id}/logs?stdout=1&follow=1&timestamps=1&tail=0");
        let response = self.send(Method::GET, &path, None).await?;
        anyhow::ensure!(response.status().is_success(), "{path}: {}", response.status());
        Ok(response.into_body())
    }

    pub(crate) async fn remove(&mut self, id: &str) -> anyhow::Result<()> {
        self.delete(&format!("/containers/{id}?force=true&v=true")).await
    }

    /// All containers with this label, running or not.
    pub(crate) async fn labelled(&mut self, label: &str) -> anyhow::Result<Vec<Listed>> {
        let filters = encode(&json!({ "label": [label] }).to_string());
        let path = format!("/containers/json?all=true&filters={filters}");
        Ok(serde_json::from_slice(&self.call(Method::GET, &path, None).await?)?)
    }

    /// What the engine knows of a container.
    pub(crate) async fn inspect(&mut self, id: &str) -> anyhow::Result<Value> {
        self.read(&format!("/containers/{id}/json")).await
    }

    /// When the engine started a container.
    pub(crate) async fn started_at(&mut self, id: &str) -> anyhow::Result<Timestamp> {
        let found = self.inspect(id).await?;
        let text = found["State"]["StartedAt"].as_str().context("a container has a StartedAt")?;
        Ok(Timestamp::parse_rfc3339(text)?)
    }

    /// When the engine saw a container die; of its events since `since`, which it keeps for a while.
    pub(crate) async fn died_at(&mut self, id: &str, since: Timestamp) -> anyhow::Result<Timestamp> {
        let filters = encode(&json!({ "container": [id], "event": ["die"] }).to_string());
        let seconds =
            |at: Timestamp| format!("{}.{:06}", at.as_micros() / 1_000_000, at.as_micros() % 1_000_000);
        let path = format!(
            "/events?since={}&until={}&filters={filters}",
            seconds(since),
            seconds(crate::report::now())
        );
        let answer = self.call(Method::GET, &path, None).await?;
        let event: Value = serde_json::Deserializer::from_slice(&answer)
            .into_iter()
            .next()
            .with_context(|| format!("the engine tells no death of {id}"))??;
        let nanos = event["timeNano"].as_i64().context("an event has a time")?;
        Ok(Timestamp::from_micros(nanos / 1_000))
    }
}

/// One line of the engine's list.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) state: String,
}

/// Removes containers with this label until there are none: a request that was given up may have made one more meanwhile.
pub(crate) async fn remove_labelled(label: &str) -> anyhow::Result<()> {
    let mut engine = Engine::connect().await?;
    loop {
        let left = engine.labelled(label).await?;
        if left.is_empty() {
            return Ok(());
        }
        for container in left {
            engine.remove(&container.id).await?;
        }
    }
}

fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
