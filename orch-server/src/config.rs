//! The daemon's settings: flag, environment, YAML file, default, in this order. Nothing below this module reads the
//! environment; what is wrong is told all at once, each with where it was said.

mod manual;
mod oidc;
mod print;
mod rules;
mod settings;
mod source;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use orch_auth::jwt::StaticUsers;
use orch_core::control_plane::ClusterPolicy;
use orch_core::secret::Secret;
use orch_store::StoreUrl;

pub use manual::manual;
pub use oidc::{OidcConfig, OidcKeys};
pub use settings::SETTINGS;
pub use source::{Settings, command};

/// The effective configuration.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the API listens.
    pub address: SocketAddr,
    /// One machine, nothing kept, nobody asked.
    pub dev: bool,
    /// With `dev`: what runs its containers.
    pub runtime: DevRuntime,
    /// Plain HTTP and no authentication are accepted off loopback.
    pub insecure: bool,
    /// Where the state is kept; `None` with `dev`: nowhere.
    pub store: Option<StoreUrl>,
    /// What the daemon keeps on disk by itself.
    pub data_dir: PathBuf,
    /// Values of secrets: `<folder>/<namespace>/<name>`.
    pub secrets_dir: PathBuf,
    /// Which log lines are written.
    pub log_level: String,
    /// Log lines as JSON.
    pub log_json: bool,
    /// The static registration token; `None`: there is none, or it is switched off.
    pub registration_token: Option<Secret<String>>,
    /// New nodes come by one-time tokens alone.
    pub one_time_enrollment: bool,
    /// New nodes need nothing at all: on loopback or where it is accepted, as long as no token is asked for.
    pub open_enrollment: bool,
    /// What users' tokens are signed with; `None`: no tokens of ours are taken.
    pub jwt: Option<JwtKeys>,
    /// The foreign issuer whose users are let in.
    pub oidc: Option<OidcConfig>,
    /// Who may come, if not everybody with a token.
    pub users: StaticUsers,
    /// What keys derive from; `None`: one in the data folder, made at first start.
    pub secret_key: Option<Secret<String>>,
    /// Certificate chain and key, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How long open requests may go on at the end.
    pub shutdown_timeout: Duration,
    /// What specs may ask for, and the clocks of the cluster.
    pub policy: ClusterPolicy,
    /// What the operator should know before anything is served.
    pub warnings: Vec<String>,
}

/// Where the keys of our own tokens come from.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum JwtKeys {
    /// One secret.
    Secret(Secret<String>),
    /// A file with a ring of them.
    Ring(PathBuf),
}

/// What runs the containers of a `--dev` cluster.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DevRuntime {
    /// This machine's Docker Engine.
    #[default]
    Docker,
    /// Plain child processes, without isolation.
    Process,
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl Config {
    /// Whether users are asked who they are.
    #[must_use]
    pub const fn asks_users(&self) -> bool {
        self.jwt.is_some() || self.oidc.is_some()
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            several => {
                write!(f, "{} problems with the configuration:", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests;
