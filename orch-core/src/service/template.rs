//! [`TaskTemplate`]: what a task runs; and its digest.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ContainerSettings, HealthCheck, ImageRef, Mount, OnDisconnect, PortSpec, RestartPolicy, SecurityContext,
};
use crate::name::EnvName;
use crate::node::Resources;
use crate::secret::SecretRef;

/// Everything that a container of the service is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTemplate {
    /// What runs.
    pub image: ImageRef,
    /// Replaces the image's entry point, if not empty.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Replaces the image's command, if not empty.
    #[serde(default)]
    pub command: Vec<String>,
    /// Working directory, if not the image's.
    #[serde(default)]
    pub workdir: Option<String>,
    /// Exact strings, handed to the engine as they are: no shell, no interpolation.
    #[serde(default)]
    pub env: BTreeMap<EnvName, String>,
    /// Secrets, by reference.
    #[serde(default)]
    pub secrets: Vec<SecretRef>,
    /// Ports the container listens on.
    #[serde(default)]
    pub ports: Vec<PortSpec>,
    /// What the scheduler reserves for a task.
    pub requests: Resources,
    /// What the engine lets it use at most.
    pub limits: Resources,
    /// User, capabilities, mounts.
    #[serde(default)]
    pub security: SecurityContext,
    /// Volumes and folders on memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// What else the engine is told.
    #[serde(default, skip_serializing_if = "ContainerSettings::is_default")]
    pub settings: ContainerSettings,
    /// How the agent tells whether it serves; `None`: running is healthy.
    #[serde(default)]
    pub health: Option<HealthCheck>,
    /// What the agent does when it exits.
    pub restart: RestartPolicy,
    /// How it is stopped.
    pub stop: StopPolicy,
    /// What becomes of it while its node is not heard.
    #[serde(default, skip_serializing_if = "OnDisconnect::is_default")]
    pub on_disconnect: OnDisconnect,
    /// The user's own container labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whether the engine's init reaps zombies as process 1.
    pub init: bool,
}

impl TaskTemplate {
    /// What `image` does by itself, with an init process: nothing else is said, reserved or limited.
    #[must_use]
    pub fn new(image: ImageRef) -> Self {
        Self {
            image,
            entrypoint: Vec::new(),
            command: Vec::new(),
            workdir: None,
            env: BTreeMap::new(),
            secrets: Vec::new(),
            ports: Vec::new(),
            requests: Resources::default(),
            limits: Resources::default(),
            security: SecurityContext::default(),
            mounts: Vec::new(),
            settings: ContainerSettings::default(),
            health: None,
            restart: RestartPolicy::default(),
            stop: StopPolicy::default(),
            on_disconnect: OnDisconnect::default(),
            labels: BTreeMap::new(),
            init: true,
        }
    }

    /// SHA-256 over the canonical JSON of the template: struct fields in order, maps sorted. A field that came later is left
    /// out where it says nothing, so that a template keeps its digest, and its containers, over upgrades.
    #[must_use]
    pub fn digest(&self) -> SpecDigest {
        let json = serde_json::to_vec(self).expect("a template is plain data");
        let hash = ring::digest::digest(&ring::digest::SHA256, &json);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.as_ref());
        SpecDigest(bytes)
    }
}

/// How long a container that is to go is left alone once it is out of discovery, where it publishes a port: 2 seconds.
/// Clients that read endpoints once a second have then heard of it (M30).
pub const DEFAULT_DRAIN_DELAY: Duration = Duration::from_secs(2);

/// How a container is stopped: out of discovery, then delay, then signal, then grace, then kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPolicy {
    /// The signal, by name (`SIGTERM`); `None`: the image's own.
    #[serde(default)]
    pub signal: Option<String>,
    /// Time between signal and kill.
    pub grace: Duration,
    /// Time between leaving discovery and the signal.
    #[serde(default)]
    pub delay: Duration,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self { signal: None, grace: Duration::from_secs(10), delay: Duration::ZERO }
    }
}

/// Digest of a [`TaskTemplate`]; 64 hexadecimal digits in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpecDigest([u8; 32]);

impl fmt::Display for SpecDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for SpecDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl From<SpecDigest> for String {
    fn from(digest: SpecDigest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for SpecDigest {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "expected 64 hexadecimal digits";
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(WRONG);
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}
