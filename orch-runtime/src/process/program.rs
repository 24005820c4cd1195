//! What is run: the program, its environment, its user.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::Signal;
use orch_core::runtime::{CreateRequest, RuntimeError};
use orch_core::secret::{Secret, SecretDelivery};
use orch_core::service::{Dns, HealthCheck, Probe};
use orch_core::task::{Exit, FailureKind};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::identity;

/// What a process has of the agent's environment. The rest may hold the agent's own secrets.
const INHERITED: [&str; 4] = ["PATH", "LANG", "LC_ALL", "TZ"];

/// Variables whose values are secret.
pub(super) type SecretEnv = Vec<(String, Secret<Vec<u8>>)>;

/// A program as it is recorded: all but the secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Program {
    arguments: Vec<String>,
    env: BTreeMap<String, String>,
    workdir: Option<String>,
    user: Option<(u32, Option<u32>)>,
    pub(super) needs_secrets: bool,
}

impl Program {
    /// # Errors
    /// The template wants what a plain process cannot have: better refused than quietly left out.
    pub(super) fn new(request: &CreateRequest<'_>) -> Result<(Self, SecretEnv), RuntimeError> {
        let template = request.template;
        let (security, own) = (&template.security, &template.settings);
        let cannot = |kind, what: &str| RuntimeError::permanent(kind, format!("the process runtime {what}"));
        let impossible = [
            (security.read_only_root, "has no root file system to make read-only"),
            (security.privileged, "has no privileges to give"),
            (!security.cap_add.is_empty(), "has no capabilities to give"),
            (
                !security.host_mounts.is_empty() || !template.mounts.is_empty(),
                "mounts nothing: a process sees the node's files as they are",
            ),
            (
                matches!(&template.health, Some(HealthCheck { probe: Probe::Exec { .. }, .. })),
                "runs no health checks of type exec: use http or tcp",
            ),
            (own.hostname.is_some(), "gives no host names: a process has the node's"),
            (own.pids_limit.is_some(), "enforces no `pids_limit`"),
            (!own.ulimits.is_empty(), "sets no `ulimits`: a process has the agent's"),
            (own.shm_bytes.is_some(), "has no `/dev/shm` of its own to size"),
            (own.log.is_some(), "keeps output in its own files and has no log drivers"),
            (
                own.dns != Dns::default() || !own.extra_hosts.is_empty(),
                "resolves names as the node does: `dns` and `extra_hosts` have no effect",
            ),
        ];
        if let Some((_, what)) = impossible.iter().find(|(wanted, _)| *wanted) {
            return Err(cannot(FailureKind::Engine, what));
        }
        let arguments: Vec<String> = template.entrypoint.iter().chain(&template.command).cloned().collect();
        if arguments.is_empty() {
            return Err(cannot(
                FailureKind::Engine,
                "runs what entrypoint and command name, and both are empty",
            ));
        }
        let user = match security.user.as_deref() {
            None => None,
            Some(text) => Some(
                user(text).ok_or_else(|| cannot(FailureKind::Engine, "takes users and groups by number"))?,
            ),
        };
        let mut env: BTreeMap<String, String> =
            template.env.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        for port in request.ports {
            env.insert(format!("ORCH_PORT_{}", port.container_port), port.host_port.to_string());
        }
        if let Some(first) = request.ports.first() {
            env.insert("PORT".to_owned(), first.host_port.to_string());
        }
        let mut secrets = SecretEnv::new();
        for secret in &request.secrets.values {
            match &secret.delivery {
                SecretDelivery::Env(name) if !secret.value.expose().contains(&0) => {
                    secrets.push((name.to_string(), secret.value.clone()));
                }
                SecretDelivery::Env(name) => {
                    let what =
                        format!("cannot put the secret for {name} into a variable: it holds a zero byte");
                    return Err(cannot(FailureKind::Secret, &what));
                }
                SecretDelivery::File(_) => {
                    return Err(cannot(FailureKind::Secret, "delivers secrets in variables only"));
                }
            }
        }
        let workdir = template.workdir.clone();
        let needs_secrets = !secrets.is_empty();
        Ok((Self { arguments, env, workdir, user, needs_secrets }, secrets))
    }

    /// Starts it in a process group of its own, with all output in `output`.
    pub(super) fn spawn(&self, secrets: &SecretEnv, output: File) -> Result<Child, RuntimeError> {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let retry = |error: std::io::Error| RuntimeError::Retry { message: error.to_string(), after: None };
        let (program, arguments) = self.arguments.split_first().ok_or(RuntimeError::Gone)?;
        let mut command = std::process::Command::new(program);
        command.args(arguments).env_clear().process_group(0).stdin(Stdio::null());
        command.stderr(output.try_clone().map_err(retry)?).stdout(output);
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(&self.env);
        command.envs(secrets.iter().map(|(name, value)| (name, OsStr::from_bytes(value.expose()))));
        if let Some(workdir) = &self.workdir {
            command.current_dir(workdir);
        }
        if let Some((uid, gid)) = self.user {
            command.uid(uid);
            if let Some(gid) = gid {
                command.gid(gid);
            }
        }
        Command::from(command).spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound
            | std::io::ErrorKind::PermissionDenied
            | std::io::ErrorKind::NotADirectory => {
                RuntimeError::permanent(FailureKind::Engine, format!("cannot run `{program}`: {error}"))
            }
            _ => retry(error),
        })
    }
}

fn user(text: &str) -> Option<(u32, Option<u32>)> {
    match text.split_once(':') {
        None => Some((text.parse().ok()?, None)),
        Some((uid, gid)) => Some((uid.parse().ok()?, Some(gid.parse().ok()?))),
    }
}

/// A signal by name, with or without `SIG`.
pub(super) fn signal(name: &str) -> Result<Signal, RuntimeError> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    full.parse().map_err(|_| {
        RuntimeError::permanent(FailureKind::Engine, format!("`{}` is no signal", name.escape_debug()))
    })
}

/// How a child ended, in the words of shells and engines: 128 and the signal's number where a signal ended it.
pub(super) fn exit(status: ExitStatus) -> Exit {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Exit { code, at: identity::now(), ..Exit::default() }
}
