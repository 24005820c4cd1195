//! Creating a container: the raw half's own body, since `docker-api` has no words for half of it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use hyper::Method;
use orch_core::runtime::{ContainerId, CreateRequest, RuntimeError};
use orch_core::secret::SecretDelivery;
use orch_core::service::{Capability, SecurityContext};
use orch_core::task::FailureKind;
use serde::{Deserialize, Serialize};

use super::DockerRuntime;
use super::client::DEADLINE;
use super::engine::Payload;
use super::error::EngineError;
use super::mounts::{self, Mount};
use super::settings::{self, LogConfig, Ulimit};

impl DockerRuntime {
    pub(super) async fn create_container(
        &self,
        request: CreateRequest<'_>,
    ) -> Result<ContainerId, RuntimeError> {
        let mut mounts = mounts::of_the_host(&request.template.security.host_mounts, self.client().socket())?;
        mounts.extend(self.template_mounts(&request).await?);
        let body = {
            mounts.extend(self.inner.secrets.write(&request).await?);
            let body = Body::new(&request, mounts)?;
            serde_json::to_vec(&body).expect("a body is plain data")
        };
        let created = self.post_create(request.name, body).await;
        match created {
            Ok(id) => {
                self.inner.ours.insert(&id, request.labels);
                Ok(id)
            }
            Err(error) if error.status() == Some(409) => self.adopt(&request).await,
            Err(error) => {
                // Without an answer the container may be there, and use the files.
                if error.status().is_some_and(|status| status < 500) {
                    self.inner.secrets.remove(request.labels.task, request.labels.attempt).await;
                }
                Err(refusal(error))
            }
        }
    }

    async fn post_create(&self, name: &str, body: Vec<u8>) -> Result<ContainerId, EngineError> {
        let client = self.client();
        let call = async {
            let path = client.session().await?.path(&format!("/containers/create?name={name}"));
            client.engine.json::<Created>(Method::POST, &path, Payload::Json(body)).await
        };
        let created = client.run("create", DEADLINE, call).await?;
        for warning in created.warnings.unwrap_or_default() {
            tracing::debug!(container = %created.id, warning, "the engine warns");
        }
        Ok(created.id)
    }

    /// The name is taken: by an earlier try of ours whose answer was lost, or by someone else.
    async fn adopt(&self, request: &CreateRequest<'_>) -> Result<ContainerId, RuntimeError> {
        match self.look_at(request.name).await? {
            Some(found) if found.labels.as_ref() == Some(request.labels) => Ok(found.id),
            Some(_) => {
                self.inner.secrets.remove(request.labels.task, request.labels.attempt).await;
                let message =
                    format!("the name {} is taken by a container that is not this attempt's", request.name);
                Err(RuntimeError::permanent(FailureKind::Engine, message))
            }
            None => Err(RuntimeError::Retry {
                message: "the name was taken a moment ago".to_owned(),
                after: None,
            }),
        }
    }
}

/// What a refused creation means. 404 is the image: it was there, and was removed since.
fn refusal(error: EngineError) -> RuntimeError {
    match error {
        EngineError::Answer { status: 404, message } => RuntimeError::Retry { message, after: None },
        other => other.into(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: ContainerId,
    warnings: Option<Vec<String>>,
}

/// The body of `POST /containers/create`, as far as we use it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    env: Vec<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    entrypoint: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    cmd: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    labels: BTreeMap<String, String>,
    exposed_ports: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<&'a str>,
    stop_timeout: u64,
    host_config: HostConfig<'a>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig<'a> {
    port_bindings: BTreeMap<String, Vec<PortBinding>>,
    nano_cpus: u64,
    memory: u64,
    memory_swap: u64,
    cap_add: Vec<&'a str>,
    cap_drop: Vec<&'a str>,
    readonly_rootfs: bool,
    privileged: bool,
    security_opt: &'static [&'static str],
    init: bool,
    restart_policy: EngineRestart,
    mounts: Vec<Mount>,
    log_config: LogConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids_limit: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ulimits: Vec<Ulimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shm_size: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dns: Vec<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    dns_search: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    dns_options: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra_hosts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid_mode: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PortBinding {
    host_ip: &'static str,
    host_port: String,
}

/// The agent restarts, never the engine.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EngineRestart {
    name: &'static str,
}

impl<'a> Body<'a> {
    fn new(request: &CreateRequest<'a>, mounts: Vec<Mount>) -> Result<Self, RuntimeError> {
        let template = request.template;
        let (security, own) = (&template.security, &template.settings);
        let mut exposed_ports = BTreeMap::new();
        for port in &template.ports {
            exposed_ports.insert(format!("{}/{}", port.container_port, port.protocol), Empty {});
        }
        let mut port_bindings: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for port in request.ports {
            let key = format!("{}/{}", port.container_port, port.protocol);
            exposed_ports.insert(key.clone(), Empty {});
            let binding = PortBinding { host_ip: "0.0.0.0", host_port: port.host_port.to_string() };
            port_bindings.entry(key).or_default().push(binding);
        }
        let mut labels = template.labels.clone();
        labels.extend(request.labels.to_map());
        Ok(Self {
            image: &request.image.0,
            // On the node's network a container has the node's name.
            hostname: (!security.host_network)
                .then(|| template.settings.hostname.as_deref().unwrap_or(request.hostname)),
            env: environment(request)?,
            entrypoint: &template.entrypoint,
            cmd: &template.command,
            working_dir: template.workdir.as_deref(),
            user: security.user.as_deref(),
            labels,
            exposed_ports,
            stop_signal: template.stop.signal.as_deref(),
            stop_timeout: template.stop.grace.as_secs() + u64::from(template.stop.grace.subsec_nanos() > 0),
            host_config: HostConfig {
                port_bindings: if security.host_network { BTreeMap::new() } else { port_bindings },
                nano_cpus: template.limits.cpu_millis.saturating_mul(1_000_000),
                memory: template.limits.memory_bytes,
                // The same as the memory means no swap: a limit that swaps is none.
                memory_swap: template.limits.memory_bytes,
                cap_add: security.cap_add.iter().map(Capability::as_str).collect(),
                cap_drop: dropped(security),
                readonly_rootfs: security.read_only_root,
                privileged: security.privileged,
                security_opt: if security.privileged { &[] } else { &["no-new-privileges"] },
                init: template.init,
                restart_policy: EngineRestart { name: "no" },
                mounts,
                log_config: settings::log_config(own.log.as_ref()),
                pids_limit: own.pids_limit.map(NonZeroU32::get),
                ulimits: settings::ulimits(own),
                shm_size: own.shm_bytes,
                dns: own.dns.servers.iter().map(ToString::to_string).collect(),
                dns_search: &own.dns.search,
                dns_options: &own.dns.options,
                extra_hosts: settings::extra_hosts(own),
                network_mode: security.host_network.then_some("host"),
                pid_mode: security.host_pid.then_some("host"),
            },
        })
    }
}

fn dropped(security: &SecurityContext) -> Vec<&str> {
    const NET_RAW: &str = "NET_RAW";
    if !security.cap_drop.is_empty() {
        return security.cap_drop.iter().map(Capability::as_str).collect();
    }
    let kept = security.privileged || security.cap_add.iter().any(|added| added.as_str() == NET_RAW);
    if kept { Vec::new() } else { vec![NET_RAW] }
}

/// `NAME=value`, each value exactly as given; a secret wins over a plain variable of the same name.
fn environment(request: &CreateRequest<'_>) -> Result<Vec<String>, RuntimeError> {
    let mut env: BTreeMap<&str, &str> =
        request.template.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for secret in &request.secrets.values {
        let SecretDelivery::Env(name) = &secret.delivery else { continue };
        let value = std::str::from_utf8(secret.value.expose()).ok().filter(|value| !value.contains('\0'));
        let value = value.ok_or_else(|| {
            let message = format!("the secret for the variable {name} is no text: deliver it as a file");
            RuntimeError::permanent(FailureKind::Secret, message)
        })?;
        env.insert(name.as_str(), value);
    }
    Ok(env.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}
